"""What was erased stays erased: a platform may deliver the same event again, weeks later."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bot.ports import Cursor, Row, Value

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]

_HAS_ANY: Final = "SELECT 1 FROM tombstones LIMIT 1"
_FIND: Final = "SELECT 1 FROM tombstones WHERE hash = :hash"
_ADD: Final = "INSERT INTO tombstones (hash, erased_ms) VALUES (:hash, :now) ON CONFLICT (hash) DO NOTHING"
_ADD_IDENTITY: Final = """
    INSERT INTO tombstones (hash, erased_ms) VALUES (:hash, :now) ON CONFLICT (hash) DO UPDATE SET erased_ms = excluded.erased_ms"""


class Graves:
    """Ids of erased messages, as hashes under a key of this installation: without it, nobody can find out whose they were."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._has_any = False

    async def recall(self, read: Read) -> None:
        """At a start: whether there are any; where there are none, nobody looks for them."""
        self._has_any = bool(await read(_HAS_ANY, {}))

    def opened(self) -> None:
        """There will be some, from now on."""
        self._has_any = True

    def add(self, cursor: Cursor, message: str, now_ms: int) -> None:
        cursor.execute(_ADD, {"hash": self.hash_of("message", message), "now": now_ms})

    def add_identity(self, cursor: Cursor, identity: str, now_ms: int) -> None:
        """Whoever had this id until now does not come back with a backup. Who writes with it later is somebody new."""
        cursor.execute(_ADD_IDENTITY, {"hash": self.hash_of("identity", identity), "now": now_ms})

    def has(self, cursor: Cursor, message: str) -> bool:
        """Whether this message was erased."""
        return self._has_any and bool(cursor.fetch(_FIND, {"hash": self.hash_of("message", message)}))

    def hash_of(self, kind: str, id_: str) -> str:
        """A pseudonym: the same for the same id, always."""
        return hmac.new(self._key, f"{kind}\x1f{id_}".encode(), hashlib.sha256).hexdigest()[:32]
