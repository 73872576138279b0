"""The data folder: checked, created, and held by one daemon at a time."""

import fcntl
import os
import stat
from pathlib import Path

from bot.errors import DataError

DATABASE = "frontdesk.db"
INDEX = "index.db"
BLOBS = "blobs"
LOCK = "lock"


def prepare(data: Path) -> None:
    """Makes the data folder usable by us alone, or raises DataError that says what to do."""
    if data.is_symlink():
        raise DataError(f"{data} is a symbolic link. Name the real folder in [data] path.")
    if data.exists() and not data.is_dir():
        raise DataError(f"{data} is not a folder. Move it away, or set another [data] path.")
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / BLOBS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{data} cannot be made ({error.strerror}). Give this account the folder, or set [data] path."
        ) from error
    owner = data.stat().st_uid
    if owner != os.geteuid():
        raise DataError(
            f"{data} belongs to user id {owner}, and Frontdesk runs as {os.geteuid()}. "
            f"Run it as that user, or: chown -R {os.geteuid()} {data}"
        )
    if not os.access(data, os.W_OK | os.X_OK) or _is_read_only(data):
        raise DataError(f"{data} cannot be written. Mount it writable, or set another [data] path.")
    for name in (DATABASE, LOCK):
        if (data / name).is_symlink():
            raise DataError(f"{data / name} is a symbolic link. Put the real file there.")


def _is_read_only(data: Path) -> bool:
    return bool(os.statvfs(data).f_flag & os.ST_RDONLY)


class Lock:
    """Held from `take` to `release`, or to the end of the process, however it ends."""

    def __init__(self, data: Path) -> None:
        self._path = data / LOCK
        self._file = -1

    def take(self) -> None:
        """Raises DataError, naming the holder, when another process holds the folder."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 100).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise DataError(
                f"{self._path.parent} is in use by another Frontdesk (process {holder}). Stop that one first, or give this one another [data] path."
            ) from error
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode("ascii"))
        self._file = file

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


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


def is_private(path: Path) -> bool:
    """Nobody but the owner can read it."""
    return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
