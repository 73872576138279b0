"""What the widget shows of a handoff to a person, on a phone, a tablet and a desk."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.scripted import Desk, Frame, Session, store_and_acknowledge

CANCEL = {"id": "handoff:cancel", "label": "Go on with the assistant"}
ANNOUNCED = "I am passing you on to a colleague."
WIDTHS = pytest.mark.parametrize("width", [380, 768, 1440])


async def opened(page: Page, desk: Desk, width: int = 1440) -> Session:
    """The widget, open and connected, at that width."""
    number = len(desk.sessions) + 1
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(desk.url)
    if not await page.locator("dialog.panel").is_visible() and width <= 480:
        await page.get_by_role("button", name="Open the chat").click()
    await expect(page.get_by_role("textbox", name="Write a message")).to_be_visible()
    return await desk.online(number)


def role(page: Page) -> Locator:
    """The second line of the header."""
    return page.locator("#role")


def lines(page: Page) -> Locator:
    """Everything in the conversation, in order."""
    return page.locator(".rows .body")


def heard(page: Page) -> Locator:
    """What a screen reader is told, the latest last."""
    return page.locator("#live p")


def cancel(page: Page) -> Locator:
    """The button that ends the wait."""
    return page.get_by_role("button", name=CANCEL["label"])


async def overflow(page: Page) -> int:
    """By how many pixels the conversation is wider than its place."""
    log = page.get_by_role("log")
    wider: int = await log.evaluate("log => log.scrollWidth - log.clientWidth")
    return wider


@WIDTHS
async def test_the_header_says_who_answers_all_the_way(page: Page, desk: Desk, width: int) -> None:
    """Assistant, waiting, the person by name, and the assistant again; only the person's coming is a line of its own."""
    desk.config = {"name": "Acme"}
    await opened(page, desk, width)
    await expect(role(page)).to_have_text("Assistant")
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await desk.hand("queue")
    await expect(role(page)).to_have_text("Waiting for a person")
    await expect(page.get_by_role("heading", name="Acme")).to_be_visible()
    await expect(lines(page)).to_have_text([ANNOUNCED])
    await desk.hand("operator", "Ada")
    await expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    await expect(role(page)).to_have_text("Person · Acme")
    await desk.say("Hello, Ada here.", author="operator", name="Ada")
    await expect(lines(page)).to_have_text([ANNOUNCED, "Ada has joined", "Hello, Ada here."])
    await desk.say("You are talking to the assistant again.", author="system")
    await desk.hand("agent")
    await expect(role(page)).to_have_text("Assistant")
    await expect(lines(page)).to_have_count(4)
    assert await overflow(page) == 0


@WIDTHS
async def test_the_place_in_the_queue_is_one_line_that_follows(page: Page, desk: Desk, width: int) -> None:
    """Place and wait change where they stand, the wait is left out where none is known, and a person's coming ends it."""
    await opened(page, desk, width)
    await desk.hand("queue")
    line = page.locator("#queue")
    await desk.queue(3, 290)
    await expect(line).to_have_text("You are number 3 in line. About 5 min.")
    await expect(line).to_be_in_viewport()
    await desk.queue(2, None)
    await expect(line).to_have_text("You are number 2 in line.")
    await desk.queue(1, 0)
    await expect(line).to_have_text("You are number 1 in line.")
    await expect(page.get_by_text("You are number")).to_have_count(1 + 3)  # the line, and what was read out
    await desk.hand("operator", "Ada")
    await expect(line).to_be_hidden()


async def test_a_place_is_read_out_once(page: Page, desk: Desk) -> None:
    """A screen reader hears each new place, not each new guess of the wait."""
    session = await opened(page, desk)
    await desk.hand("queue")
    await desk.queue(2, 600)
    await desk.queue(2, 540)
    await desk.queue(2, 480)
    await expect(page.locator("#queue")).to_have_text("You are number 2 in line. About 8 min.")
    session.cut()
    await desk.online(2)
    await expect(page.locator("#queue")).to_have_text("You are number 2 in line. About 8 min.")
    await desk.queue(1, 300)
    await expect(heard(page)).to_have_text(
        ["You are number 2 in line. About 10 min.", "You are number 1 in line. About 5 min."]
    )


