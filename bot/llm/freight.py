"""How much memory the files on their way to models take: one bound for the process, however many calls are made at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

MOST_BYTES = 200_000_000  # of all calls with files until the servers have taken them
COPIES = 4  # a file's bytes at the peak: as base64, within a JSON text, and as the bytes of that, each a third larger than the file


@dataclass(slots=True, eq=False)
class _Waiter:
    size_bytes: int
    admitted: "asyncio.Future[None]"


class Freight:
    """A scale that lets calls through while what they hold together stays within `most_bytes`, in the order in which they came. One that
    is larger than that goes alone."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = self._free = most_bytes
        self._waiters: deque[_Waiter] = deque()

    @asynccontextmanager
    async def room(self, files_bytes: int) -> AsyncIterator[None]:
        """Room for files of so many bytes as they are stored, until the block ends; without files nobody waits. May be cancelled at any
        time."""
        if not files_bytes:
            yield
            return
        size = min(files_bytes * COPIES, self._most)
        await self._take(size)
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._waiters and size <= self._free:
            self._free -= size
            return
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._admit()
            elif not waiter.admitted.cancelled():  # let through a moment before
                self._give(size)
            raise

    def _give(self, size: int) -> None:
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._waiters[0].size_bytes <= self._free:
            waiter = self._waiters.popleft()
            if not waiter.admitted.done():
                self._free -= waiter.size_bytes
                waiter.admitted.set_result(None)
