"""The knowledge of the house: folders of documents, kept searchable while they change.

Two threads beside the loop: one searches, one indexes, each with its own connection. Promises: a changed document is found
within `poll_s`, a removed one is gone as soon as that is noticed, one bad file never stops the others, and a broken or
deleted index is rebuilt by itself.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bot.errors import DataError
from bot.knowledge.chunking import passage_ids, pieces
from bot.knowledge.index import DocumentSummary, Entry, IndexReader, IndexWriter, Known, delete_index, is_damage
from bot.knowledge.sources import Document, SourceFile, Unreadable, read_document, scan_folders
from bot.model import Found, Passage, PassageId
from bot.ports import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH_FILES = 64
BATCH_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class SyncReport:
    """What one pass over the folders changed: names of documents, and `name: reason` for what could not be read."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_quiet(self) -> bool:
        return not (self.added or self.changed or self.removed)


class FolderKnowledge:
    """Implements `bot.ports.Knowledge` over folders. `ready` is set after the first sync; searches wait for it."""

    def __init__(
        self, index_path: Path, folders: Sequence[Path], clock: Clock, base_url: str = "", poll_s: float = 2.0
    ) -> None:
        self.ready = asyncio.Event()
        self._path = index_path
        self._base_url = base_url
        self._clock = clock
        self._poll_s = poll_s
        self._indexer = _Indexer(index_path, folders)
        self._reader: IndexReader | None = None
        self._is_closed = False
        self._search_thread = ThreadPoolExecutor(1, "knowledge-search")
        self._sync_thread = ThreadPoolExecutor(1, "knowledge-sync")
        self._searching = asyncio.Lock()  # held while a search runs, and while the file is exchanged
        self._syncing = asyncio.Lock()

    async def run(self) -> None:
        """Keeps the index in step with the folders until cancelled."""
        while True:
            try:
                await self.sync()
            except DataError:
                log.exception("the search index could not be updated; trying again in %s s", self._poll_s)
            await self._clock.sleep(self._poll_s)

    async def sync(self) -> SyncReport:
        """Brings the index up to date with the folders. Safe to repeat. Raises DataError (disk full, no rights)."""
        async with self._syncing:
            try:
                report = await self._sync()
            except (sqlite3.Error, OSError) as error:
                raise DataError(f"the search index {self._path} cannot be written: {error}") from error
            self.ready.set()
            return report

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        """The best passages first. Waits for the first sync; the caller bounds the wait."""
        return await self._read(lambda reader: reader.search(query, limit, within))

    async def passage(self, passage: PassageId) -> Passage | None:
        """The passage, or None once its document no longer holds it."""
        return await self._read(lambda reader: reader.passage(passage))

    async def list_documents(self) -> list[DocumentSummary]:
        """Every indexed document by name."""
        return await self._read(IndexReader.documents)

    async def close(self) -> None:
        """Ends both threads; an index pass that is under way stops at the next batch. Nothing may be asked afterwards. Safe to
        repeat."""
        if self._is_closed:
            return
        self._is_closed = True
        self._indexer.stop()
        await self._in_sync_thread(self._indexer.close)
        async with self._searching:
            await self._in_search_thread(self._close_reader)
        self._sync_thread.shutdown(wait=False)
        self._search_thread.shutdown(wait=False)

    async def _sync(self) -> SyncReport:
        if not await self._in_sync_thread(self._indexer.open):
            await self._rebuild()
        try:
            return await self._in_sync_thread(self._indexer.sync)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        await self._rebuild()
        return await self._in_sync_thread(self._indexer.sync)

    async def _read(self, query: Callable[[IndexReader], T]) -> T:
        await self.ready.wait()
        try:
            return await self._read_once(query)
        except sqlite3.Error as error:
            log.warning("the search index cannot be read (%s); checking it", error)
        await self._in_sync_thread(self._indexer.distrust)
        await self.sync()
        try:
            return await self._read_once(query)
        except sqlite3.Error as error:
            raise DataError(f"the search index {self._path} cannot be read: {error}") from error

    async def _read_once(self, query: Callable[[IndexReader], T]) -> T:
        async with self._searching:
            return await self._in_search_thread(lambda: query(self._opened_reader()))

    async def _rebuild(self) -> None:
        """Exchanges the file. All connections are closed first: one that closes later would delete the new file's log."""
        async with self._searching:
            await self._in_search_thread(self._close_reader)
            await self._in_sync_thread(self._indexer.rebuild)

    def _opened_reader(self) -> IndexReader:
        if self._reader is None:
            self._reader = IndexReader(self._path, self._base_url)
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    async def _in_search_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._search_thread, call)

    async def _in_sync_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._sync_thread, call)


