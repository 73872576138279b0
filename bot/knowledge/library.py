"""The knowledge of the house: folders of documents, kept searchable while they change.

Two threads beside the loop: one searches, one indexes, each with its own connection. Promises: a changed document is found
within `poll_s`, a removed one is gone as soon as that is noticed, one bad file never stops the others, and a broken or
deleted index is rebuilt by itself.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bot.errors import DataError
from bot.knowledge.embeddings import Embedder
from bot.knowledge.fusion import Weighing
from bot.knowledge.index import DocumentSummary, Edition, IndexReader, Only, is_damage
from bot.knowledge.indexing import Indexer, SyncReport
from bot.knowledge.meaning import Meanings
from bot.knowledge.sources import Root
from bot.knowledge.whole import Extent, Wholes
from bot.model import Found, Passage, PassageId
from bot.ports import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")


class FolderKnowledge:
    """Implements `bot.ports.Knowledge` over folders. `ready` is set after the first sync; searches wait for it. With an `embedder`, which it
    closes, meaning counts beside words, by `weighing`."""

    def __init__(
        self,
        index_path: Path,
        folders: Sequence[Path | Root],
        clock: Clock,
        base_url: str = "",
        poll_s: float = 2.0,
        *,
        embedder: Embedder | None = None,
        weighing: Weighing | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self.on_change: Callable[[Sequence[Edition]], Awaitable[bool]] | None = None  # see bot.knowledge.versions
        self._is_told = False
        self._path = index_path
        self._base_url = base_url
        self._clock = clock
        self._poll_s = poll_s
        self._indexer = Indexer(index_path, folders)
        self._weighing = weighing
        self.meanings = Meanings(embedder, self._indexer, self._in_sync_thread, clock) if embedder else None
        self._wholes = Wholes(self._read)
        self._reader: IndexReader | None = None
        self._is_closed = False
        self._search_thread = ThreadPoolExecutor(1, "knowledge-search")
        self._sync_thread = ThreadPoolExecutor(1, "knowledge-sync")
        self._searching = asyncio.Lock()  # held while a search runs, and while the file is exchanged
        self._syncing = asyncio.Lock()

    async def run(self) -> None:
        """Keeps the index in step with the folders, and the embeddings with the index, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="folders")
            if self.meanings is not None:
                tasks.create_task(self.meanings.run(), name="embeddings")

    async def sync(self) -> SyncReport:
        """Brings the index up to date with the folders. Safe to repeat. Raises DataError (disk full, no rights)."""
        async with self._syncing:
            try:
                report = await self._sync()
            except (sqlite3.Error, OSError) as error:
                self._wholes.forget()
                raise DataError(f"the search index {self._path} cannot be written: {error}") from error
            if not report.is_quiet:
                self._wholes.forget()
            self.ready.set()
            if self.meanings is not None and not report.is_quiet:
                self.meanings.note_change()
            await self._tell(report)
            return report

    async def search(
        self,
        query: str,
        limit: int = 5,
        within: Sequence[Path] = (),
        *,
        audiences: Collection[str] | None = (),
        language: str = "",
    ) -> Sequence[Found]:
        """The best passages first. Waits for the first sync; the caller bounds the wait. `audiences`: whose documents count besides those for
        everyone; None: all. `language`: documents in this one and in none in particular; "": in any."""
        vector = await self.meanings.of(query) if self.meanings is not None else None
        return await self._read(
            lambda reader: reader.search(query, limit, within, vector=vector, audiences=audiences, language=language)
        )

    async def passage(
        self, passage: PassageId, within: Sequence[Path] = (), *, audiences: Collection[str] | None = ()
    ) -> Passage | None:
        """The passage, or None once its document no longer holds it, or is not, or no longer, for these. `within` and `audiences`: as in
        `search`."""
        return await self._read(lambda reader: reader.passage(passage, Only(within, audiences)))

    async def extent(
        self,
        most_tokens: int,
        within: Sequence[Path] = (),
        *,
        audiences: Collection[str] | None = (),
        language: str = "",
    ) -> Extent:
        """How much there is, and all of it as one text where that has at most so many tokens. Read again only after documents have
        changed. The rest as in `search`."""
        return await self._wholes.of(Only(within, audiences, language), most_tokens)

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
        if self.meanings is not None:
            await self.meanings.close()
        self._sync_thread.shutdown(wait=False)
        self._search_thread.shutdown(wait=False)

    async def _follow(self) -> None:
        while True:
            try:
                await self.sync()
            except DataError:
                log.exception("the search index could not be updated; trying again in %s s", self._poll_s)
            await self._clock.sleep(self._poll_s)

    async def _tell(self, report: SyncReport) -> None:
        """Whoever wants to know hears all documents after a pass that changed some, and again until it was heard."""
        self._is_told = self._is_told and report.is_quiet
        if self.on_change is not None and not self._is_told and not self._is_closed:
            try:
                documents = await self._read_once(IndexReader.editions)
            except sqlite3.Error as error:
                log.warning("the search index cannot be read (%s): the history of documents waits", error)
                return
            self._is_told = await self.on_change(documents)

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
            self._wholes.forget()

    def _opened_reader(self) -> IndexReader:
        if self._reader is None:
            model = self.meanings.model if self.meanings is not None else ""
            self._reader = IndexReader(self._path, self._base_url, model, self._weighing)
        return self._reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    async def _in_search_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._search_thread, call)

    async def _in_sync_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._sync_thread, call)


def open_index(path: Path, base_url: str = "", model: str = "", weighing: Weighing | None = None) -> IndexReader:
    """A read-only view of the index for the command line, without a daemon; `model`: whose embeddings are searched. Raises DataError."""
    if not path.exists():
        raise DataError(f"there is no search index at {path}: `frontdesk serve` builds it")
    try:
        return IndexReader(path, base_url, model, weighing)
    except sqlite3.Error as error:
        raise DataError(
            f"the search index at {path} cannot be read ({error}): `frontdesk serve` rebuilds it"
        ) from error
