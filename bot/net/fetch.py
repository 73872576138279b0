"""The one client of everything outside: it reads what others keep (files that people sent, documents, whatever a URL names), and makes the
calls of actions.

Promises: http and https alone; only public addresses, and the origins that the config itself names; at most REDIRECTS_MOST redirects, each of
them checked like the first; headers (credentials) reach no other origin than the one they were given for; nothing is read past the caps of
size and time, nothing is unpacked, no cookie is kept; a call is sent once, and its failure tells whether it may have arrived.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client import ClientTimeout
from yarl import URL

from bot.errors import FetchError, NotSent, Uncertain
from bot.net.calls import FOLLOWING, PIECE_BYTES, Answered, Passage, Request, check_headers, is_put_off, tracing, whole
from bot.net.connector import GuardedConnector, NotPublic, OutsidePerimeter, PublicConnector
from bot.net.perimeter import Perimeter
from bot.ports import Clock, Fetched

T = TypeVar("T")

REDIRECTS_MOST = 3
TOTAL_S = 30.0  # from the request to the last byte
IDLE_S = 10.0  # without a byte

REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110, section 15.4
_PASSING = frozenset({408, 425, 429})  # what another try may find otherwise, like every 5xx
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Frontdesk"}
_LASTING = (
    OutsidePerimeter,
    NotPublic,
    ValueError,  # a host that has no name in DNS
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
)


class TooLarge(FetchError):
    """There is more of it than may be read."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, is_retryable=False)


