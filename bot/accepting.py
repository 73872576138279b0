"""The units of work of intake: what is stored of one event, each in one transaction, and safe to run twice."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bot import ids
from bot.delivery import heard_s
from bot.errors import Refused
from bot.handoff.blocks import remember_earlier
from bot.handoff.leaving import become_room, user_left
from bot.handoff.machine import Happening
from bot.ids import conversation_id, identity_id, message_id
from bot.model import (
    AGENT_OWNER,
    Accepted,
    Address,
    Attachment,
    Author,
    BlobId,
    Bookmark,
    Button,
    ButtonPressed,
    CaseId,
    ContactChoice,
    ContactChosen,
    Conversation,
    ConversationId,
    FeedbackGiven,
    Heard,
    IdentityId,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    PersonRequested,
    Seq,
    Visibility,
    changeable,
    value,
)
from bot.people.graves import Graves
from bot.people.masking import masked
from bot.ports import Cursor, Value
from bot.store import memory, records
from bot.store.actions import decide_by_press
from bot.store.blobs import shown_name
from bot.store.handoffs import open_of
from bot.store.records import Inbound
from bot.store.steps import END_STEPS_OF
from bot.text import clean
from bot.tools.consent import decision_of

T = TypeVar("T")

HEARD_MOST = 50  # messages said before the agent was addressed that are kept with the one that did
HEARD_CHARS = 4000  # of each
SOLVED_ASK = "Did this solve your problem?"
SOLVED = {"solved": "up", "unsolved": "down"}  # the buttons under that question, and the verdict that each gives
SOLVED_BUTTONS = (Button("solved", "Yes, thank you"), Button("unsolved", "No, not yet"))
CHOICE_REPLIES = {
    ContactChoice.STOP: "You will get no more messages from us here. Write START if you want to hear from us again.",
    ContactChoice.START: "You will get our messages again. How can we help?",
    ContactChoice.HELP: "Write your question here and you get an answer from our assistant; ask for a person at any time. "
    "Write STOP to get no more messages.",
}
Said = MessageReceived | ButtonPressed | PersonRequested | ContactChosen


@changeable
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
    has_window: bool = False
    conversation_kind: str = ""  # "room": what operators write in their room
    graves: Graves | None = None

    def is_erased(self, cursor: Cursor, message: MessageId) -> bool:
        """Whether this was here before, and was erased."""
        return self.graves is not None and self.graves.has(cursor, message)


@changeable
class Stored:
    """What the unit of work made."""

    accepted: Accepted
    conversation: Conversation | None = None
    inbound: Inbound | None = None
    is_new: bool = False
    is_stale: bool = False  # more was stored than the message alone
    has_released: bool = False  # something that waited for the person to write


def nothing(cursor: Cursor) -> None:
    """Comes after everything that was handed over before it."""


def keep_bookmark(cursor: Cursor, at: Address, bookmark: Bookmark, now_ms: int) -> None:
    values: dict[str, Value] = {"channel": at.channel, "account": at.account, "now": now_ms}
    cursor.execute(records.KEEP_BOOKMARK, {**values, "name": bookmark.name, "value": bookmark.value})


def bookmarked(
    cursor: Cursor, at: Address, bookmark: Bookmark, now_ms: int, unit: Callable[..., T], args: tuple[object, ...]
) -> T:
    """A unit of work with the bookmark of its event."""
    done = unit(cursor, *args)
    keep_bookmark(cursor, at, bookmark, now_ms)
    return done


def accept(cursor: Cursor, event: MessageReceived | PersonRequested | ContactChosen, arrival: Arrival) -> Stored:
    """Appends a message, once; before it, what was said there earlier and is not known yet."""
    if arrival.is_erased(cursor, arrival.message):
        return Stored(Accepted(arrival.message, is_duplicate=True))
    attachments: tuple[Attachment, ...] = ()
    heard = 0
    has_turned = bool(arrival.conversation_kind) and become_room(cursor, arrival.conversation, arrival.now_ms)
    if isinstance(event, MessageReceived):
        attachments = attach(cursor, event) if event.attachments or event.files else ()
        heard = hear(cursor, event, arrival) if event.before else 0
    text, is_deleted, changed_ms = arrival.text, False, 0
    if arrival.has_early_changes:
        early = cursor.fetch(records.EARLY_CHANGE, {"id": arrival.message})
        if early:
            text, is_deleted, changed_ms = early[0][0], bool(early[0][1]), early[0][2]
            cursor.execute(records.DROP_EARLY_CHANGE, {"id": arrival.message})
    stored = append(cursor, event, arrival, text, () if is_deleted else attachments, changed_ms, is_deleted)
    if isinstance(event, MessageReceived) and event.is_shared:
        cursor.execute(memory.SET_SHARED, {"id": arrival.conversation})
    if stored.inbound is None and arrival.kind == "message" and address(cursor, arrival, text, attachments):
        return addressed(cursor, arrival)
    stored.is_stale = heard > 0 or has_turned
    return stored


def address(cursor: Cursor, arrival: Arrival, text: str, attachments: tuple[Attachment, ...]) -> bool:
    """A message that was context so far speaks to the agent after all: it is work from now on. False for any other."""
    values: dict[str, Value] = {
        "id": arrival.message,
        "kind": arrival.kind,
        "text": text,
        "attachments": records.attachments_text(attachments),
    }
    return cursor.execute(records.ADDRESS_OVERHEARD, values) == 1


def addressed(cursor: Cursor, arrival: Arrival) -> Stored:
    conversation = records.conversation_of(cursor.fetch(records.CONVERSATION_BY_ID, {"id": arrival.conversation})[0])
    message = records.message_of(
        cursor.fetch(records.MESSAGE_BY_ID, {"id": arrival.message, "conversation": conversation.id})[0]
    )
    inbound = Inbound(message, sent_ms=arrival.sent_ms, identity=arrival.identity)
    return Stored(Accepted(message.id, message.seq, message.case), conversation, inbound, is_stale=True)


def hear(cursor: Cursor, event: MessageReceived, arrival: Arrival) -> int:
    """Appends what was said before as context: handled already, by nobody. Returns how many were new."""
    if cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message}):
        return 0
    before = [each for each in event.before[-HEARD_MOST:] if each.external_id != event.external_id]
    if before and not cursor.fetch(records.NEWEST, {"id": arrival.conversation}):
        add_conversation(cursor, event, arrival)  # it is theirs who speaks to the agent
    return sum(hear_one(cursor, event, arrival, heard) for heard in before)


def hear_one(cursor: Cursor, event: MessageReceived, arrival: Arrival, heard: Heard) -> bool:
    text, raw_hash = cleaned(heard.text[:HEARD_CHARS])
    message = message_id(arrival.conversation, heard.external_id)
    if not text.strip() or cursor.fetch(records.MESSAGE_KEY, {"id": message}) or arrival.is_erased(cursor, message):
        return False
    early = cursor.fetch(records.EARLY_CHANGE, {"id": message})
    if early and early[0][1]:
        return False
    identity = identity_id(heard.sender.channel, heard.sender.account, heard.sender.external_id)
    said = replace(
        arrival,
        message=message,
        identity=identity,
        user=identity,
        external_id=heard.external_id,
        kind="overheard",
        raw_hash=raw_hash,
        sent_ms=heard.sent_at_ms,
    )
    told = MessageReceived(heard.sender, event.at, heard.external_id, text, sent_at_ms=heard.sent_at_ms)
    append(cursor, told, said, early[0][0] if early else text, (), early[0][2] if early else 0)
    cursor.execute(records.MARK_HANDLED, {"id": message, "now": arrival.now_ms})
    return True


def choose(cursor: Cursor, event: ContactChosen, arrival: Arrival) -> Stored:
    """Puts on record what the person wants, and confirms it: the last that is sent to one who wants nothing more."""
    stored = accept(cursor, event, arrival)
    if stored.inbound is None or stored.conversation is None:
        return stored
    conversation = stored.conversation
    cursor.execute(records.MARK_HANDLED, {"id": arrival.message, "now": arrival.now_ms})
    choice: dict[str, Value] = {
        "message": arrival.message,
        "identity": arrival.identity,
        "channel": event.at.channel,
        "account": event.at.account,
        "choice": event.choice.value,
        "word": arrival.text,
        "now": arrival.now_ms,
    }
    cursor.execute(records.ADD_CHOICE, choice)
    if event.choice is not ContactChoice.HELP:
        is_stopped = event.choice is ContactChoice.STOP
        cursor.execute(records.SET_STOPPED, {"id": conversation.id, "stopped": int(is_stopped)})
    reply = MessageId(ids.derived_id("reply", arrival.message))
    say(cursor, conversation, CHOICE_REPLIES[event.choice], reply, conversation.case, arrival.now_ms, role="choice")
    return stored


def say(
    cursor: Cursor,
    conversation: Conversation,
    text: str,
    id_: MessageId,
    case: CaseId,
    now_ms: int,
    *,
    buttons: tuple[Button, ...] = (),
    role: str = "",
) -> None:
    """Appends a message of the house itself, to be sent."""
    rows = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation.id})
    message = Message(
        id_, Seq(rows[0][2] + 1), Author.SYSTEM, text, now_ms, Visibility.PUBLIC, case=case, buttons=buttons
    )
    records.add_message(cursor, message, conversation.id, "")
    records.add_outbox(cursor, message, conversation.id, conversation.address.channel, (None,), role)


def press(cursor: Cursor, event: ButtonPressed, arrival: Arrival) -> Stored:
    """Appends the button's label as the person's message, once for each button. What it agrees to is agreed to in the same unit."""
    rows = cursor.fetch(records.MESSAGE_BY_ID, {"id": event.message, "conversation": arrival.conversation})
    buttons = records.message_of(rows[0]).buttons if rows else ()
    label = next((button.label for button in buttons if button.id == event.button), None)
    if label is None:
        raise Refused("no_message", "That button is no longer there.")
    decision = decision_of(event.button)
    if decision is not None and not cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message}):
        if cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": arrival.conversation})[0][0] != AGENT_OWNER:
            raise Refused(
                "with_person", "A colleague is taking care of this now. Please tell them whether you want it."
            )
        decide_by_press(cursor, *decision, arrival.identity, arrival.conversation, arrival.now_ms)
    return append(cursor, event, arrival, label)


def append(
    cursor: Cursor,
    event: Said,
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
        author=Author.OPERATOR if arrival.conversation_kind else Author.USER,
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
        "author": message.author.value,
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
    button = arrival.kind.partition("press:")[2]
    inbound = Inbound(message, button, sent_ms=arrival.sent_ms, changed_ms=changed_ms, identity=arrival.identity)
    accepted = Accepted(message.id, message.seq, message.case)
    released = 0
    if arrival.has_window and not is_new:
        released = cursor.execute(records.RELEASE_WINDOW, {"conversation": arrival.conversation, "now": arrival.now_ms})
    return Stored(accepted, conversation, inbound, is_new, has_released=released > 0)


def known_before(cursor: Cursor, arrival: Arrival) -> Accepted:
    """A duplicate: the answer is that of the first time."""
    seq, case = cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message})[0]
    return Accepted(arrival.message, Seq(seq), CaseId(case), is_duplicate=True)


def next_seq(cursor: Cursor, event: Said, arrival: Arrival) -> tuple[Conversation | None, bool]:
    """The conversation as it is with the message, its case open, and whether it is new; None for a duplicate that would have opened a
    case."""
    rows = cursor.fetch(records.NEWEST, {"id": arrival.conversation})
    if not rows:
        conversation = add_conversation(cursor, event, arrival)
        return (conversation if arrival.conversation_kind else open_case(cursor, conversation, arrival)), True
    agent, owner, version, case, identity, is_wanted, newest_seq, newest_ms, is_stopped, kind = rows[0]
    conversation = Conversation(
        arrival.conversation,
        event.at,
        agent,
        owner,
        version,
        Seq(newest_seq + 1),
        case,
        identity,
        bool(is_wanted),
        bool(is_stopped),
        kind,
    )
    if arrival.identity != identity:
        records.add_identity(cursor, arrival.identity, arrival.user, event.sender, arrival.conversation, arrival.now_ms)
    if kind or (case and (owner != AGENT_OWNER or arrival.now_ms - newest_ms <= arrival.case_idle_ms)):
        return conversation, False
    if cursor.fetch(records.MESSAGE_KEY, {"id": arrival.message}):
        return None, False
    return open_case(cursor, conversation, arrival), False


def add_conversation(cursor: Cursor, event: Said, arrival: Arrival) -> Conversation:
    at = event.at
    records.add_identity(cursor, arrival.identity, arrival.user, event.sender, arrival.conversation, arrival.now_ms)
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
            "kind": arrival.conversation_kind,
            "now": arrival.now_ms,
        },
    )
    return records.new_conversation(
        arrival.conversation, at, arrival.identity, arrival.agent, CaseId(""), arrival.conversation_kind
    )


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
    if conversation.last_seq > 1:
        remember_earlier(cursor, conversation, case, conversation.last_seq, arrival.now_ms)
    return replace(conversation, case=case, is_person_wanted=False)


def attach(cursor: Cursor, event: MessageReceived) -> tuple[Attachment, ...]:
    """The event's blobs, each of which must belong to the sender, and the files that are still to be fetched."""
    attachments = []
    for blob_id in event.attachments:
        blob = records.find_blob(cursor, blob_id, event.sender)
        if blob is None:
            raise Refused("no_blob", "One of the files is not there (any more). Please attach it again.")
        attachments.append(Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes))
    for file in event.files:
        name = shown_name(file.name)
        attachments.append(Attachment(BlobId(""), name, clean(file.media_type)[:100], file.size_bytes, file.source))
    return tuple(attachments)


