"""The web channel as the house sees it: routes, sending, and the life of the open sockets."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from adapters.web import Settings, frames
from adapters.web.origins import Origins
from adapters.web.pages import Pages
from adapters.web.presence import Presence
from adapters.web.room import Room
from adapters.web.socket import CLOSE_S, GOING_AWAY, Session
from adapters.web.uploads import Uploads
from adapters.web.visitors import CHANNEL, Credentials, expected
from bot.errors import SendRefused
from bot.model import QUEUE_OWNER, Address, CaseId, Message, MessageId, Visibility
from bot.ports import ChannelState, Host, Limits, Receipt, Route

STATIC: Final = Path(__file__).parent / "static"
_HEARTBEAT_S: Final = 30  # proxies commonly drop what is silent for 60 s
_WRITER_LIMIT: Final = 2**62  # aiohttp's own few frames (close) never wait for the client either
_RECEIPT: Final = Receipt()


class WebAdapter:
    """Adapter, Drafts, Typing, ShowsCase and ShowsOwner over the chat socket."""

    name = CHANNEL
    account = ""

    def __init__(self, settings: Settings, host: Host, static: Path = STATIC) -> None:
        limits = host.limits
        self.limits = Limits(text_chars=1_000_000, attachment_bytes=limits.upload_bytes, is_deduped=True)
        self._room = Room(
            host,
            limits,
            Origins(),
            Credentials(host.secret("visitors"), host.clock),
            Presence(host.clock, limits.messages_per_minute),
        )
        self._pages = Pages(static)
        self._uploads = Uploads(self._room)
        self._beats: list[set[Session]] = [set() for _ in range(_HEARTBEAT_S)]  # a thirtieth is probed each second
        self._opened = 0
        self._is_stopping = False
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Other settings, from now on. Sockets that are open stay open."""
        self._room.origins.listed = settings.origins
        secret = settings.identity_secret
        self._room.credentials.identity_secret = secret.get_secret_value() if secret else ""
        if secret is not None:
            importlib.import_module("jwt")  # now, not while a visitor waits
        self._pages.describe(settings)

    def routes(self) -> Sequence[Route]:
        return [Route("GET", "/ws", self._serve), *self._uploads.routes(), *self._pages.routes()]

    async def run(self) -> None:
        """Keeps the open sockets alive; at the end closes them all, so that pages come back at once elsewhere."""
        self._is_stopping = False
        self._room.host.report(ChannelState.UP)
        try:
            while True:
                for beat in self._beats:
                    await self._room.host.clock.sleep(1.0)
                    for session in tuple(beat):
                        session.probe()
        finally:
            self._is_stopping = True
            for session in [session for beat in self._beats for session in beat]:
                session.cut(GOING_AWAY)

    # --- what the house says ---------------------------------------------------------------------------------------

    async def send(self, to: Address, message: Message) -> Receipt:
        """To every open page of the visitor. Where none is open the next `hello` brings it. Never waits."""
        if message.visibility is not Visibility.PUBLIC:
            raise SendRefused("a note is for operators only", is_retryable=False)
        visitor = self._room.presence.get(to.chat)
        if visitor is not None:
            visitor.drafts.pop(message.id, None)
            if visitor.sessions:
                frame = frames.message(message)
                for session in visitor.sessions:
                    session.deliver(message.seq, frame)
        return _RECEIPT

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        presence = self._room.presence
        visitor = presence.get(to.chat) or presence.visitor(
            expected(to.chat)
        )  # who comes back sees it from its first word
        visitor.drafts.setdefault(message, []).append(text)
        if visitor.sessions:
            frame = frames.delta(message, text)
            for session in visitor.sessions:
                session.send_soon(frame)

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        visitor = self._room.presence.get(to.chat)
        if visitor is not None:
            visitor.drafts.pop(message, None)
        self._tell(to, frames.withdraw(message))

    async def typing(self, to: Address) -> None:
        self._tell_soon(to, frames.TYPING)

    async def typing_as(self, to: Address, name: str) -> None:
        self._tell_soon(to, frames.typing_as(name))

    async def case_ended(self, to: Address, case: CaseId) -> None:
        self._tell(to, frames.case_ended(case))

    async def owner_changed(self, to: Address, owner: str, name: str) -> None:
        """Best effort: the next welcome says it too."""
        if owner != QUEUE_OWNER:
            self._room.presence.places.pop(to.chat, None)
        self._tell(to, frames.owner(owner, name))

    async def queued(self, to: Address, position: int, wait_s: int | None) -> None:
        """Who comes back while waiting is told the latest place again."""
        place = self._room.presence.places[to.chat] = frames.queue(position, wait_s)
        self._tell(to, place)

    def _tell(self, to: Address, frame: bytes) -> None:
        visitor = self._room.presence.get(to.chat)
        for session in visitor.sessions if visitor else ():
            session.deliver(0, frame)

    def _tell_soon(self, to: Address, frame: bytes) -> None:
        visitor = self._room.presence.get(to.chat)
        for session in visitor.sessions if visitor else ():
            session.send_soon(frame)

    # --- the sockets -----------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._is_stopping:
            return _refusal(503, "busy", "The server is stopping. Please try again in a moment.")
        if not self._room.origins.is_allowed(request):
            return _refusal(403, "bad_origin", "This chat is not open to the page that asked for it.")
        ws = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=self._room.limits.frame_bytes + 1,  # aiohttp refuses what reaches its limit
            timeout=CLOSE_S,
            writer_limit=_WRITER_LIMIT,
        )
        await ws.prepare(request)
        transport = request.transport
        if transport is not None:
            await self._hold(Session(self._room, ws, transport, request.writer))
        return ws

    async def _hold(self, session: Session) -> None:
        self._opened += 1
        beat = self._beats[self._opened % _HEARTBEAT_S]
        beat.add(session)
        try:
            await session.serve()
        finally:
            beat.discard(session)


def _refusal(status: int, code: str, detail: str) -> web.Response:
    return web.json_response({"code": code, "detail": detail}, status=status)
