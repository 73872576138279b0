"""The adapter with everything real but the house: Twilio's library, loopback sockets, signed webhooks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp import web

from adapters.whatsapp import Account, Settings
from adapters.whatsapp.adapter import WhatsAppAdapter
from bot.clock import SystemClock
from bot.errors import FrontdeskError, Refused
from bot.model import (
    Accepted,
    Address,
    Author,
    Blob,
    BlobId,
    Bookmark,
    CaseId,
    CaseSummary,
    ContactChoice,
    ContactChosen,
    Conversation,
    ConversationId,
    Event,
    Identity,
    IdentityId,
    Message,
    MessageId,
    Passage,
    PassageId,
    Recent,
    Seq,
    Transcript,
)
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.ports import ChannelState, Clock, Fetched, HostLimits
from tests.platforms.twilio.driver import TwilioPlatform
from tests.platforms.twilio.ledger import PERSON

AT = Address("whatsapp", "", PERSON)
DEADLINE_S = 10.0
_POLL_S = 0.005


class FakeHost:
    """Keeps what it receives. `refusals` are raised, one after the other, by the next calls of `receive`."""

    def __init__(self, clock: Clock, allow: Sequence[str] | None = None) -> None:
        self.clock = clock
        self.limits = HostLimits()
        self.events: list[Event] = []
        self.refusals: list[FrontdeskError] = []
        self.reports: list[tuple[ChannelState, str]] = []
        self.kept: dict[str, str] = {}
        self.keeps = 0  # one each time what was missed has been taken up
        self.said: dict[str, list[Message]] = {}
        self.heard: list[Recent] = []
        self.receipts: set[str] = set()  # Sids that are known as those of parts
        self.attachments: dict[tuple[MessageId, BlobId], tuple[Blob, bytes]] = {}
        self._fetcher = Fetcher(Perimeter(allow), SystemClock(), self.limits.upload_bytes)
        self.fetched: list[tuple[str, Mapping[str, str], Sequence[str]]] = []

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        if self.refusals:
            raise self.refusals.pop(0)
        self.events.append(event)
        if bookmark is not None:
            self.kept[bookmark.name] = bookmark.value
        return Accepted()

    def report(self, state: ChannelState, detail: str = "") -> None:
        self.reports.append((state, detail))

    async def keep(self, bookmark: Bookmark) -> None:
        self.keeps += 1
        self.kept[bookmark.name] = bookmark.value

    async def bookmarks(self) -> Mapping[str, str]:
        return dict(self.kept)

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        return [each for each in self.heard if each.heard_ms >= since_ms][:limit]

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        return external_id in self.receipts

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        return []

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        choices = [event.choice for event in self.events if isinstance(event, ContactChosen) and event.at == at]
        is_stopped = choices[-1:] == [ContactChoice.STOP]
        conversation = Conversation(
            ConversationId("c"), at, "main", "agent", 1, Seq(1), CaseId("k"), IdentityId("i"), is_stopped=is_stopped
        )
        return Transcript(conversation, tuple(self.said.get(at.chat, ()))[-limit:])

    async def passage(self, passage: PassageId) -> Passage:
        raise Refused("no_passage", "There is none.")

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        raise Refused("bad_type", "Not here.")

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        raise Refused("no_blob", "There is none.")

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        try:
            found, data = self.attachments[message, blob]
        except KeyError:
            raise Refused("no_blob", "There is none.") from None
        return found, _once(data)

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        self.fetched.append((url, headers or {}, trusted))
        return self._fetcher.fetch(url, headers, trusted=trusted)

    def connector(self) -> aiohttp.BaseConnector:
        return self._fetcher.connector()

    async def close(self) -> None:
        await self._fetcher.close()

    def secret(self, name: str) -> bytes:
        return f"the key of {name}".encode()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Rig:
    """A running adapter, its house, and Twilio."""

    def __init__(self, platform: TwilioPlatform, host: FakeHost, adapter: WhatsAppAdapter, url: str) -> None:
        self.platform = platform
        self.server = platform.server
        self.host = host
        self.adapter = adapter
        self.url = url  # where the adapter's routes really are

    async def until(self, is_so: Callable[[], object]) -> None:
        """Waits for what is to become true; fails after ten seconds."""
        for _ in range(round(DEADLINE_S / _POLL_S)):
            if is_so():
                return
            await asyncio.sleep(_POLL_S)
        raise AssertionError("it did not become true")

    def open_window(self, person: str = PERSON) -> None:
        """The person has written just now; nothing of it reaches the house."""
        self.server.write(person, "Hello", is_delivered=False)

    async def received(self, count: int = 1) -> list[Event]:
        await self.until(lambda: len(self.host.events) >= count)
        return self.host.events


def settings(platform: TwilioPlatform, **changes: Any) -> Settings:  # values of TOML
    return Settings.model_validate({**platform.config(), **changes})


def message(text: str, message_id: str = "m1", **fields: Any) -> Message:  # any of its fields
    made = Message(MessageId(message_id), Seq(1), Author.AGENT, text, at_ms=1_700_000_000_000)
    return replace(made, **fields)


@asynccontextmanager
async def rig(
    clock: Clock | None = None, account: str = "", is_running: bool = True, **changes: Any
) -> AsyncIterator[Rig]:
    """`changes` are keys of `[channels.whatsapp]`."""
    platform = TwilioPlatform(clock)
    await platform.start()
    host = FakeHost(clock or SystemClock())
    try:
        async with serving(platform, host, account, is_running, **changes) as running:
            yield running
    finally:
        await host.close()
        await platform.stop()


@asynccontextmanager
async def serving(
    platform: TwilioPlatform, host: FakeHost, account: str = "", is_running: bool = True, **changes: Any
) -> AsyncIterator[Rig]:
    """One run of the adapter on a Twilio that is there already."""
    chosen: Account = settings(platform, **changes)
    adapter = WhatsAppAdapter(chosen, host, account)
    app = web.Application()
    for route in adapter.routes():
        app.router.add_route(route.method, route.path, route.handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    platform.attach(port)
    running = Rig(platform, host, adapter, f"http://127.0.0.1:{port}")
    kept_before = host.keeps
    task = asyncio.get_running_loop().create_task(adapter.run()) if is_running else None
    try:
        if task is not None:
            await running.until(lambda: task.done() or host.keeps > kept_before)
        yield running
        await platform.server.settle()
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await runner.cleanup()
