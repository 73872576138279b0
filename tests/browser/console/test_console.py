"""What the console promises an operator."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, FilePayload, Locator, Page, expect

from tests.browser.console.conftest import another, sign_in
from tests.browser.console.screenshots import CARD, TRACE
from tests.browser.console.server import NOW_MS, PNG, Json, Server, context, entry

BEN = {"id": "op-ben.miller", "name": "ben.miller"}
CARLA = {"id": "op-carla", "name": "carla"}


def held_by(operator: Json) -> Json:
    return {"stage": "active", "owner": operator["id"], "operator": operator}


def rows(page: Page) -> Locator:
    return page.locator(".row")


def reply(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Reply")


async def opened(page: Page, server: Server, conversation: str = "c1", name: str = "ben.miller") -> None:
    """Signed in, with that conversation open."""
    await sign_in(page, server, name, f"#/{conversation}")
    await expect(page.get_by_role("log", name="Messages")).to_be_visible()
    await server.until(lambda: any(conversation in screen.open for screen in server.screens))


async def test_a_wrong_code_is_told_and_only_the_code_is_asked_again(page: Page, server: Server) -> None:
    """The sentence of the server stands in the form, and what was typed besides the code stays."""
    await page.goto(f"{server.url}/console")
    await page.get_by_label("Name").fill("ben.miller")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_label("Code from your authenticator").fill("000000")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Name, password or code is wrong.")
    await expect(page.get_by_label("Code from your authenticator")).to_be_focused()
    await expect(page.get_by_label("Name")).to_have_value("ben.miller")


async def test_an_invitation_leads_to_a_second_factor_and_an_account(page: Page, server: Server) -> None:
    """The link fills the code in; password, secret and first code follow, and then one signs in."""
    await page.goto(f"{server.url}/console#/invite/INV-1")
    await expect(page.get_by_label("Invitation code")).to_have_value("INV-1")
    await page.get_by_label("New password").fill("a sentence of my own")
    await page.get_by_label("The same again").fill("a sentence of my own")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("JBSW Y3DP EHPK 3PXP")).to_be_visible()
    await expect(page.get_by_role("link", name="Open in the authenticator")).to_have_attribute(
        "href", re.compile("^otpauth://totp/")
    )
    await page.get_by_label("Code that it shows now").fill("123456")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your account is ready.")).to_be_visible()
    assert await server.asked("accept-invite") == {"code": "INV-1", "password": "a sentence of my own"}
    assert await server.asked("confirm") == {"code": "INV-1", "totp": "123456"}


async def test_what_breaks_first_stands_at_the_top(page: Page, server: Server) -> None:
    """The nearest deadline, then priority, then who waits longest."""
    server.put(
        "later",
        user={"name": "Later", "identity": ""},
        deadline={"kind": "first reply", "due_ms": NOW_MS + 90_000, "is_missed": False},
    )
    server.put("long", user={"name": "Long", "identity": ""}, waiting_since_ms=NOW_MS - 900_000)
    server.put("urgent", user={"name": "Urgent", "identity": ""}, priority=2)
    server.put(
        "missed",
        user={"name": "Missed", "identity": ""},
        deadline={"kind": "first reply", "due_ms": NOW_MS - 120_000, "is_missed": True},
    )
    server.put("new", user={"name": "New", "identity": ""})
    await sign_in(page, server)
    await expect(rows(page)).to_have_count(5)
    await expect(page.get_by_text("First reply overdue 2 min")).to_be_visible()
    await expect(page.get_by_text(re.compile(r"First reply in 1:\d\d"))).to_be_visible()
    names: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll(".row")].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
            .map((row) => row.querySelector("strong").textContent)"""
    )
    assert names == ["Missed", "Later", "Urgent", "Long", "New"]


async def test_nothing_moves_under_the_pointer(page: Page, server: Server) -> None:
    """While the pointer is over the list, new rows wait under a line that counts them."""
    server.put("c1")
    await sign_in(page, server)
    await rows(page).first.hover()
    await server.change("c2", user={"name": "Urgent", "identity": ""}, priority=2)
    await server.change("c3", user={"name": "Third", "identity": ""})
    await server.change("c1", line="A newer line")
    await expect(page.get_by_text("A newer line")).to_be_visible()
    await expect(page.get_by_role("button", name="2 new")).to_be_visible()
    await expect(rows(page)).to_have_count(1)
    await page.mouse.move(900, 400)
    await expect(rows(page)).to_have_count(3)
    await expect(page.locator(".fresh")).to_be_hidden()


