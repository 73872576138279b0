"""What an operator's command changes: one unit of work each, in which the operator's rights are looked up, the machine is asked, and everything
is written: the owner, the message with its outbox rows, the log, the timers.

Promise: the unit is done whole or not at all, and the same key does nothing the second time.
"""

import json
from collections.abc import Callable
from dataclasses import field, replace
from typing import Final

from bot import ids
from bot.accepting import close_case
from bot.delivery import heard_s
from bot.errors import Refused
from bot.handoff.blocks import add_block, stretch_text
from bot.handoff.commands import PRIORITIES, Command, Kind
from bot.handoff.machine import HELD, Happening, Stage
from bot.handoff.names import shown
from bot.handoff.requests import Ask, Origin, arm, opened, say
from bot.handoff.rules import Rules
from bot.handoff.triggers import wants_person
from bot.handoff.watching import name_in_note, unwatch, watch
from bot.handoff.words import words_in
from bot.model import (
    Attachment,
    Author,
    CaseId,
    Conversation,
    ConversationId,
    Message,
    MessageId,
    Seq,
    Visibility,
    changeable,
    value,
)
from bot.operators.operator import Operator, Presence
from bot.operators.roles import Right, denied
from bot.ports import Cursor, Value
from bot.store import audit, handoffs, records
from bot.store.handoffs import Record
from bot.store.operators import operator_by_id, operators

RIGHTS: Final[dict[Kind, Right]] = {
    Kind.NOTE: Right.NOTE,
    Kind.TAG: Right.NOTE,
    Kind.UNTAG: Right.NOTE,
    Kind.WATCH: Right.SEE,
    Kind.UNWATCH: Right.SEE,
    Kind.PEEK: Right.SEE,
    Kind.HELP: Right.SEE,
    Kind.SUMMARISE: Right.SEE,
    Kind.REPLY: Right.REPLY,
    Kind.CANNED: Right.REPLY,
    Kind.TEMPLATE: Right.REPLY,
    Kind.WHISPER: Right.REPLY,
    Kind.SUGGEST: Right.REPLY,
    Kind.TRANSFER: Right.TRANSFER,
    Kind.BLOCK: Right.BLOCK,
    Kind.UNBLOCK: Right.BLOCK,
    Kind.APPROVE: Right.DECIDE_CONSENT,
    Kind.REFUSE: Right.DECIDE_CONSENT,
    Kind.HAPPENED: Right.DECIDE_UNKNOWN,
    Kind.DID_NOT: Right.DECIDE_UNKNOWN,
    Kind.MINE: Right.DECIDE_UNKNOWN,
}
RETURNED: Final = "returned"  # the kind of the row that wakes the agent after a return
GO_ON: Final = "[The conversation is yours again. Do now what your colleague asks of you.]"
_UNANSWERED = """
    SELECT text, identity_id FROM messages m
    WHERE conversation_id = :conversation AND case_id = :case AND author = 'user' AND visibility = 'public' AND is_deleted = 0 AND text <> ''
      AND kind = 'message' AND (handled_ms IS NOT NULL OR dead_ms IS NOT NULL) AND seq > coalesce((
        SELECT max(seq) FROM messages WHERE conversation_id = :conversation AND visibility = 'public' AND author IN ('agent', 'operator')), 0)
    ORDER BY seq"""
_REOPEN = """
    UPDATE cases SET ended_ms = NULL, outcome = '' WHERE id = :case AND conversation_id = :conversation"""
_LATEST_CASE = """
    SELECT id FROM cases WHERE conversation_id = :conversation ORDER BY opened_ms DESC, first_seq DESC LIMIT 1"""
