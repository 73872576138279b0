"""A database is brought to the latest schema as a whole, or refused in plain words and left as it was."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot import ids
from bot.errors import DataError
from bot.model import Address
from bot.store import migrations
from bot.store.folder import BLOBS, DATABASE, prepare
from bot.store.migrations import APPLICATION_ID, latest
from bot.store.sqlite import SqliteStore, connect_writer
from tests.clock import ManualClock
from tests.pipeline.house import core
from tests.store.database import fill, note_twice, noted, opened
from tests.store.kills import dies

NEXT = [
    "CREATE TABLE next (id TEXT PRIMARY KEY)",
    "ALTER TABLE meta ADD COLUMN next TEXT",
    "UPDATE meta SET next = key",
]


async def refusal(data: Path) -> str:
    """The text with which the store is refused; the files must not have changed."""
    before = contents(data)
    with pytest.raises(DataError) as refused:
        await SqliteStore.open(data)
    assert contents(data) == before
    text = str(refused.value)
    assert "Traceback" not in text
    assert "\n" not in text
    return text


def contents(data: Path) -> dict[str, bytes]:
    """Of every file but SQLite's shared memory, and an empty log, which any reader makes."""
    files = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file() and path.suffix != ".db-shm"}
    return {name: content for name, content in files.items() if content or not name.endswith("-wal")}


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (title)")


def schema(data: Path) -> tuple[int, int, list[str]]:
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        (version,), (application,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")
        )
        texts = sorted(row[0] or "" for row in connection.execute("SELECT sql FROM sqlite_master"))
        return version, application, texts


def add_migration(monkeypatch: pytest.MonkeyPatch) -> int:
    """One more than there are. Returns the number before it."""
    before, statements = latest(), migrations._statements
    monkeypatch.setattr(migrations, "latest", lambda: before + 1)
    monkeypatch.setattr(migrations, "_statements", lambda number: NEXT if number > before else statements(number))
    return before


async def test_a_new_folder_gets_the_latest_schema(tmp_path: Path) -> None:
    """A first start makes a database that says whose it is and how new, and leaves nothing else."""
    data = tmp_path / "data"
    async with opened(data):
        pass
    assert sorted(path.name for path in data.iterdir()) == [BLOBS, DATABASE]
    assert schema(data)[:2] == (latest(), APPLICATION_ID)


async def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    """Opening a database of the latest schema writes nothing."""
    data = tmp_path / "data"
    await fill(data, 3)
    before = contents(data)
    async with opened(data):
        pass
    assert contents(data) == before


async def test_a_database_of_the_first_schema_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its conversation keeps its case, and the next message the next seq."""
    data = tmp_path / "data"
    prepare(data)
    with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as old:
        for statement in migrations._statements(1):
            old.execute(statement)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        conversation = ids.conversation_id(Address("list", "", "ada"))
        who = ids.identity_id("list", "", "ada")
        old.execute(
            """INSERT INTO conversations (id, channel, account, chat, thread, identity_id, agent, last_seq, case_id, created_ms, updated_ms)
            VALUES (?, 'list', '', 'ada', '', ?, 'main', 2, 'c', 1, 1)""",
            [conversation, who],
        )
        for seq, author in ((1, "user"), (2, "agent")):
            old.execute(
                """INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms, handled_ms)
                VALUES (?, ?, ?, 'c', ?, 'public', 'hello', ?, 1)""",
                [f"m{seq}", conversation, seq, author, ManualClock().now_ms()],
            )
    async with core(data) as house:
        accepted = await house.say("and now?", "3", "ada")
        assert (accepted.seq, accepted.case) == (3, "c")
        await house.rest()
        assert [message.seq for message in house.channel.sent] == [4]


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A downgrade is told which way is open."""
    data = tmp_path / "data"
    await fill(data, 1)
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        connection.execute(f"PRAGMA user_version = {latest() + 1}")
    assert "was written by a newer Frontdesk" in await refusal(data)


async def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    """Not even its journal mode is changed."""
    data = tmp_path / "data"
    prepare(data)
    make_foreign(data / DATABASE)
    assert "is a database of another program" in await refusal(data)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Whatever lies under our name is kept."""
    data = tmp_path / "data"
    prepare(data)
    (data / DATABASE).write_text("Dear diary, " * 1000)
    assert "is not a SQLite database" in await refusal(data)


async def test_f51_an_emptied_database_is_refused(tmp_path: Path) -> None:
    """A file of no bytes is a loss, never a first start: a first start names its database when it is whole."""
    data = tmp_path / "data"
    await fill(data, 3)
    (data / DATABASE).write_bytes(b"")
    assert "is empty: what it held is lost" in await refusal(data)


async def test_f51_a_missing_database_is_refused_where_something_is_left(tmp_path: Path) -> None:
    """Files of people without the database that names them are not the beginning of something new."""
    data = tmp_path / "data"
    await fill(data, 3)
    (data / DATABASE).unlink()
    (data / BLOBS / "ab").mkdir()
    assert "is missing, though" in await refusal(data)


async def test_a_database_above_an_unknown_folder_is_a_plain_refusal(tmp_path: Path) -> None:
    """A path that leads nowhere is no traceback."""
    with pytest.raises(DataError, match="cannot be opened"):
        await SqliteStore.open(tmp_path / "nowhere")


def test_f15_a_kill_at_any_step_of_a_first_start_leaves_nothing_or_all(in_memory: Path) -> None:
    """Before every statement and every touch of the disk: the next start has the whole schema."""
    whole, steps = in_memory / "whole", 0
    prepare(whole)
    connect_writer(whole / DATABASE).close()
    while True:
        steps += 1
        data = in_memory / f"{steps}"
        prepare(data)
        died = dies(lambda: connect_writer(data / DATABASE), steps)  # noqa: B023 - run before the next round
        assert not (data / DATABASE).exists() or schema(data) == schema(whole)
        connect_writer(data / DATABASE).close()
        assert schema(data) == schema(whole)
        shutil.rmtree(data)
        if not died:
            break
    assert steps > 30


async def test_f15_a_kill_at_any_step_of_a_migration_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there either way, and the next start finishes what was begun."""
    names = await fill(tmp_path / "old", 5)
    before = add_migration(monkeypatch)
    old, seen, at, died = schema(tmp_path / "old"), set[int](), 0, True
    while died:
        at += 1
        data = tmp_path / f"{at}"
        shutil.copytree(tmp_path / "old", data)
        died = await asyncio.to_thread(dies, lambda: connect_writer(data / DATABASE), at)  # noqa: B023 - run before the next round
        seen.add(schema(data)[0])
        assert schema(data) == old or schema(data)[0] == before + 1
        async with opened(data) as store:
            rows = await store.read("SELECT count(*), count(next) FROM meta WHERE key LIKE 'note %'")
            assert rows == [(5, 5)]
            await store.run(note_twice, "after")
        assert noted(data) == [*names, "after"]
        shutil.rmtree(data)
    assert seen == {before, before + 1}


async def test_f15_an_error_within_a_migration_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails half way is no migration; the program before it can be started again."""
    data = tmp_path / "data"
    names, old = await fill(data, 5), schema(data)
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "NEXT", [*NEXT, "UPDATE nowhere SET no = 1"])
        add_migration(patched)
        with pytest.raises(DataError):
            await SqliteStore.open(data)
    assert schema(data) == old
    assert noted(data) == names
