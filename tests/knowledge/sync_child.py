"""A sync that is killed at its n-th touch of the disk: `python -m tests.knowledge.sync_child DATA STATE STEP`.

STATE names what the origin holds. Every call that changes the disk counts as one step, before and after it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from bot.clock import SystemClock
from bot.knowledge.origins.origin import Fresh, Mark, Page, Same, Step
from bot.knowledge.origins.syncing import SourceReport, sync_source
from tests.knowledge.outside import settings

Held = dict[str, str]
STATES: dict[str, Held] = {
    "before": {"https://a.example/one": "First text.", "https://a.example/two": "Second text.", "gone": "Goes."},
    "after": {
        "https://a.example/one": "First text, changed.",
        "https://a.example/two": "Second text.",
        "new": "Comes.",
    },
}


class HeldOrigin:
    """An origin that is a dictionary; the text is its own validator. A text of None asks not to be kept."""

    def __init__(self, held: Mapping[str, str | None]) -> None:
        self._held = held
        self.read: list[str] = []

    def expected(self) -> int:
        return len(self._held)

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        for key, text in self._held.items():
            if key in kept and kept[key].token == str(text):
                yield Same(key)
                continue
            self.read.append(key)
            page = None if text is None else Page(f"Title of {key}", key, text)
            yield Fresh(key, page, Mark(token=str(text)))


async def sync(data: Path, held: Mapping[str, str | None]) -> SourceReport:
    source = settings("website", url="https://a.example/")
    return await sync_source(source, HeldOrigin(held), data, SystemClock())


def dying(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:
        _step(left)
        result = call(*given, **named)
        _step(left)
        return result

    return counted


def _step(left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    data, state, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    left = [step]
    for name in ("replace", "unlink", "fsync", "mkdir"):
        setattr(os, name, dying(getattr(os, name), left))
    asyncio.run(sync(data, STATES[state]))


if __name__ == "__main__":
    main()