_ENDED = "SELECT 1 FROM cases WHERE id = :case AND ended_ms IS NOT NULL"
_OF_ANY_CASE: Final = frozenset({Kind.NOTE, Kind.DONE, Kind.BLOCK, Kind.UNBLOCK, Kind.WATCH, Kind.UNWATCH})
_SUMMARY = "UPDATE cases SET summary = :summary WHERE id = :case"
_BLOCKED = "UPDATE conversations SET is_blocked = :blocked WHERE id = :conversation"
_TAG = "INSERT INTO tags (case_id, tag) VALUES (:case, :tag) ON CONFLICT (case_id, tag) DO NOTHING"
_UNTAG = "DELETE FROM tags WHERE case_id = :case AND tag = :tag"
_SUGGESTED = "SELECT text FROM suggestions WHERE id = :id AND conversation_id = :conversation AND outcome = ''"
_SUGGESTION_ENDED = "UPDATE suggestions SET outcome = :outcome, sent = :sent, ended_ms = :now WHERE id = :id"


@value
class Order:
    """One command, with all that its unit of work must not look up elsewhere. `parts`: how the channel splits what is written; empty where
    the receiver dedupes. `asks_within_s`: see `bot.accepting.close_case`."""

    key: str
    operator: str
    conversation: ConversationId
    command: Command
    now_ms: int
    attachments: tuple[Attachment, ...] = ()
    parts: tuple[str | None, ...] = ()
    is_deduped: bool = False
    window_s: float = 0.0
    asks_within_s: float | None = None
    until_ms: int = 0
    suggestion: str = ""
    via: str = ""
    account: str = ""  # the local account, where it came from the command line
    case: str = ""  # the case in whose thread it was written


@changeable
class Done:
    """What came of it. `messages` are public and to be handed over; `ended`: the case that has ended; `is_again`: it had been done before."""

    text: str = ""
    warning: str = ""
    message: str = ""
    messages: list[Message] = field(default_factory=list)
    ended: str = ""
    wakes_agent: bool = False
    is_again: bool = False


class _Work:
    """One command being carried out."""

    def __init__(self, cursor: Cursor, order: Order, rules: Rules, operator: Operator, found: Conversation) -> None:
        self.cursor = cursor
        self.order = order
        self.rules = rules
        self.operator = operator
        self.conversation = found
        self.record = handoffs.open_of(cursor, found.id)
        self.done = Done()

    # --- pieces ----------------------------------------------------------------------------------------------------

    def move(self, what: Happening, *, by: str = "", to: str = "", until_ms: int = 0, detail: str = "") -> Record:
        self.record = handoffs.move(
            self.cursor, self.opened(), what, self.order.now_ms, self.operator.id, by=by, to=to, until_ms=until_ms, detail=detail
        )  # fmt: skip
        arm(self.cursor, self.record, self.rules)
        return self.record

    def opened(self) -> Record:
        """The open handoff. Raises Refused where there is none."""
        if self.record is None:
            raise Refused("not_now", "Nobody has been asked for here. !take makes the conversation yours.")
        return self.record

    def own(self) -> Record:
        """The conversation is this operator's from now on, unless it is somebody else's. Raises Refused("taken")."""
        if self.record is not None and self.record.state.stage is Stage.WRAP_UP:
            if not self.conversation.case:
                raise Refused("not_now", "This case is closed. !reopen takes it up again.")
            self.record = None  # the user has begun a new case since; beginning anew ends the other's wrap-up
        if self.record is None and not self.conversation.case:
            raise Refused("not_now", "This case has ended. !reopen takes it up again.")
        if self.record is None:
            ask = Ask(Origin.OPERATOR, f"{self.operator.name} stepped in")
            self.record = opened(self.cursor, self.conversation, ask, self.order.now_ms, self.order.key)
        record = self.held()
        if record.state.stage not in HELD:
            record = self.move(Happening.CLAIM, by=self.operator.id)
        return record

    def held(self) -> Record:
        """The handoff that this operator has, or that nobody has, for its operator may not reply any more. Raises Refused."""
        record = self.opened()
        if record.state.stage not in HELD or record.state.operator == self.operator.id:
            return record
        holder = operator_by_id(self.cursor, record.state.operator)
        if holder is not None and holder.may(Right.REPLY):
            raise Refused("taken", f"{shown(holder.name)} has this conversation.")
        return self.move(Happening.RELEASE, by=record.state.operator)

    def write(self, text: str, visibility: Visibility) -> Message:
        order = self.order
        last_seq = self.cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": order.conversation})[0][2]
        message = Message(
            MessageId(ids.derived_id("operator", order.conversation, order.key)),
            Seq(last_seq + 1),
            Author.OPERATOR,
            text,
            order.now_ms,
            visibility,
            shown(self.operator.name),
            self.conversation.case,
            order.attachments,
        )
        records.add_message(self.cursor, message, order.conversation, "", self.operator.id, order.via)
        self.done.message = message.id
        return message

    def tell(self, text: str, kind: str) -> None:
        """A line of the house to the user."""
        id_ = MessageId(ids.derived_id(kind, self.order.conversation, self.order.key))
        order = self.order
        message = say(self.cursor, self.conversation, text, id_, order.now_ms, is_deduped=order.is_deduped)
        self.done.messages.append(message)

    def log(self, what: str, detail: str = "") -> None:
        """A line between the messages, whether or not a handoff is open."""
        record = self.record or handoffs.latest_of(self.cursor, self.conversation.id)
        if record is not None:
            handoffs.log(self.cursor, record, self.order.now_ms, self.operator.id, what, detail)


