"""How events and interactions reach the app: by Socket Mode, or by HTTP to its request URL.

https://docs.slack.dev/apis/events-api/using-socket-mode and https://docs.slack.dev/apis/events-api"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

from bot.ports import Clock
from tests.platforms.slack.world import Json, Ledger, Workspace

ACKNOWLEDGE_S = 3.0
"""https://docs.slack.dev/apis/events-api: answer "within three seconds"; the same holds for interactions and commands."""
RETRIES_S = (0.0, 60.0, 300.0)
"""https://docs.slack.dev/apis/events-api#retries: "nearly immediately", after one minute, after five minutes."""
SOCKETS = 10
"""https://docs.slack.dev/apis/events-api/using-socket-mode: "up to 10 open WebSocket connections at the same time"."""
SERVER_PING_S = 10.0
"""Not documented; Slack's own clients expect a ping at least every 30 seconds."""
EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
}
"""https://docs.slack.dev/reference/events: the scope that each event asks for; without it none comes."""
REDIRECTS = 2
"""https://docs.slack.dev/apis/events-api#errors: `too_many_redirects` is more than two."""


class Outcome(StrEnum):
    TAKEN = "taken"  # acknowledged in time
    MISSED = "missed"  # it was there and did not acknowledge in time, or answered with an error
    GONE = "gone"  # the connection ended before the acknowledgement
    NOBODY = "nobody"  # no connection, or nothing listens
    FINAL = "final"  # an error, with the wish not to be asked again


@dataclass
class Delivered:
    outcome: Outcome
    reason: str = ""
    answer: Any = None  # JSON, or text, that came with the acknowledgement


@dataclass
class Parcel:
    """Something for the app. `kind`: events_api, interactive or slash_commands. Only events are tried again."""

    kind: str
    payload: Json
    name: str
    attempts: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def is_event(self) -> bool:
        return self.kind == "events_api"


# --- socket mode ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Socket:
    ws: web.WebSocketResponse
    transport: asyncio.Transport | None = None
    is_leaving: bool = False
    is_silent: bool = False
    is_closed: bool = False
    waiting: dict[str, "asyncio.Future[Delivered]"] = field(default_factory=dict)


