"""The public and the private HTTP listener: one router each that denies by default, and caps on what a stranger can hold.

A connection is admitted by its address before it costs more than a socket; its request head has `header_s` to arrive, its
body and handler `body_s`. Handlers never see a forged client address, and no caller ever sees an exception's text.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, cast

from aiohttp import hdrs, web

from bot.errors import ConfigError, Overloaded, Problem, Refused, StoreUnavailable
from bot.model import value
from bot.net.gate import Gate, Proxies, counted, parsed
from bot.ports import Clock, Route

Report = Callable[[], tuple[int, dict[str, Any]]]  # a status and a JSON object, made where the parts are known
Metrics = Callable[[], tuple[bytes, str]]  # the body and its content type
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)

_LINE_BYTES: Final = 8190
_HEADERS: Final = 64
_LINGER_S: Final = 2.0
_BACKLOG: Final = 4096
_PLAIN: Final = {
    400: ("bad_request", "This request cannot be understood."),
    404: ("not_found", "There is nothing here."),
    405: ("bad_method", "This cannot be done here."),
    408: ("too_slow", "This took too long."),
    413: ("too_large", "This is too large."),
    500: ("failed", "Something went wrong on our side. Please try again."),
    503: ("busy", "There is a lot going on right now. Please try again in a moment."),
}


@value
class ListenerConfig:
    """Where to listen. `key` is the config section that says so, for error messages. Port 0 takes any free port."""

    host: str
    port: int
    key: str


@value
class ListenerLimits:
    """`[limits]` of the listeners. Connections are counted by client address (IPv6: by /64, which one host has to itself)."""

    connections: int = 20_000
    connections_per_address: int = 200
    header_s: float = 15.0
    body_s: float = 150.0
    body_bytes: int = 1024 * 1024


class Listeners:
    """Both listeners. `trusted_proxies` are the networks whose `X-Forwarded-For` is believed."""

    def __init__(
        self,
        *,
        public: ListenerConfig,
        private: ListenerConfig,
        routes: Sequence[Route],
        private_routes: Sequence[Route],
        health: Report,
        ready: Report,
        metrics: Metrics,
        clock: Clock,
        limits: ListenerLimits | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        limits, proxies = limits or ListenerLimits(), Proxies(trusted_proxies)
        own = [Route(hdrs.METH_GET, "/healthz", _reporting(health)), Route(hdrs.METH_GET, "/readyz", _reporting(ready))]
        inner = [Route(hdrs.METH_GET, "/metrics", _measuring(metrics))]
        self._public = _Listener(public, [*own, *routes], limits, proxies, clock)
        self._private = _Listener(private, [*inner, *private_routes], limits, proxies, clock)

    @property
    def public_port(self) -> int:
        return self._public.port

    @property
    def public_connections(self) -> int:
        """Open now, chat sockets and all others."""
        return self._public.connections

    @property
    def private_port(self) -> int:
        return self._private.port

    async def start(self) -> None:
        """Listens on both. Raises ConfigError, naming the key, where a port cannot be had; then neither listens."""
        await self._private.start()
        try:
            await self._public.start()
        except BaseException:
            await self._private.stop(0.0)
            raise

    async def stop(self, grace_s: float = 5.0) -> None:
        """Accepts nothing more at once, and gives what is under way `grace_s`."""
        await asyncio.gather(self._public.stop(grace_s), self._private.stop(grace_s))


class _Listener:
    """One port with its application."""

    def __init__(
        self,
        config: ListenerConfig,
        routes: Sequence[Route],
        limits: ListenerLimits,
        proxies: Proxies,
        clock: Clock,
    ) -> None:
        self._config = config
        self._gate = Gate(limits.connections, limits.connections_per_address)
        self._proxies = proxies
        app = web.Application(middlewares=[_shield(limits.body_s, clock)], client_max_size=limits.body_bytes)
        if proxies:
            app.middlewares.append(_behind(proxies, self._gate))
        for route in routes:
            app.router.add_route(route.method, route.path, route.handler)
        app.on_response_prepare.append(_unbranded)
        self._options: dict[str, Any] = {  # keyword arguments of aiohttp's RequestHandler
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": limits.header_s,
            "lingering_time": _LINGER_S,
            "max_field_size": _LINE_BYTES,
            "max_headers": _HEADERS,
            "max_line_size": _LINE_BYTES,
        }
        self._runner = web.AppRunner(app, **self._options)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return cast(int, self._server.sockets[0].getsockname()[1]) if self._server else self._config.port

    @property
    def connections(self) -> int:
        return self._gate.total

    async def start(self) -> None:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        manager = cast(web.Server, self._runner.server)  # there since setup
        connection = partial(_Connection, manager, self._gate, self._proxies, self._options)
        try:
            host, port = self._config.host, self._config.port
            self._server = await loop.create_server(connection, host, port, backlog=_BACKLOG)
        except OSError as failure:
            await self._runner.cleanup()
            raise ConfigError([_unheard(self._config, failure)]) from failure

    async def stop(self, grace_s: float) -> None:
        if self._server is None:
            return
        self._server.close()
        manager = self._runner.server
        if manager is not None:
            manager.pre_shutdown()
            await manager.shutdown(grace_s)
        await self._runner.cleanup()
        self._server = None


class _Connection(web.RequestHandler):
    """One connection: counted from its first moment, and plain in what it says of a request that cannot be parsed."""

    __slots__ = ("_client", "_gate", "_is_admitted", "_proxies")

    def __init__(self, manager: web.Server, gate: Gate, proxies: Proxies, options: dict[str, Any]) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)
        self._gate = gate
        self._proxies = proxies
        self._client = ""  # "" for a proxy, whose requests are counted by their own clients
        self._is_admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._admit(transport):
            super().connection_made(transport)
        else:
            transport = cast(asyncio.Transport, transport)
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            transport.close()

    def _admit(self, transport: asyncio.BaseTransport) -> bool:
        peer = (transport.get_extra_info("peername") or ("",))[0]
        if not self._gate.admit():
            return False
        if not (self._proxies and parsed(peer) in self._proxies):
            client = counted(peer)
            if not self._gate.admit_client(client):
                self._gate.release()
                return False
            self._client = client
        self._is_admitted = True
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_admitted:
            self._is_admitted = False
            self._gate.release()
            if self._client:
                self._gate.release_client(self._client)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what never reached a handler. What strangers send is no event for the log."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        _log.debug("a request could not be served: %s", type(exc).__name__)
        response = _plain(status)
        response.headers[hdrs.SERVER] = ""  # keeps aiohttp from naming itself and its version
        response.force_close()
        return response


# --- around every handler ------------------------------------------------------------------------------------------


def _shield(body_s: float, clock: Clock) -> Any:  # aiohttp's decorator loses the type of what it wraps
    """Answers every failure with a plain sentence, and gives a request with a body `body_s` from head to answer."""

    @web.middleware
    async def shield(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not request.body_exists:
                return await handler(request)
            async with clock.timeout(body_s):
                answer = await handler(request)
        except Exception as failure:  # noqa: BLE001  the boundary to strangers: nothing passes but a plain sentence
            return _answer(request, failure)
        return answer

    return shield


def _answer(request: web.Request, failure: Exception) -> web.Response:
    match failure:
        case web.HTTPException() if failure.status >= 400:
            return _plain(failure.status, failure.headers.get(hdrs.ALLOW, ""))
        case web.HTTPException() | ConnectionError():
            raise failure
        case Refused():
            return web.json_response({"code": failure.code, "detail": failure.detail}, status=400)
        case Overloaded() | StoreUnavailable():
            return _ended(request, 503)
        case TimeoutError():
            return _ended(request, 408)
    _log.error("%s %r failed", request.method, request.path, exc_info=failure)
    return _ended(request, 500)


def _ended(request: web.Request, status: int) -> web.Response:
    """The plain answer, where there is not another one under way: then only the connection can end."""
    if request.writer.output_size > 0:
        raise ConnectionResetError("an answer is under way already")
    response = _plain(status)
    response.force_close()
    return response


def _plain(status: int, allow: str = "") -> web.Response:
    code, detail = _PLAIN.get(status, _PLAIN[400 if status < 500 else 500])
    headers = {"X-Content-Type-Options": "nosniff"}
    if allow:
        headers[hdrs.ALLOW] = allow
    if status == 503:
        headers[hdrs.RETRY_AFTER] = "1"
    return web.json_response({"code": code, "detail": detail}, status=status, headers=headers)


def _behind(proxies: Proxies, gate: Gate) -> Any:  # aiohttp's decorator loses the type of what it wraps
    """Gives handlers the client's own address as `request.remote`, and counts it for as long as the request lasts."""

    @web.middleware
    async def unproxied(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote or ""
        if parsed(peer) not in proxies:
            return await handler(request)
        address = proxies.client(peer, request.headers.getall("X-Forwarded-For", []))
        client = counted(address)
        if not gate.admit_client(client):
            return _plain(503)
        try:
            return await handler(request.clone(remote=address))
        finally:
            gate.release_client(client)

    return unproxied


async def _unbranded(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)


def _reporting(report: Report) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        status, body = report()
        return web.json_response(body, status=status, headers={hdrs.CACHE_CONTROL: "no-store"})

    return answer


def _measuring(metrics: Metrics) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        body, content_type = metrics()
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"})

    return answer


def _unheard(config: ListenerConfig, failure: OSError) -> Problem:
    where = f"{config.host}:{config.port}"
    if failure.errno == errno.EADDRINUSE:
        what = f"another program listens on {where} already"
        return Problem(f"{config.key}.port", what, "Stop it, or choose another port.")
    if failure.errno == errno.EACCES:
        return Problem(f"{config.key}.port", f"this user may not listen on {where}", "Choose a port above 1023.")
    return Problem(f"{config.key}.host", f"this machine cannot listen on {where}", "Write an address of this machine.")
