"""How a turn ends: everything that the unit of work which ends it has to know, that unit, and the one for a turn that failed.

Promise: the rows that were read are marked handled, as they were read, together with the reply, its outbox rows, the trace and what it cost;
or nothing is.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot import ids
from bot.agent.loop import WISH_NOTED, Answer
from bot.agent.router import Attempt
from bot.conversations import Conflict
from bot.handoff.brief import brief_of
from bot.handoff.hearing import heard
from bot.handoff.requests import Ask, Begun, begin, wished_again
from bot.handoff.rules import UNSTAFFED, Rules
from bot.model import AGENT_OWNER, CaseId, Conversation, Message, MessageId, Seq, TurnId, Visibility, changeable, value
from bot.ports import Cursor, Value
from bot.store import actions, answers, records
from bot.store.handoffs import Record
from bot.store.records import Inbound
from bot.store.steps import add_spend, attempt_json, end_steps, record_attempts

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
NOT_MADE = "Something went wrong on our side before it was made. Nothing was done."
_WISHES = frozenset({"wish", "handed over"})
_PLAIN = frozenset({"answered", "tools"})


@changeable
class Ending:
    """Everything that the unit of work which ends a turn has to know."""

    turn: TurnId
    conversation: Conversation
    case: str
    first: Seq
    first_id: MessageId
    last: Seq
    count: int
    changed: int  # the sum of the rows' changed_ms, which grows with every change
    reply: Message | None
    parts: tuple[str | None, ...]
    outcome: str
    wants_person: bool
    started_ms: int
    now_ms: int
    trace: str
    attempts: Sequence[Attempt] = ()  # model calls whose cost is not on record yet
    has_steps: bool = False
    has_actions: bool = False  # the agent can act
    told: Sequence[str] = ()  # actions of which it has told what became of them
    is_agents: bool = False  # the reply is what came of the agent's run
    is_card: bool = False  # ... and asks a person to agree to an action
    held: str = ""  # why an answer was held back, and a person is to look
    sources: Sequence[answers.Source] = ()  # what the reply rests on
    ask: Ask | None = None  # a person is to be asked for
    is_wish: bool = False  # ... which is all that there is to say: no other reply goes out with it
    hears: Sequence[Inbound] | None = None  # read while a person is awaited or has the conversation, or with a contact
    rules: Rules = UNSTAFFED
    is_deduped: bool = False  # on a channel that asks for what it does not have, and where no draft has a row


@changeable
class Ended:
    """What it did. `reply`: what the user reads of the turn's own; `said`: what the house says besides; `is_late`: the reply has become a
    note, since a person had taken over; `begun`: the handoff that began."""

    conversation: Conversation
    reply: Message | None
    said: Sequence[Message] = ()
    is_late: bool = False
    begun: Record | None = None


def outcome_of(answer: Answer) -> str:
    if answer.stopped:
        return "stopped"
    if answer.is_last_resort:
        return "quoted"
    return "answered" if answer.is_answered else "unanswered"


def sources(reply: Message | None, answer: Answer | None) -> Sequence[answers.Source]:
    """The passages that a reply rests on. One that answers nothing rests on none."""
    if reply is None or answer is None or not answer.is_answered or answer.is_card:
        return ()
    return answers.sources_of(reply.citations, answer.found)


def reply_id(first: MessageId) -> MessageId:
    """A rerun of the turn derives the same id, so that its draft and its answer replace those of the run before."""
    return MessageId(ids.derived_id("reply", first))


def trace(
    read: Sequence[Inbound], reply: Message | None, answer: Answer | None, attempts: Sequence[Attempt] = ()
) -> str:
    """What is kept of the turn, by reference to messages."""
    kept: dict[str, Any] = {"messages": [inbound.message.id for inbound in read]}
    if reply is not None:
        kept["reply"] = reply.id
    if answer is not None:
        kept["model"] = answer.model
        kept["steps"] = answer.steps
        kept["calls"] = answer.calls
        if answer.stopped:
            kept["stopped"] = answer.stopped
        if answer.held:
            kept["held"] = [{"why": each.why, "what": each.what} for each in answer.held]
        if answer.recalled.text:
            kept["recalled"] = {"facts": answer.recalled.facts, "episodes": answer.recalled.episodes}
        kept["first_token_ms"] = None if answer.first_token_s is None else round(answer.first_token_s * 1000, 2)
        kept["passages"] = _passages(answer) if answer.found else []
        if answer.whole is not None:
            whole = answer.whole
            kept["whole"] = {"passages": len(whole.found), "chars": len(whole.text), "tokens": whole.tokens}
        if answer.reranked:
            kept["reranked"] = answer.reranked
    if any(each.is_call or each.outcome not in _PLAIN for each in attempts):  # the offline answerer's own stand above
        kept["attempts"] = [attempt_json(each) for each in attempts]
    return _encode(kept)


def _passages(answer: Answer) -> list[dict[str, Any]]:
    """What was found; of a whole base, what was cited."""
    cited = None if answer.whole is None else {each.number for each in answer.citations}
    return [
        {
            "number": number,
            "id": one.passage.id,
            "title": one.passage.title,
            "score": round(one.score, 4),
            "coverage": round(one.coverage, 3),
        }
        for number, one in enumerate(answer.found, 1)
        if cited is None or number in cited
    ]


# --- units of work ---------------------------------------------------------------------------------------------------


def finish(cursor: Cursor, ending: Ending) -> Ended:
    """Marks handled exactly what was read, as it was read, and appends the reply; one that comes after a person took over becomes a
    note."""
    values: dict[str, Value] = {"now": ending.now_ms, "turn": ending.turn}
    if ending.count == 1:
        is_as_read = (
            cursor.execute(records.HANDLE_ONE, {**values, "id": ending.first_id, "changed": ending.changed}) == 1
        )
    else:
        place: dict[str, Value] = {"conversation": ending.conversation.id, "first": ending.first, "last": ending.last}
        rows = cursor.fetch(records.HANDLE, {**values, **place})
        is_as_read = (len(rows), sum(row[0] for row in rows)) == (ending.count, ending.changed)
    if not is_as_read:
        raise Conflict("other rows are unhandled than the turn read, or they have changed")
    if ending.attempts:
        record_attempts(cursor, ending.conversation.identity, ending.attempts, ending.turn, ending.now_ms)
    return append_reply(cursor, ending)


def append_reply(cursor: Cursor, ending: Ending) -> Ended:
    conversation = ending.conversation
    if ending.has_steps:
        end_steps(cursor, reply_id(ending.first_id), ending.turn, conversation.id, ending.now_ms)
    if ending.held:
        actions.queue(cursor, "held", ending.turn, conversation.id, ending.held, ending.now_ms)
    owner, version, before = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation.id})[0]
    is_owned = (owner, version) == (conversation.owner, conversation.version)
    wish = _begin(cursor, ending) if is_owned and ending.is_wish else None
    if ending.has_actions:
        is_heard = is_owned and ending.is_agents and wish is None
        end = actions.TurnEnd(
            reply=reply_id(ending.first_id),
            conversation=conversation.id,
            told=ending.told,
            is_heard=is_heard,
            is_asking=is_heard and ending.is_card,
            is_agents=owner == AGENT_OWNER,
        )
        actions.end_turn(cursor, end, ending.now_ms)
    if wish is None and ending.rules.is_staffed:
        _say_again(cursor, ending)
    last_seq = before if wish is None else before + 1  # the announcement
    reply = _add_reply(cursor, ending, last_seq, is_public=is_owned and wish is None, is_wish=wish is not None)
    is_public = reply is not None and reply.visibility is Visibility.PUBLIC
    if not ending.is_deduped and not is_public:
        cursor.execute(records.WITHDRAW_DRAFT, {"message": reply_id(ending.first_id), "now": ending.now_ms})
    begun = wish or (_begin(cursor, ending) if is_owned and not ending.is_wish else None)
    said = [begun.announcement] if begun is not None and begun.announcement is not None else []
    if ending.hears is not None and (is_owned or not ending.is_agents):
        said += _hear(cursor, ending, ending.hears, is_owned=is_owned)
    if ending.wants_person:
        cursor.execute(records.WANT_PERSON, {"id": conversation.id})
        cursor.execute(records.CASE_WANTS_PERSON, {"id": ending.case, "now": ending.now_ms})
    add_turn(cursor, ending)
    last = max((before, *(each.seq for each in (reply, *said) if each is not None)))
    return Ended(
        conversation.advanced(Seq(last)),
        reply if is_public else None,
        said,
        is_late=ending.reply is not None and not is_owned,
        begun=begun.record if begun is not None else None,
    )


def _begin(cursor: Cursor, ending: Ending) -> Begun | None:
    """A person is asked for, if that is what came of the turn."""
    ask, found = ending.ask, ending.conversation
    if ask is None:
        return None
    ask = replace(ask, brief=brief_of(cursor, found.id, ending.case, ask.reason))
    of_case = replace(found, case=CaseId(ending.case))
    return begin(cursor, of_case, ask, ending.rules, ending.now_ms, ending.first_id, is_deduped=ending.is_deduped)


def _say_again(cursor: Cursor, ending: Ending) -> None:
    """Where there are people, nobody is told that there are none, though nothing new has begun."""
    given = ending.reply
    if given is not None and WISH_NOTED in given.text:
        told = wished_again(cursor, ending.conversation, ending.rules, ending.now_ms)
        ending.reply = replace(given, text=given.text.replace(WISH_NOTED, told))
        ending.parts = (None,) if ending.parts else ()


def _add_reply(cursor: Cursor, ending: Ending, last_seq: int, *, is_public: bool, is_wish: bool) -> Message | None:
    """The turn's reply, or the note that has become of it. What only passes on a wish says nothing beside the announcement."""
    given, conversation = ending.reply, ending.conversation
    if given is None or (is_wish and ending.outcome in _WISHES):
        return None
    if not is_public:
        given = replace(given, id=MessageId(ids.derived_id("late", given.id, ending.turn)), buttons=())
    reply = given.placed(Seq(last_seq + 1), Visibility.PUBLIC if is_public else Visibility.NOTE)
    records.add_message(cursor, reply, conversation.id, ending.turn)
    if is_public:
        records.add_outbox(cursor, reply, conversation.id, conversation.address.channel, ending.parts)
        answers.keep(cursor, reply.id, conversation.id, ending.sources, ending.now_ms)
    return reply


