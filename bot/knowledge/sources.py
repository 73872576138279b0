"""Folders to documents: finds the files, reads them, and says of each one it cannot read why.

Markdown, plain text and HTML, in UTF-8 (or UTF-16 with its mark), are read here; PDF and Word in a child process. Hidden files and folders are left alone. Symbolic links
are followed; a folder or file that was already reached is not read twice.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path

from bot.knowledge.blocks import Block, Kind, markdown_blocks, strip_marks, text_blocks
from bot.knowledge.html import html_blocks
from bot.knowledge.reading.parsed import Format, Parsed, Unparsed
from bot.knowledge.reading.room import ReadingRoom
from bot.model import changeable, value

MOST_BYTES = 5 * 1024 * 1024
MOST_PACKED_BYTES = 50 * 1024 * 1024  # of a file whose pictures and packing take most of it
MARKDOWN = (".md", ".markdown")
HTML = (".html", ".htm")
TEXT = (".txt", ".text")
PACKED = {".pdf": Format.PDF, ".docx": Format.DOCX}


@value
class Root:
    """A folder or file to be read. `language` and `audience` hold for those of its documents that do not say themselves. `is_optional`: it
    need not be there."""

    path: Path
    language: str = ""
    audience: str = ""
    is_optional: bool = False


@value
class SourceFile:
    """A file as the folder shows it. `path` is absolute; `relative` is its path within the folder; `name` adds the folder's. `language` and
    `audience` are its root's."""

    path: str
    name: str
    relative: str
    modified_ns: int
    size_bytes: int
    language: str = ""
    audience: str = ""

    @property
    def given(self) -> str:
        """What its root says of it, as one text: a document is indexed anew when that changes."""
        return f"{self.language} {self.audience}".strip()


@value
class Document:
    """What a file says. `url` is where a person can read it, if the file itself says so; `language` (as in "de") and `audience` (who may
    hear it, "" for everyone) likewise."""

    title: str
    url: str
    blocks: tuple[Block, ...]
    digest: str
    language: str = ""
    audience: str = ""


@value
class Unreadable:
    """Something that was passed over, and why. `is_by_content`: reading it again is useless until the file changes."""

    name: str
    reason: str
    is_by_content: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@changeable
class Scan:
    """What the folders hold now."""

    files: list[SourceFile] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def scan_folders(folders: Sequence[Path | Root]) -> Scan:
    """Lists every document in the folders (a single file may stand for a folder), in a stable order. What lies in two of them belongs to the
    first."""
    scan, seen, labels = Scan(), set[tuple[int, int]](), dict[str, int]()
    for folder in folders:
        root = folder if isinstance(folder, Root) else Root(folder)
        place = Path(os.path.abspath(root.path))
        if root.is_optional and not place.exists():
            continue
        labels[place.name] = labels.get(place.name, 0) + 1
        label = place.name if labels[place.name] == 1 else f"{place.name}-{labels[place.name]}"
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except OSError as error:
            scan.unreadable.append(Unreadable(label, _reason(error)))
            continue
        walk = _Walk(root, place, label, scan, seen)
        if is_folder:
            walk.folder()
        else:
            walk.add(str(place), label, place.name)
    return scan


