"""A time limit around waits alone."""

import asyncio
from collections.abc import Awaitable

import pytest

from bot.alarm import Alarm
from tests.clock import ManualClock


async def test_a_wait_ends_at_its_moment_and_not_before() -> None:
    clock = ManualClock()
    waiting = asyncio.ensure_future(_wait(Alarm(clock, clock.monotonic() + 5), nothing()))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError):
        await waiting


async def test_what_lies_between_two_waits_is_not_ended() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, clock.monotonic() + 5)
    await _wait(alarm, clock_passes(clock, 1))
    await clock.advance(10)
    with pytest.raises(TimeoutError):
        await _wait(alarm, nothing())


@pytest.mark.parametrize("seconds", [1, 20])
async def test_the_moment_may_be_moved_to_and_fro(seconds: int) -> None:
    clock = ManualClock()
    alarm = Alarm(clock, clock.monotonic() + 5)
    await _wait(alarm, clock_passes(clock, 1))
    alarm.set(clock.monotonic() + seconds)
    waiting = asyncio.ensure_future(_wait(alarm, nothing()))
    await clock.advance(seconds - 0.1)
    assert not waiting.done()
    await clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await waiting


async def test_a_wait_that_is_cancelled_too_stays_cancelled() -> None:
    clock = ManualClock()
    waiting = asyncio.ensure_future(_wait(Alarm(clock, clock.monotonic() + 5), stubborn()))
    await clock.advance(6)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_alarm_that_is_put_off_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, clock.monotonic() + 5)
    await _wait(alarm, clock_passes(clock, 1))
    alarm.put_off()
    assert all(timer.call is None for _, _, timer in clock._timers)


async def _wait(alarm: Alarm, coming: Awaitable[object]) -> None:
    with alarm:
        await coming


def nothing() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def stubborn() -> None:
    """Has to be cancelled twice."""
    try:
        await nothing()
    finally:
        await nothing()


async def clock_passes(clock: ManualClock, seconds: float) -> None:
    moving = asyncio.ensure_future(clock.advance(seconds))
    await clock.sleep(seconds)
    await moving
