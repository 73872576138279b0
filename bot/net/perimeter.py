"""The perimeter of `[network] allow`: which hosts anything of ours may speak to.

Promise: with a perimeter set, no connection is opened to, and no name is looked up of, a host that is not listed. This machine itself
(loopback) is never outside. Every client that speaks outwards is made with it.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from bot.text import pattern

_NAME = pattern(r"(?=.{1,253}$)(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
# The ports that a URL means when it names none: https://url.spec.whatwg.org/#special-scheme
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# RFC 6761 (localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN's resolution of 2024-07-29 (internal).
_INNER = (".localhost", ".local", ".home.arpa", ".internal")


def is_destination(text: str) -> bool:
    """Whether `text` can stand in `[network] allow`."""
    return _parsed(text) is not None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself, by an address or as `localhost`. No name is looked up."""
    address = _address(host)
    return address.is_loopback if address else host.lower() == "localhost"


def is_private(host: str) -> bool:
    """Whether `host` is certainly not on the public internet: an address that is not routed there, or a name that public DNS never
    answers (a single label, or one below a suffix that is set aside for inner use). No name is looked up."""
    address = _address(host)
    if address:
        return not address.is_global
    name = host.lower().rstrip(".")
    return "." not in name or name.endswith(_INNER)


class Perimeter:
    """What may be spoken to. `allow` None: everything."""

    def __init__(self, allow: Sequence[str] | None) -> None:
        self._rules = None if allow is None else [rule for each in allow if (rule := _parsed(each)) is not None]

    def allows(self, host: str, port: int) -> bool:
        """Decides from the name as it was written; a name is never looked up to decide."""
        if self._rules is None or is_loopback(host):
            return True
        return any(_fits(where, host) and at in (None, port) for where, at in self._rules)

    def allows_url(self, url: str) -> bool:
        """The same for an address; one without a host, or with a port that is none, is allowed only where everything is."""
        if self._rules is None:
            return True
        try:
            parts = urlsplit(url)
            port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except ValueError:
            return False
        return self.allows(parts.hostname or "", port)


_Where = str | IPv4Network | IPv6Network


def _parsed(text: str) -> tuple[_Where, int | None] | None:
    host, port = _split(text.strip().lower())
    if not text.isascii() or (port is not None and not 1 <= port <= 65_535):
        return None
    try:
        return ip_network(host), port
    except ValueError:
        is_name = _NAME.fullmatch(host) is not None and not host.replace(".", "").isdigit()
        return (host, port) if is_name else None


def _split(text: str) -> tuple[str, int | None]:
    """A host and the port behind it: None where there is none, 0 where it is no port."""
    if text.startswith("["):
        host, end, rest = text[1:].partition("]")
        return host, int(rest[1:]) if re.fullmatch(r":[0-9]{1,5}", rest) else (None if end and not rest else 0)
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host:
        return host, int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
    return text, None


def _fits(where: _Where, host: str) -> bool:
    if isinstance(where, str):
        name = host.lower().rstrip(".")
        return name.endswith(where[1:]) and name != where[1:] if where.startswith("*.") else name == where
    address = _address(host)
    return address is not None and address in where


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """`host` as an address; an IPv4 address in IPv6 clothes is what it will be spoken to as."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
