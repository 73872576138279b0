"""A backup is whole or none, taken while the daemon works; a restore puts it back and throws nothing away."""

import asyncio
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import DataError, SendRefused
from bot.model import Blob, Identity, Message
from bot.recovery import discard, release, wake_waiting
from bot.store.backup import BackupReport, RestoreReport, backup, restore
from bot.store.blobs import Blobs, path_of
from bot.store.copying import PARTIAL
from bot.store.folder import BLOBS, DATABASE, Lock, being_restored, prepare
from bot.store.keyring import KEYRING
from bot.store.sqlite import SqliteStore, connect_writer
from tests.clock import ManualClock
from tests.pipeline.house import Core, ListChannel, core
from tests.store.database import fill, note_twice, noted, opened
from tests.store.kills import dies
from tests.store.mounts import mounted

ADA = Identity("list", "", "ada")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)


async def save_file(data: Path, store: SqliteStore, name: str) -> Blob:
    async def content() -> AsyncIterator[bytes]:
        yield PNG + name.encode()

    return await Blobs(data / BLOBS, store, ManualClock(), 1_000_000).save(content(), name, ADA)


def noted_anew(folder: Path) -> list[str]:
    """What a daemon finds once this backup is restored: its keyring is in `data` beside it."""
    room = folder.with_name("opened")
    (room / "data").mkdir(parents=True)
    shutil.copyfile(folder.with_name("data") / KEYRING, room / "data" / KEYRING)
    restore(folder, room / "data")
    connect_writer(room / "data" / DATABASE).close()
    names = noted(room / "data")
    shutil.rmtree(room)
    return names


def names_in(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


# --- backup ----------------------------------------------------------------------------------------------------------


async def test_a_backup_beside_a_busy_writer_is_consistent(tmp_path: Path) -> None:
    """It holds every unit that was acknowledged before it began, and no half of any other."""
    data = tmp_path / "data"
    async with opened(data) as store:
        done: list[str] = []
        is_over = False

        async def write(lane: int) -> None:
            while not is_over:
                done.append(await store.run(note_twice, f"{lane}.{len(done)}", 500))

        writing = [asyncio.create_task(write(lane)) for lane in range(4)]
        for number in range(3):
            before = set(done)
            await asyncio.to_thread(backup, data, tmp_path / f"{number}")
            assert before <= set(noted_anew(tmp_path / f"{number}"))
        is_over = True
        await asyncio.gather(*writing)
    assert set(noted(data)) == set(done)


async def test_a_backup_changes_nothing_of_the_source(tmp_path: Path) -> None:
    """No checkpoint, no write: the log is as long as before, and the database byte for byte the same."""
    data = tmp_path / "data"
    async with opened(data) as store:
        for number in range(20):
            await store.run(note_twice, str(number), 500)
        before = {name: (data / name).read_bytes() for name in (DATABASE, f"{DATABASE}-wal")}
        report = await asyncio.to_thread(backup, data, tmp_path / "copy")
        assert {name: (data / name).read_bytes() for name in before} == before
        assert len(before[f"{DATABASE}-wal"]) > 4096
    assert names_in(tmp_path / "copy") == [BLOBS, DATABASE]
    assert report.database_bytes == (tmp_path / "copy" / DATABASE).stat().st_size
    assert (tmp_path / "copy").stat().st_mode & 0o077 == (tmp_path / "copy" / DATABASE).stat().st_mode & 0o077 == 0


async def test_a_backup_after_a_kill_has_what_is_in_the_log_only(tmp_path: Path) -> None:
    """It needs no daemon, and does not wait for one to tidy up."""
    data = tmp_path / "data"
    names = [str(number) for number in range(5)]
    async with opened(data) as store:
        for name in names:
            await store.run(note_twice, name)
        shutil.copytree(data, tmp_path / "killed")
    backup(tmp_path / "killed", tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "killed")
    assert noted(tmp_path / "killed") == names


async def test_a_backup_has_the_files_that_its_rows_name(tmp_path: Path) -> None:
    """They are sealed; one that is gone is counted and loses nothing else. The keys of tokens come along, those of the backup do not."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with opened(data) as store:
        kept, gone = [await save_file(data, store, name) for name in ("a.png", "b.png")]
        path_of(data / BLOBS, gone.id).unlink()
        path_of(data / BLOBS, "unnamed").parent.mkdir()
        path_of(data / BLOBS, "unnamed").touch()
        (data / "web.key").write_bytes(b"secret")
        report = await asyncio.to_thread(backup, data, copy)
    assert (report.files.copied, report.files.missing) == (1, 1)
    assert str(report).endswith("1 files (1 more are missing)")
    assert PNG not in path_of(copy / BLOBS, kept.id).read_bytes()
    assert not (copy / KEYRING).exists()
    assert [path.name for path in (copy / BLOBS).rglob("*") if path.is_file()] == [kept.id]
    assert (copy / "web.key").read_bytes() == b"secret"
    assert (copy / "web.key").stat().st_mode & 0o077 == 0


async def test_a_backup_on_another_disk_brings_the_files_back(tmp_path: Path) -> None:
    """Also from a folder that is a disk's own root, where nothing can be moved to."""
    data = tmp_path / "data"
    async with opened(data) as store:
        blob = await save_file(data, store, "a.png")
    with mounted(tmp_path / "disk", "4m") as disk:
        assert backup(data, disk).files.copied == 1
        restore(disk, data)
    assert path_of(data / BLOBS, blob.id).read_bytes() == PNG + b"a.png"


async def test_f48_a_backup_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """A full disk is said in one line, and what was begun is gone."""
    data = tmp_path / "data"
    async with opened(data) as store:
        for number in range(100):
            await store.run(note_twice, secrets.token_hex(5_000), number)
    with mounted(tmp_path / "disk", "256k") as disk:
        with pytest.raises(DataError, match="Free the disk or name another"):
            backup(data, disk / "copy")
        with pytest.raises(DataError, match="Free the disk or name another"):
            backup(data, disk)
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("used", "is not empty"),
        ("begun", "holds a backup that was interrupted"),
        ("data/copy", "lie in each other"),
        (".", "lie in each other"),
        ("file", "is not a folder"),
    ],
)
async def test_a_backup_overwrites_nothing(tmp_path: Path, target: str, text: str) -> None:
    """Only a new or an empty folder is taken."""
    await fill(tmp_path / "data", 1)
    for name in ("used", "begun", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "used" / "something").touch()
    (tmp_path / "begun" / PARTIAL).touch()
    (tmp_path / "file").touch()
    before = names_in(tmp_path, "**/*")
    with pytest.raises(DataError, match=text):
        backup(tmp_path / "data", tmp_path / target)
    assert names_in(tmp_path, "**/*") == before
    backup(tmp_path / "data", tmp_path / "empty")


