"""Slack with four methods of its Web API, and events of the fields that every one of them has."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from aiohttp import web

from tests.platforms.bare.base import Bare, Line, Post
from tests.platforms.kit import Seen

BOT, PERSON, DIRECT, CHANNEL = "U0BOT", "U0ANNA", "D0ANNA", "C0SHOP"
BOT_TOKEN: Final = "xoxb-canary-of-the-bot-81c5"
APP_TOKEN: Final = "xapp-canary-of-the-app-72d4"
SIGNING_SECRET: Final = "canary-of-the-signature-63e3"
TICKET: Final = "canary-of-the-ticket-54f2"
_KNOWN_BLOCKS: Final = {"section", "actions", "context", "divider", "header"}


class BareSlack(Bare):
    """`below`: where the methods stand under the URL that is configured. `has_json`: what is missing is named as Slack does. `is_old`:
    knows only the blocks of some years ago. `greets`: says hello on its sockets."""

    name = "slack"

    def __init__(
        self, mode: str, *, below: str = "", has_json: bool = True, is_old: bool = False, greets: bool = True
    ) -> None:
        super().__init__()
        self.mode = mode
        self.line = Line()
        self.is_cut_after_posts = False
        self.acknowledged: list[str] = []
        self._below = below
        self._has_json = has_json
        self._is_old = is_old
        self._greets = greets
        self._events: dict[str, Mapping[str, Any]] = {}
        self._count = 0

    def config(self) -> Mapping[str, Any]:
        given = {"app_token": APP_TOKEN} if self.mode == "socket" else {"signing_secret": SIGNING_SECRET}
        url = f"http://127.0.0.1:{self.port}"
        return {"enabled": True, "mode": self.mode, "bot_token": BOT_TOKEN, "api_url": url} | given

    async def wait_ready(self) -> None:
        if self.mode == "socket":
            await self.line.is_up.wait()

    # --- the Web API -----------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked.append(path)
        if path == "/socket" and request.query.get("ticket") == TICKET:
            return await self._socket(request)
        method = path.removeprefix(f"{self._below}/") if path.startswith(f"{self._below}/") else ""
        given = await request.json() if request.content_type == "application/json" else dict(await request.post())
        if self.is_token_refused:
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if method in self.instead:
            return self.instead[method]()
        match method:
            case "auth.test":
                return web.json_response({"ok": True, "user_id": BOT, "team_id": "T0SHOP"})
            case "apps.connections.open":
                url = f"ws://127.0.0.1:{self.port}/socket?ticket={TICKET}"
                return web.json_response({"ok": True, "url": url})
            case "chat.postMessage":
                if self.is_cut_after_posts:
                    self.lose(request)
                return self._post(given)
            case "chat.update":
                return self._update(given)
        if self._has_json and method:
            self.unserved.add(method)
            return web.json_response({"ok": False, "error": "unknown_method"})
        return self.missing(path)

    def _post(self, given: Mapping[str, Any]) -> web.Response:
        if self._is_odd(given):
            return web.json_response({"ok": False, "error": "invalid_blocks"})
        ts = self._ts()
        self.posts.append(Post(ts, given["channel"], given.get("thread_ts") or "", [given["text"]], given))
        return web.json_response({"ok": True, "ts": ts})

    def _update(self, given: Mapping[str, Any]) -> web.Response:
        post = self.post(given["ts"])
        if post is None:
            return web.json_response({"ok": False, "error": "message_not_found"})
        if self._is_odd(given):
            return web.json_response({"ok": False, "error": "invalid_blocks"})
        post.shown.append(given["text"])
        post.body = given
        return web.json_response({"ok": True, "ts": post.id})

    def _is_odd(self, given: Mapping[str, Any]) -> bool:
        blocks = given.get("blocks") or []
        blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
        return self._is_old and any(block["type"] not in _KNOWN_BLOCKS for block in blocks)

    def _ts(self) -> str:
        self._count += 1
        return f"{int(time.time())}.{self._count:06d}"

    def history(self) -> web.Response:
        """For `instead`: what both sides have said, without the keys of posts."""
        said = [{"type": "message", **event} for event in self._events.values()]
        posts = [{"type": "message", "user": BOT, "text": each.shown[-1], "ts": each.id} for each in self.posts]
        return web.json_response({"ok": True, "messages": [*said, *posts]})

    # --- events ----------------------------------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self._greets:
            await socket.send_str(json.dumps({"type": "hello"}))
        self.line.up(socket)
        async for frame in socket:
            self.acknowledged.append(json.loads(frame.data).get("envelope_id", ""))
        self.line.down(socket)
        return socket

    async def tell(self, event: Mapping[str, Any]) -> None:
        """Returns once it is acknowledged."""
        payload = {"type": "event_callback", "event": event}
        if self.mode == "socket":
            id_ = self.next_id()
            await self.line.send({"envelope_id": id_, "type": "events_api", "payload": payload})
            async with asyncio.timeout(10):
                while id_ not in self.acknowledged:  # noqa: ASYNC110 - the acknowledgement has no event of its own
                    await asyncio.sleep(0.01)
            return
        assert await self.hook(json.dumps(payload).encode(), "application/json") == 200

    async def hook(self, body: bytes, kind: str) -> int:
        """A signed webhook; the status of the answer."""
        at = str(int(time.time()))
        signature = hmac.new(SIGNING_SECRET.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={signature}",
        }
        return await self.call_desk("/webhooks/slack", body, headers)

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        ts = self._ts()
        self._events[ts] = {"type": "message", "channel": DIRECT, "user": PERSON, "text": text, "ts": ts}
        if self.line.is_up.is_set() or self.mode == "http":
            await self.tell(self._events[ts])
        return ts

    async def mention(self, text: str) -> str:
        """In a channel."""
        ts = self._ts()
        event = {"type": "app_mention", "channel": CHANNEL, "user": PERSON, "text": f"<@{BOT}> {text}", "ts": ts}
        self._events[ts] = event
        await self.tell(event)
        return ts

    async def repeat(self, id_: str) -> None:
        await self.tell(self._events[id_])

    async def edit(self, id_: str, text: str) -> None:
        was = self._events[id_]
        edited = {"user": PERSON, "ts": self._ts()}
        message = {"type": "message", "user": PERSON, "text": text, "ts": id_, "edited": edited}
        await self.tell(
            {
                "type": "message",
                "subtype": "message_changed",
                "channel": was["channel"],
                "ts": self._ts(),
                "message": message,
            }
        )

    async def delete(self, id_: str) -> None:
        await self.tell(
            {
                "type": "message",
                "subtype": "message_deleted",
                "channel": self._events[id_]["channel"],
                "ts": self._ts(),
                "deleted_ts": id_,
            }
        )

    async def rate(self, seen: Seen, value: str) -> None:
        post = self.post(seen.id)
        assert post is not None
        reaction = {"up": "+1", "down": "-1"}[value]
        item = {"type": "message", "channel": post.room, "ts": post.id}
        await self.tell({"type": "reaction_added", "user": PERSON, "reaction": reaction, "item": item})

    async def press(self, seen: Seen, label: str) -> None:
        """In http mode."""
        post = self.post(seen.id)
        assert post is not None
        buttons = [
            element
            for block in post.body["blocks"]
            for element in block.get("elements") or ()
            if element.get("text", {}).get("text") == label
        ]
        payload = {
            "type": "block_actions",
            "user": {"id": PERSON},
            "container": {"type": "message", "message_ts": post.id, "channel_id": post.room},
            "actions": [
                {"type": "button", "action_id": buttons[0]["action_id"], "value": buttons[0]["value"], "block_id": "b"}
            ],
        }
        body = ("payload=" + quote_plus(json.dumps(payload))).encode()
        assert await self.hook(body, "application/x-www-form-urlencoded") == 200

    async def cut(self) -> None:
        await self.line.cut()
