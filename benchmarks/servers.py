"""Starts a server on a core of its own and ends it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SERVER_CORE, LOAD_CORE = 0, 1


def pin_load() -> None:
    """The load on the other core, where there are two."""
    if os.cpu_count() and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {LOAD_CORE})


@dataclass
class Server:
    """A server process that prints its port when it is ready."""

    command: list[str]
    core: int = SERVER_CORE
    port: int = 0
    ready_s: float = 0.0
    process: "subprocess.Popen[str] | None" = None

    def __enter__(self) -> "Server":
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.core), sys.executable, "-m", *self.command],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        while not (line := self.process.stdout.readline().strip()).isdigit():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.command} ended with {self.process.returncode}")
        self.ready_s = time.perf_counter() - started
        self.port = int(line)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def cpu_s(self) -> float:
        """CPU time the server has used, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