def rate(cursor: Cursor, event: FeedbackGiven, conversation: ConversationId) -> Accepted:
    """Keeps the latest verdict on a message or a case of this conversation."""
    values = {"value": event.value, "conversation": conversation}
    message = event.message
    if event.external_id and message is None:
        named: dict[str, Value] = {"conversation": conversation, "external": event.external_id}
        found = cursor.fetch(records.MESSAGE_OF_EXTERNAL, named)
        message = MessageId(found[0][0]) if found else MessageId("")
    if message is not None:
        changed = cursor.execute(records.MESSAGE_FEEDBACK, {**values, "id": message})
    else:
        changed = cursor.execute(records.CASE_FEEDBACK, {**values, "id": event.case})
    if not changed:
        raise Refused("no_message", "That message or case is not part of this conversation.")
    return Accepted(message=message or MessageId(""), case=event.case or CaseId(""))


def rate_case_of(cursor: Cursor, event: ButtonPressed, conversation: ConversationId) -> Accepted:
    """The answer to `SOLVED_ASK`: a verdict on the case that the question is about."""
    rows = cursor.fetch(records.MESSAGE_BY_ID, {"id": event.message, "conversation": conversation})
    if not rows:
        raise Refused("no_message", "That button is no longer there.")
    case = records.message_of(rows[0]).case
    return rate(cursor, FeedbackGiven(event.sender, event.at, SOLVED[event.button], case=case), conversation)


