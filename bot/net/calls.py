"""What a call to another service comes to, and how far it came: whether it certainly did nothing, or nobody knows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Final, Protocol

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from yarl import URL

from bot.errors import ActionError, NotSent, Uncertain
from bot.model import value

PIECE_BYTES: Final = 65_536
FOLLOWING: Final = frozenset({"GET", "HEAD"})
_REFUSED_FOR_NOW: Final = 429
_UNAVAILABLE: Final = 503


@value
class Answered:
    """A whole answer. `media_type` is what the other side says; `is_cut`: there was more than `data` holds."""

    status: int
    media_type: str
    data: bytes
    is_cut: bool = False


class Caller(Protocol):
    """What makes calls: `bot.net.fetch.Fetcher`, or whatever stands in for it."""

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        content_type: str,
        most_bytes: int,
        within_s: float,
        trusted: Sequence[str],
        is_read: bool = False,
    ) -> Answered: ...


class Passage:
    """How far one call has come. `is_sent`: the first byte may have left, of this request or of one that redirected to it."""

    def __init__(self) -> None:
        self.is_sent = False

    def failure(self, detail: str, *, is_retryable: bool) -> ActionError:
        return Uncertain(detail) if self.is_sent else NotSent(detail, is_retryable=is_retryable)


@value
class Request:
    """A call, as it is made of one host."""

    method: str
    at: URL
    headers: Mapping[str, str]
    body: bytes
    is_read: bool

    @asynccontextmanager
    async def sent(self, session: aiohttp.ClientSession, passage: Passage) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await session.request(
            self.method,
            self.at,
            headers=self.headers,
            data=self.body or None,
            allow_redirects=False,
            middlewares=() if self.is_read else (once,),
            trace_request_ctx=passage,
        )
        try:
            yield response
        finally:
            response.close()

    def moved(self, at: URL) -> "Request":
        """The same elsewhere; what was meant for one origin stays there."""
        return replace(self, at=at, headers=self.headers if at.origin() == self.at.origin() else {})


def tracing() -> aiohttp.TraceConfig:
    """Notes in the passage that is given with a request when its head is about to be written."""
    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(_note)
    return config


async def _note(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    if isinstance(context.trace_request_ctx, Passage):
        context.trace_request_ctx.is_sent = True


async def once(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware: aiohttp sends PUT, DELETE and other idempotent requests again by itself when it meets one of these errors."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(type(error).__name__) from error


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ValueError for a header that would be another one, or none."""
    for name, text in headers.items():
        if not name.isascii() or any(character < " " or character == "\x7f" for character in name + text):
            raise ValueError(f"the header {name[:100]!r} holds characters that are none")


def is_put_off(response: aiohttp.ClientResponse) -> bool:
    """Whether the other side says that it has not begun, and wants to be asked later: RFC 6585, section 4; RFC 9110, section 15.6.4."""
    return response.status == _REFUSED_FOR_NOW or (
        response.status == _UNAVAILABLE and "Retry-After" in response.headers
    )


async def whole(response: aiohttp.ClientResponse, most_bytes: int) -> Answered:
    """The answer with its body, which is not unpacked. One that broke off is no answer where it says that something was done; a refusal
    stays one without it."""
    is_done = 200 <= response.status < 300
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    data, is_cut = b"", False
    if encoding not in ("", "identity"):
        if is_done:
            raise aiohttp.ClientPayloadError("packed, which was not asked for")
        return Answered(response.status, "", data)
    try:
        data, is_cut = await _read(response, most_bytes)
    except (aiohttp.ClientError, OSError):
        if is_done:
            raise
    return Answered(response.status, response.content_type.lower(), data, is_cut)


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> tuple[bytes, bool]:
    data = bytearray()
    while len(data) <= most_bytes and (piece := await response.content.read(PIECE_BYTES)):
        data += piece
    return bytes(data[:most_bytes]), len(data) > most_bytes
