"""What was deleted is in no byte of the database's files once they have been cleaned."""

import sqlite3
from pathlib import Path

import pytest

from bot.errors import StoreUnavailable
from bot.ports import Cursor
from bot.store.folder import DATABASE
from tests.store.database import opened
from tests.users.planting import files_with


def add(cursor: Cursor, name: str, chars: int) -> None:
    values = {"key": name, "value": f"{name} " * (chars // len(name))}
    cursor.execute("INSERT INTO meta (key, value) VALUES (:key, :value)", values)


def drop(cursor: Cursor, name: str) -> None:
    cursor.execute("DELETE FROM meta WHERE key = :key", {"key": name})


async def test_deleted_rows_leave_the_file_and_its_log(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(40):
            await store.run(add, f"zanzibar-{number}", 900)
            await store.run(add, f"kept-{number}", 900)
        for number in range(40):
            await store.run(drop, f"zanzibar-{number}")
        assert files_with(tmp_path, "zanzibar") != []
        await store.scrub()
        assert files_with(tmp_path, "zanzibar") == []
        assert len(await store.read("SELECT key FROM meta WHERE key LIKE 'kept-%'")) == 40
        assert (tmp_path / f"{DATABASE}-wal").stat().st_size == 0


async def test_a_log_that_another_program_reads_is_said_and_the_store_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.run(add, "zanzibar", 900)
        reader = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
        try:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM meta").fetchone()
            await store.run(drop, "zanzibar")
            with pytest.raises(StoreUnavailable, match="in use by another program"):
                await store.scrub()
        finally:
            reader.close()
        await store.run(add, "after", 900)
        await store.scrub()
        assert files_with(tmp_path, "zanzibar") == []