async def test_a_reply_goes_where_the_button_says(page: Page, server: Server) -> None:
    """Recipient, channel and the end of the window stand beside the button; the line goes out once and the draft is gone."""
    server.put("c1", entry(1, "user", "Hello"), channel="whatsapp", window_end_ms=NOW_MS + 3_600_000, **held_by(BEN))
    await opened(page, server)
    await reply(page).fill("On its way.")
    await expect(page.locator(".goes")).to_contain_text("Goes to Ana Berg on WhatsApp. Free text until")
    await page.get_by_role("button", name="Send reply").click()
    asked = await server.asked("command")
    assert (asked["conversation"], asked["line"]) == ("c1", "!reply On its way.")
    await expect(reply(page)).to_have_value("")
    await server.say("c1", entry(2, "operator", "On its way.", name="Ben Miller", delivery="sending"))
    await expect(page.locator(".delivery")).to_have_text("Sending")
    await server.say("c1", entry(2, "operator", "On its way.", name="Ben Miller", delivery="delivered"))
    await expect(page.locator(".delivery")).to_have_text("Delivered")
    await expect(page.locator(".entry")).to_have_count(2)


async def test_a_note_is_never_a_reply(page: Page, server: Server) -> None:
    """The modes look different and have a draft each: what was a note does not become a reply with the mode."""
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await page.keyboard.press("n")
    note = page.get_by_role("textbox", name="Private note")
    await expect(note).to_be_focused()
    await note.fill("Do not trust this one")
    await expect(page.locator(".goes")).to_have_text("Only operators read this.")
    of_note = await page.locator(".writing").evaluate("(node) => getComputedStyle(node).backgroundColor")
    await page.get_by_role("tab", name="Reply").click()
    await expect(reply(page)).to_have_value("")
    assert await page.locator(".writing").evaluate("(node) => getComputedStyle(node).backgroundColor") != of_note
    await page.get_by_role("tab", name="Private note").click()
    await page.get_by_role("button", name="Add note").click()
    assert (await server.asked("command"))["line"] == "!note Do not trust this one"


async def test_f109_the_second_of_two_is_told_and_keeps_the_draft(browser: Browser, page: Page, server: Server) -> None:
    """Two consoles at once: the one who comes too late reads who has it, and nothing of what was written is lost."""
    server.put("c1", entry(1, "user", "Hello"))
    await opened(page, server)
    other = await another(browser, server, "carla", "#/c1")
    await page.keyboard.press("r")
    await reply(page).fill("I can help")
    await other.get_by_role("button", name="Take", exact=True).click()
    assert (await server.asked("command"))["line"] == "!take"
    server.refuse = lambda asked: (400, "taken", "Carla has this conversation.")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("alert").filter(has_text="Carla has this conversation.")).to_be_visible()
    await expect(reply(page)).to_have_value("I can help")
    await server.change("c1", **held_by(CARLA))
    await expect(page.locator(".banner")).to_have_text("carla has taken this conversation.")
    await expect(page.get_by_role("button", name="Send reply")).to_be_disabled()
    await expect(page.get_by_role("button", name="Take", exact=True)).to_have_count(0)
    await page.reload()
    await expect(reply(page)).to_have_value("I can help")
    await other.context.close()


async def test_the_same_draft_is_sent_with_the_same_key(page: Page, server: Server) -> None:
    """After a lost answer the same words go out under the same key, so that they arrive once; other words get another key."""
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    server.refuse = lambda asked: (503, "", "The server has a problem.")
    await reply(page).fill("Once")
    await page.keyboard.press("Control+Enter")
    await server.asked("command", 1)
    await expect(page.get_by_role("button", name="Send reply")).to_be_enabled()
    await page.keyboard.press("Control+Enter")
    await server.asked("command", 2)
    await expect(page.get_by_role("button", name="Send reply")).to_be_enabled()
    server.refuse = lambda asked: None
    await reply(page).fill("Twice")
    await page.keyboard.press("Control+Enter")
    await server.asked("command", 3)
    keys = [asked["key"] for asked in server.posts("command")]
    assert keys[0] == keys[1] != keys[2]


