"""One connection to the gateway, and the session that outlives it (https://docs.discord.com/developers/events/gateway)."""

import asyncio
import json
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from tests.platforms.discord.limits import GATEWAY_BYTES, GATEWAY_SENDS, GATEWAY_SENDS_S, GUILDS, Json

if TYPE_CHECKING:
    from tests.platforms.discord.gateway import Gateway

# topics/opcodes-and-status-codes#gateway-gateway-opcodes
DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE = 0, 1, 2, 3, 4
RESUME, RECONNECT, MEMBERS, INVALID, HELLO, ACK = 6, 7, 8, 9, 10, 11

# topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, BAD_TOKEN, ALREADY_AUTHENTICATED = 4001, 4002, 4003, 4004, 4005
INVALID_SEQ, RATE_LIMITED, TIMED_OUT, BAD_VERSION, BAD_INTENTS, DISALLOWED_INTENTS = 4007, 4008, 4009, 4012, 4013, 4014

CLOSE_BAD_TOKEN: Json = {}  # in a connection's queue: no frame, but the end
KEPT_EVENTS = 5000  # of ours: a session that has missed more cannot be resumed
_MISSED_BEATS = 2.5  # of ours: heartbeat intervals without a heartbeat after which the connection is ended


@dataclass(eq=False)
class Session:
    """One identify. `intents` decide what it hears; `socket` is None between two connections."""

    id: str
    intents: int
    seq: int = 0
    events: deque[tuple[int, Json]] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    socket: "Connection | None" = None
    left_at_ms: int = 0
    is_over: bool = False

    def add(self, name: str, data: Json) -> None:
        self.seq += 1
        frame: Json = {"op": DISPATCH, "s": self.seq, "t": name, "d": data}
        self.events.append((self.seq, frame))
        if self.socket is not None:
            self.socket.send(frame)


class Connection:
    """One WebSocket. What is sent goes through a queue, so that events never wait for a slow reader."""

    def __init__(self, gateway: "Gateway", socket: web.WebSocketResponse, request: web.Request) -> None:
        self._gateway = gateway
        self._socket = socket
        self._request = request
        self.session: Session | None = None
        self.closed_with: int | None = None
        self.is_ended = self.is_asked = self.has_answered = False
        self._deflate = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        self._frames: asyncio.Queue[Json] = asyncio.Queue()
        self._sends: deque[float] = deque(maxlen=GATEWAY_SENDS)
        self._beat_at = asyncio.get_running_loop().time()

    def send(self, frame: Json) -> None:
        self._frames.put_nowait(frame)

    def ask(self) -> None:
        """Asks for a heartbeat, unless that was done already."""
        if not self.is_asked:
            self.is_asked = True
            self.send(frame_of(HEARTBEAT, None))

    async def run(self) -> None:
        if self._request.query.get("v") != "10" or self._request.query.get("encoding") != "json":
            await self.close(BAD_VERSION)
            return
        self.send(frame_of(HELLO, {"heartbeat_interval": self._gateway.heartbeat_ms}))
        writer = asyncio.ensure_future(self._write())
        try:
            await self._read()
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await writer

    async def end(self) -> None:
        """A session is over when its connection was closed with 1000 or 1001 (events/gateway#disconnecting)."""
        self.is_ended = True
        session = self.session
        if session is not None and session.socket is self:
            session.socket = None
            session.left_at_ms = self._gateway.now_ms()
            is_goodbye = self.closed_with is None and self._socket.close_code in (1000, 1001)
            session.is_over = session.is_over or is_goodbye

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, code: int) -> None:
        self.is_ended = True
        self.closed_with = code
        with suppress(ConnectionError):
            await self._socket.close(code=code)

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            if self._gateway.is_silent:
                continue
            if frame is CLOSE_BAD_TOKEN:
                await self.close(BAD_TOKEN)
                return
            text = json.dumps(frame)
            if self._deflate is None:
                await self._socket.send_str(text)
                continue
            packed = self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            await self._socket.send_bytes(packed)

    async def _read(self) -> None:
        interval_s = self._gateway.heartbeat_ms / 1000
        while not self.is_ended:
            due = self._beat_at + interval_s * _MISSED_BEATS
            try:
                async with asyncio.timeout_at(due):
                    message = await self._socket.receive()
            except TimeoutError:
                self._gateway.violate(f"no heartbeat for {_MISSED_BEATS} intervals")
                await self.close(TIMED_OUT)
                return
            if message.type is WSMsgType.TEXT:
                await self._take(message.data)
            elif message.type is WSMsgType.BINARY:
                await self.close(DECODE_ERROR)
            else:
                return

    async def _take(self, text: str) -> None:
        if len(text.encode()) > GATEWAY_BYTES:
            self._gateway.violate(f"a gateway payload of more than {GATEWAY_BYTES} bytes")
            await self.close(DECODE_ERROR)
            return
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.close(DECODE_ERROR)
            return
        if self._is_flood():
            self._gateway.violate(f"more than {GATEWAY_SENDS} gateway payloads in {GATEWAY_SENDS_S:.0f} s")
            await self.close(RATE_LIMITED)
            return
        await self._act(op, data)

    def _is_flood(self) -> bool:
        now = asyncio.get_running_loop().time()
        is_flood = len(self._sends) == GATEWAY_SENDS and now - self._sends[0] < GATEWAY_SENDS_S
        self._sends.append(now)
        return is_flood

    async def _act(self, op: int, data: object) -> None:
        if op == HEARTBEAT:
            self._beat_at = asyncio.get_running_loop().time()
            self._gateway.beats += 1
            self.has_answered = True
            self.send(frame_of(ACK, None))
            await self._gateway.notify()
        elif op in (IDENTIFY, RESUME):
            await self._start(op, data if isinstance(data, dict) else {})
        elif self.session is None:
            await self.close(NOT_AUTHENTICATED)
        elif op not in (PRESENCE, VOICE, MEMBERS):
            await self.close(UNKNOWN_OPCODE)

    async def _start(self, op: int, data: Json) -> None:
        if self.session is not None:
            await self.close(ALREADY_AUTHENTICATED)
        elif op == IDENTIFY:
            await self._identify(data)
        else:
            await self._resume(data)
        await self._gateway.notify()

    async def _identify(self, data: Json) -> None:
        refusal = self._gateway.identify_refusal(data)
        if refusal is not None:
            await self.close(refusal)
            return
        if not self._gateway.may_identify():
            self.send(frame_of(INVALID, False))
            return
        session = self._gateway.begin(int(data["intents"]))
        self.session = session
        session.socket = self
        session.add("READY", self._gateway.ready(session))
        if session.intents & GUILDS:
            for guild in self._gateway.guilds():
                session.add("GUILD_CREATE", guild)

    async def _resume(self, data: Json) -> None:
        if not self._gateway.check_token(data.get("token")):
            await self.close(BAD_TOKEN)
            return
        session = self._gateway.resumable(data)
        if session is None:
            self.send(frame_of(INVALID, bool(self._gateway.refuses_resumes)))
            return
        if isinstance(session, int):
            await self.close(session)
            return
        if session.socket is not None:
            await session.socket.close(TIMED_OUT)
        self._gateway.resumes += 1
        for seq, frame in session.events:
            if seq > int(data["seq"]):
                self.send(frame)
        self.session = session
        session.socket = self
        session.add("RESUMED", {})


def frame_of(op: int, data: object) -> Json:
    return {"op": op, "d": data, "s": None, "t": None}