async def test_a_backup_of_nothing_or_of_damage_is_refused(tmp_path: Path) -> None:
    """A copy that could not be restored is worse than none."""
    data = tmp_path / "data"
    with pytest.raises(DataError, match="nothing to back up"):
        backup(data, tmp_path / "copy")
    await fill(data, 50, 500)
    with (data / DATABASE).open("r+b") as file:
        file.seek(-8192, os.SEEK_END)
        file.write(b"\xff" * 8192)
    with pytest.raises(DataError, match=r"is damaged .*frontdesk salvage"):
        backup(data, tmp_path / "copy")
    (data / DATABASE).write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        backup(data, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_f15_a_kill_at_any_step_of_a_backup_leaves_a_whole_one_or_none(in_memory: Path) -> None:
    """What is not whole cannot be restored, and says why."""
    data = in_memory / "data"
    names = await fill(data, 5)
    async with opened(data) as store:
        await save_file(data, store, "a.png")
    at, died, whole = 0, True, 0
    while died:
        at += 1
        target = in_memory / f"{at}"
        died = await asyncio.to_thread(dies, lambda: backup(data, target), at)  # noqa: B023 - run before the next round
        if (target / DATABASE).exists():
            whole += 1
            assert len(names_in(target, f"{BLOBS}/*/*")) == 1
            copied = in_memory / "restored" / "data"
            copied.mkdir(parents=True)
            shutil.copyfile(data / KEYRING, copied / KEYRING)
            restore(target, copied)
            assert noted(copied) == names
            shutil.rmtree(copied.parent)
        else:
            with pytest.raises(DataError, match=r"interrupted|There is no"):
                restore(target, in_memory / "other")
        shutil.rmtree(target, ignore_errors=True)
    assert at > whole > 0
    assert noted(data) == names


# --- restore ---------------------------------------------------------------------------------------------------------


async def test_a_restore_puts_what_was_there_aside(tmp_path: Path) -> None:
    """The old folder is kept whole beside the new one."""
    data, clock = tmp_path / "data", ManualClock()
    names = await fill(data, 3)
    async with opened(data) as store:
        blob = await save_file(data, store, "a.png")
    made = backup(data, tmp_path / "copy")
    async with opened(data) as store:
        await store.run(note_twice, "later")
    report = restore(tmp_path / "copy", data, clock)
    aside = tmp_path / f"data.before-restore-{clock.now_ms()}"
    assert report == RestoreReport(data, aside, report.database_bytes, made.files)
    assert isinstance(made, BackupReport)
    assert noted(data) == names
    assert noted(aside) == [*names, "later"]
    assert path_of(data / BLOBS, blob.id).read_bytes() == PNG + b"a.png"
    async with opened(data) as store:
        await store.run(note_twice, "anew")
    assert not (aside / KEYRING).exists()
    restore(tmp_path / "copy", data)
    assert noted(data) == names
    assert not being_restored(data).exists()


async def test_a_restore_into_a_folder_with_the_keyring_alone_puts_nothing_aside(tmp_path: Path) -> None:
    """On a new machine there is nothing to keep."""
    names = await fill(tmp_path / "old", 3)
    backup(tmp_path / "old", tmp_path / "copy")
    (tmp_path / "data").mkdir()
    shutil.copyfile(tmp_path / "old" / KEYRING, tmp_path / "data" / KEYRING)
    assert restore(tmp_path / "copy", tmp_path / "data").aside is None
    assert noted(tmp_path / "data") == names
    assert names_in(tmp_path) == ["copy", "data", "old"]
    assert (tmp_path / "data" / KEYRING).read_bytes() == (tmp_path / "old" / KEYRING).read_bytes()


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_restore_without_its_keyring_is_refused_with_the_mend(tmp_path: Path, is_there: bool) -> None:
    """Nothing was changed, and the keyring put into place mends it."""
    names = await fill(tmp_path / "old", 3)
    backup(tmp_path / "old", tmp_path / "copy")
    if is_there:
        (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"backup\.keys is missing.*Put the newest backup\.keys"):
        restore(tmp_path / "copy", tmp_path / "data")
    assert names_in(tmp_path) == (["copy", "data", "old"] if is_there else ["copy", "old"])
    (tmp_path / "data").mkdir(exist_ok=True)
    shutil.copyfile(tmp_path / "old" / KEYRING, tmp_path / "data" / KEYRING)
    restore(tmp_path / "copy", tmp_path / "data")
    assert noted(tmp_path / "data") == names


async def test_a_foreign_or_older_keyring_is_refused(tmp_path: Path) -> None:
    """It would drop people who were never erased."""
    old = tmp_path / "old"
    async with core(old) as house:
        await asyncio.to_thread(backup, old, tmp_path / "first")
        before = (old / KEYRING).read_bytes()
        await house.say("hello", "1")
        await house.rest()
        await asyncio.to_thread(backup, old, tmp_path / "copy")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / KEYRING).write_bytes(before)
    with pytest.raises(DataError, match="is older than"):
        restore(tmp_path / "copy", tmp_path / "data")
    await fill(tmp_path / "foreign", 1)
    backup(tmp_path / "foreign", tmp_path / "other")
    shutil.copyfile(tmp_path / "foreign" / KEYRING, tmp_path / "data" / KEYRING)
    with pytest.raises(DataError, match="is not the keyring"):
        restore(tmp_path / "copy", tmp_path / "data")


