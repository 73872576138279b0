"""Salvage: every row that lies outside the damage is in the new database, the damaged one stays as it was, and the result works."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.recovery import BACKUP
from bot.store.backup import restore
from bot.store.folder import DATABASE, Lock
from bot.store.salvage import SalvageReport, salvage
from tests.pipeline.house import core
from tests.store.database import fill, note, note_twice, opened
from tests.store.test_backup import names_in, save_file
from tests.store.test_damage import FRAME, PAGE, WAL, flip, killed

ROWS = 400
Leaves = list[tuple[int, int]]  # page number, rows on it


def leaves(data: Path, name: str) -> Leaves:
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        sql = "SELECT pageno, ncell FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path"
        try:
            return [(row[0], row[1]) for row in connection.execute(sql, [name])]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not tell which pages a table has")


def ruin(data: Path, pages: list[int], content: bytes = b"\xff") -> None:
    with (data / DATABASE).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(content * (PAGE // len(content)))


def saved(folder: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT id FROM audit ORDER BY id")]


async def salvaged(data: Path) -> SalvageReport:
    """The report; the source must not have changed, and a daemon must be able to work with the result."""
    before = contents(data)
    report = salvage(data, data.with_name("saved"))
    assert contents(data) == before
    return report


def contents(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}


def of(report: SalvageReport, name: str) -> tuple[int, int]:
    return next((table.saved, table.lost) for table in report.tables if table.name == name)


@pytest.mark.parametrize(
    "choose",
    [
        lambda pages: [],
        lambda pages: pages[:1],
        lambda pages: pages[5:6],
        lambda pages: pages[-1:],
        lambda pages: pages[2:5] + pages[9:10] + pages[-3:-2],
        lambda pages: pages[::2],
        lambda pages: pages[:1] + pages[-1:],
        lambda pages: pages,
    ],
    ids=["none", "first", "inner", "last", "several", "every other", "both ends", "all"],
)
@pytest.mark.parametrize("content", [b"\xff", b"\0", b"\r\0\0\0\1\0\0\1"], ids=["ones", "zeros", "nonsense"])
async def test_every_row_outside_the_damage_is_saved(
    tmp_path: Path, choose: Callable[[Leaves], Leaves], content: bytes
) -> None:
    """And every lost one is counted, because an index still names it."""
    data = tmp_path / "data"
    await fill(data, ROWS, 300)
    damaged = choose(leaves(data, "audit"))
    lost = sum(rows for _, rows in damaged)
    ruin(data, [page for page, _ in damaged], content)
    report = await salvaged(data)
    assert of(report, "audit") == (ROWS - lost, lost)
    assert len(saved(tmp_path / "saved")) == ROWS - lost
    assert of(report, "meta") == (ROWS, 0)
    assert names_in(tmp_path / "saved") == ["blobs", DATABASE]


async def test_a_damaged_index_loses_nothing(tmp_path: Path) -> None:
    """Rows are read without it, and the new database has a new one."""
    data = tmp_path / "data"
    names = await fill(data, ROWS)
    ruin(data, [page for page, _ in leaves(data, "sqlite_autoindex_audit_1")])
    assert of(await salvaged(data), "audit") == (ROWS, 0)
    assert saved(tmp_path / "saved") == names


async def test_rows_are_saved_where_table_and_index_are_both_damaged(tmp_path: Path) -> None:
    """Without anything that names the lost ones, every row number in between is tried."""
    data = tmp_path / "data"
    await fill(data, ROWS, 300)
    damaged = [*leaves(data, "audit")[3:6], *leaves(data, "audit")[-1:]]
    ruin(data, [page for page, _ in damaged + leaves(data, "sqlite_autoindex_audit_1")])
    kept, lost = of(await salvaged(data), "audit")
    assert kept == ROWS - sum(rows for _, rows in damaged)
    assert lost >= ROWS - kept


@pytest.mark.parametrize("at", [0, 16, 18, 20, 28, 32, 44, 56, 60, 68])
async def test_a_damaged_header_loses_nothing(tmp_path: Path, at: int) -> None:
    """What it says is the same in every database of ours."""
    data = tmp_path / "data"
    names = await fill(data, ROWS)
    for place in range(at, at + 4):
        flip(DATABASE, place)(data)
    assert (await salvaged(data)).lost == 0
    assert saved(tmp_path / "saved") == names


async def test_what_the_log_has_before_its_damage_is_saved(tmp_path: Path) -> None:
    """A log that keeps the daemon from starting is read up to the damage."""
    data, names = await killed(tmp_path, 5, 12)
    frames = ((data / WAL).stat().st_size - 32) // FRAME
    flip(WAL, 32 + frames // 2 * FRAME + 100)(data)
    with pytest.raises(DataError, match="write-ahead log"):
        async with opened(data):
            pass
    await salvaged(data)
    kept = saved(tmp_path / "saved")
    assert 8 <= len(kept) <= 12
    assert kept == names[: len(kept)]


async def test_text_that_is_no_text_is_saved_as_well_as_it_can(tmp_path: Path) -> None:
    """A byte that breaks the encoding costs a letter, and a value of a wrong kind costs its row."""
    data = tmp_path / "data"
    async with opened(data) as store:
        await store.run(lambda cursor: note(cursor, "good"))
        await store.run(
            lambda cursor: cursor.execute(
                "INSERT INTO audit (id, actor, action, subject, at_ms) SELECT 'bad', actor, CAST(x'61ff62' AS TEXT), subject, at_ms FROM audit"
            )
        )
        await store.run(
            lambda cursor: cursor.execute(
                "INSERT INTO audit (id, actor, action, subject, at_ms) SELECT 'odd', actor, '', '', 'soon' FROM audit LIMIT 1"
            )
        )
    assert of(await salvaged(data), "audit") == (2, 1)
    assert saved(tmp_path / "saved") == ["bad", "good"]


async def test_nothing_to_save_is_said(tmp_path: Path) -> None:
    """And leaves no folder that looks like a result; nor is a running daemon's database read."""
    data, target = tmp_path / "data", tmp_path / "saved"
    await fill(data, ROWS)
    whole = (data / DATABASE).read_bytes()
    for content in (b"Dear diary, " * 1000, b"\xff" * len(whole), whole[:50], b""):
        (data / DATABASE).write_bytes(content)
        with pytest.raises(DataError, match=r"Restore a backup\."):
            salvage(data, target)
        assert not target.exists()
    (data / DATABASE).write_bytes(whole)
    lock = Lock(data)
    lock.take()
    with pytest.raises(DataError, match="Stop it first"):
        salvage(data, target)
    lock.release()
    assert salvage(data, target).lost == 0
    with pytest.raises(DataError, match="is not empty"):
        salvage(data, target)