async def test_everything_works_by_keyboard(page: Page, server: Server) -> None:
    """From the list to a reply, a note, a snooze and a resolved case without a pointer."""
    server.put("c1", entry(1, "user", "First"), waiting_since_ms=NOW_MS - 600_000)
    server.put("c2", entry(1, "user", "Second"))
    await sign_in(page, server)
    await expect(rows(page)).to_have_count(2)
    await page.keyboard.press("j")
    await expect(page.locator(".row.active")).to_have_id("row-c2")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Ana Berg")).to_be_focused()
    await page.keyboard.press("t")
    assert (await server.asked("command"))["line"] == "!take"
    await server.change("c1", **held_by(BEN))
    await expect(page.get_by_role("button", name="Snooze")).to_be_visible()
    await page.keyboard.press("s")
    await page.get_by_role("button", name="30 minutes").press("ArrowDown")
    await page.keyboard.press("Enter")
    assert (await server.asked("command", 2))["line"] == "!snooze 1h"
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("r")
    await page.keyboard.type("Hello from keys")
    await page.keyboard.press("Control+Enter")
    assert (await server.asked("command", 3))["line"] == "!reply Hello from keys"
    await page.keyboard.press("Escape")
    await page.keyboard.press("e")
    await page.keyboard.type("Solved by keys")
    await page.keyboard.press("Control+Enter")
    assert (await server.asked("command", 4))["line"] == "!resolve Solved by keys"
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("return to the agent")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("listbox", name="Conversations")).to_be_focused()


async def test_the_palette_takes_commands_with_their_arguments(page: Page, server: Server) -> None:
    """`/` opens it; what is written behind a name is the argument; without one it is asked for."""
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await page.keyboard.press("/")
    await page.keyboard.type("priority urgent")
    await page.keyboard.press("Enter")
    assert (await server.asked("command"))["line"] == "!priority urgent"
    await page.keyboard.press("Control+k")
    await page.keyboard.type("trans")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name=re.compile("^carla")).click()
    assert (await server.asked("command", 2))["line"] == "!transfer @carla"


async def test_prepared_replies_are_filled_in_and_not_sent(page: Page, server: Server) -> None:
    """`/name` in a reply previews and puts the text in, with its variables; only the button sends it."""
    server.canned = [
        {"name": "hello", "text": "Hello {user}, {operator} here.", "channels": []},
        {"name": "window", "text": "Never here", "channels": ["whatsapp"]},
    ]
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await reply(page).press_sequentially("/")
    await expect(page.get_by_role("listbox", name="Prepared replies").get_by_role("option")).to_have_text(
        ["/helloHello Ana Berg, Ben Miller here."]
    )
    await page.keyboard.press("Enter")
    await expect(reply(page)).to_have_value("Hello Ana Berg, Ben Miller here.")
    assert server.posts("command") == []


async def test_a_suggestion_is_a_draft_that_never_sends_itself(page: Page, server: Server) -> None:
    """Its sources are shown; used and edited it goes out with its id; dropped, that is told."""
    citation = {"number": 1, "title": "Returns", "url": "", "passage": "returns#2"}
    server.passages["returns#2"] = {"id": "returns#2", "title": "Returns", "text": "Within **30 days**.", "url": ""}
    given = {"id": "s1", "text": "You have 30 days.", "citations": [citation]}
    server.put("c1", entry(1, "user", "How long?"), around=context(suggestion=given), **held_by(BEN))
    server.put("c2", entry(1, "user", "How long?"), around=context(suggestion={**given, "id": "s2"}), **held_by(BEN))
    await opened(page, server)
    await page.get_by_role("button", name="Source: Returns").click()
    await expect(page.get_by_role("dialog", name="Returns")).to_contain_text("Within 30 days.")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Use as draft").click()
    await expect(reply(page)).to_have_value("You have 30 days.")
    assert server.posts("command") == []
    await reply(page).press("End")
    await page.keyboard.type(" Gladly.")
    await page.get_by_role("button", name="Send reply").click()
    asked = await server.asked("command")
    assert (asked["line"], asked["suggestion"]) == ("!reply You have 30 days. Gladly.", "s1")
    await page.evaluate("location.hash = '#/c2'")
    await page.get_by_role("button", name="Drop").click()
    asked = await server.asked("command", 2)
    assert (asked["line"], asked["suggestion"]) == ("!suggest drop", "s2")
    await expect(page.get_by_text("Suggested reply")).to_be_hidden()


async def test_a_turn_unfolds_into_tools_sources_and_cost(page: Page, server: Server) -> None:
    """And the pane beside the conversation shows the same turn."""
    server.turns["t1"] = TRACE
    server.put("c1", entry(1, "user", "Hi"), entry(2, "agent", "Hello", turn="t1"))
    await page.set_viewport_size({"width": 1440, "height": 900})
    await opened(page, server)
    await page.get_by_text("How the assistant came to this").click()
    trace = page.locator(".entry .trace")
    await expect(trace).to_contain_text("house-large · 2,322 tokens · cost 0.0072 · 3.2 s")
    await expect(trace).to_contain_text("find_order succeeded in 240 ms")
    await expect(trace).to_contain_text("Returns and refunds 0.91")
    await expect(page.get_by_role("complementary")).to_contain_text("Trace of the turn")


