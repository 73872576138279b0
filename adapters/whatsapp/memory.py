"""What this run knows of each chat and of each message it sends. All of it is bounded, and may be forgotten: the platform and the house
are asked then."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from bot.model import Button, MessageId, value

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 5_000

Key = tuple[MessageId, int]  # a message and its part


class Recently(Generic[K, V]):
    """A mapping that keeps the entries which were set last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def set(self, key: K, entry: V) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)


@value
class Offer:
    """What the newest message of ours in a chat lets the person choose; nothing, where `buttons` is empty."""

    message: MessageId
    buttons: tuple[Button, ...] = ()
    at_ms: int = 0


class Letters:
    """Which letters of a part Twilio has, and has not failed to deliver, by their place in it."""

    def __init__(self) -> None:
        self._sids: Recently[Key, dict[int, str]] = Recently()
        self._keys: Recently[str, Key] = Recently()
        self._failed: Recently[str, bool] = Recently()

    def note(self, key: Key, index: int, sid: str) -> None:
        self._keys.set(sid, key)
        if sid not in self._failed:
            sids = self._sids.get(key) or {}
            sids[index] = sid
            self._sids.set(key, sids)

    def fail(self, key: Key, index: int, sid: str) -> None:
        """Twilio took it and could not deliver it: if the part is sent again, so is this. What comes late changes nothing."""
        self._keys.set(sid, key)
        self._failed.set(sid, True)
        if self.sid(key, index) == sid:
            (self._sids.get(key) or {}).pop(index)

    def sid(self, key: Key, index: int) -> str:
        return (self._sids.get(key) or {}).get(index, "")

    def key(self, sid: str) -> Key | None:
        """The part that a message of Twilio's belongs to."""
        return self._keys.get(sid)


class Memory:
    """One run's."""

    def __init__(self) -> None:
        self.letters = Letters()
        self.heard: Recently[str, str] = Recently()  # chat -> Sid of the person's newest message
        self.typed: Recently[str, tuple[str, float]] = Recently()  # chat -> the Sid answered so, and when
        self.offers: Recently[str, Offer] = Recently()  # chat -> what can be chosen there
        self.paced: Recently[str, bool] = Recently()  # Sid -> whether it was within the pace
        self.done: Recently[str, bool] = Recently()  # Sids that are taken, or being taken
