"""The floor: a bare aiohttp web-socket server that for each message makes two group-committed SQLite inserts and replies.

`python -m benchmarks.floor FOLDER` prints its port and serves until it is ended. `synchronous=FULL`, WAL, one writing thread that
takes all waiting inserts into one transaction: what any durable chat server has to do, and nothing else. The message's insert is
committed before the reply's begins, as a reply that is stored before its question would promise nothing.
"""

import asyncio
import json
import queue
import sqlite3
import sys
import threading
from pathlib import Path

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


async def serve(folder: Path) -> None:
    writer = Writer(folder / "floor.db")

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            asked = json.loads(message.data)
            await writer.insert(1, asked["text"])
            answer = "You said: " + asked["text"]
            await writer.insert(1, answer)
            await socket.send_str(
                json.dumps({"type": "message", "id": asked["id"], "text": answer}, separators=(",", ":"))
            )
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


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
