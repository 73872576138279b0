"""Consent on every channel, end to end: the real daemon, killed between the question and the yes, and a shop that keeps a ledger."""

import asyncio
import html
import itertools
import json
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, async_playwright, expect

from adapters.rendering import DISCORD, SLACK, WHATSAPP, Form, render
from bot.tools.consent import described
from tests.actions.shop import Shop as Shelf
from tests.actions.shop import refund
from tests.browser.conftest import ARGUMENTS
from tests.models.wire import Call, Received, Reply
from tests.platforms.discord.driver import DiscordPlatform
from tests.platforms.discord.interactions import Interaction
from tests.platforms.discord.people import buttons_of
from tests.platforms.discord.things import Channel, Message
from tests.platforms.kit import Platform, Seen
from tests.platforms.slack import blockkit
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.slack.world import Post
from tests.platforms.stage import Brain, Stage
from tests.platforms.twilio.driver import TwilioPlatform
from tests.platforms.web.driver import WebPlatform

YES, NO = "Yes, do it", "No"
TOKEN: Final = "till-token-0123456789"
MARKS: Final = "*a* _b_ ~c~ ~~d~~ `e` <f> |g| [h](https://evil.example) @everyone <!channel> #i &amp; \\*j > k"
NOTHING_MORE_S: Final = 0.3  # what could still come would come at once: everything that is open has been handled

_CODE: Final = re.compile(r"\b(\d{6}) → Yes, do it")
_ACTIONS: Final = """
[[actions]]
name = "refund_order"
title = "Refund an order"
description = "Gives money back for an order."
method = "POST"
url = "{shop}/orders/{{order}}/refunds"
auth = {{ secret = "SHOP_TOKEN" }}
effect = "keyed"
once_per = "refund:{{order}}"
[actions.parameters]
order = {{ type = "string", title = "Order", pattern = "^[0-9]+$" }}
amount = {{ type = "integer", role = "amount", minimum = 1 }}
currency = {{ type = "string", role = "currency" }}
note = {{ type = "string", is_required = false }}
"""


class Shop:
    """Refunds of orders, over a socket: one for each key, whatever is asked again."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []  # order, key, the rest of the arguments
        self.ledger: dict[str, tuple[str, dict[str, Any]]] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/orders/{order}/refunds", self._refund)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _refund(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        order, key, given = request.match_info["order"], request.headers["Idempotency-Key"], await request.json()
        self.calls.append((order, key, given))
        self.ledger.setdefault(key, (order, given))
        return web.json_response({"refund": f"r{list(self.ledger).index(key) + 1}"})

    def called(self, order: str) -> list[str]:
        """The keys with which this order was asked to be refunded."""
        return [key for asked, key, _ in self.calls if asked == order]

    def refunds(self, order: str) -> list[dict[str, Any]]:
        return [given for booked, given in self.ledger.values() if booked == order]


class Cashier(Brain):
    """Calls once for what a question `wants`, and tells of every result under a word of the order's own; else it is the `Brain`."""

    def __init__(self) -> None:
        super().__init__()
        self.wants: dict[str, dict[str, Any]] = {}

    def _reply_to(self, asked: Received) -> Reply:
        newest = asked.body["messages"][-1]
        if newest["role"] == "tool":
            return Reply(f"{told(_order_of(asked, newest['tool_call_id']))}: {newest['content']}", chunks=4)
        mark = next((mark for mark in self.marks_asked(asked) if mark in self.wants), "")
        if mark:
            return Reply("", calls=(Call("refund_order", json.dumps(self.wants.pop(mark))),))
        return super()._reply_to(asked)


def told(order: str) -> str:
    """The word under which the agent tells what has become of it."""
    return f"told{order}x"


def _order_of(asked: Received, call: str) -> str:
    calls = (each for message in asked.body["messages"] for each in message.get("tool_calls") or ())
    return str(json.loads(next(each for each in calls if each["id"] == call)["function"]["arguments"])["order"])


