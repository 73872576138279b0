"""What the bare platforms have in common: posts, a listener, and the ways in which something can be missing."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.platforms.kit import Seen

PAGE: Final = "<html><body><h1>Not Found</h1></body></html>"


@dataclass(slots=True)
class Post:
    """One message of the bot. `shown`: every text it has had."""

    id: str
    room: str
    thread: str = ""
    shown: list[str] = field(default_factory=list)
    body: Mapping[str, Any] = field(default_factory=dict)  # JSON as it came


class Bare:
    """A platform for `Stage`. What a bare one has nothing of raises NotImplementedError."""

    name = ""
    can_edit = True
    can_stream = True

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.asked: list[str] = []  # every path that was called
        self.unserved: set[str] = set()  # those of them that are missing here
        self.port = 0
        self.desk = 0
        self.is_token_refused = False
        self.instead: dict[str, Callable[[], web.Response]] = {}  # by method or path: what is answered in its place
        self._runner: web.AppRunner | None = None
        self._ids = 1_000

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def attach(self, public_port: int) -> None:
        self.desk = public_port

    async def wait_ready(self) -> None:
        """At once, where events come as webhooks."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request of Frontdesk's."""
        raise NotImplementedError

    def config(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def next_id(self) -> str:
        self._ids += 1
        return str(self._ids)

    def lose(self, request: web.Request) -> None:
        """What was asked for is done, and nobody hears of it."""
        if request.transport is not None:
            request.transport.abort()

    def missing(self, path: str) -> web.Response:
        """How a web framework says that there is no such page."""
        self.unserved.add(path)
        return web.Response(status=404, text=PAGE, content_type="text/html")

    def post(self, id_: str) -> Post | None:
        return next((each for each in self.posts if each.id == id_), None)

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        return [Seen(each.id, True, each.shown[-1], is_edited=len(each.shown) > 1) for each in self.posts]

    def was_shown(self) -> Sequence[str]:
        return [text for each in self.posts for text in each.shown]

    def violations(self) -> Sequence[str]:
        return ()

    async def call_desk(self, path: str, data: bytes, headers: Mapping[str, str]) -> int:
        """A webhook; the status with which it is answered."""
        url = f"http://127.0.0.1:{self.desk}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=headers) as answer:
            await answer.read()
            return answer.status

    # --- what people do --------------------------------------------------------------------------------------------

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        raise NotImplementedError

    async def edit(self, id_: str, text: str) -> None:
        raise NotImplementedError

    async def delete(self, id_: str) -> None:
        raise NotImplementedError

    async def press(self, seen: Seen, label: str) -> None:
        raise NotImplementedError

    async def rate(self, seen: Seen, value: str) -> None:
        raise NotImplementedError

    async def repeat(self, id_: str) -> None:
        raise NotImplementedError

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        raise NotImplementedError

    def lose_answers(self, count: int) -> None:
        raise NotImplementedError

    def limit_rate(self, count: int, seconds: float) -> None:
        raise NotImplementedError

    def refuse_token(self, is_refused: bool) -> None:
        self.is_token_refused = is_refused

    async def cut(self) -> None:
        raise NotImplementedError


class Line:
    """A socket on which events go out, one connection at a time."""

    def __init__(self) -> None:
        self.socket: web.WebSocketResponse | None = None
        self.is_up = asyncio.Event()
        self.opened = 0

    def up(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.opened += 1
        self.is_up.set()

    def down(self, socket: web.WebSocketResponse) -> None:
        if self.socket is socket:
            self.socket = None
            self.is_up.clear()

    async def send(self, frame: Mapping[str, Any]) -> None:
        await asyncio.wait_for(self.is_up.wait(), 20)
        assert self.socket is not None
        await self.socket.send_str(json.dumps(frame))

    async def cut(self) -> None:
        if self.socket is not None:
            socket, self.socket = self.socket, None
            self.is_up.clear()
            await socket.close(code=4000)
