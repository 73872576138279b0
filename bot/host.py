"""The `Host` port: all that an adapter may ask of the house, handed to the rooms that do it."""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from bot.errors import Refused, StoreUnavailable
from bot.intake import Intake, conversation_id
from bot.model import (
    Accepted,
    Address,
    Blob,
    BlobId,
    Event,
    Identity,
    Passage,
    PassageId,
    Seq,
    Transcript,
)
from bot.ports import Clock, HostLimits, Knowledge, Store, Value
from bot.store import records
from bot.store.blobs import Blobs

SECRET_BYTES = 32


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
    ) -> None:
        self.clock = clock
        self.limits = limits
        self._intake = intake
        self._store = store
        self._blobs = blobs
        self._knowledge = knowledge
        self._data = data
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    async def receive(self, event: Event) -> Accepted:
        if not self._is_open:
            raise StoreUnavailable("Frontdesk is stopping")
        return await self._intake.receive(event)

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        conversation = conversation_id(at)
        found = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
        if not found:
            return Transcript(None, ())
        values: dict[str, Value] = {"conversation": conversation, "after": after, "limit": limit + 1}
        if after:
            rows = await self._store.read(records.MESSAGES_AFTER, values)
            return Transcript(records.conversation_of(found[0]), tuple(map(records.message_of, rows[:limit])))
        rows = await self._store.read(records.MESSAGES_NEWEST, {"conversation": conversation, "limit": limit + 1})
        messages = tuple(map(records.message_of, reversed(rows[:limit])))
        return Transcript(records.conversation_of(found[0]), messages, has_earlier=len(rows) > limit)

    async def passage(self, passage: PassageId) -> Passage:
        found = await self._knowledge.passage(passage)
        if found is None:
            raise Refused("no_passage", "This passage is no longer part of the documents.")
        return found

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        if not self._is_open:
            raise StoreUnavailable("Frontdesk is stopping")
        return await self._blobs.save(data, name, owner)

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        return await self._blobs.open(blob, reader)

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
