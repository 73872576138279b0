"""Notices when the event loop stands still, says so, and keeps systemd informed.

The loop ticks; a thread watches the ticks. When none came for `stall_s`, the thread logs what every thread was doing, once
a stall. systemd is told that we are alive only from the loop's tick, so a loop that never returns is killed and restarted.
Real time throughout: a stall is a fact about the machine, and a clock that tests move would hide it.
"""

import asyncio
import faulthandler
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

_log = logging.getLogger(__name__)


class Watchdog:
    """`on_lag` gets how late each tick was (seconds), `on_stall` is called once a stall, both on the loop."""

    def __init__(
        self,
        systemd: "Systemd",
        *,
        on_lag: Callable[[float], None] = lambda _: None,
        on_stall: Callable[[], None] = lambda: None,
        tick_s: float = 0.25,
        stall_s: float = 2.0,
    ) -> None:
        self._systemd = systemd
        self._on_lag = on_lag
        self._on_stall = on_stall
        self._tick_s = min(tick_s, systemd.watchdog_s / 2 or tick_s)
        self._stall_s = stall_s
        self._ticked = time.monotonic()
        self._dumped_at = 0.0  # the tick after which stacks were logged
        self._is_over = threading.Event()

    async def run(self) -> None:
        """Ticks until cancelled."""
        self._ticked = time.monotonic()
        if not faulthandler.is_enabled():
            faulthandler.enable()  # systemd ends a loop that never returns with SIGABRT: then, too, stacks are printed
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            await self._tick_forever()
        finally:
            self._is_over.set()
            thread.join()  # it only ever waits for this event, or is writing to memory

    async def _tick_forever(self) -> None:
        told = 0.0
        while True:
            await asyncio.sleep(self._tick_s)
            now = time.monotonic()
            late_s = max(0.0, now - self._ticked - self._tick_s)
            if self._dumped_at == self._ticked:
                _log.warning("the event loop runs again", extra={"stalled_s": round(now - self._ticked, 3)})
                self._on_stall()
            self._ticked = now
            self._on_lag(late_s)
            if self._systemd.watchdog_s and now - told >= self._systemd.watchdog_s / 2 - self._tick_s:
                self._systemd.alive()
                told = now

    def _watch(self) -> None:
        """The thread. A call that holds the interpreter's lock delays it; the lock then comes here before the loop gets
        far, so nothing that gives the lock up stands between noticing and dumping."""
        with _memory_file() as file:
            while not self._is_over.wait(self._stall_s / 4):
                ticked = self._ticked
                if ticked != self._dumped_at and time.monotonic() - ticked >= self._stall_s:
                    faulthandler.dump_traceback(file, all_threads=True)  # files, lines and functions; no values
                    self._dumped_at = ticked
                    _log.error("the event loop stands still", extra={"stacks": _take(file)})


def _memory_file() -> BinaryIO:
    """faulthandler writes to a descriptor; a disk may be full and a pipe may block."""
    return os.fdopen(os.memfd_create("stacks"), "w+b")


def _take(file: BinaryIO) -> str:
    """What was written, the oldest thread first, which is the loop's: it must not be lost where a log cuts."""
    file.seek(0)
    text = file.read().decode(errors="replace")
    file.seek(0)
    file.truncate()
    return "\n\n".join(reversed(text.strip().split("\n\n")))


class Systemd:
    """Tells systemd how we are (sd_notify(3)). Without `NOTIFY_SOCKET` every method does nothing. Never blocks or raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6 if is_for_us else 0.0

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Must be followed by `ready`."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "Stopping") -> None:
        self._send("STOPPING=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line, shown by `systemctl status`."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address  # an abstract socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warning("systemd was not told: %s", error)
