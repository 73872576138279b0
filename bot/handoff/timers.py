"""What is due of a handoff, and when. Pure: it follows from the row and the rules alone, so that it can be worked out again at any time."""

from typing import Final

from bot.handoff.hours import add, next_opening
from bot.handoff.machine import AWAITING, HELD, Stage
from bot.handoff.rules import Rules
from bot.store.handoffs import Record

OFFER: Final = "offer"
FIRST_REPLY: Final = "first reply"
NEXT_REPLY: Final = "next reply"
RESOLVE: Final = "resolve"
OPERATOR: Final = "operator"
QUEUE: Final = "queue"
USER: Final = "user"
SNOOZE: Final = "snooze"
OPENING: Final = "opening"
WRAP_UP: Final = "wrap-up"

PROMISES: Final = frozenset({FIRST_REPLY, NEXT_REPLY, RESOLVE})  # which are missed, and change nothing else
ONCE: Final = frozenset({FIRST_REPLY, RESOLVE})  # of a handoff; each message of the user asks for a next reply
KINDS: Final = (OFFER, FIRST_REPLY, NEXT_REPLY, RESOLVE, OPERATOR, QUEUE, USER, SNOOZE, OPENING, WRAP_UP)

Due = dict[str, tuple[int, int]]  # kind -> since when it runs, when it is due


def due(record: Record, rules: Rules) -> Due:
    """Every timer that runs now."""
    found: Due = {}
    if record.state.stage in AWAITING:
        _awaiting(record, rules, found)
    elif record.state.stage in HELD:
        _held(record, rules, found)
    elif record.state.stage is Stage.WRAP_UP:
        _plain(found, WRAP_UP, record.spoke_ms, rules.wrap_up_ms)
    elif record.state.stage is Stage.OFF_HOURS:
        opening = next_opening(rules.hours, record.asked_ms)
        if opening is not None:
            found[OPENING] = (record.asked_ms, opening)
    return found


def _awaiting(record: Record, rules: Rules, found: Due) -> None:
    since = record.queued_ms or record.asked_ms
    _business(found, QUEUE, since, rules.queue_timeout_ms, rules)
    _promises(record, rules, found)
    if record.state.stage is Stage.OFFERED:
        _plain(found, OFFER, record.offered_ms, rules.offer_ms)


def _held(record: Record, rules: Rules, found: Due) -> None:
    _promises(record, rules, found)
    match record.state.stage:
        case Stage.SNOOZED:
            found[SNOOZE] = (record.spoke_ms, record.state.until_ms)
        case Stage.WAITING:
            _plain(found, USER, record.spoke_ms, rules.user_silent_ms)
        case _:
            since = max(record.heard_ms or record.spoke_ms, record.spoke_ms)
            _business(found, OPERATOR, since, rules.operator_silent_ms, rules)


def _promises(record: Record, rules: Rules, found: Due) -> None:
    since = record.asked_ms  # and not when it was last put into the queue, which would excuse every delay
    if not record.replied_ms:
        _business(found, FIRST_REPLY, since, rules.first_reply_ms, rules)
    elif record.heard_ms:
        _business(found, NEXT_REPLY, record.heard_ms, rules.next_reply_ms, rules)
    if record.state.stage not in (Stage.WAITING, Stage.SNOOZED):
        _business(found, RESOLVE, since + record.paused_ms, rules.resolve_ms, rules)


def _plain(found: Due, kind: str, since_ms: int, after_ms: int) -> None:
    if after_ms:
        found[kind] = (since_ms, since_ms + after_ms)


def _business(found: Due, kind: str, since_ms: int, after_ms: int, rules: Rules) -> None:
    at = add(rules.hours, since_ms, after_ms) if after_ms else None
    if at is not None:
        found[kind] = (since_ms, at)
