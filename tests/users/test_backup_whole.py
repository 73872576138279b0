"""What comes back from a sealed backup is the database as it was, cell by cell, whatever stands in it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.errors import DataError
from bot.store.backup import backup, restore
from bot.store.folder import DATABASE
from bot.store.sqlite import connect_writer
from tests.store.database import fill, noted
from tests.users.house import house
from tests.users.planting import plant
from tests.users.test_backup import ADA, EVE

ODD = (
    "",
    "\x00a\x00",
    "🙂 ﷽ e\u0301",
    "x" * 3_000_000,
    "'; --",
    "\\u0000",
    "12",
    "1e3",
    " ",
    "\r\n",
    "\ufeff",
    "\U0010ffff",
)
NUMBERS = (0, -1, 2**63 - 1, -(2**63), 0.1, -0.0, 1e308, float("inf"), None)


def cells(data: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        names = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        found: dict[str, list[Any]] = {}
        for name in names:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            typed = ", ".join(f"typeof({each}), {each}" for each in columns)
            found[name] = connection.execute(f"SELECT rowid, {typed} FROM {name} ORDER BY rowid").fetchall()
        found["sqlite_master"] = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        for pragma in ("foreign_key_check", "user_version", "application_id", "encoding"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


async def test_every_cell_of_every_table_comes_back_with_its_type(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        for who in (ADA, EVE):
            await plant(found, data, who)
    with closing(connect_writer(data / DATABASE)) as connection:
        for number, odd in enumerate(ODD):
            connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", [f"odd {number}", odd])
            connection.execute(
                "INSERT INTO users (id, name, created_ms) VALUES (?, ?, ?)", [f"user {number}", odd, number]
            )
        for number, amount in enumerate(NUMBERS):
            connection.execute("UPDATE cases SET ended_ms = ?", [amount])
            values = [f"number {number}", f"d{number}", 7 if amount is None else amount]
            connection.execute("INSERT INTO document_versions VALUES (?, ?, 'v', 't', 'p', '', 1, 1, ?)", values)
        connection.execute("DELETE FROM users WHERE id = 'user 3'")  # a hole among the row numbers
    before = cells(data)
    assert len([name for name, found_ in before.items() if found_]) > 40
    await asyncio.to_thread(backup, data, tmp_path / "copy")
    restore(tmp_path / "copy", data)
    after = cells(data)
    marked = [row for row in after["meta"] if row not in before["meta"]]
    assert len(marked) == 1
    after["meta"].remove(marked[0])
    assert after == before


async def test_a_backup_without_anybody_is_restored(tmp_path: Path) -> None:
    """And a second one of the same keyring beside it."""
    names = await fill(tmp_path / "data", 1)
    for name in ("one", "two"):
        backup(tmp_path / "data", tmp_path / name)
    for name in ("one", "two"):
        assert restore(tmp_path / name, tmp_path / "data").gone == 0
        assert noted(tmp_path / "data") == names


async def test_two_backups_at_once_can_both_be_restored(tmp_path: Path) -> None:
    """The first ones ever, and of people who have no key yet."""
    data = tmp_path / "data"
    async with house(data) as found:
        for name in ("ada", "eve", "bob"):
            await found.say(f"I am {name}", f"m-{name}", chat=name)
        await found.rest()
        await asyncio.gather(*(asyncio.to_thread(backup, data, tmp_path / f"copy{each}") for each in range(4)))
    before = cells(data)
    for each in range(4):
        assert restore(tmp_path / f"copy{each}", data).gone == 0
        assert cells(data)["messages"] == before["messages"]


async def test_text_that_is_no_text_is_told_as_damage_of_the_source(tmp_path: Path) -> None:
    """Not as a disk that is full."""
    await fill(tmp_path / "data", 1)
    with closing(connect_writer(tmp_path / "data" / DATABASE)) as connection:
        connection.execute("INSERT INTO meta (key, value) VALUES ('odd', CAST(x'ff61' AS TEXT))")
    with pytest.raises(DataError, match=r"data/frontdesk\.db is damaged"):
        backup(tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