async def test_a_salvaged_database_works_like_a_restored_backup(tmp_path: Path) -> None:
    """Files are there, what is unsent is held, and people whose conversation was lost can write again."""
    data = tmp_path / "data"
    async with core(data) as house:
        for chat in ("ada", "bob"):
            for number in range(3):
                await house.say("hello", str(number), chat)
                await house.rest()
        blob = await save_file(data, house.store, "a.png")
        await house.store.run(lambda cursor: cursor.execute("DELETE FROM conversations WHERE chat = 'ada'"))
        await house.store.run(lambda cursor: cursor.execute("UPDATE conversations SET delivered_seq = 99"))
    report = await salvaged(data)
    assert (report.files.copied, report.lost) == (1, 0)
    restore(tmp_path / "saved", data)
    async with core(data) as house:
        assert await house.all("SELECT count(*) FROM meta WHERE key = 'held'") == [(1,)]
        assert await house.all("SELECT delivered_seq FROM conversations") == [(6,)]
        assert (await house.say("again", "9", "ada")).seq == 1
        assert (await house.say("again", "9", "bob")).seq == 7
        await house.rest()
        assert [message.text for message in house.channel.sent] == ["You said: again"] * 2
        assert await house.all("SELECT count(*) FROM messages WHERE conversation_id LIKE 'lost:%'") == [(6,)]
        assert await house.all("SELECT id FROM blobs") == [(blob.id,)]
    with closing(sqlite3.connect(tmp_path / "saved" / DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM meta WHERE key = ?", [BACKUP]).fetchone() == (1,)


async def test_the_report_says_what_is_missing(tmp_path: Path) -> None:
    """In one line, table by table."""
    data = tmp_path / "data"
    await fill(data, ROWS, 300)
    page, rows = leaves(data, "audit")[4]
    ruin(data, [page])
    text = str(await salvaged(data))
    assert text == f"{2 * ROWS - rows} rows, {rows} lost, and 0 files (audit {rows} lost of {ROWS})"
    async with opened(tmp_path / "saved") as store:
        await store.run(note_twice, "works")