async def leave(desk: Desk, session: Session, frame: Frame) -> None:
    """A house that lets the visitor out of the queue."""
    if frame["type"] == "press":
        await desk.say("All right. You are talking to the assistant again.", author="system")
        await desk.hand("agent")
    await store_and_acknowledge(desk, session, frame)


@WIDTHS
async def test_a_wait_is_cancelled_and_its_button_goes(page: Page, desk: Desk, width: int) -> None:
    """One press ends the wait, the button and the place go away, the focus stays in the chat, and a reload brings none back."""
    desk.answer = leave
    await opened(page, desk, width)
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await desk.hand("queue")
    await desk.queue(2, 300)
    await cancel(page).focus()
    await page.keyboard.press("Enter")
    assert await desk.received("press") == {"type": "press", "message": "m1", "button": "handoff:cancel"}
    await expect(cancel(page)).to_be_hidden()
    await expect(page.locator("#queue")).to_be_hidden()
    await expect(role(page)).to_have_text("Assistant")
    await expect(page.get_by_role("log" if width == 380 else "textbox")).to_be_focused()
    await opened(page, desk, width)
    await expect(lines(page)).to_have_count(2)
    await expect(cancel(page)).to_be_hidden()


async def test_a_press_hides_the_button_before_the_house_answers(page: Page, desk: Desk) -> None:
    """Nobody can press twice."""
    await opened(page, desk)
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await desk.hand("queue")
    await cancel(page).click()
    await expect(cancel(page)).to_be_hidden()
    await expect(role(page)).to_have_text("Waiting for a person")


async def test_nobody_cancels_a_person_who_has_come(page: Page, desk: Desk) -> None:
    """The button goes when somebody takes the conversation, and the focus with it; a second wait has one button."""
    await opened(page, desk)
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await desk.hand("queue")
    await cancel(page).focus()
    await desk.hand("operator", "Ada")
    await expect(cancel(page)).to_be_hidden()
    await expect(page.get_by_role("textbox")).to_be_focused()
    await desk.hand("queue")
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await expect(cancel(page)).to_have_count(1)
    await cancel(page).click()
    assert (await desk.received("press"))["message"] == "m2"


@WIDTHS
async def test_a_person_who_types_is_named(page: Page, desk: Desk, width: int) -> None:
    """The name stands beside the dots, goes with the message, and goes by itself when nothing more is heard."""
    await page.clock.install()
    session = await opened(page, desk, width)
    await desk.hand("operator", "Ada")
    dots = page.locator(".dots")
    await session.send("typing", name="Ada")
    await expect(dots).to_have_text("Ada is writing")
    assert await dots.locator("span").evaluate("span => span.offsetWidth") > 40
    await desk.say("Hello.", author="operator", name="Ada")
    await expect(dots).to_be_hidden()
    await session.send("typing", name="Ada " + "Longname " * 30)
    await expect(dots).to_be_visible()
    assert await overflow(page) == 0
    await page.clock.fast_forward(10_500)
    await expect(dots).to_be_hidden()


async def test_the_agent_at_work_has_dots_alone(page: Page, desk: Desk) -> None:
    """Its name is for screen readers only."""
    session = await opened(page, desk)
    await session.send("typing")
    await expect(page.locator(".dots")).to_be_visible()
    assert await page.locator(".dots span").evaluate("span => span.offsetWidth") == 1