@pytest.mark.parametrize(
    ("card", "buttons", "line"),
    [
        (CARD, ["Approve", "Refuse"], "!refuse k1 too much"),
        ({**CARD, "kind": "unknown"}, ["It happened", "It did not", "I will handle it"], "!did-not k1 too much"),
    ],
)
async def test_a_card_shows_every_argument_and_equal_answers(
    page: Page, server: Server, card: Any, buttons: list[str], line: str
) -> None:
    """The answers have one size and no colour of their own; the decision goes out with its reason."""
    key = "consents" if card["kind"] == "consent" else "queue"
    server.put("c1", entry(1, "user", "Hi"), around=context(**{key: [card]}))
    await page.set_viewport_size({"width": 1440, "height": 900})
    await opened(page, server)
    section = page.locator(".context .action")
    for text in ("Lamp arrived broken", "4711", "129.00 EUR"):
        await expect(section.get_by_role("cell", name=text).first).to_be_visible()
    answers = section.get_by_role("button")
    assert await answers.all_text_contents() == buttons
    looks = {
        await each.evaluate(
            "(node) => JSON.stringify([getComputedStyle(node).backgroundColor, Math.round(node.offsetWidth / 20)])"
        )
        for each in await answers.all()
    }
    assert len(looks) == 1
    await answers.nth(1).click()
    await page.get_by_label("Why (may stay empty)").fill("too much")
    await page.keyboard.press("Enter")
    assert (await server.asked("command"))["line"] == line


