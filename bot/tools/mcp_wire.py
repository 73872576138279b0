"""The SDK's side of a connection to an MCP server: what is sent, and what its answers and failures say about a call. Imported with the SDK,
not before.

Promises: over HTTP nothing outside the perimeter is connected to or looked up, and no connection is used twice, so that a call is never
written into one that the server has already closed; a program's environment holds only what is named.
"""

import asyncio
import json
import logging
import os
import secrets
import shutil
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp import types as told
from mcp.client import ClientSession
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.message import SessionMessage
from pydantic import TypeAdapter, ValidationError

from bot.errors import NotSent, Uncertain
from bot.net.perimeter import Perimeter
from bot.tools.action import Arguments, Reply
from bot.tools.mcp import Tool, Way
from bot.tools.schemas import storable

CONNECT_S = 10.0
MOST_BYTES = 4_000_000  # of an answer
TEXT_CHARS = 100_000
MOST_PAGES = 50  # of a listing of tools
KEPT = ("PATH", "HOME", "LANG")
SAID_CHARS = 500
UNSHOWN = "It was carried out. Its result cannot be shown."

# Errors of our own, in the place of the server's. Drawn anew by each process, so that no server can name them.
_UNSENT, _UNSENT_FOR_GOOD, _EXPIRED, _LOST = (secrets.randbelow(10**9) + 10**9 * each for each in (1, 2, 3, 4))
# What a server says before it has begun: https://modelcontextprotocol.io/specification/draft/basic
_UNBEGUN = (told.HEADER_MISMATCH, told.UNSUPPORTED_PROTOCOL_VERSION)
_IMPOSSIBLE = (told.METHOD_NOT_FOUND, told.MISSING_REQUIRED_CLIENT_CAPABILITY, told.URL_ELICITATION_REQUIRED)

_Streams = tuple["_Watched", Any]
_RESULT: TypeAdapter[told.CallToolResult | told.InputRequiredResult] = TypeAdapter(
    told.CallToolResult | told.InputRequiredResult
)

for _name in ("mcp", "client", "httpx2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # their lines hold what servers answer


class Wire:
    """An open connection. `ended` is set when it is lost."""

    def __init__(self, session: ClientSession, ended: asyncio.Event) -> None:
        self.ended = ended
        self._session = session

    async def tools(self) -> list[Tool]:
        """Raises NotSent."""
        found: list[Tool] = []
        cursor: str | None = None
        try:
            for _ in range(MOST_PAGES):
                page = await self._session.list_tools(params=told.PaginatedRequestParams(cursor=cursor))
                found += map(_tool, page.tools)
                cursor = page.next_cursor
                if not cursor:
                    return found
        except (MCPError, ValidationError) as error:
            self._notice(error)
            raise NotSent(f"its tools cannot be listed: {_said(error)}") from error
        raise NotSent("its list of tools has no end")

    async def call(self, name: str, arguments: Arguments, key: str) -> Reply:
        """Raises NotSent and Uncertain."""
        if self.ended.is_set():
            raise NotSent("the connection was lost before the call")
        meta: Any = {"idempotency_key": key}  # an open map, which its type cannot say
        asked = told.CallToolRequest(
            params=told.CallToolRequestParams(name=name, arguments=dict(arguments), _meta=meta)
        )
        try:
            result = await self._session.send_request(asked, _RESULT)
        except MCPError as error:
            self._notice(error)
            return _failed(name, error)
        except ValidationError as error:
            raise Uncertain(f"the answer to {name} is none of the protocol's") from error
        if isinstance(result, told.InputRequiredResult):
            raise Uncertain(f"{name} asks for more before it goes on, which cannot be given")
        return _reply(result)

    def _notice(self, error: MCPError | ValidationError) -> None:
        """A session that the server has forgotten is over; the next call begins another."""
        if isinstance(error, MCPError) and error.code == _EXPIRED:
            self.ended.set()


def connected(way: Way, changed: Callable[[], None]) -> AbstractAsyncContextManager[Wire]:
    """Connects, and agrees on a version of the protocol. `changed` is called when the server says that its tools have changed."""
    return _connected(way, changed)


@asynccontextmanager
async def _connected(way: Way, changed: Callable[[], None]) -> AsyncIterator[Wire]:
    ended = asyncio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, told.ToolListChangedNotification):
            changed()

    transport = _program(way, ended) if way.command else _address(way, ended)
    ours = told.Implementation(name="frontdesk", version="1")
    async with (
        Client(transport, message_handler=heard, client_info=ours, cache=None) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_follow, client, changed)
        yield Wire(client.session, ended)
        tasks.cancel_scope.cancel()


