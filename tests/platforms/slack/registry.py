"""The methods of the Web API: how they are found, what they are called with, what they need and how often they may be called."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.ports import Clock
from tests.platforms.slack.world import Json, Room, Workspace

TIER_1, TIER_2, TIER_3, TIER_4 = 1.0, 20.0, 50.0, 100.0
"""Calls a minute, per method and workspace. https://docs.slack.dev/apis/web-api/rate-limits"""
POSTING = -1.0
"""Special: one message a second in each channel, short bursts above that are taken. https://docs.slack.dev/apis/web-api/rate-limits"""
UNLIMITED = 0.0
POSTING_BURST = 4.0
"""Slack names no number for a burst; this is a cautious one."""
EARLY_S = 0.05
"""A repeat that comes by so little too early is put down to clocks."""


class ApiError(Exception):
    """The call is refused: `{"ok": false, "error": code}` with HTTP status 200, and `more` beside it."""

    def __init__(self, code: str, **more: Any) -> None:  # Any: JSON
        super().__init__(code)
        self.code = code
        self.more = more


class Args:
    """The arguments of one call, from JSON, a form or the query alike: nested values may come as JSON text, truth as "1" or "true"."""

    def __init__(self, values: Json, *, is_app_token: bool = False) -> None:
        self.values = values
        self.is_app_token = is_app_token

    def text(self, name: str, default: str = "") -> str:
        content = self.values.get(name)
        return default if content is None else str(content)

    def need(self, name: str, code: str = "invalid_arguments") -> str:
        content = self.text(name)
        if not content:
            raise ApiError(code, response_metadata={"messages": [f"[ERROR] missing required field: {name}"]})
        return content

    def flag(self, name: str) -> bool | None:
        """None where it was not given."""
        content = self.values.get(name)
        return None if content is None else content in (True, 1, "1", "true", "True")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError):
            raise ApiError("invalid_arguments") from None

    def data(self, name: str, code: str = "invalid_arguments") -> Any:  # Any: JSON
        """A list or an object; None where it was not given."""
        content = self.values.get(name)
        if not isinstance(content, str):
            return content
        if not content:
            return None
        try:
            return json.loads(content)
        except ValueError:
            raise ApiError(code) from None


Handler = Callable[[Workspace, Args], Json]


@dataclass(frozen=True)
class Method:
    handler: Handler
    tier: float
    scopes: frozenset[str]  # any one of them is enough; none: every token may
    takes_app_token: bool = False


METHODS: dict[str, Method] = {}


def method(name: str, tier: float, *scopes: str, takes_app_token: bool = False) -> Callable[[Handler], Handler]:
    """Registers a handler under its name. The handler is called with a workspace whose token was good."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(handler, tier, frozenset(scopes), takes_app_token)
        return handler

    return register


def room_of(space: Workspace, args: Args, name: str = "channel") -> Room:
    """The room named in the arguments. A user id stands for the direct chat with that person, as chat.postMessage takes it."""
    key = args.need(name, "channel_not_found")
    if key in space.people and not space.people[key].is_bot:
        return space.direct(space.people[key])
    room = space.rooms.get(key)
    if room is None or (room.kind == "im" and space.bot.id not in room.members):
        raise ApiError("channel_not_found")
    return room


def writable(space: Workspace, args: Args, name: str = "channel") -> Room:
    """The room, if the app may write there."""
    room = room_of(space, args, name)
    if room.is_archived:
        raise ApiError("is_archived")
    if room.kind == "im" and not space.has_messages_tab:
        raise ApiError("messages_tab_disabled")
    is_public = room.kind == "channel" and "chat:write.public" in space.scopes
    if space.bot.id not in room.members and not is_public:
        raise ApiError("not_in_channel" if room.kind == "channel" else "channel_not_found")
    return room


@dataclass
class Pace:
    """Rate limits of one workspace. `is_on = False` lifts them (not the ones that a fault imposes)."""

    clock: Clock
    is_on: bool = True
    tiers: dict[str, float] = field(
        default_factory=dict
    )  # other calls a minute for a method, e.g. 1 for history of an app that is sold
    _buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    _until: dict[tuple[str, str], float] = field(default_factory=dict)

    def wait_s(self, name: str, tier: float, room: str) -> int:
        """Seconds for the Retry-After header; 0: the call is within the limits."""
        if not self.is_on or tier == UNLIMITED:
            return 0
        tier = self.tiers.get(name, tier)
        most, per_s = (POSTING_BURST, 1.0) if tier == POSTING else (tier, tier / 60.0)
        key = self._key(name, room)
        now = self.clock.monotonic()
        left, at = self._buckets.get(key, (most, now))
        left = min(most, left + (now - at) * per_s)
        self._buckets[key] = (max(0.0, left - 1.0) if left >= 1.0 else left, now)
        return 0 if left >= 1.0 else max(1, math.ceil((1.0 - left) / per_s))

    def refused(self, name: str, room: str, seconds: float) -> None:
        """The app was told to wait so long with this."""
        self._until[self._key(name, room)] = self.clock.monotonic() + seconds

    def is_early(self, name: str, room: str) -> bool:
        """The app calls although it was told to wait."""
        return self.clock.monotonic() < self._until.get(self._key(name, room), 0.0) - EARLY_S

    @staticmethod
    def _key(name: str, room: str) -> tuple[str, str]:
        return (name, room if name == "chat.postMessage" else "")
