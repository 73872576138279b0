"""Time that runs faster, in every process of a kill run alike: on clocks, in loops, and so at every timer of a library.

Frontdesk waits half a minute before it believes that Slack does not have a message, and three quarters before it believes Twilio. Here
an hour passes in three minutes, for both sides of every socket: no wait, limit or deadline is another than in earnest, beside what the
machine itself needs.
"""

import asyncio
import selectors
import time

from bot.clock import SystemClock

FACTOR = 20.0


def real(seconds: float) -> float:
    """What a hurried loop has to be told for so many seconds on the wall."""
    return seconds * FACTOR


class HurriedClock(SystemClock):
    """The same time in each process that is given the same beginning: wall time in ms, and `time.monotonic` at that moment."""

    def __init__(self, begun_ms: int, begun_s: float) -> None:
        self.begun_ms = begun_ms
        self.begun_s = begun_s

    @classmethod
    def begin(cls) -> "HurriedClock":
        return cls(SystemClock().now_ms(), time.monotonic())

    def now_ms(self) -> int:
        return self.begun_ms + round((time.monotonic() - self.begun_s) * FACTOR * 1000)

    def monotonic(self) -> float:
        return time.monotonic() * FACTOR


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its seconds are those of a HurriedClock."""

    def __init__(self) -> None:
        super().__init__(_HurriedSelector())

    def time(self) -> float:
        return time.monotonic() * FACTOR


class _HurriedSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / FACTOR)
