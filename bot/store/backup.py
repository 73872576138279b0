"""A consistent copy of the data folder while the daemon runs, and the way back.

A backup is a folder of the same shape as the data folder: the database in one file, the blobs that its rows name, the keys. Its
database has its final name only when everything is there and checked, so an interrupted backup is never mistaken for one. What it had
not sent is marked to be held, because most of that will have been sent by the time it is put back. A restore deletes nothing: what was
there is moved aside.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bot.clock import SystemClock
from bot.errors import DataError
from bot.ports import Clock
from bot.recovery import BACKUP
from bot.store.blobs import path_of
from bot.store.folder import BLOBS, DATABASE, LOCK, Lock, being_restored, refuse_other_owner, sync_folder
from bot.store.migrations import check
from bot.store.sqlite import damaged, read_only

PARTIAL = f"{DATABASE}.partial"
KEYS = "*.key"  # what tokens are signed with: without it, every visitor would be a stranger after a restore
BLOBS_IN_USE = "SELECT id, size_bytes FROM blobs"
MARK = "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Files:
    """The blobs of a copy. Missing are those whose file is not there, or not of its size."""

    copied: int
    missing: int

    def __str__(self) -> str:
        return f"{self.copied} files" + (f" ({self.missing} more are missing)" if self.missing else "")


@dataclass(frozen=True, slots=True)
class BackupReport:
    folder: Path
    database_bytes: int
    files: Files

    def __str__(self) -> str:
        return f"a database of {self.database_bytes / 1_048_576:.1f} MB and {self.files}"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """`aside`: where the data folder that was there before is now."""

    folder: Path
    aside: Path | None
    database_bytes: int
    files: Files

    def __str__(self) -> str:
        what = f"a database of {self.database_bytes / 1_048_576:.1f} MB and {self.files}"
        return f"{what}; what was there before is in {self.aside}" if self.aside else what


def backup(data: Path, target: Path, clock: Clock | None = None) -> BackupReport:
    """Copies `data` into the new or empty folder `target`. The daemon may run; nothing of its folder is written.

    Raises DataError; what was begun is removed then."""
    if not (data / DATABASE).is_file():
        raise DataError(f"There is no database in {data} yet, so nothing to back up. Check [data] path.")
    refuse_inside(target, data)
    with new_folder(target):
        size, files = _copy(data, target, (clock or SystemClock()).now_ms())
    return BackupReport(target, size, files)


def restore(source: Path, data: Path, clock: Clock | None = None) -> RestoreReport:
    """Puts the backup `source` where `data` is, and what was there aside. Whatever happens, `data` is the old one or the new one,
    or a start says that the restore has to be run again. Raises DataError."""
    _refuse_no_backup(source)
    refuse_inside(source, data)
    now_ms = (clock or SystemClock()).now_ms()
    fresh = being_restored(data)
    with _held(data):
        if fresh.exists():
            shutil.rmtree(fresh)  # of a restore that was interrupted: a copy of a backup
        with new_folder(fresh):
            size, files = _copy(source, fresh, now_ms)
            _keep_a_log(fresh / DATABASE)
            aside = _exchange(data, fresh, data.with_name(f"{data.name}.before-restore-{now_ms}"))
    return RestoreReport(data, aside, size, files)


# --- shared with salvage ---------------------------------------------------------------------------------------------


def refuse_inside(folder: Path, data: Path) -> None:
    if folder.resolve().is_relative_to(data.resolve()) or data.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{folder} and the data folder {data} lie in each other. Name a folder elsewhere.")


@contextmanager
def new_folder(target: Path) -> Iterator[None]:
    """`target`, new or empty until now; emptied again when the work in it fails."""
    is_ours = not target.exists()
    _refuse_used(target)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except BaseException as error:
        _empty(target)
        if is_ours:
            with suppress(OSError):
                target.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"{target} cannot be written ({error.strerror}). Free the disk or name another.") from error
        raise


def copy_files(connection: sqlite3.Connection, source: Path, target: Path) -> Files:
    """Links or copies the blobs that the rows of `connection` name, and the keys, and makes them durable."""
    copied = missing = 0
    folders = {target / BLOBS}
    (target / BLOBS).mkdir(mode=0o700)
    for blob_id, size in connection.execute(BLOBS_IN_USE):
        blob, copy = path_of(source / BLOBS, blob_id), path_of(target / BLOBS, blob_id)
        if not blob.is_file() or blob.stat().st_size != size:
            missing += 1
            continue
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        folders.add(copy.parent)
        _link_or_copy(blob, copy)
        copied += 1
    for key in source.glob(KEYS):
        _copy_durably(key, target / key.name)
    for folder in folders:
        sync_folder(folder)
    return Files(copied, missing)


def finish(partial: Path) -> int:
    """Gives a checked database its final name. Returns its size."""
    partial.chmod(0o600)
    sync_file(partial)
    partial.rename(partial.with_name(DATABASE))
    sync_folder(partial.parent)
    return partial.with_name(DATABASE).stat().st_size


def sync_file(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


# --- copying ---------------------------------------------------------------------------------------------------------


def _copy(source: Path, target: Path, now_ms: int) -> tuple[int, Files]:
    partial = target / PARTIAL
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # `finish` makes the whole file durable, once
        _copy_database(source / DATABASE, connection)
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, readable from a medium that cannot be written
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise DataError(damaged(source / DATABASE, "; ".join(" ".join(problem.split()) for problem in problems)))
        connection.execute(MARK, {"key": BACKUP, "value": str(now_ms)})
        files = copy_files(connection, source, target)
    except sqlite3.OperationalError as error:
        raise DataError(f"{target} cannot be written ({error}). Free the disk or name another.") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise DataError(damaged(source / DATABASE, str(error))) from error
    finally:
        connection.close()
    return finish(partial), files


def _copy_database(path: Path, target: sqlite3.Connection) -> None:
    """In one step: page by page, a busy daemon would make it begin anew again and again."""
    try:
        source = read_only(path)
    except sqlite3.OperationalError as error:
        raise DataError(f"{path} cannot be read ({error}). Check its rights.") from error
    try:
        if check(source, path) == 0:
            raise DataError(f"{path} is empty. Check that it is the folder you mean.")
        source.backup(target, pages=-1)
    finally:
        source.close()


def _link_or_copy(blob: Path, copy: Path) -> None:
    """A blob never changes once it has its name, so both folders may share it."""
    try:
        os.link(blob, copy)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        _copy_durably(blob, copy)


def _copy_durably(file: Path, copy: Path) -> None:
    shutil.copyfile(file, copy)
    copy.chmod(0o600)
    sync_file(copy)


# --- the folders -----------------------------------------------------------------------------------------------------


def _refuse_used(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise DataError(f"{target} is not a folder. Name a new or an empty one.")
    try:
        is_used = target.exists() and any(target.iterdir())
    except OSError as error:
        raise DataError(f"{target} cannot be read ({error.strerror}). Name another folder.") from error
    if is_used and (target / PARTIAL).exists():
        raise DataError(f"{target} holds a backup that was interrupted. Delete it, or name a new folder.")
    if is_used:
        raise DataError(f"{target} is not empty. Name a new or an empty folder.")


def _refuse_no_backup(source: Path) -> None:
    if (source / DATABASE).is_file():
        return
    if (source / PARTIAL).exists():
        raise DataError(f"{source} holds a backup that was interrupted. Use an earlier one.")
    raise DataError(f"There is no {DATABASE} in {source}. Name a folder that frontdesk backup made.")


def _empty(folder: Path) -> None:
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


@contextmanager
def _held(data: Path) -> Iterator[None]:
    """The data folder's lock, where there is a folder: no daemon starts in the middle."""
    if data.is_symlink() or (data.exists() and not data.is_dir()):
        raise DataError(f"{data} is not a folder. Move it away, or set another [data] path.")
    if not data.exists():
        yield
        return
    refuse_other_owner(data)
    lock = Lock(data)
    lock.take()
    try:
        yield
    finally:
        lock.release()


def _keep_a_log(database: Path) -> None:
    """Back to the journal mode that the daemon works in."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _exchange(data: Path, fresh: Path, aside: Path) -> Path | None:
    """Returns where the old folder is, or None when there was nothing in it."""
    is_unused = data.exists() and {entry.name for entry in data.iterdir()} <= {LOCK}
    moved = None
    if is_unused:
        (data / LOCK).unlink()
        data.rmdir()
    elif data.exists():
        _move(data, aside)
        moved = aside
    try:
        _move(fresh, data)
    except DataError:
        if moved is not None and not data.exists():
            moved.rename(data)
        raise
    sync_folder(data.parent)
    return moved


def _move(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be moved to {to} ({error.strerror}). Give this account the folder above it, "
            "or set [data] path to a new folder and restore there."
        ) from error
