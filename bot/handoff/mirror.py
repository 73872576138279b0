"""Operators' rooms: each handoff has a card there, and the card a thread in which the conversation goes on.

The room and its threads are conversations like any other, and what is shown there are messages with outbox rows: so each line is shown once and in
order, whatever ends in between. This part only copies: what is new of a conversation, and the card when it has changed.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from bot import ids
from bot.channels import Channel
from bot.delivery import Delivery
from bot.errors import FrontdeskError
from bot.files import is_missing
from bot.handoff.card import Shown, card_of
from bot.handoff.feed import Feed
from bot.handoff.leaving import become_room
from bot.handoff.names import name_of
from bot.handoff.notice import HAPPENED, Notice
from bot.handoff.watching import to_place
from bot.ids import conversation_id, identity_id
from bot.model import ROOM, Address, Author, Conversation, Message, MessageId, Seq, changeable, value
from bot.ports import Clock, Cursor, Store, Value
from bot.store import handoffs, records
from bot.store.blobs import OWN_COPY
from bot.store.handoffs import Record

log = logging.getLogger(__name__)

AT_ONCE: Final = 20  # messages of one conversation in one unit of work
BEFORE: Final = 20  # messages before the handoff that the thread begins with
LOOKED_BACK: Final = 200  # messages that are looked at for changes
AGAIN_S: Final = 30.0
FOLLOWED_MS: Final = 86_400_000  # how long after a handoff the thread goes on to show what is said in the case
_CARD: Final = """
    SELECT r.card, r.shown, r.thread, r.mirrored_seq, r.logged_ms, r.noticed, o.state, o.external_id
    FROM room_cards r LEFT JOIN outbox o ON o.message_id = r.card AND o.part = 0 WHERE r.case_id = :case AND r.room = :room"""
_ADD_CARD: Final = """
    INSERT INTO room_cards (case_id, room, conversation_id, card, shown, mirrored_seq, logged_ms, changed_ms)
    VALUES (:case, :room, :conversation, :card, :shown, :mirrored, :logged, :now)"""
_SET_CARD: Final = """
    UPDATE room_cards SET shown = :shown, thread = :thread, mirrored_seq = :mirrored, logged_ms = :logged, noticed = :noticed,
        changed_ms = :now
    WHERE case_id = :case AND room = :room"""
_SHOW_AGAIN: Final = "UPDATE messages SET text = :text, buttons = :buttons WHERE id = :id"
_SEND_AGAIN: Final = """
    UPDATE outbox SET role = 'final', state = 'planned', attempts = 0, due_ms = :now, text = NULL, error = ''
    WHERE message_id = :id AND part = 0 AND state = 'sent' AND external_id <> ''"""
_NEW: Final = f"""
    SELECT {records.MESSAGE_COLUMNS}, m.via FROM messages m
    WHERE m.conversation_id = :conversation AND m.seq > :after AND m.case_id = :case AND m.kind <> 'press:returned' ORDER BY m.seq LIMIT :limit"""
_CHANGED: Final = f"""
    SELECT {records.MESSAGE_COLUMNS}, m.changed_ms FROM messages m
    WHERE m.conversation_id = :conversation AND m.seq > :after - {LOOKED_BACK} AND m.seq <= :after AND m.case_id = :case AND m.author = 'user'
      AND m.changed_ms > 0 ORDER BY m.seq"""
_COPY: Final = "SELECT text FROM messages WHERE id = :id AND is_deleted = 0"
_SET_COPY: Final = "UPDATE messages SET text = :text, is_deleted = :deleted WHERE id = :id"
_LOGGED: Final = """
    SELECT id, actor, what, detail, at_ms FROM handoff_log
    WHERE handoff_id IN (SELECT id FROM handoffs WHERE conversation_id = :conversation AND case_id = :case) AND at_ms >= :after AND what IN ('claim', 'release', 'return', 'resolve', 'cancel', 'queue_timeout',
        'operator_silent', 'hand_on', 'offer', 'snooze', 'missed first reply', 'missed next reply', 'missed resolve', 'blocked')
    ORDER BY at_ms, id LIMIT 50"""
_BEFORE: Final = f"""
    SELECT {handoffs.COLUMNS} FROM handoffs
    WHERE conversation_id = :conversation AND case_id <> :case AND case_id IN (
        SELECT case_id FROM room_cards WHERE conversation_id = :conversation)
    ORDER BY asked_ms DESC, id DESC LIMIT 1"""
_OF_ROOM: Final = """
    SELECT DISTINCT r.conversation_id FROM room_cards r JOIN outbox o ON o.message_id = r.card AND o.part = 0
    WHERE r.room = :room AND (r.thread = '' OR r.shown = 'stale') AND o.state = 'sent' AND o.external_id <> ''"""
_POST_AGAIN: Final = """
    UPDATE outbox SET state = 'planned', attempts = 0, due_ms = :now, error = ''
    WHERE part = 0 AND state = 'dead' AND coalesce(external_id, '') = '' AND message_id IN (
        SELECT r.card FROM room_cards r JOIN handoffs h ON h.case_id = r.case_id WHERE h.ended_ms IS NULL AND r.shown <> 'forgotten')"""
_OPEN: Final = "SELECT conversation_id FROM handoffs WHERE ended_ms IS NULL OR ended_ms > :since"
_IS_READ: Final = "SELECT 1 FROM inbox WHERE message_id = :id AND handled_ms IS NULL AND dead_ms IS NULL"  # or will be
_CALLED: Final = """
    SELECT external_id FROM operator_links WHERE operator_id = :operator AND channel = :channel AND account = :account
    ORDER BY external_id"""
_CALL: Final = "UPDATE messages SET mentions = :mentions WHERE id = :id"
_HOUSE: Final = "house"
STALE: Final = "stale"
VISITOR: Final = "Visitor"  # who has told no name


@changeable
class Copied:
    """What a unit of work made: the addresses that something waits for; `is_more`: not all fitted; `is_followed`: the agent has a case again
    that has a thread."""

    woken: list[Address] = field(default_factory=list)
    is_more: bool = False
    is_followed: bool = False


@value
class Room:
    """An operators' room, or one of its threads. `split`: how its channel cuts long texts."""

    at: Address
    split: Callable[[str], Sequence[str]]