def _hear(cursor: Cursor, ending: Ending, read: Sequence[Inbound], *, is_owned: bool) -> list[Message]:
    """Raises Conflict where the owner has changed: whoever has the conversation now has to look at what was written."""
    if not is_owned:
        raise Conflict("the conversation has changed hands since the turn read it")
    found = replace(ending.conversation, case=CaseId(ending.case))
    told = heard(cursor, found, read, ending.rules, ending.now_ms, is_deduped=ending.is_deduped)
    return [told] if told is not None else []


@value
class Owed:
    """What a turn has cost that was not committed, as far as anybody knows."""

    turn: TurnId
    payer: str
    attempts: Sequence[Attempt]


def pay(cursor: Cursor, owed: Sequence[Owed]) -> None:
    """A turn that was committed all the same has paid already."""
    for each in owed:
        if not cursor.fetch(records.HAS_TURN, {"id": each.turn}):
            add_spend(cursor, each.payer, each.attempts)


def add_turn(cursor: Cursor, ending: Ending) -> None:
    cursor.execute(
        records.ADD_TURN,
        {
            "id": ending.turn,
            "conversation": ending.conversation.id,
            "case": ending.case,
            "agent": ending.conversation.agent,
            "outcome": ending.outcome,
            "started": ending.started_ms,
            "ended": ending.now_ms,
            "trace": ending.trace,
        },
    )


