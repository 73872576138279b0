"""Operators who watch: from a user's message, as it enters a socket, to the frame on every open console.

`python -m benchmarks.handoff FOLDER OPERATORS` is the daemon under measurement, with its operators signed in. It prints its public port;
FOLDER/consoles.json says where and with what the consoles connect, and SIGUSR2 makes the operators take every conversation there is.
"""

import argparse
import asyncio
import hashlib
import json
import re
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chats import Ledger
from benchmarks.daemon import CONFIG, TimedModel, resident_kb
from benchmarks.load import Result
from benchmarks.report import Report, folder
from benchmarks.servers import Server
from benchmarks.wire import Socket
from bot.app import App
from bot.config import find_settings, load
from bot.console.admission import COOKIE
from bot.handoff.commands import Command, Kind
from bot.model import ConversationId
from bot.operators.operator import Listed, Operator
from bot.ports import Cursor
from bot.store import sessions

OPERATORS, CASES, RATE = 200, 2_000, 50.0
WAITING_SHARE = 20  # one case in so many waits in the queue; the others are somebody's
OPEN_SHARE = 1.0  # of the operators have a conversation open beside the inbox
MOST_MS = 250.0
_ACK = re.compile(rb'\{"type":"ack","id":"b(\d+)"')
_LINE = re.compile(rb'"line":"bench-(\d+)"')
HANDSHAKE = (
    b"GET /console/ws HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nCookie: %s=%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Screen(Socket):
    """A console's socket."""

    def __init__(self, host: bytes, token: bytes, on_text: Callable[[Socket, bytes], None]) -> None:
        super().__init__(host, on_text)
        self._token = token

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(HANDSHAKE % (self._host, self._host, COOKIE.encode(), self._token))


class Watch:
    """When each message was sent, how long it took to its acknowledgement (after its commit, and the disk's own time), and to each
    console."""

    def __init__(self) -> None:
        self.sent_at: dict[int, float] = {}
        self.seen = Result()
        self.kept = Result()
        self.frames = 0
        self.bytes = 0
        self.last = 0  # the number of the last message

    def on_text(self, socket: Socket, payload: bytes) -> None:
        now = time.perf_counter()
        self.frames += 1
        self.bytes += len(payload)
        if not payload.startswith(b'{"type":"rows"'):
            return
        numbers = [int(number) for number in _LINE.findall(payload)]
        for number in numbers:  # a row that is told again, for something else, counts once
            if number > socket.count and number in self.sent_at:
                self.seen.latencies_ms.append((now - self.sent_at[number]) * 1000)
        socket.count = max([socket.count, *numbers])


class Users(Ledger):
    """The users' side."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(b"message")
        self._watch = watch

    def on_text(self, socket: Socket, payload: bytes) -> None:
        super().on_text(socket, payload)
        found = _ACK.match(payload)
        if found and int(found[1]) in self._watch.sent_at:
            took = time.perf_counter() - self._watch.sent_at[int(found[1])]
            self._watch.kept.latencies_ms.append(took * 1000)


async def watched(report: Report, seconds: float) -> None:
    """CASES open cases, OPERATORS consoles, RATE messages a second."""
    with folder() as place, Server(["benchmarks.handoff", str(place), str(OPERATORS)]) as server:
        watch = Watch()
        ledger = Users(watch)
        users = await ledger.open(server.port, CASES)
        await _begin(users, ledger)
        _signal(server, signal.SIGUSR2)
        seeded = await _written(place / "seeded.json")
        consoles = await _consoles(place, watch, seeded)
        await _send(users, watch, RATE, 2.0)
        watch.sent_at.clear()
        watch.seen.latencies_ms.clear()
        watch.kept.latencies_ms.clear()
        watch.frames = watch.bytes = 0
        before, started = server.cpu_s(), time.perf_counter()
        sent = await _send(users, watch, RATE, seconds)
        took = time.perf_counter() - started
        cpu, frames, size = (server.cpu_s() - before) / took, watch.frames / took, watch.bytes / took / 1e6
        await asyncio.sleep(1.0)
        _tell(report, watch, sent, cpu, frames, size, resident_kb(server.pid) / 1024, consoles)


def _signal(server: Server, number: int) -> None:
    assert server.process is not None
    server.process.send_signal(number)


async def _begin(users: list[Socket], ledger: Ledger) -> None:
    """Every user writes once and is answered by the agent."""
    for at in range(0, len(users), 100):
        for user in users[at : at + 100]:
            user.count += 1
            ledger.waiting[user] = time.perf_counter()
            user.send(b'{"type":"message","id":"m%d-0","text":"hello there"}' % user.number)
        while ledger.waiting:
            await asyncio.sleep(0.005)


async def _consoles(place: Path, watch: Watch, conversations: list[str]) -> list[Socket]:
    given = json.loads((place / "consoles.json").read_text(encoding="utf-8"))
    host, loop = b"127.0.0.1:%d" % given["port"], asyncio.get_running_loop()
    opened: list[Socket] = []
    for number, token in enumerate(given["tokens"]):

        def screen(token: str = token) -> Screen:
            return Screen(host, token.encode(), watch.on_text)

        _, console = await loop.create_connection(screen, "127.0.0.1", given["port"])
        await asyncio.wait_for(console.opened, 30)
        if number < len(given["tokens"]) * OPEN_SHARE:
            conversation = conversations[number * len(conversations) // len(given["tokens"])]
            console.send(json.dumps({"type": "open", "conversation": conversation}).encode())
        opened.append(console)
    return opened


async def _send(users: list[Socket], watch: Watch, rate: float, seconds: float) -> int:
    """Each message from another user than the one before, at a steady pace."""
    started, total = time.perf_counter(), int(rate * seconds)
    for number in range(total):
        delay = started + number / rate - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        watch.last = mark = watch.last + 1
        watch.sent_at[mark] = time.perf_counter()
        user = users[(mark * 7) % len(users)]
        user.send(b'{"type":"message","id":"b%d","text":"bench-%d"}' % (mark, mark))
    return total


def _tell(
    report: Report,
    watch: Watch,
    sent: int,
    cpu: float,
    frames: float,
    size: float,
    resident_mb: float,
    consoles: list[Socket],
) -> None:
    kept = sorted(watch.seen.latencies_ms)
    what = f"{len(consoles)} consoles, {CASES} cases, {RATE:.0f} messages/s"
    expected = sent * len(consoles)
    report.add(f"{what}: message to every console, p50", watch.seen.percentile(0.5), "ms")
    p99 = watch.seen.percentile(0.99)
    report.add("  p99", p99, "ms", f"under {MOST_MS:.0f}", is_met=p99 < MOST_MS)
    report.add("  to its own acknowledgement, after the commit, p50", watch.kept.percentile(0.5), "ms")
    report.add("  p99", watch.kept.percentile(0.99), "ms")
    report.add("  slowest", kept[-1] if kept else float("nan"), "ms")
    lost = sum(console.is_lost for console in consoles)
    report.add("  seen", len(kept), "", f"of {expected}", is_met=len(kept) == expected and not lost)
    report.add("  the daemon's core", cpu * 100, "%")
    report.add("  frames to consoles", frames, "1/s")
    report.add("  megabytes to consoles", size, "1/s")
    report.add("  resident", resident_mb, "MB")


async def _written(path: Path) -> list[str]:
    while (found := _read(path)) is None:
        await asyncio.sleep(0.02)
    return found


def _read(path: Path) -> list[str] | None:
    found: list[str] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found


# --- the daemon ------------------------------------------------------------------------------------------------------


async def serve(place: Path, operators: int) -> None:
    text = CONFIG.format(data=place / "data", quiet_ms=0, port=0, history=200)
    (place / "config.toml").write_text(text, encoding="utf-8")
    app = App(load(place / "config.toml", {}, adapters=find_settings), models={"offline": TimedModel(0.0)})
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, wanted.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run())
        await app.ready.wait()
        people = [
            await app.staff.operators.add(Listed(f"op{number}", "agent"), by="local:bench")
            for number in range(operators)
        ]
        tokens = [await _session(app, each) for each in people]
        given = {"port": app.listeners.private_port, "tokens": tokens}
        (place / "consoles.json").write_text(json.dumps(given), encoding="utf-8")
        print(app.port, flush=True)
        await wanted.wait()
        await _seed(app, people, place)


async def _session(app: App, operator: Operator) -> str:
    """An open session, without the second that proving a password takes."""
    token, now = secrets.token_urlsafe(32), app.clock.now_ms()
    hash_ = hashlib.sha256(token.encode()).hexdigest()

    def unit(cursor: Cursor) -> bool:
        return sessions.enter(cursor, sessions.Credentials(operator.id), 1, hash_, "csrf", now)

    assert await app.store.run(unit)
    return token


async def _seed(app: App, people: list[Operator], place: Path) -> None:
    """Every conversation is somebody's, but for those that wait."""
    rows = await app.store.read("SELECT id FROM conversations WHERE kind = '' ORDER BY id")
    conversations = [ConversationId(row[0]) for row in rows]
    for number, each in enumerate(conversations):
        operator = people[number * len(people) // len(conversations)]
        await app.staff.desk.act(operator, each, Command(Kind.TAKE), key=f"take-{number}")
        if number % WAITING_SHARE == 0:
            await app.staff.desk.act(operator, each, Command(Kind.RELEASE), key=f"release-{number}")
    partial = place / "seeded.part"
    partial.write_text(json.dumps(conversations), encoding="utf-8")
    partial.rename(place / "seeded.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("operators", type=int)
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.operators))
