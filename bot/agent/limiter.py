"""How fast one model is asked: requests and tokens a minute, calls at once, and a fair queue in front of them.

Promise: what it lets through stays within the stated limits whichever way the provider counts (a fixed minute, a sliding one, a bucket
that refills), and uses at least 95 % of them. No call waits while another conversation has several before it.

How: no stretch of a minute and a margin holds more than a minute's worth. A call's prompt counts from when it was sent, its answer
from when it ended. Tokens are known only afterwards; until then a call counts as what the calls before it took for as many characters,
with three standard errors of the sum on top.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, log2, sqrt
from random import random as _random

from bot.config.schema import ModelLimits
from bot.model import changeable
from bot.ports import Clock, Headroom, Timer, Usage

WINDOW_S = 61.1  # a minute; half a second to get there for the first and the last call in it; a rest
GRAIN_S = 0.1  # what is sent within so many seconds is counted together, as of the last of it
FIRST_PAUSE_S = 1.0
PAUSE_MOST_S = 60.0
RETRY_AFTER_MOST_S = 3600.0
TOKENS_A_CHAR = 1.0  # before the first answer: more than any language takes
_MEMORY = 50  # calls that an estimate looks back on
_NOTHING = 1e-6  # below it, the rest of sums of fractions
_TICK_S = 0.001
_ERRORS = 3.0  # standard errors that are kept free


class Expected:
    """Mean and spread of what calls take, leaning to the latest; before the first, a bound."""

    __slots__ = ("mean", "seen", "variance")

    def __init__(self, bound: float) -> None:
        self.mean = bound
        self.variance = 0.0
        self.seen = 0

    def learn(self, value: float) -> None:
        self.seen = min(self.seen + 1, _MEMORY)
        if self.seen == 1:
            self.mean, self.variance = value, (value / 2) ** 2
            return
        weight = 1 / self.seen
        off = value - self.mean
        self.mean += weight * off
        self.variance = (1 - weight) * (self.variance + weight * off * off)

    def most(self, total: float, squares: float) -> float:
        """The most that calls of altogether so many units (and the sum of their squares) are likely to take."""
        if not self.seen:
            return self.mean * total
        return self.mean * total + _ERRORS * sqrt(self.variance * (squares + total * total / self.seen))


@changeable
class _Slot:
    """What counts until `at` + WINDOW_S."""

    begun: float
    at: float
    requests: int = 0
    tokens: float = 0.0
    is_gone: bool = False


@dataclass(slots=True, eq=False)
class Lease:
    """A call that may run. It is given back by exactly one of `answered`, `ended`, `refused`, `limited`, `unused`."""

    chars: int
    sent: float  # monotonic seconds
    slot: _Slot
    epoch: int  # how often there had been trouble when it was sent


@dataclass(slots=True, eq=False)
class _Waiter:
    conversation: str
    chars: int
    granted: "asyncio.Future[Lease | None]"


@changeable
class _Left:
    """What a server says may still be used until a moment."""

    amount: float = inf
    until: float = 0.0

    def wait_s(self, need: float, limit: float, now: float) -> float:
        """A call larger than the limit itself can only be tried."""
        return self.until - now if now < self.until and self.amount < min(need, limit) else 0.0


@changeable
class _Running:
    """The calls that run now, as their sums."""

    calls: int = 0
    chars: float = 0.0
    squares: float = 0.0

    def add(self, chars: int, by: int) -> None:
        self.calls += by
        self.chars += by * chars
        self.squares += by * chars * chars


@changeable
class _Stated:
    """Limits a minute, by the config or by the server."""

    requests: float = inf
    tokens: float = inf


def _stated(limits: ModelLimits) -> _Stated:
    return _Stated(limits.requests_per_minute or inf, limits.tokens_per_minute or inf)


@changeable
class _Used:
    """What was used within the window."""

    requests: int = 0
    tokens: float = 0.0
    slots: deque[_Slot] = field(default_factory=deque)

    def slot(self, now: float) -> _Slot:
        """The one that counts as of now."""
        if not self.slots or now - self.slots[-1].begun >= GRAIN_S:
            self.slots.append(_Slot(now, now))
        slot = self.slots[-1]
        slot.at = now
        return slot

    def add(self, slot: _Slot, requests: int, tokens: float) -> None:
        if not slot.is_gone:
            slot.requests += requests
            slot.tokens += tokens
            self.requests += requests
            self.tokens += tokens

    def expire(self, now: float) -> None:
        while self.slots and self.slots[0].at + WINDOW_S <= now:
            slot = self.slots.popleft()
            slot.is_gone = True
            self.requests -= slot.requests
            self.tokens = self.tokens - slot.tokens if self.slots else 0.0


class Limiter:
    """One model's. A call is let through by `at_once` or `wait`. `counts_cached`: tokens read from the prompt cache count against the
    limit; `output_tokens`: the longest answer, for as long as none is known."""

    def __init__(
        self,
        limits: ModelLimits,
        clock: Clock,
        *,
        counts_cached: bool = True,
        output_tokens: int = 2_048,
        random: Callable[[], float] = _random,
    ) -> None:
        self.limits = limits
        self.heard = _Stated()  # what the server's headers say
        self._stated = _stated(limits)
        self._clock = clock
        self._random = random
        self._counts_cached = counts_cached
        self._used = _Used()
        self._running = _Running()
        self._per_char = Expected(TOKENS_A_CHAR)
        self._answer = Expected(output_tokens)
        self._seconds = Expected(0.0)
        self._requests_left = _Left()
        self._tokens_left = _Left()
        self._epoch = 0
        self._fresh = 0  # running calls of this epoch
        self._width = limits.calls_at_once  # most of them: one after trouble, and with each answer twice as many
        self._pauses = 0
        self._blocked_until = 0.0
        self._queues: dict[str, deque[_Waiter]] = {}
        self._waiting = 0
        self._timer: Timer | None = None

    # --- what it says ------------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        return self._running.calls

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def requests_limit(self) -> float:
        """Requests a minute in force; infinite when nobody has said."""
        return min(self._stated.requests, self.heard.requests)

    @property
    def tokens_limit(self) -> float:
        return min(self._stated.tokens, self.heard.tokens)

    @property
    def counts_tokens(self) -> bool:
        """Whether the size of a call matters here."""
        return self.tokens_limit < inf

    def blocked_s(self) -> float:
        """Seconds for which the server wants to be left alone."""
        return max(0.0, self._blocked_until - self._clock.monotonic())

    def wait_s(self, conversation: str, chars: int) -> float:
        """How long a call would wait if it came now, as far as that can be told."""
        now = self._clock.monotonic()
        self._used.expire(now)
        own = self._queues.get(conversation)
        ahead = min(self._waiting, (len(own) + 1 if own else 1) * len(self._queues))
        minute = self._minute_s(now, chars, ahead) if self._per_char.seen or not self.counts_tokens else 0.0
        return max(self._blocked_until - now, minute, self._room_s(ahead))

    def takes_s(self) -> float:
        """Seconds that a call takes from its leaving, by those before; 0 before the first."""
        return self._seconds.mean

    def _room_s(self, ahead: int) -> float:
        """Seconds until calls have ended that make room, if they take as long as those before."""
        most = self.limits.calls_at_once
        rounds = max(0.0, (self._running.calls + ahead + 1 - most) / most)
        if self._width < most and (surplus := self._fresh + ahead + 1 - self._width) > 0:
            rounds = max(rounds, log2(1 + surplus / self._width))
        return rounds * self._seconds.mean

    # --- letting calls through ---------------------------------------------------------------------------------------

    def at_once(self, chars: int) -> Lease | None:
        """A lease, if nobody is waiting and there is room."""
        if self._waiting:
            return None
        now = self._clock.monotonic()
        return None if self._wait_s(now, chars) > 0 else self._grant(now, chars)

    async def wait(self, conversation: str, chars: int, most_s: float) -> Lease | None:
        """A lease when it is this conversation's turn: conversations take turns, and each one's calls keep their order. None after
        `most_s` seconds, and when everybody was turned away."""
        waiter = _Waiter(conversation, chars, asyncio.get_running_loop().create_future())
        self._queues.setdefault(conversation, deque()).append(waiter)
        self._waiting += 1
        timer = self._clock.call_later(max(0.0, most_s), lambda: self._leave(waiter))
        self._pump()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            if (lease := waiter.granted.result() if not waiter.granted.cancelled() else None) is not None:
                self.unused(lease)
            raise
        finally:
            timer.cancel()

    def turn_away(self) -> None:
        """Nobody waits any longer: the model is not to be asked for now. Afterwards calls come back one by one, then two, then four."""
        self._note_trouble()
        waiters = [waiter for queue in self._queues.values() for waiter in queue]
        self._queues.clear()
        self._waiting = 0
        for waiter in waiters:
            if not waiter.granted.done():
                waiter.granted.set_result(None)
        self._pump()

    # --- giving back -------------------------------------------------------------------------------------------------

    def answered(self, lease: Lease, usage: Usage) -> None:
        """The model answered; zero usage means that the server did not tell."""
        self._seconds.learn(self._clock.monotonic() - lease.sent)
        if usage.output_tokens:
            self._answer.learn(usage.output_tokens)
        if lease.epoch == self._epoch:
            self._pauses = 0
            self._width = min(self._width * 2, self.limits.calls_at_once)
        self.ended(lease, usage)

    def ended(self, lease: Lease, usage: Usage) -> None:
        """The call ended otherwise; what is not known of it counts as what was expected."""
        read = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens * self._counts_cached
        if lease.chars and read:
            self._per_char.learn(read / lease.chars)
        if self.counts_tokens:
            now = self._clock.monotonic()
            self._used.expire(now)
            self._used.add(lease.slot, 0, read or self._per_char.mean * lease.chars)
            self._used.add(self._used.slot(now), 0, usage.output_tokens if read else self._answer.mean)
        self._give_back(lease)

    def refused(self, lease: Lease) -> None:
        """The call reached the server at most, and took no tokens."""
        self._give_back(lease)

    def limited(self, lease: Lease, retry_after_s: float | None) -> None:
        """The server refused the call as one too many. Nobody asks it again until it says, or for a pause that grows."""
        is_new = lease.epoch == self._epoch
        if is_new:
            self._pauses += 1
            self._note_trouble()
        if retry_after_s is not None:
            self._block(min(RETRY_AFTER_MOST_S, max(0.0, retry_after_s)))
        elif is_new:
            most = min(PAUSE_MOST_S, FIRST_PAUSE_S * 2 ** min(self._pauses - 1, 10))
            self._block(most * (1 + self._random()) / 2)
        self._give_back(lease)

    def unused(self, lease: Lease) -> None:
        """Nothing was sent."""
        self._used.add(lease.slot, -1, 0)
        self._give_back(lease)

    def hear(self, headroom: Headroom) -> None:
        """What the server says of its limits: the lower of that and the stated ones is in force."""
        now = self._clock.monotonic()
        if headroom.requests_limit is not None:
            self.heard.requests = max(1, headroom.requests_limit)
        if headroom.tokens_limit is not None:
            self.heard.tokens = max(1, headroom.tokens_limit)
        if headroom.requests_left is not None and _is_believable(headroom.requests_reset_s):
            self._requests_left = _Left(headroom.requests_left, now + (headroom.requests_reset_s or 0.0))
        if headroom.tokens_left is not None and _is_believable(headroom.tokens_reset_s):
            self._tokens_left = _Left(headroom.tokens_left, now + (headroom.tokens_reset_s or 0.0))
        if self._waiting:
            self._pump()

    def take(self, limits: ModelLimits) -> None:
        """Other limits from now on."""
        has_trouble = self._width < self.limits.calls_at_once
        self._width = min(self._width, limits.calls_at_once) if has_trouble else limits.calls_at_once
        self.limits = limits
        self._stated = _stated(limits)
        self._pump()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _wait_s(self, now: float, chars: int) -> float:
        """Seconds until one more call may go; infinite while only the end of another can make room."""
        if self._running.calls >= self.limits.calls_at_once or self._fresh >= self._width:
            return inf
        if now < self._blocked_until:
            return self._blocked_until - now
        self._used.expire(now)
        return self._minute_s(now, chars, 0)

    def _minute_s(self, now: float, chars: int, ahead: int) -> float:
        """Seconds until the limits of a minute leave room for a call behind so many others of its size."""
        wait = self._left_s(now, chars)
        if (most := self.requests_limit) < inf:
            surplus = self._used.requests + 1 + ahead - most
            wait = max(wait, self._falls_s(now, surplus, most, lambda slot: slot.requests))
        if (most := self.tokens_limit) < inf:
            surplus = self._used.tokens + self._tokens(chars, ahead, most) - most
            wait = max(wait, self._falls_s(now, surplus, most, lambda slot: slot.tokens))
        return wait

    def _left_s(self, now: float, chars: int) -> float:
        """Seconds until the server, by its own word, has room for this call."""
        requests, tokens = self._requests_left, self._tokens_left
        if now >= requests.until and now >= tokens.until:
            return 0.0
        need = self._per_char.mean * chars
        return max(requests.wait_s(1, self.requests_limit, now), tokens.wait_s(need, self.tokens_limit, now))

    def _tokens(self, chars: int, ahead: int, most: float) -> float:
        """The most that the running calls, those ahead and one more will take. A call that is larger than the limit may go alone."""
        running = self._running
        count = running.calls + ahead + 1
        squares = running.squares + (ahead + 1) * chars * chars
        tokens = self._per_char.most(running.chars + (ahead + 1) * chars, squares) + self._answer.most(count, count)
        return tokens if count > 1 else min(tokens, most)

    def _falls_s(self, now: float, surplus: float, most: float, amount: Callable[[_Slot], float]) -> float:
        """Seconds until so much less counts."""
        if surplus <= _NOTHING:
            return 0.0
        for slot in self._used.slots:
            surplus -= amount(slot)
            if surplus <= _NOTHING:
                return slot.at + WINDOW_S - now
        return WINDOW_S * (1 + surplus // most)

    def _grant(self, now: float, chars: int) -> Lease:
        slot = self._used.slot(now)
        self._used.add(slot, 1, 0)
        self._running.add(chars, 1)
        self._requests_left.amount -= 1
        self._tokens_left.amount -= self._per_char.mean * chars
        self._fresh += 1
        return Lease(chars, now, slot, self._epoch)

    def _give_back(self, lease: Lease) -> None:
        self._running.add(lease.chars, -1)
        if lease.epoch == self._epoch:
            self._fresh -= 1
        if self._waiting:
            self._pump()

    def _note_trouble(self) -> None:
        self._epoch += 1
        self._fresh = 0
        self._width = 1

    def _block(self, seconds: float) -> None:
        self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)

    def _pump(self) -> None:
        """Lets through whoever may go, in turn, and looks again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        while self._queues:
            conversation, queue = next(iter(self._queues.items()))
            wait = self._wait_s(now, queue[0].chars)
            if wait > 0:
                if wait < inf:
                    self._timer = self._clock.call_later(max(wait, _TICK_S), self._pump)
                return
            waiter = queue.popleft()
            self._waiting -= 1
            del self._queues[conversation]
            if queue:
                self._queues[conversation] = queue
            if not waiter.granted.done():  # else its caller was cancelled a moment ago
                waiter.granted.set_result(self._grant(now, waiter.chars))

    def _leave(self, waiter: _Waiter) -> None:
        """Takes one out of the queue, if it still stands there."""
        queue = self._queues.get(waiter.conversation)
        if queue is None or waiter not in queue:
            return
        is_first = queue[0] is waiter
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._queues[waiter.conversation]
        if not waiter.granted.done():
            waiter.granted.set_result(None)
        if is_first:
            self._pump()


def _is_believable(reset_s: float | None) -> bool:
    """A reset further away than any retry is waited for is a moment in place of seconds, or another limit's."""
    return reset_s is not None and 0 <= reset_s <= RETRY_AFTER_MOST_S
