"""Discord's SDK where it meets the network: requests that are made once and at their own account's address, and the gateway's socket.

The SDK's own client repeats posts by itself, waits through rate limits unseen, and shares one address among all bots of a process. Here a
request is one try, its failure says what is known, and both addresses belong to the object.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import discord
from discord.gateway import DiscordClientWebSocketResponse, DiscordWebSocket
from discord.http import HTTPClient, Route
from yarl import URL

from adapters.discord.calls import NOT_SERVED, Limited, Rates, Rejected, Uncertain, Unreached
from bot.model import value
from bot.ports import Clock

log = logging.getLogger(__name__)

_REQUEST_S: Final = 20.0
_CLOSE_S: Final = 2.0  # a socket that is left is not waited for much longer
_SILENT_BEATS: Final = 1.5  # without any frame for so many heartbeats a connection is dead

DEFAULT_RETRY_S: Final = 5.0
"""Where a refusal for the rate does not say how long."""

_CUT: Final = (
    aiohttp.ServerConnectionError,
    aiohttp.ClientOSError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)
"""What aiohttp raises once a request may have left."""

INTENTS: Final = discord.Intents(
    guilds=True,
    guild_messages=True,
    guild_reactions=True,
    dm_messages=True,
    dm_reactions=True,
    dm_typing=True,
    message_content=True,
)


class Wire(HTTPClient):
    """The REST side of one account, at `api_url`. `refused` is told once Discord no longer takes the token; nothing leaves from then on, for requests
    that are refused so are counted against the address."""

    def __init__(
        self, api_url: str, token: str, connector: aiohttp.BaseConnector, clock: Clock, refused: Callable[[], None]
    ) -> None:
        super().__init__(asyncio.get_running_loop(), connector)
        self.token = token
        self.api_url = api_url
        self._clock = clock
        self._refused = refused
        self._is_refused = False
        self._rates = Rates(clock)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._session = aiohttp.ClientSession(
            connector=connector,
            ws_response_class=DiscordClientWebSocketResponse,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_S),
        )

    async def request(
        self,
        route: Route,
        *,
        files: Sequence[discord.File] | None = None,
        form: Iterable[dict[str, Any]] | None = None,  # the SDK's own shape
        **kwargs: Any,
    ) -> Any:
        """One try; what Discord answered. Raises CallFailure."""
        if self._is_refused:
            raise Rejected(401, 0, "the token was refused before")
        headers = {"User-Agent": self.user_agent}
        if not route.webhook_token:  # which is the proof there
            headers["Authorization"] = f"Bot {self.token}"
        body: str | aiohttp.FormData | None = None
        if form is not None:
            body = _form(form)
        elif "json" in kwargs:
            headers["Content-Type"] = "application/json"
            body = json.dumps(kwargs["json"])
        url = self.api_url + route.url.removeprefix(Route.BASE)
        async with self._rates.turn(route.key, route.major_parameters, is_free=bool(route.webhook_token)) as told:
            if self._session.closed:
                raise Unreached("the bot is no longer connected")
            try:
                async with (
                    self._clock.timeout(_REQUEST_S),
                    self._session.request(
                        route.method, url, data=body, headers=headers, params=kwargs.get("params")
                    ) as answer,
                ):
                    text = await answer.text(encoding="utf-8", errors="replace")
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise Unreached(f"no connection to Discord: {error}") from error
            except (*_CUT, OSError, TimeoutError, ValueError) as error:
                raise Uncertain(f"no whole answer from Discord: {type(error).__name__}") from error
            except (
                aiohttp.ClientError
            ) as error:  # before anything left: a host that may not be spoken to, an odd address
                raise Unreached(f"no connection to Discord: {error}") from error
            now = self._clock.monotonic()
            told.headers(answer.headers, now)
            data = _parsed(text)
            if answer.status == 429 or (answer.status == 503 and "Retry-After" in answer.headers):
                wait_s, is_global = _limit(answer.headers, data)
                told.limited(wait_s, now, is_global=is_global)
                raise Limited(wait_s)
            return self._judged(route, answer.status, data)

    def _judged(self, route: Route, status: int, data: Any) -> Any:
        if 200 <= status < 300:
            return data
        if status >= 500 and status not in NOT_SERVED:
            raise Uncertain(f"Discord answered {status}")
        if status == 401 and not route.webhook_token:
            self._is_refused = True
            self._refused()
        elif not isinstance(data, dict) and status not in NOT_SERVED:
            raise Unreached(f"something before Discord answered {status}")
        known = data if isinstance(data, dict) else {}
        code = known.get("code")
        detail = json.dumps(known.get("errors") or known.get("message") or "no reason")
        raise Rejected(status, code if isinstance(code, int) else 0, detail)

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        self._socket = await self._session.ws_connect(
            url,
            max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
            autoclose=False,
            headers={"User-Agent": self.user_agent},
            compress=compress,
        )
        return self._socket

    async def drop(self) -> None:
        """Leaves a socket that did not come to be a connection."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.close(code=4000)

    async def close(self) -> None:
        await self._session.close()


