"""What stands in a chat in which one answer is still being sent while the next is written."""

import asyncio
from pathlib import Path

from bot.model import Address, Message
from bot.ports import Receipt
from tests.pipeline.house import ScriptedModel, core
from tests.pipeline.test_chats import Sketching, say, slowly


class Slow(Sketching):
    """A platform that takes its time with the first answer."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def send(self, to: Address, message: Message) -> Receipt:
        await self.may_end.wait()
        return await super().send(to, message)


async def test_no_draft_is_shown_before_the_rest_of_an_earlier_answer(tmp_path: Path) -> None:
    """It would keep its place there for good, in the middle of the other."""
    chat = Slow()
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "first", "1")
        while not await house.all("SELECT 1 FROM outbox WHERE role = 'final'"):
            await house.rest()
        await say(house, "second", "2")
        while len(await house.all("SELECT 1 FROM turns")) < 2:
            await house.rest()
        assert list(chat.board) == ["p1"]
        chat.may_end.set()
        await house.rest(5.0)
        await house.rest(5.0)
        assert chat.board == {"p1": "Let me see.", "p2": "Let me see."}
