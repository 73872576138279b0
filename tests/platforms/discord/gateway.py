"""The gateway, version 10: hello, heartbeats, identify, ready, numbered events, resume, and every way in which it ends a connection
(https://docs.discord.com/developers/events/gateway). A session outlives its connection and keeps what it could not tell, so that a
resume replays it in order."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable

from aiohttp import web

from tests.platforms.discord.connection import (
    BAD_INTENTS,
    BAD_TOKEN,
    CLOSE_BAD_TOKEN,
    DISALLOWED_INTENTS,
    INVALID,
    INVALID_SEQ,
    RECONNECT,
    Connection,
    Session,
    frame_of,
)
from tests.platforms.discord.limits import (
    ALL_INTENTS,
    GUILD_MEMBERS,
    GUILD_PRESENCES,
    HEARTBEAT_MS,
    IDENTIFIES_A_DAY,
    IDENTIFY_S,
    MESSAGE_CONTENT,
    Json,
)
from tests.platforms.discord.things import Message
from tests.platforms.discord.world import World

STORM_CONNECTS, STORM_S = 20, 10.0  # of ours: more connections than that in so short a time is a reconnect storm


class Gateway:
    """All connections of the one bot. The settings may be changed at any time: `heartbeat_ms`, `max_concurrency`, `resume_window_s`,
    `is_content_allowed` and `is_members_allowed` (the privileged intents of the app), `refuses_resumes` (None, or whether the session
    may be tried again), `is_silent` (nothing is told any more, on connections that stay open) and `distort` (makes other data of that of
    an event, by its name)."""

    def __init__(self, world: World, token: Callable[[], str], violate: Callable[[str], None]) -> None:
        self._world = world
        self._token = token
        self._violate = violate
        self.heartbeat_ms = HEARTBEAT_MS
        self.max_concurrency = 1
        self.resume_window_s = 120.0
        self.is_content_allowed = True
        self.is_members_allowed = False
        self.refuses_resumes: bool | None = None
        self.is_silent = False
        self.distort: Callable[[str, Json], Json] | None = None
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.connections: list[Connection] = []
        self.identifies: list[float] = []
        self.connects: deque[float] = deque(maxlen=STORM_CONNECTS)
        self.resumes = 0
        self.beats = 0
        self.close_codes: list[int | None] = []
        self.changed = asyncio.Condition()

    # --- events out -------------------------------------------------------------------------------------------------

    def announce(self, name: str, data: Json, intents: int, message: Message | None) -> None:
        guild = self._world.guilds.get(int(data.get("guild_id", 0))) if message is None else message.channel.guild
        if guild is not None and not guild.has_bot:
            return
        for session in self.sessions.values():
            if not session.is_over and (not intents or session.intents & intents):
                seen = self._seen_by(session, data, message)
                session.add(name, self.distort(name, seen) if self.distort else seen)

    def _seen_by(self, session: Session, data: Json, message: Message | None) -> Json:
        """Without the message-content intent a message in a guild has no content, unless it is the bot's own or mentions it
        (events/gateway#message-content-intent)."""
        if message is None:
            return data
        data = data | self._world.json.event(message)
        if message.nonce is not None:
            data["nonce"] = message.nonce
        if session.intents & MESSAGE_CONTENT or is_content_shown(self._world, message):
            return data
        return data | {"content": "", "embeds": [], "attachments": [], "components": []}

    # --- the state of connections -----------------------------------------------------------------------------------

    @property
    def live(self) -> list["Connection"]:
        """Connections on which events are being told."""
        return [c for c in self.connections if c.session is not None and not c.is_ended]

    async def wait_live(self, timeout_s: float = 30.0) -> None:
        """Returns once somebody is told of events who is alive, as a heartbeat from now on shows, which is asked for."""
        for connection in self.live:
            connection.is_asked = connection.has_answered = False
        async with asyncio.timeout(timeout_s), self.changed:
            while not any(connection.has_answered for connection in self.live):
                for connection in self.live:
                    connection.ask()
                await self.changed.wait()

    async def wait_none(self, timeout_s: float = 30.0) -> None:
        """Returns once nobody is connected."""
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(lambda: not self.connections)

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # --- what goes wrong --------------------------------------------------------------------------------------------

    async def cut(self) -> None:
        """Every connection breaks without a word; the sessions stay."""
        broken = list(self.connections)
        for connection in broken:
            connection.abort()
        async with asyncio.timeout(30.0), self.changed:
            await self.changed.wait_for(lambda: not any(each in self.connections for each in broken))

    async def close_all(self, code: int) -> None:
        for connection in list(self.connections):
            await connection.close(code)

    def revoke(self) -> None:
        """Ends every session and, with 4004, its connection."""
        for session in self.sessions.values():
            session.is_over = True
        for connection in self.live:
            connection.send(CLOSE_BAD_TOKEN)

    def ask_reconnect(self) -> None:
        for connection in self.live:
            connection.send(frame_of(RECONNECT, None))

    def ask_heartbeat(self) -> None:
        for connection in self.live:
            connection.is_asked = False
            connection.ask()

    def invalidate(self, *, is_resumable: bool) -> None:
        for connection in self.live:
            assert connection.session is not None
            connection.session.is_over = not is_resumable
            connection.send(frame_of(INVALID, is_resumable))

    # --- one connection ---------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """The route of the WebSocket."""
        socket = web.WebSocketResponse(heartbeat=None, autoping=True, max_msg_size=0, compress=False)
        await socket.prepare(request)
        self._count_connect()
        connection = Connection(self, socket, request)
        self.connections.append(connection)
        try:
            await connection.run()
        finally:
            await connection.end()
            self.connections.remove(connection)
            self.close_codes.append(connection.closed_with or socket.close_code)
            await self.notify()
        return socket

    def _count_connect(self) -> None:
        now = asyncio.get_running_loop().time()
        if len(self.connects) == STORM_CONNECTS and now - self.connects[0] < STORM_S:
            self._violate(f"reconnect storm: {STORM_CONNECTS} connections in {now - self.connects[0]:.1f} s")
            self.connects.clear()
        self.connects.append(now)

    def check_token(self, token: object) -> bool:
        return isinstance(token, str) and token != "" and token.removeprefix("Bot ") == self._token()

    def identify_refusal(self, data: Json) -> int | None:
        """The code with which an identify is refused, or None."""
        intents = data.get("intents")
        if not self.check_token(data.get("token")):
            return BAD_TOKEN
        if not isinstance(intents, int) or intents & ~ALL_INTENTS:
            return BAD_INTENTS
        if intents & MESSAGE_CONTENT and not self.is_content_allowed:
            return DISALLOWED_INTENTS
        if intents & (GUILD_MEMBERS | GUILD_PRESENCES) and not self.is_members_allowed:
            return DISALLOWED_INTENTS
        return None

    def may_identify(self) -> bool:
        """False where it comes too soon after others: the answer is then an invalid session."""
        now = asyncio.get_running_loop().time()
        recent = [at for at in self.identifies if now - at < IDENTIFY_S]
        self.identifies.append(now)
        if len(self.identifies) > IDENTIFIES_A_DAY:
            self._violate(f"more than {IDENTIFIES_A_DAY} identifies a day: Discord resets the token")
        if len(recent) >= self.max_concurrency:
            self._violate(f"{len(recent) + 1} identifies in {IDENTIFY_S:.0f} s, allowed are {self.max_concurrency}")
            return False
        return True

    def begin(self, intents: int) -> Session:
        session = Session(secrets.token_hex(16), intents)
        self.sessions[session.id] = session
        return session

    def resumable(self, data: Json) -> Session | int | None:
        """The session to resume; a close code for a wrong number; None for one that is gone."""
        session = self.sessions.get(str(data.get("session_id")))
        if session is None or session.is_over or self.refuses_resumes is not None:
            return None
        age_ms = self._world.now_ms() - session.left_at_ms
        if session.socket is None and age_ms > self.resume_window_s * 1000:
            session.is_over = True
            return None
        seq = data.get("seq")
        if not isinstance(seq, int) or seq > session.seq:
            return INVALID_SEQ
        first = session.events[0][0] if session.events else session.seq + 1
        return session if seq + 1 >= first else None

    def ready(self, session: Session) -> Json:
        return {
            "v": 10,
            "user": self._world.bot.json() | {"verified": True, "mfa_enabled": True, "email": None, "flags": 0},
            "guilds": [{"id": str(g.id), "unavailable": True} for g in self._world.guilds.values() if g.has_bot],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "session_type": "normal",
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "application": {"id": str(self._world.application_id), "flags": self.application_flags},
        }

    @property
    def application_flags(self) -> int:
        """resources/application#application-object-application-flags: content and members, each with its limited twin's bit."""
        return (1 << 19 if self.is_content_allowed else 0) | (1 << 15 if self.is_members_allowed else 0)

    def guilds(self) -> list[Json]:
        return [self._world.json.guild(guild) for guild in self._world.guilds.values() if guild.has_bot]

    def now_ms(self) -> int:
        return self._world.now_ms()

    def violate(self, what: str) -> None:
        self._violate(what)


def is_content_shown(world: World, message: Message) -> bool:
    """Whether an app without the message-content intent sees what this message says (events/gateway#message-content-intent)."""
    return message.channel.guild is None or message.author is world.bot or world.mentions_bot(message)
