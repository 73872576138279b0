"""The real clock. Tests put `tests.clock.ManualClock` in its place."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager


class SystemClock:
    """Wall time and monotonic time of this machine."""

    monotonic = staticmethod(time.monotonic)  # asked ten times a turn

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)
