"""Starts and ends: the shipped daemon's start and size, and `kill -9` with turns in flight."""

import asyncio
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.daemon import resident_kb
from benchmarks.load import open_sockets
from benchmarks.servers import SERVER_CORE, Server
from benchmarks.wire import Socket

ROOT = Path(__file__).parent.parent
MODEL_S = 1.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def compiled() -> dict[str, str]:
    """The environment in which a start finds its modules compiled, as pip leaves them, wherever this runs and whatever it may write."""
    place = tempfile.mkdtemp(prefix="frontdesk-compiled-")
    atexit.register(shutil.rmtree, place)
    environ = {"PYTHONPYCACHEPREFIX": place, "PYTHONDONTWRITEBYTECODE": ""}
    needed = "import bot.app, bot.commands.serve, bot.console.console, adapters.web.adapter"
    subprocess.run([sys.executable, "-c", needed], cwd=ROOT, env=os.environ | environ, check=True)
    return environ


async def serve_default(place: Path) -> tuple[float, int]:
    """Seconds to ready and resident KB (after the documents are indexed) of `frontdesk serve` with the shipped config."""
    port = free_port()
    environ = (
        os.environ
        | compiled()
        | {
            "FRONTDESK_DATA_PATH": str(place / "data"),
            "FRONTDESK_KNOWLEDGE_FUSION": "0",  # as it is installed without extras
            "FRONTDESK_SERVER_PORT": str(port),
            "FRONTDESK_ADMIN_PORT": str(free_port()),
        }
    )
    command = [
        "taskset",
        "-c",
        str(SERVER_CORE),
        sys.executable,
        "-m",
        "bot",
        "serve",
        "--config",
        str(ROOT / "config.toml"),
    ]
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    await process.stdout.readline()
    ready_s = time.perf_counter() - started
    await _ask_once(port)  # answered from the documents: they are indexed then
    kilobytes = resident_kb(process.pid)
    process.send_signal(signal.SIGTERM)
    await process.wait()
    return ready_s, kilobytes


async def _ask_once(port: int) -> None:
    answered = asyncio.Event()

    def on_text(opened: Socket, payload: bytes) -> None:
        if payload.startswith(b"welcome", 9):
            opened.send(b'{"type":"message","id":"a","text":"How do I put the widget on my website?"}')
        elif payload.startswith(b"message", 9):
            answered.set()

    [opened] = await open_sockets(port, 1, on_text, says_hello=True)
    await asyncio.wait_for(answered.wait(), 30)
    assert opened.transport is not None
    opened.transport.abort()


@dataclass
class Killed:
    """What the second life of the daemon made of the first one's turns."""

    kept: int = 0
    answered_once: int = 0
    seconds: float = 0.0


async def kill_in_flight(place: Path, count: int) -> Killed:
    """Acknowledged messages whose model calls are under way when the process dies."""
    tokens: dict[int, str] = {}
    acked: set[int] = set()

    def before(opened: Socket, payload: bytes) -> None:
        if payload.startswith(b"welcome", 9):
            tokens[opened.number] = json.loads(payload)["token"]
            opened.send(b'{"type":"message","id":"m","text":"question %d"}' % opened.number)
        elif payload.startswith(b"ack", 9):
            acked.add(opened.number)

    with Server(["benchmarks.daemon", str(place), "--model-s", str(MODEL_S)]) as server:
        await open_sockets(server.port, count, before, says_hello=True)
        while len(acked) < count:
            await asyncio.sleep(0.005)
        await asyncio.sleep(MODEL_S / 3)
        server.kill()
    seen: dict[int, list[dict[str, object]]] = {number: [] for number in range(count)}
    answered_at = 0.0

    def after(opened: Socket, payload: bytes) -> None:
        nonlocal answered_at
        frame = json.loads(payload)
        entries = frame["history"] if frame["type"] == "welcome" else [frame] if frame["type"] == "message" else []
        seen[opened.number] += entries
        if any(entry["author"] == "agent" for entry in entries):
            answered_at = time.perf_counter()

    with Server(["benchmarks.daemon", str(place), "--model-s", str(MODEL_S)]) as server:
        ready = time.perf_counter()
        sockets = await open_sockets(server.port, count, after, says_hello=False)
        for opened in sockets:
            opened.send(json.dumps({"type": "hello", "version": 1, "token": tokens[opened.number]}).encode())
        deadline = ready + 10
        while time.perf_counter() < deadline and not all(map(_is_answered, seen.values())):
            await asyncio.sleep(0.01)
        await asyncio.sleep(MODEL_S)  # would a second answer come?
    killed = Killed(seconds=answered_at - ready)
    for number, entries in seen.items():
        texts = {entry["id"]: entry["text"] for entry in entries}
        killed.kept += f"question {number}" in texts.values()
        answers = [text for text in texts.values() if text == f"You said: question {number}"]
        killed.answered_once += len(answers) == 1 and len(texts) == 2
    return killed


def _is_answered(entries: list[dict[str, object]]) -> bool:
    return any(entry["author"] == "agent" for entry in entries)