@WIDTHS
async def test_a_reload_in_the_middle_shows_how_things_stand(page: Page, desk: Desk, width: int) -> None:
    """Before, while waiting, once a person came and once they spoke: the same as without the reload, each line once."""
    await opened(page, desk, width)
    await desk.say("Shall I get somebody?")
    await desk.say(ANNOUNCED, author="system", buttons=[CANCEL])
    await desk.hand("queue")
    await desk.queue(2, 120)
    await opened(page, desk, width)
    await expect(role(page)).to_have_text("Waiting for a person")
    await expect(page.locator("#queue")).to_have_text("You are number 2 in line. About 2 min.")
    await expect(cancel(page)).to_be_visible()
    await desk.hand("operator", "Ada")
    await opened(page, desk, width)
    await expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    await expect(page.locator("#queue")).to_be_hidden()
    said = ["Shall I get somebody?", ANNOUNCED, "Ada has joined"]
    await expect(lines(page)).to_have_text(said)
    await desk.say("Hello, Ada here.", author="operator", name="Ada")
    await desk.say("What is it?", author="operator", name="Ada")
    await opened(page, desk, width)
    await expect(lines(page)).to_have_text([*said, "Hello, Ada here.", "What is it?"])
    await expect(heard(page)).to_have_count(0)


async def test_a_lost_connection_adds_no_second_line(page: Page, desk: Desk) -> None:
    """Who was there before the cut has not joined again; who came meanwhile has, ahead of their first words."""
    session = await opened(page, desk)
    await desk.hand("operator", "Ada")
    await desk.say("Hello, Ada here.", author="operator", name="Ada")
    session.cut()
    session = await desk.online(2)
    await expect(lines(page)).to_have_text(["Ada has joined", "Hello, Ada here."])
    desk.open = False
    session.cut()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    await desk.hand("operator", "Bo")
    await desk.say("Bo now.", author="operator", name="Bo")
    desk.open = True  # the page tries again by itself
    told = ["Ada has joined", "Hello, Ada here.", "Bo has joined", "Bo now."]
    await expect(lines(page)).to_have_text(told, timeout=30_000)


async def test_words_that_are_faster_than_the_news_stand_below_it(page: Page, desk: Desk) -> None:
    """A person's first message may come before the page hears who has the conversation."""
    await opened(page, desk)
    await desk.say("One moment.")
    await desk.say("Hello, Ada here.", author="operator", name="Ada")
    await expect(lines(page)).to_have_count(2)
    await desk.hand("operator", "Ada")
    await expect(lines(page)).to_have_text(["One moment.", "Ada has joined", "Hello, Ada here."])


