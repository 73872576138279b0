"""Which pages may speak to the server from a browser.

A browser names the page's origin truthfully; anything else can write what it likes, so this protects visitors' browsers and
nothing else. A client without an `Origin` is not a browser and is let through.
"""

import re
from collections.abc import Iterable

from aiohttp import hdrs, web

_SHAPE = re.compile(r"(https?)://([^/?#@\s\\]+)", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """The server's own origin, and those of the config."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self.listed = listed

    @property
    def listed(self) -> Iterable[str]:
        return self._listed

    @listed.setter
    def listed(self, origins: Iterable[str]) -> None:
        self._listed = frozenset(map(_normal, origins))

    def is_allowed(self, request: web.BaseRequest) -> bool:
        """Whether the page that asks is ours, listed, or no page at all."""
        origins = request.headers.getall(hdrs.ORIGIN, ())
        if not origins:
            return True
        origin = _normal(origins[0])
        if len(origins) != 1 or not origin:
            return False
        return origin in self._listed or _is_own(origin, request.headers.get(hdrs.HOST, ""))

    def headers(self, request: web.BaseRequest) -> dict[str, str]:
        """What lets a listed page read the answer. `Vary` keeps caches from mixing pages up."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        if not origin or not self.is_allowed(request):
            return {hdrs.VARY: hdrs.ORIGIN}
        return {hdrs.VARY: hdrs.ORIGIN, hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin}


def _normal(origin: str) -> str:
    """Lower case, without the scheme's own port; "" for what is no web origin (such as `null`)."""
    shape = _SHAPE.fullmatch(origin.lower())
    if not shape:
        return ""
    scheme, place = shape.groups()
    return f"{scheme}://{place.removesuffix(_DEFAULT_PORTS[scheme])}"


def _is_own(origin: str, host: str) -> bool:
    # A proxy that ends TLS leaves us without the scheme, so either is ours when host and port agree.
    scheme, _, place = origin.partition("://")
    return place == host.lower().removesuffix(_DEFAULT_PORTS[scheme])