def open_index(path: Path, base_url: str = "") -> IndexReader:
    """A read-only view of the index for the command line, without a daemon. Raises DataError."""
    if not path.exists():
        raise DataError(f"there is no search index at {path}: `frontdesk serve` builds it")
    try:
        return IndexReader(path, base_url)
    except sqlite3.Error as error:
        raise DataError(
            f"the search index at {path} cannot be read ({error}): `frontdesk serve` rebuilds it"
        ) from error


class _Indexer:
    """The synchronous half: compares folders and index, and writes the difference. Lives in the sync thread."""

    def __init__(self, path: Path, folders: Sequence[Path]) -> None:
        self._path = path
        self._folders = tuple(folders)
        self._writer: IndexWriter | None = None
        self._is_damaged = False
        self._warned: set[str] = set()
        self._bad: dict[SourceFile, Unreadable] = {}  # files whose content cannot be read, until they change
        self._stopping = threading.Event()

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
        """One pass. A changed document is replaced within one transaction; what is gone goes with the first of them."""
        writer = self._writer
        if writer is None:
            raise RuntimeError("open() comes first")
        scan, known, report = scan_folders(self._folders), writer.known(), SyncReport()
        present = {file.path for file in scan.files}
        removed = [path for path in known if path not in present]
        report.removed = [known[path].name for path in removed]
        bad = list(scan.unreadable)
        for batch in _batches([file for file in scan.files if not _is_unchanged(file, known.get(file.path))]):
            if self._stopping.is_set():
                return report
            changes = _Changes(removed)
            for file in batch:
                changes.add(file, known.get(file.path), self._read(file), report)
            writer.apply(changes.removed, changes.touched, changes.entries)
            bad += changes.unreadable
            removed = []
        if removed:
            writer.apply(removed, (), ())
        report.unreadable = sorted(map(str, bad))
        self._bad = {file: problem for file, problem in self._bad.items() if file.path in present}
        self._tell(report)
        return report

    def _read(self, file: SourceFile) -> Document | Unreadable:
        if file in self._bad:
            return self._bad[file]
        document = read_document(file)
        if isinstance(document, Unreadable) and document.is_by_content:
            self._bad[file] = document
        return document

    def stop(self) -> None:
        self._stopping.set()

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


@dataclass(slots=True)
class _Changes:
    """What one transaction will change."""

    removed: list[str]
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
        now = Known(file.path, file.name, file.modified_ns, file.size_bytes, document.digest)
        if known is not None and (known.digest, known.name) == (now.digest, now.name):
            self.touched.append(now)
            return
        self.entries.append(_entry(now, file, document))
        (report.added if known is None else report.changed).append(file.name)


def _entry(known: Known, file: SourceFile, document: Document) -> Entry:
    cut = pieces(document.title, document.blocks)
    passages = tuple((i, piece.title, piece.text) for i, piece in zip(passage_ids(file.name, cut), cut, strict=True))
    return Entry(known, file.relative, document.title, document.url, passages)


def _is_unchanged(file: SourceFile, known: Known | None) -> bool:
    """By time and size, as the folder shows them; what differs is compared by content."""
    seen = (file.name, file.modified_ns, file.size_bytes)
    return known is not None and seen == (known.name, known.modified_ns, known.size_bytes)


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
