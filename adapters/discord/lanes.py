"""The events of one channel one after the other, channels side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Job = Callable[[], Awaitable[None]]


class Lanes:
    """Holds at most `most` jobs: `put` waits for room, and so the gateway is read no faster than its events are stored. A job is
    expected to raise nothing but what ends the run."""

    def __init__(self, tasks: asyncio.TaskGroup, most: int = 1_000) -> None:
        self._tasks = tasks
        self._room = asyncio.Semaphore(most)
        self._lanes: dict[str, deque[Job]] = {}

    async def put(self, lane: str, job: Job) -> None:
        """Puts a job last in its lane, once there is room."""
        await self._room.acquire()
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(job)
            return
        self._lanes[lane] = deque([job])
        self._tasks.create_task(self._run(lane))

    async def _run(self, lane: str) -> None:
        waiting = self._lanes[lane]
        while waiting:
            try:
                await waiting[0]()
            finally:
                waiting.popleft()
                self._room.release()
        del self._lanes[lane]