def mark_alone(cursor: Cursor, conversation: str, now_ms: int) -> None:
    cursor.execute(records.MARK_ALONE, {"conversation": conversation, "now": now_ms})


def fail(cursor: Cursor, ending: Ending, reason: str, tries: int) -> Ended | None:
    """Counts a failure of the rows read. None: they will be tried again. After `tries` they are a dead letter, and the user is told."""
    rows: dict[str, Value] = {"conversation": ending.conversation.id, "first": ending.first, "last": ending.last}
    cursor.execute(records.COUNT_FAILURE, {**rows, "error": reason})
    if ending.attempts:
        record_attempts(cursor, ending.conversation.identity, ending.attempts, ending.turn, ending.now_ms)
    dead = cursor.execute(records.GIVE_UP, {**rows, "now": ending.now_ms, "turn": ending.turn, "tries": tries})
    if not dead:
        return None
    if ending.has_actions:
        voided: dict[str, Value] = {"conversation": ending.conversation.id, "result": NOT_MADE, "now": ending.now_ms}
        cursor.execute(actions.VOID_APPROVED, voided)
    records.add_incident(
        cursor,
        ending.turn,
        "dead letter",
        ending.conversation.id,
        f"{dead} message(s) failed {tries} times; the last time with {reason}. See: frontdesk trace {ending.turn}",
        ending.now_ms,
        ending.conversation.id,
    )
    return append_reply(cursor, ending)
