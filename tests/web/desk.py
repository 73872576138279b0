"""The web channel behind real listeners, and pages that talk to it. Every frame is held against the schema."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import WSMsgType
from jsonschema import Draft202012Validator

from adapters.web import Settings, create
from adapters.web.adapter import WebAdapter
from bot.clock import SystemClock
from bot.model import Address
from bot.net.listeners import ListenerConfig, ListenerLimits, Listeners
from bot.ports import Clock, HostLimits
from tests.web.fakehost import FakeHost

Frame = dict[str, Any]  # JSON as it came

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "protocol.schema.json").read_text())
_VALIDATORS = {
    side: Draft202012Validator({"$ref": f"#/$defs/{side}", "$defs": SCHEMA["$defs"]}) for side in ("client", "server")
}


class Page:
    """A browser's page, as far as the socket can tell."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.welcome: Frame = {}

    async def send(self, kind: str, **fields: Any) -> None:  # JSON values
        frame = {"type": kind, **fields}
        _VALIDATORS["client"].validate(frame)
        await self.ws.send_str(json.dumps(frame))

    async def hello(self, **fields: Any) -> Frame:  # JSON values
        await self.send("hello", version=1, **fields)
        self.welcome = await self.next("welcome")
        return self.welcome

    async def say(self, text: str, id: str = "a1", **fields: Any) -> Frame:  # noqa: A002  the protocol's name
        await self.send("message", id=id, text=text, **fields)
        return await self.next("ack")

    async def next(self, kind: str = "") -> Frame:
        """The next frame; it must be of this kind, where one is given."""
        message = await self.ws.receive(timeout=10)
        assert message.type is WSMsgType.TEXT, f"the socket ended with {message.data}"
        frame: Frame = json.loads(message.data)
        _VALIDATORS["server"].validate(frame)
        assert kind in ("", frame["type"]), frame
        return frame

    async def error(self, code: str) -> Frame:
        frame = await self.next("error")
        assert frame["code"] == code
        return frame

    async def close_code(self) -> int | None:
        """Reads to the end and returns the code that the server closed with."""
        while not self.ws.closed:
            await self.ws.receive(timeout=10)
        return self.ws.close_code

    @property
    def at(self) -> Address:
        """The address of an anonymous visitor."""
        return Address("web", "", "v:" + self.welcome["token"].split(".")[1])


class Desk:
    """A running web channel with its host."""

    def __init__(self, host: FakeHost, adapter: WebAdapter, listeners: Listeners, run: asyncio.Task[None]) -> None:
        self.host = host
        self.adapter = adapter
        self.listeners = listeners
        self.run = run
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{listeners.public_port}")

    async def page(self, headers: Mapping[str, str] | None = None, **options: Any) -> Page:  # aiohttp's options
        return Page(await self.http.ws_connect("/ws", headers=headers, **options))

    async def visitor(self, **fields: Any) -> Page:  # JSON values
        page = await self.page()
        await page.hello(**fields)
        return page


@asynccontextmanager
async def running(
    limits: HostLimits | None = None,
    clock: Clock | None = None,
    listener_limits: ListenerLimits | None = None,
    **settings: Any,  # whatever Settings takes
) -> AsyncIterator[Desk]:
    host = FakeHost(clock or SystemClock(), limits or HostLimits())
    adapter = create(Settings(**settings), host)
    listeners = Listeners(
        public=ListenerConfig("127.0.0.1", 0, "server"),
        private=ListenerConfig("127.0.0.1", 0, "admin"),
        routes=adapter.routes(),
        private_routes=[],
        health=lambda: (200, {"status": "ok"}),
        ready=lambda: (200, {}),
        metrics=lambda: (b"", "text/plain"),
        clock=host.clock,
        limits=listener_limits,
    )
    await listeners.start()
    async with asyncio.TaskGroup() as group:
        desk = Desk(host, adapter, listeners, group.create_task(adapter.run()))
        try:
            yield desk
        finally:
            desk.run.cancel()
            await desk.http.close()
            await listeners.stop(0.1)
