"""What stands before and behind the API: limits of rate, and everything that can go wrong with a request
(https://docs.discord.com/developers/topics/rate-limits)."""

import asyncio
import hashlib
import time
from collections import deque
from dataclasses import dataclass, field

from tests.platforms.discord.limits import GLOBAL_REQUESTS, Json

POST, EDIT, DELETE, LIST, ANSWER, TYPE, FILE, THREAD, OTHER = (
    "post",
    "edit",
    "delete",
    "list",
    "answer",
    "type",
    "file",
    "thread",
    "other",
)

_KINDS = {
    ("POST", "/channels/{channel}/messages"): POST,
    ("PATCH", "/channels/{channel}/messages/{message}"): EDIT,
    ("DELETE", "/channels/{channel}/messages/{message}"): DELETE,
    ("GET", "/channels/{channel}/messages"): LIST,
    ("POST", "/channels/{channel}/typing"): TYPE,
    ("POST", "/channels/{channel}/messages/{message}/threads"): THREAD,
    ("POST", "/interactions/{interaction}/{token}/callback"): ANSWER,
    ("POST", "/webhooks/{application}/{token}"): ANSWER,
    ("PATCH", "/webhooks/{application}/{token}/messages/{message}"): ANSWER,
}
_EARLY_S = 0.05  # of ours: so much earlier than told still counts as having waited


def kind_of(method: str, template: str) -> str:
    return _KINDS.get((method, template), OTHER)


@dataclass(eq=False, slots=True)
class Fault:
    """What befalls the next `count` requests of one kind. `what`: "lose answer" (carried out, then cut), "lose request" (cut before),
    "fail" (answered with `status`; carried out first if `is_done`), "limit" (429 with `seconds`), "slow" (by `seconds`), "hold" (until released)."""

    what: str
    kind: str
    count: int
    status: int = 503
    is_done: bool = False
    seconds: float = 0.0
    is_global: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Lets go of what is held, and of all that would be."""
        self.count = 0
        self.released.set()


class Faults:
    """All that were asked for, in that order."""

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self._all.append(fault)
        return fault

    def take(self, kind: str, *whats: str) -> Fault | None:
        for fault in self._all:
            if fault.count > 0 and fault.kind == kind and fault.what in whats:
                fault.count -= 1
                return fault
        return None

    def clear(self) -> None:
        """Nothing goes wrong any more, and what is held goes on."""
        for fault in self._all:
            fault.release()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request goes through: the headers that tell of its bucket, and for a refusal how long to wait."""

    headers: dict[str, str]
    retry_after_s: float | None = None
    is_global: bool = False
    is_early: bool = False

    @property
    def body(self) -> Json:
        return {
            "message": "You are being rate limited.",
            "retry_after": round(self.retry_after_s or 0.0, 3),
            "global": self.is_global,
        }


@dataclass(eq=False, slots=True)
class _Bucket:
    ends_at: float = 0.0
    used: int = 0
    blocked_until: float = 0.0


class Throttle:
    """Windows of requests by bucket: `limits` by kind of request, as (requests, seconds). Discord names no numbers ("should not be
    hard coded"); those here are what its headers commonly say. `global_requests` is documented."""

    def __init__(self) -> None:
        self.limits: dict[str, tuple[int, float]] = {
            POST: (5, 5.0),
            EDIT: (5, 5.0),
            DELETE: (5, 1.0),
            LIST: (5, 5.0),
            TYPE: (5, 5.0),
        }
        self.others = (50, 1.0)
        self.global_requests = GLOBAL_REQUESTS
        self._buckets: dict[str, _Bucket] = {}
        self._recent: deque[float] = deque()
        self._blocked_until = 0.0

    def ask(self, kind: str, route: str, major: str, *, is_exempt: bool = False) -> Verdict:
        """`is_exempt`: from the global limit, as interactions are."""
        now = asyncio.get_running_loop().time()
        most, window_s = self.limits.get(kind, self.others)
        bucket = self._buckets.setdefault(f"{route}:{major}", _Bucket())
        if now >= bucket.ends_at:
            bucket.ends_at, bucket.used = now + window_s, 0
        headers = self._headers(route, bucket, most, now)
        if not is_exempt and now < self._blocked_until:
            return Verdict(headers, self._blocked_until - now, True, now < self._blocked_until - _EARLY_S)
        if now < bucket.blocked_until:
            return Verdict(headers, bucket.blocked_until - now, False, now < bucket.blocked_until - _EARLY_S)
        if not is_exempt and self._is_too_much(now):
            self._blocked_until = now + 1.0
            return Verdict(headers, 1.0, is_global=True)
        if bucket.used >= most:
            bucket.blocked_until = bucket.ends_at
            return Verdict(headers, bucket.ends_at - now)
        bucket.used += 1
        return Verdict(self._headers(route, bucket, most, now))

    def refuse(self, route: str, major: str, seconds: float, *, is_global: bool) -> Verdict:
        """Blocks the bucket, or everything, for so long."""
        now = asyncio.get_running_loop().time()
        bucket = self._buckets.setdefault(f"{route}:{major}", _Bucket())
        if is_global:
            self._blocked_until = now + seconds
        else:
            bucket.blocked_until = now + seconds
            bucket.ends_at, bucket.used = max(bucket.ends_at, now + seconds), max(bucket.used, 1)
        return Verdict(self._headers(route, bucket, 1, now), seconds, is_global)

    def _is_too_much(self, now: float) -> bool:
        while self._recent and now - self._recent[0] >= 1.0:
            self._recent.popleft()
        self._recent.append(now)
        return len(self._recent) > self.global_requests

    def _headers(self, route: str, bucket: _Bucket, most: int, now: float) -> dict[str, str]:
        left_s = max(bucket.ends_at - now, 0.0)
        return {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(max(most - bucket.used, 0)),
            "X-RateLimit-Reset": f"{time.time() + left_s:.3f}",
            "X-RateLimit-Reset-After": f"{left_s:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(route.encode()).hexdigest()[:32],
        }