def carry_out(cursor: Cursor, order: Order, rules: Rules) -> Done:
    """Raises Refused; then nothing has changed."""
    before = cursor.fetch(handoffs.DONE, {"key": order.key})
    if before:
        return Done(**json.loads(before[0][0]), is_again=True)
    operator = allowed(cursor, order.operator, order.command.kind)
    rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": order.conversation})
    found = records.conversation_of(rows[0]) if rows else None
    if found is None or found.kind:
        raise Refused("no_conversation", "There is no such conversation (any more).")
    work = _Work(cursor, order, rules, operator, found)
    _check_case(work)
    _ORDERS[order.command.kind](work)
    done = work.done
    told = {"text": done.text, "warning": done.warning, "message": done.message}
    cursor.execute(handoffs.ADD_DONE, {"key": order.key, "told": json.dumps(told), "now": order.now_ms})
    detail = order.command.kind.value + (f" from {order.account}" if order.account else "")
    audit.append(cursor, operator.id, f"handoff {order.command.kind}", order.conversation, order.now_ms, detail)
    return done


def _check_case(work: _Work) -> None:
    """Raises Refused where it was written in the thread of a case that is over, and would act upon a newer one."""
    case, newer = work.order.case, work.conversation.case
    is_of_old = bool(case) and bool(newer) and case != newer and bool(work.cursor.fetch(_ENDED, {"case": case}))
    if is_of_old and work.order.command.kind not in _OF_ANY_CASE:
        raise Refused("not_now", "This case has ended, and the user has begun a newer one: please write in its thread.")


def allowed(cursor: Cursor, operator: str, kind: Kind) -> Operator:
    """Denied by default. Raises Refused("not_allowed")."""
    found = operator_by_id(cursor, operator)
    right = RIGHTS.get(kind, Right.TAKE)
    if found is None or not found.may(right):
        raise denied(right)
    return found


# --- one command each ------------------------------------------------------------------------------------------------


def _take(work: _Work) -> None:
    work.own()
    work.done.text = "The conversation is yours."


def _reply(work: _Work) -> None:
    text, order = work.order.command.text, work.order
    if work.conversation.is_stopped:
        raise Refused("stopped", "This person gets no messages: they have asked for that, or are blocked.")
    if not text and not order.attachments:
        raise Refused("incomplete", "There is nothing to send: write !reply and your text, or attach a file.")
    work.own()
    work.move(Happening.REPLY, by=work.operator.id)
    message = work.write(text, Visibility.PUBLIC)
    if order.parts:
        records.add_outbox(work.cursor, message, work.conversation.id, work.conversation.address.channel, order.parts)
    work.done.messages.append(message)
    work.done.text = "Sent."
    if order.window_s and heard_s(work.cursor, work.conversation.id, order.now_ms) > order.window_s:
        hours = order.window_s / 3600
        work.done.warning = (
            f"The person has not written for {hours:g} hours, so free text cannot be sent: the message waits until they write again; "
            "where a template is set up, it tells them that a message waits."
        )
    if order.suggestion:
        _settle_suggestion(work, text)


