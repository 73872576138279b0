"""Actions that are tools of an MCP server, which is a program that we start (stdio) or an address (streamable HTTP).

One connection for each server, held by one task. The tools are pinned as they were when they were declared: what the model was shown, and
people agreed to, is what is called, or nothing. The SDK is imported when a server is first connected to, and not on the loop's thread.
"""

import asyncio
import hashlib
import importlib
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, SchemaError

from bot.errors import NotSent, Uncertain
from bot.net.perimeter import Perimeter
from bot.ports import Clock
from bot.tools.action import Arguments, Declared, Effect, Parameter, Reply
from bot.tools.schemas import storable, without

if TYPE_CHECKING:
    from bot.tools.mcp_wire import Wire

log = logging.getLogger(__name__)

OPEN_S = 30.0  # to start, to agree on a version, and to tell the tools
FRESH_S = 60.0  # a listing of tools older than this is asked for again before a call
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
GOOD_RUN_S = 120.0  # a connection that lasted this long begins again with the first wait

_DEFINITIONS = "#/$defs/"
_LINKS = ("$ref", "$dynamicRef", "$id", "$anchor", "$dynamicAnchor")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its server tells of it. `is_read` is the server's word, which nobody vouches for."""

    name: str
    title: str
    description: str
    schema: Mapping[str, Any]
    is_read: bool = False

    @property
    def fingerprint(self) -> str:
        """Changes with anything that a model or a person would decide by."""
        told = [self.name, self.title, self.description, self.schema, self.is_read]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached: by `command`, with nothing in its environment but PATH, HOME, LANG and `env`; or at `url`, with `headers`."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    folder: Path | None = None  # where the command runs
    url: str = ""
    headers: Mapping[str, str] | None = None
    perimeter: Perimeter = field(default_factory=lambda: Perimeter(None))