class Sockets:
    """The Socket Mode connections of one app. `is_silent`: on every connection nothing is sent and no ping is answered,
    as on a dead line; `hush` does so to those that are open now."""

    def __init__(self, space: Workspace, clock: Clock, ack_s: float) -> None:
        self._space, self._clock, self._ack_s = space, clock, ack_s
        self._open: list[Socket] = []
        self._turn = 0
        self.tickets: set[str] = set()
        self.is_silent = False
        self.is_disabled = False
        self.opened = 0  # how many there have ever been
        self.changed = asyncio.Condition()
        self.at: list[float] = []  # when each was opened

    @property
    def ready(self) -> list[Socket]:
        return [socket for socket in self._open if not socket.is_closed]

    def new_ticket(self) -> str:
        ticket = secrets.token_hex(16)
        self.tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from `hello` to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            return web.Response(status=404)
        self.tickets.discard(ticket)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        socket = Socket(ws, request.transport)
        if len(self.ready) >= SOCKETS:
            await self._send(
                socket, {"type": "disconnect", "reason": "too_many_websockets", "debug_info": {"host": "local"}}
            )
            await ws.close()
            return ws
        await self._hello(socket)
        pings = asyncio.ensure_future(self._ping(socket))
        try:
            await self._read(socket)
        finally:
            pings.cancel()
            await self._drop(socket)
        return ws

    async def _hello(self, socket: Socket) -> None:
        self._open.append(socket)
        self.opened += 1
        self.at.append(self._clock.monotonic())
        hello = {
            "type": "hello",
            "num_connections": len(self.ready),
            "connection_info": {"app_id": self._space.app_id},
            "debug_info": {"host": "local", "build_number": 1, "approximate_connection_time": 18060},
        }
        await self._send(socket, hello)
        async with self.changed:
            self.changed.notify_all()

    async def _read(self, socket: Socket) -> None:
        async for frame in socket.ws:
            if self._is_dead(socket):
                continue
            if frame.type == WSMsgType.PING:
                await socket.ws.pong(frame.data)
            elif frame.type == WSMsgType.TEXT:
                self._acknowledged(socket, frame.data)

    def _acknowledged(self, socket: Socket, data: str) -> None:
        try:
            answer = json.loads(data)
            waiter = socket.waiting.pop(answer["envelope_id"], None)
        except (ValueError, KeyError, TypeError):
            self._space.ledger.break_rule(f"not an acknowledgement on the socket: {data[:80]}")
            return
        if waiter is not None and not waiter.done():
            waiter.set_result(Delivered(Outcome.TAKEN, answer=answer.get("payload")))

    async def _drop(self, socket: Socket) -> None:
        socket.is_closed = True
        if socket in self._open:
            self._open.remove(socket)
        for waiter in socket.waiting.values():
            if not waiter.done():
                waiter.set_result(Delivered(Outcome.GONE, "connection_failed"))
        async with self.changed:
            self.changed.notify_all()

    async def _ping(self, socket: Socket) -> None:
        while not socket.is_closed:
            await self._clock.sleep(SERVER_PING_S)
            if not self._is_dead(socket):
                with contextlib.suppress(ConnectionError):
                    await socket.ws.ping(b"Ping from local")

    async def _send(self, socket: Socket, frame: Json) -> None:
        with contextlib.suppress(ConnectionError):
            await socket.ws.send_str(json.dumps(frame))

    def _pick(self) -> Socket | None:
        """Any connection may get an event; those that are to leave only if there is no other."""
        ready = [socket for socket in self.ready if not socket.is_leaving] or self.ready
        if not ready:
            return None
        self._turn += 1
        return ready[self._turn % len(ready)]

    async def deliver(self, parcel: Parcel, reason: str) -> Delivered:
        socket = self._pick()
        if socket is None:
            return Delivered(Outcome.NOBODY, "connection_failed")
        envelope: Json = {
            "envelope_id": str(uuid.uuid4()),
            "type": parcel.kind,
            "payload": parcel.payload,
            "accepts_response_payload": not parcel.is_event,
        }
        if parcel.is_event:
            envelope |= {"retry_attempt": parcel.attempts, "retry_reason": reason}
        waiter: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        socket.waiting[envelope["envelope_id"]] = waiter
        if not self._is_dead(socket):
            await self._send(socket, envelope)
        try:
            async with self._clock.timeout(self._ack_s):
                return await waiter
        except TimeoutError:
            return Delivered(Outcome.MISSED, "timeout")
        finally:
            socket.waiting.pop(envelope["envelope_id"], None)

    # --- what Slack does to connections ---

    async def say_goodbye(self, reason: str, leave_s: float = 10.0) -> None:
        """A disconnect frame: "warning" (the end is near), "refresh_requested" (the connection ends once another one is open, or after
        `leave_s`), "link_disabled" (Socket Mode was switched off: it ends now, and no other is taken)."""
        leaving = list(self.ready)
        self.is_disabled = self.is_disabled or reason == "link_disabled"
        opened = self.opened
        for socket in leaving:
            await self._send(socket, {"type": "disconnect", "reason": reason, "debug_info": {"host": "local"}})
            socket.is_leaving = True
        if reason == "refresh_requested":
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(leave_s), self.changed:
                    await self.changed.wait_for(lambda: self.opened > opened or all(s.is_closed for s in leaving))
        if reason != "warning":
            for socket in leaving:
                await socket.ws.close()

    def _is_dead(self, socket: Socket) -> bool:
        return self.is_silent or socket.is_silent

    def hush(self) -> None:
        """The connections that are open go dead without being closed; new ones are well."""
        for socket in self.ready:
            socket.is_silent = True

    def cut(self) -> None:
        """All connections end at once, without a word."""
        for socket in list(self.ready):
            socket.is_closed = True
            if socket.transport is not None:
                socket.transport.abort()

    async def wait_open(self, count: int = 1) -> None:
        async with self.changed:
            await self.changed.wait_for(
                lambda: len([s for s in self.ready if not (s.is_leaving or self._is_dead(s))]) >= count
            )