def _template(work: _Work) -> None:
    order = work.order
    if not order.window_s or heard_s(work.cursor, work.conversation.id, order.now_ms) <= order.window_s:
        raise Refused("not_now", "The person can be written to as usual: !reply.")
    if not order.command.text:
        raise Refused("incomplete", "Please write what is to follow the template: !template text")
    _reply(work)


def _settle_suggestion(work: _Work, sent: str) -> None:
    named: dict[str, Value] = {"id": work.order.suggestion, "conversation": work.conversation.id}
    rows = work.cursor.fetch(_SUGGESTED, named)
    if rows:
        outcome = "accepted" if rows[0][0].strip() == sent.strip() else "edited"
        ended: dict[str, Value] = {"id": work.order.suggestion, "outcome": outcome, "sent": sent}
        work.cursor.execute(_SUGGESTION_ENDED, {**ended, "now": work.order.now_ms})


def _note(work: _Work) -> None:
    text, found = work.order.command.text, work.conversation
    note = work.write(text, Visibility.NOTE)
    case = work.order.case or found.case
    called = name_in_note(work.cursor, text, work.operator, found.id, case, note.id, work.order.now_ms)
    told = {0: "", 1: " One colleague is told."}.get(called, f" {called} colleagues are told.")
    work.done.text = f"Noted, for operators only.{told}"


def _whisper(work: _Work) -> None:
    text = work.order.command.text
    if not work.conversation.case:
        raise Refused("not_now", "No case is open here, so there is no agent at work that could read it.")
    message = work.write(f"To the agent: {text}", Visibility.NOTE)
    instruction = f"[{shown(work.operator.name)} of our team asks you, and the user does not read it: {text}]"
    add_block(work.cursor, work.conversation, message.id, message.seq, message.seq, instruction, work.order.now_ms)
    work.done.text = "The agent reads it from its next step on."


def _release(work: _Work) -> None:
    work.move(Happening.RELEASE, by=work.operator.id)
    work.done.text = "It is back in the queue."


def _decline(work: _Work) -> None:
    work.move(Happening.DECLINE, by=work.operator.id)
    work.done.text = "Declined."


def _transfer(work: _Work) -> None:
    wanted = work.order.command.text.strip().lstrip("@")
    record = work.held()
    if record.state.stage is Stage.WRAP_UP:
        raise Refused("not_now", "This case is closed. !reopen takes it up again.")
    people = operators(work.cursor)
    colleague = next((each for each in people if each.name == wanted.lower() or shown(each.name) == wanted), None)
    if colleague is not None:
        _transfer_to(work, colleague)
        return
    teams = {team.lower(): team for each in people for team in each.teams}
    if wanted.lower() not in teams:
        raise Refused("no_operator", f"There is neither an operator nor a team {wanted!r}.")
    team = teams[wanted.lower()]
    work.record = replace(record, team=team)
    handoffs.keep(work.cursor, work.record, work.order.now_ms)
    if record.state.stage in HELD:
        work.move(Happening.RELEASE, by=work.operator.id, detail=team)
    work.done.text = f"It waits for the team {team} now."


def _transfer_to(work: _Work, colleague: Operator) -> None:
    if colleague.id == work.operator.id or not colleague.may(Right.REPLY):
        raise Refused("not_now", f"{shown(colleague.name)} cannot take it.")
    work.move(Happening.HAND_ON, by=work.operator.id, to=colleague.id, detail=colleague.id)
    work.done.text = f"Offered to {shown(colleague.name)}."
    if colleague.presence is not Presence.ONLINE:
        then = f"In {work.rules.offer_ms // 1000} seconds it goes back to the queue." if work.rules.offer_ms else ""
        work.done.warning = f"{shown(colleague.name)} is not online. {then or 'It waits until somebody takes it.'}"


