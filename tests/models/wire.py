"""The ground under the model servers of the tests: real HTTP on loopback, answers as scripted, faults as they happen, and a ledger.

A provider's server says what its requests must look like and how its answers are written; everything else is here."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self

from aiohttp import web

Body = dict[str, Any]  # a request or answer as JSON


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model of a server makes. `arguments` goes out as the JSON text it is."""

    name: str
    arguments: str = "{}"
    id: str = ""  # "": the server makes one


@dataclass(frozen=True, slots=True)
class Counts:
    """The tokens that an answer reports."""

    input: int = 25
    output: int = 15
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server does with one request: an answer, and how it goes wrong.

    Places in a stream are counted in events (`*_event`, `silent_after`) or in bytes of the body (`cut_after`)."""

    text: str = "Hello, how can I help?"
    chunks: int = 3
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    counts: Counts = Counts()
    finish: str = ""  # "": what fits the answer
    headers: Mapping[str, str] = field(default_factory=dict)
    # --- faults
    status: int = 200
    error: str = ""  # the error's type, with its status or inside a stream
    message: str = "the server says no"
    error_event: int | None = None  # after so many events, an error event
    cut_after: int | None = None  # after so many bytes, the connection breaks
    is_cut_cleanly: bool = False  # then HTTP's own end comes all the same
    is_mute: bool = False  # not even headers
    silent_after: int | None = None  # after so many events, nothing more (0: headers alone; all: no end of HTTP)
    broken_event: int | None = None  # this event's JSON is broken
    raw: bytes | None = None  # these bytes in place of the body
    content_type: str | None = None


@dataclass(slots=True)
class Received:
    """A request as it came, and what became of it."""

    body: Body
    headers: Mapping[str, str]
    status: int = 0
    refusal: str = ""  # why the request was not acceptable
    counts: Counts | None = None  # what was reported to the client
    is_whole: bool = False  # the answer went out to its end


Script = Callable[[Received], Reply]


class ModelServer(ABC):
    """A provider's protocol on a loopback port. Answers with `replies` in their order, then as `script` says, then with `Reply()`."""

    path: ClassVar[str]
    more_paths: ClassVar[tuple[str, ...]] = ()

    def __init__(self, script: Script | None = None) -> None:
        self.replies: deque[Reply] = deque()
        self.script = script
        self.ledger: list[Received] = []
        self.open = 0  # requests that are being answered
        self.peers: set[object] = set()  # connections that a request has come over
        self.port = 0
        self._silent: set[web.StreamResponse] = set()
        self._is_silent = asyncio.Event()
        self._end = asyncio.Event()
        self._runner: web.AppRunner | None = None

    # --- what a provider says

    async def read(self, request: web.Request) -> Body:
        """The body of a request."""
        value = json.loads(await request.read())
        assert isinstance(value, dict), "the body of a request is a JSON object"
        return value

    @abstractmethod
    def refusal(self, body: Body, headers: Mapping[str, str]) -> str:
        """Why a request is not acceptable, or "". As strict as the provider documents."""

    @abstractmethod
    def events(self, reply: Reply, asked: Received) -> Sequence[tuple[str, Body | str]]:
        """An answer as events: the name ("" for none), and JSON or a bare text."""

    @abstractmethod
    def whole(self, reply: Reply, asked: Received) -> Body:
        """An answer in one piece."""

    @abstractmethod
    def failure(self, kind: str, message: str) -> Body:
        """An error as the body of a refusal or as an event."""

    error_name: ClassVar[str] = ""  # of an error event
    ping: ClassVar[bytes] = b": ping\n\n"

    # --- running

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=64_000_000)
        for path in (self.path, *self.more_paths):
            app.router.add_post(path, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        self._end.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def silence(self) -> None:
        """Waits until an answer has fallen silent."""
        await self._is_silent.wait()
        self._is_silent.clear()

    async def say(self, data: bytes) -> None:
        """Bytes for every stream that is silent."""
        for response in tuple(self._silent):
            await response.write(data)

    # --- answering

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Received(await self.read(request), request.headers.copy())
        self.ledger.append(asked)
        self.peers.add(request.transport)
        self.open += 1
        try:
            return await self._act(request, asked)
        finally:
            self.open -= 1

    async def _act(self, request: web.Request, asked: Received) -> web.StreamResponse:
        asked.refusal = self.refusal(asked.body, asked.headers)
        reply = self._reply(asked)
        asked.status = reply.status
        if reply.is_mute:
            await self._hush(request)
            return web.Response(status=503)
        if reply.raw is not None:
            return await self._send(request, reply, reply.raw, reply.content_type or "application/json", asked)
        if reply.status != 200:
            body = json.dumps(self.failure(reply.error or "error", reply.message)).encode()
            return await self._send(request, reply, body, reply.content_type or "application/json", asked)
        asked.counts = reply.counts
        if not asked.body.get("stream"):
            body = json.dumps(self.whole(reply, asked), ensure_ascii=False).encode()
            if reply.error_event is not None:
                body = json.dumps(self.failure(reply.error or "error", reply.message)).encode()
            return await self._send(request, reply, body, reply.content_type or "application/json", asked)
        return await self._stream(request, reply, asked)

    def _reply(self, asked: Received) -> Reply:
        if asked.refusal:
            return Reply(status=400, error="invalid_request_error", message=asked.refusal)
        if self.replies:
            return self.replies.popleft()
        return self.script(asked) if self.script else Reply()

    async def _send(
        self, request: web.Request, reply: Reply, body: bytes, content_type: str, asked: Received
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": content_type})
        response.content_length = len(body)
        await response.prepare(request)
        if reply.silent_after is not None:
            await self._hush(request, response)
            return response
        if reply.cut_after is not None and reply.cut_after < len(body):
            await self._cut(request, response, body[: reply.cut_after])
            return response
        await response.write(body)
        await response.write_eof()
        asked.is_whole = True
        return response

    async def _stream(self, request: web.Request, reply: Reply, asked: Received) -> web.StreamResponse:
        content_type = reply.content_type or "text/event-stream"
        response = web.StreamResponse(headers={**reply.headers, "Content-Type": content_type})
        await response.prepare(request)
        frames = self.frames(reply, asked)
        if reply.cut_after is not None and reply.cut_after < sum(map(len, frames)):
            last = b"".join(frames)[: reply.cut_after]
            await self._cut(request, response, last, is_clean=reply.is_cut_cleanly)
            return response
        for n, frame in enumerate(frames):
            if n == reply.silent_after:
                await self._hush(request, response)
                return response
            await response.write(frame)
        if reply.silent_after is not None:
            await self._hush(request, response)
            return response
        await response.write_eof()
        asked.is_whole = True
        return response

    def frames(self, reply: Reply, asked: Received) -> list[bytes]:
        """A stream's events as bytes."""
        events = list(self.events(reply, asked))
        if reply.error_event is not None:
            failure = self.failure(reply.error or "error", reply.message)
            events[reply.error_event :] = [(self.error_name, failure)]
        frames = [_frame(name, data) for name, data in events]
        if reply.broken_event is not None:
            frames[reply.broken_event] = frames[reply.broken_event].replace(b'":', b'"', 1)
        return frames

    async def _hush(self, request: web.Request, response: web.StreamResponse | None = None) -> None:
        """Silence until the server closes; then the connection breaks."""
        if response is not None:
            self._silent.add(response)
        self._is_silent.set()
        await self._end.wait()
        if request.transport is not None:
            request.transport.close()

    async def _cut(
        self, request: web.Request, response: web.StreamResponse, last: bytes, is_clean: bool = False
    ) -> None:
        if last:
            await response.write(last)
        if is_clean:
            await response.write_eof()
        elif request.transport is not None:
            request.transport.close()


def _frame(name: str, data: Body | str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n").encode()


def pieces(text: str, count: int) -> list[str]:
    """The text in at most `count` pieces of about the same length; none is empty."""
    size = max(1, -(-len(text) // max(1, count)))
    return [text[at : at + size] for at in range(0, len(text), size)]
