"""A channel to the ledger: events come as requests to the public listener, answers leave as posts over sockets.

Its receiver dedupes nothing and can be asked what it has: like a chat platform's web API.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from bot.errors import Overloaded, SendRefused, SendUncertain, StoreUnavailable
from bot.model import Address, Identity, Message, MessageReceived
from bot.ports import Host, Limits, Receipt, Route
from tests.kill.points import Doom

NAME = "ledger"
PART_CHARS = 30


class LedgerChannel:
    """Adapter, Splits and Reconciles."""

    name = NAME
    account = ""
    limits = Limits(text_chars=PART_CHARS, max_age_s=3600.0)

    def __init__(self, host: Host, port: int, doom: Doom) -> None:
        self._host = host
        self._port = port
        self._doom = doom

    def routes(self) -> Sequence[Route]:
        return [Route("POST", "/ledger/events", self._take)]

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def _take(self, request: web.Request) -> web.Response:
        event = await request.json()
        who = Identity(NAME, "", event["user"], verified=True)
        try:
            await self._host.receive(MessageReceived(who, Address(NAME, "", event["user"]), event["id"], event["text"]))
        except (Overloaded, StoreUnavailable):
            return web.Response(status=503)
        return web.Response()

    def split(self, text: str) -> Sequence[str]:
        return [text[at : at + PART_CHARS] for at in range(0, len(text), PART_CHARS)]

    async def send(self, to: Address, message: Message) -> Receipt:
        post = {"chat": to.chat, "message": message.id, "seq": message.seq, "text": message.text, "key": key(message)}
        reply = await self._ask({"op": "post", **post}, is_doomed=True)
        if "refused" in reply:
            raise SendRefused("not now", is_retryable=True, retry_after_s=reply["refused"])
        self._doom.at("post accepted")
        return Receipt(reply["id"])

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        self._doom.at("before find")
        reply = await self._ask({"op": "find", "chat": to.chat, "key": key(message)})
        self._doom.at("after find")
        return Receipt(reply["id"]) if reply["id"] else None

    async def _ask(self, request: dict[str, Any], *, is_doomed: bool = False) -> dict[str, Any]:  # JSON
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            raise SendRefused(str(error), is_retryable=True) from error
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            if is_doomed:
                self._doom.at("request written")
            line = await reader.readline()
        except OSError as error:
            raise SendUncertain(str(error)) from error
        finally:
            writer.close()
        if not line:
            raise SendUncertain("cut off")
        reply: dict[str, Any] = json.loads(line)
        return reply


def key(message: Message) -> str:
    """Tells one part from another: the port gives the message's id and the part's text."""
    return f"{message.id}:{hashlib.sha256(message.text.encode()).hexdigest()[:16]}"
