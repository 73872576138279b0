"""The floor: a bare aiohttp web-socket server that for each message makes two group-committed SQLite inserts and replies.

`python -m benchmarks.floor FOLDER [--model raw|anthropic|openai --url URL [--whole]]` prints its port and serves until it is ended. `synchronous=FULL`, WAL, one writing thread that
takes all waiting inserts into one transaction: what any durable chat server has to do, and nothing else. The message's insert is
committed before the reply's begins, as a reply that is stored before its question would promise nothing. With a model, the reply is what the
model says: through the provider's SDK in the cheapest way we know (floor-sdk), or through aiohttp alone (floor-raw); streamed, each piece
goes to the page as it comes.
"""

import argparse
import asyncio
import json
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

SCHEMA = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation INTEGER, text TEXT)"
INSERT = "INSERT INTO messages (conversation, text) VALUES (?, ?)"


class Writer:
    """Group commit in twenty lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[int, str, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    async def insert(self, conversation: int, text: str) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((conversation, text, done))
        await done

    def _serve(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(SCHEMA)
        while True:
            group = [self._queue.get()]
            while not self._queue.empty() and len(group) < 256:
                group.append(self._queue.get())
            connection.execute("BEGIN IMMEDIATE")
            for conversation, text, _ in group:
                connection.execute(INSERT, (conversation, text))
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_resolve, [done for _, _, done in group])


def _resolve(group: "list[asyncio.Future[None]]") -> None:
    for done in group:
        if not done.done():
            done.set_result(None)


class RawModel:
    """The call with nothing but aiohttp, in OpenAI's form."""

    def __init__(self, url: str, *, is_streaming: bool) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._is_streaming = is_streaming
        self._session: aiohttp.ClientSession | None = None

    async def say(self, text: str) -> AsyncIterator[str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = {"model": "local", "messages": [{"role": "user", "content": text}], "stream": self._is_streaming}
        sent = json.dumps(body, separators=(",", ":")).encode()
        async with self._session.post(self._url, data=sent, headers={"Content-Type": "application/json"}) as response:
            if not self._is_streaming:
                yield json.loads(await response.read())["choices"][0]["message"]["content"]
                return
            async for data in events(response.content.iter_any()):
                for choice in data.get("choices", ()):
                    if word := choice["delta"].get("content"):
                        yield word


class SdkModel:
    """The call through an SDK: our connections, the SDK's request, its raw response."""

    def __init__(self, provider: str, url: str, *, is_streaming: bool) -> None:
        from bot.llm.clients import Clients
        from bot.net.perimeter import Perimeter

        self._clients = Clients(Perimeter(None))
        self._provider = provider
        self._url = url
        self._is_streaming = is_streaming
        self._sdk: Any = None  # one of two SDKs
        self._place = ""

    async def say(self, text: str) -> AsyncIterator[str]:
        response = await self._ask(text)
        if not self._is_streaming:
            whole = json.loads(await response.aread())
            yield whole["content"][0]["text"] if "content" in whole else whole["choices"][0]["message"]["content"]
            return
        async for data in events(response.aiter_bytes()):
            for choice in data.get("choices", ()):
                if word := choice["delta"].get("content"):
                    yield word
            if data.get("type") == "content_block_delta":
                yield data["delta"]["text"]
        await response.aclose()

    async def _ask(self, text: str) -> Any:  # an httpx2 response
        import httpx2

        from bot.llm.transport import place

        is_anthropic = self._provider == "anthropic"
        if self._sdk is None:
            sdk = self._clients.anthropic if is_anthropic else self._clients.openai
            self._sdk = await sdk(self._url if is_anthropic else f"{self._url}/v1", "key")
            self._place = place(self._sdk, "v1/messages" if is_anthropic else "chat/completions")
        body = {
            "model": "local",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": text}],
            "stream": self._is_streaming,
        }
        sent = json.dumps(body, separators=(",", ":")).encode()
        return await self._sdk.post(self._place, cast_to=httpx2.Response, content=sent, stream=True, stream_cls=None)


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:  # JSON
    """The events of a stream, in ten lines."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n\n")
        for event in whole:
            data = event[event.index(b"data:") + 5 :].strip()
            if data != b"[DONE]":
                yield json.loads(data)


async def serve(folder: Path, model: RawModel | SdkModel | None) -> None:
    writer = Writer(folder / "floor.db")

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            await writer.insert(1, asked["text"])
            answer = "You said: " + asked["text"] if model is None else await told(socket, model, asked)
            await writer.insert(1, answer)
            await say(socket, "message", asked["id"], answer)
        return socket

    app = web.Application()
    app.router.add_get("/ws", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    assert site._server is not None
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().create_future()


async def told(socket: web.WebSocketResponse, model: RawModel | SdkModel, asked: dict[str, str]) -> str:
    pieces = []
    async for piece in model.say(asked["text"]):
        await say(socket, "delta", asked["id"], piece)
        pieces.append(piece)
    return "".join(pieces)


async def say(socket: web.WebSocketResponse, kind: str, about: str, text: str) -> None:
    await socket.send_str(json.dumps({"type": kind, "id": about, "text": text}, separators=(",", ":")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", choices=("raw", "anthropic", "openai"))
    parser.add_argument("--url", default="")
    parser.add_argument("--whole", action="store_true", help="not streamed")
    given = parser.parse_args()
    model: RawModel | SdkModel | None = None
    if given.model == "raw":
        model = RawModel(given.url, is_streaming=not given.whole)
    elif given.model:
        model = SdkModel(given.model, given.url, is_streaming=not given.whole)
    asyncio.run(serve(given.folder, model))


if __name__ == "__main__":
    main()