class Till(Stage):
    """A stage with a shop, whose agent can give money back."""

    brain: Cashier

    def __init__(self, folder: Path, platform: Platform) -> None:
        super().__init__(folder, platform)
        self.brain = Cashier()
        self.shop = Shop()
        self._orders = itertools.count(1_000)

    async def start(self) -> None:
        await self.shop.start()
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await self.shop.stop()

    def _write(self) -> None:
        super()._write()
        secrets = self.folder / ".env"
        secrets.write_text(f"SHOP_TOKEN={TOKEN}\n", encoding="utf-8")
        secrets.chmod(0o600)
        with (self.folder / "config.toml").open("a", encoding="utf-8") as config:
            config.write(_ACTIONS.format(shop=self.shop.url))

    # --- the person and the agent ------------------------------------------------------------------------------------

    def want(self, **more: Any) -> tuple[str, str]:
        """A refund that the agent will call for: its order, and the mark of the question."""
        order, mark = str(next(self._orders)), self.mark()
        self.brain.wants[mark] = {"order": order, "amount": 2_500, "currency": "EUR"} | more
        return order, mark

    async def asked(self, **more: Any) -> tuple[str, Seen]:
        """The person has asked for a refund and sees the card; nothing has reached the shop."""
        order, mark = self.want(**more)
        await self.platform.say(f"{mark} Please give me my money back.")
        (card,) = await self.until(lambda: self.cards(order), what=f"the card for {order}")
        await self.settled()
        assert self.shop.called(order) == []
        return order, card

    def cards(self, order: str) -> list[Seen]:
        return [each for each in self.ours(order) if "Please confirm" in each.text]

    async def decide(self, card: Seen, label: str) -> None:
        """The person does what the card offers: presses, or types the code or "No" where nothing can be pressed."""
        if self.platform.name == "whatsapp":
            await self.platform.say(code_in(card) if label == YES else label)
        else:
            await self.platform.press(card, label)

    async def outcome(self, order: str) -> str:
        """What the agent tells of it, which it does once."""
        word = told(order)
        await self.until(lambda: self.ours(word), what=f"the agent tells of {order}")
        await self.quiet()
        found = self.ours(word)
        assert sum(each.text.count(word) for each in found) == 1, [each.text for each in found]
        return found[0].text

    async def quiet(self) -> None:
        """Nothing is open, and nothing more comes."""
        await self.settled()
        await asyncio.sleep(NOTHING_MORE_S)
        await self.settled()

    async def again(self) -> None:
        """SIGKILL, and a new start."""
        await self.kill()
        await self.launch()

    async def overdue(self) -> None:
        """All that is asked is asked no longer: the time is moved while nothing runs."""
        await self.kill()
        connection = sqlite3.connect(self.database, timeout=10)
        with connection:
            connection.execute("UPDATE consents SET expires_ms = created_ms + 1 WHERE state = 'open'")
        connection.close()
        await self.launch()


def code_in(card: Seen) -> str:
    found = _CODE.search(card.text)
    assert found is not None, card.text
    return found[1]


def read_as(platform: str, text: str) -> str:
    """What a person reads on the platform, of a text that holds no markup but the title's."""
    match platform:
        case "slack":
            return html.unescape(text).replace("`", "").replace("ˋ", "`")
        case "whatsapp":
            return text.replace("`", "").replace("ˋ", "`")
        case _:
            return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\u200b", "")


FORMS: Final = {"slack": SLACK, "discord": DISCORD, "whatsapp": WHATSAPP}
TOKENS: Final = (
    *(
        "*",
        "_",
        "~",
        "~~",
        "`",
        "```",
        "<",
        ">",
        "|",
        "||",
        "[",
        "]",
        "(",
        ")",
        "@",
        "#",
        "&",
        "&amp;",
        "\\",
        "!",
        "-",
        ":",
        "=",
        " ",
        "1.",
    ),
    *(
        "<@U1>",
        "<!channel>",
        "@everyone",
        "@here",
        "https://x.example",
        "www.x.example",
        "a@b.example",
        "mailto:a@b.example",
    ),
)

PLATFORMS: Final[dict[str, Callable[[], Platform]]] = {
    "web": WebPlatform,
    "slack": SlackPlatform,
    "slack by http": lambda: SlackPlatform("http", retries_s=(0.0, 1.0, 60.0)),
    "discord": DiscordPlatform,
    "whatsapp": TwilioPlatform,
}


@asynccontextmanager
async def till_with(platform: Platform, folder: Path) -> AsyncIterator[Till]:
    till = Till(folder, platform)
    try:
        await till.start()
        yield till
        assert till.new_violations() == []
    finally:
        await till.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=PLATFORMS)
