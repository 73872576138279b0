"""A process that dies before its n-th step: nothing is flushed, closed or cleaned up, as after `kill -9`."""

import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from typing import Any

_DIED = 42
_STEPS = ("os.", "shutil.", "sqlite3.", "open", "fcntl.")


def dies(work: Callable[[], object], at: int) -> bool:
    """Runs `work` in a process of its own and kills it before step `at`, counting from 1: a statement of SQL, or a call that may touch
    the disk. False when it had fewer steps and came to its end."""
    child = os.fork()
    if child == 0:
        _run(work, at)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _DIED), "the work failed by itself"
    return code == _DIED


def _run(work: Callable[[], object], at: int) -> None:
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            os._exit(_DIED)

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:  # as sqlite3.connect takes them
        connection: sqlite3.Connection = real(*args, **options)
        connection.set_trace_callback(step)
        return connection

    real, sqlite3.connect = sqlite3.connect, connect  # type: ignore[assignment]  # the same for what is called here
    sys.addaudithook(lambda event, args: step() if event.startswith(_STEPS) else None)
    try:
        work()
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
