"""The load's side of webhooks: signed posts on keep-alive connections, with as little work as HTTP allows.

They are signed with the platforms' own libraries, as the platforms sign them.
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from benchmarks.load import Result
from benchmarks.platforms import PATHS, PUBLIC_URL

PATIENCE_S = 20.0  # Twilio waits 15 s, Slack 3 s
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n"


@dataclass
class Post:
    """One request as it goes over the wire, and the id under which the house keeps its message."""

    id: str
    data: bytes


class Source(Protocol):
    """Makes the requests of one platform, each of another message."""

    def posts(self) -> Iterator[Post]: ...


class TwilioPosts:
    """A person's message through Twilio: `people` different numbers in turn."""

    def __init__(self, account: str, token: str, number: str, people: int) -> None:
        self._account, self._number, self._people = account, number, people
        self._validator = RequestValidator(token)
        self._count = itertools.count()

    def posts(self) -> Iterator[Post]:
        for count in self._count:
            digits = f"49155{count % self._people:08d}"
            sid = f"SM{count:032x}"
            form = {
                "SmsMessageSid": sid,
                "SmsSid": sid,
                "MessageSid": sid,
                "AccountSid": self._account,
                "From": f"whatsapp:+{digits}",
                "To": self._number,
                "Body": f"hello there, number {count}",
                "ProfileName": f"Person {digits[-4:]}",
                "WaId": digits,
                "SmsStatus": "received",
                "MessageType": "text",
                "NumMedia": "0",
                "NumSegments": "1",
                "ReferralNumMedia": "0",
                "ApiVersion": "2010-04-01",
                "ChannelMetadata": '{"type": "whatsapp", "data": {"context": {}}}',
            }
            signature = self._validator.compute_signature(PUBLIC_URL + PATHS["whatsapp"], form)
            more = f"X-Twilio-Signature: {signature}\r\nUser-Agent: TwilioProxy/1.1\r\n"
            yield Post(sid, _request(PATHS["whatsapp"], "application/x-www-form-urlencoded", urlencode(form), more))


class SlackPosts:
    """A direct message by the Events API: the people of `about`, as the workspace's process has written it down, in turn."""

    def __init__(self, about: dict[str, Any]) -> None:  # JSON
        self._about = about
        self._verifier = SignatureVerifier(about["signing_secret"])
        self._count = itertools.count()
        self._began_s = int(time.time())

    def posts(self) -> Iterator[Post]:
        about, people = self._about, self._about["people"]
        for count in self._count:
            person, room = people[count % len(people)]
            ts = f"{self._began_s}.{count:06d}"
            event = {
                "type": "message",
                "ts": ts,
                "event_ts": ts,
                "text": f"hello there, number {count}",
                "user": person,
                "team": about["team"],
                "client_msg_id": f"00000000-0000-4000-8000-{count:012x}",
                "channel": room,
                "channel_type": "im",
                "blocks": [{"type": "rich_text", "block_id": "typed", "elements": []}],
            }
            body = {
                "token": "of-old",
                "team_id": about["team"],
                "context_team_id": about["team"],
                "api_app_id": about["app"],
                "event": event,
                "type": "event_callback",
                "event_id": f"Ev{count:09d}",
                "event_time": self._began_s,
                "authorizations": [{"team_id": about["team"], "user_id": about["bot"], "is_bot": True}],
                "is_ext_shared_channel": False,
                "event_context": f"4-{count:x}",
            }
            text, at = json.dumps(body), str(int(time.time()))
            signature = self._verifier.generate_signature(timestamp=at, body=text)
            more = f"X-Slack-Request-Timestamp: {at}\r\nX-Slack-Signature: {signature}\r\nUser-Agent: Slackbot 1.0\r\n"
            yield Post(f"{room}:{ts}", _request(PATHS["slack"], "application/json", text, more))


def _request(path: str, kind: str, body: str, more: str) -> bytes:
    return (HEAD.format(path=path, kind=kind, size=len(body), more=more) + body).encode("ascii")


class Line(asyncio.Protocol):
    """One keep-alive connection: one request at a time, whose answer goes to `load`."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self.transport: asyncio.Transport | None = None
        self.post: Post | None = None
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self)

    def send(self, post: Post, due: float) -> None:
        assert self.transport is not None
        self.post, self.due = post, due
        self.transport.write(post.data)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        head, mark, body = buffer.partition(b"\r\n\r\n")
        if not mark or len(body) < _size(head):
            return
        self._buffer = b""
        self._load.answered(self, int(head[9:12]))


def _size(head: bytes) -> int:
    _, mark, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if mark else 0


@dataclass
class Load:
    """Posts of one source to one port. `acknowledged` are the ids of those that were answered with 2xx."""

    source: Source
    lines: list[Line] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    asked: int = 0
    result: Result = field(default_factory=Result)
    _free: deque[Line] = field(default_factory=deque)
    _late: deque[tuple[Post, float]] = field(default_factory=deque)  # due, and no connection was free
    _endless: Iterator[Post] | None = None  # of a closed loop
    _open: int = 0

    async def connect(self, port: int, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, line = await loop.create_connection(lambda: Line(self), "127.0.0.1", port)
            self.lines.append(line)
            self._free.append(line)

    def close(self) -> None:
        for line in self.lines:
            if line.transport is not None:
                line.transport.abort()

    # --- what the lines say ----------------------------------------------------------------------------------------

    def answered(self, line: Line, status: int) -> None:
        now = time.perf_counter()
        assert line.post is not None
        self._open -= 1
        if 200 <= status < 300:
            self.acknowledged.append(line.post.id)
            self.result.done += 1
            self.result.latencies_ms.append((now - line.due) * 1000)
        line.post = None
        if self._endless is not None:
            self._post(line, next(self._endless), time.perf_counter())
        elif self._late:
            self._post(line, *self._late.popleft())
        else:
            self._free.append(line)

    def lost(self, line: Line) -> None:
        if line.post is not None:
            self._open -= 1
            line.post = None

    def _post(self, line: Line, post: Post, due: float) -> None:
        self._open += 1
        self.asked += 1
        line.send(post, due)

    # --- loads -----------------------------------------------------------------------------------------------------

    async def at_rate(self, rate: float, seconds: float) -> None:
        """An open loop. Latencies count from the moment at which a post was due, whether or not a connection was free then."""
        posts = list(itertools.islice(self.source.posts(), int(rate * seconds)))
        started = time.perf_counter()
        for number, post in enumerate(posts):
            due = started + number / rate
            delay = due - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            if self._free:
                self._post(self._free.popleft(), post, due)
            else:
                self._late.append((post, due))
        await self._settle()
        self.result.seconds = time.perf_counter() - started

    async def as_fast_as_answered(self, seconds: float, warm_s: float = 1.0) -> None:
        """A closed loop on every connection."""
        self._endless = self.source.posts()
        while self._free:
            self._post(self._free.popleft(), next(self._endless), time.perf_counter())
        await asyncio.sleep(warm_s)
        before, started = self.result.done, time.perf_counter()
        self.result.latencies_ms.clear()
        await asyncio.sleep(seconds)
        taken, spent = self.result.done - before, time.perf_counter() - started
        latencies = list(self.result.latencies_ms)
        self._endless = None
        await self._settle()
        self.result = Result(taken, spent, latencies)

    async def _settle(self) -> None:
        deadline = time.perf_counter() + PATIENCE_S
        while (self._open or self._late) and time.perf_counter() < deadline:
            await asyncio.sleep(0.005)
