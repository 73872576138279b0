"""The `Store` port on SQLite: a writer (`bot.store.writer`) and readers of their own."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import DataError, StoreUnavailable
from bot.ports import Row, Value
from bot.store.folder import DATABASE
from bot.store.migrations import migrate
from bot.store.writer import Writer

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
BUSY_S = 1.0  # how long a unit waits for a foreign lock before it fails (and the platform repeats)
READERS = 2
STATEMENTS = 512  # prepared statements kept by a connection
CHECKPOINT_PAGES = 4000  # WAL pages (16 MB) between checkpoints
_NOTHING: dict[str, Value] = {}


class SqliteStore:
    """One database file. Promises: what `run` returned survives a power cut; readers see whole units only."""

    def __init__(self, data: Path, writer: Writer) -> None:
        self.path = data / DATABASE
        self._writer = writer
        self._readers: list[aiosqlite.Connection] = []
        self._opening = asyncio.Lock()
        self._next = 0

    @classmethod
    async def open(
        cls,
        data: Path,
        *,
        waiting_most: int = 20_000,
        observe: Callable[[int, float], None] = lambda units, seconds: None,
        on_health: Callable[[str], None] = lambda state: None,
    ) -> "SqliteStore":
        """Opens (creating, migrating) the database in `data`. Raises DataError."""
        path = data / DATABASE
        writer = Writer(lambda: connect_writer(path), waiting_most=waiting_most, observe=observe, on_health=on_health)
        try:
            await writer.open()
        except sqlite3.OperationalError as error:
            raise DataError(f"{path} cannot be opened ({error}). Check the disk and the folder's rights.") from error
        except sqlite3.DatabaseError as error:
            raise DataError(damaged(path, str(error))) from error
        return cls(data, writer)

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        result: T = await self._writer.run(unit, args)
        return result

    async def read(self, query: str, parameters: Mapping[str, Value] = _NOTHING) -> list[Row]:
        reader = await self._reader()
        try:
            rows: Any = await reader.execute_fetchall(query, parameters)  # aiosqlite types rows as Any
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(str(error)) from error
        return list(rows)

    async def close(self) -> None:
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        await self._writer.close()

    def waiting(self) -> int:
        """Units of work that have been handed over and not been taken up."""
        return self._writer.waiting()

    async def _reader(self) -> "aiosqlite.Connection":
        if len(self._readers) < READERS:
            async with self._opening:
                if len(self._readers) < READERS:
                    self._readers.append(await _connect_reader(self.path))
        self._next = (self._next + 1) % len(self._readers)
        return self._readers[self._next]


def connect_writer(path: Path) -> sqlite3.Connection:
    """The writing connection, at the latest schema. Raises DataError or sqlite3.Error."""
    if path.exists() and path.stat().st_size and _head(path) != b"SQLite format 3\x00":
        raise DataError(
            f"{path} is not a SQLite database. Move it away, or restore a backup (frontdesk restore FOLDER)."
        )
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=STATEMENTS, timeout=BUSY_S, check_same_thread=True
    )
    try:
        _configure(connection)
        migrate(connection, path)
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise DataError(damaged(path, "; ".join(problems)))
    except BaseException:
        connection.close()
        raise
    return connection


def damaged(path: Path, detail: str) -> str:
    return (
        f"{path} is damaged ({detail}). Nothing was changed. "
        "Restore a backup (frontdesk restore FOLDER), or save what can be read (frontdesk salvage FOLDER)."
    )


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")  # the units keep them; checking costs a lookup a row
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA temp_store = MEMORY")


async def _connect_reader(path: Path) -> "aiosqlite.Connection":
    import aiosqlite

    reader = await aiosqlite.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S)
    await reader.execute("PRAGMA query_only = ON")
    return reader


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