async def _follow(client: Client, changed: Callable[[], None]) -> None:
    """Asks to be told of changes, where the protocol's version has it that one asks. A server that does not do it is asked for its tools from
    time to time all the same."""
    try:
        async with client.listen(tools_list_changed=True) as events:
            async for _ in events:
                changed()
    except (MCPError, ListenNotSupportedError, SubscriptionLost, TimeoutError):
        return


@asynccontextmanager
async def _program(way: Way, ended: asyncio.Event) -> AsyncIterator[_Streams]:
    """Starts the program. The SDK adds variables of its own to the environment; `env -u` takes them away again, on a command line that
    shows no value."""
    environment = {name: value for name in KEPT if (value := os.environ.get(name)) is not None} | dict(way.env or {})
    added = [name for name in get_default_environment() if name not in environment]
    folder = None if way.folder is None else str(way.folder)
    program = _found(way.command[0], environment, folder)
    unset = [part for name in added for part in ("-u", name)]
    parameters = StdioServerParameters(
        command="/usr/bin/env", args=[*unset, program, *way.command[1:]], env=environment, cwd=folder
    )
    async with _overheard() as (ear, last):
        try:
            async with stdio_client(parameters, errlog=ear) as (read, write):
                yield _Watched(read, ended), write
        except Exception as error:
            if last:
                raise ConnectionError(f"{type(error).__name__}; it said: {' '.join(last)[-SAID_CHARS:]}") from error
            raise


def _found(program: str, environment: Mapping[str, str], folder: str | None) -> str:
    inside = os.path.join(folder or "", program) if os.path.dirname(program) else program
    found = shutil.which(inside, path=environment.get("PATH"))
    if found is None:
        raise FileNotFoundError(f"there is no program {program}")
    return os.path.abspath(found)


@asynccontextmanager
async def _overheard() -> AsyncIterator[tuple[Any, deque[str]]]:
    """A file for what a program says on its standard error, and the last lines of it: they would fill the log with other people's words, but
    are all there is when it does not start."""
    last: deque[str] = deque(maxlen=5)
    reading, writing = os.pipe()
    stream = asyncio.StreamReader(limit=65_536)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
    )

    async def listen() -> None:
        while piece := await stream.read(4_096):
            last.extend(line[:SAID_CHARS] for line in piece.decode(errors="replace").splitlines())

    with os.fdopen(writing, "wb", buffering=0) as ear:
        listening = asyncio.create_task(listen())
        try:
            yield ear, last
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            transport.close()


