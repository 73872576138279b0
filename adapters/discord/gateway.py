"""The connection to Discord's gateway: identify, resume, and come back without a storm.

The SDK's client keeps its session to itself and begins a new one at each start. Here the session comes from outside and goes there again, so a
process that takes the place of another resumes what that one had not stored.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from discord.errors import ConnectionClosed
from discord.gateway import ReconnectWebSocket
from discord.http import Route
from yarl import URL

from adapters.discord.calls import CallFailure, Rejected
from adapters.discord.faults import CLOSED
from adapters.discord.payloads import Gateway as Told
from adapters.discord.payloads import Malformed, Ready
from adapters.discord.session import Session
from adapters.discord.wire import BEGINNINGS, Bot, Frame, Socket, Wire
from bot.ports import ChannelState, Host

log = logging.getLogger(__name__)

_OPEN_S: Final = 30.0
_WAITS_S: Final = (0.25, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
_GOOD_S: Final = 30.0  # a connection that stood so long begins again with the first wait
_BEAT_S: Final = 45.0
_BEATS: Final = 2.5

IDENTIFY_S: Final = 5.0
"""Between two identifies (Discord's documentation, "Gateway", Session Start Limit: `max_concurrency` in 5 seconds)."""

_REFUSED_WAIT_S: Final = (1.0, 5.0)
"""After a session that is not resumed (Discord's documentation, "Gateway", Resuming): a random time."""

_BEGIN_S: Final = 60.0  # for READY, or for the first of what was missed
_RESUMES: Final = 2
_SESSION_LOST: Final = frozenset({4003, 4007, 4009})


class Gateway:
    """One account's connection. `take` is given each event and is awaited, which slows reading down to what is stored. `began` is awaited
    when a session is new, before its first event. `heard_at` is the clock's monotonic time of the last frame, `heard_ms` the wall time up to
    which events came: nothing before it can have been missed."""

    def __init__(
        self,
        host: Host,
        bot: Bot,
        wire: Wire,
        url: str,
        session: Session,
        take: Callable[[Frame], Awaitable[None]],
        began: Callable[[Session, Ready], Awaitable[None]],
    ) -> None:
        self._host = host
        self._clock = host.clock
        self._bot = bot
        self._wire = wire
        self._fixed_url = url
        self._url = url
        self._session = session
        self._take = take
        self._began = began
        self._failures = 0
        self._identified_at = -IDENTIFY_S
        self._acked_at = 0.0
        self._is_told = False  # events come on this connection: it has identified or resumed
        self._has_begun = False  # something was told on this connection
        self._unresumed = 0  # connections in a row that took a session and told nothing
        self.beat_s = _BEAT_S
        self.heard_at = host.clock.monotonic()
        self.heard_ms = session.at_ms or host.clock.now_ms()

    async def run(self) -> None:
        """Until cancelled. Raises ChannelFault for what a person has to mend."""
        while True:
            started = self._clock.monotonic()
            reason, least_s = await self._stay()
            is_good = self._clock.monotonic() - started >= _GOOD_S
            self._failures = 0 if is_good else self._failures
            wait_s = max(least_s, _WAITS_S[min(self._failures, len(_WAITS_S) - 1)] * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads
            self._failures += 1
            self._host.report(ChannelState.CONNECTING, reason)
            await self._pause(wait_s)

    async def _stay(self) -> tuple[str, float]:
        """One connection, as long as it lasts. Returns why it ended, and the least pause after it."""
        self._is_told = self._has_begun = False
        try:
            await self._connected()
        except ReconnectWebSocket as again:
            if not again.resume:
                self._session = Session()
                return "the session could not be resumed", random.uniform(*_REFUSED_WAIT_S)  # noqa: S311 - only spreads
        except ConnectionClosed as closed:
            if closed.code in CLOSED:
                raise CLOSED[closed.code]() from closed
            return f"the connection was closed ({closed.code})", 0.0
        except CallFailure as failure:
            return str(failure), 0.0
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            return f"no connection to the gateway: {type(failure).__name__}", 0.0
        except (KeyError, TypeError, ValueError, RuntimeError):
            log.warning("the gateway said something that cannot be read", exc_info=True)
            return "the gateway said something that cannot be read", _WAITS_S[1]
        return "the connection was cut", 0.0

    async def _connected(self) -> None:
        if not self._session.id:
            await self._may_identify()
        elif not self._url:
            await self._ask()
        try:
            async with self._clock.timeout(_OPEN_S):
                socket = await self._bot.open(self._address(), session=self._session.id, seq=self._session.seq)
        except BaseException:
            await self._wire.drop()
            raise
        self.beat_s = socket.beat_s
        self._acked_at = self._clock.monotonic()
        try:
            await self._listen(socket)
        finally:
            self._unresumed = 0 if self._has_begun else self._unresumed + 1
            if socket.socket.close_code in _SESSION_LOST or self._unresumed >= _RESUMES:
                self._session, self._unresumed = Session(), 0
            await socket.leave()

    async def _listen(self, socket: Socket) -> None:
        """Raises TimeoutError where nothing is told of the session at all."""
        until = self._clock.monotonic() + _BEGIN_S
        while not self._has_begun:
            async with self._clock.timeout(max(0.0, until - self._clock.monotonic())):
                await socket.poll_event()
            await self._read(socket)
        while True:
            await self._read(socket)
            self._check_beats()
            await socket.poll_event()

    async def _read(self, socket: Socket) -> None:
        while socket.frames:
            frame = socket.frames.popleft()
            self.heard_at = self._clock.monotonic()
            if self._is_told:
                self.heard_ms = self._clock.now_ms()
            if frame.op == Socket.HEARTBEAT_ACK:
                self._acked_at = self.heard_at
            if frame.op == Socket.DISPATCH:
                await self._dispatched(frame)

    async def _dispatched(self, frame: Frame) -> None:
        session = self._session
        self._has_begun = True
        if frame.type == "READY":
            ready = Ready.model_validate(frame.data)
            session = Session(ready.session_id, ready.resume_gateway_url, frame.seq or 0)
            await self._began(session, ready)
        elif frame.seq is not None:
            session = Session(session.id, session.url, frame.seq)
        self._session = session
        if frame.type in BEGINNINGS:
            self._is_told, self.heard_ms = True, self._clock.now_ms()
            self._host.report(ChannelState.UP)
        await self._take(frame)

    def _check_beats(self) -> None:
        """Other frames may come while heartbeats go unanswered: then nobody listens to us."""
        if self._clock.monotonic() - self._acked_at > self.beat_s * _BEATS + _OPEN_S:
            raise TimeoutError

    async def _may_identify(self) -> None:
        """Keeps to the limit of sessions: who passes it gets a new token, and no bot."""
        await self._pause(self._identified_at + IDENTIFY_S - self._clock.monotonic())
        start = await self._ask()
        while start.session_start_limit.remaining <= 0:
            wait_s = max(1.0, start.session_start_limit.reset_after / 1000)
            self._host.report(ChannelState.CONNECTING, f"Discord allows no more sessions for {wait_s / 60:.0f} minutes")
            await self._pause(wait_s)
            start = await self._ask()
        self._identified_at = self._clock.monotonic()

    async def _ask(self) -> Told:
        try:
            told = Told.model_validate(await self._asked())
        except (CallFailure, Malformed) as failure:
            if not self._fixed_url or (isinstance(failure, Rejected) and failure.status == 401):
                raise
            told = Told(url=self._fixed_url)  # what stands for Discord's gateway need not count sessions
        self._url = self._fixed_url or told.url
        return told

    async def _asked(self) -> object:
        try:
            return await self._wire.request(Route("GET", "/gateway/bot"))
        except Rejected as rejected:
            if not rejected.is_absent or self._fixed_url:
                raise
        return await self._wire.request(Route("GET", "/gateway"))  # which knows the address alone

    def _address(self) -> str:
        """Where to connect. A configured gateway stands for Discord's own; the address of the session counts where it is of the same
        place, and until it has failed."""
        resumed = self._session.url
        if not self._session.id or not resumed or self._failures > 1:
            return self._url
        is_same = URL(resumed).origin() == URL(self._fixed_url).origin() if self._fixed_url else True
        return resumed if is_same else self._url

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.heard_at = self._clock.monotonic() + seconds  # a pause of our own is no silence
            await self._clock.sleep(seconds)
