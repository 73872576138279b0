"""A house of the same shape as the real one, that keeps everything in dictionaries."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from aiohttp import BaseConnector

from bot.errors import Refused
from bot.model import (
    Accepted,
    Address,
    Author,
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

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


class FakeHost:
    """`events` is what arrived; `failure` is raised by the next `receive` or `history`; `is_held` keeps `receive` and `history` waiting."""

    def __init__(self, clock: Clock, limits: HostLimits) -> None:
        self.clock = clock
        self.limits = limits
        self.events: list[Event] = []
        self.states: list[ChannelState] = []
        self.failure: Exception | None = None
        self.is_held = asyncio.Event()
        self.is_held.set()
        self.is_asked = asyncio.Event()
        self.passages = {"p1": Passage(PassageId("p1"), "guide.md", "Guide", "Read <this> first.", "https://x.test/g")}
        self.owner = "agent"
        self.owner_name = ""
        self._accepted: dict[str, Accepted] = {}
        self._messages: dict[str, list[Message]] = {}
        self._blobs: dict[str, tuple[Blob, bytes, str]] = {}

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        self._fail()
        self.is_asked.set()
        await self.is_held.wait()
        self.events.append(event)
        if not isinstance(event, MessageReceived):
            return Accepted()
        if event.external_id in self._accepted:
            return replace(self._accepted[event.external_id], is_duplicate=True)
        for blob in event.attachments:
            if blob not in self._blobs or self._blobs[blob][2] != event.sender.external_id:
                raise Refused("no_blob", "This file is not here any more. Please send it again.")
        message = self.append(event.at, Author.USER, event.text)
        self._accepted[event.external_id] = Accepted(message.id, message.seq, CaseId("c1"))
        return self._accepted[event.external_id]

    def _fail(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def append(self, at: Address, author: Author, text: str) -> Message:
        """Writes into a conversation."""
        messages = self._messages.setdefault(at.chat, [])
        seq = len(messages) + 1
        messages.append(Message(MessageId(f"m-{at.chat}-{seq}"), Seq(seq), author, text, self.clock.now_ms()))
        return messages[-1]

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        self._fail()
        messages = [message for message in self._messages.get(at.chat, []) if message.seq > after]
        shown = messages[:limit] if after else messages[-limit:]
        self.is_asked.set()
        await self.is_held.wait()
        if not self._messages.get(at.chat):
            return Transcript(None, ())
        last = self._messages[at.chat][-1].seq
        conversation = Conversation(
            ConversationId("k-" + at.chat), at, "main", self.owner, 1, last, CaseId("c1"), IdentityId("i1")
        )
        return Transcript(conversation, tuple(shown), not after and len(messages) > limit, self.owner_name)

    async def passage(self, passage: PassageId) -> Passage:
        if passage not in self.passages:
            raise Refused("no_passage", "This passage no longer exists.")
        return self.passages[passage]

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        content = b"".join([chunk async for chunk in data])
        if not content:
            raise Refused("empty", "This file is empty.")
        if not content.startswith(PNG[:8]):
            raise Refused("bad_type", "Only images and PDF files can be sent.")
        blob = Blob(BlobId(f"b{len(self._blobs) + 1}"), name, "image/png", len(content))
        self._blobs[blob.id] = (blob, content, owner.external_id)
        return blob

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        found = self._blobs.get(blob)
        if found is None or found[2] != reader.external_id:
            raise Refused("no_blob", "There is no such file.")
        return found[0], _chunks(found[1])

    def report(self, state: ChannelState, detail: str = "") -> None:
        self.states.append(state)

    # --- what the web has no use for -------------------------------------------------------------------------------

    async def keep(self, bookmark: Bookmark) -> None:
        raise AssertionError

    async def bookmarks(self) -> Mapping[str, str]:
        raise AssertionError

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        raise AssertionError

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        raise AssertionError

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        raise AssertionError

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        raise AssertionError

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        raise AssertionError

    def connector(self) -> BaseConnector:
        raise AssertionError

    def secret(self, name: str) -> bytes:
        return name.encode().ljust(32, b"!")


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
