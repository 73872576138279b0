"""What backups, restores and salvages share: a folder that is new or empty again, files put into it durably, a database that is checked.

A database has its final name only when everything is there.
"""

import errno
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bot.errors import DataError
from bot.store.blobs import path_of
from bot.store.folder import BLOBS, DATABASE, sync_folder
from bot.store.sqlite import damaged, read_only

log = logging.getLogger(__name__)

PARTIAL = f"{DATABASE}.partial"
UPLOADS = Path("knowledge", "uploads")  # documents that were uploaded or written here: nowhere else are they
KEYS = "*.key"  # what tokens are signed with: without it, every visitor would be a stranger after a restore
BLOBS_IN_USE = "SELECT id, size_bytes FROM blobs"
MARK = "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Files:
    """The blobs of a copy, and the uploaded documents. Missing are those whose file is not there, is damaged, or not of its size."""

    copied: int
    missing: int
    documents: int = 0

    def __str__(self) -> str:
        found = f"{self.copied} files" + (f" ({self.missing} more are missing)" if self.missing else "")
        return f"{found} and {self.documents} uploaded documents" if self.documents else found


@dataclass(frozen=True, slots=True)
class Blob:
    """One file to bring. `size_bytes` is None where it is not known. `bring` makes the second file from the first, and raises ValueError for one
    that is damaged."""

    id: str
    size_bytes: int | None
    bring: Callable[[Path, Path], None]


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
        empty(target)
        if is_ours:
            with suppress(OSError):
                target.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"{target} cannot be written ({error.strerror}). Free the disk or name another.") from error
        raise


@contextmanager
def new_database(path: Path, source: Path) -> Iterator[sqlite3.Connection]:
    """A new database at `path`, of what is read from the one at `source`. Raises DataError where the disk does not take it, and for damage of
    the source."""
    made = sqlite3.connect(path, isolation_level=None)
    try:
        made.execute("PRAGMA synchronous = OFF")  # `finish` makes the whole file durable, once
        yield made
    except sqlite3.OperationalError as error:
        if str(error).startswith("Could not decode"):  # text that is none
            raise DataError(damaged(source, "it holds text that is no UTF-8")) from error
        raise DataError(f"{path.parent} cannot be written ({error}). Free the disk or name another.") from error
    except (sqlite3.DatabaseError, ValueError) as error:
        raise DataError(damaged(source, str(error))) from error
    finally:
        made.close()


def copy_files(connection: sqlite3.Connection, source: Path, target: Path) -> Files:
    """Links or copies the blobs that the rows of `connection` name, the uploaded documents and the keys, and makes them durable."""
    files = bring_blobs(
        source, target, (Blob(id_, size, _link_or_copy) for id_, size in connection.execute(BLOBS_IN_USE))
    )
    return replace(files, documents=_copy_uploads(source, target))


def bring_blobs(source: Path, target: Path, blobs: Iterable[Blob]) -> Files:
    """From the data folder or backup `source` to the other, and the keys, durably. What is gone, damaged or not of its size is left out."""
    copied = missing = 0
    folders = {target / BLOBS}
    (target / BLOBS).mkdir(mode=0o700)
    for blob in blobs:
        file, copy = path_of(source / BLOBS, blob.id), path_of(target / BLOBS, blob.id)
        if not file.is_file() or (blob.size_bytes is not None and file.stat().st_size != blob.size_bytes):
            missing += 1
            continue
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        folders.add(copy.parent)
        try:
            blob.bring(file, copy)
            copy.chmod(0o600)
            sync_file(copy)
        except FileNotFoundError:  # erased, or grown old, a moment ago
            missing += 1
        except ValueError:  # one file is not worth all the rest
            log.warning("%s is damaged and is left out", file)
            missing += 1
        else:
            copied += 1
    for key in source.glob(KEYS):
        _copy_durably(key, target / key.name)
    for folder in folders:
        sync_folder(folder)
    return Files(copied, missing)


def uploads_of(data: Path) -> list[Path]:
    """The documents and their originals, but not what is half written."""
    return sorted(
        path
        for path in (data / UPLOADS).rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    )


def put(path: Path, content: bytes, top: Path) -> None:
    """A file below the folder `top`, with the folders between, all of it durable."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    sync_file(path)
    for folder in [each for each in path.parents if each.is_relative_to(top)]:
        sync_folder(folder)


def _copy_uploads(source: Path, target: Path) -> int:
    found = uploads_of(source)
    for path in found:
        put(target / path.relative_to(source), path.read_bytes(), target)
    return len(found)


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


def _copy_durably(file: Path, copy: Path) -> None:
    shutil.copyfile(file, copy)
    copy.chmod(0o600)
    sync_file(copy)


def _link_or_copy(blob: Path, copy: Path) -> None:
    """A blob never changes once it has its name, so both folders may share it."""
    try:
        os.link(blob, copy)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        _copy_durably(blob, copy)


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


def empty(folder: Path, kept: str = "") -> None:
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.name == kept:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def opened(path: Path) -> sqlite3.Connection:
    try:
        return read_only(path)
    except sqlite3.OperationalError as error:
        raise DataError(f"{path} cannot be read ({error}). Check its rights.") from error
