"""Files that go out: Twilio fetches them here, from a URL that nobody can guess and that ends by itself; and so does the person what WhatsApp
does not carry."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from adapters.whatsapp import Account, path
from adapters.whatsapp.letters import is_carried
from adapters.whatsapp.signatures import LINK_S, FileTokens
from bot.errors import Refused, StoreUnavailable
from bot.model import Blob, BlobId, MessageId
from bot.ports import Host, Route

_GIVEN: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    hdrs.CACHE_CONTROL: "private, no-store",
    "Referrer-Policy": "no-referrer",
}


class Files:
    """One account's `/webhooks/whatsapp/media/{token}`. Twilio asks for the head first, then for the whole."""

    def __init__(self, settings: Account, host: Host, account: str) -> None:
        self._base = f"{settings.public_url}{path(account)}/media/"
        self._host = host
        self._path = f"{path(account)}/media/{{token}}"
        self._tokens = FileTokens(host.secret("whatsapp-files"), account)

    def routes(self) -> Sequence[Route]:
        return [Route(hdrs.METH_GET, self._path, self._give), Route(hdrs.METH_HEAD, self._path, self._give)]

    def url(self, message: MessageId, blob: BlobId) -> str:
        """For Twilio."""
        return self._base + self._tokens.make(message, blob, self._host.clock.now_ms())

    def link(self, message: MessageId, blob: BlobId) -> str:
        """For the person."""
        return self._base + self._tokens.make(message, blob, self._host.clock.now_ms(), LINK_S)

    async def _give(self, request: web.Request) -> web.StreamResponse:
        named = self._tokens.read(request.match_info["token"], self._host.clock.now_ms())
        if named is None:
            raise web.HTTPNotFound
        try:
            blob, data = await self._host.open_attachment(*named)
        except Refused as error:
            raise web.HTTPNotFound from error
        except StoreUnavailable as error:
            raise web.HTTPServiceUnavailable from error
        try:
            return await _stream(request, blob, data)
        finally:
            close = getattr(data, "aclose", None)  # an iterator need not have one
            if close is not None:
                await close()


async def _stream(request: web.Request, blob: Blob, data: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers=_GIVEN)
    response.content_type = blob.media_type
    response.content_length = blob.size_bytes
    how = "inline" if is_carried(blob.media_type) else "attachment"
    response.headers[hdrs.CONTENT_DISPOSITION] = f"{how}; filename*=UTF-8''{quote(blob.name, safe='')}"
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for chunk in data:
            await response.write(chunk)
    await response.write_eof()
    return response
