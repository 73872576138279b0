"""The data folder: checked, created, and held by one daemon at a time."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from bot.errors import DataError

DATABASE = "frontdesk.db"
INDEX = "index.db"
BLOBS = "blobs"
LOCK = "lock"
LOCK_TRIES = 5
LOCK_WAIT_S = 0.02


def prepare(data: Path) -> None:
    """Makes the data folder usable by us alone, or raises DataError that says what to do."""
    try:
        _refuse_wrong_kind(data)
        _refuse_half_restored(data)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / BLOBS).mkdir(mode=0o700, exist_ok=True)
        refuse_other_owner(data)
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK):
            _refuse_wrong_file(data / name)
    except OSError as error:
        raise DataError(
            f"{data} cannot be used ({error.strerror}). Give this account the folder, or set another [data] path."
        ) from error
    if not os.access(data, os.W_OK | os.X_OK) or _is_read_only(data):
        raise DataError(f"{data} cannot be written. Mount it writable, or set another [data] path.")


def refuse_other_owner(path: Path) -> None:
    """What another account owns is refused even to root, who would leave files that the owner cannot use."""
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise DataError(
            f"{path} belongs to user id {owner}, and Frontdesk runs as {os.geteuid()}. "
            f"Run it as that user, or: chown -R {os.geteuid()} {path}"
        )


def being_restored(data: Path) -> Path:
    """Where `restore` builds the new data folder, until it takes the old one's place."""
    return data.with_name(f"{data.name}.being-restored")


def sync_folder(folder: Path) -> None:
    """Makes the names in it durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _refuse_wrong_kind(data: Path) -> None:
    if data.is_symlink():
        raise DataError(f"{data} is a symbolic link. Name the real folder in [data] path.")
    if data.exists() and not data.is_dir():
        raise DataError(f"{data} is not a folder. Move it away, or set another [data] path.")


def _refuse_half_restored(data: Path) -> None:
    """Between the moves of a restore there is no data folder: a start must not make an empty one."""
    if not data.exists() and being_restored(data).exists():
        raise DataError(f"A restore of {data} was interrupted. Run it again: frontdesk restore FOLDER")


def _refuse_wrong_file(path: Path) -> None:
    if path.is_symlink():
        raise DataError(f"{path} is a symbolic link. Put the real file there.")
    if path.exists():
        refuse_other_owner(path)


def _is_read_only(data: Path) -> bool:
    return bool(os.statvfs(data).f_flag & os.ST_RDONLY)


class Lock:
    """Held from `take` to `release`, or to the end of the process, however it ends."""

    def __init__(self, data: Path) -> None:
        self._path = data / LOCK
        self._file = -1

    def take(self) -> None:
        """Raises DataError, naming the holder, when another process holds the folder."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise DataError(f"{self._path} cannot be opened ({error.strerror}). Check the folder's rights.") from error
        if not _try_lock(file):
            holding = os.read(file, 100).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise DataError(
                f"{self._path.parent} is in use by another Frontdesk (process {holding}). "
                "Stop that one first, or give this one another [data] path."
            )
        with suppress(OSError):  # a full disk: the lock holds all the same, only unnamed
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode("ascii"))
        self._file = file

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _try_lock(file: int) -> bool:
    """Tries again for a moment: `holder` holds the lock for an instant, too, and must not keep a daemon from starting."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOCK_WAIT_S)
        else:
            return True
    return False


def holder(data: Path) -> int | None:
    """The process that holds the folder, or None."""
    try:
        file = os.open(data / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(file, 100).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else -1
    else:
        return None
    finally:
        os.close(file)
