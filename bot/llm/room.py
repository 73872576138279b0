"""How much memory the files of all calls together may take."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST_BYTES = 256 * 1024 * 1024


class Room:
    """Bytes that calls hold while they run, in the order in which they came. A call that needs more than there is goes alone."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = self._left = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncIterator[None]:
        count = min(count, self._most)
        if count:
            await self._take(count)
        try:
            yield
        finally:
            self._give(count)

    async def _take(self, count: int) -> None:
        if not self._waiting and count <= self._left:
            self._left -= count
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():
                self._give(count)
            elif (count, granted) in self._waiting:
                self._waiting.remove((count, granted))
                self._give(0)
            raise

    def _give(self, count: int) -> None:
        self._left += count
        while self._waiting and self._waiting[0][0] <= self._left:
            needed, granted = self._waiting.popleft()
            if not granted.done():
                self._left -= needed
                granted.set_result(None)