async def till(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    async with till_with(PLATFORMS[request.param](), tmp_path_factory.mktemp("till")) as till:
        yield till


every = pytest.mark.asyncio(loop_scope="module")


@every
async def test_f9_f10_a_yes_after_a_kill_is_carried_out_once(till: Till) -> None:
    """Rows 9 and 10: shown whole, killed, agreed to, done once, told once, and once only after a further kill."""
    order, card = await till.asked(note="It came late.")
    shown = read_as(till.platform.name, card.text)
    for line in ("Refund an order", f"Order: {order}", "Amount: 25.00 EUR (2500", "Note: It came late."):
        assert line in shown
    if till.platform.name == "whatsapp":
        assert f"{code_in(card)} → {YES}\nNo → No" in card.text
    else:
        assert card.buttons == (YES, NO)
    await till.again()
    assert till.shop.called(order) == []
    await till.decide(till.cards(order)[0], YES)
    assert "r" in await till.outcome(order)
    await till.again()
    await till.quiet()
    assert till.shop.refunds(order) == [{"amount": 2_500, "currency": "EUR", "note": "It came late."}]
    assert len(till.shop.called(order)) == 1
    assert len(till.cards(order)) == 1
    await till.outcome(order)


@every
async def test_a_no_is_a_no(till: Till) -> None:
    """And the agent knows it. A yes afterwards changes nothing."""
    order, card = await till.asked()
    await till.decide(card, NO)
    assert "said no" in await till.outcome(order)
    await till.decide(card, YES)
    await till.quiet()
    assert till.shop.called(order) == []


@every
async def test_f99_a_double_press_does_it_once(till: Till) -> None:
    """Both at the same moment, once more afterwards, and then the other button."""
    order, card = await till.asked()
    await asyncio.gather(till.decide(card, YES), till.decide(card, YES))
    await till.outcome(order)
    for label in (YES, NO):
        if label in _pressable(till, order):
            await till.decide(card, label)
    await till.quiet()
    assert len(till.shop.called(order)) == len(till.shop.refunds(order)) == 1
    await till.outcome(order)


def _pressable(till: Till, order: str) -> tuple[str, ...]:
    return (YES, NO) if till.platform.name == "whatsapp" else till.cards(order)[0].buttons


@every
async def test_f99_a_press_that_comes_too_late_does_nothing(till: Till) -> None:
    """The person hears that the time is over."""
    order, card = await till.asked()
    await till.overdue()
    await till.decide(card, YES)
    assert "is over" in await till.outcome(order)
    assert till.shop.called(order) == []


@every
async def test_f99_marks_in_arguments_are_shown_as_they_are(till: Till) -> None:
    """None formats, mentions or links, and what was shown is what is sent."""
    order, card = await till.asked(note=MARKS)
    assert f"Note: {MARKS}" in read_as(till.platform.name, card.text)
    assert "<!channel>" not in card.text or till.platform.name != "slack"
    await till.decide(card, YES)
    await till.outcome(order)
    assert [given["note"] for given in till.shop.refunds(order)] == [MARKS]


# --- the card's text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), FORMS.items(), ids=FORMS)
def test_f99_f104_no_two_marks_change_what_a_card_shows(name: str, form: Form) -> None:
    """Nor does an address become a link, which would be written in another way than it is sent."""
    action = refund(Shelf())
    for value in map("".join, itertools.product(TOKENS, repeat=2)):
        text = described(action, {"order": "12", "note": f"a{value}b"}, {})
        shown = render(text, form)
        lines = ["Refund an order", "Order: 12", f"Note: a{value}b"]
        read = [line.strip("*•- ") for line in read_as(name, shown).split("\n") if line]
        assert [_without_ticks(line) for line in read] == [_without_ticks(line) for line in lines]
        assert name != "slack" or "<" not in shown


def _without_ticks(text: str) -> str:
    """A word with marks is shown as code where they cannot be escaped: which ticks were the person's own is not told apart."""
    return text.replace("`", "")


# --- rooms -----------------------------------------------------------------------------------------------------------


class SlackRoom:
    """A channel with Anna and Ben, in which the app is mentioned."""

    def __init__(self, platform: SlackPlatform) -> None:
        self._site = platform.site
        self._anna, self._ben = platform.person, platform.other
        self._room = self._site.space.add_channel("help", self._anna, self._ben)

    def ask(self, text: str) -> None:
        self._site.people.mention(self._anna, self._room, text)

    def _posts(self) -> list[Post]:
        return [each for each in self._site.space.posts[self._room.id].values() if not each.is_deleted]

    def texts(self, word: str) -> list[str]:
        """What the bot has said there to all, with this word."""
        return [each.text_shown() for each in self._posts() if not each.only_for and word in each.text_shown()]

    async def press(self, word: str, label: str, *, by_other: bool) -> None:
        (card,) = [each for each in self._posts() if word in each.text_shown() and each.blocks]
        assert blockkit.labels_of(card.all_blocks()) == [YES, NO]
        await self._site.people.press(self._ben if by_other else self._anna, card, label)

    def whispers(self) -> list[str]:
        """What Ben alone was told."""
        return [each.text_shown() for each in self._posts() if each.only_for == self._ben.id]


class DiscordRoom:
    """A channel with Ann and Ben; the bot answers in a thread of the question."""

    def __init__(self, platform: DiscordPlatform) -> None:
        self._server = platform.server
        self._ann, self._ben = platform.person, platform.other
        guild = self._server.add_guild("Shop", self._ann, self._ben)
        self._room = self._server.add_room(guild, "help")
        self._asked: list[Message] = []
        self._pressed: list[Interaction] = []

    def ask(self, text: str) -> None:
        self._asked.append(self._server.say(self._ann, f"<@{self._server.world.bot.id}> {text}", self._room))

    def _threads(self) -> list[Channel]:
        return [each.thread for each in self._asked if each.thread is not None]

    def _posts(self) -> list[Message]:
        return [post for thread in self._threads() for post in thread.messages if post.author is self._server.world.bot]

    def texts(self, word: str) -> list[str]:
        return [each.content for each in self._posts() if word in each.content]

    async def press(self, word: str, label: str, *, by_other: bool) -> None:
        (card,) = [each for each in self._posts() if word in each.content and YES in buttons_of(each)]
        pressed = self._server.press(self._ben if by_other else self._ann, card, label)
        self._pressed.append(await pressed.wait())

    def whispers(self) -> list[str]:
        told = (each for pressed in self._pressed for each in pressed.followups)
        return [each.content for each in told if each.only_for is self._ben]


def room_of(platform: Platform) -> SlackRoom | DiscordRoom:
    if isinstance(platform, SlackPlatform):
        return SlackRoom(platform)
    assert isinstance(platform, DiscordPlatform)
    return DiscordRoom(platform)


@every
@pytest.mark.parametrize("till", ["slack", "slack by http", "discord"], indirect=True, scope="module")
async def test_f98_somebody_else_in_the_room_cannot_agree(till: Till) -> None:
    """They are told so, they alone; the question stays, and the one who was asked can answer it."""
    room = room_of(till.platform)
    order, mark = till.want()
    room.ask(f"{mark} Please give me my money back.")
    await till.until(lambda: room.texts(f"Order: {order}"), what="the card")
    for label in (YES, NO):
        await room.press(f"Order: {order}", label, by_other=True)
    await till.until(lambda: len(room.whispers()), (2).__eq__, what="Ben is told twice")
    assert set(room.whispers()) == {"Only the person who was asked can decide this."}
    await till.quiet()
    assert (till.shop.called(order), room.texts(told(order))) == ([], [])
    await room.press(f"Order: {order}", YES, by_other=False)
    await till.until(lambda: room.texts(told(order)), what="the agent tells of it")
    await till.quiet()
    assert len(till.shop.called(order)) == len(room.texts(told(order))) == 1


# --- where nothing can be pressed ------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whatsapp(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    async with till_with(TwilioPlatform(), tmp_path_factory.mktemp("whatsapp")) as till:
        yield till


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


@every
@pytest.mark.parametrize("said", ["1", "1.", "Yes, do it", "yes", "the wrong code", "another person's"])
async def test_only_the_code_is_a_yes_on_whatsapp(whatsapp: Till, said: str) -> None:
    """Whatever else is said is an ordinary message, which the agent answers; the code still works after it, also after a restart."""
    order, card = await whatsapp.asked()
    is_by_other = said == "another person's"
    typed = {"the wrong code": other_than(code_in(card)), "another person's": code_in(card)}.get(said, said)
    before = len(whatsapp.brain.ledger)
    await whatsapp.platform.say(typed, by_other=is_by_other)
    await whatsapp.until(lambda: len(whatsapp.brain.ledger) > before, what="the agent reads it")
    await whatsapp.quiet()
    assert typed in json.dumps(whatsapp.brain.ledger[before].body["messages"][-1], ensure_ascii=False)
    assert whatsapp.shop.called(order) == []
    await whatsapp.answer(await whatsapp.ask("What is a bell?"))
    await whatsapp.again()
    await whatsapp.platform.say(f" {code_in(card)} ")
    await whatsapp.outcome(order)
    assert len(whatsapp.shop.called(order)) == 1


@every
async def test_no_agent_reads_the_code(whatsapp: Till) -> None:
    """It stands in the chat, and in nothing that a model is given: none can be talked into telling it, or into typing it."""
    order, card = await whatsapp.asked()
    await whatsapp.decide(card, YES)
    await whatsapp.outcome(order)
    await whatsapp.answer(await whatsapp.ask("And what is a wheel?"))
    assert not [each for each in whatsapp.brain.ledger if code_in(card) in json.dumps(each.body)]


# --- the widget in a browser -----------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Till]:
    async with till_with(WebPlatform(), tmp_path_factory.mktemp("site")) as till:
        yield till


@pytest_asyncio.fixture(loop_scope="module")
async def phone(site: Till) -> AsyncIterator[Page]:
    """The page of a visitor with a telephone; skips where there is no Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine: install it to run the browser tests")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = await chromium.new_page(viewport={"width": 380, "height": 760}, locale="en-GB", timezone_id="UTC")
        await page.goto(f"http://127.0.0.1:{site.port}/")
        if not await page.locator("dialog.panel").is_visible():
            await page.get_by_role("button", name="Open the chat").click()
        yield page
        await chromium.close()


async def ask_for(site: Till, page: Page, **more: Any) -> str:
    """The visitor asks for a refund and sees the card. Returns the order."""
    order, mark = site.want(**more)
    await page.get_by_role("textbox").fill(f"{mark} Please give me my money back.")
    await page.keyboard.press("Enter")
    await expect(page.locator("li", has_text=f"Order: {order}")).to_be_visible()
    await expect(page.get_by_role("button", name=NO, exact=True)).to_be_visible()
    return order


@every
async def test_the_card_is_decided_by_keyboard_on_a_phone(site: Till, phone: Page) -> None:
    """All of it is within the screen; the buttons are reached with Tab, say what was pressed, and cannot be pressed twice."""
    order = await ask_for(site, phone, note=f"It came late {'x' * 300} and broken.")
    body = phone.locator(".system .body").last
    assert await body.evaluate("node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight")
    assert await body.evaluate("node => getComputedStyle(node).textAlign") == "start"
    for label in (YES, NO):
        box = await phone.get_by_role("button", name=label, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 24  # WCAG 2.2, 2.5.8
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 380
    assert await phone.evaluate("document.documentElement.scrollWidth") <= 380
    for _ in range(20):
        await phone.keyboard.press("Shift+Tab")
        if (
            await phone.evaluate(
                "deep = (n) => n?.shadowRoot?.activeElement ? deep(n.shadowRoot.activeElement) : n,"
                "deep(document.activeElement)?.textContent"
            )
            == YES
        ):
            break
    assert site.shop.called(order) == []
    await phone.keyboard.press("Enter")
    await phone.keyboard.press("Enter")
    await expect(phone.get_by_role("button", name=YES, exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(phone.get_by_role("button", name=NO, exact=True)).to_have_attribute("aria-disabled", "true")
    await expect(phone.locator(".agent .body", has_text=told(order))).to_have_count(1)
    await site.quiet()
    await expect(phone.locator(".agent .body", has_text=told(order))).to_have_count(1)
    assert len(site.shop.called(order)) == 1


@every
async def test_f99_the_widget_shows_marks_as_they_are(site: Till, phone: Page) -> None:
    """No element stands within the argument."""
    await ask_for(site, phone, note=MARKS)
    line = phone.locator("li", has_text="Note:").last
    assert await line.inner_text() == f"Note: {MARKS}"
    assert await line.evaluate("node => node.querySelectorAll('a, em, strong, code, img').length") == 0
