"""The folder of a source: one Markdown file a document, which the library reads like any other, and one note beside each.

    DATA/knowledge/SOURCE/returns-3f9a01c2.md      what is known, with its title, address and version in front
    DATA/knowledge/SOURCE/.notes/returns-....json  its key and what tells whether it has changed
    DATA/knowledge/SOURCE/.state.json              when the source was last read, and how that went

Every file is replaced whole. The document is written before its note and removed before it, and a note that does not fit its document
counts for nothing: whenever a process is killed, each document is the old one or the new one, and the next pass ends where this one would.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from bot.config.knowledge_schema import Source
from bot.errors import DataError
from bot.knowledge.origins.origin import Fresh, Mark, Page
from bot.model import value
from bot.whole import replace_whole

_NOTES: Final = ".notes"
_STATE: Final = ".state.json"
_LOCK: Final = ".lock"
_OURS: Final = re.compile(r"(?:[a-z0-9-]+-)?[0-9a-f]{16}\.md|\.draft-.+")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]+")


@value
class Note:
    """What is known of one document without reading it. `file` is "" where nothing is kept of it."""

    key: str
    file: str
    digest: str
    version: str
    mark: Mark


@value
class State:
    """How the source fares. Times are UTC milliseconds, 0: never. `failures` counts those since it was last read."""

    read_ms: int = 0
    next_ms: int = 0
    failures: int = 0
    failure: str = ""
    mend: str = ""


class KeptFolder:
    """The only writer of a source's folder, while it is open. Blocking: call it in a thread."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder = folder
        self._notes = folder / _NOTES
        self._source = source
        self._lock: int | None = None
        self._known: dict[str, Note] = {}

    def open(self) -> dict[str, Mark]:
        """Takes the folder and says what is kept. Raises DataError where another process has it, or it cannot be used."""
        try:
            self._notes.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise DataError(
                f"the source {self._source.name} is being synced by another process: wait for it"
            ) from error
        except OSError as error:
            self.close()
            raise DataError(f"{self._folder} cannot be used: {error.strerror or error}") from error
        self._known = {note.key: note for note in self._read_notes()}
        return {key: note.mark for key, note in self._known.items()}

    def compare(self, fresh: Fresh) -> str:
        """What keeping it would be: "added", "changed", "removed" or "" for none of these."""
        note = self._known.get(fresh.key)
        held = note.version if note is not None and note.file else ""
        version = _version(fresh.page) if fresh.page is not None else ""
        if held == version:
            return ""
        return "added" if not held else "changed" if version else "removed"

    def keep(self, fresh: Fresh, now_ms: int) -> str:
        """Keeps what was read; says what that was, like `compare`. Safe to repeat. Raises OSError."""
        change, old = self.compare(fresh), self._known.get(fresh.key)
        name, digest, version = "", "", ""
        if fresh.page is not None:
            name, version = file_name(fresh.key), _version(fresh.page)
            digest = old.digest if old is not None and not change else ""
            if not digest:
                data = _document(fresh, self._source, version, now_ms)
                digest = hashlib.sha256(data).hexdigest()
                replace_whole(self._folder / name, data)
        elif old is not None and old.file:
            (self._folder / old.file).unlink(missing_ok=True)
        note = Note(fresh.key, name, digest, version, fresh.mark)
        if note != old:
            replace_whole(self._note_path(fresh.key), json.dumps(asdict(note)).encode())
            self._known[fresh.key] = note
        return change

    def forget(self, key: str) -> bool:
        """Removes a document; whether there was one."""
        note = self._known.pop(key, None)
        if note is None:
            return False
        if note.file:
            (self._folder / note.file).unlink(missing_ok=True)
        self._note_path(key).unlink(missing_ok=True)
        return bool(note.file)

    def known(self) -> list[str]:
        """Everything known, also what nothing is kept of."""
        return list(self._known)

    def has(self, key: str) -> bool:
        """Whether a document is kept under the key."""
        return key in self._known and bool(self._known[key].file)

    def tidy(self) -> None:
        """Removes what belongs to no document: left there by a process that was killed. Only after a whole pass."""
        kept = {note.file for note in self._known.values()}
        notes = {self._note_path(key).name for key in self._known}
        for entry in list(os.scandir(self._folder)):
            if _OURS.fullmatch(entry.name) and entry.name not in kept:
                os.unlink(entry.path)
        for entry in list(os.scandir(self._notes)):
            if entry.name not in notes:
                os.unlink(entry.path)

    def note_state(self, state: State) -> None:
        replace_whole(self._folder / _STATE, json.dumps(asdict(state)).encode())

    def close(self) -> None:
        """Lets the folder go. Safe to repeat."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def _read_notes(self) -> Iterator[Note]:
        """Those that fit their documents."""
        for entry in os.scandir(self._notes):
            note = _note(Path(entry.path)) if entry.name.endswith(".json") else None
            if note is None or self._note_path(note.key).name != entry.name:
                continue
            if not note.file or (note.file == file_name(note.key) and _digest(self._folder / note.file) == note.digest):
                yield note

    def _note_path(self, key: str) -> Path:
        return self._notes / f"{file_name(key)[:-3]}.json"


def read_state(folder: Path) -> State:
    """How a source fares, whether or not somebody is syncing it; the beginning where nothing can be read."""
    try:
        held = State(**json.loads((folder / _STATE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return State()
    is_whole = all(type(getattr(held, each.name)) is type(each.default) for each in fields(State))
    return held if is_whole else State()


def file_name(key: str) -> str:
    """A name of our own making, always the same for a key, that no key can turn into a path."""
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower().rpartition("://")[2])[-60:].strip("-")
    mark = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{slug}-{mark}.md" if slug else f"{mark}.md"


def one_line(text: str) -> str:
    """Text as it can stand in one line of front matter."""
    return " ".join(_UNSAFE.sub(" ", text).split())[:1_000]


def _document(fresh: Fresh, source: Source, version: str, now_ms: int) -> bytes:
    page = fresh.page
    if page is None:
        raise ValueError("nothing to write")
    front = {
        "title": one_line(page.title) or "Untitled",
        "url": one_line(page.url),
        "language": one_line(page.language),
        "audience": one_line(page.audience),
        "source": source.name,
        "id": one_line(fresh.key),
        "version": version,
        "fetched_ms": str(now_ms),
    }
    lines = "".join(f"{name}: {value}\n" for name, value in front.items())
    return f"---\n{lines}---\n{_body(page.text)}".encode()


def _body(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode().strip() + "\n"


def _version(page: Page) -> str:
    """Of everything in the file but when it was read."""
    said = (page.title, page.url, page.language, page.audience, _body(page.text))
    return hashlib.sha256("\x1f".join(said).encode(errors="replace")).hexdigest()[:32]


def _note(path: Path) -> Note | None:
    try:
        held = json.loads(path.read_bytes())
        mark = held.pop("mark")
        return Note(**held, mark=Mark(**(mark | {"links": tuple(mark["links"])})))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