def whole(text: str) -> Sequence[str]:
    return (text,)


class Mirror:
    """Keeps the rooms of all channels in step. `rooms()`: those that there are now."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        feed: Feed,
        delivery: Delivery,
        channels: Mapping[str, Channel],
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._delivery = delivery
        self._channels = channels
        self._followed: set[str] = set()  # conversations of which rooms show what is said, though no handoff is open

    def rooms(self) -> list[Room]:
        found = []
        for channel in self._channels.values():
            at = channel.has_room.room if channel.has_room is not None else None
            if at is not None:
                found.append(Room(at, channel.splits.split if channel.splits is not None else whole))
        return found

    async def run(self) -> None:
        """Until cancelled. What changed while nobody listened is found at the start."""
        await self._feed.follow(self._take_up, self._look, also=self._followed)

    async def _look(self, changed: Sequence[str]) -> None:
        for conversation in changed:
            await self._bring(conversation)

    async def _take_up(self) -> None:
        since = self._clock.now_ms() - 86_400_000
        while True:
            try:
                opened = await self._store.read(_OPEN, {"since": since})
                await self._store.run(post_again, self._clock.now_ms())
                break
            except FrontdeskError as error:
                log.warning("the operators' rooms are behind: %s", error)
                await self._clock.sleep(AGAIN_S)
        for room in self.rooms():
            self._delivery.wake(room.at)
        await self._look([row[0] for row in opened])

    async def _bring(self, conversation: str) -> None:
        try:
            rooms = self.rooms()
            if not rooms:
                return
            if any(conversation == conversation_id(room.at) for room in rooms):  # a card there may have been posted
                for (waiting,) in await self._store.read(_OF_ROOM, {"room": conversation}):
                    await self.bring(waiting, rooms)
                return
            await self.bring(conversation, rooms)
        except FrontdeskError as error:
            log.warning("an operators' room is behind: %s", error)
            self._clock.call_later(AGAIN_S, lambda: self._feed.touch(conversation, is_handoff=True))

    async def bring(self, conversation: str, rooms: Sequence[Room]) -> None:
        """Everything of this conversation that the rooms do not show yet."""
        is_more = True
        while is_more:
            copied = await self._store.run(copy, conversation, tuple(rooms), self._clock.now_ms())
            (self._followed.add if copied.is_followed else self._followed.discard)(conversation)
            for at in copied.woken:
                self._delivery.wake(at)
            is_more = copied.is_more


# --- a unit of work --------------------------------------------------------------------------------------------------


def post_again(cursor: Cursor, now_ms: int) -> None:
    """Cards of open handoffs that a platform would not take (the bot was not in the channel yet) are tried once more."""
    cursor.execute(_POST_AGAIN, {"now": now_ms})


def copy(cursor: Cursor, conversation: str, rooms: Sequence[Room], now_ms: int) -> Copied:
    copied = Copied()
    record = handoffs.latest_of(cursor, conversation)
    rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})
    if record is None or not rows or rows[0][13] == ROOM:
        return copied
    found = records.conversation_of(rows[0])
    is_late = record.ended_ms > 0 and now_ms - record.ended_ms < FOLLOWED_MS
    copied.is_followed = is_late and bool(record.case) and record.case == found.case
    before = cursor.fetch(_BEFORE, {"conversation": conversation, "case": record.case})
    for each in (*map(handoffs.record_of, before), record):  # the case before may have ended unseen
        for room in rooms:
            _bring(cursor, found, each, room, now_ms, copied)
    return copied


def _bring(cursor: Cursor, found: Conversation, record: Record, room: Room, now_ms: int, copied: Copied) -> None:
    place = conversation_id(room.at)
    key: dict[str, Value] = {"case": record.case or record.id, "room": place}
    card = card_of(cursor, found, record, now_ms)
    rows = cursor.fetch(_CARD, key)
    if not rows:
        _post(cursor, found, record, room, card, key, now_ms)
        copied.woken.append(room.at)
        return
    id_, was_shown, thread, mirrored, logged, noticed, state, external = rows[0]
    if was_shown == "forgotten":
        return
    now_shown = digest(card)
    if now_shown != was_shown and state == "sent" and external:
        again: dict[str, Value] = {"id": id_, "text": card.text, "buttons": records.buttons_text(card.buttons)}
        cursor.execute(_SHOW_AGAIN, again)
        if cursor.execute(_SEND_AGAIN, {"id": id_, "now": now_ms}):
            was_shown = now_shown
            copied.woken.append(room.at)
    if now_shown != was_shown:
        was_shown = STALE  # it is on its way just now: looked at again when it has arrived
    if external:
        at = replace(room.at, thread=external)
        thread = conversation_id(at)
        add_room(cursor, at, now_ms)
        below = Room(at, room.split)
        mirrored, logged = _continue(cursor, found, record, below, mirrored, logged, now_ms, copied)
        noticed = _call(cursor, record, below, noticed, now_ms, copied)
    values: dict[str, Value] = {"shown": was_shown, "thread": thread, "mirrored": mirrored, "logged": logged}
    values["noticed"] = noticed
    cursor.execute(_SET_CARD, {**key, **values, "now": now_ms})


def _post(
    cursor: Cursor, found: Conversation, record: Record, room: Room, card: Shown, key: dict[str, Value], now_ms: int
) -> None:
    place = conversation_id(room.at)
    add_room(cursor, room.at, now_ms)
    id_ = MessageId(ids.derived_id("card", str(key["case"]), place))
    _append(cursor, room, Message(id_, Seq(0), Author.SYSTEM, card.text, now_ms, buttons=card.buttons))
    values: dict[str, Value] = {
        "conversation": found.id,
        "card": id_,
        "shown": digest(card),
        "mirrored": max(0, record.first_seq - 1 - BEFORE),
        "logged": record.asked_ms - 1,
        "now": now_ms,
    }
    cursor.execute(_ADD_CARD, {**key, **values})


def _continue(
    cursor: Cursor,
    found: Conversation,
    record: Record,
    at: Room,
    mirrored: int,
    logged: int,
    now_ms: int,
    copied: Copied,
) -> tuple[int, int]:
    """Appends what is new to the thread. Returns how far it has come."""
    thread = conversation_id(at.at)
    case = record.case or found.case
    values: dict[str, Value] = {"conversation": found.id, "after": mirrored, "case": case, "limit": AT_ONCE}
    rows = cursor.fetch(_NEW, values)
    lines = _lines(cursor, found, case, thread, logged)
    changes = _changes(cursor, values, thread, now_ms)
    is_waiting = False
    for row in rows:
        message, via = records.message_of(row), row[14]
        is_waiting = any(map(is_missing, message.attachments)) and bool(cursor.fetch(_IS_READ, {"id": message.id}))
        if is_waiting:  # its files are being fetched: the turn that does so tells of it
            break
        mirrored = message.seq
        if via != thread and (message.text or message.attachments) and not message.is_deleted:
            _append(cursor, at, copy_of(message, thread, now_ms))
    for at_ms, line in lines:
        logged = at_ms
        _append(cursor, at, replace(line, at_ms=now_ms))
    for change in changes:
        _append(cursor, at, change)
    if rows or lines or changes:
        copied.woken.append(at.at)
    copied.is_more |= len(rows) == AT_ONCE and not is_waiting
    return mirrored, logged


def _call(cursor: Cursor, record: Record, at: Room, noticed: int, now_ms: int, copied: Copied) -> int:
    """Calls those who are to be told, as far as they are known on this platform: one line for each thing. Returns how far it has come."""
    by_cause: dict[str, list[Notice]] = {}
    for notice in to_place(cursor, record.conversation, record.case, noticed, record.asked_ms):
        by_cause.setdefault(notice.cause, []).append(notice)
        noticed = max(noticed, notice.number)
    for cause, notices in by_cause.items():
        called = [id_ for notice in notices for id_ in _accounts(cursor, notice.operator, at.at)]
        if not called:
            continue
        id_ = MessageId(ids.derived_id("called", conversation_id(at.at), cause, str(notices[0].number)))
        _append(cursor, at, Message(id_, Seq(0), Author.SYSTEM, notices[0].text, now_ms))
        cursor.execute(_CALL, {"id": id_, "mentions": " ".join(called)})
        copied.woken.append(at.at)
    return noticed


def _accounts(cursor: Cursor, operator: str, at: Address) -> list[str]:
    where: dict[str, Value] = {"operator": operator, "channel": at.channel, "account": at.account}
    return [row[0] for row in cursor.fetch(_CALLED, where)]


def _changes(cursor: Cursor, shown_so_far: dict[str, Value], thread: str, now_ms: int) -> list[Message]:
    """What the user has changed or taken back since it was shown: each change is a line of its own, once."""
    changes = []
    for row in cursor.fetch(_CHANGED, shown_so_far):
        message, changed_ms = records.message_of(row), row[14]
        copied = copy_of(message, thread, now_ms)
        copies = cursor.fetch(_COPY, {"id": copied.id})
        if not copies or (copies[0][0] == copied.text and not message.is_deleted):
            continue
        cursor.execute(_SET_COPY, {"id": copied.id, "text": copied.text, "deleted": int(message.is_deleted)})
        id_ = MessageId(ids.derived_id("changed", thread, message.id, str(changed_ms)))
        if message.is_deleted:
            changes.append(Message(id_, Seq(0), Author.SYSTEM, "The user has deleted a message above.", now_ms))
        else:
            changes.append(replace(copied, id=id_, text=f"✎ {copied.text}", attachments=()))
    return changes


def copy_of(message: Message, thread: str, now_ms: int) -> Message:
    """In the thread: by the same author, without what only the user can press. A file that could not be had is named."""
    id_ = MessageId(ids.derived_id("mirrored", thread, message.id))
    lost = [f"({each.name}: {each.problem or 'did not arrive'})" for each in message.attachments if not each.blob]
    text = "\n".join([message.text, *lost]).strip() if lost else message.text
    files = tuple(each for each in message.attachments if each.blob and each.media_type != OWN_COPY)
    name = message.name or (VISITOR if message.author is Author.USER else "")
    message = replace(message, text=text, attachments=files, name=name)
    return replace(message, id=id_, at_ms=now_ms, buttons=(), case=_NO_CASE, feedback="", is_edited=False)


_NO_CASE: Final = Message(MessageId(""), Seq(0), Author.SYSTEM, "", 0).case
_SAYS: Final = {
    **HAPPENED,
    "return": "{who} has returned it to the agent{detail}.",
    "hand_on": "{who} has offered it to{detail}.",
    "offer": "It is offered to{detail}.",
    "snooze": "{who} has put it off.",
    "blocked": "{who} has blocked the user.",
}


def _lines(cursor: Cursor, found: Conversation, case: str, thread: str, logged: int) -> list[tuple[int, Message]]:
    """What was done since then and does not stand there yet: several things may have been done in one moment."""
    lines = []
    values: dict[str, Value] = {"conversation": found.id, "case": case, "after": logged}
    for log_id, actor, what, detail, at_ms in cursor.fetch(_LOGGED, values):
        id_ = MessageId(ids.derived_id("logged", thread, log_id))
        if cursor.fetch(records.MESSAGE_KEY, {"id": id_}):
            continue
        about = _name(cursor, detail) if what in ("hand_on", "offer") else detail
        text = _SAYS.get(what, f"⏱ {what}").format(who=_name(cursor, actor), detail=f" {about}" if about else "")
        lines.append((at_ms, Message(id_, Seq(0), Author.SYSTEM, text, at_ms)))
    return lines


def _name(cursor: Cursor, operator: str) -> str:
    return name_of(cursor, operator) or "Somebody"


def _append(cursor: Cursor, room: Room, message: Message) -> None:
    place = conversation_id(room.at)
    last_seq = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": place})[0][2]
    placed = replace(message, seq=Seq(last_seq + 1))
    records.add_message(cursor, placed, place, "")
    parts = room.split(placed.text) if placed.text else (None,)
    records.add_outbox(cursor, placed, place, room.at.channel, parts if len(parts) > 1 else (None,))


def add_room(cursor: Cursor, at: Address, now_ms: int) -> None:
    """The conversation that is a room or a thread of it, once."""
    place = conversation_id(at)
    if cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": place}):
        become_room(cursor, place, now_ms)
        return
    identity = identity_id(at.channel, at.account, _HOUSE)
    cursor.execute(records.ADD_USER, {"user": identity, "name": "", "now": now_ms})
    cursor.execute(
        records.ADD_IDENTITY,
        {
            "id": identity,
            "channel": at.channel,
            "account": at.account,
            "external": _HOUSE,
            "user": identity,
            "name": "",
            "verified": 0,
            "now": now_ms,
        },
    )
    cursor.execute(
        records.ADD_CONVERSATION,
        {
            "id": place,
            "channel": at.channel,
            "account": at.account,
            "chat": at.chat,
            "thread": at.thread,
            "identity": identity,
            "agent": "main",
            "kind": ROOM,
            "now": now_ms,
        },
    )


def digest(card: Shown) -> str:
    """Equal for cards that look alike."""
    text = "\x1f".join([card.text, *(f"{button.id}\x1e{button.label}" for button in card.buttons)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
