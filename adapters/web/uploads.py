"""Files: taken as a stream with a cap on size and time, given back to their owner only, and never as something to run."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import unquote

from aiohttp import hdrs, web

from adapters.web.room import Room, opened
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import Blob, BlobId, Identity
from bot.ports import Route

TRANSFER_S: Final = 120.0
_CHUNK_BYTES: Final = 64 * 1024
_STATUS: Final = {
    "bad_token": 401,
    "bad_type": 415,
    "too_large": 413,
    "too_fast": 429,
    "no_blob": 404,
    "busy": 503,
}  # any other refusal is 400
_ENDINGS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "application/pdf": "pdf",
    "application/vnd.frontdesk.user-export+json": "json",
}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]")
_GIVEN: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    hdrs.CACHE_CONTROL: "private",
    "Referrer-Policy": "no-referrer",
}
_PREFLIGHT: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, OPTIONS",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "authorization, content-type, x-file-name",
    hdrs.ACCESS_CONTROL_MAX_AGE: "600",
}


class Uploads:
    """`/upload` and `/upload/{id}`."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", "/upload", self._take),
            Route("OPTIONS", "/upload", self._preflight),
            Route("GET", "/upload/{id}", self._give),
            Route("OPTIONS", "/upload/{id}", self._preflight),
        ]

    async def _preflight(self, request: web.Request) -> web.StreamResponse:
        headers = self._room.origins.headers(request)
        is_allowed = hdrs.ACCESS_CONTROL_ALLOW_ORIGIN in headers
        return web.Response(status=204, headers=headers | _PREFLIGHT if is_allowed else headers)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = self._room.origins.headers(request)
        try:
            async with self._room.host.clock.timeout(TRANSFER_S):
                blob = await self._save(request)
        except (Refused, Overloaded, StoreUnavailable, TimeoutError) as failure:
            return _refusal(failure, headers)
        answer = {"id": blob.id, "name": blob.name, "media_type": blob.media_type, "size_bytes": blob.size_bytes}
        return web.json_response(answer, headers=headers)

    async def _save(self, request: web.Request) -> Blob:
        owner = self._bearer(request)
        limits, clock = self._room.limits, self._room.host.clock
        visitor = self._room.presence.visitor(owner)
        wait_s = visitor.uploads.take(limits.messages_per_minute, clock.monotonic())
        if wait_s:
            raise _TooFast(wait_s)
        if (request.content_length or 0) > limits.upload_bytes:
            raise _too_large(limits.upload_bytes)
        name = unquote(request.headers.get("X-File-Name", "")[:1000], errors="replace")
        return await self._room.host.save_blob(self._body(request), name, owner)

    async def _body(self, request: web.Request) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > self._room.limits.upload_bytes:
                raise _too_large(self._room.limits.upload_bytes)
            yield chunk

    async def _give(self, request: web.Request) -> web.StreamResponse:
        headers = self._room.origins.headers(request)
        try:
            reader = self._bearer(request)
            async with (
                self._room.host.clock.timeout(TRANSFER_S),
                opened(self._room.host, BlobId(request.match_info["id"]), reader) as (blob, data),
            ):
                return await _stream(request, blob, data, headers)
        except (Refused, StoreUnavailable) as failure:
            return _refusal(failure, headers)

    def _bearer(self, request: web.Request) -> Identity:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("bad_token", "Open the chat first.")
        return self._room.credentials.read(token.strip())


class _TooFast(Refused):
    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too_fast", "Too many files at once. Please wait a moment.")
        self.retry_after_s = retry_after_s


def _too_large(limit_bytes: int) -> Refused:
    return Refused("too_large", f"This file is too large: {limit_bytes // 2**20} MB at most.")


def _refusal(failure: Exception, headers: dict[str, str]) -> web.Response:
    code, detail = "busy", "That did not work right now. Please try again in a moment."
    if isinstance(failure, Refused):
        code, detail = failure.code, failure.detail
    retry_after_s = getattr(failure, "retry_after_s", 1.0 if code == "busy" else None)
    if retry_after_s is not None:
        headers = {**headers, hdrs.RETRY_AFTER: str(max(1, round(retry_after_s + 0.5)))}
    return web.json_response({"code": code, "detail": detail}, status=_STATUS.get(code, 400), headers=headers)


async def _stream(
    request: web.Request, blob: Blob, data: AsyncIterator[bytes], headers: dict[str, str]
) -> web.StreamResponse:
    ending = _ENDINGS.get(blob.media_type)
    name = f"file-{_UNSAFE.sub('', blob.id)[:40]}" + (f".{ending}" if ending else "")
    response = web.StreamResponse(headers={**headers, **_GIVEN})
    response.content_type = blob.media_type if ending else "application/octet-stream"
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
    response.content_length = blob.size_bytes
    await response.prepare(request)
    async for chunk in data:
        await response.write(chunk)
    await response.write_eof()
    return response
