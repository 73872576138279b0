"""f47: another program holds the database's lock."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import StoreUnavailable
from bot.store.folder import DATABASE
from bot.store.sqlite import BUSY_S
from tests.store.database import note_twice, noted, opened, until


async def test_f47_a_locked_database_fails_units_within_bounds(tmp_path: Path) -> None:
    """Every unit fails soon enough for a platform to repeat it, readers go on, and afterwards all is as before."""
    data, states = tmp_path / "data", list[str]()
    loop = asyncio.get_running_loop()
    async with opened(data, on_health=states.append) as store:
        await store.run(note_twice, "before")
        with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = loop.time()
            work = [asyncio.create_task(store.run(note_twice, f"{number}")) for number in range(20)]
            assert await store.read("SELECT id FROM audit") == [("before",)]
            results = await asyncio.gather(*work, return_exceptions=True)
            assert loop.time() - started < 2 * BUSY_S + 1.0
            assert all(isinstance(result, StoreUnavailable) for result in results)
            other.execute("ROLLBACK")
        await store.run(note_twice, "after")
        await until(lambda: states[-1:] == ["open"])
    assert noted(data) == ["before", "after"]


async def test_f47_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    """A short lock is no failure at all."""
    data = tmp_path / "data"
    async with opened(data) as store:
        with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            work = asyncio.create_task(store.run(note_twice, "1"))
            await until(lambda: store.waiting() == 0)
            other.execute("ROLLBACK")
        await work
    assert noted(data) == ["1"]


async def test_f47_a_long_reader_keeps_nobody_from_writing(tmp_path: Path) -> None:
    """It only keeps the log from being begun anew, and sees all the time what it saw first."""
    data = tmp_path / "data"
    async with opened(data) as store:
        await store.run(note_twice, "before")
        with closing(sqlite3.connect(f"file:{data / DATABASE}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM audit").fetchone() == (1,)
            for number in range(50):
                await store.run(note_twice, f"{number}", 1000)
            assert reader.execute("SELECT count(*) FROM audit").fetchone() == (1,)
        with pytest.raises(StoreUnavailable):
            await store.read("SELECT nothing FROM nowhere")
    assert len(noted(data)) == 51
