"""The process dies at every point in the life of a draft: afterwards there is one answer, or none, and nothing half."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.model import Address, DraftPosted, Message, MessageDeleted, MessageId
from bot.ports import ChatRequest, Chunk, Finished, Receipt, TextDelta
from tests.pipeline.house import ScriptedModel, core
from tests.pipeline.test_chats import ADA, AT, Sketching, roles, say, slowly


class Dying(Sketching):
    """Hangs for good at one point, as a killed process does."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        self.dead = asyncio.Event()

    async def point(self, name: str) -> None:
        if name == self.at:
            self.at = ""
            self.dead.set()
            await asyncio.get_running_loop().create_future()

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        await self.point("draft before post")
        if self.keys.get(message) is None:
            shown = self._post(message)
            self.board[shown] = text
            await self.point("draft after post")
            assert self.house is not None
            await self.house.intake.receive(DraftPosted(to, message, shown))
            await self.point("draft after report")
        else:
            self.board[self.keys[message]] += text

    async def send(self, to: Address, message: Message) -> Receipt:
        await self.point("send before")
        receipt = await super().send(to, message)
        await self.point("send after")
        return receipt

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        await self.point("withdraw before")
        await super().withdraw(to, message, shown_as)
        await self.point("withdraw after")


POINTS = ["draft before post", "draft after post", "draft after report", "send before", "send after"]


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize("deleted", [False, True])
async def test_f12_one_whole_answer_or_none_is_left_wherever_the_process_dies(
    tmp_path: Path, at: str, deleted: bool
) -> None:
    chat = Dying(at)
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        for _ in range(3):
            await house.rest(0.1)
        await asyncio.wait_for(chat.dead.wait(), 5)
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat, clock=house.clock) as house:
        chat.house = house
        if deleted:
            await house.intake.receive(MessageDeleted(ADA, AT, "1", 5))
        for _ in range(12):
            await house.rest(2.0)
        whole = ["Let me see."]  # also where the answer was there before the deletion came
        assert list(chat.board.values()) in ([whole, []] if deleted else [whole])


@pytest.mark.parametrize("at", ["withdraw before", "withdraw after"])
async def test_a_withdrawal_that_the_process_dies_in_is_made_at_the_next_start(tmp_path: Path, at: str) -> None:
    chat = Dying(at)

    async def taken_over(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        await house.store.run(lambda c: c.execute("UPDATE conversations SET owner='op', version=version+1"))
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(taken_over), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        for _ in range(3):
            await house.rest(0.1)
        await asyncio.wait_for(chat.dead.wait(), 5)
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat, clock=house.clock) as house:
        chat.house = house
        for _ in range(12):
            await house.rest(2.0)
        assert chat.board == {}
        assert await roles(house) == [("withdraw", "dead", "p1")]