def _snooze(work: _Work) -> None:
    work.own()
    work.move(Happening.SNOOZE, by=work.operator.id, until_ms=work.order.until_ms)
    work.done.text = "Put off; it comes back then, or when the user writes."


def _wake(work: _Work) -> None:
    work.held()
    work.move(Happening.WAKE)
    work.done.text = "It is active again."


def _priority(work: _Work) -> None:
    wanted = work.order.command.text.strip().lower()
    if wanted not in PRIORITIES:
        raise Refused("incomplete", f"A priority is one of: {', '.join(PRIORITIES)}.")
    work.record = replace(work.opened(), priority=PRIORITIES[wanted])
    handoffs.keep(work.cursor, work.record, work.order.now_ms)
    work.log("priority", wanted)
    work.done.text = f"The priority is {wanted} now."


def _tag(work: _Work) -> None:
    tag, is_added = work.order.command.text.strip().lower()[:64], work.order.command.kind is Kind.TAG
    case = work.conversation.case or (work.record.case if work.record else "")
    if not case:
        raise Refused("not_now", "No case is open here.")
    work.cursor.execute(_TAG if is_added else _UNTAG, {"case": case, "tag": tag})
    work.log("tagged" if is_added else "untagged", tag)
    work.done.text = f"{'Tagged' if is_added else 'No longer tagged'} {tag}."


def _return(work: _Work) -> None:
    work.held()
    instruction, now = work.order.command.text, work.order.now_ms
    record = work.move(Happening.RETURN, by=work.operator.id, detail="with an instruction" if instruction else "")
    close_stretch(work.cursor, work.conversation, record, shown(work.operator.name), instruction, now)
    work.tell(words_in(record.language).returned, "returned")
    work.done.wakes_agent = wake_agent(work.cursor, work.conversation, instruction, work.order.key, now)
    work.done.text = "The agent has it again."


def _resolve(work: _Work) -> None:
    record = work.record
    if record is None:
        raise Refused("not_now", "Nobody has been asked for here. !take makes the conversation yours.")
    work.held()
    record = work.move(Happening.RESOLVE, by=work.operator.id)
    work.tell(words_in(record.language).closed.format(name=shown(work.operator.name)), "closed")
    end_case(work.cursor, work.conversation, record, work.order.command.text, work.order)
    work.done.ended = work.conversation.case
    if not work.rules.wrap_up_ms:
        work.move(Happening.DONE, by=record.state.operator)
    work.done.text = "Resolved. The next message begins a new case."


def _done(work: _Work) -> None:
    work.move(Happening.DONE, by=work.operator.id)
    work.done.text = "Done."


def _reopen(work: _Work) -> None:
    if work.record is not None and work.record.state.stage is not Stage.WRAP_UP:
        raise Refused("not_now", "This case is open.")
    found = work.cursor.fetch(_LATEST_CASE, {"conversation": work.conversation.id})
    if work.conversation.case or not found:
        raise Refused("not_now", "A newer case is open here. !take makes it yours.")
    case: dict[str, Value] = {"case": found[0][0], "conversation": work.conversation.id}
    work.cursor.execute(_REOPEN, case)
    work.cursor.execute(records.SET_CASE, {"id": work.conversation.id, "case": found[0][0]})
    work.conversation = replace(work.conversation, case=CaseId(found[0][0]))
    if work.record is not None:
        work.move(Happening.DONE, by=work.record.state.operator)
        work.record = None
    work.own()
    work.done.text = "The case is open again, and yours."


