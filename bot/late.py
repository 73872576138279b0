"""What is imported only after the daemon is ready: knowledge and the offline answerer. A start does not wait for them; a question does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.model import Found, Passage, PassageId
from bot.ports import ChatModel, ChatRequest, Chunk, Clock

if TYPE_CHECKING:
    from bot.knowledge import FolderKnowledge


class LateKnowledge:
    """The `Knowledge` port over folders. Whoever asks before the first indexing waits for it."""

    def __init__(self, index: Path, folders: Sequence[Path], clock: Clock, poll_s: float) -> None:
        self._index = index
        self._folders = folders
        self._clock = clock
        self._poll_s = poll_s
        self._real: FolderKnowledge | None = None
        self._is_there = asyncio.Event()

    async def run(self) -> None:
        """Loads, indexes, and keeps the index in step until cancelled."""
        make = await asyncio.to_thread(_load_knowledge)
        self._real = make(self._index, self._folders, self._clock, poll_s=self._poll_s)
        self._is_there.set()
        await self._real.run()

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        return await (await self._loaded()).search(query, limit, within)

    async def passage(self, passage: PassageId) -> Passage | None:
        return await (await self._loaded()).passage(passage)

    async def _loaded(self) -> "FolderKnowledge":
        while self._real is None:
            await self._is_there.wait()
        return self._real


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


def _load_knowledge() -> "type[FolderKnowledge]":
    from bot.knowledge import FolderKnowledge

    return FolderKnowledge


def _load_offline(name: str) -> ChatModel:
    from bot.llm.offline import OfflineModel

    return OfflineModel(name)
