"""The sealed form of a database: packets of rows, each under the keys of all whose rows they are.

Nothing is plain but the schema. A row that others need keeps its frame under the house's key, and its words are sealed apart.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bot.ports import Value
from bot.store.keyring import Key
from bot.store.sealing import NOBODY, OWNED, Owners, Ownership, Place

SEALED_ID: Final = 0x46524E53  # "FRNS", in the database header: no daemon takes it for its own
PACKET_CHARS: Final = 262_144
WAITING_CHARS: Final = 33_554_432  # of rows that wait for their packet to be full
NONCE_BYTES: Final = 12  # NIST SP 800-38D, 8.2: 96 bits
FORM: Final = (
    "CREATE TABLE seal (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE layout (number INTEGER PRIMARY KEY, sql TEXT NOT NULL)",
    "CREATE TABLE owners (number INTEGER PRIMARY KEY, keys TEXT NOT NULL)",
    "CREATE TABLE packets (number INTEGER PRIMARY KEY, owner INTEGER NOT NULL, stage INTEGER NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE files (id TEXT PRIMARY KEY, owner INTEGER NOT NULL)",
)


# --- sealing ---------------------------------------------------------------------------------------------------------


class Sealer:
    """Writes what it is given into `target`, which has the tables of FORM."""

    def __init__(self, target: sqlite3.Connection, keys: Mapping[str, Key], backup: str) -> None:
        self._target = target
        self._keys = keys
        self._backup = backup
        self._numbers: dict[Owners, int] = {}
        self._boxes: dict[Owners, Box] = {}
        self._packets = 0

    def tables(self, source: sqlite3.Connection, ownership: Ownership) -> None:
        """All rows of `source`. The first of the owners is nobody."""
        self._number(NOBODY)
        kept = source.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
            "ORDER BY type <> 'table', rowid"
        ).fetchall()
        self._target.executemany("INSERT INTO layout (sql) VALUES (?)", [(row[2],) for row in kept])
        for kind, name, _ in kept:
            if kind == "table":
                self._table(source, name, ownership)

    def file(self, blob: str, owners: Owners, path: Path, copy: Path) -> None:
        """Seals a file into another one, which is not yet durable."""
        copy.write_bytes(self._box(owners).seal(path.read_bytes(), f"file {blob}"))
        self._target.execute("INSERT INTO files VALUES (?, ?)", [blob, self._number(owners)])

    def document(self, number: int, name: str, content: bytes, copy: Path) -> None:
        """Seals an uploaded document with its name into a file, which is not yet durable."""
        copy.write_bytes(self._box(NOBODY).seal(name.encode() + b"\0" + content, f"document {number}"))

    def finish(self, **said: str | int) -> None:
        """Notes how many packets there are, so that none can be missing."""
        for key, text in {**said, "backup": self._backup, "packets": self._packets}.items():
            self._target.execute("INSERT INTO seal VALUES (?, ?)", [key, str(text)])

    def _table(self, source: sqlite3.Connection, name: str, ownership: Ownership) -> None:
        place = OWNED.get(name, Place(()))
        columns = [row[1] for row in source.execute(f"PRAGMA table_info({name})")]
        selected = ", ".join(["t.rowid", *(f"t.{column}" for column in columns), *place.refs])
        waiting = _Waiting(self, name, columns, dict(place.words or {}))
        width = len(columns) + 1
        for row in source.execute(f"SELECT {selected} FROM {name} t {place.join} ORDER BY t.rowid"):
            owners, is_kept = ownership.of(place, row[width:])
            waiting.add(owners, row[:width], is_kept=is_kept and owners != NOBODY)
        waiting.flush()

    def packet(self, owners: Owners, stage: int, content: object) -> None:
        """One sealed packet. Stage 0 adds rows, stage 1 puts words back into them."""
        self._packets += 1
        raw = zlib.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), 1)
        sealed = self._box(owners).seal(raw, place_of(self._packets, stage))
        values = [self._packets, self._number(owners), stage, sealed]
        self._target.execute("INSERT INTO packets VALUES (?, ?, ?, ?)", values)

    def _number(self, owners: Owners) -> int:
        if owners not in self._numbers:
            self._numbers[owners] = len(self._numbers) + 1
            keys = " ".join(f"{self._keys[owner].id}@{self._keys[owner].place}" for owner in owners)
            self._target.execute("INSERT INTO owners VALUES (?, ?)", [self._numbers[owners], keys])
        return self._numbers[owners]

    def _box(self, owners: Owners) -> "Box":
        if owners not in self._boxes:
            self._boxes[owners] = Box([self._keys[owner].secret for owner in owners], self._backup)
        return self._boxes[owners]


class _Waiting:
    """Rows of one table, until there are enough of one owner for a packet."""

    def __init__(self, sealer: Sealer, table: str, columns: list[str], words: dict[str, Value]) -> None:
        self._sealer = sealer
        self._table = table
        self._columns = ["rowid", *columns]
        self._words = {self._columns.index(name): (name, blank) for name, blank in words.items() if name in columns}
        self._rows: dict[tuple[Owners, int], list[list[Value]]] = {}
        self._sizes: dict[tuple[Owners, int], int] = {}
        self._size = 0

    def add(self, owners: Owners, row: tuple[Value, ...], *, is_kept: bool) -> None:
        if not is_kept:
            self._add(owners, 0, list(row))
            return
        frame = list(row)
        for at, (_, blank) in self._words.items():
            frame[at] = blank
        self._add(NOBODY, 0, frame)
        self._add(owners, 1, [row[0], *(row[at] for at in self._words)])

    def flush(self) -> None:
        for owners, stage in list(self._rows):
            self._seal(owners, stage)

    def _add(self, owners: Owners, stage: int, row: list[Value]) -> None:
        at = (owners, stage)
        size = sum(len(cell) for cell in row if isinstance(cell, str)) + 8 * len(row)
        self._rows.setdefault(at, []).append(row)
        self._sizes[at] = self._sizes.get(at, 0) + size
        self._size += size
        if self._sizes[at] >= PACKET_CHARS:
            self._seal(owners, stage)
        elif self._size >= WAITING_CHARS:
            self.flush()

    def _seal(self, owners: Owners, stage: int) -> None:
        at = (owners, stage)
        names = ["rowid", *(name for name, _ in self._words.values())] if stage else self._columns
        self._sealer.packet(owners, stage, {"table": self._table, "columns": names, "rows": self._rows.pop(at)})
        self._size -= self._sizes.pop(at)


# --- opening ---------------------------------------------------------------------------------------------------------


class Opener:
    """Reads a sealed database. `gone`: keys that some of it was sealed with and that are no more, with their places in the keyring, as
    far as the backup tells."""

    def __init__(self, source: sqlite3.Connection, secrets: Mapping[str, bytes]) -> None:
        self.said: dict[str, str] = dict(source.execute("SELECT key, value FROM seal"))
        self._source = source
        self._boxes: dict[int, Box] = {}
        self.gone: dict[str, int | None] = {}
        for number, text in source.execute("SELECT number, keys FROM owners"):
            keys = [each.partition("@") for each in text.split()]
            missing = {key: int(place) if place else None for key, _, place in keys if key not in secrets}
            self.gone |= missing
            if not missing:
                self._boxes[number] = Box([secrets[key] for key, _, _ in keys], self.said["backup"])

    def is_openable(self, owner: int) -> bool:
        return owner in self._boxes

    def tables(self, target: sqlite3.Connection) -> None:
        """Makes the schema and adds every row whose keys are there. Raises ValueError for what was changed."""
        layout = [row[0] for row in self._source.execute("SELECT sql FROM layout ORDER BY number")]
        tables = [sql for sql in layout if sql.upper().startswith("CREATE TABLE")]
        for sql in tables:
            target.execute(sql)
        (count,) = self._source.execute("SELECT count(*) FROM packets").fetchone()
        if str(count) != self.said["packets"]:
            raise ValueError(f"{count} of {self.said['packets']} packets are there")
        for number, owner, stage, sealed in self._source.execute(
            "SELECT number, owner, stage, sealed FROM packets ORDER BY stage, number"
        ):
            if owner in self._boxes:
                raw = zlib.decompress(self._boxes[owner].open(sealed, place_of(number, stage)))
                _put(target, stage, json.loads(raw))
        for sql in layout[len(tables) :]:
            target.execute(sql)

    def files(self) -> Iterator[tuple[str, int]]:
        """Id and owner of each."""
        yield from self._source.execute("SELECT id, owner FROM files ORDER BY id")

    def file(self, blob: str, owner: int, path: Path, copy: Path) -> None:
        """Opens a file into another one, which is not yet durable. Raises ValueError for what was changed."""
        copy.write_bytes(self._boxes[owner].open(path.read_bytes(), f"file {blob}"))

    def document(self, number: int, path: Path) -> tuple[str, bytes]:
        """Name and content of an uploaded document. Raises ValueError for what was changed."""
        name, _, content = self._boxes[1].open(path.read_bytes(), f"document {number}").partition(b"\0")
        return name.decode(), content


def place_of(number: int, stage: int) -> str:
    return f"packet {number} {stage}"


def _put(target: sqlite3.Connection, stage: int, packet: dict[str, Any]) -> None:  # JSON of our own
    table, names = packet["table"], packet["columns"]
    if stage:
        changed = ", ".join(f"{name} = ?" for name in names[1:])
        sql = f"UPDATE {table} SET {changed} WHERE rowid = ?"
        target.executemany(sql, [(*row[1:], row[0]) for row in packet["rows"]])
    else:
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        target.executemany(sql, packet["rows"])


# --- the cipher ---


class Box:
    """Seals and opens under the keys of some owners, for one backup. Each sealed text names its place and opens nowhere else."""

    def __init__(self, secrets: list[bytes], backup: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # with the first backup

        key = hmac.new(b"".join(secrets), f"frontdesk backup {backup}".encode(), hashlib.sha256).digest()
        self._cipher: AESGCM = AESGCM(key)

    def seal(self, content: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises ValueError for what was changed, or is of another place."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise ValueError(f"{place} was changed after it was sealed") from error
