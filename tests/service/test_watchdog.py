"""A loop that stands still is noticed, named and, if it never returns, killed."""

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bot.watchdog import Systemd, Watchdog

STALL_S = 0.1


class Listener:
    """Stands for systemd: receives what it is told."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def told(self) -> list[str]:
        lines: list[str] = []
        with suppress(BlockingIOError):
            while True:
                lines += self.socket.recv(4096).decode().split("\n")
        return lines


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@frontdesk-test-{os.getpid()}"


@pytest.fixture
def listener(address: str) -> Iterator[Listener]:
    listener = Listener(address)
    yield listener
    listener.socket.close()


def block(seconds: float) -> None:
    """Blocks the loop for real, as a slow library would."""
    time.sleep(seconds)


class Ticks:
    """How late each tick was, as it comes."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self._next = asyncio.Event()

    def seen(self, late_s: float) -> None:
        self.late_s.append(late_s)
        self._next.set()

    async def next(self) -> None:
        self._next.clear()
        async with asyncio.timeout(5):
            await self._next.wait()


async def start(watchdog: Watchdog, ticks: Ticks) -> "asyncio.Task[None]":
    """Runs the watchdog until its second tick, so that it certainly watches."""
    task = asyncio.ensure_future(watchdog.run())
    await ticks.next()
    await ticks.next()
    return task


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_f20_a_blocked_loop_is_reported_once_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    """While the loop stands still, the log names the function that blocks it, once; afterwards it says for how long."""
    ticks = Ticks()
    stalls: list[None] = []
    watchdog = Watchdog(
        Systemd({}), on_lag=ticks.seen, on_stall=lambda: stalls.append(None), tick_s=0.01, stall_s=STALL_S
    )
    task = await start(watchdog, ticks)
    with caplog.at_level(logging.WARNING):
        block(STALL_S * 4)
    assert [record.message for record in caplog.records] == ["the event loop stands still"]
    stacks = vars(caplog.records[0])["stacks"]
    loops, *others = stacks.split("\n\n")
    assert re.search(r'test_watchdog.py", line \d+ in block$', loops, re.MULTILINE)
    assert any("in _watch" in thread for thread in others)

    with caplog.at_level(logging.WARNING):
        await ticks.next()
    assert stalls == [None]
    assert max(ticks.late_s) > STALL_S * 3
    assert caplog.records[-1].message == "the event loop runs again"
    assert vars(caplog.records[-1])["stalled_s"] > STALL_S * 3

    with caplog.at_level(logging.WARNING):
        block(STALL_S * 4)
    assert [record.message for record in caplog.records].count("the event loop stands still") == 2
    await stop(task)


async def test_a_loop_that_runs_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Ticks that come in time say nothing and measure a small lag."""
    ticks = Ticks()
    with caplog.at_level(logging.WARNING):
        task = await start(Watchdog(Systemd({}), on_lag=ticks.seen, tick_s=0.01), ticks)
        await stop(task)
    assert caplog.records == []
    assert min(ticks.late_s) >= 0


async def test_a_call_that_never_yields_the_lock_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    """A call in C that holds the interpreter's lock is still found in the stack when it lets go."""
    ticks = Ticks()
    task = await start(Watchdog(Systemd({}), on_lag=ticks.seen, tick_s=0.01, stall_s=STALL_S), ticks)

    def backtrack() -> None:
        until = time.monotonic() + STALL_S * 3
        length = 18
        while time.monotonic() < until:
            re.match(r"(a|a)*b", "a" * length)
            length += 1

    with caplog.at_level(logging.WARNING):
        backtrack()
    await stop(task)
    assert "in backtrack" in vars(caplog.records[0])["stacks"]


async def test_systemd_hears_of_life_only_while_the_loop_ticks(listener: Listener, address: str) -> None:
    """`WATCHDOG=1` comes at least twice in WatchdogSec while the loop ticks, and not while it stands still."""
    ticks = Ticks()
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})
    task = await start(Watchdog(systemd, on_lag=ticks.seen, tick_s=0.01), ticks)
    assert "WATCHDOG=1" in listener.told()
    block(0.2)
    assert listener.told() == []
    async with asyncio.timeout(5):
        heard = await asyncio.get_running_loop().sock_recv(listener.socket, 4096)
    assert heard == b"WATCHDOG=1"
    await stop(task)


async def test_the_tick_is_short_enough_for_systemd(listener: Listener, address: str) -> None:
    """A short WatchdogSec shortens the tick."""
    ticks = Ticks()
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "40000"})
    task = await start(Watchdog(systemd, on_lag=ticks.seen, tick_s=60.0), ticks)
    assert listener.told().count("WATCHDOG=1") >= 2
    await stop(task)


def test_each_state_is_told(listener: Listener, address: str) -> None:
    """Ready, reloading, stopping and the status line reach systemd in its own words."""
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready("Serving on http://127.0.0.1:8080")
    assert listener.told() == ["READY=1", "STATUS=Serving on http://127.0.0.1:8080"]
    systemd.reloading()
    first, second = listener.told()
    assert first == "RELOADING=1"
    assert abs(int(second.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.monotonic()) < 5
    systemd.stopping()
    assert listener.told()[0] == "STOPPING=1"
    systemd.status("3 channels up")
    assert listener.told() == ["STATUS=3 channels up"]


def test_without_systemd_nothing_is_told() -> None:
    """Started by hand, there is nobody to tell and nothing fails."""
    systemd = Systemd({})
    systemd.ready("x")
    assert systemd.watchdog_s == 0


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    """A child that inherits the environment does not answer for its parent."""
    assert Systemd({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_s == 0
    assert Systemd({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 1


def test_a_missing_socket_hurts_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When systemd cannot be told, that is logged and the program goes on."""
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")
    assert "systemd was not told" in caplog.text