async def test_a_viewer_reads_and_cannot_write(page: Page, server: Server) -> None:
    """No composer, no command that changes something, no key that does."""
    server.put("c1", entry(1, "user", "Hello"), around=context(consents=[CARD]))
    await opened(page, server, name="vera")
    await expect(page.get_by_text("You can read here.")).to_be_visible()
    await expect(page.get_by_role("textbox", name=re.compile("Reply|note"))).to_have_count(0)
    for name in ("Take", "Resolve", "Transfer", "More", "Approve"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    for key in "rntesb":
        await page.keyboard.press(key)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert server.posts("command") == []


async def test_who_else_looks_or_types_is_shown(page: Page, server: Server) -> None:
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await server.look("c1", lookers=[{**CARLA, "is_typing": True}, {**BEN, "is_typing": True}], is_user_typing=True)
    await expect(page.locator(".people")).to_have_text("Ana Berg is typing… · carla is writing")
    await server.look("c1", lookers=[{**CARLA, "is_typing": False}])
    await expect(page.locator(".people")).to_have_text("carla looks at this too")
    await reply(page).press_sequentially("He")
    assert (await server.framed("typing"))["conversation"] == "c1"


async def test_files_go_with_the_reply(page: Page, server: Server) -> None:
    server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await page.locator("input[type=file]").set_input_files(
        FilePayload(name="größe.png", mimeType="image/png", buffer=PNG)
    )
    await expect(page.locator(".tray")).to_contain_text("größe.png")
    await reply(page).fill("See the picture")
    await page.get_by_role("button", name="Send reply").click()
    assert (await server.asked("command"))["attachments"] == [f"b-{len(PNG)}"]
    assert await server.asked("upload") == {"name": "größe.png", "size_bytes": len(PNG)}


async def test_a_lost_connection_is_shown_and_made_good(page: Page, server: Server) -> None:
    """While it is away a banner says so; afterwards what was missed is there, and whoever was writing goes on."""
    talk = server.put("c1", entry(1, "user", "Hello"), **held_by(BEN))
    await opened(page, server)
    await reply(page).fill("Half a thought")
    server.is_up = False
    server.screens[0].cut()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    talk.entries.append(entry(2, "user", "Are you there?"))
    server.is_up = True
    await expect(page.locator(".entry")).to_have_count(2)
    await expect(page.get_by_text("No connection.")).to_be_hidden()
    await expect(reply(page)).to_have_value("Half a thought")
    await expect(reply(page)).to_be_focused()


async def test_whoever_is_signed_out_elsewhere_is_led_to_the_door(page: Page, server: Server) -> None:
    """Closed with 4401 the page shows nothing of what it had, says why, and keeps the draft for after the sign-in."""
    server.put("c1", entry(1, "user", "Confidential"), **held_by(BEN))
    await opened(page, server)
    await reply(page).fill("Keep me")
    server.signed_out.add("ben.miller")
    await server.screens[0].socket.close(code=4401)
    await expect(page.get_by_text("You have been signed out")).to_be_visible()
    await expect(page.get_by_text("Confidential")).to_have_count(0)
    await sign_in(page, server, at="#/c1")
    await expect(reply(page)).to_have_value("Keep me")


async def worked_s(session: CDPSession) -> float:
    """The seconds of a core that the page has used since this was enabled, whoever else was at work."""
    told = await session.send("Performance.getMetrics")
    return next(float(each["value"]) for each in told["metrics"] if each["name"] == "TaskDuration")


async def test_two_thousand_rows_stay_light(page: Page, server: Server) -> None:
    """Only the rows in sight are in the document; the end of the list is reached, and a change of all takes under a second of work."""
    for number in range(2000):
        server.put(
            f"c{number:04}",
            user={"name": f"User {number}", "identity": ""},
            waiting_since_ms=NOW_MS - 3_000_000 + number,
        )
    await sign_in(page, server)
    await expect(rows(page).first).to_be_visible()
    await page.locator(".rows").focus()
    async with asyncio.timeout(60):
        while "User 1999" not in "".join(await page.locator(".row.active").all_inner_texts()):
            await page.keyboard.press("End")  # more of the list comes each time
    await expect(page.get_by_text("2000 waiting")).to_be_visible()
    assert await rows(page).count() < 40
    await page.locator(".rows").blur()
    changed = [{**talk.row, "line": "Changed"} for talk in server.talks.values()]
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await worked_s(session)
    await server.tell(type="rows", rows=changed, gone=[])
    await expect(rows(page).get_by_text("Changed").first).to_be_visible()
    assert 0.0 < await worked_s(session) - before < 1.0


async def test_empty_error_and_ended_say_what_to_do(page: Page, server: Server) -> None:
    server.put("c1", entry(1, "user", "Bye"), stage="resolved", owner="agent", is_open=False)
    await sign_in(page, server)
    await expect(page.get_by_text("Nobody waits. New cases appear here by themselves.")).to_be_visible()
    await page.get_by_role("button", name="Ended").click()
    await rows(page).first.click()
    await expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    await page.get_by_role("tab", name="Reply").click()
    await expect(page.locator(".goes")).to_have_text("The case has ended: reopen it to reply.")
    await page.evaluate("location.hash = '#/nowhere'")
    await expect(page.get_by_role("alert")).to_have_text("This conversation is not there (any more).")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_earlier_messages_come_without_a_jump(page: Page, server: Server) -> None:
    talk = server.put("c1", *(entry(seq, "user", f"Line {seq}") for seq in range(51, 101)))
    talk.before = [entry(seq, "user", f"Line {seq}") for seq in range(1, 51)]
    await opened(page, server)
    await expect(page.get_by_text("Line 100", exact=True)).to_be_in_viewport()
    await page.get_by_role("button", name="Earlier messages").scroll_into_view_if_needed()
    line = page.get_by_text("Line 51", exact=True)
    before: float = await line.evaluate("(node) => node.getBoundingClientRect().top")
    await page.get_by_role("button", name="Earlier messages").click()
    await expect(page.locator(".entry")).to_have_count(100)
    after: float = await line.evaluate("(node) => node.getBoundingClientRect().top")
    assert abs(after - before) < 60


@pytest.mark.parametrize("width", [380, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_every_width_in_light_and_dark(browser: Browser, server: Server, width: int, scheme: Any) -> None:
    """Nothing is wider than the page, however long a name or a word is, and all texts have a contrast of 4.5 to 1."""
    long = "Donaudampfschifffahrtsgesellschaft" * 6
    card = {**CARD, "arguments": {long: long}}
    server.put(
        "c1",
        entry(1, "user", long, name=long),
        entry(2, "operator", long, name=long, visibility="note"),
        entry(3, "agent", f"`{long}` {long}"),
        around=context(consents=[card], tags=[long]),
        user={"name": long, "identity": long},
        line=long,
        tags=[long],
        lookers=[long],
        **held_by({"id": "x", "name": long}),
    )
    context_ = await browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = await context_.new_page()
    await opened(page, server)
    wide: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility({ visibilityProperty: true })
            && !node.closest(".actions, .wide, .row, .hide, pre") && node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.className || node.localName)"""
    )
    assert wide == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(CONTRAST) == []
    await context_.close()


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (rgb) => { const [r, g, b] = rgb.map((part) => ((part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { for (; node; node = node.parentElement) { const colour = rgba(getComputedStyle(node).backgroundColor); if (colour[3] > 250) return colour; } return [255, 255, 255]; };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) || !node.checkVisibility() || node.disabled || node.closest(".gone, option")) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color).slice(0, 3)), light(ground(node).slice(0, 3))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${node.className || node.localName}: ${node.textContent.slice(0, 30)} ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return poor;
}"""
