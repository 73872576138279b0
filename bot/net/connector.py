"""The connections that lead outwards, and how far each may go.

Promises: no connection is opened to, and no name looked up of, a host outside the perimeter. A PublicConnector also reaches nothing that is
not on the public internet: a name is looked up once, every address that it stands for is checked, and these very addresses are connected to.
"""

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client import ClientTimeout
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.resolver import ThreadedResolver
from aiohttp.tracing import Trace

from bot.net.perimeter import Perimeter, is_private
from bot.text import pattern

KEEPALIVE_S = 60.0

# What a resolver may take for an IPv4 address: https://url.spec.whatwg.org/#ends-in-a-number-checker
_ENDS_IN_A_NUMBER = pattern(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$", re.IGNORECASE)
_UNICAST = IPv6Network("2000::/3")  # https://www.iana.org/assignments/ipv6-address-space
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is meant
# What Python's own list lacks, or has only in newer versions: https://www.iana.org/assignments/iana-ipv4-special-registry (protocol
# assignments, former 6to4 relays) and https://www.iana.org/assignments/iana-ipv6-special-registry (protocol assignments, documentation)
_SET_ASIDE_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_SET_ASIDE_6 = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))


class OutsidePerimeter(aiohttp.ClientError):
    """The host is not among those of `[network] allow`. Nothing was looked up or opened."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} is outside [network] allow")


class NotPublic(aiohttp.ClientError):
    """The host is not on the public internet. Nothing was opened."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is not a public host")


class GuardedConnector(aiohttp.TCPConnector):
    """A pool without a cap that reaches nothing outside the perimeter. Raises OutsidePerimeter."""

    def __init__(self, perimeter: Perimeter, resolver: AbstractResolver | None = None) -> None:
        super().__init__(limit=0, limit_per_host=0, keepalive_timeout=KEEPALIVE_S, resolver=resolver)
        self._perimeter = perimeter

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        host, port = req.url.raw_host or "", req.url.port or 0  # a name as it is looked up, not as it is shown
        if not self._perimeter.allows(host, port):
            raise OutsidePerimeter(host, port)
        return await super().connect(req, traces, timeout)


class PublicConnector(GuardedConnector):
    """The same for public hosts alone. Raises NotPublic."""

    def __init__(self, perimeter: Perimeter, resolver: AbstractResolver | None = None) -> None:
        super().__init__(perimeter, PublicResolver(resolver or ThreadedResolver()))

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        host = req.url.raw_host or ""
        if not may_be_public(host):
            raise NotPublic(host)
        return await super().connect(req, traces, timeout)


class PublicResolver(AbstractResolver):
    """What another resolver finds, if all of it is public: one inner address among others is refused with the rest."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise NotPublic(host)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def may_be_public(host: str) -> bool:
    """False for an address that is not public, however it is written, and for a name that public DNS never answers. Looks nothing up."""
    if ":" in host or _ENDS_IN_A_NUMBER.search(host):
        return is_public(host)
    return not is_private(host)


def is_public(address: str) -> bool:
    """Whether this is an address of one machine on the public internet. An address that carries another (IPv4-mapped, NAT64, 6to4) is
    public only if that one is."""
    try:
        found = ip_address(address.strip("[]"))
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return found.is_global and not found.is_multicast and not any(found in each for each in _SET_ASIDE_4)
    inner = _inner(found)
    if inner is not None:
        return is_public(str(inner))
    return found in _UNICAST and found.is_global and not any(found in each for each in _SET_ASIDE_6)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
