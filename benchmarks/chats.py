"""Open loops: many chats at a steady rate, a burst, and the first delta of an idle daemon."""

import asyncio
import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.daemon import resident_kb
from benchmarks.load import Result, ask, open_loop, open_sockets, seq_of
from benchmarks.servers import Server
from benchmarks.wire import Socket


@dataclass
class Seen:
    """What many chats showed."""

    idle_kb: float = 0.0
    resident_mb: float = 0.0
    lag_p99_ms: float = 0.0
    asked: int = 0
    turns: Result = field(default_factory=Result)


class Ledger:
    """What each socket waits for, and how long it took."""

    def __init__(self, until: bytes) -> None:
        self.until = until
        self.result = Result()
        self.waiting: dict[Socket, float] = {}
        self.welcomed = 0

    def on_text(self, socket: Socket, payload: bytes) -> None:
        if payload.startswith(b"message", 9) and b'"seq":' in payload:  # a floor's have none
            socket.send(b'{"type":"received","seq":%s}' % seq_of(payload))
        if payload.startswith(self.until, 9):
            asked_at = self.waiting.pop(socket, None)
            if asked_at is not None:
                self.result.done += 1
                self.result.latencies_ms.append((time.perf_counter() - asked_at) * 1000)
        elif payload.startswith(b"welcome", 9):
            self.welcomed += 1
        elif payload.startswith(b"error", 9):
            raise RuntimeError(payload)

    async def open(self, port: int, count: int, *, says_hello: bool = True) -> list[Socket]:
        sockets = await open_sockets(port, count, self.on_text, says_hello=says_hello)
        while says_hello and self.welcomed < count:
            await asyncio.sleep(0.01)
        return sockets


async def vitals(server: Server, place: Path) -> dict[str, float]:
    """The daemon's own samples since the last time."""
    path = place / "vitals.json"
    path.unlink(missing_ok=True)
    assert server.process is not None
    server.process.send_signal(signal.SIGUSR1)
    while not path.exists():
        await asyncio.sleep(0.01)
    kept: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return kept


async def idle_kb(server: Server, count: int, *, says_hello: bool) -> float:
    ledger = Ledger(b"message")
    before = resident_kb(server.pid)
    sockets = await ledger.open(server.port, count, says_hello=says_hello)
    await asyncio.sleep(1.0)
    grown = (resident_kb(server.pid) - before) / count
    close(sockets)
    return grown


async def many(server: Server, place: Path, count: int, rate: float, seconds: float) -> Seen:
    ledger, seen = Ledger(b"message"), Seen()
    before = resident_kb(server.pid)
    sockets = await ledger.open(server.port, count)
    await asyncio.sleep(1.0)
    seen.idle_kb = (resident_kb(server.pid) - before) / count
    await vitals(server, place)
    seen.asked = int(rate * seconds)
    await open_loop(sockets, ledger.waiting, ledger.result, rate, seconds)
    seen.turns = ledger.result
    kept = await vitals(server, place)
    seen.lag_p99_ms, seen.resident_mb = kept.get("lag_p99_ms", 0.0), kept["rss_kb"] / 1024
    close(sockets)
    return seen


async def burst(port: int, count: int, rate: float, seconds: float) -> Result:
    ledger = Ledger(b"ack")
    sockets = await ledger.open(port, count)
    await open_loop(sockets, ledger.waiting, ledger.result, rate, seconds)
    close(sockets)
    return ledger.result


async def first_delta(port: int, times: int) -> Result:
    ledger = Ledger(b"delta")
    [socket] = await ledger.open(port, 1)
    for _ in range(times):
        ask(socket)
        ledger.waiting[socket] = socket.sent_at
        await until_empty(ledger)
        await asyncio.sleep(0.01)
    close([socket])
    return ledger.result


async def until_empty(ledger: Ledger) -> None:
    while ledger.waiting:
        await asyncio.sleep(0)


def close(sockets: list[Socket]) -> None:
    for socket in sockets:
        if socket.transport is not None:
            socket.transport.abort()
