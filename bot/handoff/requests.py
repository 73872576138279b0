"""A person is asked for: the units of work that begin a handoff, whoever or whatever asked.

Promise: the handoff, the new owner and the one announcement to the user are one unit of work; while a handoff is open, nothing begins another.
"""

from collections.abc import Sequence
from enum import StrEnum

from bot import ids
from bot.handoff.hours import is_open, next_opening
from bot.handoff.machine import Handoff, Happening, Stage
from bot.handoff.opening import opening_words
from bot.handoff.rules import Rules
from bot.handoff.timers import ONCE, due
from bot.handoff.triggers import contact_in
from bot.handoff.waiting import Waiting, expected_wait_s, position, wait_words
from bot.handoff.words import Words, cancel_button, language_of, words_in
from bot.model import Author, Button, Conversation, Message, MessageId, Seq, Visibility, value
from bot.operators.operator import Operator, Presence
from bot.operators.roles import Right
from bot.ports import Cursor, Value
from bot.store import handoffs, records
from bot.store.handoffs import Record
from bot.store.operators import operators

FIGURES_MS = 7 * 86_400_000  # how far back waits are looked at
_LAST_USER_TEXT = """
    SELECT text FROM messages WHERE conversation_id = :conversation AND author = 'user' AND is_deleted = 0 AND text <> ''
    ORDER BY seq DESC LIMIT 1"""
BEGAN = "SELECT 1 FROM handoffs WHERE case_id = :case AND origin = :origin LIMIT 1"


class Origin(StrEnum):
    """What asked for a person. The first three may do so again and again; each of the others once in a case."""

    ASKED = "asked"  # the user
    TOOL = "tool"  # the agent, for a reason of its own
    OPERATOR = "operator"  # somebody stepped in
    ANGER = "anger"
    FAILURES = "failures"
    FEEDBACK = "feedback"
    UNKNOWN = "unknown"  # an action whose outcome nobody knows
    TOPIC = "topic"
    BUDGET = "budget"
    MODELS = "models"  # none answers
    ERROR = "error"


_AGAIN = frozenset({Origin.ASKED, Origin.TOOL, Origin.OPERATOR})


@value
class Ask:
    """Why a person is wanted. `brief`: JSON, what travels."""

    origin: Origin
    reason: str = ""
    brief: str = ""
    team: str = ""
    skill: str = ""
    priority: int = 0


@value
class Begun:
    """What the unit of work did."""

    record: Record
    announcement: Message | None


def begin(
    cursor: Cursor, conversation: Conversation, ask: Ask, rules: Rules, now_ms: int, key: str, *, is_deduped: bool
) -> Begun | None:
    """None where nobody is there to be asked at all, a handoff is open already, or this reason has been good for one in this case. `key`
    makes the ids, so that a rerun makes the same."""
    if not rules.is_staffed or conversation.kind or conversation.is_stopped:
        return None
    if (record := opened(cursor, conversation, ask, now_ms, key)) is None:
        return None
    is_there = is_open(rules.hours, now_ms)
    record = handoffs.move(cursor, record, Happening.QUEUE if is_there else Happening.CLOSE, now_ms, "agent")
    arm(cursor, record, rules)
    words = words_in(record.language)
    text = announced(cursor, record, words, now_ms) if is_there else closed(record, words, rules, now_ms)
    cancel = (cancel_button(words),) if is_there else ()
    id_ = MessageId(ids.derived_id("announced", record.id))
    return Begun(record, say(cursor, conversation, text, id_, now_ms, is_deduped=is_deduped, buttons=cancel))


def opened(cursor: Cursor, conversation: Conversation, ask: Ask, now_ms: int, key: str) -> Record | None:
    """The row, in its first stage. One that was only being wrapped up is done by it."""
    before = handoffs.open_of(cursor, conversation.id)
    if before is not None and before.state.stage is Stage.WRAP_UP:
        handoffs.move(cursor, before, Happening.DONE, now_ms, "timer", by=before.state.operator)
        before = None
    if before is not None:
        return None
    asked: dict[str, Value] = {"case": conversation.case, "origin": ask.origin.value}
    if ask.origin not in _AGAIN and (not conversation.case or cursor.fetch(BEGAN, asked)):
        return None
    last_seq = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation.id})[0][2]
    said = last_user_text(cursor, conversation.id)
    record = Record(
        ids.derived_id("handoff", conversation.id, key),
        conversation.id,
        conversation.case,
        Handoff(),
        ask.origin.value,
        ask.reason[:2000],
        ask.brief,
        team=ask.team,
        skill=ask.skill,
        language=language_of(said),
        priority=ask.priority,
        contact=contact_in(said),
        first_seq=Seq(last_seq + 1),
        asked_ms=now_ms,
    )
    handoffs.add(cursor, record, now_ms)
    handoffs.log(cursor, record, now_ms, "agent", "requested", ask.origin.value)
    cursor.execute(records.WANT_PERSON, {"id": conversation.id})
    cursor.execute(records.CASE_WANTS_PERSON, {"id": conversation.case, "now": now_ms})
    return record


