"""How a request's body is read, an answer written, and others told that something was done."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from tests.platforms.discord import limits
from tests.platforms.discord.limits import Json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Parts = dict[str, tuple[str, bytes]]
"""The files of a request: their names and bytes, by the name of the part."""


def answer(data: object, status: int = 200) -> web.Response:
    """JSON as Discord sends it, whose type carries no charset."""
    return web.Response(body=json.dumps(data).encode(), status=status, content_type="application/json")


def nothing() -> web.Response:
    return web.Response(status=204)


async def read_body(request: web.Request) -> tuple[Json, Parts]:
    """The JSON of a request and its files by part name (reference#uploading-files)."""
    if not request.content_type.startswith("multipart/"):
        return _json(await request.read()), {}
    body: Json = {}
    files: Parts = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        data = bytes(await part.read())
        if part.name == "payload_json":
            body = _json(data)
        elif part.name:
            files[part.name] = (part.filename or "unknown", data)
    if any(len(data) > limits.FILE_BYTES for _, data in files.values()):
        raise limits.TOO_LARGE
    return body, files


def _json(raw: bytes) -> Json:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise limits.BAD_JSON from None
    return body if isinstance(body, dict) else {"items": body}


async def wake(changed: asyncio.Condition) -> None:
    """Those who wait for something that the bot does look again."""
    async with changed:
        changed.notify_all()
