"""The history of documents: which version stood when, kept in the main database.

The search index knows only what is now, and may be deleted. Promise: after each pass over the folders that changed something, and after the first
pass of a start, the history says what the index says; what happened while no daemon ran is noticed then. A unit of work compares and writes, so
a process that ends anywhere between leaves a history that the next start completes.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from bot import ids
from bot.errors import Overloaded, StoreUnavailable
from bot.knowledge.index import Edition
from bot.ports import Clock, Cursor, Row, Store

log = logging.getLogger(__name__)

AT_ONCE: Final = 200  # documents in one unit of work
CONFIRM_S: Final = 600.0

_NOW: Final = "SELECT document, id FROM document_versions WHERE ended_ms IS NULL"
_NOW_OF: Final = "SELECT version, id, passages FROM document_versions WHERE document = :document AND ended_ms IS NULL"
_JOIN: Final = "UPDATE document_versions SET passages = :passages WHERE id = :id"
_END: Final = "UPDATE document_versions SET ended_ms = :now WHERE id = :id AND ended_ms IS NULL"
_CONFIRM: Final = "UPDATE document_versions SET last_ms = :now WHERE ended_ms IS NULL AND last_ms < :now"
_ADD: Final = """
    INSERT INTO document_versions (id, document, version, title, path, passages, first_ms, last_ms)
    VALUES (:id, :document, :version, :title, :path, :passages, :now, :now)"""


class Library(Protocol):
    """The knowledge (`bot.knowledge.library.FolderKnowledge`). `on_change`: hears all documents after a pass that changed some, until it
    says True."""

    on_change: Callable[[Sequence[Edition]], Awaitable[bool]] | None


class Versions:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._is_told = False

    async def run(self, library: Library) -> None:
        """Until cancelled."""
        library.on_change = self.note
        while True:
            await self._clock.sleep(CONFIRM_S)
            if self._is_told:
                await self._try(self._confirm)

    async def note(self, documents: Sequence[Edition]) -> bool:
        """Brings the history up to date with all documents of now. False where it could not be written: to be told again."""
        self._is_told = await self._try(lambda: self._note(documents))
        return self._is_told

    async def _note(self, documents: Sequence[Edition]) -> None:
        now = self._clock.now_ms()
        for start in range(0, len(documents), AT_ONCE):
            await self._store.run(seen, documents[start : start + AT_ONCE], now)
        await self._store.run(gone, frozenset(each.document for each in documents), now)

    async def _confirm(self) -> None:
        now = self._clock.now_ms()
        await self._store.run(lambda cursor: cursor.execute(_CONFIRM, {"now": now}))

    async def _try(self, write: Callable[[], Awaitable[None]]) -> bool:
        try:
            await write()
        except (StoreUnavailable, Overloaded) as error:
            log.warning("the history of documents waits: %s", type(error).__name__)
            return False
        return True


# --- units of work ---------------------------------------------------------------------------------------------------


def seen(cursor: Cursor, documents: Sequence[Edition], now_ms: int) -> None:
    """These stand so now: a version that another took the place of has ended. A version that was cut into other passages holds both. Safe
    to repeat."""
    for each in documents:
        rows = cursor.fetch(_NOW_OF, {"document": each.document})
        if rows and rows[0][0] == each.version:
            _join(cursor, rows[0], each.passages)
            continue
        if rows:
            cursor.execute(_END, {"id": rows[0][1], "now": now_ms})
        cursor.execute(
            _ADD,
            {
                "id": ids.derived_id("version", each.document, each.version, str(now_ms)),
                "document": each.document,
                "version": each.version,
                "title": each.title,
                "path": each.path,
                "passages": f" {' '.join(each.passages)} ",
                "now": now_ms,
            },
        )


def _join(cursor: Cursor, row: Row, passages: Sequence[str]) -> None:
    _, id_, held = row
    known = set(held.split())
    if new := [each for each in passages if each not in known]:
        cursor.execute(_JOIN, {"id": id_, "passages": f" {' '.join([*held.split(), *new])} "})


def gone(cursor: Cursor, documents: frozenset[str], now_ms: int) -> None:
    """All but these have vanished; these are confirmed."""
    for document, id_ in cursor.fetch(_NOW):
        if document not in documents:
            cursor.execute(_END, {"id": id_, "now": now_ms})
    cursor.execute(_CONFIRM, {"now": now_ms})
