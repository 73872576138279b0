"""One console's web socket: reads what the page has open, and is written to without waiting for it.

Frames are written to the transport as whole bytes, because a writer that waits would let one slow console hold up all others. One that leaves
too much unread is cut off and comes back.
"""

import asyncio
from typing import Final

from aiohttp import WSMsgType, web

from bot.console import frames
from bot.console.admission import check_origin, is_still_in, token_of
from bot.console.hub import Hub
from bot.console.presence import Presences
from bot.console.reading import note_reading
from bot.console.room import Room
from bot.errors import FrontdeskError, Refused
from bot.model import ConversationId
from bot.operators.operator import Operator
from bot.operators.roles import Right

UNREAD_BYTES: Final = 4 * 1024 * 1024  # more than this unread by a console, and it is cut off
OPEN_MOST: Final = 8  # conversations at once
FRAMES_A_MINUTE: Final = 600
HEARTBEAT_S: Final = 30.0
CLOSE_S: Final = 3.0


class Sockets:
    """`/console/ws`."""

    def __init__(self, room: Room, hub: Hub, presences: Presences) -> None:
        self._room = room
        self._hub = hub
        self._presences = presences

    async def serve(self, request: web.Request) -> web.StreamResponse:
        check_origin(self._room, request)
        token = token_of(request)
        signed = await self._room.signing.session(token)
        if signed is None or not signed.operator.may(Right.SEE):
            raise Refused("signed_out", "Your session is over. Sign in again.")
        try:
            await self._presences.arrive(
                signed.operator
            )  # before the page hears that it is connected, and asks who it is
            return await self._serve(request, signed.operator, token)
        finally:
            self._presences.leave(signed.operator)

    async def _serve(self, request: web.Request, operator: Operator, token: str) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=frames.FRAME_BYTES, timeout=CLOSE_S
        )
        await ws.prepare(request)
        if request.transport is not None:
            await Socket(self._room, self._hub, ws, request.transport, operator, token).serve()
        return ws

    def sign_out(self, token: str) -> None:
        """At once, every console of this session."""
        self._hub.sign_out(each for each in self._hub.screens() if isinstance(each, Socket) and each.token == token)


class Socket:
    """From the upgrade to the end. `send` and `cut` may be called from anywhere."""

    def __init__(
        self,
        room: Room,
        hub: Hub,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        operator: Operator,
        token: str,
    ) -> None:
        self.operator = operator
        self.checked_at = 0.0
        self.token = token
        self._room = room
        self._hub = hub
        self._ws = ws
        self._transport = transport
        self._open: dict[str, None] = {}
        self._frames, self._since = 0, room.clock.monotonic()

    def send(self, frame: bytes) -> None:
        if self._transport.is_closing() or self._ws.closed:
            return
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            self.cut(frames.TOO_SLOW)
            return
        self._transport.write(frame)

    def cut(self, code: int) -> None:
        """Closes without waiting: the page has a moment to read why."""
        self._leave()
        if not self._transport.is_closing():
            self._transport.write(frames.closing(code))
            self._transport.close()
            self._room.clock.call_later(CLOSE_S, self._transport.abort)

    async def is_still_in(self) -> bool:
        return await is_still_in(self._room, self.token) is not None

    async def serve(self) -> None:
        self._hub.enter(self)
        try:
            async for message in self._ws:
                if message.type is not WSMsgType.TEXT or self._is_too_fast():
                    self.cut(frames.POLICY)
                    return
                await self._take(message.data)
        finally:
            self._leave()

    def _leave(self) -> None:
        for conversation in list(self._open):
            self._hub.shut(self, conversation)
        self._open.clear()
        self._hub.leave(self)

    def _is_too_fast(self) -> bool:
        now = self._room.clock.monotonic()
        if now - self._since >= 60.0:
            self._frames, self._since = 0, now
        self._frames += 1
        return self._frames > FRAMES_A_MINUTE

    async def _take(self, text: str) -> None:
        try:
            kind, conversation = frames.parse(text)
            if await self._room.signing.session(self.token) is None:
                self.cut(frames.SIGNED_OUT)
                return
            if kind == frames.OPEN:
                await self._open_one(conversation)
            elif kind == frames.SHUT:
                self._open.pop(conversation, None)
                self._hub.shut(self, conversation)
            elif conversation in self._open:
                await self._type(conversation)
        except Refused:
            self.cut(frames.POLICY)
        except FrontdeskError:
            self.cut(frames.TOO_SLOW)  # the store takes nothing now: it comes back and asks again

    async def _open_one(self, conversation: str) -> None:
        if conversation in self._open:
            self._hub.shut(self, conversation)
        elif len(self._open) >= OPEN_MOST:
            self.cut(frames.POLICY)
            return
        self._open[conversation] = None
        if not await self._hub.open(self, conversation):
            self._open.pop(conversation, None)
            self.send(frames.gone(conversation))
            return
        await note_reading(self._room.store, self._room.clock, self.operator.id, conversation)

    async def _type(self, conversation: str) -> None:
        self._hub.looking.types(conversation, self.operator.id)
        if self.operator.may(Right.REPLY):
            await self._room.desk.typing(self.operator, ConversationId(conversation))
