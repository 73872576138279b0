"""Folders and index, compared and made alike. Synchronous: the library runs it in a thread of its own."""

import logging
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path

from bot.knowledge.chunking import passage_ids, pieces
from bot.knowledge.index import Entry, IndexWriter, Known, delete_index, is_damage
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import Document, Root, SourceFile, Unreadable, read_document, scan_folders
from bot.model import changeable

log = logging.getLogger(__name__)

BATCH_FILES = 64
BATCH_BYTES = 4 * 1024 * 1024


@changeable
class SyncReport:
    """What one pass over the folders changed: names of documents, and `name: reason` for what could not be read."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_quiet(self) -> bool:
        return not (self.added or self.changed or self.removed)


class Indexer:
    """Owns the writer. Everything but `stop` is called in one thread."""

    def __init__(self, path: Path, folders: Sequence[Path | Root]) -> None:
        self._path = path
        self._folders = tuple(folders)
        self._writer: IndexWriter | None = None
        self._is_damaged = False
        self._warned: set[str] = set()
        self._bad: dict[SourceFile, Unreadable] = {}  # files whose content cannot be read, until they change
        self._stopping = threading.Event()
        self._room = ReadingRoom()

    def open(self) -> bool:
        """Whether the index can be used. False: it is damaged, of another version, or was deleted while open."""
        if self._writer is not None:
            return self._writer.is_in_place() and not self._is_damaged
        try:
            self._writer = IndexWriter(self._path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return False
        return self._writer.is_current

    def rebuild(self) -> None:
        log.warning("building the search index anew: %s was damaged, deleted or of another version", self._path)
        self.close()
        delete_index(self._path)
        self._writer = IndexWriter(self._path)
        self._is_damaged = False

    def distrust(self) -> None:
        """A reader failed: the file is checked from end to end, and the next `open` says False if it is broken."""
        self._is_damaged = self._writer is not None and not self._writer.is_sound()

    def sync(self) -> SyncReport:
        """One pass. What is gone goes first, before anything is read; a changed document is replaced within one transaction."""
        writer = self._writer
        if writer is None:
            raise RuntimeError("open() comes first")
        scan, known, report = scan_folders(self._folders), writer.known(), SyncReport()
        present = {file.path for file in scan.files}
        removed = [path for path in known if path not in present]
        report.removed = [known[path].name for path in removed]
        if removed:
            writer.apply(removed, (), ())
        bad = list(scan.unreadable)
        for batch in _batches([file for file in scan.files if not _is_unchanged(file, known.get(file.path))]):
            if self._stopping.is_set():
                return report
            changes = _Changes()
            for file in batch:
                changes.add(file, known.get(file.path), self._read(file), report)
            if self._stopping.is_set():  # what was not read for that reason alone must not be forgotten
                return report
            writer.apply(changes.removed, changes.touched, changes.entries)
            bad += changes.unreadable
        report.unreadable = sorted(map(str, bad))
        self._bad = {file: problem for file, problem in self._bad.items() if file.path in present}
        self._tell(report)
        return report

    def is_empty(self) -> bool:
        """Whether it is known that there is nothing to be found."""
        return self._writer is not None and self._writer.is_empty()

    def missing(self, model: str, limit: int) -> list[tuple[str, str]]:
        """Passages to be embedded: hash and text. None where the index is not open."""
        return [] if self._writer is None else self._writer.missing(model, limit)

    def keep(self, model: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        if self._writer is not None:
            self._writer.keep(model, vectors)

    def forget_unused(self, model: str) -> None:
        """Embeddings that no passage of today needs."""
        if self._writer is not None:
            self._writer.forget_unused(model)

    def _read(self, file: SourceFile) -> Document | Unreadable:
        if file in self._bad:
            return self._bad[file]
        document = read_document(file, self._room)
        if isinstance(document, Unreadable) and document.is_by_content:
            self._bad[file] = document
        return document

    def stop(self) -> None:
        self._stopping.set()
        self._room.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _tell(self, report: SyncReport) -> None:
        """Logs what changed, and each thing that cannot be read once, until it can be read again."""
        if not report.is_quiet:
            counts = len(report.added), len(report.changed), len(report.removed)
            log.info("knowledge: %d documents added, %d changed, %d removed", *counts)
        for line in report.unreadable:
            if line not in self._warned:
                log.warning("knowledge: passed over %s", line)
        self._warned = set(report.unreadable)


@changeable
class _Changes:
    """What one transaction will change."""

    removed: list[str] = field(default_factory=list)
    touched: list[Known] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    def add(self, file: SourceFile, known: Known | None, document: Document | Unreadable, report: SyncReport) -> None:
        """Takes in one file that is new or differs from what the index knows of it."""
        if isinstance(document, Unreadable):
            self.unreadable.append(document)
            if known is not None:
                self.removed.append(file.path)
                report.removed.append(known.name)
            return
        now = Known(file.path, file.name, file.modified_ns, file.size_bytes, document.digest, file.given)
        if known is not None and (known.digest, known.name, known.given) == (now.digest, now.name, now.given):
            self.touched.append(now)
            return
        self.entries.append(_entry(now, file, document))
        (report.added if known is None else report.changed).append(file.name)


def _entry(known: Known, file: SourceFile, document: Document) -> Entry:
    cut = pieces(document.title, document.blocks)
    passages = tuple((i, piece.title, piece.text) for i, piece in zip(passage_ids(file.name, cut), cut, strict=True))
    language = re.split("[-_]", (document.language or file.language).lower())[0]  # "de-AT" is German
    audience = document.audience or file.audience
    return Entry(known, file.relative, document.title, document.url, passages, language, audience)


def _is_unchanged(file: SourceFile, known: Known | None) -> bool:
    """By time and size, as the folder shows them; what differs is compared by content."""
    seen = (file.name, file.modified_ns, file.size_bytes, file.given)
    return known is not None and seen == (known.name, known.modified_ns, known.size_bytes, known.given)


def _batches(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    """Files in groups that fit into one short transaction."""
    batch: list[SourceFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= BATCH_FILES or size + file.size_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size_bytes
    if batch:
        yield batch