def end_case(cursor: Cursor, conversation: ConversationId, now_ms: int, asks_within_s: float | None = None) -> Accepted:
    """Ends the open case, if there is one, and returns it."""
    rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})
    found = records.conversation_of(rows[0]) if rows else None
    if found is None or not found.case:
        return Accepted()
    user_left(cursor, conversation, Happening.USER_LEFT, now_ms)
    close_case(cursor, found, now_ms, "ended by the user", asks_within_s)
    return Accepted(case=found.case)


def end_idle_case(
    cursor: Cursor,
    case: CaseId,
    conversation: ConversationId,
    now_ms: int,
    idle_ms: int,
    asks_within_s: float | None,
) -> CaseId:
    """Ends a case if nothing has been said in it meanwhile. Returns it, or "" where it goes on."""
    found = records.conversation_of(cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})[0])
    newest_ms = cursor.fetch(records.NEWEST, {"id": conversation})[0][7]
    is_awaited = open_of(cursor, conversation) is not None
    if found.case != case or now_ms - newest_ms < idle_ms or found.owner != AGENT_OWNER or is_awaited:
        return CaseId("")
    close_case(cursor, found, now_ms, "idle", asks_within_s)
    return case


def close_case(cursor: Cursor, found: Conversation, now_ms: int, outcome: str, asks_within_s: float | None) -> None:
    cursor.execute(records.END_CASE, {"id": found.case, "now": now_ms, "outcome": outcome})
    cursor.execute(records.SET_CASE, {"id": found.id, "case": ""})
    if asks_within_s is None or found.is_stopped:
        return
    is_open = not asks_within_s or heard_s(cursor, found.id, now_ms) < asks_within_s
    if is_open and cursor.fetch(records.HAS_ANSWER, {"case": found.case, "id": found.id}):
        question = MessageId(ids.derived_id("solved", found.case))
        say(cursor, found, SOLVED_ASK, question, found.case, now_ms, buttons=SOLVED_BUTTONS)


