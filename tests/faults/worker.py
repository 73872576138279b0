"""Works on a store under `iofault.c`: for each line of JSON, one run in a process of its own that says what was acknowledged.

A run's lines are "ack NAME" and "failed NAME" for units, "refused TEXT" when the store did not open, and last "end CODE CALLS".
"""

import asyncio
import ctypes
import json
import os
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

from bot.errors import DataError, StoreUnavailable
from bot.store import sqlite
from bot.store.sqlite import SqliteStore
from tests.store.database import note_twice

SHIM = ctypes.CDLL(None)
TRIES = 3


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


class Run:
    """`synchronous` and `is_early` plant bugs that the tests have to notice."""

    def __init__(
        self,
        data: str,
        units: int,
        fail_at: int = 0,
        is_lasting: bool = False,
        log: str = "",
        synchronous: str = "FULL",
        is_early: bool = False,
    ) -> None:
        self.data, self.units, self.is_early, self.is_logged = Path(data), units, is_early, bool(log)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else -1
        configure = sqlite._configure

        def configured(connection: sqlite3.Connection) -> None:
            configure(connection)
            connection.execute(f"PRAGMA synchronous = {synchronous}")

        sqlite._configure = configured
        SHIM.iofault_arm(data.encode(), ctypes.c_long(fail_at), int(is_lasting), file)

    async def go(self) -> None:
        try:
            store = await SqliteStore.open(self.data)
        except DataError as error:
            say(f"refused {error}")
            return
        for first in range(0, self.units, 3):
            await asyncio.gather(*(self.unit(store, number) for number in range(first, min(first + 3, self.units))))
        if not self.is_logged:  # a power cut, or a kill, finds it open
            await store.close()

    async def unit(self, store: SqliteStore, number: int) -> None:
        name = f"unit {number:03}"
        for _ in range(TRIES):
            if self.is_early:
                self.acknowledge(name)
            try:
                await store.run(note_twice, name, 100 + number * 37 % 3000)
            except StoreUnavailable:
                say(f"failed {name}")
                continue
            self.acknowledge(name)
            return

    def acknowledge(self, name: str) -> None:
        SHIM.iofault_note(name.encode())
        say(f"ack {name}")


def run_apart(options: dict[str, Any]) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    code = 1
    try:
        asyncio.run(Run(**options).go())
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    say(f"end {code} {SHIM.iofault_calls()}")
    os._exit(code)


def main() -> None:
    SHIM.iofault_calls.restype = ctypes.c_long
    sqlite.CHECKPOINT_PAGES = 12  # so that checkpoints, too, are among the calls that fail
    for line in sys.stdin:
        run_apart(json.loads(line))


if __name__ == "__main__":
    main()
