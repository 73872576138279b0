"""A time limit around waits alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bot.alarm import Alarm
from tests.clock import ManualClock, ManualTimer


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


async def test_a_moment_that_comes_while_the_timer_is_looked_at_is_not_missed() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, clock.monotonic() + 5)
    await _wait(alarm, clock_passes(clock, 1))
    moment = clock.monotonic() + 5
    alarm.set(moment)
    waiting = asyncio.ensure_future(_wait(alarm, nothing()))
    await asyncio.sleep(0)
    looks = iter([moment - 1e-7])
    alarm._clock = _Looked(clock, looks, moment)
    await clock.advance(4)
    await clock.advance(1.1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 1)


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


class _Looked(ManualClock):
    """Time passes between two looks at it."""

    def __init__(self, clock: ManualClock, looks: Iterator[float], then: float) -> None:
        super().__init__()
        self._inner, self._looks, self._then = clock, looks, then

    def monotonic(self) -> float:
        return next(self._looks, self._then)

    def call_later(self, seconds: float, call: Callable[[], None]) -> ManualTimer:
        return self._inner.call_later(seconds, call)


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
