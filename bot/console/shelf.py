"""The documents by source, and those among them that people upload. Blocking: call it in a thread.

An upload becomes a Markdown, text or HTML file in `knowledge/uploads` that says its own title, language and audience; the original of a PDF or
Word file lies hidden beside it. Nothing is kept that cannot be read: PDF and Word are read in a child process with hard limits.
"""

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.config.knowledge_schema import UPLOADS, Folder, Knowledge, place_of, uploads
from bot.config.knowledge_schema import Source as Configured
from bot.errors import Refused
from bot.knowledge.blocks import as_markdown, strip_marks
from bot.knowledge.opening import roots
from bot.knowledge.origins.kept import State, one_line, read_state
from bot.knowledge.reading.parsed import Format, Parsed, Unparsed
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import (
    HTML,
    MARKDOWN,
    MOST_BYTES,
    TEXT,
    decode,
    first_headings,
    scan_folders,
    split_front_matter,
    text_of,
    title_from,
)
from bot.whole import replace_whole

ORIGINALS: Final = ".originals"
NAME_CHARS: Final = 100
STEM_BYTES: Final = 190  # with all that is added to it, a file system takes the name
_PDF: Final = b"%PDF-"
_ZIP: Final = b"PK\x03\x04"
_WORD: Final = b"word/document.xml"
_TEXTS: Final = (*MARKDOWN, *HTML, *TEXT)
_PACKED: Final = {Format.PDF: ".pdf", Format.DOCX: ".docx"}
_LOOKS_LIKE_HTML: Final = re.compile(
    r"\s*(?:<!--.{0,2000}?-->\s*)?<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Given:
    """One upload: its name as the sender has it, and what was chosen for it; "" for neither."""

    name: str
    language: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """An upload that can be kept. `original`: the file as it came, where it is not kept as it is."""

    name: str
    data: bytes
    original_name: str = ""
    original: bytes = b""


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from. `state` is None for what is read where it stands."""

    name: str
    kind: str
    place: Path
    state: State | None = None
    language: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A file as the folders show it now. `source`: its place in the list of sources."""

    name: str
    source: int
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Listing:
    """`passed_over`: what could not be read, each with its reason."""

    sources: Sequence[Source]
    files: Sequence[Held]
    passed_over: Sequence[str]


def listing(settings: Knowledge, data: Path) -> Listing:
    """What the folders hold now, searchable or not yet."""
    sources = [
        *(_source(each, data) for each in settings.sources),
        *(Source(path.name, "folder", path) for path in settings.paths),
        Source(UPLOADS, UPLOADS, uploads(data)),
    ]
    places = [os.path.abspath(each.place) for each in sources]
    scan = scan_folders(roots(settings, data))
    files = [
        Held(file.name, _place(file.path, places), file.size_bytes, file.modified_ns // 1_000_000)
        for file in scan.files
    ]
    return Listing(sources, files, [str(each) for each in scan.unreadable])


def sanitised(name: str) -> str:
    """A file name that is no path, is not hidden, and shows what it is."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(letter if letter.isalnum() or letter in "._-() " else "_" for letter in last)
    stem, dot, suffix = " ".join(kept.split()).strip(". ").rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem = stem.encode()[:STEM_BYTES].decode(errors="ignore")[:NAME_CHARS].strip(". ") or "document"
    suffix = suffix[:10].strip()
    return f"{stem}.{suffix}" if suffix else stem


def examined(given: Given, data: bytes, room: ReadingRoom) -> Ready:
    """Reads it as what it is, not as what it is called. Raises Refused with a sentence for whoever uploads."""
    name = sanitised(given.name)
    kind = _packed(data)
    if kind is None and len(data) > MOST_BYTES:
        raise Refused("too_large", f"{name} is larger than {MOST_BYTES // 2**20} MB, which is the most for text.")
    return _text(name, given, data) if kind is None else _unpacked(name, given, data, kind, room)


def keep(folder: Path, ready: Ready, *, is_replacing: bool) -> str:
    """Whole or not at all; what is replaced keeps its name. Returns the name. Raises Refused("exists") where there is one of that name and it
    is not to be replaced, and for a full disk."""
    there = taken(folder, ready.name)
    if there and not is_replacing:
        raise Refused("exists", f"There is a document {shown(ready.name)} already.")
    name = there or ready.name
    first = folder / ORIGINALS / shown(name)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if ready.original_name:
            first.parent.mkdir(exist_ok=True, mode=0o700)
            replace_whole(first, ready.original)
        replace_whole(folder / name, ready.data)
        if not ready.original_name:
            first.unlink(missing_ok=True)
    except OSError as error:
        if not there:
            first.unlink(missing_ok=True)
        why = (error.strerror or type(error).__name__).lower()
        raise Refused("not_kept", f"{shown(name)} could not be written to the data folder: {why}.") from error
    return name


def taken(folder: Path, name: str) -> str:
    """What a document of that name is called there, whatever the case of its letters; "" where there is none."""
    held = _names(folder)
    return name if name in held else next((each for each in held if each.lower() == name.lower()), "")


def delete(folder: Path, name: str) -> None:
    """With its original. Raises Refused("no_document")."""
    path = _own(folder, name)
    path.unlink(missing_ok=True)
    (folder / ORIGINALS / shown(name)).unlink(missing_ok=True)


def original(folder: Path, name: str) -> Path:
    """The file as it came. Raises Refused("no_document")."""
    path = _own(folder, name)
    first = folder / ORIGINALS / shown(name)
    return first if first.is_file() else path


def shown(name: str) -> str:
    """As whoever uploaded it knows it: `a.pdf` for `a.pdf.md`."""
    inner = name.removesuffix(".md")
    return inner if inner.lower().endswith(tuple(_PACKED.values())) else name


def _own(folder: Path, name: str) -> Path:
    """One that lies in the folder itself: a name never leads out of it."""
    if name.startswith(".") or name not in _names(folder) or not _is_plain(folder / name):
        raise Refused("no_document", "This document is not among the uploads (any more).")
    return folder / name


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _names(folder: Path) -> Sequence[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return ()


def _source(each: Configured, data: Path) -> Source:
    place = place_of(each, data)
    state = None if isinstance(each, Folder) else read_state(place)
    return Source(each.name, each.kind, place, state, each.language, each.audience)


def _place(path: str, places: Sequence[str]) -> int:
    return next(
        (number for number, place in enumerate(places) if path == place or path.startswith(place.rstrip("/") + "/")), -1
    )


def _packed(data: bytes) -> Format | None:
    if data[:1024].lstrip().startswith(_PDF):
        return Format.PDF
    return Format.DOCX if data.startswith(_ZIP) and _WORD in data else None


def _unpacked(name: str, given: Given, data: bytes, kind: Format, room: ReadingRoom) -> Ready:
    suffix = _PACKED[kind]
    name = name if name.lower().endswith(suffix) else f"{name}{suffix}"
    try:
        parsed: Parsed = room.read(kind, data)
    except Unparsed as error:
        raise Refused("unreadable", f"{name} was not taken: it {error}.") from error
    text = as_markdown(parsed.blocks)
    if not text.strip():
        raise Refused(
            "unreadable", f"{name} was not taken: it holds no text. Is it a scan? Run a text recognition over it."
        )
    title = strip_marks(next(first_headings(parsed.blocks), "") or parsed.title or title_from(name))
    front = {"title": title, "language": given.language or parsed.language, "audience": given.audience}
    return Ready(f"{name}.md", _written(front, text), name, data)


def _text(name: str, given: Given, data: bytes) -> Ready:
    text = decode(data)
    if text is None and b"\0" not in data:
        raise Refused("bad_type", f"{name} is not UTF-8 text. Save it as UTF-8, and upload it again.")
    if text is None:
        raise Refused("bad_type", f"{name} is no Markdown, text, HTML, PDF or Word file. Nothing else is read.")
    if _LOOKS_LIKE_HTML.match(text):
        name = name if name.lower().endswith(HTML) else f"{name}.html"
    elif not name.lower().endswith(_TEXTS):
        name = f"{name}.txt"
    metadata, body = split_front_matter(text)
    _, blocks = text_of(name, body)
    if not any(each.text.strip() for each in blocks):
        raise Refused("unreadable", f"{name} was not taken: it holds no text.")
    if not given.language and not given.audience:
        return Ready(name, text.encode())
    chosen = {
        "language": given.language or metadata.get("language") or metadata.get("lang", ""),
        "audience": given.audience or metadata.get("audience", ""),
    }
    kept = {key: value for key, value in metadata.items() if key not in ("language", "lang", "audience")}
    return Ready(name, _written({**kept, **chosen}, body))


def _written(front: Mapping[str, str], text: str) -> bytes:
    lines = "".join(f"{name}: {one_line(value)}\n" for name, value in front.items() if one_line(value))
    head = f"---\n{lines}---\n" if lines else ""
    return f"{head}{text}".encode(errors="replace")
