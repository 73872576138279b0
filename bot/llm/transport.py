"""Carries the SDKs' requests over one aiohttp session, at a fraction of what their own transport costs. Imported with the SDKs, not before."""

import io
from collections.abc import AsyncIterator
from math import inf
from typing import TYPE_CHECKING

import aiohttp
import httpx2

from bot.errors import Fault, ModelError
from bot.llm.stream import MOST_ANSWER_BYTES

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

_BIG_BYTES = 1_000_000  # a larger body is written in pieces, so that it does not hold the loop
_SENT = httpx2.Request("POST", "http://sent.invalid")


class SessionTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport over a session that it owns. What aiohttp raises passes through as it is."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=request.headers.multi_items(),
            data=io.BytesIO(body) if len(body) > _BIG_BYTES else body or None,
            allow_redirects=False,
        )
        return httpx2.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        await self._session.close()


def place(sdk: "AsyncAnthropic | AsyncOpenAI", path: str) -> str:
    """The whole address of a path, which an SDK would otherwise put together for each call."""
    base = sdk.base_url
    return str(base.copy_with(raw_path=base.raw_path + path.encode()))


async def posted(sdk: "AsyncAnthropic | AsyncOpenAI", url: str, content: bytes) -> httpx2.Response:
    """What the server answers to this JSON, its body still to be read."""
    response: httpx2.Response = await sdk.post(
        url, cast_to=httpx2.Response, content=content, stream=True, stream_cls=None
    )
    return released(response)


def released(response: httpx2.Response) -> httpx2.Response:
    """The response without the request that was sent for it, whose body it would hold for as long as the answer takes."""
    response.request = _SENT
    return response


class _Body(httpx2.AsyncByteStream):
    """A response's bytes as they come, of an error at most MOST_ANSWER_BYTES: the SDKs read those as a whole. Closed before the end, it
    closes the connection; at the end, the connection is free again."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_ANSWER_BYTES if self._response.status >= 400 else inf
        try:
            async for piece in self._response.content.iter_any():
                left -= len(piece)
                if left < 0:
                    raise ModelError("the server sent an error without end", Fault.MALFORMED)
                yield piece
        finally:
            self._response.close()

    async def aclose(self) -> None:
        self._response.close()
