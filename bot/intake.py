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
from bot.errors import Overloaded, Refused, StoreUnavailable
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
from bot.ports import Clock, Cursor, Scheduler, Store, Value
from bot.store import records
from bot.store.records import Inbound
from bot.store.steps import END_STEPS_OF
from bot.telemetry.instruments import Counter
from bot.telemetry.metrics import Metrics
from bot.text import clean

OLDEST_MS = (
    30 * 86_400_000
)  # an event that is older by its platform's time is refused: what it repeats may have been erased
RECEIPTS_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Rules:
    """What intake needs of the config."""

    message_chars: int
    case_idle_ms: int
    agent_for: Callable[[str], str]  # channel -> agent
    quiet_s: Callable[[str], float]  # channel -> seconds of quiet that end a burst


@dataclass(slots=True)
class Arrival:
    """What the unit of work has to know of a new message."""

    message: MessageId
    conversation: ConversationId
    identity: IdentityId
    user: str
    agent: str
    external_id: str
    kind: str
    text: str
    raw_hash: str
    now_ms: int
    sent_ms: int
    case_idle_ms: int
    has_early_changes: bool = False


@dataclass(slots=True)
class _Facts:
    """What every message of one channel needs, looked up once."""

    agent: str
    quiet_s: float
    accepted: Counter
    duplicates: Counter


@dataclass(slots=True)
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
        self._has_early_changes = True  # until `recall` has looked
        self._facts: dict[str, _Facts] = {}

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

    async def recall(self) -> None:
        """At a start: whether edits wait for messages that have not come yet; where none do, nobody looks for them."""
        self._has_early_changes = bool(await self._store.read(records.HAS_EARLY_CHANGES))

    async def record_receipts(self) -> None:
        """Writes receipts down in batches, forever; nobody waits for them, and a lost one is only sent again."""
        while True:
            await self._has_receipts.wait()
            await self._clock.sleep(RECEIPTS_EVERY_S)
            await self.flush_receipts()

    async def flush_receipts(self) -> None:
        """Those that cannot be written now wait for the next."""
        self._has_receipts.clear()
        receipts, self._receipts = self._receipts, {}
        if not receipts:
            return
        try:
            await self._store.run(acknowledge, receipts)
        except (StoreUnavailable, Overloaded):
            self._receipts = receipts | self._receipts

    # --- one kind of event each ------------------------------------------------------------------------------------

    async def _message(self, event: MessageReceived) -> Accepted:
        now = self._clock.now_ms()
        if event.sent_at_ms and now - event.sent_at_ms > OLDEST_MS:
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
            message_id(conversation, event.external_id),
            conversation,
            identity,
            identity,  # until identities are linked, each is a user of its own
            self._of(event.at.channel).agent,
            event.external_id,
            kind,
            text,
            raw_hash,
            now,
            sent_ms,
            self._rules.case_idle_ms,
            self._has_early_changes,
        )

    def _of(self, channel: str) -> "_Facts":
        facts = self._facts.get(channel)
        if facts is None:
            rules, metrics = self._rules, self._metrics
            accepted, duplicates = metrics.accepted.of(channel), metrics.duplicates.of(channel)
            facts = self._facts[channel] = _Facts(
                rules.agent_for(channel), rules.quiet_s(channel), accepted, duplicates
            )
        return facts

    async def _store_message(
        self,
        unit: Callable[..., Stored],
        event: MessageReceived | ButtonPressed,
        arrival: Arrival,
    ) -> Accepted:
        started = self._clock.monotonic()
        stored = await self._store.run(unit, event, arrival)
        self._metrics.ack_seconds.observe(self._clock.monotonic() - started)
        facts = self._of(event.at.channel)
        if stored.inbound is None or stored.conversation is None:
            facts.duplicates.inc()
            return stored.accepted
        self._conversations.arrived(stored.conversation, stored.inbound, is_new=stored.is_new)
        facts.accepted.inc()
        self._scheduler.wake(arrival.conversation, facts.quiet_s)
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
        self._has_early_changes = True
        change = change_of(event, self._clock.now_ms())
        async with self._conversations.changing(change.conversation):
            try:
                is_changed = await self._store.run(change_message, change)
            except asyncio.CancelledError:
                self._conversations.changed(change.conversation)  # the unit is not undone by it
                raise
            if is_changed:
                self._conversations.changed(change.conversation)
        return Accepted(change.message)


# --- units of work ---------------------------------------------------------------------------------------------------


def accept(cursor: Cursor, event: MessageReceived, arrival: Arrival) -> Stored:
    """Appends a message, once."""
    attachments = attach(cursor, event) if event.attachments else ()
    text, is_deleted, changed_ms = arrival.text, False, 0
    if arrival.has_early_changes:
        early = cursor.fetch(records.EARLY_CHANGE, {"id": arrival.message})
        if early:
            text, is_deleted, changed_ms = early[0][0], bool(early[0][1]), early[0][2]
    return append(cursor, event, arrival, text, () if is_deleted else attachments, changed_ms, is_deleted)


def press(cursor: Cursor, event: ButtonPressed, arrival: Arrival) -> Stored:
    """Appends the button's label as the person's message, once for each button."""
    rows = cursor.fetch(records.MESSAGE_BY_ID, {"id": event.message, "conversation": arrival.conversation})
    buttons = records.message_of(rows[0]).buttons if rows else ()
    label = next((button.label for button in buttons if button.id == event.button), None)
    if label is None:
        raise Refused("no_message", "That button is no longer there.")
    return append(cursor, event, arrival, label)


