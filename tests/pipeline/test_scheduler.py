"""When turns run: one a conversation, many side by side, in the order in which they were woken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.scheduler import Turn, TurnScheduler
from tests.clock import ManualClock, settle


class Turns:
    """Notes what runs. A turn of a conversation in `gates` waits for its gate; `again` says what it returns."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.running: set[str] = set()
        self.most_at_once = 0
        self.gates: dict[str, asyncio.Event] = {}
        self.again: dict[str, list[float | None]] = {}
        self.beside: dict[str, set[str]] = {}

    async def run(self, conversation: str) -> float | None:
        assert conversation not in self.running, "two turns of one conversation"
        self.started.append(conversation)
        self.running.add(conversation)
        self.beside[conversation] = set(self.running)
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            if conversation in self.gates:
                await self.gates[conversation].wait()
            else:
                await asyncio.sleep(0)
        finally:
            self.running.discard(conversation)
        self.ended.append(conversation)
        again = self.again.get(conversation)
        return again.pop(0) if again else None

    def hold(self, conversation: str) -> asyncio.Event:
        gate = self.gates[conversation] = asyncio.Event()
        return gate


@asynccontextmanager
async def running(
    turns: Turns,
    clock: ManualClock,
    *,
    alone: Turn | None = None,
    at_once: int = 1000,
    waiting_most: int = 100_000,
    burst_s: float = 10.0,
) -> AsyncIterator[TurnScheduler]:
    scheduler = TurnScheduler(
        turns.run, clock, alone=alone, at_once=at_once, waiting_most=waiting_most, burst_s=burst_s
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(scheduler.run())
        await settle()
        yield scheduler
        task.cancel()


async def test_a_conversation_has_one_turn_at_a_time() -> None:
    """Woken again and again while it runs, it runs once more afterwards, and never beside itself."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("a")
    async with running(turns, clock) as scheduler:
        for _ in range(5):
            scheduler.wake("a")
            await settle()
        assert turns.started == ["a"]
        gate.set()
        await settle()
        assert turns.ended == ["a", "a"]
        assert scheduler.waiting() == scheduler.running() == 0


async def test_the_first_woken_is_the_first_served() -> None:
    """A conversation that writes all the time queues behind those that came before its next turn."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("busy")
    async with running(turns, clock, at_once=1) as scheduler:
        scheduler.wake("busy")
        await settle()
        for conversation in ("b", "c"):
            scheduler.wake(conversation)
        scheduler.wake("busy")
        scheduler.wake("d")
        gate.set()
        await settle(60)
        assert turns.started == ["busy", "b", "c", "d", "busy"]


async def test_no_more_turns_run_side_by_side_than_allowed() -> None:
    """`at_once` is a bound, and it is used to the full."""
    turns, clock = Turns(), ManualClock()
    async with running(turns, clock, at_once=3) as scheduler:
        for number in range(20):
            scheduler.wake(str(number))
        await settle(100)
        assert turns.ended == [str(number) for number in range(20)]
        assert turns.most_at_once == 3


async def test_f25_a_turn_waits_for_quiet() -> None:
    """Each message begins the quiet time anew."""
    turns, clock = Turns(), ManualClock()
    async with running(turns, clock) as scheduler:
        for _ in range(4):
            scheduler.wake("a", 1.0)
            await clock.advance(0.9)
        assert turns.started == []
        await clock.advance(0.1)
        assert turns.started == ["a"]


async def test_typing_puts_off_a_waiting_turn_and_starts_none() -> None:
    """Somebody who types is waited for; typing alone is nothing to answer."""
    turns, clock = Turns(), ManualClock()
    async with running(turns, clock) as scheduler:
        scheduler.wait_longer("a", 1.0)
        await clock.advance(5.0)
        scheduler.wake("a", 1.0)
        await clock.advance(0.9)
        scheduler.wait_longer("a", 1.0)
        await clock.advance(0.9)
        assert turns.started == []
        await clock.advance(0.1)
        assert turns.started == ["a"]


async def test_waiting_for_quiet_ends_with_the_burst() -> None:
    """However long somebody goes on, the turn begins `burst_s` after the first message."""
    turns, clock = Turns(), ManualClock()
    async with running(turns, clock, burst_s=3.0) as scheduler:
        for _ in range(5):
            scheduler.wake("a", 1.0)
            await clock.advance(0.5)
            scheduler.wait_longer("a", 1.0)
        assert turns.started == []
        scheduler.wake("a", 1.0)
        await clock.advance(0.5)
        assert turns.started == ["a"]


async def test_a_message_during_a_turn_gets_its_quiet_time_after_it() -> None:
    """f26: woken while it runs, the next turn comes by itself, after the quiet time."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("a")
    async with running(turns, clock) as scheduler:
        scheduler.wake("a")
        await settle()
        scheduler.wake("a", 1.0)
        gate.set()
        await settle()
        assert turns.ended == ["a"]
        await clock.advance(1.0)
        assert turns.ended == ["a", "a"]


async def test_a_turn_that_asks_for_another_gets_it_when_it_said() -> None:
    """Also when that is later than any burst may last: a model that asks for a minute of peace gets it."""
    turns, clock = Turns(), ManualClock()
    turns.again["a"] = [60.0, 0.0, None]
    async with running(turns, clock, burst_s=2.0) as scheduler:
        scheduler.wake("a")
        await clock.advance(59.0)
        assert len(turns.started) == 1
        await clock.advance(1.0)
        assert len(turns.started) == 3


async def test_neither_writing_nor_typing_shortens_the_wait_after_a_failure() -> None:
    """An impatient person does not use up the tries of a turn that waits for its model to recover."""
    turns, clock = Turns(), ManualClock()
    turns.again["a"] = [5.0, None]
    async with running(turns, clock) as scheduler:
        scheduler.wake("a")
        await settle()
        for _ in range(4):
            scheduler.wake("a", 0.3)
            scheduler.wait_longer("a", 0.3)
            await clock.advance(1.0)
        assert len(turns.started) == 1
        await clock.advance(1.0)
        assert len(turns.started) == 2


async def test_what_cannot_wait_here_is_found_by_the_sweep() -> None:
    """Beyond the bound a wake-up is dropped and said so once; nothing is kept for it."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("a")
    async with running(turns, clock, waiting_most=1) as scheduler:
        scheduler.wake("a")
        await settle()
        scheduler.wake("b")
        assert (scheduler.take_overflow(), scheduler.take_overflow()) == (True, False)
        gate.set()
        await settle()
        scheduler.wake("b")
        await settle()
        assert turns.ended == ["a", "b"]


async def test_f17_draining_starts_nothing_and_waits_for_what_runs() -> None:
    """What waits stays in its rows; what runs comes to its end."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("a")
    async with running(turns, clock, at_once=1) as scheduler, asyncio.TaskGroup() as tasks:
        scheduler.wake("a")
        scheduler.wake("b")
        await settle()
        draining = tasks.create_task(scheduler.drain(20.0))
        await settle()
        scheduler.wake("c")
        gate.set()
        assert await draining
        await settle()
        assert (turns.started, turns.ended) == (["a"], ["a"])


async def test_f17_draining_ends_in_time() -> None:
    """A turn that does not come to its end is cancelled, and said to be."""
    turns, clock = Turns(), ManualClock()
    turns.hold("a")
    async with running(turns, clock) as scheduler, asyncio.TaskGroup() as tasks:
        scheduler.wake("a")
        await settle()
        draining = tasks.create_task(scheduler.drain(20.0))
        await clock.advance(20.0)
        assert not await draining
        await settle()
        assert turns.running == set()
        assert turns.ended == []


async def test_when_it_is_cancelled_every_turn_has_ended_before_it_has() -> None:
    """Also a turn that needs a moment for its end."""
    turns, clock = Turns(), ManualClock()
    last_words: list[str] = []

    async def turn(conversation: str) -> float | None:
        try:
            return await turns.run(conversation)
        finally:
            await asyncio.sleep(0)
            last_words.append(conversation)

    scheduler = TurnScheduler(turn, clock)
    async with asyncio.TaskGroup() as tasks:
        running_ = tasks.create_task(scheduler.run())
        for conversation in ("a", "b"):
            turns.hold(conversation)
            scheduler.wake(conversation)
        await settle()
        scheduler.wake("a")
        running_.cancel()
    assert last_words == ["a", "b"]
    assert turns.started == ["a", "b"]
    assert scheduler.running() == 0


async def test_a_second_cancellation_leaves_no_turn_behind() -> None:
    gate = asyncio.Event()
    last_words: list[str] = []

    async def turn(conversation: str) -> float | None:
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()
            last_words.append(conversation)
        return None

    scheduler = TurnScheduler(turn, ManualClock())
    scheduler.wake("a")
    running_ = asyncio.ensure_future(scheduler.run())
    for _ in range(3):
        await settle()
        running_.cancel()
    await settle()
    assert not running_.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running_
    assert last_words == ["a"]


async def test_what_a_turn_should_not_have_raised_ends_it_and_the_other_turns() -> None:
    turns, clock = Turns(), ManualClock()
    turns.hold("a")

    async def turn(conversation: str) -> float | None:
        if conversation == "broken":
            raise ZeroDivisionError
        return await turns.run(conversation)

    scheduler = TurnScheduler(turn, clock)
    scheduler.wake("a")
    scheduler.wake("broken")
    with pytest.raises(ZeroDivisionError):
        await scheduler.run()
    assert turns.started == ["a"]
    assert turns.running == set()
    scheduler.wake("b")
    await settle()
    assert turns.started == ["a"]


async def test_after_what_a_turn_should_not_have_raised_none_begins() -> None:
    async def turn(conversation: str) -> float | None:
        raise ZeroDivisionError

    clock = ManualClock()
    scheduler = TurnScheduler(turn, clock, at_once=1)
    scheduler.wake("a")
    scheduler.wake("b")
    with pytest.raises(ZeroDivisionError):
        await scheduler.run()
    assert (scheduler.running(), scheduler.waiting()) == (0, 1)
    assert await scheduler.drain(1)


async def test_a_suspect_runs_with_nothing_beside_it() -> None:
    """Before everything that waits, after everything that runs, and each suspect by itself."""
    turns, clock = Turns(), ManualClock()
    gate = turns.hold("runs")
    alone: list[str] = []

    async def run_alone(conversation: str) -> float | None:
        alone.append(conversation)
        return await turns.run(conversation)

    async with running(turns, clock, alone=run_alone) as scheduler:
        scheduler.wake("runs")
        await settle()
        scheduler.wake_alone("suspect")
        scheduler.wake("other")
        scheduler.wake_alone("second")
        scheduler.wake("suspect")
        await settle()
        assert turns.started == ["runs"]
        gate.set()
        await settle(60)
        assert turns.started == ["runs", "suspect", "second", "other"]
        assert alone == ["suspect", "second"]
        assert (turns.beside["suspect"], turns.beside["second"]) == ({"suspect"}, {"second"})