# --- http ----------------------------------------------------------------------------------------------------------


class RequestUrl:
    """The app's request URL, called as Slack calls it. `timestamp_shift_s` and `signs_with` make false or old requests."""

    def __init__(self, space: Workspace, clock: Clock, ack_s: float, url: str = "") -> None:
        self._space, self._clock, self._ack_s = space, clock, ack_s
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, parcel: Parcel, reason: str) -> Delivered:
        extra = {"x-slack-retry-num": str(parcel.attempts), "x-slack-retry-reason": reason} if parcel.attempts else {}
        body, kind = encoded(parcel)
        return await self.post(body, kind, extra)

    async def post(self, body: bytes, content_type: str, extra: dict[str, str] | None = None) -> Delivered:
        """One signed request."""
        headers = self.signed(body) | {"Content-Type": content_type} | (extra or {})
        if not self.url:
            return Delivered(Outcome.NOBODY, "connection_failed")
        try:
            async with (
                self._clock.timeout(self._ack_s),
                self._open_session().post(self.url, data=body, headers=headers, max_redirects=REDIRECTS) as answer,
            ):
                return await self._judge(answer)
        except TimeoutError:
            return Delivered(Outcome.MISSED, "http_timeout")
        except aiohttp.ClientConnectorError:
            return Delivered(Outcome.NOBODY, "connection_failed")
        except aiohttp.ClientError:
            return Delivered(Outcome.GONE, "connection_failed")

    def signed(self, body: bytes, *, at_ms: int | None = None, secret: str | None = None) -> dict[str, str]:
        """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
        at = str((self._clock.now_ms() if at_ms is None else at_ms) // 1000)
        key = (self._space.signing_secret if secret is None else secret).encode()
        digest = hmac.new(key, b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={digest}", "User-Agent": "Slackbot 1.0"}

    async def verify(self) -> bool:
        """The handshake with a new request URL: it must send the challenge back."""
        challenge = secrets.token_hex(16)
        hello = {"type": "url_verification", "token": self._space.verification_token, "challenge": challenge}
        answer = await self.post(json.dumps(hello).encode(), "application/json")
        given = answer.answer.get("challenge") if isinstance(answer.answer, dict) else answer.answer
        return answer.outcome is Outcome.TAKEN and given == challenge

    async def _judge(self, answer: aiohttp.ClientResponse) -> Delivered:
        text = await answer.text()
        if not 200 <= answer.status < 300:
            is_final = answer.headers.get("X-Slack-No-Retry") == "1"
            return Delivered(Outcome.FINAL if is_final else Outcome.MISSED, "http_error", text)
        if answer.content_type == "application/json" and text:
            return Delivered(Outcome.TAKEN, answer=json.loads(text))
        return Delivered(Outcome.TAKEN, answer=text)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession()
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def encoded(parcel: Parcel) -> tuple[bytes, str]:
    """Body and content type: events are JSON, interactions a form with `payload`, commands a form of their fields."""
    if parcel.is_event:
        return json.dumps(parcel.payload).encode(), "application/json"
    form = {"payload": json.dumps(parcel.payload)} if parcel.kind == "interactive" else parcel.payload
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


# --- both ----------------------------------------------------------------------------------------------------------


class Delivery:
    """Delivers to one app in the way it has chosen, again and again as Slack would. Tasks of its own end with `close`."""

    def __init__(
        self, space: Workspace, clock: Clock, *, ack_s: float = ACKNOWLEDGE_S, retries_s: Sequence[float] = RETRIES_S
    ) -> None:
        self._clock = clock
        self._ledger: Ledger = space.ledger
        self._space = space
        self.retries_s = tuple(retries_s)
        self.sockets = Sockets(space, clock, ack_s)
        self.http = RequestUrl(space, clock, ack_s)
        self.mode = "socket"
        self.keeps_when_nobody = False  # events for which no socket is open are tried again, and not lost at once
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.parcels: list[Parcel] = []

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def emit(self, event: Json, name: str) -> None:
        """Delivers an event, if the app has subscribed to it, has the scope for it and is where it happened."""
        scope = EVENT_SCOPES.get(name)
        may_see = scope is None or scope in self._space.scopes
        if name.startswith("assistant_thread"):
            may_see = self._space.is_agent
        if may_see and name in self._space.subscriptions and self._is_there(event):
            self.spawn(self.deliver(self.parcel_of(event, name)))

    def _is_there(self, event: Json) -> bool:
        room = self._space.rooms.get(str(event.get("channel") or event.get("item", {}).get("channel")))
        return room is None or self._space.bot.id in room.members

    def parcel_of(self, event: Json, name: str) -> Parcel:
        """https://docs.slack.dev/apis/events-api#event-type-structure"""
        space = self._space
        person = {
            "enterprise_id": None,
            "team_id": space.id,
            "user_id": space.bot.id,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        body = {
            "token": space.verification_token,
            "team_id": space.id,
            "context_team_id": space.id,
            "context_enterprise_id": None,
            "api_app_id": space.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": space.new_id("Ev"),
            "event_time": int(float(event["event_ts"])),
            "authorizations": [person],
            "is_ext_shared_channel": False,
            "event_context": secrets.token_hex(16),
        }
        parcel = Parcel("events_api", body, name)
        self.parcels.append(parcel)
        return parcel

    async def deliver(self, parcel: Parcel, reason: str = "") -> Delivered:
        """All tries of one parcel; what has no acknowledgement after the last is lost. `reason`: why it is repeated."""
        delivered = await self._once(parcel, reason)
        if not parcel.is_event:
            self._judge_interaction(parcel, delivered)
            return delivered
        is_kept = self.mode == "http" or self.keeps_when_nobody
        if delivered.outcome is Outcome.NOBODY and not is_kept:
            self._ledger.lost.append(f"{parcel.name}: nobody was there")
            return delivered
        for pause_s in self.retries_s:
            if delivered.outcome in (Outcome.TAKEN, Outcome.FINAL):
                return delivered
            await self._wait(pause_s)
            delivered = await self._once(parcel, delivered.reason)
        if delivered.outcome is not Outcome.TAKEN:
            self._ledger.lost.append(f"{parcel.name}: given up")
            if delivered.outcome is Outcome.MISSED:
                self._ledger.break_rule(f"{parcel.name} was never acknowledged")
        return delivered

    def _judge_interaction(self, parcel: Parcel, delivered: Delivered) -> None:
        """Interactions are never repeated: the person is shown an error, which is the app's fault if it was there."""
        if delivered.outcome in (Outcome.MISSED, Outcome.FINAL):
            self._ledger.break_rule(f"{parcel.name} was not acknowledged in time: {delivered.reason}")
        elif delivered.outcome is not Outcome.TAKEN:
            self._ledger.lost.append(f"{parcel.name}: nobody was there")

    async def _once(self, parcel: Parcel, reason: str) -> Delivered:
        way = self.sockets if self.mode == "socket" else self.http
        delivered = await way.deliver(parcel, reason)
        parcel.attempts += 1
        parcel.outcomes.append(delivered.outcome)
        if delivered.outcome is Outcome.MISSED:
            self._ledger.missed.append(f"{parcel.name}: {delivered.reason}")
        return delivered

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self._hurry.clear()
        pause, hurry = asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({pause, hurry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            hurry.cancel()

    def retry_now(self) -> None:
        """Everything that waits to be tried again is tried now."""
        self._hurry.set()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.close()
