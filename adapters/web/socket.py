"""One open socket: reads the client's frames in order, and writes without ever waiting for the client.

aiohttp reads and does the handshake; frames are written to the transport as whole bytes, because a writer that waits (as
`send_str` does above its limit) would let one slow reader hold up everybody whom the sender serves next. A client that
leaves too much unread is cut off instead and resumes by `seq` when it comes back. Small pieces that may wait for the end
of the loop's round (deltas, typing) share a write with what follows them. There is no task beside aiohttp's own.
"""

import asyncio
from typing import Final

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from adapters.web import frames
from adapters.web.events import TAKERS
from adapters.web.frames import BadFrame, Frame
from adapters.web.presence import Visitor
from adapters.web.room import Room
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import Delivered, Seq, Transcript

UNREAD_BYTES: Final = 256 * 1024  # more than this unread by a client, and it is cut off
HELD_FRAMES: Final = 1000
BAD_FRAMES: Final = 10
CLOSE_S: Final = 3.0
WELCOME_S: Final = 30.0

GOING_AWAY: Final = 1001
POLICY: Final = 1008
TRY_LATER: Final = 1013
PROTOCOL: Final = 4400
UNKNOWN_PERSON: Final = 4401


class _Closed(Exception):
    """The socket is closed, or is to be closed with `code`, after telling the client `frame`."""

    def __init__(self, code: int = 1000, frame: bytes = b"") -> None:
        self.code = code
        self.frame = frame


def _closed(code: int, name: str, detail: str) -> _Closed:
    return _Closed(code, frames.error(name, detail))


