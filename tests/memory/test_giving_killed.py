"""A process that ends at any step gives a user one copy of their data, and leaves none of which nobody knows how it came there."""

import asyncio
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from bot.store.blobs import path_of
from bot.store.folder import BLOBS, DATABASE

ONE = (1, 1, 1)
_FOUND = """
    SELECT (SELECT count(*) FROM blobs), (SELECT count(*) FROM audit WHERE action = 'user exported'),
           (SELECT count(*) FROM messages WHERE attachments <> '')"""


async def test_killed_at_any_step_a_wish_is_one_copy_one_entry_and_at_most_one_file(in_memory: Path) -> None:
    """The file may be in doubt only where the process ended while the platform took it."""
    (in_memory / "whole").mkdir()
    status, told = await child(in_memory / "whole", "")
    assert status == 0
    points = int(told)
    assert points >= 4
    taken: Counter[int] = Counter()
    for point in [f"{when} {number}" for number in range(1, points + 1) for when in ("before", "after")]:
        folder = in_memory / point
        folder.mkdir()
        assert await child(folder, point) == (9, "")
        assert (await child(folder, ""))[0] == 0
        with closing(sqlite3.connect(folder / DATABASE)) as rows:
            assert rows.execute(_FOUND).fetchone() == ONE, point
            (blob,) = rows.execute("SELECT id FROM blobs").fetchone()
        assert path_of(folder / BLOBS, blob).is_file(), point
        lines = (folder / "taken").read_text().splitlines() if (folder / "taken").exists() else []
        assert {line.split()[1] for line in lines} <= {blob}, point
        taken[len(lines)] += 1
    assert set(taken) <= {0, 1}
    assert taken[1] >= points


async def child(folder: Path, point: str) -> tuple[int, str]:
    """The status of a run that ends at the point, and how many points there were."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.memory.giving_child", str(folder), point, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()
