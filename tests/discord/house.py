"""A house of the same shape as the real one, and one Discord account that runs in it against the protocol server."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp

from adapters.discord import Account, create
from bot.clock import SystemClock
from bot.errors import FetchError, Refused
from bot.model import (
    Accepted,
    Address,
    Author,
    Blob,
    BlobId,
    Bookmark,
    CaseSummary,
    Conversation,
    ConversationId,
    Event,
    Identity,
    IdentityId,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    Passage,
    PassageId,
    Recent,
    Seq,
    Transcript,
)
from bot.ports import ChannelState, Clock, Fetched, HostLimits
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Channel, User
from tests.platforms.discord.things import Message as SeenMessage

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's voice part imports audioop
    import discord  # noqa: F401


class QuickClock(SystemClock):
    """Real time, in which pauses of a second and more last a hundredth of that."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100 if seconds >= 1 else seconds)


class FakeHost:
    """Keeps everything in memory, over restarts of an adapter. `failures` are raised by the next calls of `receive`; where `refusal` is
    set it refuses every message."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.limits = HostLimits(messages_per_minute=1_000)
        self.events: list[Event] = []
        self.marks: dict[str, str] = {}
        self.states: list[tuple[ChannelState, str]] = []
        self.failures: list[Exception] = []
        self.refusal: Refused | None = None
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.told: dict[str, Message] = {}
        self.receipts: set[str] = set()  # ids of the platform's that are known as those of parts
        self.changed = asyncio.Condition()
        self.gates: dict[str, asyncio.Event] = {}  # by text: messages that are not stored before the event is set
        self._keys: dict[tuple[Address, str], Accepted] = {}

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        if isinstance(event, MessageReceived) and event.text in self.gates:
            await self.gates[event.text].wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.refusal is not None and isinstance(event, MessageReceived):
            raise self.refusal
        if bookmark is not None:
            self.marks[bookmark.name] = bookmark.value
        accepted = self._accepted(event)
        if not accepted.is_duplicate:
            self.events.append(event)
        await self._tell()
        return accepted

    def _accepted(self, event: Event) -> Accepted:
        if not isinstance(event, MessageReceived):
            return Accepted()
        key = (event.at, event.external_id)
        if key in self._keys:
            return Accepted(self._keys[key].message, self._keys[key].seq, is_duplicate=True)
        self._keys[key] = Accepted(MessageId(f"in-{len(self._keys)}"), Seq(len(self._keys) + 1))
        return self._keys[key]

    def report(self, state: ChannelState, detail: str = "") -> None:
        self.states.append((state, detail))

    async def keep(self, bookmark: Bookmark) -> None:
        self.marks[bookmark.name] = bookmark.value
        await self._tell()

    async def bookmarks(self) -> Mapping[str, str]:
        return dict(self.marks)

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        heard = {event.at: event for event in self.events if isinstance(event, MessageReceived)}
        return [Recent(at, event.sent_at_ms, event.external_id) for at, event in reversed(heard.items())]

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        return external_id in self.receipts

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        return ()

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        talk = Conversation(ConversationId("k"), at, "main", "agent", 1, Seq(1), _NO_CASE, IdentityId("i"))
        return Transcript(talk, tuple(self.told.values()))

    async def passage(self, passage: PassageId) -> Passage:
        if passage != "p1":
            raise Refused("no_passage", "This passage is no longer part of the documents.")
        return Passage(passage, "guide.md", "Guide", "Read this first. @everyone", "https://x.test/guide")

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        raise NotImplementedError

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        raise NotImplementedError

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        if blob not in self.blobs:
            raise Refused("no_blob", "That file is not there (any more).")
        name, data = self.blobs[blob]
        return Blob(blob, name, "application/pdf", len(data)), _chunks(data)

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        return _fetched(url, trusted)

    def connector(self) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector()

    def secret(self, name: str) -> bytes:
        return b"!" * 32

    # --- for tests -------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Waits for something that comes with an event or a bookmark."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(is_so)

    async def event(self, kind: type[Any], count: int = 1) -> Any:
        """The event of that kind that comes as number `count`."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def texts(self) -> list[str]:
        return [event.text for event in self.of(MessageReceived)]

    def changes(self) -> list[Any]:
        return [event for event in self.events if isinstance(event, MessageEdited | MessageDeleted)]


_NO_CASE: Any = ""


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


@asynccontextmanager
async def _fetched(url: str, trusted: Sequence[str]) -> AsyncIterator[Fetched]:
    if not any(url.startswith(one.split("/api")[0]) for one in trusted):
        raise FetchError(f"{url} is not trusted", is_retryable=False)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        if answer.status != 200:
            raise FetchError(f"answered {answer.status}", is_retryable=False)
        yield Fetched(url, answer.content_type, 0, answer.content.iter_any())


class Desk:
    """One account at work. `kill` ends it like a crash: nothing is said to Discord any more."""

    def __init__(self, server: DiscordServer, host: FakeHost | None = None, **settings: Any) -> None:
        self.server = server
        self.host = host or FakeHost()
        fields = {"enabled": True, "token": server.token, "api_url": server.api_url, "gateway_url": server.gateway_url}
        self.adapter = create(Account.model_validate(fields | settings), self.host)
        self.running: asyncio.Task[None] | None = None

    async def start(self) -> "Desk":
        self.running = asyncio.create_task(self.adapter.run())
        live = asyncio.create_task(self.server.gateway.wait_live())
        await asyncio.wait([live, self.running], return_when=asyncio.FIRST_COMPLETED)
        if self.running.done():
            live.cancel()
            await self.running
        await live
        return self

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running

    async def fault(self) -> BaseException:
        """What the run ends with by itself."""
        self.running = self.running or asyncio.create_task(self.adapter.run())
        async with asyncio.timeout(10):
            await asyncio.wait([self.running])
        error, self.running = self.running.exception(), None
        assert error is not None
        return error


def answer(text: str, id_: str = "m1", **fields: Any) -> Message:
    """A message of the agent, or one part of it."""
    return Message(MessageId(id_), Seq(1), Author.AGENT, text, 0, **fields)


async def until(is_so: Callable[[], object]) -> None:
    """Looks again and again until it is so, for at most ten seconds."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


def dm(server: DiscordServer, user: User) -> Address:
    """The address of a person's direct messages."""
    return Address("discord", "", str(server.world.direct(user).id))


def ours(server: DiscordServer, at: Channel) -> list[SeenMessage]:
    """What the bot's messages in a channel are now, oldest first."""
    return [message for message in at.messages if message.author is server.world.bot and message.type == 0]


def labels(message: SeenMessage) -> list[str]:
    """What stands on the buttons of a message."""
    parts = [part for row in message.components for part in row["components"] if part["type"] == 2]
    return [part.get("label") or part["emoji"]["name"] for part in parts]
