"""The far end of the ledger channel: a small platform on loopback that keeps every post it accepted and dedupes nothing."""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Post:
    """One accepted post, in the order of arrival."""

    chat: str
    message: str
    seq: int
    text: str
    key: str


class Ledger:
    """`trouble` is the share of requests that are refused, cut off before they are kept, or cut off after."""

    def __init__(self, chance: random.Random, trouble: float = 0.0) -> None:
        self.posts: list[Post] = []
        self.trouble = trouble
        self.requests = 0
        self._chance = chance
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line.endswith(b"\n"):
                reply = self._answer(json.loads(line))
                if reply is not None:
                    writer.write(json.dumps(reply).encode() + b"\n")
                    await writer.drain()
        except OSError:
            return  # the daemon was killed
        finally:
            writer.close()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any] | None:  # JSON
        self.requests += 1
        if request["op"] == "find":
            return {"id": self._find(request["chat"], request["key"])}
        luck = self._chance.random() / self.trouble if self.trouble else 3.0
        if luck < 0.4:
            return {"refused": 0.03}
        if luck < 0.7:
            return None
        del request["op"]
        self.posts.append(Post(**request))
        return {"id": str(len(self.posts))} if luck >= 1.0 else None

    def _find(self, chat: str, key: str) -> str:
        for number, post in enumerate(self.posts, 1):
            if post.chat == chat and post.key == key:
                return str(number)
        return ""
