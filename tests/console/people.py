"""Users who have written, and the rows that the rest of the program leaves of that."""

from bot import ids
from bot.handoff.machine import Handoff, Happening
from bot.model import (
    Address,
    Attachment,
    Author,
    CaseId,
    Citation,
    ConversationId,
    Identity,
    Message,
    MessageId,
    PassageId,
    Seq,
    Visibility,
)
from bot.ports import Cursor, Value
from bot.store import handoffs, records
from bot.store.handoffs import Record
from bot.store.sqlite import SqliteStore


class People:
    """Writes rows as of `now_ms`, which moves on by a second with each message."""

    def __init__(self, store: SqliteStore, now_ms: int) -> None:
        self.store = store
        self.now_ms = now_ms

    async def talk(self, name: str, channel: str = "web", text: str = "Hello", kind: str = "") -> ConversationId:
        """A new conversation with an open case."""
        id_ = ids.conversation_id(Address(channel, "", name, ""))
        await self.store.run(_begin, id_, name, channel, kind, self.now_ms)
        await self.say(id_, text, name=name)
        return id_

    async def say(
        self,
        conversation: str,
        text: str,
        author: Author = Author.USER,
        *,
        name: str = "",
        is_note: bool = False,
        attachments: tuple[Attachment, ...] = (),
        citations: tuple[Citation, ...] = (),
        parts: tuple[str, ...] = (),
        turn: str = "",
    ) -> MessageId:
        self.now_ms += 1000
        message = Message(
            MessageId(ids.new_id(self.now_ms)),
            Seq(0),
            author,
            text,
            self.now_ms,
            Visibility.NOTE if is_note else Visibility.PUBLIC,
            name,
            case_of(conversation),
            attachments,
            citations,
        )
        await self.store.run(_say, ConversationId(conversation), message, parts, turn)
        return message.id

    async def ask(self, conversation: str, reason: str = "asked for a person", **more: object) -> Record:
        """Somebody is asked for and awaited."""
        record = Record(
            ids.new_id(self.now_ms),
            ConversationId(conversation),
            case_of(conversation),
            Handoff(),
            "asked",
            reason,
            str(more.get("brief", "")),
            priority=int(str(more.get("priority", 0))),
            first_seq=Seq(1),
        )
        await self.store.run(handoffs.add, record, self.now_ms)
        return await self.move(conversation, Happening.QUEUE, "timer")

    async def move(self, conversation: str, what: Happening, actor: str, *, by: str = "", to: str = "") -> Record:
        return await self.store.run(_move, conversation, what, self.now_ms, actor, by, to)

    async def timer(self, record: Record, kind: str, due_ms: int, acted_ms: int | None = None) -> None:
        values: dict[str, Value] = {"handoff": record.id, "kind": kind, "since": self.now_ms, "due": due_ms}
        await self.store.run(_timer, values, acted_ms)

    async def end(self, conversation: str) -> None:
        await self.store.run(_end, conversation, self.now_ms)


def case_of(conversation: str) -> CaseId:
    return CaseId(ids.derived_id("case", conversation))


def _begin(cursor: Cursor, id_: ConversationId, name: str, channel: str, kind: str, now_ms: int) -> None:
    who = Identity(channel, "", f"x-{name}", name)
    identity = ids.identity_id(channel, "", who.external_id)
    records.add_identity(cursor, identity, f"user-{identity}", who, id_, now_ms)
    values: dict[str, Value] = {"id": id_, "channel": channel, "account": "", "chat": name, "thread": "", "now": now_ms}
    cursor.execute(records.ADD_CONVERSATION, {**values, "identity": identity, "agent": "main", "kind": kind})
    cursor.execute(records.ADD_CASE, {"id": case_of(id_), "conversation": id_, "seq": 1, "now": now_ms})
    cursor.execute(records.SET_CASE, {"id": id_, "case": case_of(id_)})


def _say(cursor: Cursor, conversation: ConversationId, message: Message, parts: tuple[str, ...], turn: str) -> None:
    last = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation})[0][2]
    placed = message.placed(Seq(last + 1), message.visibility)
    records.add_message(cursor, placed, conversation, turn)
    if message.author is Author.USER:
        cursor.execute("UPDATE messages SET kind = 'message' WHERE id = :id", {"id": message.id})
    if parts:
        records.add_outbox(cursor, placed, conversation, "slack", parts)


def _move(cursor: Cursor, conversation: str, what: Happening, now_ms: int, actor: str, by: str, to: str) -> Record:
    record = handoffs.open_of(cursor, conversation)
    assert record is not None
    return handoffs.move(cursor, record, what, now_ms, actor, by=by, to=to)


def _timer(cursor: Cursor, values: dict[str, Value], acted_ms: int | None) -> None:
    cursor.execute(handoffs.SET_TIMER, values)
    if acted_ms is not None:
        del values["due"]
        cursor.execute(handoffs.TIMER_ACTED, {**values, "now": acted_ms})


def _end(cursor: Cursor, conversation: str, now_ms: int) -> None:
    cursor.execute(records.END_CASE, {"id": case_of(conversation), "now": now_ms, "outcome": "resolved"})
    cursor.execute(records.SET_CASE, {"id": conversation, "case": ""})


PASSAGE = Citation(1, PassageId("p1"), "Opening hours", "https://shop.example/hours")
