"""Stage 1: accept one event. One unit of work dedupes, identifies and appends; then the conversation is woken.

Promise: `receive` returns after the commit, and the same event again changes nothing and returns the same answer.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from bot import ids
from bot.channels import Channel
from bot.conversations import Conversations
from bot.errors import Refused
from bot.model import (
    Accepted,
    Address,
    Attachment,
    Author,
    ButtonPressed,
    CaseEnded,
    CaseId,
    Conversation,
    ConversationId,
    Delivered,
    Event,
    FeedbackGiven,
    IdentityId,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    Seq,
    TypingSeen,
)
from bot.ports import Clock, Cursor, Scheduler, Store
from bot.store import records
from bot.store.records import Inbound
from bot.telemetry.metrics import Metrics
from bot.text import clean

KEY_LIFE_MS = 30 * 86_400_000  # inbox keys are kept this long; an event that is older by its platform's time is refused
RECEIPTS_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Rules:
    """What intake needs of the config."""

    message_chars: int
    case_idle_ms: int
    agent_for: Callable[[str], str]  # channel -> agent
    quiet_s: Callable[[str], float]  # channel -> seconds of quiet that end a burst


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the unit of work has to know of a new message."""

    message: MessageId
    conversation: ConversationId
    identity: IdentityId
    user: str
    new_case: CaseId
    agent: str
    external_id: str
    kind: str
    text: str
    raw_hash: str
    now_ms: int
    sent_ms: int
    case_idle_ms: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What the unit of work made."""

    accepted: Accepted
    conversation: Conversation | None = None
    inbound: Inbound | None = None
    is_new: bool = False


class Intake:
    """Takes events from all adapters."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        scheduler: Scheduler,
        rules: Rules,
        metrics: Metrics,
        channels: Mapping[str, Channel],
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._scheduler = scheduler
        self._rules = rules
        self._metrics = metrics
        self._channels = channels
        self._receipts: dict[ConversationId, Seq] = {}
        self._has_receipts = asyncio.Event()

    async def receive(self, event: Event) -> Accepted:
        match event:
            case MessageReceived():
                return await self._message(event)
            case Delivered(at, seq):
                return self._delivered(at, seq)
            case TypingSeen(at):
                self._scheduler.wait_longer(conversation_id(at), self._rules.quiet_s(at.channel))
                return Accepted()
            case ButtonPressed():
                return await self._pressed(event)
            case FeedbackGiven():
                return await self._store.run(rate, event, conversation_id(event.at))
            case CaseEnded(_, at):
                return await self._case_ended(at)
            case MessageEdited() | MessageDeleted():
                return await self._changed(event)

    async def record_receipts(self) -> None:
        """Writes receipts down in batches, forever; nobody waits for them, and a lost one is only sent again."""
        while True:
            await self._has_receipts.wait()
            await self._clock.sleep(RECEIPTS_EVERY_S)
            await self.flush_receipts()

    async def flush_receipts(self) -> None:
        self._has_receipts.clear()
        receipts, self._receipts = self._receipts, {}
        if receipts:
            await self._store.run(acknowledge, receipts, self._clock.now_ms())

    # --- one kind of event each ------------------------------------------------------------------------------------

    async def _message(self, event: MessageReceived) -> Accepted:
        now = self._clock.now_ms()
        if event.sent_at_ms and now - event.sent_at_ms > KEY_LIFE_MS:
            raise Refused("too_old", "This message is more than 30 days old.")
        if len(event.text) > self._rules.message_chars:
            raise Refused("too_long", f"Please keep a message under {self._rules.message_chars} characters.")
        text, raw_hash = cleaned(event.text)
        if not text.strip() and not event.attachments:
            raise Refused("empty", "The message is empty.")
        arrival = self._arrival(event, "message", text, raw_hash, now, event.sent_at_ms)
        return await self._store_message(accept, event, arrival)

    async def _pressed(self, event: ButtonPressed) -> Accepted:
        now = self._clock.now_ms()
        arrival = self._arrival(event, f"press:{event.button}", "", "", now, 0)
        return await self._store_message(press, event, arrival)

    def _arrival(
        self, event: MessageReceived | ButtonPressed, kind: str, text: str, raw_hash: str, now: int, sent_ms: int
    ) -> Arrival:
        conversation = conversation_id(event.at)
        identity = identity_id(event.sender.channel, event.sender.account, event.sender.external_id)
        return Arrival(
            message=MessageId(ids.derived_id("message", conversation, event.external_id)),
            conversation=conversation,
            identity=identity,
            user=identity,
            new_case=CaseId(ids.new_id(now)),
            agent=self._rules.agent_for(event.at.channel),
            external_id=event.external_id,
            kind=kind,
            text=text,
            raw_hash=raw_hash,
            now_ms=now,
            sent_ms=sent_ms,
            case_idle_ms=self._rules.case_idle_ms,
        )

    async def _store_message(
        self,
        unit: Callable[..., Stored],
        event: MessageReceived | ButtonPressed,
        arrival: Arrival,
    ) -> Accepted:
        stored = await self._store.run(unit, event, arrival)
        if stored.inbound is None or stored.conversation is None:
            self._metrics.duplicates.of(event.at.channel).inc()
            return stored.accepted
        self._conversations.arrived(stored.conversation, stored.inbound, is_new=stored.is_new)
        self._metrics.accepted.of(event.at.channel).inc()
        self._scheduler.wake(arrival.conversation, self._rules.quiet_s(event.at.channel))
        return stored.accepted

    def _delivered(self, at: Address, seq: Seq) -> Accepted:
        conversation = conversation_id(at)
        if self._receipts.get(conversation, 0) < seq:
            self._receipts[conversation] = seq
            self._has_receipts.set()
        return Accepted()

    async def _case_ended(self, at: Address) -> Accepted:
        conversation = conversation_id(at)
        accepted = await self._store.run(end_case, conversation, self._clock.now_ms())
        self._conversations.forget(conversation)
        channel = self._channels.get(at.channel)
        if accepted.case and channel is not None and channel.shows_case is not None:
            await channel.shows_case.case_ended(at, accepted.case)
        return accepted

    async def _changed(self, event: MessageEdited | MessageDeleted) -> Accepted:
        change = change_of(event, self._clock.now_ms())
        accepted = await self._store.run(change_message, change)
        self._conversations.forget(conversation_id(event.at))
        return accepted


