"""Who may ask: the session in the cookie, the page that a request comes from, the token against forged requests."""

import hashlib
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from bot.console.room import Room
from bot.errors import Refused
from bot.net.gate import counted
from bot.operators.roles import Right
from bot.operators.signing_in import Session, is_csrf
from bot.store import sessions
from bot.store.sessions import Signed

COOKIE: Final = "frontdesk_console"
CSRF: Final = "X-CSRF"
PATH: Final = "/console"
_PORTS: Final = {"http": ":80", "https": ":443"}


async def signed_in(room: Room, request: web.Request) -> Signed:
    """Who asks; a request that changes something has to come from our page. Raises Refused("signed_out" | "bad_origin" | "bad_token" |
    "not_allowed")."""
    is_change = request.method not in (hdrs.METH_GET, hdrs.METH_HEAD)
    if is_change:
        check_origin(room, request)
    signed = await room.signing.session(token_of(request))
    if signed is None:
        raise Refused("signed_out", "Your session is over. Sign in again.")
    if is_change and not is_csrf(signed, request.headers.get(CSRF, "")):
        raise Refused("bad_token", "This did not come from your page. Reload it and try again.")
    if not signed.operator.may(Right.SEE):
        raise Refused("not_allowed", "Your account may not see this.")
    return signed


def check_origin(room: Room, request: web.BaseRequest) -> None:
    """Raises Refused unless a page of ours asks. What names no page is no browser of an operator, and has no business here."""
    origins = request.headers.getall(hdrs.ORIGIN, ())
    if len(origins) != 1 or not _is_ours(origins[0], request.headers.get(hdrs.HOST, ""), room.settings().public_url):
        raise Refused("bad_origin", "This request comes from a page that is not this console.")


async def is_still_in(room: Room, token: str) -> Signed | None:
    """As `Signing.session`, but it does not count as use: a page that nobody touches is signed out in time."""
    hash_ = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    now = room.clock.now_ms()
    rows = await room.store.read(sessions.SESSION, {"hash": hash_, **sessions.open_at(now)})
    return sessions.signed_of(rows[0], now) if rows else None


def address_of(request: web.BaseRequest) -> str:
    """What wrong tries are counted for: an address, or the whole network that one host has to itself."""
    return counted(request.remote or "")


def token_of(request: web.BaseRequest) -> str:
    return request.cookies.get(COOKIE, "")


def admit(room: Room, response: web.Response, session: Session) -> None:
    """Gives the browser the session: no script reads it, no other site sends it."""
    _set(room, response, session.token, sessions.MOST_MS // 1000)


def dismiss(room: Room, response: web.Response) -> None:
    _set(room, response, "", 0)


def _set(room: Room, response: web.Response, token: str, lasts_s: int) -> None:
    is_secure = room.settings().public_url.startswith("https:")
    response.set_cookie(COOKIE, token, max_age=lasts_s, path=PATH, httponly=True, samesite="Strict", secure=is_secure)


def _is_ours(origin: str, host: str, public_url: str) -> bool:
    named = _origin(origin)
    if not named:
        return False
    public = _origin(public_url)
    if public and urlsplit(named).hostname == urlsplit(public).hostname:
        return named == public  # its scheme is known: over http anybody on the way could be its page
    # A proxy that ends TLS leaves us without the scheme, so either is ours when host and port agree.
    return any(named == _origin(f"{scheme}://{host}") for scheme in _PORTS)


def _origin(url: str) -> str:
    """Scheme, host and port in lower case, without the scheme's own port; "" for what is none."""
    try:
        parts = urlsplit(url.lower())
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not parts.netloc or "@" in parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS[parts.scheme])}"
