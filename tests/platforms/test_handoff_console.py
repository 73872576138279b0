"""WhatsApp with operators in the console, end to end: the real daemon, a real Chromium, and a window that shuts."""

import sqlite3
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import expect

from bot.accepting import SOLVED_ASK
from tests.browser.screenshots import picture
from tests.platforms.console import Console
from tests.platforms.reception import ANNOUNCED, ASKS, Reception
from tests.platforms.rooms import EVA
from tests.platforms.stage import closing
from tests.platforms.twilio.driver import TwilioPlatform
from tests.platforms.twilio.ledger import Template
from tests.platforms.visitor import Chromium

PICTURE: Final = picture(8, 8)
DAY_MS: Final = 25 * 3600 * 1000
WAITS: Final = "A colleague has an answer for you. May we send it?"
PERSON: Final = "Person 1111"


class Phone(TwilioPlatform):
    """A number with an approved template."""

    def __init__(self) -> None:
        super().__init__()
        self.server.templates["HX9"] = Template(WAITS, is_approved=True, sid="HX9")

    def config(self) -> dict[str, object]:
        return {**super().config(), "window_template": "HX9"}


class Desk(Reception):
    """A reception whose clock can be put forward by moving everything into the past."""

    platform: Phone

    async def a_day_later(self) -> None:
        await self.kill()
        for record in self.platform.server.messages:
            record.created_ms -= DAY_MS
        connection = sqlite3.connect(self.database, timeout=10)
        with connection:
            connection.execute("UPDATE messages SET created_ms = created_ms - :day", {"day": DAY_MS})
        connection.close()
        await self.launch()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    if Chromium.path() is None:
        pytest.skip("no chromium on this machine: install it to run the browser tests")
    house = Desk(tmp_path_factory.mktemp("desk"), Phone())
    try:
        await house.start()
        yield house
        assert house.new_violations() == []
    finally:
        await house.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def console(house: Desk) -> Console:
    return await Console.signed_in(house, house.chromium, EVA)


every = pytest.mark.asyncio(loop_scope="module")


async def begun(house: Desk, console: Console) -> None:
    """The person asks for somebody, and Eva takes it."""
    before = len(await house.found(ANNOUNCED))
    await house.customer.say(ASKS)
    await house.sees(ANNOUNCED, before + 1)
    await console.open(PERSON, "Waiting")
    await console.press("Take")
    await expect(console.page.get_by_text("The conversation is yours.").first).to_be_visible()
    await house.settled()
    assert len(await house.found(ANNOUNCED)) == before + 1


async def ended(house: Desk, console: Console) -> None:
    before = len(await house.found("has closed this conversation."))
    await console.fill("Resolve", "all is well", "Resolve")
    await house.sees("Eva has closed this conversation.", before + 1)
    await house.settled()


@every
async def test_a_person_takes_over_in_the_console_and_gives_back(house: Desk, console: Console) -> None:
    """Signed in with two factors; reads, takes, writes, notes, gets and sends a file, and returns with an instruction."""
    asked = await house.says("How long may I return a bicycle?")
    await house.answered(asked)
    await begun(house, console)
    await expect(console.entry(closing(asked))).to_have_count(1)
    note, reply, told = house.mark(), house.mark(), house.mark()
    await console.note(f"{note} be kind")
    await expect(console.entry(note)).to_have_count(1)
    await console.reply(f"{reply} Good morning!", file=PICTURE, file_name="ours.png")
    assert (await house.sees(reply)).text.count("Eva") == 1
    await house.until(lambda: house.files("png"), what="the operator's file")
    said = await house.says("And the basket?", file=PICTURE, file_name="mine.png")
    await expect(console.entry(said).locator(".file")).to_have_count(1)
    await house.again()
    await house.quiet()
    assert not [each for each in await house.customer.seen() if note in each.text]
    assert not house.brain.asked(said)
    assert len(await house.found(reply)) == len(await house.files("png")) == 1
    await console.fill("Return to the agent", f"{told} Tell them about bells.", "Return")
    await house.answered(told)
    (block,) = house.brain.texts(reply)
    assert "talked to the user. That is over and done with" in block
    assert told in block
    assert not house.brain.texts(note)


@every
async def test_a_resolved_case_is_rated_and_the_next_message_begins_another(house: Desk, console: Console) -> None:
    """The question is asked while the window is open."""
    await begun(house, console)
    word = house.mark()
    await console.reply(f"{word} All done.")
    await house.sees(word)
    before = len(await house.found(SOLVED_ASK))
    await ended(house, console)
    await house.sees(SOLVED_ASK, before + 1)
    await house.customer.solved("Yes, thank you")
    await house.until(house.verdict, "up".__eq__, what="the verdict")
    before = house.cases()
    await house.answered(await house.says("What is a wheel?"))
    assert house.cases() == before + 1


@every
async def test_f113_a_reply_after_a_day_waits_behind_a_template(house: Desk, console: Console) -> None:
    """The operator is warned; only the template goes out, once; the reply comes when the person writes, once, also after a kill."""
    await begun(house, console)
    await house.a_day_later()
    await console.page.reload()
    await console.open(PERSON, "Mine")
    await expect(console.page.locator(".goes")).to_contain_text("the window for free text is shut")
    word = house.mark()
    await console.reply(f"{word} Here I am again.")
    await expect(console.page.get_by_text("free text cannot be sent").first).to_be_visible()
    await house.sees(WAITS)
    assert await house.found(word) == []
    await house.again()
    assert await house.found(word) == []
    assert len(await house.found(WAITS)) == 1
    await house.customer.say("Yes, please.")
    await house.sees(word)
    await house.quiet()
    assert len(await house.found(word)) == len(await house.found(WAITS)) == 1
    await ended(house, console)