# --- units of work ---------------------------------------------------------------------------------------------------


def accept(cursor: Cursor, event: MessageReceived, arrival: Arrival) -> Stored:
    """Appends a message, once."""
    opened = open_conversation(cursor, event, arrival)
    if isinstance(opened, Accepted):
        return Stored(opened)
    conversation, is_new = opened
    attachments = attach(cursor, event)
    text, is_deleted, changed_ms = arrival.text, False, 0
    early = cursor.fetch(records.EARLY_CHANGE, inbox_key(event.at, arrival.external_id))
    if early:
        text, is_deleted, changed_ms = early[0][0], bool(early[0][1]), early[0][2]
    message = Message(
        id=arrival.message,
        seq=conversation.last_seq,
        author=Author.USER,
        text=text,
        at_ms=arrival.now_ms,
        name=event.sender.name,
        case=conversation.case,
        attachments=() if is_deleted else attachments,
        is_edited=bool(early) and not is_deleted,
        is_deleted=is_deleted,
    )
    if not records.add_message(
        cursor, message, conversation.id, identity=arrival.identity, raw_hash=arrival.raw_hash, sent_ms=arrival.sent_ms
    ):
        return Stored(known_before(cursor, event, arrival))
    if early:
        keep_change(cursor, message.id, text, is_deleted, changed_ms)
    inbound = Inbound(message, sent_ms=arrival.sent_ms)
    return Stored(Accepted(message.id, message.seq, message.case), conversation, inbound, is_new)


