"""Twilio with one route, which makes messages, and webhooks with the fields that every one of them has."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.platforms.bare.base import Bare, Post

SID: Final = "AC" + "3" * 32
TOKEN: Final = "canary-of-twilio-3690b0"
BOT, PERSON = "whatsapp:+14155238886", "whatsapp:+4915112345678"
PUBLIC: Final = "https://desk.example.test"
MESSAGES: Final = f"/twilio/2010-04-01/Accounts/{SID}/Messages.json"


class BareTwilio(Bare):
    """One number and one person."""

    name = "whatsapp"
    can_edit = False
    can_stream = False

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []  # with which status callbacks were answered
        self._events: dict[str, dict[str, str]] = {}

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "account_sid": SID,
            "auth_token": TOKEN,
            "from": BOT,
            "public_url": f"{PUBLIC}/",
            "api_url": f"http://127.0.0.1:{self.port}/twilio/",
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.is_token_refused:
            answer = {"code": 20003, "message": "Authenticate", "status": 401}
            return web.json_response(answer, status=401)
        if f"{request.method} {request.path}" in self.instead:
            return self.instead[f"{request.method} {request.path}"]()
        if (request.method, request.path) != ("POST", MESSAGES):
            return self.missing(f"{request.method} {request.path}")
        given = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        sid = f"SM{int(self.next_id()):032d}"
        self.posts.append(Post(sid, given["To"], "", [given.get("Body", "")], given))
        return web.json_response({"sid": sid, "status": "queued", "date_sent": None}, status=201)

    async def _signed(self, url: str, fields: Mapping[str, str]) -> int:
        signature: str = RequestValidator(TOKEN).compute_signature(url, fields)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "X-Twilio-Signature": signature}
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return await self.call_desk(path, urlencode(fields).encode(), headers)

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        sid = f"SM{int(self.next_id()):032d}"
        self._events[sid] = {"MessageSid": sid, "AccountSid": SID, "From": PERSON, "To": BOT, "Body": text}
        await self.repeat(sid)
        return sid

    async def repeat(self, id_: str) -> None:
        assert await self._signed(f"{PUBLIC}/webhooks/whatsapp", self._events[id_]) == 200

    async def report(self, post: Post, status: str) -> None:
        """A status callback."""
        fields = {"MessageSid": post.id, "MessageStatus": status, "AccountSid": SID, "From": BOT, "To": PERSON}
        self.statuses.append(await self._signed(post.body["StatusCallback"], fields))
