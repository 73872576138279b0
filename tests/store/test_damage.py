"""A damaged database is refused in plain words, or opened with every row: it never begins anew, and is never changed by a refusal."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.store import wal
from bot.store.folder import DATABASE, prepare
from bot.store.sqlite import connect_writer, read_only
from tests.store.database import fill, note_twice, noted, opened

WAL = f"{DATABASE}-wal"
PAGE = 4096
FRAME = PAGE + 24


def open_copy(
    whole: Path, damage: Callable[[Path], None], read: Callable[[Path], list[str]] = noted
) -> list[str] | None:
    """The names in a damaged copy of `whole`, or None when it was refused, unchanged and with a text to act upon."""
    data = whole.with_name("copy")
    shutil.copytree(whole, data)
    damage(data)
    before = {name: (data / name).read_bytes() for name in (DATABASE, WAL) if (data / name).exists()}
    try:
        connect_writer(data / DATABASE).close()
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    found = None if refused else read(data)
    assert not refused or {name: (data / name).read_bytes() for name in before} == before
    assert not refused or "frontdesk" in refused
    shutil.rmtree(data)
    return found


def read_plainly(data: Path) -> list[str]:
    """Past every index, and without comparing the two rows of a unit, of which one may read differently now."""
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM audit NOT INDEXED ORDER BY rowid")]


def flip(name: str, at: int, bits: int = 0xFF) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        with (data / name).open("r+b") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ bits]))

    return damage


def cut(name: str, size: int) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        with (data / name).open("r+b") as file:
            file.truncate(size)

    return damage


async def killed(folder: Path, checkpointed: int, logged: int) -> tuple[Path, list[str]]:
    """What a kill leaves of so many units in the database and so many more in its log, a commit each."""
    names = await fill(folder / "running", checkpointed)
    async with opened(folder / "running") as store:
        for number in range(logged):
            names.append(await store.run(note_twice, f"log {number:03}", 200))
        prepare(folder / "whole")
        for name in (DATABASE, WAL):
            shutil.copy(folder / "running" / name, folder / "whole" / name)
    return folder / "whole", names


@pytest.mark.parametrize("place", [0, 5, 100, 2000, PAGE - 30])
async def test_f51_a_changed_byte_on_any_page_loses_no_row_silently(tmp_path: Path, place: int) -> None:
    """Refused, or every row is there, where at most the changed one reads differently: pages have no checksums of their own."""
    whole = tmp_path / "whole"
    names = await fill(whole, 60, 300)
    pages = (whole / DATABASE).stat().st_size // PAGE
    refused = 0
    for page in range(pages):
        found = open_copy(whole, flip(DATABASE, page * PAGE + place), read_plainly)
        refused += found is None
        assert found is None or (
            len(found) == len(names) and sum(a != b for a, b in zip(found, names, strict=True)) <= 1
        )
    assert refused >= (pages * 2 // 3 if place in (0, 5) else 0)


async def test_f51_a_database_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    """At any page, and within one, unless all that is missing reads as nothing did."""
    whole = tmp_path / "whole"
    names = await fill(whole, 60, 300)
    size = (whole / DATABASE).stat().st_size
    for length in (0, 10, 100, PAGE, PAGE + 1, size // 2, size - PAGE):
        assert open_copy(whole, cut(DATABASE, length)) is None
    assert open_copy(whole, cut(DATABASE, size - 1)) in (None, names)


async def test_f51_a_changed_byte_in_the_log_is_noticed(tmp_path: Path) -> None:
    """Where commits lie behind it, it is refused: SQLite by itself would drop them in silence. At the very end it looks like a power
    cut within the latest commit, which is gone then, at most with the one whose end was hit."""
    whole, names = await killed(tmp_path, 5, 12)
    size = (whole / WAL).stat().st_size
    frames = (size - 32) // FRAME
    assert open_copy(whole, lambda data: None) == names
    last = frames - frames // 12 - 1  # the frame that ends the commit before the latest
    places = [(0, at) for at in (0, 4, 8, 17, 25)]
    places += [(frame, 32 + frame * FRAME + at) for frame in range(frames) for at in (1, 9, 17, 24, 24 + 2000)]
    refused = 0
    for frame, at in places:
        found = open_copy(whole, flip(WAL, at))
        refused += found is None
        assert found in (None, names) or (frame >= last - 1 and found in (names[:-1], names[:-2]))
    assert refused > len(places) * 0.8


async def test_f51_a_log_that_is_cut_short_loses_no_more_than_what_is_cut(tmp_path: Path) -> None:
    """What stands before the cut is there, unit by unit, and never half of one. (That something followed, nothing says any more.)"""
    whole, names = await killed(tmp_path, 5, 8)
    size = (whole / WAL).stat().st_size
    lengths = []
    for length in range(0, size + 1, FRAME // 2):
        found = open_copy(whole, cut(WAL, length))
        assert found is not None
        assert found == names[: len(found)]
        lengths.append(len(found))
    assert lengths[0] == 5
    assert lengths == sorted(lengths)
    assert open_copy(whole, cut(WAL, size)) == names


async def test_an_intact_log_is_no_loss(tmp_path: Path) -> None:
    """Also one that was begun anew, over the frames of the one before it."""
    data = tmp_path / "data"
    async with opened(data) as store:
        for number in range(20):
            await store.run(note_twice, f"{number}", 3000)
        await store.read("SELECT count(*) FROM audit")
        with closing(sqlite3.connect(data / DATABASE)) as other:
            assert other.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0
        await store.run(note_twice, "anew")
        with closing(read_only(data / DATABASE)) as reader:
            assert reader.execute("SELECT count(*) FROM audit").fetchone() == (21,)
            assert not wal.has_lost_commits(data / DATABASE)
