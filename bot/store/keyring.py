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
_ENDED: Final = re.compile(
    rb"key [0-9a-f]{32} \S+ \d+ [0-9a-f]{64}|grave [0-9a-f]{32} \d{13}"
)  # whole, but for its end of line


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
        place, torn = 0, []
        for number, line in enumerate(content[: self.size].split(b"\n")[:-1], start=1):
            if not self._read(line, place):
                if not _is_torn(line):
                    raise DataError(_changed(path, number))
                torn.append((line, place))
            place += len(line) + 1
        self._mend(torn, content[self.size :])

    def _mend(self, torn: Sequence[tuple[bytes, int]], rest: bytes) -> None:
        """Finishes what was cut off: a destruction, or an append, with which nothing was sealed unless it is whole."""
        with _told(self._path):
            for line, place in torn:
                os.pwrite(self._file, b"-" * len(line), place)
            if _ENDED.fullmatch(rest):
                os.pwrite(self._file, b"\n", self.size + len(rest))
                self._read(rest, self.size)
                self.size += len(rest) + 1
            elif rest:
                os.ftruncate(self._file, self.size)
            if torn or rest:
                os.fsync(self._file)

    def is_destroyed(self, place: int) -> bool:
        """Whether the line that stood there is the line of a destroyed key."""
        return 0 <= place < self.size and os.pread(self._file, 1, place) == b"-"

    def copy_to(self, target: Path) -> None:
        """Puts the keyring into another folder, durably."""
        with _told(target / KEYRING):
            file = os.open(target / KEYRING, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as writer:
                writer.write(_whole(self._file)[: self.size])
                writer.flush()
                os.fsync(writer.fileno())

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

    def _read(self, line: bytes, place: int) -> bool:
        """False for what is neither a key nor a grave, nor was a key."""
        if key := _KEY.fullmatch(line):
            id_, owner, made_ms, secret = (part.decode() for part in key.groups())
            self._keys[owner] = Key(id_, owner, int(made_ms), bytes.fromhex(secret), place, len(line))
        elif grave := _GRAVE.fullmatch(line):
            self.graves[grave[1].decode()] = int(grave[2])
        else:
            return not line.strip(b"-")
        return True


@contextmanager
def held(data: Path) -> Iterator[Keyring]:
    """The keyring of a data folder, made when there is none; others wait meanwhile. Raises DataError."""
    path = data / KEYRING
    with _told(path):
        file = _locked(path)
    try:
        yield Keyring(path, file)
    finally:
        os.close(file)


def _locked(path: Path) -> int:
    """The file that has the name once it is locked: a restore may have put another in its place meanwhile."""
    while True:
        is_new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.fchmod(file, 0o600)  # whoever copied it here
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                if is_new:
                    sync_folder(path.parent)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def has_keys(data: Path) -> bool:
    """Whether there is a keyring with something in it."""
    return (data / KEYRING).is_file() and (data / KEYRING).stat().st_size > 0


def bury(data: Path, graves: Sequence[tuple[str, int]], hash_of: Callable[[str, str], str]) -> int | None:
    """`Keyring.bury` for whoever does not hold it. Returns since when backups are sealed; None where none was ever made."""
    if not (data / KEYRING).exists():
        return None
    with held(data) as ring:
        ring.bury(graves, hash_of)
        house = ring.by_owner().get(HOUSE)
        return house.made_ms if house is not None else None


def _is_torn(line: bytes) -> bool:
    """The destruction of a key was cut off: dashes and a part of the line, which had none before."""
    kept = line.rstrip(b"-")
    return b"-" in line and (line.startswith(b"-") or kept[:4] == b"key "[: len(kept)])


def _changed(path: Path, number: int) -> str:
    return (
        f"{path} is not as Frontdesk wrote it: line {number} is no key. Nothing of it was changed. Put its newest copy in its place, "
        "copied byte by byte, with the line ends as they are."
    )


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
