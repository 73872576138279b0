"""The timers act: each due one is a unit of work of its own, done once, whatever ends the process."""

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Final

from bot import ids
from bot.accepting import close_case
from bot.handoff import timers
from bot.handoff.assignment import Candidate, Way, choose
from bot.handoff.assignment import Presence as Candidacy
from bot.handoff.blocks import stretch_text
from bot.handoff.machine import Happening, Stage
from bot.handoff.requests import announced, arm, say
from bot.handoff.rules import Rules
from bot.handoff.words import Words, cancel_button, words_in
from bot.model import Button, Conversation, Message, MessageId, changeable
from bot.operators.operator import Operator
from bot.operators.roles import Right
from bot.ports import Cursor, Value
from bot.store import handoffs, records
from bot.store.handoffs import Record
from bot.store.operators import operators

_TIMER: Final = "timer"
_WHAT: Final[dict[str, Happening]] = {
    timers.OFFER: Happening.EXPIRE,
    timers.OPERATOR: Happening.OPERATOR_SILENT,
    timers.QUEUE: Happening.QUEUE_TIMEOUT,
    timers.USER: Happening.USER_SILENT,
    timers.SNOOZE: Happening.WAKE,
    timers.OPENING: Happening.OPEN,
    timers.WRAP_UP: Happening.DONE,
}
_ASKED_SINCE = """
    SELECT detail FROM handoff_log
    WHERE conversation_id = :conversation AND at_ms >= :since AND handoff_id = :handoff AND what IN ('offer', 'hand_on')"""
_LAST_OFFERED = (
    "SELECT offered_to, operator, max(coalesce(offered_ms, taken_ms, 0)) FROM handoffs GROUP BY offered_to, operator"
)
_UNREAD = "SELECT 1 FROM inbox WHERE conversation_id = :conversation AND handled_ms IS NULL AND dead_ms IS NULL LIMIT 1"
_SUMMARY = "UPDATE cases SET summary = :summary WHERE id = :case"


@changeable
class Acted:
    """What a timer did: the conversation, and what is to be handed over; `ended`: the case that has ended."""

    conversation: Conversation
    messages: list[Message] = field(default_factory=list)
    ended: str = ""
    missed: str = ""  # the promise that was not kept


def act(
    cursor: Cursor,
    handoff: str,
    kind: str,
    since_ms: int,
    rules: Rules,
    now_ms: int,
    is_deduped: bool,
    asks_within_s: float | None,
) -> Acted | None:
    """One due timer. None where it has acted already, or no longer runs."""
    key: dict[str, Value] = {"handoff": handoff, "kind": kind, "since": since_ms, "now": now_ms}
    rows = cursor.fetch(handoffs.HANDOFF_BY_ID, {"id": handoff})
    if not rows or (kind == timers.USER and cursor.fetch(_UNREAD, {"conversation": rows[0][1]})):
        return None  # the user has written after all, and a turn is about to take note of it
    record = handoffs.record_of(rows[0])
    running_ms, due_ms = timers.due(record, rules).get(kind, (0, 0))
    if running_ms == since_ms and due_ms > now_ms:  # the config has given more time meanwhile
        arm(cursor, record, rules)
        return None
    if not cursor.execute(handoffs.TIMER_ACTED, key) or running_ms != since_ms:
        return None
    found = records.conversation_of(cursor.fetch(records.CONVERSATION_BY_ID, {"id": record.conversation})[0])
    if kind in timers.PROMISES:
        return _missed(cursor, found, record, kind, now_ms)
    moved = handoffs.move(cursor, record, _WHAT[kind], now_ms, _TIMER, by=record.state.operator)
    arm(cursor, moved, rules)
    return _told(cursor, found, record, moved, kind, rules, now_ms, is_deduped, asks_within_s)


def _missed(cursor: Cursor, found: Conversation, record: Record, kind: str, now_ms: int) -> Acted:
    """A promise was not kept: recorded once, and the conversation comes before others."""
    handoffs.keep(cursor, replace(record, priority=min(record.priority + 1, 2)), now_ms)
    handoffs.log(cursor, record, now_ms, _TIMER, f"missed {kind}")
    return Acted(found, missed=kind)


def _told(
    cursor: Cursor,
    found: Conversation,
    before: Record,
    moved: Record,
    kind: str,
    rules: Rules,
    now_ms: int,
    is_deduped: bool,
    asks_within_s: float | None,
) -> Acted:
    """What the user is told of it."""
    acted, words = Acted(found), words_in(moved.language)
    text, buttons = _words(cursor, moved, kind, words, now_ms)
    if text:
        id_ = MessageId(ids.derived_id("timer", before.id, kind, str(now_ms)))
        acted.messages.append(say(cursor, found, text, id_, now_ms, is_deduped=is_deduped, buttons=buttons))
    if kind == timers.USER:
        _close(cursor, found, moved, rules, now_ms, asks_within_s)
        acted.ended = found.case
    return acted


