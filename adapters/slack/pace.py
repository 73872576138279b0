"""How fast Slack may be called: what a minute leaves for courtesies, and queues for what was told to wait.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from dataclasses import dataclass
from typing import Final

POSTS_PER_MINUTE: Final = 60.0  # one a second, in each channel
TIER_3: Final = 50.0  # calls a minute
POST: Final = "chat_postMessage"
_EARLY_S: Final = 0.02  # who waits in whole milliseconds comes back so little too early
_FORGOTTEN_S: Final = 60.0
_MOST: Final = 1_000  # queues, before those that nobody stands in are forgotten


class Budget:
    """`most` calls at once, and `per_minute` more with each minute. For what may also be left out."""

    def __init__(self, per_minute: float, most: float) -> None:
        self._per_s = per_minute / 60
        self._most = self._left = most
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether there is a call left; it is taken then."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class _Queue:
    step_s: float
    next_at: float
    last_at: float = 0.0  # the latest time that somebody was told


class Queues:
    """What follows a rate limit: whoever calls too early is told a time of their own, so that not all come back at the same moment."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], _Queue] = {}

    def limited(self, method: str, channel: str, until: float) -> None:
        """Slack takes no such call before `until`."""
        key = _key(method, channel)
        queue = self._queues.get(key)
        if queue is None:
            self._tidy(until)
            per_minute = POSTS_PER_MINUTE if method == POST else TIER_3
            self._queues[key] = _Queue(60 / per_minute, until)
        else:
            queue.next_at = max(queue.next_at, until)

    def wait_s(self, method: str, channel: str, now: float) -> float:
        """Seconds to wait; 0: the call may be made, and counts."""
        key = _key(method, channel)
        queue = self._queues.get(key)
        if queue is None:
            return 0.0
        if now < queue.next_at - _EARLY_S:
            queue.last_at = max(queue.next_at, queue.last_at + queue.step_s)
            return queue.last_at - now
        if now > max(queue.last_at, queue.next_at) + _FORGOTTEN_S:
            del self._queues[key]
        queue.next_at = now + queue.step_s
        return 0.0

    def _tidy(self, now: float) -> None:
        if len(self._queues) >= _MOST:
            for key, queue in list(self._queues.items()):
                if now > max(queue.last_at, queue.next_at) + _FORGOTTEN_S:
                    del self._queues[key]


def _key(method: str, channel: str) -> tuple[str, str]:
    return method, channel if method == POST else ""
