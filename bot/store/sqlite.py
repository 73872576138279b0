"""The `Store` port on SQLite: a writer (`bot.store.writer`) and readers of their own."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import DataError, StoreUnavailable
from bot.ports import Row, Value
from bot.store import wal
from bot.store.folder import BLOBS, DATABASE, sync_folder
from bot.store.migrations import check, migrate
from bot.store.writer import Writer

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")
BUSY_S = 1.0  # how long a unit waits for a foreign lock before it fails (and the platform repeats)
READERS = 2
CACHE_KB = 16384  # pages of the busiest tables stay in memory; taken only as it is used
STATEMENTS = 512  # prepared statements kept by a connection
CHECKPOINT_PAGES = (
    2000  # WAL pages (2 MB) between checkpoints: small ones, since a commit waits for the one it triggers
)
_NOTHING: dict[str, Value] = {}


class SqliteStore:
    """One database file. Promises: what `run` returned survives a power cut; readers see whole units only."""

    def __init__(self, data: Path, writer: Writer) -> None:
        self.path = data / DATABASE
        self._writer = writer
        self._readers: list[aiosqlite.Connection] = []
        self._opening: asyncio.Task[None] | None = None
        self._next = 0
        self._is_closed = False

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
            raise DataError(unopened(path, str(error))) from error
        except OSError as error:
            raise DataError(unopened(path, error.strerror or str(error))) from error
        except sqlite3.DatabaseError as error:
            raise DataError(damaged(path, str(error))) from error
        return cls(data, writer)

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        result: T = await self._writer.hand_over(unit, args)
        return result

    async def read(self, query: str, parameters: Mapping[str, Value] = _NOTHING) -> list[Row]:
        """Raises StoreUnavailable when the database cannot be read, or is closed."""
        try:
            reader = await self._reader()
            rows: Any = await reader.execute_fetchall(query, parameters)  # aiosqlite types rows as Any
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(str(error)) from error
        return list(rows)

    async def scrub(self) -> None:
        """Leaves no byte of what was deleted in the files: the database is written anew, and its log emptied. Units of work wait for it;
        it needs as much free disk as the database takes. Raises StoreUnavailable."""
        await self._writer.keep_up(_scrub)

    async def close(self) -> None:
        self._is_closed = True
        if self._opening is not None:
            await asyncio.wait([self._opening])
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        await self._writer.close()

    def waiting(self) -> int:
        """Units of work that have been handed over and not been taken up."""
        return self._writer.waiting()

    async def _reader(self) -> "aiosqlite.Connection":
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if len(self._readers) < READERS:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open_reader(), name="store-reader")
                self._opening.add_done_callback(_look_at)
            await asyncio.shield(self._opening)  # a caller who gives up leaves no connection half open
            if self._is_closed:
                raise StoreUnavailable("the store is closed")
        self._next = (self._next + 1) % len(self._readers)
        return self._readers[self._next]

    async def _open_reader(self) -> None:
        try:
            self._readers.append(await _connect_reader(self.path))
        finally:
            self._opening = None


def _look_at(done: "asyncio.Task[None]") -> None:
    """Its error is the callers'; where all of them have gone, nobody's."""
    if not done.cancelled():
        done.exception()


def connect_writer(path: Path) -> sqlite3.Connection:
    """The writing connection, at the latest schema. Raises DataError or sqlite3.Error."""
    if not path.exists():
        _refuse_loss(path)
        make(path)
    inspect(path)
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=STATEMENTS, timeout=BUSY_S, check_same_thread=True
    )
    try:
        _configure(connection)
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def make(path: Path) -> None:
    """A new database at the latest schema. It appears whole or not at all, so that an empty file always means a loss."""
    fresh = path.with_name(f"{path.name}.new")
    for end in ("", "-journal", "-wal", "-shm"):
        fresh.with_name(f"{fresh.name}{end}").unlink(missing_ok=True)
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        migrate(connection, fresh)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    fresh.rename(path)
    sync_folder(path.parent)


def inspect(path: Path, how: str = "quick_check") -> None:
    """Refuses what is foreign, newer or damaged, without changing it. Raises DataError or sqlite3.OperationalError.

    A writing connection would not do: it makes a foreign file ours in part, and checkpoints into a damaged one when it is closed."""
    if not path.stat().st_size:
        raise DataError(
            f"{path} is empty: what it held is lost. Restore a backup (frontdesk restore FOLDER), "
            f"or delete the file and {path.parent / BLOBS} to begin anew."
        )
    if _head(path) != b"SQLite format 3\x00":
        raise DataError(
            f"{path} is not a SQLite database. Move it away, or restore a backup (frontdesk restore FOLDER)."
        )
    connection = read_only(path)
    try:
        check(connection, path)
        refuse_damage(connection, path, how)
        if wal.has_lost_commits(path):
            raise DataError(damaged(path, "its write-ahead log cannot be read to the end"))
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise DataError(damaged(path, str(error))) from error
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes the damaged schema
        raise DataError(damaged(path, "its schema cannot be read")) from error
    finally:
        connection.close()


def refuse_damage(connection: sqlite3.Connection, path: Path, how: str = "integrity_check") -> None:
    """Raises DataError with the first of what the check finds, and sqlite3.DatabaseError where it cannot be made."""
    problems = [row[0] for row in connection.execute(f"PRAGMA {how}(3)")]
    if problems != ["ok"]:
        raise DataError(damaged(path, "; ".join(" ".join(problem.split()) for problem in problems)))


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, migrate or checkpoint; only an interrupted change of the journal mode is undone."""
    mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
    return sqlite3.connect(_uri(path, mode), uri=True, isolation_level=None, timeout=BUSY_S)


def _refuse_loss(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    blobs = path.parent / BLOBS
    left = [log] if log.exists() and log.stat().st_size else []
    if blobs.is_dir() and any(blobs.iterdir()):
        left.append(blobs)
    if left:
        raise DataError(
            f"{path} is missing, though {left[0]} is there. Put it back, restore a backup "
            f"(frontdesk restore FOLDER), or move {left[0]} away to begin anew."
        )


def unopened(path: Path, detail: str) -> str:
    return f"{path} cannot be opened ({detail}). Check the disk and the folder's rights."


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
    connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")


def _scrub(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA temp_store = FILE")  # the copy on its way is as large as the database
    try:
        connection.execute("VACUUM")
    finally:
        connection.execute("PRAGMA temp_store = MEMORY")
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise sqlite3.OperationalError(
            "the write-ahead log is in use by another program, and still holds what was deleted"
        )


async def _connect_reader(path: Path) -> "aiosqlite.Connection":
    import aiosqlite

    reader = await aiosqlite.connect(_uri(path, "ro"), uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        await reader.execute("PRAGMA query_only = ON")
    except BaseException:
        await reader.close()
        raise
    return reader


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