def read_document(file: SourceFile, room: ReadingRoom | None = None) -> Document | Unreadable:
    """Reads and parses one file; never raises for what the file holds or for a file that cannot be opened. PDF and Word need a `room`."""
    most = _most_bytes(file.path)
    try:
        with open(file.path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        return Unreadable(file.name, _reason(error))
    if len(data) > most:
        return Unreadable(file.name, _too_large(most))
    digest, kind = hashlib.sha256(data).hexdigest(), PACKED.get(Path(file.path).suffix.lower())
    if kind is not None:
        return _unpack(file, kind, data, digest, room)
    text = decode(data)
    if text is None:
        return Unreadable(file.name, "not UTF-8 text", is_by_content=True)
    return _parse(file, text, digest)


def decode(data: bytes) -> str | None:
    """UTF-8, or UTF-16 with its mark, with plain line ends; None for what is no text."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def text_of(name: str, text: str) -> tuple[str, list[Block]]:
    """The title that the file's markup states and the blocks of a text file, by the end of its name."""
    suffix = Path(name).suffix.lower()
    if suffix in HTML:
        return html_blocks(text)
    return "", markdown_blocks(text) if suffix in MARKDOWN else text_blocks(text)


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """The `key: value` lines of a leading `---` block, and the text after it. Other uses of `---` are text."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), 0)
    block = [line for line in lines[1:end] if line.strip() and not line.lstrip().startswith(("#", "-"))]
    keyed = [line for line in block if not line.startswith((" ", "\t"))]
    if not keyed or any(":" not in line or " " in line.split(":", 1)[0] for line in keyed):
        return {}, text
    pairs = (line.split(":", 1) for line in keyed)
    return {key.lower(): value.strip().strip("\"'") for key, value in pairs}, "\n".join(lines[end + 1 :])


@value
class _Walk:
    """Through one root. `seen` is shared by all."""

    root: Root
    place: Path
    label: str
    scan: Scan
    seen: set[tuple[int, int]]

    def folder(self) -> None:
        for at, folders, files in os.walk(self.place, onerror=self._passed_over, followlinks=True):
            if not _is_new(at, self.seen):
                folders.clear()
                if os.path.islink(at):
                    self._refuse(self._named(at), "a link to a folder that is already read")
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = os.path.join(at, name)
                self.add(path, self._named(path), Path(path).relative_to(self.place).as_posix())

    def add(self, path: str, name: str, relative: str) -> None:
        if os.path.basename(path).startswith(".") or not path.lower().endswith((*MARKDOWN, *HTML, *TEXT, *PACKED)):
            return
        try:
            status = os.stat(path)
        except OSError as error:
            self._refuse(name, _reason(error))
            return
        if not stat.S_ISREG(status.st_mode):
            self._refuse(name, "not a regular file")
        elif status.st_size > _most_bytes(path):
            self._refuse(name, _too_large(_most_bytes(path)))
        elif _shown(path) != path:
            self._refuse(name, "its name is not UTF-8")
        elif _is_new(path, self.seen):
            file = SourceFile(
                path, name, relative, status.st_mtime_ns, status.st_size, self.root.language, self.root.audience
            )
            self.scan.files.append(file)

    def _passed_over(self, error: OSError) -> None:
        self._refuse(self._named(str(error.filename)), _reason(error))

    def _refuse(self, name: str, reason: str) -> None:
        self.scan.unreadable.append(Unreadable(_shown(name), reason))

    def _named(self, path: str) -> str:
        relative = os.path.relpath(path, self.place)
        return _shown(self.label if relative == "." else f"{self.label}/{relative}")


def _is_new(path: str, seen: set[tuple[int, int]]) -> bool:
    """Remembers a folder or file by what it really is, whatever link led to it."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _shown(name: str) -> str:
    """File names are bytes; one that is not text still has to stand in a report."""
    return name.encode(errors="replace").decode()


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _most_bytes(path: str) -> int:
    return MOST_PACKED_BYTES if path.lower().endswith(tuple(PACKED)) else MOST_BYTES


def _too_large(most: int) -> str:
    return f"larger than {most // 1024 // 1024} MB"


def _unpack(
    file: SourceFile, kind: Format, data: bytes, digest: str, room: ReadingRoom | None
) -> Document | Unreadable:
    if room is None:
        return Unreadable(file.name, "is read by the daemon alone")
    try:
        parsed: Parsed = room.read(kind, data)
    except Unparsed as error:
        return Unreadable(file.name, str(error), is_by_content=True)
    title = next(first_headings(parsed.blocks), "") or parsed.title or title_from(file.path)
    return Document(strip_marks(title), "", parsed.blocks, digest, parsed.language)


def _parse(file: SourceFile, text: str, digest: str) -> Document:
    metadata, body = split_front_matter(text)
    own_title, blocks = text_of(file.path, body)
    title = metadata.get("title", "") or next(first_headings(blocks), "") or own_title or title_from(file.path)
    url = metadata.get("url", "")
    language = (metadata.get("language") or metadata.get("lang", "")).lower()[:8]
    return Document(
        strip_marks(title),
        url if url.startswith(("https://", "http://")) else "",
        tuple(blocks),
        digest,
        language,
        metadata.get("audience", ""),
    )


def first_headings(blocks: Sequence[Block]) -> Iterator[str]:
    """The headings that may be the document's title."""
    return (block.text for block in blocks if block.kind is Kind.HEADING and block.level == 1)


def title_from(path: str) -> str:
    """A title made of a file's name."""
    words = Path(path).stem.replace("-", " ").replace("_", " ").split()
    return " ".join(words)[:1].upper() + " ".join(words)[1:]
