"""A small server that speaks the chat socket's protocol by script, for frames that an honest server never sends.

It serves the real static files under the demo page's Content Security Policy, keeps a ledger of every frame and upload it
received, and answers only what its test asks for: `Desk.answer` is the script.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import WSCloseCode, web

STATIC = Path(__file__).resolve().parents[2] / "adapters" / "web" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_CROSS_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, X-File-Name, Content-Type",
    "Access-Control-Allow-Methods": "GET, POST",
}

Frame = dict[str, Any]  # JSON as it travels; tests look at single fields


@dataclass
class Session:
    """One open page."""

    desk: "Desk"
    socket: web.WebSocketResponse
    token: str

    async def send(self, type_: str, **fields: object) -> None:
        """Sends one frame to this page only."""
        await self.socket.send_str(json.dumps({"type": type_, **fields}))

    async def drop(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Closes this page's connection, as a server that stops does."""
        await self.socket.close(code=code)

    def cut(self) -> None:
        """Ends the connection without a word, as a lost network does."""
        if self.socket._req is not None and self.socket._req.transport is not None:
            self.socket._req.transport.abort()


Answer = Callable[["Desk", Session, Frame], Awaitable[None]]


async def store_and_acknowledge(desk: "Desk", session: Session, frame: Frame) -> None:
    """The least an honest server does: it stores messages once and acknowledges them."""
    if frame["type"] == "message":
        await desk.store(session, frame)


async def stay_silent(desk: "Desk", session: Session, frame: Frame) -> None:
    """Reads and says nothing."""


