"""Folders to documents: finds the files, reads them, and says of each one it cannot read why.

Markdown, plain text and HTML, in UTF-8 (or UTF-16 with its mark). Hidden files and folders are left alone. Symbolic links
are followed; a folder or file that was already reached is not read twice.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot.knowledge.blocks import Block, Kind, markdown_blocks, strip_marks, text_blocks
from bot.knowledge.html import html_blocks

MOST_BYTES = 5 * 1024 * 1024
MARKDOWN = (".md", ".markdown")
HTML = (".html", ".htm")
TEXT = (".txt", ".text")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as the folder shows it. `path` is absolute; `relative` is its path within the folder; `name` adds the folder's."""

    path: str
    name: str
    relative: str
    modified_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. `url` is where a person can read it, if the file itself says so."""

    title: str
    url: str
    blocks: tuple[Block, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that was passed over, and why. `is_by_content`: reading it again is useless until the file changes."""

    name: str
    reason: str
    is_by_content: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(slots=True)
class Scan:
    """What the folders hold now."""

    files: list[SourceFile] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def scan_folders(folders: Sequence[Path]) -> Scan:
    """Lists every document in the folders (a single file may stand for a folder), in a stable order."""
    scan, seen, labels = Scan(), set[tuple[int, int]](), dict[str, int]()
    for folder in folders:
        root = Path(os.path.abspath(folder))
        labels[root.name] = labels.get(root.name, 0) + 1
        label = root.name if labels[root.name] == 1 else f"{root.name}-{labels[root.name]}"
        try:
            is_folder = stat.S_ISDIR(root.stat().st_mode)
        except OSError as error:
            scan.unreadable.append(Unreadable(label, _reason(error)))
            continue
        if is_folder:
            _walk(root, label, scan, seen)
        else:
            _add(str(root), label, root.name, scan, seen)
    return scan


def read_document(file: SourceFile) -> Document | Unreadable:
    """Reads and parses one file; never raises for what the file holds or for a file that cannot be opened."""
    try:
        with open(file.path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        return Unreadable(file.name, _reason(error))
    if len(data) > MOST_BYTES:
        return Unreadable(file.name, _too_large())
    text = _decode(data)
    if text is None:
        return Unreadable(file.name, "not UTF-8 text", is_by_content=True)
    return _parse(file, text, hashlib.sha256(data).hexdigest())


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


def _walk(folder: Path, label: str, scan: Scan, seen: set[tuple[int, int]]) -> None:
    def passed_over(error: OSError) -> None:
        scan.unreadable.append(Unreadable(_named(label, folder, str(error.filename)), _reason(error)))

    for root, folders, files in os.walk(folder, onerror=passed_over, followlinks=True):
        if not _is_new(root, seen):
            folders.clear()
            if os.path.islink(root):
                scan.unreadable.append(
                    Unreadable(_named(label, folder, root), "a link to a folder that is already read")
                )
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(root, name)
            _add(path, _named(label, folder, path), Path(path).relative_to(folder).as_posix(), scan, seen)


def _add(path: str, name: str, relative: str, scan: Scan, seen: set[tuple[int, int]]) -> None:
    if os.path.basename(path).startswith(".") or not path.lower().endswith(MARKDOWN + HTML + TEXT):
        return
    try:
        status = os.stat(path)
    except OSError as error:
        scan.unreadable.append(Unreadable(_shown(name), _reason(error)))
        return
    if not stat.S_ISREG(status.st_mode):
        scan.unreadable.append(Unreadable(_shown(name), "not a regular file"))
    elif status.st_size > MOST_BYTES:
        scan.unreadable.append(Unreadable(_shown(name), _too_large()))
    elif _shown(path) != path:
        scan.unreadable.append(Unreadable(_shown(name), "its name is not UTF-8"))
    elif _is_new(path, seen):
        scan.files.append(SourceFile(path, name, relative, status.st_mtime_ns, status.st_size))


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


def _named(label: str, folder: Path, path: str) -> str:
    relative = os.path.relpath(path, folder)
    return _shown(label if relative == "." else f"{label}/{relative}")


def _shown(name: str) -> str:
    """File names are bytes; one that is not text still has to stand in a report."""
    return name.encode(errors="replace").decode()


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _too_large() -> str:
    return f"larger than {MOST_BYTES // 1024 // 1024} MB"


def _decode(data: bytes) -> str | None:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(file: SourceFile, text: str, digest: str) -> Document:
    metadata, body = split_front_matter(text)
    title, suffix = metadata.get("title", ""), Path(file.path).suffix.lower()
    if suffix in HTML:
        html_title, blocks = html_blocks(body)
    else:
        html_title, blocks = "", markdown_blocks(body) if suffix in MARKDOWN else text_blocks(body)
    title = title or next(_first_headings(blocks), "") or html_title or _title_from(file.path)
    url = metadata.get("url", "")
    return Document(strip_marks(title), url if url.startswith(("https://", "http://")) else "", tuple(blocks), digest)


def _first_headings(blocks: Sequence[Block]) -> Iterator[str]:
    return (block.text for block in blocks if block.kind is Kind.HEADING and block.level == 1)


def _title_from(path: str) -> str:
    words = Path(path).stem.replace("-", " ").replace("_", " ").split()
    return " ".join(words)[:1].upper() + " ".join(words)[1:]
