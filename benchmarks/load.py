"""The loads: closed loops (as fast as the server answers) and open ones (at a given rate, whatever it does)."""

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.wire import Socket, connect

HELLO = b'{"type":"hello","version":1}'


@dataclass
class Result:
    """What a load saw."""

    done: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        kept = sorted(self.latencies_ms)
        return kept[min(len(kept) - 1, int(len(kept) * share))] if kept else float("nan")


def ask(socket: Socket, before: bytes = b"") -> None:
    """Asks the next question, in one write with the frame that comes before it."""
    socket.count += 1
    socket.sent_at = time.perf_counter()
    socket.send(
        b'{"type":"message","id":"m%d-%d","text":"hello there, number %d"}'
        % (socket.number, socket.count, socket.count),
        before,
    )


def received(payload: bytes) -> bytes:
    return b'{"type":"received","seq":%s}' % seq_of(payload)


def seq_of(payload: bytes) -> bytes:
    at = payload.index(b'"seq":') + 6
    end = at
    while payload[end : end + 1].isdigit():
        end += 1
    return payload[at:end]


async def open_sockets(port: int, count: int, on_text: object, *, says_hello: bool, at_once: int = 100) -> list[Socket]:
    sockets: list[Socket] = []
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            socket = await connect(port, on_text)  # type: ignore[arg-type]  # one of the functions below
            socket.number = number
            sockets.append(socket)
            if says_hello:
                socket.send(HELLO)

    await asyncio.gather(*(one(number) for number in range(count)))
    return sockets


async def closed_loop(port: int, sockets: int, seconds: float, *, until: bytes, says_hello: bool) -> Result:
    """Each socket asks again as soon as a frame of type `until` answers it."""
    result = Result()
    is_over = False
    welcomed = 0

    def on_text(socket: Socket, payload: bytes) -> None:
        nonlocal welcomed
        if payload.startswith(until, 9):
            result.done += 1
            result.latencies_ms.append((time.perf_counter() - socket.sent_at) * 1000)
            if not is_over:
                ask(socket, received(payload) if says_hello and until == b"message" else b"")
        elif payload.startswith(b"welcome", 9):
            welcomed += 1
        elif payload.startswith(b"error", 9):
            raise RuntimeError(payload)

    opened = await open_sockets(port, sockets, on_text, says_hello=says_hello)
    while says_hello and welcomed < sockets:
        await asyncio.sleep(0.01)
    for socket in opened:
        ask(socket)
    await asyncio.sleep(1.0)  # warm
    result.done, result.latencies_ms = 0, []
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    result.seconds = time.perf_counter() - started
    is_over = True
    result = Result(result.done, result.seconds, list(result.latencies_ms))
    for socket in opened:
        assert socket.transport is not None
        socket.transport.abort()
    return result


async def open_loop(
    sockets: list[Socket], waiting: dict[Socket, float], result: Result, rate: float, seconds: float
) -> None:
    """Asks at `rate` a second, spread over the sockets; `result` is filled by their `on_text`."""
    started = time.perf_counter()
    total = int(rate * seconds)
    for number in range(total):
        due = started + number / rate
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        socket = sockets[number % len(sockets)]
        if socket in waiting:
            continue
        ask(socket)
        waiting[socket] = socket.sent_at
    deadline = time.perf_counter() + 10
    while waiting and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    result.seconds = time.perf_counter() - started
