"""The console on a real private listener over a real database; behind the port `Works`, a desk that keeps what it was asked."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from bot.config.knowledge_schema import Knowledge
from bot.console.admission import COOKIE, CSRF
from bot.console.console import Console
from bot.console.room import Room, Settings
from bot.conversations import Conversations
from bot.delivery import Delivery
from bot.errors import Refused
from bot.gaps.gaps import Gaps
from bot.handoff.commands import Command
from bot.handoff.desk import Told
from bot.handoff.feed import Feed
from bot.handoff.hours import ALWAYS
from bot.handoff.views import Views
from bot.knowledge.library import FolderKnowledge
from bot.knowledge.opening import roots
from bot.model import Attachment, ConversationId, Passage, PassageId, value
from bot.net.listeners import ListenerConfig, Listeners
from bot.operators.operator import Operator
from bot.people.control import UserCommands
from bot.people.erasure import Erasure
from bot.people.graves import Graves
from bot.ports import Cursor
from bot.store import sessions
from bot.store.blobs import Blobs
from bot.store.folder import BLOBS, INDEX
from bot.telemetry.metrics import Metrics
from tests.console.people import People
from tests.operators.house import House, housed

NOTHING = Knowledge(paths=())
WAIT_S = 10.0
UPLOAD_BYTES = 300_000


@value
class Act:
    """One command that was handed to the desk."""

    operator: str
    conversation: str
    command: Command
    key: str
    attachments: tuple[Attachment, ...]
    suggestion: str


class KeepingDesk:
    """Keeps every act; refuses what `refusal` says."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.typed: list[tuple[str, str]] = []
        self.dropped: list[str] = []
        self.refusal: Refused | None = None

    async def act(
        self,
        operator: Operator,
        conversation: ConversationId,
        command: Command,
        *,
        key: str = "",
        attachments: Sequence[Attachment] = (),
        suggestion: str = "",
        via: str = "",
        account: str = "",
    ) -> Told:
        if self.refusal is not None:
            raise self.refusal
        self.acts.append(Act(operator.name, conversation, command, key, tuple(attachments), suggestion))
        return Told("Done.", message="m1")

    async def typing(self, operator: Operator, conversation: ConversationId) -> None:
        self.typed.append((operator.name, conversation))

    async def drop(self, operator: Operator, suggestion: str) -> None:
        self.dropped.append(suggestion)


class Desk:
    """The whole, with what a test looks at."""

    def __init__(self, house: House, blobs: Blobs) -> None:
        self.house = house
        self.clock = house.clock
        self.feed = Feed()
        self.works = KeepingDesk()
        self.views = Views(house.store, house.clock, self.feed)
        self.settings = Settings(
            ALWAYS,
            ({"name": "hello", "text": "Hello {user}", "channels": []},),
            knowledge=NOTHING,
            audiences=("staff",),
        )
        self.library = FolderKnowledge(house.data / INDEX, roots(self.settings.knowledge, house.data), house.clock)
        graves = Graves(b"k" * 32)
        conversations = Conversations(house.store)
        delivery = Delivery(house.store, house.clock, {}, Metrics())
        erasure = Erasure(house.store, house.clock, house.data, conversations, delivery, graves, self.feed.touch)
        self.persons = UserCommands(house.store, house.clock, erasure, lambda changed: None)
        room = Room(
            house.store,
            house.clock,
            self.views,
            self.works,
            house.operators,
            house.signing,
            blobs,
            _passage,
            lambda: self.settings,
            self.feed.touch,
            self.persons,
            self,
            house.data,
        )
        self.console = Console(room, self.feed, Gaps(house.store, house.clock, {}, house.data))
        self.people = People(house.store, house.clock.now_ms() - 3_600_000)
        nowhere = ListenerConfig("127.0.0.1", 0, "server")
        self.listeners = Listeners(
            public=nowhere,
            private=ListenerConfig("127.0.0.1", 0, "admin"),
            routes=(),
            private_routes=self.console.routes(),
            health=lambda: (200, {}),
            ready=lambda: (200, {}),
            metrics=lambda: (b"", "text/plain"),
            clock=house.clock,
        )
        self.pages: list[Page] = []

    async def loaded(self) -> FolderKnowledge:
        return self.library

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listeners.private_port}"

    def page(self) -> "Page":
        page = Page(self)
        self.pages.append(page)
        return page

    async def signed_in(self, name: str = "ann", role: str = "agent") -> "Page":
        """An operator with an open session, without the second that proving a password takes."""
        operator = await self.house.operators.by_name(name) or await self.house.add(name, role)
        page = self.page()
        page.token, page.csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        hash_ = hashlib.sha256(page.token.encode()).hexdigest()
        is_in = await self.house.store.run(
            _enter, operator.name, len(self.pages), hash_, page.csrf, self.clock.now_ms()
        )
        assert is_in
        return page


