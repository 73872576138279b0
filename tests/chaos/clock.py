"""Time that takes no time: when nothing is left to do but wait, the clock leaps to the next moment that somebody waits for.

How "nothing is left to do" is found out: the loop asks its selector to wait only when no call is ready. Then no socket may have
anything to read, no thread may be at work, and nobody who `holds` the clock may name something that is still under way. What was written
to a loopback socket can be read at once, so by then it has been read and acted on: whatever happens takes no time by this clock, however
long it really takes.
"""

import asyncio
import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from tests.clock import ManualClock

LOOK_AGAIN_S = 0.001  # real seconds; threads and sockets wake the loop by themselves
STUCK_S = 30.0  # real seconds

Hold = Callable[[], str]  # what is still under way, "" for nothing


class Stuck(Exception):
    """Something has been under way for so long that it never ends."""


class LeapingClock(ManualClock):
    """Moved by its loop alone. It begins at one in the night, so that a run stays within one day of the books."""

    def __init__(self, now_ms: int = 1_700_010_000_000) -> None:
        super().__init__(now_ms)
        self._began_ms, self._began = self._wall_ms, self._now

    def is_awaited(self) -> bool:
        """Whether anybody waits for a moment."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return bool(self._timers)

    def leap(self) -> None:
        """To the next moment that somebody waits for."""
        if not self.is_awaited():
            return
        due, _, timer = heapq.heappop(self._timers)
        self._move_to(max(due, self._now))
        if timer.call is not None:
            timer.call()

    def _move_to(self, moment: float) -> None:
        """Wall time is reckoned from the beginning: the rests of many short ways would add up."""
        self._wall_ms = self._began_ms + round((moment - self._began) * 1000)
        self._now = moment


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop that moves `clock` while `is_leaping`. Raises Stuck when something holds the clock for ever.

    Threads take as long as they take, so what they found is handed on only when nothing else is left to do, and in the order in which
    they were asked: the same run goes the same way each time."""

    def __init__(self, clock: LeapingClock) -> None:
        self.is_leaping = False
        self.leaps = 0
        self.holds: list[Hold] = []
        self._clock = clock
        self._order = itertools.count()
        self._working = 0  # threads, and units of work
        self._done: list[tuple[int, Callable[[], None]]] = []
        self._held_since = 0.0
        super().__init__(_Selector(self._leap))

    def run_in_executor(  # type: ignore[override]  # the stub's variadic types cannot be repeated here
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """As the loop's own; the result comes in its turn."""
        place = self.begin()
        result: asyncio.Future[Any] = self.create_future()
        found: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        found.add_done_callback(lambda _: self._end(place, lambda: _copy(found, result)))
        return result

    def begin(self) -> int:
        """Something is under way that is done elsewhere. Returns its place, for `end`."""
        self._working += 1
        return next(self._order)

    async def end(self, place: int) -> None:
        """It is done. Returns when those who began before it are, too."""
        turn = asyncio.Event()
        self._end(place, turn.set)
        await turn.wait()

    def _end(self, place: int, release: Callable[[], None]) -> None:
        self._working -= 1
        if self.is_leaping:
            heapq.heappush(self._done, (place, release))
        else:
            release()

    def _leap(self) -> bool:
        """Whether anything goes on: a result that is handed on, or else the clock."""
        if self._done and not (self.is_leaping and self._working):
            self.call_soon(heapq.heappop(self._done)[1])
            return True
        if not self.is_leaping:
            return False
        why = f"{self._working} threads" if self._working else next(filter(None, (hold() for hold in self.holds)), "")
        if why:
            self._be_held(why)
            return False
        self._held_since = 0.0
        if not self._clock.is_awaited():
            return False
        self.leaps += 1
        self.call_soon(self._clock.leap)
        return True

    def _be_held(self, why: str) -> None:
        now = time.monotonic()
        self._held_since = self._held_since or now
        if now - self._held_since > STUCK_S:
            raise Stuck(f"the clock has been held for {STUCK_S:g} s by {why}")


def _copy(found: "asyncio.Future[Any]", result: "asyncio.Future[Any]") -> None:
    error = None if found.cancelled() else found.exception()
    if result.done():
        return
    if found.cancelled():
        result.cancel()
    elif error is not None:
        result.set_exception(error)
    else:
        result.set_result(found.result())


class _Selector(selectors.DefaultSelector):
    """Asks `leap` before it waits."""

    def __init__(self, leap: Callable[[], bool]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self._leap():
            return []
        return super().select(LOOK_AGAIN_S if timeout is None else min(timeout, LOOK_AGAIN_S))
