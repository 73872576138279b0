"""Discord with two routes for messages, one for the bot itself, and a gateway of plain text that cannot resume. Its ids hold no time."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from tests.platforms.bare.base import Bare, Line, Post
from tests.platforms.kit import Seen

BOT, PERSON, DIRECT, CHANNEL, SERVER = "11", "22", "33", "44", "55"
TOKEN: Final = "canary.of-discords.bot-45a1"
_DISPATCH, _BEAT, _IDENTIFY, _RESUME, _INVALID, _HELLO, _ACK = 0, 1, 2, 6, 9, 10, 11


class BareDiscord(Bare):
    """One bot, one person, and a channel of a server. A session that is to be resumed is closed as an unknown opcode."""

    name = "discord"

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.identified = 0
        self.refused_resumes = 0
        self._seq = 0
        self._events: dict[str, Mapping[str, Any]] = {}

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "token": TOKEN,
            "api_url": f"http://127.0.0.1:{self.port}/",
            "gateway_url": f"ws://127.0.0.1:{self.port}/gateway?v=10&encoding=json",
        }

    async def wait_ready(self) -> None:
        await self.line.is_up.wait()

    # --- requests --------------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked.append(f"{request.method} {path}")
        if path == "/file":
            return web.Response(body=b"a file", content_type="application/pdf")
        if path == "/gateway":
            return await self._gateway(request)
        if not path.startswith("/api/v10/"):
            return self.missing(path)
        if self.is_token_refused or request.headers.get("Authorization") != f"Bot {TOKEN}":
            return web.json_response({"message": "401: Unauthorized", "code": 0}, status=401)
        if f"{request.method} {path}" in self.instead:
            return self.instead[f"{request.method} {path}"]()
        match request.method, *path.removeprefix("/api/v10/").split("/"):
            case "GET", "users", "@me":
                return web.json_response({"id": BOT, "username": "bot"})
            case "POST", "channels", channel, "messages":
                return self._post(channel, await request.json())
            case "PATCH", "channels", _, "messages", id_:
                return self._edit(id_, await request.json())
        return self.missing(f"{request.method} {path}")

    def _post(self, channel: str, given: Mapping[str, Any]) -> web.Response:
        answers = (given.get("message_reference") or {}).get("message_id", "")
        self.posts.append(Post(self.next_id(), channel, answers, [given["content"]], given))
        return web.json_response({"id": self.posts[-1].id})

    def _edit(self, id_: str, given: Mapping[str, Any]) -> web.Response:
        post = self.post(id_)
        if post is None:
            return web.json_response({"message": "Unknown Message", "code": 10008}, status=404)
        post.shown.append(given["content"])
        post.body = given
        return web.json_response({"id": id_})

    # --- the gateway -----------------------------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(json.dumps({"op": _HELLO, "d": {"heartbeat_interval": 41_250}}))
        async for frame in socket:
            asked = json.loads(frame.data)
            if asked["op"] == _BEAT:
                await socket.send_str(json.dumps({"op": _ACK}))
            elif asked["op"] == _RESUME:
                self.refused_resumes += 1
                await socket.close(code=4001)
            elif asked["op"] == _IDENTIFY:
                await self._identify(socket, asked["d"])
        self.line.down(socket)
        return socket

    async def _identify(self, socket: web.WebSocketResponse, asked: Mapping[str, Any]) -> None:
        if self.is_token_refused or asked["token"] != TOKEN:
            await socket.close(code=4004)
            return
        self.identified += 1
        self.line.socket = socket
        await self._dispatch(socket, "READY", {"session_id": f"s{self.identified}", "user": {"id": BOT}, "guilds": []})
        self.line.up(socket)

    async def _dispatch(self, socket: web.WebSocketResponse, kind: str, data: Mapping[str, Any]) -> None:
        self._seq += 1
        await socket.send_str(json.dumps({"op": _DISPATCH, "s": self._seq, "t": kind, "d": data}))

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """An event, to whoever is connected."""
        async with asyncio.timeout(30):
            await self.line.is_up.wait()
        assert self.line.socket is not None
        await self._dispatch(self.line.socket, kind, data)

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        files = [{"id": "77", "filename": file_name, "url": f"http://127.0.0.1:{self.port}/file"}] if file else []
        return await self._said({"channel_id": DIRECT, "content": text, "attachments": files})

    async def mention(self, text: str) -> str:
        """In a channel that nobody has told of."""
        return await self._said({"channel_id": CHANNEL, "guild_id": SERVER, "content": f"<@{BOT}> {text}"})

    async def _said(self, fields: Mapping[str, Any]) -> str:
        id_ = self.next_id()
        author = {"id": PERSON, "username": "anna"}
        self._events[id_] = {"id": id_, "author": author, "timestamp": datetime.now(UTC).isoformat(), **fields}
        await self.tell("MESSAGE_CREATE", self._events[id_])
        return id_

    async def repeat(self, id_: str) -> None:
        await self.tell("MESSAGE_CREATE", self._events[id_])

    async def edit(self, id_: str, text: str) -> None:
        fields = {"id": id_, "channel_id": self._events[id_]["channel_id"], "content": text}
        await self.tell("MESSAGE_UPDATE", fields)

    async def delete(self, id_: str) -> None:
        await self.tell("MESSAGE_DELETE", {"id": id_, "channel_id": self._events[id_]["channel_id"]})

    async def rate(self, seen: Seen, value: str) -> None:
        post = self.post(seen.id)
        assert post is not None
        fields = {"user_id": PERSON, "channel_id": post.room, "message_id": post.id}
        await self.tell("MESSAGE_REACTION_ADD", {**fields, "emoji": {"name": {"up": "👍", "down": "👎"}[value]}})

    async def cut(self) -> None:
        await self.line.cut()
