"""Providers that count requests and tokens as real ones do, and a model that is served by one of them."""

import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from bot.agent.sizes import chars_of
from bot.errors import Fault, ModelError
from bot.ports import ChatRequest, Chunk, Clock, Finished, TextDelta, Usage


class Meter(Protocol):
    """One limit a minute."""

    def has_room(self, now: float, amount: float) -> bool: ...

    def add(self, now: float, amount: float) -> None: ...


class FixedMinute:
    """Counts from zero at each turn of its own minute."""

    def __init__(self, limit: float, phase: float) -> None:
        self.limit, self.phase = limit, phase
        self.minute, self.used = -1, 0.0

    def has_room(self, now: float, amount: float) -> bool:
        self._turn(now)
        return self.used + amount <= self.limit

    def add(self, now: float, amount: float) -> None:
        self._turn(now)
        self.used += amount

    def _turn(self, now: float) -> None:
        minute = int((now + self.phase) // 60)
        if minute != self.minute:
            self.minute, self.used = minute, 0.0


class SlidingMinute:
    """Looks at the last sixty seconds."""

    def __init__(self, limit: float, phase: float) -> None:
        self.limit = limit
        self.used = 0.0
        self.entries: deque[tuple[float, float]] = deque()

    def has_room(self, now: float, amount: float) -> bool:
        while self.entries and self.entries[0][0] <= now - 60:
            self.used -= self.entries.popleft()[1]
        return self.used + amount <= self.limit + 1e-6

    def add(self, now: float, amount: float) -> None:
        self.entries.append((now, amount))
        self.used += amount


class Bucket:
    """Holds a minute's worth and refills all the time."""

    def __init__(self, limit: float, phase: float) -> None:
        self.limit = self.level = limit
        self.seen = 0.0

    def has_room(self, now: float, amount: float) -> bool:
        self._fill(now)
        return self.level >= amount

    def add(self, now: float, amount: float) -> None:
        self._fill(now)
        self.level -= amount

    def _fill(self, now: float) -> None:
        self.level = min(self.limit, self.level + self.limit / 60 * (now - self.seen))
        self.seen = now


class ServedModel:
    """A model of such a provider: the prompt counts when the request arrives, the answer when it ends."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        requests: Meter | None,
        tokens: Meter | None,
        dice: random.Random,
        seconds: float = 3.0,
    ) -> None:
        self.name = name
        self.refused = 0
        self.served: list[tuple[float, int]] = []  # when, and how many tokens
        self.running = 0
        self.most_running = 0
        self._clock = clock
        self._requests = requests
        self._tokens = tokens
        self._dice = dice
        self._seconds = seconds

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self._clock.sleep(self._dice.uniform(0, 0.5))
            read = round((chars_of(request.messages) + len(request.instructions)) * self._dice.uniform(0.22, 0.30))
            self._let_in(read)
            arrived = self._clock.monotonic()
            await self._clock.sleep(self._dice.uniform(0.5, 1.5) * self._seconds)
            written = self._dice.randint(50, 200)
            if self._tokens is not None:
                self._tokens.add(self._clock.monotonic(), written)
            self.served.append((arrived, read + written))
            await self._clock.sleep(self._dice.uniform(0, 0.5))
            yield TextDelta("Here.")
            yield Usage(read, written)
            yield Finished()
        finally:
            self.running -= 1

    def _let_in(self, tokens: int) -> None:
        now = self._clock.monotonic()
        pairs = [
            (meter, amount) for meter, amount in ((self._requests, 1), (self._tokens, tokens)) if meter is not None
        ]
        if not all(meter.has_room(now, amount) for meter, amount in pairs):
            self.refused += 1
            raise ModelError("too many", Fault.RATE_LIMITED)
        for meter, amount in pairs:
            meter.add(now, amount)