def arm(cursor: Cursor, record: Record, rules: Rules) -> None:
    """The timers as they follow from the row: those that run, and no others."""
    running = due(record, rules)
    known = {row[0]: row for row in cursor.fetch(handoffs.TIMERS_OF, {"handoff": record.id})}
    for kind, (since_ms, due_ms) in running.items():
        if kind in ONCE and kind in known and known[kind][3] is not None:
            continue
        cursor.execute(handoffs.SET_TIMER, {"handoff": record.id, "kind": kind, "since": since_ms, "due": due_ms})
    for kind, row in known.items():
        if kind not in running and row[3] is None:
            cursor.execute(handoffs.DROP_TIMER, {"handoff": record.id, "kind": kind})


def announced(cursor: Cursor, record: Record, words: Words, now_ms: int) -> str:
    """The one announcement, with the place in the queue and, where there are figures for it, the expected wait."""
    place, wait_s = figures(cursor, record, now_ms)
    told = [words.announced, words.place.format(position=place)]
    if wait_s is not None:
        told.append(words.wait.format(wait=wait_words(wait_s, record.language)))
    return " ".join(told)


def closed(record: Record, words: Words, rules: Rules, now_ms: int) -> str:
    opening = next_opening(rules.hours, now_ms)
    if opening is None:
        return words.off_hours_unknown
    return words.off_hours.format(opening=opening_words(rules.hours, now_ms, language=record.language))


def wished_again(cursor: Cursor, conversation: Conversation, rules: Rules, now_ms: int) -> str:
    """What one is told who asks for a person where nothing more can begin: shortly, and nothing that contradicts what was said before."""
    record = handoffs.open_of(cursor, conversation.id)
    words = words_in(record.language if record else language_of(last_user_text(cursor, conversation.id)))
    is_asleep = record is not None and record.state.stage is Stage.OFF_HOURS
    opening = opening_words(rules.hours, now_ms, language=record.language) if record and is_asleep else ""
    return words.off_hours_again.format(opening=opening) if opening else words.noted


def figures(cursor: Cursor, record: Record, now_ms: int) -> tuple[int, int | None]:
    """The place in the queue, and the expected wait in seconds; None: there is nothing to base one on."""
    queue = [handoffs.record_of(row) for row in cursor.fetch(handoffs.QUEUE)]
    since: dict[str, Value] = {"since": now_ms - FIGURES_MS}
    return place_and_wait(
        queue,
        record.id,
        [row[0] / 1000 for row in cursor.fetch(handoffs.RECENT_WAITS, since)],
        [row[0] / 1000 for row in cursor.fetch(handoffs.RECENT_HANDLING, since)],
        _room(cursor),
    )


def place_and_wait(
    queue: Sequence[Record], id_: str, waits_s: Sequence[float], handling_s: Sequence[float], room: int
) -> tuple[int, int | None]:
    waiting = [Waiting(each.id, each.priority, each.queued_ms) for each in queue]
    place = position(waiting, id_) or len(waiting) or 1
    return place, expected_wait_s(place, waits_s, handling_s, room)


def _room(cursor: Cursor) -> int:
    """How many conversations all who are online could have at once."""
    return room_of(operators(cursor))


def room_of(people: Sequence[Operator]) -> int:
    """Of those who could come: they are online, and may reply."""
    return sum(each.capacity for each in people if each.presence is Presence.ONLINE and each.may(Right.REPLY))


def last_user_text(cursor: Cursor, conversation: str) -> str:
    rows = cursor.fetch(_LAST_USER_TEXT, {"conversation": conversation})
    return str(rows[0][0]) if rows else ""


def say(
    cursor: Cursor,
    conversation: Conversation,
    text: str,
    id_: MessageId,
    now_ms: int,
    *,
    is_deduped: bool,
    buttons: tuple[Button, ...] = (),
) -> Message:
    """Appends a public message of the house, to be sent; where the receiver dedupes, it is only to be handed over."""
    last_seq = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation.id})[0][2]
    message = Message(
        id_, Seq(last_seq + 1), Author.SYSTEM, text, now_ms, Visibility.PUBLIC, case=conversation.case, buttons=buttons
    )
    records.add_message(cursor, message, conversation.id, "")
    if not is_deduped:
        records.add_outbox(cursor, message, conversation.id, conversation.address.channel, (None,))
    return message