def press(cursor: Cursor, event: ButtonPressed, arrival: Arrival) -> Stored:
    """Appends the button's label as the person's message, once for each button."""
    rows = cursor.fetch(records.MESSAGE_BY_ID, {"id": event.message, "conversation": arrival.conversation})
    buttons = records.message_of(rows[0]).buttons if rows else ()
    label = next((button.label for button in buttons if button.id == event.button), None)
    if label is None:
        raise Refused("no_message", "That button is no longer there.")
    opened = open_conversation(cursor, event, arrival)
    if isinstance(opened, Accepted):
        return Stored(opened)
    conversation, is_new = opened
    message = Message(
        id=arrival.message,
        seq=conversation.last_seq,
        author=Author.USER,
        text=label,
        at_ms=arrival.now_ms,
        name=event.sender.name,
        case=conversation.case,
    )
    if not records.add_message(cursor, message, conversation.id, identity=arrival.identity):
        return Stored(known_before(cursor, event, arrival))
    inbound = Inbound(message, button=event.button)
    return Stored(Accepted(message.id, message.seq, message.case), conversation, inbound, is_new)


def open_conversation(
    cursor: Cursor, event: MessageReceived | ButtonPressed, arrival: Arrival
) -> tuple[Conversation, bool] | Accepted:
    """Takes the next seq and claims the event's key; the earlier answer when the event was there before."""
    rows = cursor.fetch(records.NEXT_SEQ, {"id": arrival.conversation})
    if rows:
        conversation, updated_ms, is_new = records.conversation_of(rows[0]), rows[0][12], False
    else:
        conversation, updated_ms, is_new = add_conversation(cursor, event, arrival), arrival.now_ms, True
    key = inbox_key(event.at, arrival.external_id)
    if not cursor.execute(
        records.ADD_INBOX,
        {
            **key,
            "kind": arrival.kind,
            "conversation": conversation.id,
            "message": arrival.message,
            "seq": conversation.last_seq,
            "now": arrival.now_ms,
        },
    ):
        cursor.execute(records.GIVE_BACK_SEQ, {"id": conversation.id})
        message, seq, _ = cursor.fetch(records.INBOX_BY_KEY, key)[0]
        return Accepted(MessageId(message), Seq(seq), is_duplicate=True)
    if arrival.identity != conversation.identity:
        records.add_identity(cursor, arrival.identity, arrival.user, event.sender, arrival.now_ms)
    return open_case(cursor, conversation, arrival, updated_ms), is_new


def known_before(cursor: Cursor, event: MessageReceived | ButtonPressed, arrival: Arrival) -> Accepted:
    """The key was pruned long ago, but the message (whose id comes from the key) is still there: a late duplicate."""
    cursor.execute(records.FORGET_KEY, inbox_key(event.at, arrival.external_id))
    cursor.execute(records.GIVE_BACK_SEQ, {"id": arrival.conversation})
    rows = cursor.fetch(records.MESSAGE_BY_ID, {"id": arrival.message, "conversation": arrival.conversation})
    known = records.message_of(rows[0])
    return Accepted(known.id, known.seq, known.case, is_duplicate=True)


def add_conversation(cursor: Cursor, event: MessageReceived | ButtonPressed, arrival: Arrival) -> Conversation:
    at = event.at
    records.add_identity(cursor, arrival.identity, arrival.user, event.sender, arrival.now_ms)
    cursor.execute(
        records.ADD_CONVERSATION,
        {
            "id": arrival.conversation,
            "channel": at.channel,
            "account": at.account,
            "chat": at.chat,
            "thread": at.thread,
            "identity": arrival.identity,
            "agent": arrival.agent,
            "now": arrival.now_ms,
        },
    )
    return records.new_conversation(arrival.conversation, at, arrival.identity, arrival.agent, CaseId(""))


def open_case(cursor: Cursor, conversation: Conversation, arrival: Arrival, updated_ms: int) -> Conversation:
    """The case goes on, unless it was ended or has been idle for too long: then a new one begins with this message."""
    if conversation.case and arrival.now_ms - updated_ms <= arrival.case_idle_ms:
        return conversation
    if conversation.case:
        cursor.execute(records.END_CASE, {"id": conversation.case, "now": arrival.now_ms, "outcome": "idle"})
    cursor.execute(
        records.ADD_CASE,
        {
            "id": arrival.new_case,
            "conversation": conversation.id,
            "seq": conversation.last_seq,
            "now": arrival.now_ms,
        },
    )
    cursor.execute(records.SET_CASE, {"id": conversation.id, "case": arrival.new_case})
    return replace(conversation, case=arrival.new_case, is_person_wanted=False)