class Session:
    """One socket, from the upgrade to its end. `serve` reads; `send` and its kin may be called from anywhere."""

    __slots__ = (
        "_bad_frames",
        "_frames",
        "_held",
        "_later",
        "_transport",
        "_visitor",
        "_window_start",
        "_writer",
        "_ws",
        "is_heard",
        "is_pinged",
        "room",
    )

    def __init__(
        self, room: Room, ws: web.WebSocketResponse, transport: asyncio.Transport, writer: AbstractStreamWriter
    ) -> None:
        self.room = room
        self._ws = ws
        self._transport = transport
        self._writer = writer
        self._visitor: Visitor | None = None
        self._held: list[tuple[int, bytes]] | None = []  # what comes before the welcome is out; None afterwards
        self._later: list[bytes] = []
        self._frames = 0
        self._window_start = room.host.clock.monotonic()
        self._bad_frames = 0
        self.is_heard = True
        self.is_pinged = False

    # --- writing ---------------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Writes at once, after what was put off. Does nothing on a closed socket; cuts off a client that reads too slowly."""
        transport = self._transport
        if transport.is_closing() or self._ws.closed:
            return
        if transport.get_write_buffer_size() > UNREAD_BYTES:
            self.cut(TRY_LATER)
            return
        later = self._later
        if later:
            later.append(frame)
            frame = b"".join(later)
            later.clear()
        transport.write(frame)

    def send_soon(self, frame: bytes) -> None:
        """Writes at the end of this round of the loop, or together with the next `send`."""
        if self._held is not None:
            return  # a draft that began earlier follows the welcome as a whole
        if not self._later:
            asyncio.get_running_loop().call_soon(self._flush)
        self._later.append(frame)

    def confirm(self, frame: bytes) -> None:
        """Writes together with what follows in this round of the loop: often the first words of an answer."""
        if self._held is None:
            self.send_soon(frame)
        else:
            self.send(frame)

    def deliver(self, seq: int, frame: bytes) -> None:
        """Sends what belongs into the conversation at `seq` (0: nowhere in particular), never before the welcome."""
        if self._held is None:
            self.send(frame)
        elif len(self._held) < HELD_FRAMES:
            self._held.append((seq, frame))
        else:
            self.cut(TRY_LATER)

    def cut(self, code: int) -> None:
        """Closes without waiting: the client has a moment to read what is under way and why."""
        if self._visitor is not None:
            self.room.presence.leave(self._visitor, self)
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(frames.closing(code))
        transport.close()
        self.room.host.clock.call_later(CLOSE_S, transport.abort)

    def probe(self) -> None:
        """Called at a steady pace: pings a silent client, and cuts one off that did not answer the last ping."""
        if self.is_heard:
            self.is_heard = self.is_pinged = False
        elif not self.is_pinged:
            self.is_pinged = True
            self.send(frames.PING)
        else:
            self._transport.abort()

    def _flush(self) -> None:
        if self._later:
            frame = self._later.pop()
            self.send(frame)

    # --- from hello to the end -------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Reads until the socket closes."""
        try:
            visitor = await self._open()
            while True:
                await self._take(visitor, await self._receive())
        except _Closed as end:
            await self._close(end)
        finally:
            if self._visitor is not None:
                self.room.presence.leave(self._visitor, self)

    async def _close(self, end: _Closed) -> None:
        if end.frame:
            self.send(end.frame)
        elif self._later:
            self._flush()
        await self._ws.close(code=end.code, drain=False)

    async def _receive(self) -> str:
        """The text of the next frame; answers pings. Raises _Closed at the end."""
        ws = self._ws
        while True:
            message = await ws.receive()
            kind = message.type
            if kind is WSMsgType.TEXT:
                self._count()
                return message.data  # type: ignore[no-any-return]  # a str, which aiohttp does not say
            if kind is WSMsgType.PING:
                self._count()
                self.send(frames.pong(message.data))
            elif kind is WSMsgType.PONG:
                self._count()
            elif kind is WSMsgType.BINARY:
                self._count()
                self._complain(BadFrame("Frames are text."))
            else:
                raise _Closed

    def _count(self) -> None:
        """Every frame counts; the clock is asked only once a minute's worth of them has come."""
        self.is_heard = True
        self._frames += 1
        if self._frames <= self.room.limits.frames_per_minute:
            return
        now = self.room.host.clock.monotonic()
        if now - self._window_start < 60.0:
            raise _Closed(POLICY)
        self._frames, self._window_start = 1, now

    def _complain(self, bad: BadFrame) -> None:
        self._bad_frames += 1
        self.send(frames.error("bad_frame", bad.detail, bad.id))
        if self._bad_frames >= BAD_FRAMES:
            raise _Closed(POLICY)

    async def _open(self) -> Visitor:
        """Hello to welcome."""
        room = self.room
        try:
            async with room.host.clock.timeout(room.limits.hello_s):
                hello = await self._hello()
        except TimeoutError:
            raise _closed(PROTOCOL, "hello_first", "The first frame must be hello.") from None
        if hello["version"] != frames.VERSION:
            raise _closed(PROTOCOL, "bad_version", "This chat needs a newer page. Please reload it.")
        try:
            admission = room.credentials.admit(hello.get("token", ""), hello.get("identity", ""))
        except Refused as refusal:
            raise _closed(UNKNOWN_PERSON, refusal.code, refusal.detail) from None
        visitor = room.presence.visitor(admission.identity)
        if len(visitor.sessions) >= room.limits.connections_per_visitor:
            raise _closed(TRY_LATER, "busy", "This chat is open in too many places. Close one of them first.")
        self._visitor = visitor
        room.presence.enter(visitor, self)  # before the history is read, so that nothing falls between the two
        after = 0 if admission.is_new else hello.get("after", 0)
        await self._welcome(visitor, admission.token, after, admission.is_new)
        return visitor

    async def _hello(self) -> Frame:
        while True:
            try:
                frame = frames.parse(await self._receive())
            except BadFrame as bad:
                self._complain(bad)
                continue
            if frame["type"] != "hello":
                raise _closed(PROTOCOL, "hello_first", "The first frame must be hello.")
            return frame

    async def _welcome(self, visitor: Visitor, token: str, after: int, is_new: bool) -> None:
        try:
            last = await self._catch_up(visitor, token, after, is_new)
        except (Overloaded, StoreUnavailable) as failure:
            raise _Closed(TRY_LATER, frames.busy(failure)) from None
        except TimeoutError:
            raise _Closed(TRY_LATER) from None
        held, self._held = self._held or (), None
        for seq, frame in held:
            if not seq or seq > last:
                self.send(frame)
        for message, pieces in visitor.drafts.items():
            self.send_soon(frames.delta(message, "".join(pieces)))

    async def _catch_up(self, visitor: Visitor, token: str, after: int, is_new: bool) -> int:
        """Sends the welcome and everything after `after`, a page at a time; returns the last `seq` that went out."""
        host, page = self.room.host, self.room.limits.history_messages
        transcript = Transcript(None, ()) if is_new else await host.history(visitor.at, Seq(after), page)
        known = transcript.conversation.last_seq if transcript.conversation else 0
        if after > known:  # the page remembers what a restored backup does not: it gets what there is
            after = 0
            transcript = await host.history(visitor.at, Seq(0), page)
        self.send(frames.welcome(token, transcript, transcript.messages))
        place = self.room.presence.place(
            visitor.at.chat, transcript.conversation.owner if transcript.conversation else ""
        )
        if place:
            self.send(place)
        if after:
            await host.receive(Delivered(visitor.at, Seq(after)))
        for message in transcript.messages if visitor.drafts else ():
            visitor.drafts.pop(message.id, None)
        last = transcript.messages[-1].seq if transcript.messages else after
        while after and len(transcript.messages) == page:
            await self._drain()
            transcript = await host.history(visitor.at, Seq(last), page)
            for message in transcript.messages:
                self.send(frames.message(message))
                last = message.seq
        await self._drain()
        return last

    async def _drain(self) -> None:
        """Waits for this client, in its own task, to take what it was sent: a long history is no slow reader."""
        if self._transport.get_write_buffer_size():
            async with self.room.host.clock.timeout(WELCOME_S):
                await self._writer.drain()

    async def _take(self, visitor: Visitor, text: str) -> None:
        try:
            frame = frames.parse(text)
            await TAKERS[frame["type"]](self, visitor, frame)
        except BadFrame as bad:
            self._complain(bad)
        except Refused as refusal:
            self.send(frames.error(refusal.code, refusal.detail))
        except (Overloaded, StoreUnavailable) as failure:
            self.send(frames.busy(failure))
