"""What the widget promises a visitor."""

import re
from pathlib import Path

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.scripted import STATIC, Desk, Frame, Session, stay_silent, store_and_acknowledge

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f00050001ff89993d1d0000000049454e44ae426082"
)
BUDGET_BYTES = 40 * 1024


def composer(page: Page) -> Locator:
    """Where the visitor writes."""
    return page.get_by_role("textbox", name="Write a message")


def bubbles(page: Page, author: str) -> Locator:
    """The texts by one author, in order, without the greeting."""
    return page.locator(f".rows .{author} .body")


async def say(page: Page, text: str) -> None:
    """Writes `text` and sends it with Enter."""
    await composer(page).fill(text)
    await composer(page).press("Enter")


async def opened(page: Page, desk: Desk) -> Session:
    """The demo page with its widget open and connected."""
    number = len(desk.sessions) + 1
    await page.goto(desk.url)
    await expect(composer(page)).to_be_visible()
    return await desk.online(number)


def test_the_widget_keeps_within_its_budget() -> None:
    """All scripts of the widget together are at most 40 KB, uncompressed and without a build."""
    sizes = {file.name: file.stat().st_size for file in [STATIC / "widget.js", *(STATIC / "widget").glob("*.js")]}
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes


async def test_an_answer_is_acknowledged_streamed_and_rated(page: Page, desk: Desk) -> None:
    """Question, acknowledgement, draft and final answer follow each other, and a thumb reaches the server."""
    session = await opened(page, desk)
    await say(page, "Where is my order?")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await expect(page.locator(".dots")).to_be_visible()
    await session.send("delta", message="m2", text="It is on ")
    await expect(bubbles(page, "agent")).to_have_text("It is on")
    await session.send("delta", message="m2", text="its way. ")
    await expect(bubbles(page, "agent")).to_have_text("It is on its way.")
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_count(0)
    await desk.say("It is **on its way**.")
    await expect(bubbles(page, "agent")).to_have_text("It is on its way.")
    await expect(page.locator("strong")).to_have_text("on its way")
    await page.get_by_role("button", name="Helpful", exact=True).click()
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    assert await desk.received("feedback") == {"type": "feedback", "message": "m2", "value": "up"}
    assert (await desk.received("received"))["seq"] == 2


async def test_only_finished_messages_are_announced(page: Page, desk: Desk) -> None:
    """A screen reader hears a message once and whole, never the words of a draft."""
    session = await opened(page, desk)
    live = page.locator("#live")
    await session.send("delta", message="m1", text="Half of ")
    await expect(bubbles(page, "agent")).to_have_text("Half of")
    await expect(live).to_be_empty()
    await desk.say("Half of it is enough.")
    await expect(live).to_have_text(re.compile("Half of it is enough.$"))
    await expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")


async def test_a_citation_opens_by_keyboard_and_gives_the_focus_back(page: Page, desk: Desk) -> None:
    """A chip opens the passage in a sheet; Escape closes it and returns to the chip."""
    desk.passages["p1"] = {"title": "Returns", "text": "Within **30 days**.", "url": "https://docs.example/returns"}
    await opened(page, desk)
    citation = {"number": 1, "id": "p1", "title": "Returns", "url": "https://docs.example/returns"}
    await desk.say("You have 30 days [1], not [2].", citations=[citation])
    chip = page.get_by_role("button", name="Source 1: Returns")
    await chip.focus()
    await page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog", name="Returns")
    await expect(sheet).to_contain_text("Within 30 days.")
    await expect(sheet.get_by_role("link")).to_have_attribute("href", "https://docs.example/returns")
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(chip).to_be_focused()
    await expect(bubbles(page, "agent")).to_contain_text("not [2]")


