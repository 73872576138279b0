"""`frontdesk serve` as a process on a data folder of its own."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

RELOADED = "config read again"
PORTS = (20_000, 32_000)
ROOT = Path(__file__).parent.parent.parent
CONFIG = """
[data]
path = "{data}"
[server]
port = {port}
[admin]
port = {admin}
[knowledge]
paths = ["{docs}"]
[channels.web]
enabled = true
origins = {origins}
{web}
{more}
"""


def free_port() -> int:
    """Below those that the kernel gives to connections, so that none of them takes it before the daemon does."""
    while True:
        port = random.SystemRandom().randint(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Daemon:
    """One data folder, served by one process at a time."""

    def __init__(self, folder: Path, *, origins: tuple[str, ...] = (), web: str = "", more: str = "") -> None:
        self.folder = folder
        self.port, self.admin = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "config.toml"
        listed = "[" + ", ".join(f'"{origin}"' for origin in origins) + "]"
        text = CONFIG.format(
            data=folder / "data",
            port=self.port,
            admin=self.admin,
            docs=ROOT / "docs",
            origins=listed,
            web=web,
            more=more,
        )
        self.config.write_text(text, encoding="utf-8")
        self.process: subprocess.Popen[str] | None = None

    def start(self, **environ: str) -> None:
        """Returns once the daemon has printed that it is ready."""
        self.log = (self.folder / "log").open("a", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve", "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env=os.environ | environ,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "is ready" in line, (self.folder / "log").read_text(encoding="utf-8")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def reload(self) -> None:
        """SIGHUP; returns once the config has been read again."""
        assert self.process is not None
        path, before = self.folder / "log", (self.folder / "log").read_text(encoding="utf-8").count(RELOADED)
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while path.read_text(encoding="utf-8").count(RELOADED) == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return status

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One `frontdesk` command against this daemon."""
        return subprocess.run(
            [sys.executable, "-m", "bot", *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=200,
            check=False,
        )

    def get(self, path: str, *, private: bool = False) -> str:
        base = f"http://127.0.0.1:{self.admin}" if private else self.url
        with urllib.request.urlopen(base + path, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


class Chat:
    """A visitor on the socket, without a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.token = ""
        self.seen: list[dict[str, Any]] = []
        self.patience_s = 20.0

    async def hello(self, **fields: object) -> dict[str, Any]:
        await self.socket.send_json({"type": "hello", "version": 1, **fields})
        frame = await self.until("welcome")
        self.token = frame["token"]
        return frame

    async def say(self, text: str, id_: str) -> dict[str, Any]:
        """Sends and waits for the answer."""
        await self.socket.send_json({"type": "message", "id": id_, "text": text})
        return await self.until("message")

    async def until(self, kind: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            frame: dict[str, Any] = await self.socket.receive_json(timeout=self.patience_s)
            self.seen.append(frame)
            if frame["type"] == kind:
                return frame
        raise TimeoutError(kind)
