"""The job over a data folder, which ends the process before or after one of its units of work: `python -m tests.memory.job_child FOLDER POINT`.

POINT: `before NUMBER` or `after NUMBER`, counting the units and the calls of the background model; "" for none.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.store.sqlite import SqliteStore
from tests.memory.house import Remembering, remembering

T = TypeVar("T")
FACT = {"kind": "name", "value": "Ada", "about": ""}


class Doom:
    """Counts what happens, and ends the process at the point."""

    def __init__(self, point: str) -> None:
        self.point, self.count = point, 0

    def begin(self) -> int:
        self.count += 1
        if self.point == f"before {self.count}":
            os._exit(9)
        return self.count

    def end(self, number: int) -> None:
        if self.point == f"after {number}":
            os._exit(9)


def arm(desk: Remembering, doom: Doom) -> None:
    run = desk.house.store.run

    async def doomed(unit: Callable[..., T], *args: Any) -> T:  # whatever the unit takes
        number = doom.begin()
        result = await run(unit, *args)
        doom.end(number)
        return result

    desk.house.store.run = doomed  # type: ignore[method-assign]  # the knife


async def main(folder: Path, point: str) -> None:
    doom = Doom(point)

    async def write(request: ChatRequest) -> AsyncIterator[Chunk]:
        number = doom.begin()
        yield TextDelta(json.dumps({"happened": "Ada asked about a tyre.", "facts": [FACT]}))
        doom.end(number)
        yield Finished()

    async with remembering(folder, notes=write) as desk:
        store: SqliteStore = desk.house.store
        assert not store.waiting()
        arm(desk, doom)
        await desk.keeper.round()
        sys.stdout.write(str(doom.count))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