def append(
    cursor: Cursor,
    event: MessageReceived | ButtonPressed,
    arrival: Arrival,
    text: str,
    attachments: tuple[Attachment, ...] = (),
    changed_ms: int = 0,
    is_deleted: bool = False,
) -> Stored:
    """Takes the next seq of the conversation, which it opens if need be; a message that is there already gives it back."""
    conversation, is_new = next_seq(cursor, event, arrival)
    if conversation is None:
        return Stored(known_before(cursor, arrival))
    message = Message(
        id=arrival.message,
        seq=conversation.last_seq,
        author=Author.USER,
        text=text,
        at_ms=arrival.now_ms,
        name=event.sender.name,
        case=conversation.case,
        attachments=attachments,
        is_edited=changed_ms > 0 and not is_deleted,
        is_deleted=is_deleted,
    )
    row: dict[str, Value] = {
        "id": message.id,
        "conversation": conversation.id,
        "seq": message.seq,
        "case": message.case,
        "identity": arrival.identity,
        "name": message.name,
        "text": text,
        "raw_hash": arrival.raw_hash,
        "attachments": records.attachments_text(attachments),
        "now": arrival.now_ms,
        "sent": arrival.sent_ms,
        "changed": changed_ms,
        "deleted": int(is_deleted),
        "external": arrival.external_id,
        "kind": arrival.kind,
    }
    if not cursor.execute(records.ADD_INBOUND, row):
        return Stored(known_before(cursor, arrival))
    button = event.button if isinstance(event, ButtonPressed) else ""
    inbound = Inbound(message, button, sent_ms=arrival.sent_ms, changed_ms=changed_ms)
    return Stored(Accepted(message.id, message.seq, message.case), conversation, inbound, is_new)


def known_before(cursor: Cursor, arrival: Arrival) -> Accepted:
    """A duplicate: the answer is that of the first time."""
    seq, case = cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message})[0]
    return Accepted(arrival.message, Seq(seq), CaseId(case), is_duplicate=True)


def next_seq(
    cursor: Cursor, event: MessageReceived | ButtonPressed, arrival: Arrival
) -> tuple[Conversation | None, bool]:
    """The conversation as it is with the message, its case open, and whether it is new; None for a duplicate that would have opened a
    case."""
    rows = cursor.fetch(records.NEWEST, {"id": arrival.conversation})
    if not rows:
        return open_case(cursor, add_conversation(cursor, event, arrival), arrival), True
    agent, owner, version, case, identity, is_wanted, newest_seq, newest_ms = rows[0]
    conversation = Conversation(
        arrival.conversation, event.at, agent, owner, version, Seq(newest_seq + 1), case, identity, bool(is_wanted)
    )
    if arrival.identity != identity:
        records.add_identity(cursor, arrival.identity, arrival.user, event.sender, arrival.now_ms)
    if case and arrival.now_ms - newest_ms <= arrival.case_idle_ms:
        return conversation, False
    if cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message}):
        return None, False
    return open_case(cursor, conversation, arrival), False


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


def open_case(cursor: Cursor, conversation: Conversation, arrival: Arrival) -> Conversation:
    """A new case begins with this message; one that was left idle for too long ends."""
    if conversation.case:
        cursor.execute(records.END_CASE, {"id": conversation.case, "now": arrival.now_ms, "outcome": "idle"})
    case = CaseId(ids.derived_id("case", arrival.message))
    cursor.execute(
        records.ADD_CASE,
        {
            "id": case,
            "conversation": conversation.id,
            "seq": conversation.last_seq,
            "now": arrival.now_ms,
        },
    )
    cursor.execute(records.SET_CASE, {"id": conversation.id, "case": case})
    return replace(conversation, case=case, is_person_wanted=False)


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


def acknowledge(cursor: Cursor, receipts: dict[ConversationId, Seq]) -> None:
    for conversation, seq in receipts.items():
        cursor.execute(records.ACKNOWLEDGE, {"id": conversation, "seq": seq})


@dataclass(frozen=True, slots=True)
class Change:
    """An edit or a deletion, whichever way round it and its message arrive."""

    message: MessageId
    conversation: ConversationId
    text: str
    is_deleted: bool
    changed_ms: int
    now_ms: int


def change_of(event: MessageEdited | MessageDeleted, now_ms: int) -> Change:
    conversation = conversation_id(event.at)
    message = message_id(conversation, event.external_id)
    match event:
        case MessageEdited():
            return Change(message, conversation, clean(event.text), False, event.edited_at_ms, now_ms)
        case MessageDeleted():
            return Change(message, conversation, "", True, event.deleted_at_ms, now_ms)


def change_message(cursor: Cursor, change: Change) -> bool:
    """The latest change wins, and ends the steps that were made before it. False: no message has changed, for a later change was here
    first, or this one came before its message and waits for it."""
    values: dict[str, Value] = {
        "id": change.message,
        "text": change.text,
        "deleted": int(change.is_deleted),
        "changed": change.changed_ms,
    }
    if cursor.fetch(records.MESSAGE_KEY, {"id": change.message}):
        if not cursor.execute(records.CHANGE_MESSAGE, values):
            return False
        cursor.execute(END_STEPS_OF, {"conversation": change.conversation, "now": change.now_ms})
        return True
    cursor.execute(records.ADD_EARLY_CHANGE, values | {"now": change.now_ms})
    return False


# --- keys ------------------------------------------------------------------------------------------------------------


def message_id(conversation: ConversationId, external_id: str) -> MessageId:
    """One event of a platform, one message, always the same id: this is what dedupes."""
    return MessageId(ids.derived_id("message", conversation, external_id))


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
