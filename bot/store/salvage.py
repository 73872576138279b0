"""What can still be read of a damaged database, row by row, into a new one.

The source is copied first and only the copy is opened, so nothing of it changes. Each table is read from both ends up to the damage; in
between, row by row, with the indexes telling which rows there should be. The result may have holes, so it is mended where a hole would
stop the daemon from working with what is left, and what it would send is held.
"""

import shutil
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.clock import SystemClock
from bot.errors import DataError
from bot.ports import Clock, Row, Value
from bot.recovery import BACKUP
from bot.store import records
from bot.store.copying import PARTIAL, Files, copy_files, finish, new_folder, refuse_inside
from bot.store.folder import DATABASE, holder
from bot.store.migrations import APPLICATION_ID, check, migrate

ROWS_TO_TRY = 1_000_000  # the longest gap in which every row number is tried
BEYOND = 10_000  # row numbers tried behind the last readable row where nothing says how many there were
HEADER_BYTES = 100
LOST = "lost:"  # put before the id of a conversation whose row is gone, so that its address can begin anew

MEND_SEQS = """
    UPDATE conversations SET delivered_seq = min(delivered_seq,
        coalesce((SELECT max(seq) FROM messages m WHERE m.conversation_id = conversations.id), 0))"""
MEND_ORPHANS = """
    UPDATE messages SET conversation_id = :lost || conversation_id, dead_ms = coalesce(dead_ms, handled_ms, :now)
    WHERE conversation_id NOT IN (SELECT id FROM conversations)"""
MEND_OUTBOX = """
    UPDATE outbox SET state = 'dead', error = 'its message was lost'
    WHERE state IN ('planned', 'sending', 'unknown') AND message_id NOT IN (
        SELECT m.id FROM messages m JOIN conversations c ON c.id = m.conversation_id)"""


@dataclass(frozen=True, slots=True)
class Table:
    """`lost`: rows that an index names and that could not be saved; where the indexes are damaged, too, places that may have held one."""

    name: str
    saved: int
    lost: int


@dataclass(frozen=True, slots=True)
class SalvageReport:
    folder: Path
    tables: tuple[Table, ...]
    files: Files

    @property
    def saved(self) -> int:
        return sum(table.saved for table in self.tables)

    @property
    def lost(self) -> int:
        return sum(table.lost for table in self.tables)

    def __str__(self) -> str:
        holes = [f"{table.name} {table.lost} lost of {table.saved + table.lost}" for table in self.tables if table.lost]
        return f"{self.saved} rows, {self.lost} lost, and {self.files}" + (f" ({'; '.join(holes)})" if holes else "")


def salvage(data: Path, target: Path, clock: Clock | None = None) -> SalvageReport:
    """Saves into the new or empty folder `target`, which can be restored like a backup. Raises DataError when nothing can be read."""
    source = data / DATABASE
    if not source.is_file() or not source.stat().st_size:
        raise DataError(f"{source} is not there or is empty: nothing can be saved. Restore a backup.")
    pid = holder(data)
    if pid is not None:
        raise DataError(f"{data} is in use by a running Frontdesk (process {pid}). Stop it first.")
    refuse_inside(target, data)
    now_ms = (clock or SystemClock()).now_ms()
    with new_folder(target):
        try:
            return _salvage(data, target, now_ms)
        except sqlite3.OperationalError as error:
            raise DataError(f"{target} cannot be written ({error}). Free the disk or name another.") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DataError(f"{source} is too damaged to be read ({error}). Restore a backup.") from error


def _salvage(data: Path, target: Path, now_ms: int) -> SalvageReport:
    new = sqlite3.connect(target / PARTIAL, isolation_level=None)
    new.execute("PRAGMA synchronous = OFF")  # `finish` makes the whole file durable, once
    migrate(new, target / PARTIAL)
    workspace = target / "reading"
    old = _open_copy(data / DATABASE, workspace, new)
    try:
        new.execute("BEGIN")
        tables = tuple(_save(old, new, name) for name in _tables(new))
        if not any(table.saved for table in tables):
            raise DataError(f"{data / DATABASE} is too damaged: no row can be read. Restore a backup.")
        _mend(new, now_ms)
        new.execute("COMMIT")
        files = copy_files(new, data, target)
    finally:
        old.close()
        new.close()
        shutil.rmtree(workspace)
    finish(target / PARTIAL)
    return SalvageReport(target, tables, files)


