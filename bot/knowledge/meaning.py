"""What passages mean, beside what they say: keeps their embeddings in step with the index, and gives that of a question in time.

Promises: a search never waits longer than WITHIN_S for it, and goes by words where it does not come; what has been embedded once is not
embedded again; whoever makes the embeddings may be away, and is asked again later.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from bot.errors import FrontdeskError
from bot.knowledge.embeddings import Embedder
from bot.knowledge.indexing import Indexer
from bot.knowledge.vectors import Vector
from bot.ports import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")

WITHIN_S: Final = 1.0  # that a question waits for its embedding
AGAIN_S: Final = 60.0  # after a failure, until passages are tried again
ASK_AGAIN_S: Final = 10.0  # and questions
SLICE: Final = 16  # passages between two looks at the index
PROBE: Final = "How does this work?"  # embedded first, so that no question waits for the model to load


class InThread(Protocol):
    """Runs a call where the index is written."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


class Meanings:
    """The embeddings of one index by one embedder. `are_whole` is set while every passage has its own; `is_settled` while it has, and also
    once a try has failed: there is nothing to wait for."""

    def __init__(self, embedder: Embedder, indexer: Indexer, in_thread: InThread, clock: Clock) -> None:
        self.model = embedder.model
        self.are_whole = asyncio.Event()
        self.is_settled = asyncio.Event()
        self._embedder = embedder
        self._indexer = indexer
        self._in_thread = in_thread
        self._clock = clock
        self._changed = asyncio.Event()
        self._is_loaded = False
        self._not_before = 0.0  # monotonic; a question does not wait for what has just failed
        self._problem = ""

    def note_change(self) -> None:
        """The index holds other passages than before."""
        self.are_whole.clear()
        self.is_settled.clear()
        self._changed.set()

    async def run(self) -> None:
        """Embeds what is new until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self._catch_up()
            except (FrontdeskError, sqlite3.Error) as error:
                self._tell(str(error))
                self.is_settled.set()
                await self._clock.sleep(AGAIN_S)
            else:
                self._tell("")
                await self._changed.wait()

    async def of(self, query: str) -> Vector | None:
        """The question's embedding; None where there is none in time."""
        if not self._is_loaded or self._clock.monotonic() < self._not_before:
            return None
        try:
            async with self._clock.timeout(WITHIN_S):
                (vector,) = await self._embedder.embed([query])
        except (FrontdeskError, TimeoutError) as error:
            self._not_before = self._clock.monotonic() + ASK_AGAIN_S
            self._tell(str(error) or f"a question had no embedding within {WITHIN_S:.0f} s")
            return None
        self._tell("")
        return vector

    async def close(self) -> None:
        await self._embedder.close()

    async def _catch_up(self) -> None:
        if not self._is_loaded and not await self._in_thread(self._indexer.is_empty):  # a model takes memory
            await self._embedder.embed([PROBE])
            self._is_loaded = True
        while missing := await self._in_thread(lambda: self._indexer.missing(self.model, SLICE)):
            vectors = await self._embedder.embed([text for _, text in missing])
            kept = [(hash_, vector) for (hash_, _), vector in zip(missing, vectors, strict=True)]
            await self._in_thread(lambda kept=kept: self._indexer.keep(self.model, kept))  # type: ignore[misc] # a default binds it now
        await self._in_thread(lambda: self._indexer.forget_unused(self.model))
        if not self._changed.is_set():
            self.are_whole.set()
            self.is_settled.set()

    def _tell(self, problem: str) -> None:
        """Logs each trouble once, and its end."""
        if problem and problem != self._problem:
            log.warning("knowledge is searched by words alone: %s", problem)
        elif self._problem and not problem:
            log.info("knowledge is searched by meaning again")
        self._problem = problem