async def test_a_changed_or_missing_packet_stops_the_restore(tmp_path: Path) -> None:
    """What was sealed comes back as it was, or not at all."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    names = await fill(data, 3)
    backup(data, copy)
    whole = (copy / DATABASE).read_bytes()
    for sql in (
        "DELETE FROM packets WHERE number = 1",
        "UPDATE packets SET sealed = zeroblob(90) WHERE number = 1",
        "UPDATE packets SET number = 100 - number",
    ):
        with closing(sqlite3.connect(copy / DATABASE)) as connection:
            connection.execute(sql)
            connection.commit()
        with pytest.raises(DataError, match="is damaged"):
            restore(copy, data)
        (copy / DATABASE).write_bytes(whole)
    assert noted(data) == names


async def test_a_plain_backup_of_before_is_restored_as_ever(tmp_path: Path) -> None:
    """It has the shape of the data folder, and needs no keyring."""
    names = await fill(tmp_path / "old", 3)
    restore(tmp_path / "old", tmp_path / "data")
    assert noted(tmp_path / "data") == names


async def test_a_restored_database_has_every_row_and_index_of_the_source(tmp_path: Path) -> None:
    """In the same order, too."""
    data = tmp_path / "data"
    async with core(data) as house:
        for number in range(3):
            await house.say(f"hello {number}", str(number), chat=f"person {number}")
        await house.rest()
    before = everything(data)
    backup(data, tmp_path / "copy")
    restore(tmp_path / "copy", data)
    after = everything(data)
    assert after.pop("meta")[0][1] != before.pop("meta")
    assert after == before


def everything(data: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f"SELECT rowid, * FROM {name}").fetchall() for name in names}
        found["schema"] = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    return found


async def test_a_restore_below_a_running_daemon_is_refused(tmp_path: Path) -> None:
    """It is told which process to stop, and nothing has changed."""
    data = tmp_path / "data"
    await fill(data, 3)
    backup(data, tmp_path / "copy")
    lock = Lock(data)
    lock.take()
    with pytest.raises(DataError, match=rf"process {os.getpid()}"):
        restore(tmp_path / "copy", data)
    lock.release()
    assert names_in(tmp_path) == ["copy", "data"]


async def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    """It is checked before anything is moved; so is one of a newer program or of another one."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    names = await fill(data, 50, 500)
    backup(data, copy)
    whole = (copy / DATABASE).read_bytes()
    (copy / DATABASE).write_bytes(whole[:-8192] + b"\xff" * 8192)
    with pytest.raises(DataError, match="is damaged"):
        restore(copy, data)
    (copy / DATABASE).write_bytes(whole)
    with closing(sqlite3.connect(copy / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(DataError, match="written by a newer"):
        restore(copy, data)
    with pytest.raises(DataError, match="There is no"):
        restore(tmp_path / "nowhere", data)
    with pytest.raises(DataError, match="lie in each other"):
        restore(data, data)
    assert noted(data) == names
    assert names_in(tmp_path) == ["copy", "data"]


async def test_f15_a_kill_at_any_step_of_a_restore_leaves_the_old_or_the_new_folder(in_memory: Path) -> None:
    """Or a start that says to run it again, which then works. Nothing is ever lost from the old one."""
    names = await fill(in_memory / "old", 3)
    backup(in_memory / "old", in_memory / "copy")
    async with opened(in_memory / "old") as store:
        await store.run(note_twice, "later")
    at, died, seen = 0, True, set[str]()
    while died:
        at += 1
        room = in_memory / f"{at}"
        room.mkdir()
        data = room / "data"
        shutil.copytree(in_memory / "old", data)
        died = await asyncio.to_thread(dies, lambda: restore(in_memory / "copy", data), at)  # noqa: B023 - run before the next round
        if not data.exists():
            with pytest.raises(DataError, match="Run it again"):
                prepare(data)
            seen.add("again")
            restore(in_memory / "copy", data)
        found = noted(data)
        assert found in (names, [*names, "later"])
        seen.add("old" if "later" in found else "new")
        if "later" not in found:
            (aside,) = room.glob("data.before-restore-*")
            assert noted(aside) == [*names, "later"]
        if "later" not in found or at % 10 == 0:
            restore(in_memory / "copy", data)
            assert noted(data) == names
        shutil.rmtree(room)
    assert seen == {"old", "new", "again"}


# --- f53: what a restored backup had not sent ------------------------------------------------------------------------


async def refuse(message: Message) -> None:
    raise SendRefused("the platform is down", is_retryable=True, retry_after_s=600.0)


async def restored(tmp_path: Path) -> Path:
    """A data folder of yesterday: one reply was waiting, and has been sent since; one question was not yet answered."""
    data = tmp_path / "data"
    async with core(data) as house:
        house.channel.on_send = refuse
        await house.say("hello", "1")
        await house.rest()
        assert house.channel.sent == []
        await asyncio.to_thread(backup, data, tmp_path / "copy")
        house.channel.on_send = None
        await house.rest(600.0)
        assert [message.text for message in house.channel.sent] == ["You said: hello"]
    restore(tmp_path / "copy", data)
    return data


async def settled(house: Core) -> list[str]:
    await house.rest(900.0)
    return [message.text for message in house.channel.sent]


async def test_f53_a_restored_outbox_is_held_until_it_is_released(tmp_path: Path) -> None:
    """Yesterday's replies do not go out by themselves, not at the second start either; new questions are answered."""
    data = await restored(tmp_path)
    async with core(data) as house:
        assert await settled(house) == []
        assert await house.all("SELECT kind FROM incidents") == [("restored",)]
    async with core(data) as house:
        assert await settled(house) == []
        await house.say("anybody there?", "2")
        assert await settled(house) == ["You said: anybody there?"]
        assert await house.store.run(release, house.clock.now_ms()) == 1
        await wake_waiting(house.store, house.scheduler, 3)
        await house.delivery.recover()
        assert await settled(house) == ["You said: anybody there?", "You said: hello"]
    async with core(data) as house:
        assert await settled(house) == []


async def test_f53_a_discarded_outbox_is_never_sent(tmp_path: Path) -> None:
    """It stays, to be seen, and what comes later goes out as ever."""
    data = await restored(tmp_path)
    async with core(data) as house:
        assert await house.store.run(discard, house.clock.now_ms()) == 1
        await house.delivery.recover()
        assert await settled(house) == []
        assert await house.all("SELECT state, error FROM outbox") == [("dead", "discarded by an operator")]
        await house.say("anybody there?", "2")
        assert await settled(house) == ["You said: anybody there?"]
    async with core(data, channel=ListChannel()) as house:
        assert await settled(house) == []