@asynccontextmanager
async def _address(way: Way, ended: asyncio.Event) -> AsyncIterator[_Streams]:
    async with (
        httpx2.AsyncClient(
            transport=_Guard(way.perimeter),
            headers={**(way.headers or {}), "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        streamable_http_client(way.url, http_client=client) as (read, write),
    ):
        yield _Watched(read, ended), write


class _Watched:
    """A stream of what the server says that tells when it ends."""

    def __init__(self, stream: Any, ended: asyncio.Event) -> None:  # the SDK's own type for it is not public
        self._stream = stream
        self._ended = ended

    async def receive(self) -> SessionMessage | Exception:
        try:
            return await self._stream.receive()  # type: ignore[no-any-return]
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._ended.set()
            raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._ended.set()
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Guard(httpx2.AsyncHTTPTransport):
    """Keeps the perimeter, and tells a message that never reached the server from one that may have: the first fails alone, as an error of
    the protocol with a code of ours, where the SDK would give up the connection."""

    def __init__(self, perimeter: Perimeter) -> None:
        super().__init__(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
        self._perimeter = perimeter

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
        if not self._perimeter.allows(url.raw_host.decode(), port):
            return _answer(request, _UNSENT_FOR_GOOD, f"{url.host}:{port} is outside [network] allow")
        try:
            response = await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol) as error:
            return _answer(request, _UNSENT, f"{url.host}:{port} cannot be connected to: {error}")
        except httpx2.TransportError as error:
            return _answer(request, _LOST, f"the connection was lost: {type(error).__name__}")
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await response.aclose()
            return _answer(request, _LOST, "the answer is packed, which was not asked for")
        if request.method == "POST" and 400 <= response.status_code < 500 and response.status_code != 408:
            return await self._turned_away(request, response)
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            response.stream = _Bounded(response)
        return response

    async def _turned_away(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """A server that does not take a message says so with such a status:
        https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server"""
        status = response.status_code
        response.stream = _Bounded(response)
        try:
            body = await response.aread()
        except httpx2.TransportError:
            body = b""
        finally:
            await response.aclose()
        if status == 404 and "mcp-session-id" in request.headers:
            return _answer(request, _EXPIRED, "the session has expired")
        error = _error(body)
        if error is not None and error.code in (told.METHOD_NOT_FOUND, told.INVALID_PARAMS, *_UNBEGUN, *_IMPOSSIBLE):
            return httpx2.Response(status, headers={"content-type": "application/json"}, content=body, request=request)
        code = _UNSENT if status == 429 else _UNSENT_FOR_GOOD
        return _answer(request, code, f"it answers with {status}{f': {error.message}' if error else ''}"[:SAID_CHARS])


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of an answer, up to a limit."""

    def __init__(self, response: httpx2.Response) -> None:
        self._stream: Any = response.stream  # of an asynchronous client it is always an asynchronous one

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx2.ReadError("the answer is too long")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _answer(request: httpx2.Request, code: int, message: str) -> httpx2.Response:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(503, json=error, request=request)


def _error(body: bytes) -> told.ErrorData | None:
    try:
        return told.JSONRPCError.model_validate_json(body).error
    except ValidationError:
        return None


def _tool(tool: told.Tool) -> Tool:
    hints = tool.annotations
    return Tool(
        tool.name,
        str(storable(tool.title or (hints.title if hints else "") or "")),
        str(storable(tool.description or "")),
        tool.input_schema,
        is_read=bool(hints and hints.read_only_hint),
    )


def _failed(name: str, error: MCPError) -> Reply:
    """What an error says about the call. Only what a server says before it begins is certain."""
    if error.code in (_UNSENT, _UNSENT_FOR_GOOD, _EXPIRED, *_UNBEGUN, *_IMPOSSIBLE):
        raise NotSent(_said(error), is_retryable=error.code in (_UNSENT, _EXPIRED, *_UNBEGUN)) from error
    if error.code == told.INVALID_PARAMS:
        return Reply(storable(error.message[:TEXT_CHARS]), is_refused=True)
    raise Uncertain(f"{name}: {_said(error)}") from error


def _said(error: MCPError | ValidationError) -> str:
    return (
        str(storable(error.message[:SAID_CHARS]))
        if isinstance(error, MCPError)
        else "an answer that is none of the protocol's"
    )


def _reply(result: told.CallToolResult) -> Reply:
    """Structured content if there is any, and else the text; that of a server which writes JSON as text is read."""
    text = str(storable("\n".join(map(_named, result.content))[:TEXT_CHARS]))
    if result.is_error:
        return Reply(text or "it failed", is_refused=True, is_vague=True)  # any exception of a tool comes so
    if result.structured_content is not None:
        return Reply(_shown(result.structured_content))
    if len(result.content) == 1 and text.startswith(("{", "[")):
        try:
            return Reply(storable(json.loads(text, parse_constant=_no_number)))
        except (ValueError, RecursionError):
            return Reply(text)
    return Reply(text)


def _shown(data: Mapping[str, Any]) -> Any:  # any JSON value
    try:
        return storable(data)
    except ValueError:
        return UNSHOWN


def _no_number(name: str) -> None:
    raise ValueError(name)


def _named(part: told.ContentBlock) -> str:
    """Text as it is; anything else by its name. Nothing is followed."""
    match part:
        case told.TextContent():
            return part.text
        case told.ImageContent() | told.AudioContent():
            return f"({part.type}: {part.mime_type})"
        case told.ResourceLink():
            return f"(resource: {part.name}, {part.uri})"
        case told.EmbeddedResource():
            return f"(resource: {part.resource.uri})"
