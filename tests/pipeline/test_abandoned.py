"""An adapter that gives up waiting, as one with a deadline of its platform's does, while its event is being stored."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bot.ports import ChatRequest, Chunk
from bot.store.sqlite import SqliteStore
from tests.pipeline.house import ScriptedModel, core, echo

T = TypeVar("T")


async def test_f02_a_message_that_is_stored_after_its_adapter_gave_up_is_answered_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a turn runs, which knows nothing of it: the row comes into being all the same, its repetition is a duplicate, and what
    comes next follows the turn's reply."""
    is_stored, may_be_told, may_answer = asyncio.Event(), asyncio.Event(), asyncio.Event()
    run = SqliteStore.run

    async def slow_run(self: SqliteStore, unit: Callable[..., T], *args: object) -> T:
        result: T = await run(self, unit, *args)
        if unit.__name__ == "accept" and not is_stored.is_set():
            is_stored.set()
            await may_be_told.wait()
        return result

    async def slowly(request: ChatRequest) -> AsyncIterator[Chunk]:
        await may_answer.wait()
        async for chunk in echo(request):
            yield chunk

    async with core(tmp_path / "data", model=ScriptedModel(slowly)) as house:
        await house.say("first", "1")
        await house.model.was_asked.wait()
        monkeypatch.setattr(SqliteStore, "run", slow_run)
        waiting = asyncio.create_task(house.say("slow", "2"))
        await is_stored.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        may_be_told.set()
        assert (await house.say("slow", "2")).is_duplicate
        may_answer.set()
        await house.rest()
        await house.say("after", "3")
        await house.rest()
        assert "slow" in " ".join(message.text for message in house.channel.sent)
