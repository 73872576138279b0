"""A time limit around waits of one task that does not count, or end, what the task does between them."""

import asyncio
from math import inf

from bot.ports import Clock, Timer


class Alarm:
    """Ends a wait with TimeoutError once its moment has come: `with alarm:` around each. One timer serves many waits, so that a wait
    costs little. Must be put off at the end."""

    def __init__(self, clock: Clock, at: float = inf) -> None:
        """`at`: monotonic seconds."""
        self._clock = clock
        self._at = at
        self._task: asyncio.Task[object] | None = None  # that waits now
        self._others = 0  # who wanted it cancelled before
        self._has_rung = False
        self._timer: Timer | None = None
        self._rings_at = inf

    def set(self, at: float) -> None:
        """Another moment, from the next wait on."""
        self._at = at

    def put_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be woken")
        if self._timer is None or self._at < self._rings_at:
            left_s = self._at - self._clock.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._wind(left_s)
        self._task, self._others = task, task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task, self._task = self._task, None
        if self._has_rung and task is not None:
            self._has_rung = False
            is_cancelled_too = task.uncancel() > self._others
            if kind is asyncio.CancelledError and not is_cancelled_too:
                raise TimeoutError from error

    def _wind(self, left_s: float) -> None:
        self.put_off()
        self._rings_at = self._at
        self._timer = self._clock.call_later(left_s, self._ring)

    def _ring(self) -> None:
        """Nobody may be waiting, or the moment may have been moved since the timer was set."""
        self._timer = None
        if self._task is None:
            return
        left_s = self._at - self._clock.monotonic()
        if left_s > 0:
            self._wind(left_s)
        else:
            self._has_rung = True
            self._task.cancel()
