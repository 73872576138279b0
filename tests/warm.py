"""Daemons that are forked from a process which has imported already what all of them need: a start costs the machine a tenth.

A forked one runs the same program from its first line on (`python -m MODULE WORDS`), with files, environment and signals of its own.
`tests/e2e` starts it the way a person does.
"""

import multiprocessing
import os
import runpy
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path


class Forked:
    """One process. What it says on its standard output is read by lines; the rest goes to `log`."""

    def __init__(self, module: str, words: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        log.touch()
        self._said, mouth = multiprocessing.Pipe(duplex=False)
        self._rest = b""
        self._process: ForkServerProcess = _context().Process(
            target=_live, args=(module, list(words), str(log), dict(environ), mouth)
        )
        self._process.start()
        mouth.close()

    @property
    def returncode(self) -> int | None:
        """As `subprocess` has it: negative for a signal, None while it runs."""
        return self._process.exitcode

    def line(self, within_s: float) -> str:
        """The next line; "" when the process has ended, or is silent for so long."""
        deadline = time.monotonic() + within_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._said.fileno()], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self._said.fileno(), 65_536) if ready else b""
            if not more:
                return ""
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None and self.returncode is None:
            os.kill(self._process.pid, number)

    def wait(self, within_s: float | None = None) -> int | None:
        self._process.join(within_s)
        return self.returncode


def _context() -> ForkServerContext:
    """Its server starts with the first process, and ends with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warmed"])
    return context


def _live(module: str, words: list[str], log: str, environ: dict[str, str], mouth: Connection) -> None:
    kept = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(mouth.fileno(), 1)
    os.dup2(kept, 2)
    os.close(kept)
    mouth.close()
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