class Page:
    """A browser with a page of the console, as far as the network goes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.token = ""
        self.csrf = ""
        self.origin = desk.url
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._arrived = asyncio.Event()
        self._client = aiohttp.ClientSession()
        self._reading: asyncio.Task[None] | None = None
        self.ws: aiohttp.ClientWebSocketResponse | None = None

    def headers(self) -> dict[str, str]:
        found = {"Origin": self.origin, CSRF: self.csrf, "Cookie": f"{COOKIE}={self.token}"}
        return {name: text for name, text in found.items() if text}

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._client.get(f"{self._desk.url}/console/api/{path}", headers=self.headers()) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: object = None, *, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        url = f"{self._desk.url}/console/api/{path}"
        async with self._client.post(url, data=data, headers=self.headers() | (headers or {})) as answer:
            self.cookie = answer.headers.get("Set-Cookie", "")
            return answer.status, await answer.json()

    async def raw(self, path: str) -> tuple[int, aiohttp.ClientResponse, bytes]:
        async with self._client.get(f"{self._desk.url}{path}", headers=self.headers()) as answer:
            return answer.status, answer, await answer.read()

    async def connect(self) -> int:
        """Opens the socket; returns the status."""
        try:
            self.ws = await self._client.ws_connect(f"{self._desk.url}/console/ws", headers=self.headers())
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status
        self._reading = asyncio.create_task(self._read(self.ws))
        return 101

    async def say(self, type_: str, conversation: str) -> None:
        assert self.ws is not None
        await self.ws.send_str(json.dumps({"type": type_, "conversation": conversation}))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Lets the house's time and the network's go on until it is so."""
        async with asyncio.timeout(WAIT_S):
            while not is_so():
                await self._desk.clock.advance(0.05)
                self._arrived.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._arrived.wait()
                except TimeoutError:
                    pass

    async def frame(self, type_: str, is_it: Callable[[dict[str, Any]], bool] = lambda frame: True) -> dict[str, Any]:
        """The first frame of that kind since the last `clear`."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.frames if each["type"] == type_ and is_it(each)]

        await self.until(lambda: bool(found()))
        return found()[0]

    def is_refused(self) -> bool:
        return self.close_code == 1008

    def clear(self) -> None:
        self.frames.clear()

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            self.frames.append(json.loads(message.data))
            self._arrived.set()
        self.close_code = ws.close_code
        self._arrived.set()

    async def close(self) -> None:
        if self.ws is not None:
            await self.ws.close()
        if self._reading is not None:
            await self._reading
        await self._client.close()


async def _passage(id_: PassageId) -> Passage | None:
    return Passage(id_, "hours.md", "Opening hours", "We open at nine.") if id_ == "docs/hours.md#1" else None


def _enter(cursor: Cursor, name: str, step: int, hash_: str, csrf: str, now_ms: int) -> bool:
    found = sessions.credentials_of(cursor.fetch(sessions.CREDENTIALS, {"name": name}))
    return sessions.enter(cursor, found, step, hash_, csrf, now_ms)


@asynccontextmanager
async def opened_desk(data: Path) -> AsyncIterator[Desk]:
    async with housed(data) as house:
        desk = Desk(house, Blobs(data / BLOBS, house.store, house.clock, UPLOAD_BYTES))
        desk.settings = replace(desk.settings, upload_bytes=UPLOAD_BYTES)
        await desk.listeners.start()
        running = asyncio.create_task(desk.console.run())
        try:
            yield desk
        finally:
            for page in desk.pages:
                await page.close()
            running.cancel()
            await asyncio.wait([running])
            await desk.library.close()
            await desk.listeners.stop(0.0)
