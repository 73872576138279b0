"""f48: the disk is full, and later it is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import DataError, StoreUnavailable
from bot.model import Identity
from bot.store.blobs import Blobs
from bot.store.folder import BLOBS, DATABASE, Lock, prepare
from bot.store.sqlite import SqliteStore, connect_writer
from tests.clock import ManualClock
from tests.store.database import note_twice, noted, opened, until
from tests.store.mounts import Disk, mounted


def fill_up(disk: Disk) -> Path:
    """Takes what is left, to the last byte."""
    filler = Path(disk) / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


async def test_f48_a_full_disk_loses_nothing_and_is_survived(tmp_path: Path) -> None:
    """Units fail until there is room; what was acknowledged is there; then the same store works again, and says so by itself."""
    states = list[str]()
    with mounted(tmp_path / "disk", "3m") as disk:
        data = Path(disk) / "data"
        async with opened(data, on_health=states.append) as store:
            acknowledged = [await store.run(note_twice, f"early {number}", 2000) for number in range(20)]
            filler = fill_up(disk)
            results = await asyncio.gather(
                *(store.run(note_twice, f"full {number}", 9000) for number in range(300)), return_exceptions=True
            )
            failed = [result for result in results if isinstance(result, StoreUnavailable)]
            acknowledged += [result for result in results if isinstance(result, str)]
            assert len(failed) + len(acknowledged) == 320
            assert failed
            assert await store.read("SELECT count(*) FROM audit") == [(len(acknowledged),)]
            await until(lambda: len(states) > 0)
            assert "full" in states[-1]
            filler.unlink()
            await until(lambda: states[-1] == "open")
            acknowledged.append(await store.run(note_twice, "late", 2000))
        assert sorted(noted(data)) == sorted(acknowledged)
        connect_writer(data / DATABASE).close()


async def test_f48_a_disk_that_runs_full_under_way_loses_nothing(tmp_path: Path) -> None:
    """Wherever in a transaction it happens: each round leaves a little less room than the one before."""
    with mounted(tmp_path / "disk", "1536k") as disk:
        data = Path(disk) / "data"
        acknowledged: list[str] = []
        async with opened(data) as store:
            for number in range(1000):
                try:
                    acknowledged.append(await store.run(note_twice, f"{number}", 500 + number * 131 % 7000))
                except StoreUnavailable:
                    break
            assert 10 < len(acknowledged) < 999
            for number in range(1000, 1030):
                result = (await asyncio.gather(store.run(note_twice, f"{number}", 10), return_exceptions=True))[0]
                assert isinstance(result, (str, StoreUnavailable))
                acknowledged += [result] if isinstance(result, str) else []
        assert noted(data) == acknowledged


async def test_f48_a_start_on_a_full_disk_is_refused_in_plain_words(tmp_path: Path) -> None:
    """Nothing half made stays behind to be taken for a database."""
    with mounted(tmp_path / "disk", "1536k") as disk:
        data = Path(disk) / "data"
        prepare(data)
        filler = fill_up(disk)
        lock = Lock(data)
        lock.take()
        with pytest.raises(DataError, match="cannot be opened"):
            await SqliteStore.open(data)
        assert not (data / DATABASE).exists()
        filler.unlink()
        async with opened(data) as store:
            await store.run(note_twice, "1")
        lock.release()
        assert noted(data) == ["1"]


async def test_f48_a_file_that_does_not_fit_is_unavailable_and_not_kept(tmp_path: Path) -> None:
    """The sender may repeat it; no piece of it takes room meanwhile."""
    with mounted(tmp_path / "disk", "1536k") as disk:
        data = Path(disk) / "data"

        async def content() -> AsyncIterator[bytes]:
            yield b"\x89PNG\r\n\x1a\n"
            for _ in range(100):
                yield bytes(10_000)

        async with opened(data) as store:
            blobs = Blobs(data / BLOBS, store, ManualClock(), 10_000_000)
            with pytest.raises(StoreUnavailable):
                await blobs.save(content(), "big.png", Identity("list", "", "ada"))
            assert await store.read("SELECT count(*) FROM blobs") == [(0,)]
        assert list((data / BLOBS).iterdir()) == []
