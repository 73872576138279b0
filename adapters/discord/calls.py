"""What can go wrong with a request to Discord, and when the next one may leave.

Each request is made once. Who asks decides what a failure means: a post becomes a SendError, a read is made again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from bot.errors import SendError, SendRefused, SendUncertain
from bot.ports import Clock

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""Longest wait for a rate limit inside a request; what takes longer is told to who asks."""

_GLOBAL_PER_S: Final = 45.0
_SAVED_S: Final = 0.1
"""Requests a second of one bot, and for how long what was not used is saved: together they stay below Discord's 50 (its documentation,
"Rate Limits", Global Rate Limit, which does not hold for answers to interactions)."""

_MOST_BUCKETS: Final = 2_000
_TRIES: Final = 4
_WAITS_S: Final = (1.0, 3.0, 10.0)
_REFUSED_WAIT_S: Final = 30.0


class CallFailure(Exception):
    """A request to Discord failed."""


class Limited(CallFailure):
    """The rate limit: nothing was done."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"Discord's rate limit, for {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class Rejected(CallFailure):
    """Discord answered that it will not do it. `code`: its own number for the reason (0: none)."""

    def __init__(self, status: int, code: int, detail: str) -> None:
        super().__init__(f"Discord answered {status}: {detail[:300]} ({code})")
        self.status = status
        self.code = code

    @property
    def is_absent(self) -> bool:
        """Whether there is no such request here, as far as the answer tells: Discord names whatever else is missing by a code."""
        return not self.code and self.status in NOT_SERVED


class Unreached(CallFailure):
    """The request did not leave: nothing was done."""


class Uncertain(CallFailure):
    """No whole answer came, or an answer that says nothing: it may have been done."""


NOT_SERVED: Final = frozenset({404, 405, 501})
"""Statuses of HTTP for what is not there at all."""

UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_INTERACTION: Final = 10062
ALREADY_ANSWERED: Final = 40060
THREAD_ARCHIVED: Final = 50083
THREAD_EXISTS: Final = 160004
"""Codes of Discord's documentation, "Opcodes and Status Codes", JSON Error Codes."""


def send_error(failure: CallFailure) -> SendError:
    """What a post that failed so means to the house."""
    match failure:
        case Limited():
            return SendRefused(str(failure), is_retryable=True, retry_after_s=failure.retry_after_s)
        case Rejected(status=401):  # nothing leaves until the token is changed: it waits for that
            return SendRefused(str(failure), is_retryable=True, retry_after_s=_REFUSED_WAIT_S)
        case Rejected():
            return SendRefused(str(failure), is_retryable=failure.is_absent)
        case Unreached():
            return SendRefused(str(failure), is_retryable=True)
    return SendUncertain(str(failure))


def nothing_sent(failure: CallFailure) -> SendError:
    """What a failure before the post means to the house: the message has not arrived."""
    if isinstance(failure, Uncertain):
        return SendRefused(str(failure), is_retryable=True)
    return send_error(failure)


async def patiently(clock: Clock, call: Callable[[], Awaitable[T]], tries: int = _TRIES) -> T:
    """The result of a request that is safe to repeat: made again after a rate limit or a failure that may pass. Raises the last
    CallFailure."""
    for tried in range(tries - 1):
        try:
            return await call()
        except Limited as limited:
            await clock.sleep(limited.retry_after_s)
        except (Unreached, Uncertain):
            await clock.sleep(_WAITS_S[min(tried, len(_WAITS_S) - 1)])
    return await call()


class _Bucket:
    """One rate limit. One request at a time is under way in it."""

    __slots__ = ("lock", "remaining", "reset_at")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.remaining = 1
        self.reset_at = 0.0

    def wait_s(self, now: float) -> float:
        return max(0.0, self.reset_at - now) if self.remaining <= 0 else 0.0


class Rates:
    """Keeps to the limits that Discord's answers name: one bucket for each kind of request and channel, so that a channel that is limited
    delays no other, and one for all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hashes: dict[str, str] = {}  # kind of request -> the bucket Discord counts it in
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._closed_until = 0.0
        self._next_at = 0.0

    @asynccontextmanager
    async def turn(self, kind: str, major: str, *, is_free: bool = False) -> AsyncIterator["Told"]:
        """When the body runs the request may leave. Raises Limited where that would take longer than PATIENCE_S. `is_free`: the limit of all
        requests does not hold for this one."""
        bucket = self._bucket(kind, major)
        async with bucket.lock:
            now = self._clock.monotonic()
            wait_s = bucket.wait_s(now)
            if not is_free:
                wait_s = max(wait_s, self._closed_until - now, self._pace(now))
            if wait_s > PATIENCE_S:
                raise Limited(wait_s)
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            yield Told(self, bucket, kind, major)

    def close(self, seconds: float) -> None:
        """The limit of all requests is reached."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def name(self, kind: str, major: str, hash_: str, bucket: _Bucket) -> None:
        self._hashes[kind] = hash_
        self._buckets.setdefault(f"{hash_} {major}", bucket)

    def _pace(self, now: float) -> float:
        """Takes the next place in the row of all requests, and tells how long it is until then."""
        self._next_at = max(self._next_at, now - _SAVED_S) + 1.0 / _GLOBAL_PER_S
        return self._next_at - now

    def _bucket(self, kind: str, major: str) -> _Bucket:
        key = f"{self._hashes.get(kind, kind)} {major}"
        bucket = self._buckets.setdefault(key, _Bucket())
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_BUCKETS:
            oldest, idle = next(iter(self._buckets.items()))
            if not idle.lock.locked():
                del self._buckets[oldest]
        return bucket


class Told:
    """Takes what an answer says of the limits."""

    def __init__(self, rates: Rates, bucket: _Bucket, kind: str, major: str) -> None:
        self._rates = rates
        self._bucket = bucket
        self._kind = kind
        self._major = major

    def headers(self, headers: Mapping[str, str], now: float) -> None:
        hash_ = headers.get("X-RateLimit-Bucket")
        if hash_:
            self._rates.name(self._kind, self._major, hash_, self._bucket)
        remaining, reset_s = _number(headers, "X-RateLimit-Remaining"), _number(headers, "X-RateLimit-Reset-After")
        if remaining is not None and reset_s is not None:
            self._bucket.remaining = int(remaining)
            self._bucket.reset_at = now + reset_s

    def limited(self, retry_after_s: float, now: float, *, is_global: bool) -> None:
        if is_global:
            self._rates.close(retry_after_s)
        else:
            self._bucket.remaining = 0
            self._bucket.reset_at = now + retry_after_s


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        return float(headers[name])
    except (KeyError, ValueError):
        return None
