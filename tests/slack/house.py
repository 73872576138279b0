"""A house of one room: keeps what an adapter reports, and can refuse it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp

from bot.errors import FetchError, Refused
from bot.model import (
    Accepted,
    Address,
    Blob,
    BlobId,
    Bookmark,
    CaseId,
    CaseSummary,
    Conversation,
    ConversationId,
    Event,
    Identity,
    IdentityId,
    Message,
    MessageId,
    MessageReceived,
    Passage,
    PassageId,
    Recent,
    Seq,
    Transcript,
)
from bot.ports import ChannelState, Clock, Fetched, HostLimits

T = TypeVar("T")


class OneHouse:
    """A Host. `refuse`, when set, is raised by the next `receive`s; `gate`, when cleared, lets none of them end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.limits = HostLimits()
        self.events: list[Event] = []
        self.reports: list[tuple[ChannelState, str]] = []
        self.kept: dict[str, str] = {}
        self.refuse: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.passages: dict[str, Passage] = {}
        self.open_cases: list[CaseSummary] = []
        self.known: set[Address] = set()
        self.said: list[Message] = []  # what the history of a known address holds
        self.receipts: set[str] = set()  # ids that are known as those of parts
        self.talks: list[Recent] = []
        self.blobs: dict[str, bytes] = {}
        self.fetched: list[tuple[str, Mapping[str, str]]] = []

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        await self.gate.wait()
        if self.refuse is not None:
            raise self.refuse
        is_known = event in self.events or self._has(event)
        self.events.append(event)
        if bookmark is not None:
            self.kept[bookmark.name] = bookmark.value
        seq = sum(1 for each in self.of(MessageReceived) if each.at == getattr(event, "at", None))
        return Accepted(seq=Seq(seq), is_duplicate=is_known)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def _has(self, event: Event) -> bool:
        """Whether that message is known, whatever it says by now."""
        if not isinstance(event, MessageReceived):
            return False
        known = [(each.at, each.external_id) for each in self.events if isinstance(each, MessageReceived)]
        return (event.at, event.external_id) in known

    def report(self, state: ChannelState, detail: str = "") -> None:
        self.reports.append((state, detail))

    async def keep(self, bookmark: Bookmark) -> None:
        self.kept[bookmark.name] = bookmark.value

    async def bookmarks(self) -> Mapping[str, str]:
        return dict(self.kept)

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        return [each for each in self.talks if each.heard_ms >= since_ms][:limit]

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        return external_id in self.receipts

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        return self.open_cases[:limit]

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        if at not in self.known:
            return Transcript(None, ())
        return Transcript(
            Conversation(ConversationId("c"), at, "main", "agent", 1, Seq(1), CaseId(""), IdentityId("i")),
            tuple(self.said),
        )

    async def passage(self, passage: PassageId) -> Passage:
        if passage not in self.passages:
            raise Refused("no_passage", "This passage is no longer part of the documents.")
        return self.passages[passage]

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        raise Refused("bad_type", "Nothing is kept here.")

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        raise Refused("no_blob", "There is no such file.")

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        if blob not in self.blobs:
            raise Refused("no_blob", "There is no such file.")
        data = self.blobs[blob]
        return Blob(blob, "file", "application/octet-stream", len(data)), _in_pieces(data)

    @asynccontextmanager
    async def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AsyncIterator[Fetched]:
        self.fetched.append((url, headers or {}))
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            if answer.status != 200:
                raise FetchError(f"{answer.status}", is_retryable=answer.status >= 500)
            yield Fetched(str(answer.url), answer.content_type, answer.content_length or 0, answer.content.iter_any())

    def connector(self) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector()

    def secret(self, name: str) -> bytes:
        return name.encode() * 8


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