class Fetcher:
    """Reads URLs. One for the process; its connections are opened on first use, inside the running loop. `resolver`: in place of the
    machine's own."""

    def __init__(
        self, perimeter: Perimeter, clock: Clock, most_bytes: int, resolver: AbstractResolver | None = None
    ) -> None:
        self._perimeter = perimeter
        self._clock = clock
        self._most_bytes = most_bytes
        self._resolver = resolver
        self._public: aiohttp.ClientSession | None = None
        self._named: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AsyncIterator[Fetched]:
        """See `bot.ports.Host.fetch`. A connection to a `trusted` origin is never used for anyone who does not trust it."""
        patience = _Patience(self._clock)
        named = origins_of(trusted)
        response = await self._open(parsed(url), dict(headers or {}), named, patience)
        try:
            async with aclosing(self._pieces(response, patience)) as pieces:
                yield Fetched(str(response.url), response.content_type.lower(), response.content_length or 0, pieces)
        finally:
            response.close()

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        content_type: str = "",
        most_bytes: int,
        within_s: float,
        trusted: Sequence[str] = (),
        is_read: bool = False,
    ) -> Answered:
        """Any whole answer, whatever its status; at most `most_bytes` of it. Redirects are followed for GET and HEAD alone. `is_read`: it may
        go over a connection that is open already, and leave a second time where that turns out to be closed.

        Raises NotSent when it certainly did not arrive, or was turned away for now (429, 503 with Retry-After), and Uncertain when it may
        have arrived. Not repeated here."""
        passage = Passage()
        try:
            at = parsed(url)
            check_headers(headers)
            sent = dict(headers) | ({"Content-Type": content_type} if content_type else {})
            named = origins_of(trusted)
            async with self._clock.timeout(within_s):
                return await self._call(Request(method, at, sent, body, is_read), named, most_bytes, passage)
        except FetchError as error:
            raise passage.failure(str(error), is_retryable=error.is_retryable) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure = failure_of(error, at)
            raise passage.failure(str(failure), is_retryable=failure.is_retryable) from error

    def connector(self) -> aiohttp.BaseConnector:
        """A pool of its own for an SDK, within the perimeter. The caller closes it."""
        return GuardedConnector(self._perimeter)

    def session_for(self, at: URL, named: frozenset[URL]) -> aiohttp.ClientSession:
        """The session whose checks fit the address: of all addresses only public ones, but for the `named` origins."""
        if at.origin() in named:
            if self._named is None:
                self._named = _session(GuardedConnector(self._perimeter, self._resolver))
            return self._named
        if self._public is None:
            self._public = _session(PublicConnector(self._perimeter, self._resolver))
        return self._public

    async def close(self) -> None:
        """Closes every connection. Safe to repeat."""
        sessions = (self._public, self._named)
        self._public = self._named = None
        for session in sessions:
            if session is not None:
                await session.close()

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _open(
        self, at: URL, headers: dict[str, str], named: frozenset[URL], patience: "_Patience"
    ) -> aiohttp.ClientResponse:
        """The answer behind all redirects, its body still to be read."""
        for _ in range(REDIRECTS_MOST + 1):
            response = await self._ask(at, headers, named, patience)
            if response.status not in REDIRECTS:
                return _accepted(response, at)
            target = target_of(response, at)
            if target.origin() != at.origin():
                headers = {}
            at = target
        raise FetchError(f"{_shown(at)}: more than {REDIRECTS_MOST} redirects", is_retryable=False)

    async def _ask(
        self, at: URL, headers: Mapping[str, str], named: frozenset[URL], patience: "_Patience"
    ) -> aiohttp.ClientResponse:
        session = self.session_for(at, named)
        try:
            return await patience.wait(lambda: session.get(at, headers=headers, allow_redirects=False))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise failure_of(error, at) from error

    async def _call(self, request: Request, named: frozenset[URL], most_bytes: int, passage: Passage) -> Answered:
        for hop in range(REDIRECTS_MOST + 1):
            async with self._session_of(request, named) as session, request.sent(session, passage) as response:
                if request.method not in FOLLOWING or response.status not in REDIRECTS:
                    if is_put_off(response):
                        detail = f"{_shown(request.at)}: answered {response.status}"
                        raise Uncertain(detail) if hop else NotSent(detail)
                    return await whole(response, most_bytes)
                request = request.moved(target_of(response, request.at))
        raise FetchError(f"{_shown(request.at)}: more than {REDIRECTS_MOST} redirects", is_retryable=False)

    @asynccontextmanager
    async def _session_of(self, request: Request, named: frozenset[URL]) -> AsyncIterator[aiohttp.ClientSession]:
        """One with connections of its own for what may have an effect: a connection that has been idle may be closed by the time that it is
        used, and then nobody knows what became of the request."""
        if request.is_read:
            yield self.session_for(request.at, named)
            return
        kind = GuardedConnector if request.at.origin() in named else PublicConnector
        async with _session(kind(self._perimeter, self._resolver)) as session:
            yield session

    async def _pieces(self, response: aiohttp.ClientResponse, patience: "_Patience") -> AsyncGenerator[bytes, None]:
        left = self._most_bytes
        if (response.content_length or 0) > left:
            raise TooLarge(f"{_shown(response.url)}: more than {self._most_bytes} bytes")
        while piece := await self._piece(response, patience):
            left -= len(piece)
            if left < 0:
                raise TooLarge(f"{_shown(response.url)}: more than {self._most_bytes} bytes")
            yield piece

    async def _piece(self, response: aiohttp.ClientResponse, patience: "_Patience") -> bytes:
        try:
            return await patience.wait(lambda: response.content.read(PIECE_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise failure_of(error, response.url) from error


class _Patience:
    """How long one fetch may take: IDLE_S for each wait, TOTAL_S in all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end = clock.monotonic() + TOTAL_S

    async def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """What comes of what is begun. Raises TimeoutError, also where there would be no wait."""
        left_s = self._end - self._clock.monotonic()
        if left_s <= 0:
            raise TimeoutError
        async with self._clock.timeout(min(IDLE_S, left_s)):
            return await begin()


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers=_HEADERS,
        timeout=ClientTimeout(total=None, sock_connect=None),
        trust_env=False,
        trace_configs=[tracing()],
    )


# --- URLs and answers --------------------------------------------------------------------------------------------------


def parsed(text: str) -> URL:
    """Parsed by the library that connects, so that both read the same host. Raises FetchError for what is no plain web address."""
    try:
        at = URL(text)
        is_whole = at.scheme in ("http", "https") and bool(at.host) and at.port != 0
        is_plain = at.user is None and at.password is None and "\\" not in text
    except ValueError:
        is_whole = is_plain = False
    if not (is_whole and is_plain):
        raise FetchError("not a web address, or one that names a user", is_retryable=False)
    return at


def origins_of(urls: Sequence[str]) -> frozenset[URL]:
    """The origins of these addresses, without those that are none."""
    return frozenset(origin for each in urls if (origin := _origin(each)) is not None)


def _origin(text: str) -> URL | None:
    try:
        return parsed(text).origin()
    except FetchError:
        return None


def target_of(response: aiohttp.ClientResponse, at: URL) -> URL:
    """Where a redirect leads. Closes the response. Raises FetchError where it leads nowhere."""
    location = response.headers.get("Location", "")
    response.close()
    try:
        target = str(at.join(URL(location)))
    except ValueError:
        target = ""
    if not location or not target:
        raise FetchError(f"{_shown(at)}: a redirect to nowhere", is_retryable=False)
    return parsed(target)


def _accepted(response: aiohttp.ClientResponse, at: URL) -> aiohttp.ClientResponse:
    """The response, if it is one that can be read."""
    status, encoding = response.status, response.headers.get("Content-Encoding", "identity").strip().lower()
    if 200 <= status < 300 and encoding in ("", "identity"):
        return response
    response.close()
    if 200 <= status < 300:
        raise FetchError(f"{_shown(at)}: packed ({encoding[:20]}), which was not asked for", is_retryable=False)
    raise FetchError(f"{_shown(at)}: answered {status}", is_retryable=status in _PASSING or status >= 500)


def failure_of(error: Exception, at: URL) -> FetchError:
    """What an exception means. The path of a URL may be a secret: only its origin is named."""
    if isinstance(error, TimeoutError):
        return FetchError(f"{_shown(at)}: took too long", is_retryable=True)
    is_ours = isinstance(error, OutsidePerimeter | NotPublic)
    reason = str(error) if is_ours else type(error).__name__
    return FetchError(f"{_shown(at)}: {reason}", is_retryable=not isinstance(error, _LASTING))


def _shown(at: URL) -> str:
    return str(at.origin())