def _words(cursor: Cursor, moved: Record, kind: str, words: Words, now_ms: int) -> tuple[str, tuple[Button, ...]]:
    match kind:
        case timers.QUEUE:
            return words.timed_out, ()
        case timers.OPENING:
            return announced(cursor, moved, words, now_ms), (cancel_button(words),)
        case timers.USER:
            return words.closed_silent, ()
    return "", ()


def _close(
    cursor: Cursor, found: Conversation, moved: Record, rules: Rules, now_ms: int, asks_within_s: float | None
) -> None:
    if found.case:
        cursor.execute(_SUMMARY, {"summary": stretch_text(cursor, moved), "case": found.case})
        close_case(cursor, found, now_ms, "resolved", asks_within_s)
    if not rules.wrap_up_ms:
        arm(cursor, handoffs.move(cursor, moved, Happening.DONE, now_ms, _TIMER, by=moved.state.operator), rules)


def rearm(cursor: Cursor, opened: Sequence[str], rules: Rules) -> None:
    """The timers of these handoffs, as far as they are still open, follow from the rules as they are now."""
    for id_ in opened:
        for record in map(handoffs.record_of, cursor.fetch(handoffs.HANDOFF_BY_ID, {"id": id_})):
            if not record.ended_ms:
                arm(cursor, record, rules)


# --- who is asked --------------------------------------------------------------------------------------------------------


def offerable(cursor: Cursor, rules: Rules) -> list[str]:
    """Queued handoffs that somebody can be asked for now, who comes first before others, and no more than there are free places."""
    loads = _loads(cursor)
    people = [_candidate(each, loads, {}, "") for each in operators(cursor) if each.may(Right.REPLY)]
    free = [each for each in people if each.presence is Candidacy.ONLINE and each.load < each.capacity]
    places, found = sum(each.capacity - each.load for each in free), list[str]()
    if not places:
        return []
    for record in map(handoffs.record_of, cursor.fetch(handoffs.QUEUE)):
        if len(found) == places:
            break
        if not record.state.offered_to and _can_be_asked_for(cursor, record, free, rules):
            found.append(record.id)
    return found


def _can_be_asked_for(cursor: Cursor, record: Record, free: list[Candidate], rules: Rules) -> bool:
    way = Way(rules.assignment)
    if choose(way, free, record.team, record.skill) is None:
        return False
    return choose(way, free, record.team, record.skill, exclude=_asked(cursor, record)) is not None


def _asked(cursor: Cursor, record: Record) -> set[str]:
    """Who has been asked since it was put into the queue."""
    values: dict[str, Value] = {"conversation": record.conversation, "handoff": record.id, "since": record.queued_ms}
    return {row[0] for row in cursor.fetch(_ASKED_SINCE, values)}


def _loads(cursor: Cursor) -> dict[str, int]:
    """How many conversations each has, or is offered."""
    loads: dict[str, int] = {row[0]: row[1] for row in cursor.fetch(handoffs.LOADS)}
    for each in map(handoffs.record_of, cursor.fetch(handoffs.QUEUE)):
        if each.state.offered_to:
            loads[each.state.offered_to] = loads.get(each.state.offered_to, 0) + 1
    return loads


def assign(cursor: Cursor, handoff: str, rules: Rules, now_ms: int) -> str:
    """Offers a queued handoff to whoever should have it. Returns the conversation, or "" where nobody can be asked now."""
    rows = cursor.fetch(handoffs.HANDOFF_BY_ID, {"id": handoff})
    record = handoffs.record_of(rows[0]) if rows else None
    if record is None or record.state.stage is not Stage.QUEUED:
        return ""
    chosen = choose(
        Way(rules.assignment),
        candidates(cursor, record),
        record.team,
        record.skill,
        record.language,
        rules.is_previous_first,
        _asked(cursor, record),
    )
    if chosen is None:
        return ""
    moved = handoffs.move(cursor, record, Happening.OFFER, now_ms, _TIMER, to=chosen.id, detail=chosen.id)
    arm(cursor, moved, rules)
    return record.conversation


def candidates(cursor: Cursor, record: Record) -> list[Candidate]:
    loads = _loads(cursor)
    last: dict[str, int] = {}
    for offered, operator, at_ms in cursor.fetch(_LAST_OFFERED):
        for who in {offered, operator} - {""}:
            last[who] = max(last.get(who, 0), at_ms)
    previous = cursor.fetch(handoffs.PREVIOUS_OPERATOR, {"conversation": record.conversation})
    before = previous[0][0] if previous else ""
    return [_candidate(each, loads, last, before) for each in operators(cursor) if each.may(Right.REPLY)]


def _candidate(each: Operator, loads: dict[str, int], last: dict[str, int], before: str) -> Candidate:
    return Candidate(
        each.id,
        each.capacity,
        loads.get(each.id, 0),
        Candidacy(each.presence.value),
        frozenset(each.teams),
        frozenset(each.skills),
        frozenset(each.languages),
        last.get(each.id, 0),
        each.id == before,
        each.seen_ms,
    )
