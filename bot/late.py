"""What is imported only after the daemon is ready: knowledge, its sources, and the offline answerer. A start does not wait for them; a question
does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.config.knowledge_schema import Folder, Knowledge
from bot.model import Found, Passage, PassageId, value
from bot.net.perimeter import Perimeter
from bot.ports import ChatModel, ChatRequest, Chunk, Clock
from bot.ports import Knowledge as KnowledgePort

if TYPE_CHECKING:
    from bot.knowledge import FolderKnowledge
    from bot.knowledge.opening import Endpoint, Fetching
    from bot.knowledge.whole import Extent


@value
class Plan:
    """What knowledge is built from. `endpoint`: makes what asks the model of [roles] embed, where one is named."""

    index: Path
    data: Path
    settings: Knowledge
    clock: Clock
    endpoint: "Endpoint | None" = None


class LateKnowledge:
    """The `Knowledge` port over folders. Whoever asks before the first indexing waits for it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._real: FolderKnowledge | None = None
        self._is_there = asyncio.Event()

    async def run(self) -> None:
        """Loads, indexes, and keeps the index in step until cancelled."""
        plan = self._plan
        opened = await asyncio.to_thread(_load_knowledge)
        self._real = opened(plan.index, plan.data, plan.settings, plan.clock, plan.endpoint)
        self._is_there.set()
        await self._real.run()

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()

    def seen_by(self, audiences: Collection[str], language: str, opens: Sequence[Path] = ()) -> KnowledgePort:
        """The knowledge with the documents for these audiences too, and none in another language ("": in any). Passages are opened of
        documents for these audiences alone, below `opens` (none: anywhere)."""
        return _View(self, tuple(audiences), language, tuple(opens))

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        return await (await self.loaded()).search(query, limit, within)

    async def extent(
        self, most_tokens: int, within: Sequence[Path], audiences: Collection[str], language: str
    ) -> "Extent":
        """How much of the knowledge these may use, and all of it where it has at most so many tokens."""
        real = await self.loaded()
        return await real.extent(most_tokens, within, audiences=audiences, language=language)

    async def passage(self, passage: PassageId) -> Passage | None:
        """Whoever it is for: for operators."""
        return await (await self.loaded()).passage(passage, audiences=None)

    async def loaded(self) -> "FolderKnowledge":
        """The real one, once it is there."""
        while self._real is None:
            await self._is_there.wait()
        return self._real


@value
class _View:
    """The knowledge as some agents see it."""

    knowledge: LateKnowledge
    audiences: tuple[str, ...]
    language: str
    opens: tuple[Path, ...]

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        real = await self.knowledge.loaded()
        return await real.search(query, limit, within, audiences=self.audiences, language=self.language)

    async def passage(self, passage: PassageId) -> Passage | None:
        return await (await self.knowledge.loaded()).passage(passage, self.opens, audiences=self.audiences)


class LateSources:
    """Fetches what the sources of the config hold, while `run` runs; nothing is loaded where they are folders alone."""

    def __init__(self, plan: Plan, perimeter: Perimeter, secret: Callable[[str], str]) -> None:
        self._plan = plan
        self._perimeter = perimeter
        self._secret = secret
        self._real: Fetching | None = None

    async def run(self) -> None:
        """Until cancelled, or at once where there is nothing to fetch."""
        plan = self._plan
        if all(isinstance(each, Folder) for each in plan.settings.sources):
            return
        fetching = await asyncio.to_thread(_load_fetching)
        self._real = fetching(plan.data, plan.settings, plan.clock, self._perimeter, self._secret)
        await self._real.run()

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()


class LateOffline:
    """The offline answerer, loaded by the first who needs it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._real: ChatModel | None = None

    async def load(self) -> ChatModel:
        if self._real is None:
            self._real = await asyncio.to_thread(_load_offline, self.name)
        return self._real

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        async for chunk in (await self.load()).stream(request):
            yield chunk


def _load_knowledge() -> "Callable[[Path, Path, Knowledge, Clock, Endpoint | None], FolderKnowledge]":
    from bot.knowledge.opening import open_library

    return open_library


def _load_fetching() -> "type[Fetching]":
    from bot.knowledge.opening import Fetching

    return Fetching


def _load_offline(name: str) -> ChatModel:
    from bot.llm.offline import OfflineModel

    return OfflineModel(name)