def _form(parts: Iterable[dict[str, Any]]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)  # Discord reads `files[0]` only as it is
    for part in parts:
        form.add_field(**part)
    return form


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _limit(headers: Mapping[str, str], data: Any) -> tuple[float, bool]:
    """For how long, and whether for all requests; a refusal that is not Discord's own comes from before it, and concerns all. One with a
    code and no time is about the thing itself, such as the edits of an old message."""
    known = data if isinstance(data, dict) else {}
    said = known.get("retry_after", headers.get("Retry-After"))
    try:
        wait_s = float(said) if said is not None else DEFAULT_RETRY_S
    except (TypeError, ValueError):
        wait_s = DEFAULT_RETRY_S
    is_global = (
        bool(known.get("global")) or "X-RateLimit-Global" in headers or not known.keys() & {"retry_after", "code"}
    )
    return max(wait_s, 0.05), is_global


# --- the gateway -----------------------------------------------------------------------------------------------------


BEGINNINGS: Final = frozenset({"READY", "RESUMED"})
"""Types of the events with which a connection begins to tell of others."""


@value
class Frame:
    """One frame of the gateway. `seq` None: it is not counted."""

    op: int
    type: str
    seq: int | None
    data: Any  # JSON as Discord sends it


class Socket(DiscordWebSocket):
    """A connection to the gateway that also keeps each frame as it came, in `frames`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, loop=loop)
        self.frames: deque[Frame] = deque()
        self.beat_s = 0.0

    def log_receive(self, data: Any, /) -> None:
        frame = _parsed(data if isinstance(data, str) else bytes(data).decode("utf-8", "replace"))
        if not isinstance(frame, dict):
            raise TypeError("a frame of the gateway is no JSON object")
        if frame.get("op") == self.HELLO:
            self.beat_s = float(frame["d"]["heartbeat_interval"]) / 1000
            self._max_heartbeat_timeout = self.beat_s * _SILENT_BEATS
        self.frames.append(Frame(frame.get("op", -1), frame.get("t") or "", frame.get("s"), frame.get("d")))

    async def received_message(self, msg: Any, /) -> None:
        """The SDK demands fields of READY and RESUMED that nothing here needs: the frame has been kept by then."""
        try:
            await super().received_message(msg)
        except (KeyError, TypeError):
            if not self.frames or self.frames[-1].type not in BEGINNINGS:
                raise

    async def leave(self) -> None:
        """Ends the connection and leaves the session open, so that it can be resumed. Safe to repeat."""
        await self.close(code=4000)


class Bot(discord.Client):
    """The SDK's client without its caches: what comes is read from the frames, which are the same before and after a resumed session."""

    def __init__(self, wire: Wire) -> None:
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # no voice is wanted
        super().__init__(intents=INTENTS, max_messages=None, member_cache_flags=discord.MemberCacheFlags.none())
        self.http = wire
        self._connection.http = wire
        self._connection.parsers = {}

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The gateway's loop keeps the pace."""

    async def open(self, url: str, *, session: str = "", seq: int | None = None) -> Socket:
        """Connects and identifies, or resumes `session`; returns once that is asked for."""
        if self.loop is not asyncio.get_running_loop():
            await self._async_setup_hook()
        gateway = URL(url)
        if session:
            return await Socket.from_client(self, gateway=gateway, session=session, sequence=seq, resume=True)
        return await Socket.from_client(self, gateway=gateway, initial=True)
