"""What a model call has cost stands in the books once, however the turn around it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from bot.agent.loop import Agent
from bot.model import Message
from bot.ports import ChatRequest, Chunk, Finished, TextDelta, Usage
from bot.store.sqlite import SqliteStore
from tests.clock import ManualClock
from tests.pipeline.house import Core, ListChannel, ScriptedModel, agent, core

BOOKED = "SELECT calls, input_tokens FROM spend"


async def priced(request: ChatRequest) -> AsyncIterator[Chunk]:
    yield TextDelta("There it is.")
    yield Usage(100, 5)
    yield Finished()


def priced_agent(clock: ManualClock) -> Agent:
    return agent({"paid": ScriptedModel(priced), "offline": ScriptedModel(priced)}, clock)


class Page(ListChannel):
    """One that is handed each message by the turn itself."""

    def __init__(self) -> None:
        super().__init__("page", is_deduped=True)


async def test_an_adapter_that_fails_after_the_commit_costs_nothing_more(tmp_path: Path) -> None:
    """The turn is over: what fails then is no failure of it, and its model is not paid again."""
    channel, clock = Page(), ManualClock()

    async def broken(message: Message) -> None:
        raise RuntimeError("a mistake in the adapter")

    channel.on_send = broken
    async with core(tmp_path / "data", channel=channel, clock=clock, answerer=priced_agent(clock)) as house:
        await house.say("hello", "1")
        await house.rest()
        assert await house.all("SELECT outcome FROM turns") == [("answered",)]
        assert await house.all(BOOKED) == [(1, 100)]


async def test_a_turn_that_is_given_up_while_its_commit_is_under_way_pays_once(tmp_path: Path) -> None:
    """Nobody knows then whether it was committed: the books do."""
    clock = ManualClock()
    async with core(tmp_path / "data", clock=clock, answerer=priced_agent(clock)) as house:
        await given_up_at_its_end(house)
        await house.turns.pay()
        await house.rest()
        assert await house.all("SELECT count(*) FROM turns") == [(1,)]
        assert await house.all(BOOKED) == [(1, 100)]


async def test_a_turn_that_is_given_up_before_its_commit_pays_too(tmp_path: Path) -> None:
    """What a model has answered was paid for, whether anybody reads it or not."""
    clock = ManualClock()
    async with core(tmp_path / "data", clock=clock, answerer=priced_agent(clock)) as house:
        await given_up_at_its_end(house, is_lost=True)
        await house.turns.pay()
        assert await house.all("SELECT count(*) FROM turns") == [(0,)]
        assert await house.all(BOOKED) == [(1, 100)]


async def given_up_at_its_end(house: Core, *, is_lost: bool = False) -> None:
    """A turn is cancelled while it waits for its last unit of work, which is carried out all the same, unless it `is_lost`."""
    run, has_begun = house.store.run, asyncio.Event()

    async def run_and_hang(unit: object, *args: object) -> object:
        if getattr(unit, "__name__", "") != "finish":
            return await run(unit, *args)  # type: ignore[arg-type]  # any unit
        if not is_lost:
            await run(unit, *args)  # type: ignore[arg-type]
        has_begun.set()
        return await asyncio.get_running_loop().create_future()

    assert isinstance(house.store, SqliteStore)
    house.store.run = run_and_hang  # type: ignore[method-assign,assignment]
    await house.say("hello", "1")
    await asyncio.wait_for(has_begun.wait(), 10)
    house.store.run = run  # type: ignore[method-assign]
    draining = asyncio.create_task(house.scheduler.drain(20.0))
    await house.clock.advance(21.0)
    assert not await draining
