"""The daemon under measurement: the real one, with an instant or slow model behind the `ChatModel` port, or a real provider's SDK.

`python -m benchmarks.daemon FOLDER [--quiet-ms N] [--model-s S] [--provider anthropic|openai --url URL]` prints its port and serves until it is ended. SIGUSR1 makes it write
its sampled loop lag and resident memory to FOLDER/vitals.json.
"""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from bot.app import App
from bot.config import find_settings, load
from bot.ports import ChatRequest, Chunk, Finished, TextDelta

CONFIG = """
[data]
path = "{data}"
[server]
port = {port}
[admin]
port = 0
[log]
level = "warning"
[limits]
messages_per_minute = 1000000
frames_per_minute = 1000000
connections_per_address = 20000
connections = 20000
burst_s = 3600
history_messages = {history}
[channels.web]
enabled = true
quiet_ms = {quiet_ms}
[agents.main]
knowledge = false
[knowledge]
paths = []
"""
REAL = """
[models.local]
provider = "{provider}"
model = "local"
base_url = "{url}"
stream = {stream}
limits = {{ calls_at_once = 10000 }}
[roles]
answer = ["local"]
"""
SAMPLE_S = 0.005


class TimedModel:
    """Echoes what it was asked in one piece, at once or after `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        self.name = "offline"
        self._wait_s = wait_s

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        if self._wait_s:
            await asyncio.sleep(self._wait_s)
        yield TextDelta("You said: " + request.messages[-1].text)
        yield Finished()


class Vitals:
    """How late a timer fires on this loop, sampled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lags_ms: list[float] = []

    async def sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self._lags_ms.append(max(0.0, (loop.time() - due) * 1000))

    def write(self) -> None:
        lags, self._lags_ms = sorted(self._lags_ms), []
        kept: dict[str, float] = {"rss_kb": resident_kb(os.getpid()), "samples": len(lags)}
        if lags:
            kept |= {
                "lag_p50_ms": lags[len(lags) // 2],
                "lag_p99_ms": lags[len(lags) * 99 // 100],
                "lag_max_ms": lags[-1],
            }
        partial = self._path.with_suffix(".part")
        partial.write_text(json.dumps(kept), encoding="utf-8")
        partial.rename(self._path)


def resident_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def configured(given: argparse.Namespace) -> str:
    text = CONFIG.format(data=given.folder / "data", quiet_ms=given.quiet_ms, port=given.port, history=given.history)
    if given.provider:
        url = f"{given.url}/v1" if given.provider == "openai" else given.url
        text += REAL.format(provider=given.provider, url=url, stream=str(not given.whole).lower())
    return text


async def serve(given: argparse.Namespace) -> None:
    config = given.folder / "config.toml"
    config.write_text(configured(given), encoding="utf-8")
    models = {} if given.provider else {"offline": TimedModel(given.model_s)}
    app = App(load(config, {}, adapters=find_settings), models=models)
    vitals = Vitals(given.folder / "vitals.json")
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, vitals.write)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run())
        await app.ready.wait()
        print(app.port, flush=True)
        sampling = tasks.create_task(vitals.sample()) if given.sample else None
        await running
        if sampling is not None:
            sampling.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quiet-ms", type=int, default=0)
    parser.add_argument("--model-s", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--provider", choices=("anthropic", "openai"))
    parser.add_argument("--url", default="")
    parser.add_argument("--whole", action="store_true", help="not streamed")
    parser.add_argument("--history", type=int, default=200, help="messages of a conversation that are kept in memory")
    parser.add_argument("--sample", action="store_true")
    asyncio.run(serve(parser.parse_args()))