def acknowledge(cursor: Cursor, receipts: dict[ConversationId, Seq]) -> None:
    for conversation, seq in receipts.items():
        cursor.execute(records.ACKNOWLEDGE, {"id": conversation, "seq": seq})


@value
class Change:
    """An edit or a deletion, whichever way round it and its message arrive."""

    message: MessageId
    conversation: ConversationId
    text: str
    is_deleted: bool
    changed_ms: int
    now_ms: int
    graves: Graves | None = None


def change_of(event: MessageEdited | MessageDeleted, now_ms: int, graves: Graves | None = None) -> Change:
    conversation = conversation_id(event.at)
    message = message_id(conversation, event.external_id)
    match event:
        case MessageEdited():
            return Change(message, conversation, masked(clean(event.text)), False, event.edited_at_ms, now_ms, graves)
        case MessageDeleted():
            return Change(message, conversation, "", True, event.deleted_at_ms, now_ms, graves)


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
        memory.changed(cursor, change.message)
        return True
    if change.graves is None or not change.graves.has(cursor, change.message):
        cursor.execute(records.ADD_EARLY_CHANGE, values | {"now": change.now_ms})
    return False


def cleaned(text: str) -> tuple[str, str]:
    """The text fit to keep, and the SHA-256 of how it came when that differs. Where a card number or a secret was taken out there is none:
    of so few digits, one could find out by trying."""
    fit = clean(text)
    if (safe := masked(fit)) != fit:
        return safe, ""
    if fit == text:
        return fit, ""
    return fit, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
