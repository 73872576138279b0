"""A consistent copy of the data folder while the daemon runs, and the way back.

A backup is a folder with a database of sealed packets (see `bot.store.packets`), sealed files, and the keys that tokens are signed with. What
it is sealed with stays in the data folder, in the keyring (`bot.store.keyring`): without it a backup is worth nothing, and nobody whose key was
destroyed comes back. Nothing plain is ever written into it. Its database has its final name only when everything is there and checked, so
an interrupted backup is never mistaken for one. What it had not sent is marked to be held, because most of that will have been sent by
the time it is put back. A restore deletes nothing: what was there is moved aside. Backups of earlier versions are plain, and are taken as well.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bot.clock import SystemClock
from bot.errors import DataError
from bot.ports import Clock
from bot.recovery import BACKUP
from bot.store import keyring
from bot.store.copying import (
    MARK,
    PARTIAL,
    Files,
    copy_files,
    empty,
    finish,
    new_database,
    new_folder,
    opened,
    refuse_inside,
)
from bot.store.folder import DATABASE, LOCK, Lock, being_restored, refuse_other_owner, sync_folder
from bot.store.keyring import KEYRING, Keyring
from bot.store.migrations import check, migrate
from bot.store.packets import SEALED_ID
from bot.store.restoring import GRAVES_SINCE, bind, settle
from bot.store.sealed import open_backup, seal_backup
from bot.store.sqlite import refuse_damage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackupReport:
    folder: Path
    database_bytes: int
    files: Files
    is_new_keyring: bool = False

    def __str__(self) -> str:
        return f"a database of {self.database_bytes / 1_048_576:.1f} MB and {self.files}"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """`aside`: where the data folder that was there before is now. `gone`: accounts that were erased since, and did not come back."""

    folder: Path
    aside: Path | None
    database_bytes: int
    files: Files
    gone: int = 0

    def __str__(self) -> str:
        what = f"a database of {self.database_bytes / 1_048_576:.1f} MB and {self.files}"
        if self.gone:
            what += f"; {self.gone} accounts that were erased since did not come back"
        return f"{what}; what was there before is in {self.aside}" if self.aside else what


def backup(data: Path, target: Path, clock: Clock | None = None) -> BackupReport:
    """Copies `data` into the new or empty folder `target`. The daemon may run; nothing of its folder is written.

    Raises DataError; what was begun is removed then."""
    if not (data / DATABASE).is_file():
        raise DataError(f"There is no database in {data} yet, so nothing to back up. Check [data] path.")
    refuse_inside(target, data)
    is_new = not keyring.has_keys(data)
    with new_folder(target):
        size, files = seal_backup(data, target, (clock or SystemClock()).now_ms())
    return BackupReport(target, size, files, is_new)


def restore(source: Path, data: Path, clock: Clock | None = None) -> RestoreReport:
    """Puts the backup `source` where `data` is, and what was there aside. Whatever happens, `data` is the old one or the new one,
    or a start says that the restore has to be run again. Raises DataError."""
    _refuse_no_backup(source)
    refuse_inside(source, data)
    now_ms = (clock or SystemClock()).now_ms()
    fresh = being_restored(data)
    with (
        _held(data),
        _ring_of(data) as present,
    ):  # a backup that begins meanwhile waits, and takes its keys from the new one
        if present is not None:
            _settle_present(data, present)
        with _building(data, fresh, present), keyring.held(fresh) as ring:
            made = open_backup if _is_sealed(source / DATABASE) else _copy
            size, files, gone = made(source, fresh, ring, now_ms)
            _keep_a_log(fresh / DATABASE)
        aside = _exchange(data, fresh, data.with_name(f"{data.name}.before-restore-{now_ms}"))
    return RestoreReport(data, aside, size, files, gone)


# --- copying, for what is not sealed ---------------------------------------------------------------------------------


def _copy(source: Path, target: Path, ring: Keyring, now_ms: int) -> tuple[int, Files, int]:
    partial = target / PARTIAL
    with new_database(partial, source / DATABASE) as connection:
        _copy_database(source / DATABASE, connection)
        connection.execute("PRAGMA journal_mode = DELETE")
        refuse_damage(connection, source / DATABASE)
        migrate(connection, partial)
        connection.execute(MARK, {"key": BACKUP, "value": str(now_ms)})
        files = copy_files(connection, source, target)
        gone = bind(connection, target, ring, is_lacking=False, now_ms=now_ms)
    return finish(partial), files, gone


def _copy_database(path: Path, target: sqlite3.Connection) -> None:
    with closing(opened(path)) as source:
        if check(source, path) == 0:
            raise DataError(f"{path} is empty. Check that it is the folder you mean.")
        source.backup(target, pages=-1)


def _is_sealed(path: Path) -> bool:
    connection = opened(path)
    try:
        return bool(connection.execute("PRAGMA application_id").fetchone()[0] == SEALED_ID)
    except sqlite3.DatabaseError:
        return False  # damaged: whoever copies it says so
    finally:
        connection.close()


# --- the folders -----------------------------------------------------------------------------------------------------


def _refuse_no_backup(source: Path) -> None:
    if (source / DATABASE).is_file():
        return
    if (source / PARTIAL).exists():
        raise DataError(f"{source} holds a backup that was interrupted. Use an earlier one.")
    raise DataError(f"There is no {DATABASE} in {source}. Name a folder that frontdesk backup made.")


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


@contextmanager
def _ring_of(data: Path) -> Iterator[Keyring | None]:
    if not data.exists():
        yield None
        return
    with keyring.held(data) as ring:
        yield ring


def _settle_present(data: Path, ring: Keyring) -> None:
    """Everybody whom the data folder knows as erased has a grave in its keyring, before it is moved aside."""
    if not (data / DATABASE).is_file():
        return
    connection = opened(data / DATABASE)
    try:
        if check(connection, data / DATABASE) >= GRAVES_SINCE:
            settle(connection, data, ring)
    except sqlite3.DatabaseError:
        log.warning("%s cannot be read, so the keyring alone says who was erased", data / DATABASE)
    finally:
        connection.close()


@contextmanager
def _building(data: Path, fresh: Path, present: Keyring | None) -> Iterator[None]:
    """`fresh`, with the keyring of `data` and nothing else. After a restore that was interrupted between its moves, the only keyring at hand
    is the one in `fresh`: it is never without one."""
    kept = KEYRING if not keyring.has_keys(data) and keyring.has_keys(fresh) else ""
    empty(fresh, kept)
    fresh.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if present is not None and not kept:
            present.copy_to(fresh)
        yield
    except BaseException as error:
        empty(fresh, kept)
        with suppress(OSError):
            fresh.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"{fresh} cannot be written ({error.strerror}). Free the disk.") from error
        raise


def _keep_a_log(database: Path) -> None:
    """Back to the journal mode that the daemon works in."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _exchange(data: Path, fresh: Path, aside: Path) -> Path | None:
    """Returns where the old folder is, or None when there was nothing in it. The newest keyring is in the new one alone."""
    is_unused = data.exists() and {entry.name for entry in data.iterdir()} <= {LOCK, KEYRING}
    moved = None
    if data.exists():
        _move(data, aside)
        moved = aside
    try:
        _move(fresh, data)
    except DataError:
        if moved is not None and not data.exists():
            moved.rename(data)
        raise
    sync_folder(data.parent)
    if moved is not None:
        (moved / KEYRING).unlink(missing_ok=True)
    if is_unused:
        shutil.rmtree(aside)
        return None
    return moved


def _move(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be moved to {to} ({error.strerror}). Give this account the folder above it, "
            "or set [data] path to a new folder and restore there."
        ) from error