def attach(cursor: Cursor, event: MessageReceived) -> tuple[Attachment, ...]:
    """The event's blobs, each of which must belong to the sender."""
    attachments = []
    for blob_id in event.attachments:
        blob = records.find_blob(cursor, blob_id, event.sender)
        if blob is None:
            raise Refused("no_blob", "One of the files is not there (any more). Please attach it again.")
        attachments.append(Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes))
    return tuple(attachments)


def rate(cursor: Cursor, event: FeedbackGiven, conversation: ConversationId) -> Accepted:
    """Keeps the latest verdict on a message or a case of this conversation."""
    values = {"value": event.value, "conversation": conversation}
    if event.message is not None:
        changed = cursor.execute(records.MESSAGE_FEEDBACK, {**values, "id": event.message})
    else:
        changed = cursor.execute(records.CASE_FEEDBACK, {**values, "id": event.case})
    if not changed:
        raise Refused("no_message", "That message or case is not part of this conversation.")
    return Accepted(message=event.message or MessageId(""), case=event.case or CaseId(""))


def end_case(cursor: Cursor, conversation: ConversationId, now_ms: int) -> Accepted:
    """Ends the open case, if there is one, and returns it."""
    rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})
    case = records.conversation_of(rows[0]).case if rows else CaseId("")
    if case:
        cursor.execute(records.END_CASE, {"id": case, "now": now_ms, "outcome": "ended by the user"})
        cursor.execute(records.SET_CASE, {"id": conversation, "case": ""})
    return Accepted(case=case)


def acknowledge(cursor: Cursor, receipts: dict[ConversationId, Seq], now_ms: int) -> None:
    for conversation, seq in receipts.items():
        cursor.execute(records.ACKNOWLEDGE, {"conversation": conversation, "seq": seq, "now": now_ms})


@dataclass(frozen=True, slots=True)
class Change:
    """An edit or a deletion, whichever way round it and its message arrive."""

    at: Address
    external_id: str
    text: str
    is_deleted: bool
    changed_ms: int
    now_ms: int


def change_of(event: MessageEdited | MessageDeleted, now_ms: int) -> Change:
    match event:
        case MessageEdited():
            return Change(event.at, event.external_id, clean(event.text), False, event.edited_at_ms, now_ms)
        case MessageDeleted():
            return Change(event.at, event.external_id, "", True, event.deleted_at_ms, now_ms)


def change_message(cursor: Cursor, change: Change) -> Accepted:
    """The latest change wins; one that comes before its message waits for it."""
    key = inbox_key(change.at, change.external_id)
    rows = cursor.fetch(records.INBOX_BY_KEY, key)
    if rows:
        keep_change(cursor, rows[0][0], change.text, change.is_deleted, change.changed_ms)
        return Accepted(MessageId(rows[0][0]), Seq(rows[0][1]))
    cursor.execute(
        records.ADD_EARLY_CHANGE,
        {
            **key,
            "text": change.text,
            "deleted": int(change.is_deleted),
            "changed": change.changed_ms,
            "now": change.now_ms,
        },
    )
    return Accepted()


def keep_change(cursor: Cursor, message: str, text: str, is_deleted: bool, changed_ms: int) -> None:
    cursor.execute(
        records.CHANGE_MESSAGE, {"id": message, "text": text, "deleted": int(is_deleted), "changed": changed_ms}
    )


# --- keys ------------------------------------------------------------------------------------------------------------


def inbox_key(at: Address, external_id: str) -> dict[str, str]:
    return {"channel": at.channel, "account": at.account, "external": external_id}


@lru_cache(maxsize=32_768)
def conversation_id(at: Address) -> ConversationId:
    """One address, one conversation, always the same id."""
    return ConversationId(ids.derived_id("conversation", at.channel, at.account, at.chat, at.thread))


@lru_cache(maxsize=32_768)
def identity_id(channel: str, account: str, external_id: str) -> IdentityId:
    return IdentityId(ids.derived_id("identity", channel, account, external_id))


def cleaned(text: str) -> tuple[str, str]:
    """The text fit to keep, and the SHA-256 of how it came when that differs."""
    fit = clean(text)
    if fit == text:
        return fit, ""
    return fit, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