def _block(work: _Work) -> None:
    is_blocked = work.order.command.kind is Kind.BLOCK
    work.cursor.execute(_BLOCKED, {"blocked": int(is_blocked), "conversation": work.conversation.id})
    work.log("blocked" if is_blocked else "unblocked", work.order.command.text)
    record = work.record
    if is_blocked and record is not None and record.state.stage is not Stage.WRAP_UP:
        record = work.move(Happening.RESOLVE, by=work.operator.id)
        end_case(work.cursor, work.conversation, record, "blocked", replace(work.order, asks_within_s=None))
        work.move(Happening.DONE, by=record.state.operator)
    work.done.text = "Blocked: neither read nor answered." if is_blocked else "Unblocked."


def _watch(work: _Work) -> None:
    is_watching = work.order.command.kind is Kind.WATCH
    (watch if is_watching else unwatch)(work.cursor, work.conversation.id, work.operator.id)
    work.done.text = "You are told what happens here." if is_watching else "You are no longer told."


_ORDERS: Final[dict[Kind, Callable[[_Work], None]]] = {
    Kind.TAKE: _take,
    Kind.REPLY: _reply,
    Kind.CANNED: _reply,
    Kind.TEMPLATE: _template,
    Kind.NOTE: _note,
    Kind.WHISPER: _whisper,
    Kind.RELEASE: _release,
    Kind.DECLINE: _decline,
    Kind.TRANSFER: _transfer,
    Kind.SNOOZE: _snooze,
    Kind.WAKE: _wake,
    Kind.PRIORITY: _priority,
    Kind.TAG: _tag,
    Kind.UNTAG: _tag,
    Kind.RETURN: _return,
    Kind.RESOLVE: _resolve,
    Kind.DONE: _done,
    Kind.REOPEN: _reopen,
    Kind.BLOCK: _block,
    Kind.UNBLOCK: _block,
    Kind.WATCH: _watch,
    Kind.UNWATCH: _watch,
}


# --- what timers and users end as well ---------------------------------------------------------------------------------


def close_stretch(
    cursor: Cursor, conversation: Conversation, record: Record, name: str, instruction: str, now_ms: int
) -> None:
    """From here on the model reads the stretch of people as one closed block, with what they ask of it."""
    said = stretch_text(cursor, record)
    lines = []
    if said:
        lines.append(
            f"[Here {name} of our team talked to the user. That is over and done with: do not repeat it, and promise nothing in their name. "
            f"What was said:\n{said}]"
        )
    if instruction:
        lines.append(f"[{name} of our team asks you, and the user does not read it: {instruction}]")
    if lines:
        add_block(cursor, conversation, record.id, record.first_seq, record.last_seq, "\n".join(lines), now_ms)


def end_case(cursor: Cursor, conversation: Conversation, record: Record, summary: str, order: Order) -> None:
    """The case ends, which the user may rate; its summary is what the next one starts from."""
    text = summary or stretch_text(cursor, record)
    if conversation.case:
        cursor.execute(_SUMMARY, {"summary": text, "case": conversation.case})
        close_case(cursor, conversation, order.now_ms, "resolved", order.asks_within_s)


def wake_agent(cursor: Cursor, conversation: Conversation, instruction: str, key: str, now_ms: int) -> bool:
    """Work for the agent, whose conversation it is again: what the user wrote last and nobody has answered, or else what the operator
    asks of it. False where there is nothing to do. A wish for a person has been fulfilled; what no turn has read waits in its own row."""
    case: dict[str, Value] = {"conversation": conversation.id, "case": conversation.case}
    unanswered = [row for row in cursor.fetch(_UNANSWERED, case) if not wants_person(row[0])]
    if not unanswered and not instruction:
        return False
    row: dict[str, Value] = {
        "id": ids.derived_id("wakes", conversation.id, key),
        "conversation": conversation.id,
        "author": Author.USER.value if unanswered else Author.SYSTEM.value,
        "identity": unanswered[-1][1] if unanswered else conversation.identity,
        "text": "\n\n".join(text for text, _ in unanswered) if unanswered else GO_ON,
        "now": now_ms,
        "kind": f"press:{RETURNED}",
    }
    cursor.execute(records.ADD_DECISION, row)
    return True