def _open_copy(source: Path, workspace: Path, new: sqlite3.Connection) -> sqlite3.Connection:
    workspace.mkdir(mode=0o700)
    copy = workspace / DATABASE
    for end in ("", "-wal"):
        if source.with_name(source.name + end).exists():
            shutil.copyfile(source.with_name(source.name + end), copy.with_name(copy.name + end))
    _mend_header(copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    with suppress(DataError):  # another application id may be damage, too: the tables decide
        check(connection, source)
    known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not known & set(_tables(new)):
        connection.close()
        raise DataError(f"{source} has no table of ours that could be read. Restore a backup.")
    return connection


def _mend_header(path: Path) -> None:
    """The first 100 bytes say little that is not the same in every database of ours."""
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_BYTES).ljust(HEADER_BYTES, b"\0"))
        header[0:24] = b"SQLite format 3\0" + struct.pack(">H6B", 4096, 2, 2, 0, 64, 32, 32)
        header[28:32] = struct.pack(">I", path.stat().st_size // 4096)
        header[32:40] = bytes(8)  # the list of free pages: not needed for reading
        header[44:48] = struct.pack(">I", 4)
        header[52:60] = struct.pack(">2I", 0, 1)
        header[64:72] = struct.pack(">2I", 0, APPLICATION_ID)
        header[92:96] = header[24:28]
        file.seek(0)
        file.write(header)


# --- one table -------------------------------------------------------------------------------------------------------


def _save(old: sqlite3.Connection, new: sqlite3.Connection, name: str) -> Table:
    columns = _columns(new, name)
    there = set(_columns(old, name))
    shared = [column for column in columns if column in there]
    if not shared:
        return Table(name, 0, 0)
    insert = f"INSERT OR IGNORE INTO {name} ({', '.join(shared)}) VALUES ({', '.join('?' * len(shared))})"
    kinds = [columns[column] for column in shared]
    reader = _Reader(old, name, shared)
    saved = {rowid for rowid, row in reader.rows() if _fits(row, kinds) and new.execute(insert, row).rowcount == 1}
    return Table(name, len(saved), len(reader.expected - saved))


class _Reader:
    """Reads one table around its damage. `expected` holds the row numbers there should be, once `rows` has ended."""

    def __init__(self, connection: sqlite3.Connection, name: str, columns: list[str]) -> None:
        self._connection = connection
        self._name = name
        self._select = f"SELECT rowid, {', '.join(columns)} FROM {name} NOT INDEXED"
        self.expected: set[int] = set()

    def rows(self) -> Iterator[tuple[int, Row]]:
        seen: set[int] = set()
        first = _Scan(self._connection, f"{self._select} ORDER BY rowid")
        last = _Scan(self._connection, f"{self._select} ORDER BY rowid DESC")
        yield from _unseen(first.rows(), seen)
        named, is_sure = self._named()
        self.expected |= named if is_sure else named | seen
        if first.is_whole:
            return
        below = max(seen, default=0)
        yield from _unseen(last.rows(), seen)
        above = min((rowid for rowid in seen if rowid > below), default=max(named, default=below + BEYOND) + 1)
        gap = range(below + 1, above)
        for rowid in sorted((named - seen).union(gap if len(gap) <= ROWS_TO_TRY else ())):
            one = _Scan(self._connection, f"{self._select} WHERE rowid = :rowid")
            yield from _unseen(one.rows(rowid=rowid), seen)
            if not (is_sure or one.is_whole):
                self.expected.add(rowid)

    def _named(self) -> tuple[set[int], bool]:
        """The row numbers that the indexes of the table have, and whether one of them could be read whole."""
        found: set[int] = set()
        for name, key in _indexes(self._connection, self._name):
            for order in ("", " DESC"):
                scan = _Scan(
                    self._connection, f"SELECT rowid FROM {self._name} INDEXED BY {name} ORDER BY {key}{order}"
                )
                named = {rowid for rowid, _ in scan.rows()}
                if scan.is_whole:
                    return named, True
                found |= named
        return found, False


class _Scan:
    """One query, up to its end or to the damage."""

    def __init__(self, connection: sqlite3.Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql
        self.is_whole = False

    def rows(self, **values: Value) -> Iterator[tuple[int, Row]]:
        try:
            for row in self._connection.execute(self._sql, values):
                yield row[0], row[1:]
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return
        self.is_whole = True


def _unseen(rows: Iterable[tuple[int, Row]], seen: set[int]) -> Iterator[tuple[int, Row]]:
    for rowid, row in rows:
        if rowid not in seen:
            seen.add(rowid)
            yield rowid, row


def _fits(row: Row, kinds: list[str]) -> bool:
    """A damaged page may give values of another kind, which the daemon could not read."""
    return all(
        value is None or isinstance(value, str if kind == "TEXT" else int)
        for value, kind in zip(row, kinds, strict=True)
    )


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return [row[0] for row in rows]


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    return {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")}


def _indexes(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """Names and first columns of the indexes that cover all rows."""
    rows: list[tuple[Any, ...]] = connection.execute(f"PRAGMA index_list({table})").fetchall()
    names = [row[1] for row in rows if not row[4]]
    return [(name, connection.execute(f"PRAGMA index_info({name})").fetchone()[2]) for name in names]


# --- afterwards ------------------------------------------------------------------------------------------------------


def _mend(new: sqlite3.Connection, now_ms: int) -> None:
    new.execute(MEND_SEQS)
    new.execute(MEND_OUTBOX)
    new.execute(MEND_ORPHANS, {"lost": LOST, "now": now_ms})
    new.execute(records.SET_META, {"key": BACKUP, "value": str(now_ms)})
