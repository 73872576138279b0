"""Messages with files, in a real database, and an adapter that opens files as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot.channels import Channel
from bot.files import Files
from bot.model import Address, Attachment, BlobId, Identity, Message, MessageId
from bot.ports import Clock, Cursor, Fetched, Limits, Receipt, Route
from bot.store import records
from bot.store.blobs import Blobs
from bot.store.folder import BLOBS
from bot.store.sqlite import SqliteStore
from tests.clock import ManualClock
from tests.store.database import opened

AT = Address("chat", "", "room")
ANN = Identity("chat", "", "ann", "Ann")
MOST = 100_000
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 60
PDF = b"%PDF-1.7 " + b"paper" * 60
OGG = b"OggS\x00\x02" + b"speech" * 60

# Opens a file: its bytes, in pieces, or a raise.
Opening = Callable[[str], AsyncIterator[bytes]]


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


class FilesChannel:
    """An adapter whose files are those of `held`, or what `on_open` gives; keeps which were opened."""

    name, account, limits = "chat", "", Limits(text_chars=1000)

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.opened: list[str] = []
        self.running = self.most_running = 0
        self.on_open: Callable[[str], Awaitable[None]] | None = None

    def routes(self) -> Sequence[Route]:
        return ()

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def send(self, to: Address, message: Message) -> Receipt:
        return Receipt()

    @asynccontextmanager
    async def open_file(self, source: str) -> AsyncIterator[Fetched]:
        self.opened.append(source)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.on_open is not None:
                await self.on_open(source)
            yield Fetched(source, "application/octet-stream", 0, pieces(self.held[source]))
        finally:
            self.running -= 1


class Desk:
    """One conversation of a person whose messages stand in the rows."""

    def __init__(self, store: SqliteStore, data: Path, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.channel = FilesChannel()
        self.channels = {"chat": Channel.of(self.channel)}
        self.blobs = Blobs(data / BLOBS, store, clock, MOST)
        self.files = Files(store, clock, self.blobs, self.channels)

    async def receive(self, id_: str, *attachments: Attachment, text: str = "", sender: Identity = ANN) -> Message:
        await self.store.run(append, id_, sender, text, records.attachments_text(attachments))
        return await self.message(id_)

    async def message(self, id_: str) -> Message:
        """As its row stands."""
        rows = await self.store.read(records.MESSAGE_BY_ID, {"id": id_, "conversation": "c"})
        return records.message_of(rows[0])

    async def delete(self, id_: str) -> None:
        change = {"id": id_, "text": "", "deleted": 1, "changed": 9}
        await self.store.run(lambda cursor: cursor.execute(records.CHANGE_MESSAGE, change))

    async def fetch(self, *messages: Message, is_last_try: bool = False) -> dict[MessageId, Message]:
        return await self.files.fetch_missing(AT, messages, is_last_try=is_last_try)

    async def bytes_of(self, attachment: Attachment, reader: Identity = ANN) -> bytes:
        _, data = await self.blobs.open(attachment.blob, reader)
        return b"".join([piece async for piece in data])


@asynccontextmanager
async def desk(data: Path, clock: Clock | None = None) -> AsyncIterator[Desk]:
    async with opened(data) as store:
        yield Desk(store, data, clock or ManualClock())


def remote(source: str, name: str = "file.bin") -> Attachment:
    """A file that is still with the platform."""
    return Attachment(BlobId(""), name, "application/octet-stream", 7, source)


def append(cursor: Cursor, id_: str, sender: Identity, text: str, attachments: str) -> None:
    who = {"id": sender.external_id, "name": sender.name}
    cursor.execute("INSERT INTO users (id, created_ms) VALUES (:id, 1) ON CONFLICT DO NOTHING", {"id": who["id"]})
    cursor.execute(
        "INSERT INTO identities (id, channel, account, external_id, user_id, name, created_ms) "
        "VALUES (:id, 'chat', '', :id, :id, :name, 1) ON CONFLICT DO NOTHING",
        who,
    )
    cursor.execute(
        "INSERT INTO conversations (id, channel, account, chat, thread, identity_id, agent, created_ms) "
        "VALUES ('c', 'chat', '', 'room', '', :id, 'main', 1) ON CONFLICT DO NOTHING",
        {"id": who["id"]},
    )
    cursor.execute(
        "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, identity_id, text, attachments, created_ms, kind) "
        "VALUES (:id, 'c', (SELECT count(*) + 1 FROM messages), '', 'user', 'public', :who, :text, :attachments, 1, 'message')",
        {"id": id_, "who": who["id"], "text": text, "attachments": attachments},
    )
