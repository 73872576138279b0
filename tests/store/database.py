"""Units of work and questions for tests of the store."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from bot.ports import Cursor
from bot.store import records
from bot.store.folder import DATABASE, prepare
from bot.store.sqlite import SqliteStore

ADD_AUDIT = "INSERT INTO audit (id, actor, action, subject, at_ms) VALUES (:id, '', :action, '', 1)"


@asynccontextmanager
async def opened(
    data: Path,
    *,
    waiting_most: int = 20_000,
    observe: Callable[[int, float], None] = lambda units, seconds: None,
    on_health: Callable[[str], None] = lambda state: None,
) -> AsyncIterator[SqliteStore]:
    prepare(data)
    store = await SqliteStore.open(data, waiting_most=waiting_most, observe=observe, on_health=on_health)
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for what other threads and processes do in real time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another thread or process, which sets no event here
            await asyncio.sleep(0.002)


def note(cursor: Cursor, name: str, chars: int = 0) -> str:
    """One row of two: see `note_twice`."""
    cursor.execute(ADD_AUDIT, {"id": name, "action": "x" * chars})
    return name


def note_twice(cursor: Cursor, name: str, chars: int = 0) -> str:
    """A unit of two rows in two tables, of which half must never be seen."""
    note(cursor, name, chars)
    cursor.execute(records.SET_META, {"key": f"note {name}", "value": "there"})
    return name


def note_and_raise(cursor: Cursor, name: str) -> None:
    note_twice(cursor, name)
    raise ValueError(name)


def noted(data: Path) -> list[str]:
    """The names in the order they were written; half a unit fails the test. Reads without changing anything."""
    with closing(sqlite3.connect(f"file:{data / DATABASE}?mode=ro", uri=True)) as connection:
        names = [row[0] for row in connection.execute("SELECT id FROM audit NOT INDEXED ORDER BY rowid")]
        halves = {row[0] for row in connection.execute("SELECT substr(key, 6) FROM meta WHERE key LIKE 'note %'")}
    assert halves == set(names)
    return names


async def fill(data: Path, count: int, chars: int = 0) -> list[str]:
    """A database with so many units, closed."""
    names = [f"{number:06}" for number in range(count)]
    async with opened(data) as store:
        await asyncio.gather(*(store.run(note_twice, name, chars) for name in names))
    return names
