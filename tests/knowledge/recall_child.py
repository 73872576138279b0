"""One start over a data folder that notices its documents, and ends the process before or after one of its steps:
`python -m tests.knowledge.recall_child FOLDER POINT`.

POINT: `before NUMBER` or `after NUMBER`, counting units of work; `within NUMBER` ends it before the commit; "" for none.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bot.knowledge import FolderKnowledge
from bot.knowledge.versions import Versions
from bot.ports import Cursor
from bot.store.folder import INDEX, prepare
from bot.store.sqlite import SqliteStore
from tests.clock import ManualClock

T = TypeVar("T")


async def main(folder: Path, point: str, now_ms: int) -> int:
    prepare(folder / "data")
    store, clock, count = await SqliteStore.open(folder / "data"), ManualClock(), 0
    run = store.run
    clock.now_ms = lambda: now_ms  # type: ignore[method-assign]  # a start of another day

    async def doomed(unit: Callable[..., T], *args: Any) -> T:  # whatever the unit takes
        nonlocal count
        count += 1

        def within(cursor: Cursor, *given: Any) -> T:
            result = unit(cursor, *given)
            end(f"within {count}")
            return result

        end(f"before {count}")
        result = await run(within, *args)
        end(f"after {count}")
        return result

    def end(at: str) -> None:
        if at == point:
            os._exit(9)

    store.run = doomed  # type: ignore[method-assign]  # the knife
    library = FolderKnowledge(folder / "data" / INDEX, [folder / "docs"], clock)
    library.on_change = Versions(store, clock).note
    await library.sync()
    await library.close()
    await store.close()
    return count


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
