"""Who is here: each visitor's open sockets, what is being written to them, and how fast they may speak.

A visitor is forgotten a minute after the last socket closed: until then a reconnect does not win back used-up rates, and a
page that is loaded again sees the draft that was under way.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapters.web.visitors import CHANNEL
from bot.model import QUEUE_OWNER, Address, Identity, MessageId
from bot.ports import Clock

if TYPE_CHECKING:
    from adapters.web.socket import Session

_REST_S = 60.0


class Bucket:
    """A rate: `per_minute` at once, refilling evenly over a minute."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, per_minute: int, now: float) -> None:
        self._tokens = float(per_minute)
        self._at = now

    def take(self, per_minute: int, now: float) -> float:
        """Takes one and returns 0, or returns the seconds until there is one."""
        self._tokens = min(per_minute, self._tokens + (now - self._at) * per_minute / 60.0)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) * 60.0 / per_minute


class Visitor:
    """One person as the socket knows them. `drafts` are the pieces of answers that are being written now."""

    __slots__ = ("at", "drafts", "identity", "messages", "sessions", "uploads")

    def __init__(self, identity: Identity, per_minute: int, now: float) -> None:
        self.identity = identity
        self.at = Address(CHANNEL, identity.account, identity.external_id)
        self.sessions: tuple[Session, ...] = ()  # a tuple: senders walk it while sockets come and go
        self.messages = Bucket(per_minute, now)
        self.uploads = Bucket(per_minute, now)
        self.drafts: dict[MessageId, list[str]] = {}


class Presence:
    """All visitors who are here or were a minute ago, by chat. `places` are the frames that said last where those who wait for a person
    stand in the queue, whether they are here or not."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._visitors: dict[str, Visitor] = {}
        self.places: dict[str, bytes] = {}
        self._resting: dict[str, float] = {}  # chat -> when it may be forgotten, in that order

    def get(self, chat: str) -> Visitor | None:
        return self._visitors.get(chat)

    def visitor(self, identity: Identity) -> Visitor:
        """The visitor of this identity, remembered from now on for at least a minute."""
        self._forget()
        now = self._clock.monotonic()
        visitor = self._visitors.get(identity.external_id)
        if visitor is None:
            visitor = self._visitors[identity.external_id] = Visitor(identity, self._per_minute, now)
        elif identity.name:
            visitor.identity = identity
        if not visitor.sessions:
            self._rest(visitor)
        return visitor

    def place(self, chat: str, owner: str) -> bytes:
        """The frame that says where the visitor stands in the queue; nothing for one who does not wait."""
        if owner != QUEUE_OWNER:
            self.places.pop(chat, None)
        return self.places.get(chat, b"")

    def enter(self, visitor: Visitor, session: "Session") -> None:
        visitor.sessions += (session,)
        self._resting.pop(visitor.identity.external_id, None)

    def leave(self, visitor: Visitor, session: "Session") -> None:
        """Safe to repeat."""
        if session not in visitor.sessions:
            return
        visitor.sessions = tuple(other for other in visitor.sessions if other is not session)
        if not visitor.sessions:
            self._rest(visitor)

    def _rest(self, visitor: Visitor) -> None:
        chat = visitor.identity.external_id
        self._resting.pop(chat, None)
        self._resting[chat] = self._clock.monotonic() + _REST_S

    def _forget(self) -> None:
        for chat in list(self._due()):
            del self._resting[chat]
            del self._visitors[chat]

    def _due(self) -> Iterator[str]:
        now = self._clock.monotonic()
        for chat, until in self._resting.items():
            if until > now:
                return
            yield chat