@dataclass
class Desk:
    """The server, its ledger and its script."""

    answer: Answer = store_and_acknowledge
    policy: str = POLICY
    config: Frame | None = None
    ledger: list[Frame] = field(default_factory=list)
    messages: list[Frame] = field(default_factory=list)
    passages: dict[str, Frame] = field(default_factory=dict)
    uploads: dict[str, tuple[Frame, bytes]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    sessions: list[Session] = field(default_factory=list)
    owner: str = "agent"
    owner_name: str = ""
    place: Frame | None = None
    open: bool = True
    url: str = ""
    clock_ms: int = 1_790_000_000_000
    _acks: dict[str, Frame] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/upload", self._upload)
        app.router.add_get("/upload/{id}", self._download)
        app.router.add_route("OPTIONS", "/{path:.*}", self._preflight)
        app.router.add_get("/{path:.*}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self.sessions:
            session.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- what tests use ------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        """Waits until `holds()`, looking again after each frame; raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def received(self, type_: str, number: int = 1) -> Frame:
        """The `number`th frame of that type, waiting for it."""
        await self.until(lambda: len(self.of(type_)) >= number)
        return self.of(type_)[number - 1]

    def of(self, type_: str) -> list[Frame]:
        """Every frame of that type so far."""
        return [frame for frame in self.ledger if frame["type"] == type_]

    async def online(self, number: int = 1) -> Session:
        """The newest session, once `number` of them have been opened in all."""
        await self.until(lambda: len(self.sessions) >= number)
        return self.sessions[-1]

    async def say(self, text: str, **fields: object) -> Frame:
        """Stores a message by the agent (or `author`) and sends it to every open page."""
        message: Frame = {"author": "agent", **fields, "text": text}
        message = self._append(message)
        await self._broadcast("message", message)
        return message

    async def hand(self, owner: str, name: str = "") -> None:
        """Gives the conversation to the agent, the queue or an operator, and tells every open page."""
        self.owner, self.owner_name, self.place = owner, name, None
        await self._broadcast("owner", {"owner": owner, **({"name": name} if name else {})})

    async def queue(self, position: int, wait_s: int | None) -> None:
        """Tells every page, now and when it opens, where its visitor stands."""
        self.place = {"position": position, "wait_s": wait_s}
        await self._broadcast("queue", self.place)

    async def store(self, session: Session, frame: Frame) -> Frame:
        """Stores a person's message once, acknowledges it and shows it to the other pages."""
        if frame["id"] not in self._acks:
            files = [self.uploads[file_id][0] for file_id in frame.get("attachments", [])]
            message = self._append(
                {"author": "user", "text": frame["text"], **({"attachments": files} if files else {})}
            )
            self._acks[frame["id"]] = message
            await self._broadcast("message", message, besides=session)
        stored = self._acks[frame["id"]]
        await session.send("ack", id=frame["id"], message=stored["id"], seq=stored["seq"])
        return stored

    # --- the server ----------------------------------------------------------------------------------------------

    def _append(self, message: Frame) -> Frame:
        seq = len(self.messages) + 1
        at_ms = self.clock_ms + seq * 1000
        self.messages.append({"id": f"m{seq}", "seq": seq, "at_ms": at_ms, **message})
        return self.messages[-1]

    async def _broadcast(self, type_: str, fields: Frame, besides: Session | None = None) -> None:
        for session in self.sessions:
            if session is not besides and not session.socket.closed:
                await session.send(type_, **fields)

    async def _note(self, frame: Frame) -> None:
        async with self._changed:
            self.ledger.append(frame)
            self._changed.notify_all()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not self.open:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = json.loads(await socket.receive_str())
        await self._note(hello)
        token = hello.get("token") or f"token-{len(self.tokens) + 1}"
        session = Session(self, socket, token)
        if hello.get("token") and token not in self.tokens:
            await session.send("error", code="bad_token", detail="Start anew.")
            await socket.close(code=4401)
            return socket
        if hello.get("identity") == "forged":
            await session.send("error", code="bad_identity", detail="You could not be signed in. Reload the page.")
            await socket.close(code=4401)
            return socket
        self.tokens.add(token)
        history = [message for message in self.messages if message["seq"] > hello.get("after", 0)]
        fields = {"version": 1, "token": token, "conversation": "c1", "owner": self.owner, "history": history}
        if self.owner_name:
            fields["owner_name"] = self.owner_name
        await session.send("welcome", **fields)
        if self.place:
            await session.send("queue", **self.place)
        async with self._changed:
            self.sessions.append(session)
            self._changed.notify_all()
        async for message in socket:
            frame = json.loads(message.data)
            await self._note(frame)
            if frame["type"] == "passage" and frame["id"] in self.passages:
                await session.send("passage", id=frame["id"], **self.passages[frame["id"]])
            await self.answer(self, session, frame)
        return socket

    async def _upload(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.json_response({"code": "bad_token", "detail": "Start anew."}, status=401, headers=_CROSS_ORIGIN)
        body = await request.read()
        if body.startswith(b"MZ"):
            detail = "Only images and PDF files can be added."
            return web.json_response({"code": "bad_type", "detail": detail}, status=415, headers=_CROSS_ORIGIN)
        media_type = "application/pdf" if body.startswith(b"%PDF") else "image/png"
        name = unquote(request.headers["X-File-Name"])
        stored: Frame = {
            "id": f"f{len(self.uploads) + 1}",
            "name": name,
            "media_type": media_type,
            "size_bytes": len(body),
        }
        self.uploads[stored["id"]] = (stored, body)
        return web.json_response(stored, headers=_CROSS_ORIGIN)

    async def _download(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.json_response({"code": "bad_token", "detail": "Start anew."}, status=401, headers=_CROSS_ORIGIN)
        file_id = str(request.match_info["id"])
        self.fetched.append(file_id)
        stored, body = self.uploads[file_id]
        headers = {**_CROSS_ORIGIN, "Content-Disposition": "attachment"}
        return web.Response(body=body, content_type=stored["media_type"], headers=headers)

    async def _preflight(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=_CROSS_ORIGIN)

    async def _file(self, request: web.Request) -> web.Response:
        path = request.match_info["path"] or "index.html"
        headers = {**_CROSS_ORIGIN, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": self.policy}
        if path in self.pages:
            return web.Response(text=self.pages[path], content_type="text/html", headers=headers)
        if path == "widget.json" and self.config is not None:
            return web.json_response(self.config, headers=headers)
        file = (STATIC / path).resolve()
        if not file.is_relative_to(STATIC) or not file.is_file():
            return web.Response(status=404)
        body = await asyncio.to_thread(file.read_bytes)
        return web.Response(
            body=body, content_type=_TYPES.get(file.suffix, "application/octet-stream"), headers=headers
        )
