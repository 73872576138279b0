"""The keys that backups are sealed with, and the graves that bind after a restore: what outlives every backup and is in none.

`backup.keys` is a text file of fixed lines, which only grows: a key for each identity and one for the house, and a line for each grave. Who
is erased loses their key: its line is overwritten where it stands, and made durable. A backup notes how long the file was, so that a
copy of it from before the backup is told from the newest.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bot.errors import DataError
from bot.model import value
from bot.store.folder import sync_folder

KEYRING: Final = "backup.keys"
HOUSE: Final = "house"  # whose key is for what belongs to nobody
KEY_BYTES: Final = 32  # AES-256
_KEY: Final = re.compile(rb"key ([0-9a-f]{32}) (\S+) (\d+) ([0-9a-f]{64})")
_GRAVE: Final = re.compile(rb"grave ([0-9a-f]+) (\d+)")


@value
class Key:
    """`made_ms`: what was erased before it says nothing of this one. `place`, `length`: its line, in bytes of the file."""

    id: str
    owner: str
    made_ms: int
    secret: bytes
    place: int
    length: int


class Keyring:
    """The file, read whole and held against other processes. What a method has changed is durable when it returns."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._keys: dict[str, Key] = {}
        self.graves: dict[str, int] = {}
        content = _whole(file)
        self.size = content.rfind(b"\n") + 1
        if self.size < len(content):  # an append that was cut off: nothing was sealed with it
            os.ftruncate(file, self.size)
        place = 0
        for line in content[: self.size].splitlines():
            self._read(line, place)
            place += len(line) + 1

    def by_owner(self) -> Mapping[str, Key]:
        return self._keys

    def secrets(self) -> dict[str, bytes]:
        """Keys by their ids."""
        return {each.id: each.secret for each in self._keys.values()}

    def mint(self, owners: Iterable[str], now_ms: int) -> None:
        """A new key for everybody who has none."""
        wanted = [owner for owner in dict.fromkeys(owners) if owner not in self._keys]
        self._append(
            f"key {secrets.token_hex(16)} {owner} {now_ms} {secrets.token_hex(KEY_BYTES)}".encode() for owner in wanted
        )

    def bury(self, graves: Iterable[tuple[str, int]], hash_of: Callable[[str, str], str]) -> int:
        """Notes the graves (hash, time) that are new, and destroys the keys of the identities among them that are older. Returns how many."""
        new = {hash_: at_ms for hash_, at_ms in graves if self.graves.get(hash_, -1) < at_ms}
        self._append(f"grave {hash_} {at_ms}".encode() for hash_, at_ms in new.items())
        gone = [
            each.owner
            for each in self._keys.values()
            if each.owner != HOUSE and self.graves.get(hash_of("identity", each.owner), -1) >= each.made_ms
        ]
        return self.destroy(gone)

    def destroy(self, owners: Iterable[str]) -> int:
        """Returns how many of them had a key."""
        gone = [self._keys.pop(owner) for owner in owners if owner in self._keys]
        with _told(self._path):
            for each in gone:
                os.pwrite(self._file, b"-" * each.length, each.place)
            if gone:
                os.fsync(self._file)
        return len(gone)

    def _append(self, lines: Iterable[bytes]) -> None:
        made = list(lines)
        if not made:
            return
        data = b"\n".join(made) + b"\n"
        done = 0
        with _told(self._path):
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self.size + done)
            os.fsync(self._file)
        for line in made:
            self._read(line, self.size)
            self.size += len(line) + 1

    def _read(self, line: bytes, place: int) -> None:
        if key := _KEY.fullmatch(line):
            id_, owner, made_ms, secret = (part.decode() for part in key.groups())
            self._keys[owner] = Key(id_, owner, int(made_ms), bytes.fromhex(secret), place, len(line))
        elif grave := _GRAVE.fullmatch(line):
            self.graves[grave[1].decode()] = int(grave[2])
        elif line.startswith((b"-", b"key")) and line.strip(b"-"):  # the destruction of a key was cut off
            os.pwrite(self._file, b"-" * len(line), place)
            os.fsync(self._file)


@contextmanager
def held(data: Path) -> Iterator[Keyring]:
    """The keyring of a data folder, made when there is none; others wait meanwhile. Raises DataError."""
    path = data / KEYRING
    with _told(path):
        is_new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with _told(path):
            fcntl.flock(file, fcntl.LOCK_EX)
            os.fchmod(file, 0o600)  # whoever copied it here
            if is_new:
                sync_folder(data)
            found = Keyring(path, file)
        yield found
    finally:
        os.close(file)


def bury(data: Path, graves: Sequence[tuple[str, int]], hash_of: Callable[[str, str], str]) -> int | None:
    """`Keyring.bury` for whoever does not hold it. Returns since when backups are sealed; None where none was ever made."""
    if not (data / KEYRING).exists():
        return None
    with held(data) as ring:
        ring.bury(graves, hash_of)
        house = ring.by_owner().get(HOUSE)
        return house.made_ms if house is not None else None


def copy(data: Path, target: Path) -> None:
    """Puts the keyring of a data folder into another folder, durably."""
    with held(data) as ring, _told(target / KEYRING):
        file = os.open(target / KEYRING, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as writer:
            writer.write((data / KEYRING).read_bytes()[: ring.size])
            writer.flush()
            os.fsync(writer.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be used ({error.strerror}). Check the disk and the rights of the file."
        ) from error


def _whole(file: int) -> bytes:
    size = os.fstat(file).st_size
    parts = []
    at = 0
    while at < size:
        parts.append(os.pread(file, size - at, at))
        at += len(parts[-1])
    return b"".join(parts)