async def test_a_screen_reader_hears_who_came_and_who_speaks(page: Page, desk: Desk) -> None:
    """The coming once, each message with its speaker's name, the house's own words without any."""
    await opened(page, desk)
    await desk.say(ANNOUNCED, author="system")
    await desk.hand("operator", "Ada")
    await desk.hand("operator", "Ada")
    await desk.say("Good day.", author="operator", name="Ada")
    await expect(heard(page)).to_have_text([ANNOUNCED, "Ada has joined", "Ada: Good day."])
    await expect(page.locator("#live")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_person_looks_unlike_the_assistant(page: Page, desk: Desk, theme: str) -> None:
    """Another face, another bubble, and the name above each of the person's messages."""
    desk.pages["own.html"] = f'<body><script src="/widget.js" data-open data-theme="{theme}"></script>'
    await page.goto(f"{desk.url}/own.html")
    await desk.online()
    await desk.say("From the assistant.")
    face = page.locator("#face")
    before = await face.evaluate("face => getComputedStyle(face).backgroundColor")
    await desk.hand("operator", "Ada")
    await desk.say("One.", author="operator", name="Ada")
    await desk.say("Two.", author="operator", name="Bo")
    await expect(page.locator(".operator .by")).to_have_text(["Ada", "Bo"])
    await expect(page.locator(".operator .by").last).to_be_visible()
    look = "body => getComputedStyle(body).backgroundColor"
    bubbles = [page.locator(f".rows .{author} .body").first for author in ("agent", "operator")]
    assert await bubbles[0].evaluate(look) != await bubbles[1].evaluate(look)
    assert await face.evaluate("face => getComputedStyle(face).backgroundColor") != before
    mark = "by => getComputedStyle(by, '::before').backgroundImage"
    assert "gradient" in await page.locator(".operator .by").first.evaluate(mark)
    assert await page.locator(".rows .agent .by").evaluate(mark) == "none"


async def test_a_case_that_a_person_closes_ends_like_any_other(page: Page, desk: Desk) -> None:
    """Goodbye, the question whether it helped, and the assistant in the header."""
    session = await opened(page, desk)
    await desk.hand("operator", "Ada")
    await desk.say("Done.", author="operator", name="Ada")
    await desk.say("Ada has closed this conversation.", author="system")
    await session.send("case", id="case-1", state="ended")
    await desk.hand("agent")
    await expect(page.get_by_text("Did this solve your problem?").first).to_be_visible()
    await page.get_by_role("button", name="Yes").click()
    assert await desk.received("feedback") == {"type": "feedback", "case": "case-1", "value": "up"}
    await expect(role(page)).to_have_text("Assistant")
    await expect(lines(page)).to_have_text(["Ada has joined", "Done.", "Ada has closed this conversation."])


async def test_a_new_conversation_leaves_the_old_line_behind(page: Page, desk: Desk) -> None:
    """What belongs to the old conversation is put away with it, also when the person never wrote."""
    session = await opened(page, desk)
    await desk.say("Hm.")
    await desk.hand("operator", "Ada")
    await expect(lines(page)).to_have_text(["Hm.", "Ada has joined"])
    await session.send("case", id="case-1", state="ended")
    await desk.hand("agent")
    await page.get_by_label("Menu").click()
    await page.get_by_role("button", name="New conversation").click()
    await expect(page.locator(".rows > :not([hidden])")).to_have_count(0)


async def test_the_line_alone_is_nothing_unread(page: Page, desk: Desk) -> None:
    """The badge counts messages."""
    await opened(page, desk)
    await page.get_by_role("textbox").press("Escape")
    await desk.hand("operator", "Ada")
    await desk.say("Hello.", author="operator", name="Ada")
    await expect(lines(page)).to_have_text(["Ada has joined", "Hello."])
    await expect(page.locator(".badge")).to_have_text("1")


async def test_a_hostile_name_is_text(page: Page, desk: Desk) -> None:
    """Markup and reordering characters of a name do nothing, wherever it is shown."""
    name = "<b>A</b>\u202eda [x](https://evil.test)"
    session = await opened(page, desk)
    await desk.hand("operator", name)
    await session.send("typing", name=name)
    shown = "<b>A</b>da [x](https://evil.test)"
    await expect(lines(page)).to_have_text([f"{shown} has joined"])
    await expect(page.locator(".dots")).to_have_text(f"{shown} is writing")
    await expect(page.get_by_role("heading", name=re.compile("evil"))).to_have_text(shown)
    await expect(page.locator(".rows b, .rows a")).to_have_count(0)


async def test_a_handoff_in_german(page: Page, desk: Desk) -> None:
    """Every line of it."""
    desk.pages["de.html"] = '<html lang="de"><body><script src="/widget.js" data-open></script>'
    await page.goto(f"{desk.url}/de.html")
    session = await desk.online()
    await desk.hand("queue")
    await desk.queue(2, 300)
    await expect(page.locator("#queue")).to_have_text("Sie sind Nummer 2 in der Reihe. Etwa 5 Min.")
    await expect(role(page)).to_have_text("Ein Mensch ist angefragt")
    await desk.hand("operator", "Ada")
    await session.send("typing", name="Ada")
    await expect(lines(page)).to_have_text(["Ada ist jetzt im Gespräch"])
    await expect(page.locator(".dots")).to_have_text("Ada schreibt")
