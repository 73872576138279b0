"""The `Host` port: all that an adapter may ask of the house, handed to the rooms that do it.

`House` is what they share; each account's adapter gets a `Door` of its own, through which only events of that account come in.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from bot.channels import key_of
from bot.errors import Refused, StoreUnavailable
from bot.ids import conversation_id, identity_id
from bot.intake import Intake
from bot.model import (
    Accepted,
    Address,
    Blob,
    BlobId,
    Bookmark,
    CaseId,
    CaseSummary,
    Conversation,
    DeliveryReported,
    DraftPosted,
    Event,
    Identity,
    MessageId,
    MessageReceived,
    Passage,
    PassageId,
    Recent,
    Seq,
    Transcript,
)
from bot.net.fetch import Fetcher
from bot.ports import ChannelState, Clock, Fetched, Health, HostLimits, Knowledge, Store, Value, Vitals
from bot.store import records
from bot.store.blobs import Blobs

if TYPE_CHECKING:
    from aiohttp import BaseConnector

SECRET_BYTES = 32
TITLE_CHARS = 80
_OF_OURS = (DraftPosted, DeliveryReported)  # what is told of our own messages is no new work


class House:
    """Stands between every adapter and the core. `close` makes it refuse further events while the rest is drained."""

    def __init__(
        self,
        intake: Intake,
        store: Store,
        blobs: Blobs,
        knowledge: Knowledge,
        clock: Clock,
        data: Path,
        limits: HostLimits,
        fetcher: Fetcher,
        health: Health,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.intake = intake
        self.store = store
        self.blobs = blobs
        self.knowledge_on: Callable[[str], Knowledge] = lambda key: knowledge  # channel -> what its users may open
        self.fetcher = fetcher
        self.owner_name: Callable[[Conversation], Awaitable[str]] = nobody
        self._data = data
        self._health = health
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    def check_open(self) -> None:
        """Raises StoreUnavailable once nothing more is taken in."""
        if not self._is_open:
            raise StoreUnavailable("Frontdesk is stopping")

    def door(self, channel: str, account: str) -> "Door":
        """What one account's adapter gets."""
        vitals = self._health.channels.setdefault(key_of(channel, account), Vitals())
        return Door(self, channel, account, vitals)

    def secret(self, name: str) -> bytes:
        path = self._data / f"{name}.key"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return path.read_bytes()
        with os.fdopen(file, "wb") as writer:
            writer.write(secrets.token_bytes(SECRET_BYTES))
            writer.flush()
            os.fsync(writer.fileno())
        return path.read_bytes()


async def nobody(conversation: Conversation) -> str:
    """Where there are no operators."""
    return ""


class Door:
    """The `Host` of one account's adapter."""

    def __init__(self, house: House, channel: str, account: str, vitals: Vitals) -> None:
        self.clock = house.clock
        self.limits = house.limits
        self.secret = house.secret
        self._house = house
        self._at = Address(channel, account, "")
        self._vitals = vitals

    # --- what comes in ---------------------------------------------------------------------------------------------

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        if not isinstance(event, _OF_OURS):
            self._house.check_open()
        at = event.at
        if at.channel != self._at.channel or at.account != self._at.account:
            raise Refused("bad_address", "This does not belong to this account.")
        accepted = await self._house.intake.receive(event, bookmark)
        self._note(event)
        return accepted

    def _note(self, event: Event) -> None:
        vitals = self._vitals
        vitals.events += 1
        vitals.last_event_ms = self.clock.now_ms()
        if isinstance(event, MessageReceived) and event.sent_at_ms:
            vitals.lag_ms = max(0, vitals.last_event_ms - event.sent_at_ms)

    def report(self, state: ChannelState, detail: str = "") -> None:
        if state is not ChannelState.UP and detail:
            self._vitals.failed(detail)
        self._vitals.become(state, self.clock.now_ms(), detail)

    async def keep(self, bookmark: Bookmark) -> None:
        self._house.check_open()
        await self._house.intake.keep(self._at, bookmark)

    # --- what is known ---------------------------------------------------------------------------------------------

    async def bookmarks(self) -> Mapping[str, str]:
        return dict(await self._house.store.read(records.BOOKMARKS, self._mine()))

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        rows = await self._house.store.read(records.RECENT, {**self._mine(), "since": since_ms, "limit": limit})
        channel, account = self._at.channel, self._at.account
        return [
            Recent(Address(channel, account, chat, thread), heard, external) for chat, thread, heard, external in rows
        ]

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        values = {"conversation": conversation_id(at), "external": external_id}
        return bool(await self._house.store.read(records.MESSAGE_OF_EXTERNAL, values))

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        identity = identity_id(person.channel, person.account, person.external_id)
        values = {**self._mine(), "identity": identity, "limit": limit}
        return [
            CaseSummary(
                CaseId(case), Address(channel, account, chat, thread), _title(text), opened_ms, ended_ms, feedback
            )
            for case, channel, account, chat, thread, opened_ms, ended_ms, feedback, text in await self._house.store.read(
                records.CASES_OF_PERSON, values
            )
        ]

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        conversation = conversation_id(at)
        read = self._house.store.read
        found = await read(records.CONVERSATION_BY_ID, {"id": conversation})
        if not found:
            return Transcript(None, ())
        values: dict[str, Value] = {"conversation": conversation, "after": after, "limit": limit + 1}
        stands = records.conversation_of(found[0])
        name = await self._house.owner_name(stands)
        if after:
            rows = await read(records.MESSAGES_AFTER, values)
            return Transcript(stands, tuple(map(records.message_of, rows[:limit])), owner_name=name)
        rows = await read(records.MESSAGES_NEWEST, {"conversation": conversation, "limit": limit + 1})
        messages = tuple(map(records.message_of, reversed(rows[:limit])))
        return Transcript(stands, messages, len(rows) > limit, name)

    async def passage(self, passage: PassageId) -> Passage:
        known = self._house.knowledge_on(key_of(self._at.channel, self._at.account))
        found = await known.passage(passage)
        if found is None:
            raise Refused("no_passage", "This passage is no longer part of the documents.")
        return found

    # --- files -----------------------------------------------------------------------------------------------------

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        self._house.check_open()
        return await self._house.blobs.save(data, name, owner)

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        return await self._house.blobs.open(blob, reader)

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        rows = await self._house.store.read(records.ATTACHMENTS_ON_ACCOUNT, {**self._mine(), "message": message})
        if not any(each.blob == blob for row in rows for each in records.attachments_of(row[0])):
            raise Refused("no_blob", "That file is not there (any more).")
        return await self._house.blobs.open_any(blob)

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        return self._house.fetcher.fetch(url, headers, trusted=trusted)

    def connector(self) -> "BaseConnector":
        return self._house.fetcher.connector()

    def _mine(self) -> dict[str, Value]:
        return {"channel": self._at.channel, "account": self._at.account}


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"
