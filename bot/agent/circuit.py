"""Whether a model may be asked at all: after failures in a row it is left alone, and then asked again by one call.

Promise: while a circuit is open no call reaches the model; when its pause is over exactly one does, and its end decides.
"""

from collections.abc import Callable
from random import random as _random

from bot.errors import Fault
from bot.ports import Clock

LONGEST = 4  # times the first pause: people wait for the model to come back
LONGEST_FOR_PEOPLE = 10  # for what a person has to mend
JITTER = 0.25  # of a pause, so that several processes don't come back together

_AT_ONCE = frozenset({Fault.KEY, Fault.BALANCE, Fault.NOT_FOUND})
_LONG = frozenset({Fault.KEY, Fault.BALANCE})
_UNCOUNTED = frozenset({Fault.RATE_LIMITED, Fault.TOO_LONG, Fault.REJECTED, Fault.CAPPED})


class Circuit:
    """One model's. Each call enters, and then succeeds, fails or is abandoned with the number that `enter` gave it, so that the late
    end of an old call decides nothing."""

    def __init__(
        self, clock: Clock, *, failures: int = 5, pause_s: float = 30.0, random: Callable[[], float] = _random
    ) -> None:
        self.failures_most = failures
        self.pause_s = pause_s
        self.fault: Fault | None = None  # what opened it
        self._clock = clock
        self._random = random
        self._failures = 0
        self._openings = 0  # in a row, since the last success
        self._number = 0
        self._is_open = False
        self._is_probing = False
        self._due = 0.0

    @property
    def state(self) -> str:
        if not self._is_open:
            return "closed"
        return "half-open" if self._is_probing or self.wait_s() <= 0 else "open"

    def wait_s(self) -> float:
        """Seconds until the next call may try whether the model is back; 0 when one may."""
        return max(0.0, self._due - self._clock.monotonic()) if self._is_open else 0.0

    def is_shut(self) -> bool:
        """Whether `enter` would refuse now."""
        return self._is_open and (self._is_probing or self._clock.monotonic() < self._due)

    def enter(self) -> int | None:
        """The number of a call that may go ahead, or None."""
        if self._is_open:
            if self.is_shut():
                return None
            self._is_probing = True
        return self._number

    def succeeded(self, number: int) -> None:
        if number != self._number:
            if not self._is_open:
                self._failures = 0
            return
        if self._failures:
            self._number += 1  # calls that began before this success say nothing of the model as it is now
        self._failures = self._openings = 0
        self._is_open = self._is_probing = False
        self.fault = None

    def failed(self, number: int, fault: Fault) -> bool:
        """Whether this failure has opened the circuit. A fault that says nothing of the model's health changes nothing."""
        if number != self._number:
            return False
        if fault in _UNCOUNTED:
            self._is_probing = False
            return False
        self._failures += 1
        if not (self._is_open or fault in _AT_ONCE or self._failures >= self.failures_most):
            return False
        self._open(fault)
        return True

    def abandoned(self, number: int) -> None:
        """The call ended without a verdict: the next one may try."""
        if number == self._number:
            self._is_probing = False

    def _open(self, fault: Fault) -> None:
        times = (
            LONGEST_FOR_PEOPLE if fault in _LONG else min(LONGEST, 2**self._openings * (1 + JITTER * self._random()))
        )
        self._due = self._clock.monotonic() + self.pause_s * times
        self._openings = min(self._openings + 1, LONGEST)
        self._number += 1
        self._failures = 0
        self._is_open = True
        self._is_probing = False
        self.fault = fault
