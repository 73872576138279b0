"""The public and the private HTTP listener: one router each that denies by default, and caps on what a stranger can hold.

A connection is admitted by its address before it costs more than a socket; its request head has `header_s` to arrive, its
body and handler `body_s`. Handlers never see a forged client address, and no caller ever sees an exception's text.
"""

import asyncio
import errno
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, Protocol, cast

from aiohttp import hdrs, web

from bot.errors import ConfigError, Overloaded, Problem, Refused, StoreUnavailable
from bot.ports import Route

Report = Callable[[], tuple[int, dict[str, Any]]]  # a status and a JSON object, made where the parts are known
Metrics = Callable[[], tuple[bytes, str]]  # the body and its content type
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
IpAddress = IPv4Address | IPv6Address

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


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """Where to listen. `key` is the config section that says so, for error messages. Port 0 takes any free port."""

    host: str
    port: int
    key: str


@dataclass(frozen=True, slots=True)
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
        limits: ListenerLimits | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        limits, proxies = limits or ListenerLimits(), Proxies(trusted_proxies)
        own = [Route(hdrs.METH_GET, "/healthz", _reporting(health)), Route(hdrs.METH_GET, "/readyz", _reporting(ready))]
        inner = [Route(hdrs.METH_GET, "/metrics", _measuring(metrics))]
        self._public = _Listener(public, [*own, *routes], limits, proxies)
        self._private = _Listener(private, [*inner, *private_routes], limits, proxies)

    @property
    def public_port(self) -> int:
        return self._public.port

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


class Proxies:
    """The networks whose word on the client's address is taken."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)

    def __contains__(self, address: IpAddress | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: the peer's own, unless that is a proxy; then the nearest address that is none. What stands
        further left in `X-Forwarded-For` was written by the client and counts for nothing."""
        client = peer
        hops = [hop.strip() for line in forwarded for hop in line.split(",")]
        while parsed(client) in self and hops:
            hop = parsed(hops.pop())
            if hop is None:
                break
            client = str(hop)
        return client


def parsed(text: str) -> IpAddress | None:
    """An address without port, an IPv4 address inside IPv6 as itself; None for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class Gate:
    """Counts connections, in all and by client."""

    def __init__(self, limits: ListenerLimits) -> None:
        self._limits = limits
        self._by_client: dict[str, int] = {}
        self.total = 0

    def admit(self) -> bool:
        """Counts one connection, unless there are too many."""
        if self.total >= self._limits.connections:
            return False
        self.total += 1
        return True

    def release(self) -> None:
        self.total -= 1

    def admit_client(self, client: str) -> bool:
        """Counts one connection of `client`, a value of `counted`, unless it has too many."""
        count = self._by_client.get(client, 0)
        if count >= self._limits.connections_per_address:
            return False
        self._by_client[client] = count + 1
        return True

    def release_client(self, client: str) -> None:
        count = self._by_client[client] - 1
        if count:
            self._by_client[client] = count
        else:
            del self._by_client[client]


def counted(address: str) -> str:
    """What an address is counted under."""
    client = parsed(address)
    if isinstance(client, IPv6Address):
        return str(IPv6Network((client, 64), strict=False))
    return str(client or address)


class _Listener:
    """One port with its application."""

    def __init__(
        self, config: ListenerConfig, routes: Sequence[Route], limits: ListenerLimits, proxies: Proxies
    ) -> None:
        self._config = config
        self._gate = Gate(limits)
        self._proxies = proxies
        app = web.Application(middlewares=[_shield(limits.body_s)], client_max_size=limits.body_bytes)
        if proxies:
            app.middlewares.append(_unproxied(proxies, self._gate))
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

    async def start(self) -> None:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        host, port = self._config.host, self._config.port
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=_BACKLOG)
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

    def _connection(self) -> asyncio.Protocol:
        manager = self._runner.server
        assert manager is not None
        return _Connection(manager, self._gate, self._proxies, self._options)
