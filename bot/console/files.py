"""Files of the console: taken as a stream with a cap on size, given back only as part of a message, and never as something to run."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from bot.console.asking import named, of_operator, told
from bot.console.room import Room, uploader
from bot.errors import Refused
from bot.model import Blob, BlobId
from bot.operators.roles import Right
from bot.ports import Route
from bot.store.sessions import Signed

TRANSFER_S: Final = 120.0
_CHUNK_BYTES: Final = 65_536
_PICTURES: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp"}
)  # found from their content when they came


class Files:
    """`upload` and `files/MESSAGE/BLOB`."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", "/console/api/upload", of_operator(self._room, self._take)),
            Route("GET", "/console/api/files/{message}/{blob}", of_operator(self._room, self._give)),
        ]

    async def _take(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        if not signed.operator.may(Right.REPLY):
            raise Refused("not_allowed", "Your account may not send files.")
        if (request.content_length or 0) > self._room.settings().upload_bytes:
            raise self._too_large()
        name = unquote(request.headers.get("X-Name", "")[:1000], errors="replace")
        async with self._room.clock.timeout(TRANSFER_S):
            blob = await self._room.blobs.save(self._body(request), name, uploader(signed.operator))
        return told({"blob": blob.id, "name": blob.name, "media_type": blob.media_type, "size_bytes": blob.size_bytes})

    async def _body(self, request: web.Request) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > self._room.settings().upload_bytes:
                raise self._too_large()
            yield chunk

    async def _give(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        message, blob_id = request.match_info["message"], BlobId(request.match_info["blob"])
        if not await self._room.views.attachment(message, blob_id):
            raise Refused("no_blob", "That file is not there (any more).")
        blob, data = await self._room.blobs.open_any(blob_id)
        async with self._room.clock.timeout(TRANSFER_S):
            return await _stream(request, blob, data)

    def _too_large(self) -> Refused:
        return Refused(
            "too_large", f"This file is too large: {self._room.settings().upload_bytes // 2**20} MB at most."
        )


async def _stream(request: web.Request, blob: Blob, data: AsyncIterator[bytes]) -> web.StreamResponse:
    is_picture = blob.media_type in _PICTURES
    response = web.StreamResponse(headers=named(blob.name, "inline" if is_picture else "attachment"))
    response.content_type = blob.media_type if is_picture else "application/octet-stream"
    response.content_length = blob.size_bytes
    await response.prepare(request)
    async for chunk in data:
        await response.write(chunk)
    await response.write_eof()
    return response