class Server:
    """One MCP server. `run` holds the connection; everything else waits for it, and asks for it if it is down. `hidden`: secrets that it is
    given, which stand in nothing that it says."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        url: str = "",
        headers: Mapping[str, str] | None = None,
        perimeter: Perimeter | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        if bool(command) == bool(url):
            raise ValueError(f"the MCP server {name} has either a command or a url")
        self.name = name
        self._clock = clock
        self._way = Way(tuple(command), env, folder, url, headers, perimeter or Perimeter(None))
        self._hidden = tuple(hidden)
        self._wire: Wire | None = None
        self._failure = "it is not connected to yet"
        self._tried = asyncio.Event()  # the outcome of the latest try is known
        self._wanted = asyncio.Event()  # somebody would rather not wait for the next
        self._openings = 0
        self._is_ended = False
        self._tools: dict[str, Tool] = {}
        self._listed_at: float | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Server"]:
        """Runs for as long as the body does."""
        running = asyncio.create_task(self.run(), name=f"mcp {self.name}")
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def run(self) -> None:
        """Until cancelled: connects, and connects again when it is lost, with backoff. A program that was started is ended with it."""
        wait_s = FIRST_WAIT_S
        try:
            while True:
                started = self._clock.monotonic()
                opened_before = self._openings
                self._failure = await self._hold()
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError  # it came while a broken connection was taken down, and was lost with its errors
                if self._openings == opened_before:
                    self._wanted.clear()
                    self._tried.set()
                if self._clock.monotonic() - started > GOOD_RUN_S:
                    wait_s = FIRST_WAIT_S
                log.warning("MCP server %s: %s; next try in %.0f s", self.name, self._failure, wait_s)
                await self._pause(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        finally:
            self._is_ended = True
            self._failure = "it was shut down"
            self._tried.set()

    async def tools(self) -> list[Tool]:
        """What it offers, as of now. Raises NotSent if it cannot be reached."""
        try:
            async with self._clock.timeout(OPEN_S):
                await self._list(await self._connected())
        except TimeoutError as error:
            raise NotSent(f"the MCP server {self.name} does not answer") from error
        return list(self._tools.values())

    def declared(self, tool: Tool) -> Declared:
        """Pins the tool. Raises ValueError, with words for the operator, if its schema cannot be carried faithfully."""
        try:
            parameters, given = _parameters(tool.schema)
        except ValueError as error:
            raise ValueError(f"the tool {tool.name} of the MCP server {self.name}: {error}") from error
        return Declared(
            description=tool.description,
            parameters=parameters,
            endpoint=McpEndpoint(self, tool),
            given=given,
            origin=f"MCP {self.name}: {tool.name}",
            effect=Effect.READ if tool.is_read else None,
        )

    async def call(self, tool: Tool, arguments: Arguments, key: str, within_s: float) -> Reply:
        """One call of a pinned tool. Raises NotSent and Uncertain as an Endpoint does."""
        has_left = False
        try:
            async with self._clock.timeout(within_s):
                wire = await self._connected()
                await self._check(wire, tool)
                has_left = True
                reply = await wire.call(tool.name, arguments, key)
            return replace(reply, data=self._cleared(reply.data))
        except NotSent as error:
            raise NotSent(self._cleared(str(error)), is_retryable=error.is_retryable) from error
        except Uncertain as error:
            raise Uncertain(self._cleared(str(error))) from error
        except TimeoutError as error:
            if has_left:
                raise Uncertain(f"the MCP server {self.name} did not answer within {within_s:g} s") from error
            raise NotSent(f"the MCP server {self.name} could not be reached within {within_s:g} s") from error

    async def _hold(self) -> str:
        """Connects, and stays until the connection is lost. Why it was."""
        try:
            module = await asyncio.to_thread(importlib.import_module, "bot.tools.mcp_wire")
        except ImportError as error:
            return f"the SDK is missing ({error.name}): install frontdesk[mcp]"
        try:
            async with AsyncExitStack() as stack:
                async with self._clock.timeout(OPEN_S):
                    wire = await stack.enter_async_context(module.connected(self._way, self._forget))
                    await self._list(wire)
                self._wire = wire
                self._openings += 1
                self._wanted.clear()
                self._tried.set()
                log.info("MCP server %s is connected, with %d tools", self.name, len(self._tools))
                await wire.ended.wait()
        except TimeoutError:
            return f"it did not answer within {OPEN_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, it is one server that fails
            return str(self._cleared(_words(error)))
        finally:
            self._wire = None
            self._forget()
        return "the connection was lost"

    def _cleared(self, told: Any) -> Any:  # any JSON value
        for each in self._hidden:
            told = without(told, each)
        return told

    async def _pause(self, seconds: float) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait([pause, wanted], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            wanted.cancel()

    async def _connected(self) -> "Wire":
        """The connection; while there is none, that of the next try."""
        if not self._is_up() and not self._is_ended:
            if self._tried.is_set():
                self._tried.clear()
                self._wanted.set()
            await self._tried.wait()
        if self._wire is None or not self._is_up():
            raise NotSent(f"the MCP server {self.name} cannot be reached: {self._failure}")
        return self._wire

    def _is_up(self) -> bool:
        return self._wire is not None and not self._wire.ended.is_set()

    async def _list(self, wire: "Wire") -> None:
        asked_at = self._clock.monotonic()
        self._tools = {each.name: each for each in await wire.tools()}
        self._listed_at = asked_at

    def _forget(self) -> None:
        """The listing may no longer be right."""
        self._listed_at = None

    async def _check(self, wire: "Wire", tool: Tool) -> None:
        """Raises NotSent if the tool is not what was declared."""
        if self._listed_at is None or self._clock.monotonic() - self._listed_at > FRESH_S:
            await self._list(wire)
        now = self._tools.get(tool.name)
        if now is not None and now.fingerprint == tool.fingerprint:
            return
        what = (
            "has changed since it was declared; restart after reading what it says now"
            if now
            else "is no longer offered"
        )
        log.error("MCP server %s: the tool %s %s", self.name, tool.name, what)
        raise NotSent(f"the tool {tool.name} of the MCP server {self.name} {what}", is_retryable=False)


class McpEndpoint:
    """One tool, pinned. MCP has no way to ask what became of a call."""

    def __init__(self, server: Server, tool: Tool) -> None:
        self._server = server
        self._tool = tool

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        return await self._server.call(self._tool, arguments, key, within_s)

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        raise Uncertain(f"the tool {self._tool.name} of the MCP server {self._server.name} cannot be looked up")


def _parameters(schema: Mapping[str, Any]) -> tuple[tuple[Parameter, ...], dict[str, Any]]:
    """The arguments of a tool, closed, and the schemas that they refer to."""
    schema = storable(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"its schema is not valid: {error.message[:200]}") from error
    given = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if schema.get("type") != "object" or (missing := set(required) - set(properties)):
        raise ValueError(
            "its schema is not that of an object" if schema.get("type") != "object" else f"it requires {missing}"
        )
    made = []
    for name, each in properties.items():
        closed = _closed(each, given)
        title = str(closed.pop("title", ""))
        made.append(Parameter(name, closed, is_required=name in required, title=title))
    return tuple(made), {name: _closed(each, given) for name, each in given.items()}


def _closed(schema: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same, refusing what it does not name and referring only to what is given."""
    if not isinstance(schema, Mapping):
        return {} if schema else {"not": {}}
    made = {key: _inner(key, value, given) for key, value in schema.items()}
    for link in _LINKS:
        if link not in made:
            continue
        place = str(made[link]).replace("#/definitions/", _DEFINITIONS)
        if link != "$ref" or not place.startswith(_DEFINITIONS) or place.removeprefix(_DEFINITIONS) not in given:
            raise ValueError(f"its schema has the reference {made[link]!r}, which cannot be followed")
        made[link] = place
    is_alone = not {"allOf", "anyOf", "oneOf", "if", "$ref", "patternProperties", "additionalProperties"} & set(made)
    if made.get("properties") and is_alone:
        made["additionalProperties"] = False
    return made


def _inner(key: str, value: Any, given: Mapping[str, Any]) -> Any:
    """A keyword's value with the schemas in it closed. https://json-schema.org/draft/2020-12/json-schema-core#section-10"""
    if key in ("properties", "patternProperties", "dependentSchemas") and isinstance(value, Mapping):
        return {name: _closed(each, given) for name, each in value.items()}
    if key in ("items", "additionalProperties", "contains", "not", "if", "then", "else") and isinstance(value, Mapping):
        return _closed(value, given)
    if key in ("allOf", "anyOf", "oneOf", "prefixItems") and isinstance(value, list):
        return [_closed(each, given) if isinstance(each, Mapping) else each for each in value]
    return value


def _words(error: BaseException) -> str:
    """What went wrong, of a group of errors the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(storable(f"{type(error).__name__}: {error}"[:500])) if str(error) else type(error).__name__