async def test_a_passage_that_is_gone_says_so(page: Page, desk: Desk) -> None:
    """A missing passage is a plain sentence in the sheet."""

    async def answer(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "passage":
            await session.send("error", code="no_passage", detail="This passage no longer exists.")

    desk.answer = answer
    await opened(page, desk)
    await desk.say("See [1].", citations=[{"number": 1, "id": "p1", "title": "Old", "url": ""}])
    await page.get_by_role("button", name="Source 1: Old").click()
    await expect(page.get_by_role("dialog", name="Old")).to_contain_text("no longer exists")


async def test_a_reload_finds_the_conversation(page: Page, desk: Desk) -> None:
    """After a reload everything said is there, once, with its rating; before the first message nothing is stored."""
    await opened(page, desk)
    assert await page.evaluate("localStorage.length") == 0
    await say(page, "Hello")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await desk.say("Good day", feedback="down")
    await expect(bubbles(page, "agent")).to_have_text(["Good day"])
    await opened(page, desk)
    assert desk.of("hello")[1]["token"] == "token-1"
    await expect(bubbles(page, "agent")).to_have_text(["Good day"])
    await expect(bubbles(page, "user")).to_have_text(["Hello"])
    await expect(page.get_by_role("button", name="Not helpful")).to_have_attribute("aria-pressed", "true")
    assert await page.context.cookies() == []


async def test_f05_a_draft_that_is_cut_off_is_not_doubled(page: Page, desk: Desk) -> None:
    """After a lost connection the answer starts anew under its id, and its text stands there once."""
    session = await opened(page, desk)
    await say(page, "Tell me")
    await session.send("delta", message="m2", text="One two three ")
    await expect(bubbles(page, "agent")).to_have_text("One two three")
    session.cut()
    again = await desk.online(2)
    assert desk.of("hello")[1].get("after", 0) == 0
    await again.send("delta", message="m2", text="One two three four ")
    await expect(bubbles(page, "agent")).to_have_text(["One two three four"])
    await desk.say("One two three four five")
    await again.send("delta", message="m2", text="late")
    await again.send("message", **desk.messages[1])
    await expect(bubbles(page, "agent")).to_have_text(["One two three four five"])


async def test_a_reconnect_asks_only_for_what_is_missing(page: Page, desk: Desk) -> None:
    """`hello` names the highest seq held, and what was said meanwhile appears once and in order."""
    session = await opened(page, desk)
    await desk.say("First")
    await expect(bubbles(page, "agent")).to_have_text(["First"])
    desk.open = False
    session.cut()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    await desk.say("Second")
    await say(page, "Third")
    await expect(page.get_by_text("Sending")).to_be_visible()
    desk.open = True
    await page.get_by_role("button", name="Connect now").click()
    await desk.received("message")
    assert desk.of("hello")[-1]["after"] == 1
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await expect(page.locator(".rows .body")).to_have_text(["First", "Second", "Third"])
    await expect(page.get_by_text("No connection.")).to_be_hidden()


async def test_an_unacknowledged_message_is_sent_again_with_its_id(page: Page, desk: Desk) -> None:
    """What the server never confirmed survives a cut and a reload, and is sent under the same id until it is stored."""
    desk.answer = stay_silent
    session = await opened(page, desk)
    await say(page, "Remember me")
    first = await desk.received("message")
    session.cut()
    assert await desk.received("message", 2) == first
    desk.answer = store_and_acknowledge
    await opened(page, desk)
    assert await desk.received("message", 3) == first
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await expect(bubbles(page, "user")).to_have_text(["Remember me"])
    assert await page.evaluate("Object.keys(localStorage).filter((key) => key.includes('out:')).length") == 0


async def test_a_stored_message_whose_ack_was_lost_stands_there_once(page: Page, desk: Desk) -> None:
    """The history and the late acknowledgement meet in one message."""

    async def lose(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "message" and not desk.messages:
            session.cut()
        await store_and_acknowledge(desk, session, frame)

    desk.answer = lose
    await opened(page, desk)
    await say(page, "Only once")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await expect(bubbles(page, "user")).to_have_text(["Only once"])


async def test_a_second_tab_shows_the_same_conversation(page: Page, desk: Desk) -> None:
    """Both pages of one visitor show everything, whoever of them said it."""
    other = await page.context.new_page()
    await opened(other, desk)
    await opened(page, desk)
    await say(page, "From the first")
    await desk.until(lambda: len(desk.of("hello")) >= 3)
    await expect(bubbles(other, "user")).to_have_text(["From the first"])
    await say(other, "From the second")
    await desk.say("To both")
    for tab in (page, other):
        await expect(tab.locator(".rows .body")).to_have_text(["From the first", "From the second", "To both"])


async def test_a_forgotten_token_starts_anew(page: Page, desk: Desk) -> None:
    """A token that the server did not make is dropped, and the chat goes on without it."""
    await opened(page, desk)
    await say(page, "Hello")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    desk.tokens.clear()
    desk.messages.clear()
    await page.reload()
    await desk.online(2)
    assert "token" not in desk.of("hello")[-1]
    await say(page, "Hello again")
    await expect(bubbles(page, "user")).to_have_text(["Hello again"])


async def test_a_refused_identity_is_a_plain_sentence(page: Page, desk: Desk) -> None:
    """A forged identity is not retried, and the visitor reads what to do."""
    await page.add_init_script("window.FrontdeskIdentity = async () => 'forged'")
    await page.goto(desk.url)
    await expect(page.get_by_text("You could not be signed in. Reload the page.")).to_be_visible()
    await expect(page.get_by_role("button", name="Connect now")).to_be_hidden()
    assert len(desk.of("hello")) == 1


async def test_too_long_fails_and_keeps_the_text(page: Page, desk: Desk) -> None:
    """A refused message stays with its reason; it can be tried again or taken back into the composer."""

    async def answer(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "message":
            await session.send("error", code="too_long", detail="This is longer than 16000 characters.", id=frame["id"])

    desk.answer = answer
    await opened(page, desk)
    await composer(page).fill("x" * 16001)
    await expect(page.get_by_text("1 characters too many")).to_be_visible()
    await composer(page).press("Enter")
    await expect(page.get_by_text("Not sent")).to_be_visible()
    await expect(page.get_by_text("This is longer than 16000 characters.")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    await desk.received("message", 2)
    await page.get_by_role("button", name="Edit").click()
    await expect(composer(page)).to_have_value("x" * 16001)
    await expect(bubbles(page, "user")).to_have_count(0)


async def test_busy_is_sent_again_without_asking(page: Page, desk: Desk) -> None:
    """A server that stored nothing gets the same message after its pause."""

    async def answer(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "message" and len(desk.of("message")) == 1:
            await session.send("error", code="busy", detail="Busy.", id=frame["id"], retry_after_s=0.1)
        else:
            await store_and_acknowledge(desk, session, frame)

    desk.answer = answer
    await opened(page, desk)
    await say(page, "Later then")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    assert len(desk.of("message")) == 2


async def test_a_picture_is_uploaded_and_shown(page: Page, desk: Desk) -> None:
    """A picture becomes a thumbnail before and after sending, and after a reload it comes from the server with the token."""
    await opened(page, desk)
    files = page.locator("input[type=file]")
    await files.set_input_files({"name": "café.png", "mimeType": "image/png", "buffer": PNG})
    await expect(page.locator(".tray img")).to_be_visible()
    await say(page, "Look")
    await expect(page.locator(".rows .user img")).to_be_visible()
    assert (await desk.received("message"))["attachments"] == ["f1"]
    assert desk.uploads["f1"][0]["name"] == "café.png"
    await opened(page, desk)
    await expect(page.get_by_role("img", name="café.png")).to_be_visible()
    assert desk.fetched == ["f1"]


async def test_a_refused_file_says_why(page: Page, desk: Desk) -> None:
    """The server's reason is shown, and the composer goes on without the file."""
    await opened(page, desk)
    await page.locator("input[type=file]").set_input_files({"name": "a.exe", "mimeType": "", "buffer": b"MZ"})
    await expect(page.get_by_role("alert")).to_contain_text("Only images and PDF files can be added.")
    await expect(page.locator(".tray .file")).to_have_count(0)


async def test_the_launcher_counts_what_was_not_read(page: Page, desk: Desk) -> None:
    """With the panel closed a badge counts new messages, also after a reload; opening clears it."""
    await opened(page, desk)
    await say(page, "Hello")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await composer(page).press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await desk.say("One")
    await desk.say("Two")
    await expect(page.get_by_role("button", name="Open chat, 2 unread")).to_be_focused()
    await expect(page.locator(".badge")).to_have_text("2")
    await page.keyboard.press("Enter")
    await expect(page.locator(".badge")).to_be_hidden()


async def test_the_whole_path_works_by_keyboard(page: Page, desk: Desk) -> None:
    """Opening, a suggestion, writing with a line break, a rating, a button and closing need no mouse."""
    desk.config = {"suggestions": ["Where is my order?"], "name": "Acme"}
    await opened(page, desk)
    await page.keyboard.press("Tab")
    suggestion = page.get_by_role("button", name="Where is my order?")
    await suggestion.focus()
    await page.keyboard.press("Enter")
    assert (await desk.received("message"))["text"] == "Where is my order?"
    await expect(suggestion).to_be_hidden()
    await composer(page).focus()
    await page.keyboard.type("Two")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("lines")
    await page.keyboard.press("Enter")
    assert (await desk.received("message", 2))["text"] == "Two\nlines"
    await desk.say("Choose", buttons=[{"id": "b1", "label": "Approve"}, {"id": "b2", "label": "Decline"}])
    await page.get_by_role("button", name="Decline").focus()
    await page.keyboard.press("Space")
    assert await desk.received("press") == {"type": "press", "message": "m3", "button": "b2"}
    await expect(page.get_by_role("button", name="Approve")).to_be_disabled()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.get_by_role("button", name="Open chat")).to_be_focused()


async def test_a_person_takes_over_and_is_named(page: Page, desk: Desk) -> None:
    """The header names who answers, the queue is one quiet line, and a withdrawn draft leaves no text."""
    session = await opened(page, desk)
    await page.get_by_label("Menu").click()
    await page.get_by_role("button", name="Talk to a person").click()
    assert (await desk.received("message"))["text"] == "I would like to talk to a person."
    await session.send("delta", message="m2", text="I can do that ")
    await session.send("owner", owner="queue")
    await session.send("queue", position=2, wait_s=150)
    await expect(page.locator("#queue")).to_have_text("You are number 2 in line. About 3 min.")
    await session.send("withdraw", message="m2")
    await expect(page.get_by_text("I can do that")).to_have_count(0)
    await session.send("owner", owner="operator", name="Anna")
    await expect(page.get_by_role("dialog", name="Anna")).to_be_visible()
    await expect(page.locator("#queue")).to_be_hidden()
    await desk.say("Hello, Anna here.", author="operator", name="Anna")
    await expect(bubbles(page, "operator")).to_have_text("Hello, Anna here.")


async def test_a_new_conversation_asks_and_clears(page: Page, desk: Desk) -> None:
    """Ending asks whether the problem is solved; a new conversation starts empty, and the old one can be shown again."""

    async def answer(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "end":
            await session.send("case", id="case-1", state="ended")
        await store_and_acknowledge(desk, session, frame)

    desk.answer = answer
    await opened(page, desk)
    await say(page, "Old question")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await desk.say("Old answer")
    await page.get_by_label("Menu").click()
    await page.get_by_role("button", name="New conversation").click()
    await expect(page.get_by_text("Did this solve your problem?").first).to_be_visible()
    await page.get_by_role("button", name="Yes").click()
    assert await desk.received("feedback") == {"type": "feedback", "case": "case-1", "value": "up"}
    await expect(page.get_by_text("Old answer", exact=True)).to_be_hidden()
    await opened(page, desk)
    await expect(page.get_by_text("Old answer", exact=True)).to_be_hidden()
    await page.get_by_role("button", name="Show earlier messages").click()
    await expect(page.get_by_text("Old answer", exact=True)).to_be_visible()


async def test_the_transcript_can_be_saved(page: Page, desk: Desk, tmp_path: Path) -> None:
    """The download holds who said what."""
    await opened(page, desk)
    await say(page, "Question")
    await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
    await desk.say("Answer", name="Acme")
    await expect(bubbles(page, "agent")).to_have_text("Answer")
    await page.get_by_label("Menu").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download transcript").click()
    await (await download.value).save_as(tmp_path / "chat.txt")
    assert re.search(r"You\nQuestion\n\n\[.*\] Acme\nAnswer\n", (tmp_path / "chat.txt").read_text())


async def test_german_and_own_words(page: Page, desk: Desk) -> None:
    """The page's language chooses the texts, and a host page replaces single ones."""
    script = '<html lang="de"><body><script src="/own.js"></script><script src="/widget.js" data-open></script>'
    desk.pages["de.html"] = script
    await page.add_init_script("window.FrontdeskTexts = {send: 'Ab die Post'}")
    await page.goto(f"{desk.url}/de.html")
    await expect(page.get_by_role("textbox", name="Nachricht schreiben")).to_be_visible()
    await expect(page.get_by_role("button", name="Ab die Post")).to_be_visible()


async def test_the_page_does_not_shift(page: Page, desk: Desk) -> None:
    """The widget takes no room on its host page, closed or open, whatever the page's layout."""
    grid = '<body><p id="text">Host</p><script src="/widget.js"></script>'
    desk.pages["grid.html"] = grid
    await page.goto(f"{desk.url}/grid.html")
    await page.evaluate("document.body.style.cssText = 'display: grid; gap: 50px'")
    before = await page.evaluate("document.documentElement.scrollHeight + ',' + document.body.offsetHeight")
    alone = await page.evaluate("document.querySelector('#text').offsetHeight")
    await page.get_by_role("button", name="Open chat").click()
    await expect(composer(page)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollHeight + ',' + document.body.offsetHeight") == before
    assert int(before.split(",")[1]) < alone + 100


async def test_a_phone_gets_a_full_sheet(page: Page, desk: Desk) -> None:
    """At phone width the panel fills the screen, is not opened by itself, and keeps the focus off the page behind it."""
    await page.set_viewport_size({"width": 380, "height": 700})
    await page.goto(desk.url)
    await page.get_by_role("button", name="Open the chat").click()
    panel = page.get_by_role("dialog")
    await expect(panel).to_be_visible()
    await expect(panel).to_have_css("animation-name", "up")
    box = await page.evaluate(
        "(({x, width, height}) => [x, width, height])(document.querySelector('frontdesk-widget').shadowRoot.querySelector('.panel').getBoundingClientRect())"
    )
    assert box[:2] == [0, 380]
    assert box[2] >= 690
    for _ in range(12):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.localName") in ("frontdesk-widget", "body")


async def test_reading_is_not_disturbed(page: Page, desk: Desk) -> None:
    """A long answer stops at its first line, what comes later does not move it, and a button leads to the newest."""
    session = await opened(page, desk)
    log = page.get_by_role("log")
    await say(page, "Tell me everything")
    for number in range(40):
        await session.send("delta", message="m2", text=f"Line {number}\n\n")
    await expect(bubbles(page, "agent")).to_contain_text("Line 39")
    await expect(page.get_by_text("Line 0")).to_be_in_viewport()
    await desk.say("\n\n".join(f"Line {number}" for number in range(40)))
    before = await log.evaluate("log => log.scrollTop")
    await desk.say("And more", author="system")
    await expect(bubbles(page, "system")).to_have_text("And more")
    assert await log.evaluate("log => log.scrollTop") == before
    await page.get_by_role("button", name="Newest messages").click()
    await expect(bubbles(page, "system")).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Newest messages")).to_be_hidden()


async def contrasts(page: Page) -> dict[str, float]:
    """The contrast of each pair of colours that text is set in, as the browser computes them."""
    result: dict[str, float] = await page.evaluate(
        """() => {
          const skin = document.querySelector("frontdesk-widget").shadowRoot.querySelector(".fd");
          const probe = document.createElement("i");
          skin.append(probe);
          const colour = (name) => {
            probe.style.color = `var(--${name})`;
            return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
          };
          const luminance = (rgb) => {
            const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const pairs = [["on-accent", "accent"]];
          for (const text of ["text", "muted", "danger", "ok", "accent-text"]) pairs.push([text, "bg"], [text, "sunken"]);
          const result = {};
          for (const [text, ground] of pairs) {
            const [low, high] = [luminance(colour(text)), luminance(colour(ground))].sort((a, b) => a - b);
            result[text + " on " + ground] = (high + 0.05) / (low + 0.05);
          }
          probe.remove();
          return result;
        }"""
    )
    return result


async def test_every_colour_of_text_is_readable(page: Page, desk: Desk) -> None:
    """Each text colour reaches WCAG AA on each surface, in both themes and for awkward accents."""
    for theme in ("light", "dark"):
        for number, accent in enumerate(("", "#ffe600", "#777", "white", "black", "#e91e63", "nonsense")):
            path = f"{theme}{number}.html"
            desk.pages[path] = (
                f'<body><script src="/widget.js" data-open data-theme="{theme}" data-color="{accent}"></script>'
            )
            await page.goto(f"{desk.url}/{path}")
            await expect(composer(page)).to_be_visible()
            poor = {pair: ratio for pair, ratio in (await contrasts(page)).items() if ratio < 4.5}
            assert not poor, (theme, accent)


async def test_motion_is_spared_on_request(context_still: BrowserContext, desk: Desk) -> None:
    """With reduced motion the words of a draft appear at once and nothing is animated."""
    page = await context_still.new_page()
    session = await opened(page, desk)
    await session.send("delta", message="m1", text="All of this at once")
    await expect(bubbles(page, "agent")).to_have_text("All of this at once")
    await expect(page.get_by_role("dialog")).to_have_css("animation-name", "none")
