"""The in-process scheduler: one turn a conversation, many conversations side by side, first woken first served.

It holds only conversation ids. What is to be done stands in the inbox, so a lost wake-up costs nothing but time: recovery and the
sweep wake everything that waits there.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from bot.model import changeable
from bot.ports import Clock, Timer


class _State(Enum):
    QUIET = auto()  # waits for the person to finish
    READY = auto()  # in the queue
    RUNNING = auto()
    RUNNING_AGAIN = auto()  # woken while it ran


@changeable
class _Slot:
    state: _State
    first_woken: float
    timer: Timer | None = None
    timer_due: float = 0.0
    due: float = (
        0.0  # may be later than the timer's: it is then set again when it fires, not with each message of a burst
    )
    quiet_s: float = 0.0
    not_before: float = 0.0  # a turn that failed waits at least until then, whoever writes or types meanwhile


Turn = Callable[[str], Awaitable[float | None]]


class TurnScheduler:
    """Runs `turn(conversation)` for every conversation that was woken. A turn returns None, or the seconds after which it wants to
    run again; it must not raise."""

    def __init__(
        self,
        turn: Turn,
        clock: Clock,
        *,
        alone: Turn | None = None,
        at_once: int = 1000,
        waiting_most: int = 100_000,
        burst_s: float = 10.0,
    ) -> None:
        self._turn = turn
        self._turn_alone = alone or turn
        self._clock = clock
        self._at_once = at_once
        self._waiting_most = waiting_most
        self._burst_s = burst_s
        self._slots: dict[str, _Slot] = {}
        self._ready: deque[str] = deque()
        self._alone: deque[str] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._is_alone_running = False
        self._has_overflowed = False
        self._is_open = False
        self._failure: asyncio.Future[None] | None = None  # what a turn raised, for `run`
        self._idle = asyncio.Event()
        self._idle.set()

    # --- waking ----------------------------------------------------------------------------------------------------

    def wake(self, conversation: str, quiet_s: float = 0.0) -> None:
        slot = self._slots.get(conversation)
        if slot is None:
            if len(self._slots) >= self._waiting_most:
                self._has_overflowed = True  # it stands in the inbox; the sweep will find it
                return
            slot = self._slots[conversation] = _Slot(_State.QUIET, self._clock.monotonic() if quiet_s else 0.0)
            self._wait_for_quiet(conversation, slot, quiet_s)
        elif slot.state is _State.QUIET:
            self._wait_for_quiet(conversation, slot, quiet_s)
        elif slot.state is not _State.READY:
            slot.state = _State.RUNNING_AGAIN
            slot.quiet_s = quiet_s

    def wait_longer(self, conversation: str, quiet_s: float) -> None:
        slot = self._slots.get(conversation)
        if slot is not None and slot.state is _State.QUIET and slot.timer is not None:
            self._wait_for_quiet(conversation, slot, quiet_s)

    def wake_alone(self, conversation: str) -> None:
        """Runs it with nothing beside it, before everything else: a suspect of having ended the process."""
        if conversation not in self._slots:
            self._slots[conversation] = _Slot(_State.READY, self._clock.monotonic())
            self._alone.append(conversation)
            self._pump()

    def take_overflow(self) -> bool:
        """True once after wake-ups were dropped because too many conversations waited."""
        had, self._has_overflowed = self._has_overflowed, False
        return had

    def waiting(self) -> int:
        return len(self._slots) - len(self._running)

    def running(self) -> int:
        return len(self._running)

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Owns the turns' tasks until cancelled; raises what a turn has raised. Either way those that run are cancelled, and have ended
        when it returns."""
        self._failure = asyncio.get_running_loop().create_future()
        self._is_open = True
        self._pump()
        try:
            await self._failure
        finally:
            self._is_open = False
            await self._end_all()

    async def drain(self, seconds: float) -> bool:
        """Starts no further turn and waits for the running ones; cancels what is left after `seconds` and returns False then."""
        self._is_open = False
        try:
            async with self._clock.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            for task in tuple(self._running.values()):
                task.cancel()
            return False
        return True

    async def _end_all(self) -> None:
        """However often it is cancelled meanwhile."""
        running = tuple(self._running.values())
        for task in running:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while left := [task for task in running if not task.done()]:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    # --- within ----------------------------------------------------------------------------------------------------

    def _wait_for_quiet(self, conversation: str, slot: _Slot, quiet_s: float) -> None:
        if not quiet_s and not slot.not_before:
            self._make_ready(conversation, slot)
            return
        now = self._clock.monotonic()
        slot.due = max(min(now + quiet_s, slot.first_woken + self._burst_s) if quiet_s else now, slot.not_before)
        if slot.due <= now:
            self._make_ready(conversation, slot)
        elif slot.timer is None or slot.due < slot.timer_due:
            self._set_timer(conversation, slot, slot.due - now)

    def _set_timer(self, conversation: str, slot: _Slot, wait_s: float) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
        slot.timer_due = slot.due
        slot.timer = self._clock.call_later(wait_s, lambda: self._time_is_up(conversation, slot))

    def _time_is_up(self, conversation: str, slot: _Slot) -> None:
        slot.timer = None
        wait_s = slot.due - self._clock.monotonic()
        if wait_s > 0.001:
            self._set_timer(conversation, slot, wait_s)
        else:
            self._make_ready(conversation, slot)

    def _make_ready(self, conversation: str, slot: _Slot) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
        slot.state = _State.READY
        self._ready.append(conversation)
        self._pump()

    def _pump(self) -> None:
        if not self._is_open or self._is_alone_running:
            return
        while self._alone:
            if self._running:
                return
            self._is_alone_running = True
            self._start(self._alone.popleft(), self._turn_alone)
            return
        while self._ready and len(self._running) < self._at_once:
            self._start(self._ready.popleft(), self._turn)

    def _start(self, conversation: str, turn: Turn) -> None:
        self._slots[conversation].state = _State.RUNNING
        self._idle.clear()
        self._running[conversation] = asyncio.get_running_loop().create_task(self._run_turn(conversation, turn))

    async def _run_turn(self, conversation: str, turn: Turn) -> None:
        again_s: float | None = None
        try:
            again_s = await turn(conversation)
        except Exception as error:
            self._is_open = False
            if self._failure is None or self._failure.done():
                raise  # nobody waits for it: asyncio logs it
            self._failure.set_exception(error)
        finally:
            self._end(conversation, again_s)

    def _end(self, conversation: str, again_s: float | None) -> None:
        del self._running[conversation]
        if not self._running:
            self._idle.set()
            self._is_alone_running = False
        slot = self._slots[conversation]
        was_woken = slot.state is _State.RUNNING_AGAIN
        if was_woken or again_s is not None:
            slot.state = _State.QUIET
            slot.first_woken = self._clock.monotonic()
            slot.not_before = slot.first_woken + again_s if again_s else 0.0
            self._wait_for_quiet(conversation, slot, slot.quiet_s if again_s is None else 0.0)
        else:
            del self._slots[conversation]
        self._pump()
