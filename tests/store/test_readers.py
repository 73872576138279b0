"""Connections that read: opened when first needed, shared, and closed with the store."""

import asyncio
from pathlib import Path

import aiosqlite
import pytest

from bot.errors import StoreUnavailable
from bot.store import sqlite
from bot.store.folder import prepare
from bot.store.sqlite import READERS, SqliteStore


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[aiosqlite.Connection]:
    """Every connection for reading that has been opened."""
    connections: list[aiosqlite.Connection] = []
    connect = sqlite._connect_reader

    async def noted(path: Path) -> aiosqlite.Connection:
        connections.append(await connect(path))
        return connections[-1]

    monkeypatch.setattr(sqlite, "_connect_reader", noted)
    return connections


async def test_a_reader_that_gives_up_while_it_connects_leaves_nothing_open(
    tmp_path: Path, opened: list[aiosqlite.Connection]
) -> None:
    """What was begun is finished, used by the next, and closed at the end."""
    prepare(tmp_path)
    store = await SqliteStore.open(tmp_path)
    reading = asyncio.create_task(store.read("SELECT 1"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await store.close()
    assert len(opened) == 1
    with pytest.raises(ValueError, match="no active connection"):
        await opened[0].execute("SELECT 1")
    with pytest.raises(StoreUnavailable):
        await store.read("SELECT 1")


async def test_many_readers_at_once_share_a_few_connections(tmp_path: Path, opened: list[aiosqlite.Connection]) -> None:
    prepare(tmp_path)
    store = await SqliteStore.open(tmp_path)
    for _ in range(3):
        assert await asyncio.gather(*(store.read("SELECT :n", {"n": n}) for n in range(20))) == [
            [(n,)] for n in range(20)
        ]
    await store.close()
    assert len(opened) == READERS
