"""What the house says of itself is shown at once on a channel that asks for what it does not have, and waits there for nothing."""

from pathlib import Path

from bot.errors import SendRefused
from bot.model import Message
from bot.people.linking import LINKED, NOT_LINKED
from tests.pipeline.house import ListChannel, core
from tests.users.test_linking import CODES, asked, last

OPEN = "SELECT * FROM outbox WHERE state <> 'sent'"


async def test_f97_a_code_that_was_asked_for_on_the_page_is_shown_there_without_a_reconnect(tmp_path: Path) -> None:
    async with core(tmp_path / "data", channel=ListChannel(is_deduped=True)) as found:
        code = await asked(found)
        assert CODES.fullmatch(code)
        assert len(found.channel.sent) == 1
        assert await found.all(OPEN) == []


async def test_f97_both_pages_are_told_that_they_are_linked(tmp_path: Path) -> None:
    page, other = ListChannel(is_deduped=True), ListChannel("phone", is_deduped=True)
    async with core(tmp_path / "data", channel=page, other=other) as found:
        code = await asked(found)
        await found.say(code, "p1", channel="phone", chat="eve")
        await found.rest()
        assert (last(page), last(other)) == (LINKED.format(channel="phone"), LINKED.format(channel="list"))
        assert await found.all(OPEN) == []


async def test_a_page_that_is_closed_asks_for_it_later_and_nothing_waits_to_be_sent(tmp_path: Path) -> None:
    async def closed(message: Message) -> None:
        raise SendRefused("nobody is there", is_retryable=False)

    page = ListChannel(is_deduped=True)
    async with core(tmp_path / "data", channel=page) as found:
        page.on_send = closed
        await found.say("unlink my accounts", "u1")
        await found.rest()
        assert page.sent == []
        assert await found.all("SELECT text FROM messages WHERE author = 'system'") == [(NOT_LINKED,)]
        assert await found.all(OPEN) == []
