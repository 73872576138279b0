"""What a turn has to know of handoffs: when a person is asked for, what operators wrote, and whom to tell.

The triggers are looked at in code, from what the user wrote and from what came of the agent's run; the model has a tool besides.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bot.agent.loop import Answer
from bot.agent.router import Attempt
from bot.errors import Refused
from bot.handoff.briefing import Briefing
from bot.handoff.commands import Kind, parse, plain
from bot.handoff.desk import Desk, Told
from bot.handoff.hours import is_open
from bot.handoff.machine import Stage
from bot.handoff.requests import BEGAN, Ask, Origin
from bot.handoff.rules import Rules
from bot.handoff.triggers import is_angry, topic, wants_person
from bot.ids import conversation_id
from bot.model import Conversation, ConversationId, value
from bot.operators.operator import Operator
from bot.operators.people import Operators
from bot.ports import Clock, Store, Value
from bot.store import handoffs
from bot.store.handoffs import Record
from bot.store.records import Inbound
from bot.telemetry.metrics import Metrics
from bot.tools.names import REQUEST_HUMAN

LOOKED_AT: Final = 3000  # characters of what a user wrote: what they want stands at its beginning or at its end
UNANSWERED: Final = ("unanswered", "stopped")
_OUTCOMES: Final = """
    SELECT outcome FROM turns WHERE conversation_id = :conversation AND case_id = :case AND outcome NOT IN ('heard', 'recorded', 'failed')
    ORDER BY started_ms DESC LIMIT :limit"""
_DISLIKED: Final = """
    SELECT count(*), coalesce(max(m.id), '') FROM messages m JOIN conversations c ON c.id = m.conversation_id AND c.case_id = m.case_id
    WHERE m.conversation_id = :conversation AND m.feedback = 'down' AND m.author = 'agent' AND c.owner = 'agent'"""
_THREAD: Final = """
    SELECT conversation_id, case_id FROM room_cards WHERE thread = :thread
    UNION SELECT r.conversation_id, r.case_id FROM room_cards r JOIN outbox o ON o.message_id = r.card AND o.part = 0
    WHERE r.thread = '' AND r.room = :room AND o.external_id = :card"""  # its thread has no row before something is shown in it
_IDENTITY: Final = "SELECT channel, account, external_id, name FROM identities WHERE id = :id"
NOT_LINKED: Final = (
    "This account is not linked to an operator. Ask for a code (frontdesk operator link NAME) and write: !link CODE"
)
NO_CASE: Final = "Please write that in the thread of a case."


@value
class Early:
    """A person is to be asked for, before the agent has answered; `is_at_once`: in place of its answer."""

    ask: Ask
    is_at_once: bool


class Handing:
    """Stands between turns and the desk."""

    def __init__(
        self, store: Store, clock: Clock, desk: Desk, operators: Operators, briefing: Briefing, metrics: Metrics
    ) -> None:
        self._store = store
        self._clock = clock
        self._desk = desk
        self._operators = operators
        self._briefing = briefing
        self._metrics = metrics

    @property
    def rules(self) -> Rules:
        return self._desk.rules

    def begun(self, record: Record) -> None:
        """A handoff has begun in a turn."""
        self._metrics.handoffs.of(record.origin).inc()
        self._briefing.begun(record)

    def touch(self, conversation: str, *, is_handoff: bool) -> None:
        self._desk.feed.touch(conversation, is_handoff=is_handoff)

    # --- when ------------------------------------------------------------------------------------------------------------

    async def before(self, conversation: Conversation, read: Sequence[Inbound]) -> Early | None:
        """What the user wrote asks for a person; one who has been asked for already, off hours, is not asked for again."""
        rules = self.rules
        if not rules.is_staffed:
            return None
        ask = wanted("\n".join(inbound.message.text for inbound in read if not inbound.message.is_deleted), rules)
        if ask is None or await self._is_awaited(conversation):
            return None
        if ask.origin is not Origin.ASKED and await self._has_begun(conversation, ask.origin):
            return None
        is_at_once = ask.origin is Origin.ASKED or (
            ask.origin is Origin.TOPIC and is_open(rules.hours, self._clock.now_ms())
        )
        return Early(ask, is_at_once)

    async def after(
        self, conversation: Conversation, answer: Answer, outcome: str, attempts: Sequence[Attempt]
    ) -> Ask | None:
        """What came of the agent's run asks for a person."""
        rules = self.rules
        if not rules.is_staffed:
            return None
        if answer.is_person_wished:
            return Ask(Origin.TOOL, _reason(answer) or "The user wants to talk to a person.")
        ask = fallen(answer, attempts)
        if ask is None and outcome in UNANSWERED and await self._failures(conversation, rules) >= rules.after_failures:
            ask = Ask(Origin.FAILURES, f"{rules.after_failures} questions in a row without an answer.")
        if ask is None or ask.origin not in rules.triggers:
            return None
        return None if await self._has_begun(conversation, ask.origin) else ask

    async def disliked(self, conversation: ConversationId) -> None:
        """The user has said that an answer was of no use: once too often, and a person is asked for."""
        rules = self.rules
        if not rules.is_staffed or Origin.FEEDBACK not in rules.triggers:
            return
        ((count, newest),) = await self._store.read(_DISLIKED, {"conversation": conversation})
        if count >= rules.after_failures:
            ask = Ask(Origin.FEEDBACK, f"{count} answers were of no use to the user.")
            if await self._desk.ask(conversation, ask, f"feedback {newest}"):
                self._metrics.handoffs.of(ask.origin).inc()

    async def _is_awaited(self, conversation: Conversation) -> bool:
        rows = await self._store.read(handoffs.OPEN_HANDOFF, {"conversation": conversation.id})
        return bool(rows) and handoffs.record_of(rows[0]).state.stage is not Stage.WRAP_UP  # whose case has ended

    async def _has_begun(self, conversation: Conversation, origin: Origin) -> bool:
        return bool(await self._store.read(BEGAN, {"case": conversation.case, "origin": origin.value}))

    async def _failures(self, conversation: Conversation, rules: Rules) -> int:
        """Questions in a row that were not answered, the last among them."""
        case: dict[str, Value] = {"conversation": conversation.id, "case": conversation.case}
        rows = await self._store.read(_OUTCOMES, {**case, "limit": rules.after_failures})
        count = 1
        for (outcome,) in rows:
            if outcome not in UNANSWERED:
                break
            count += 1
        return count

    # --- what operators wrote in their room ------------------------------------------------------------------------------

    async def commanded(self, room: Conversation, read: Sequence[Inbound]) -> str:
        """Carries out, in their order, the commands and notes of a room or one of its threads; gives what their writers are told."""
        told = [await self._one(room, inbound) for inbound in read if not inbound.message.is_deleted]
        return "\n".join(text for text in told if text)

    async def _one(self, room: Conversation, inbound: Inbound) -> str:
        rows = await self._store.read(_IDENTITY, {"id": inbound.identity})
        if not rows:
            return ""
        channel, account, external_id, name = rows[0]
        try:
            operator = await self._operators.by_identity(channel, account, external_id)
            text = inbound.message.text.strip()
            command = parse(text, has_files=bool(inbound.message.attachments))
            if command is not None and command.kind is Kind.LINK:
                linked = await self._operators.link(command.text, channel, account, external_id, name)
                return f"Linked: you are {linked.name}."
            if operator is None:
                return NOT_LINKED
            told = await self._act(room, operator, inbound)
        except Refused as error:
            return error.detail
        return f"{told.text}\n⚠ {told.warning}" if told.warning else told.text

    async def _act(self, room: Conversation, operator: Operator, inbound: Inbound) -> Told:
        """Raises Refused."""
        message = inbound.message
        written = parse(message.text.strip(), has_files=bool(message.attachments))
        command = written or plain(message.text.strip(), is_reply=self.rules.is_plain_reply)
        at = room.address
        place: dict[str, Value] = {"room": conversation_id(replace(at, thread="")), "card": at.thread or None}
        rows = await self._store.read(_THREAD, {"thread": room.id, **place})
        if not rows and command.is_of_case:
            if written is None:
                return Told("")  # talk among operators
            raise Refused("no_case", NO_CASE)
        if lost := [f"{each.name}: {each.problem}" for each in message.attachments if not each.blob]:
            raise Refused("no_blob", " ".join(["Nothing was sent.", *lost]))
        about, case = (ConversationId(rows[0][0]), rows[0][1]) if rows else (room.id, "")
        return await self._desk.act(
            operator, about, command, key=message.id, attachments=message.attachments, via=room.id, case=case
        )


def wanted(text: str, rules: Rules) -> Ask | None:
    """What a user's words ask for. Pure."""
    text = text if len(text) <= LOOKED_AT else f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
    if wants_person(text):
        return Ask(Origin.ASKED, "The user asked for a person.")
    found = topic(text, rules.topics) if Origin.TOPIC in rules.triggers else ""
    if found:
        return Ask(Origin.TOPIC, f"The message is about {found}.", team=found if found in rules.teams else "")
    if Origin.ANGER in rules.triggers and is_angry(text):
        return Ask(Origin.ANGER, "The user is angry.", priority=1)
    return None


_HELD = {
    "claim": "The assistant claimed what no action has done; its answer was held back.",
    "source": "The assistant wrote what stands in no source; its answer was held back.",
}


def fallen(answer: Answer, attempts: Sequence[Attempt]) -> Ask | None:
    """What went wrong in a run. Pure."""
    if answer.is_uncertain:
        return Ask(Origin.UNKNOWN, "Nobody knows whether an action was carried out.", priority=1)
    if answer.is_held:
        return Ask(Origin.ERROR, _HELD[answer.held[-1].why])
    if answer.is_last_resort and any("budget" in each.why for each in attempts):
        return Ask(Origin.BUDGET, "The budget is used up.")
    if answer.stopped.startswith("the cost") or "tokens" in answer.stopped:
        return Ask(Origin.BUDGET, f"Stopped: {answer.stopped}.")
    if answer.is_last_resort and not answer.is_answered:
        return Ask(Origin.MODELS, "No model answers, and the documents have nothing to quote.")
    return None


def _reason(answer: Answer) -> str:
    """What the model wrote with its call for a person."""
    for call in answer.calls:
        if call.get("name") == REQUEST_HUMAN:
            try:
                reason = json.loads(call.get("arguments") or "{}").get("reason", "")
            except (ValueError, AttributeError):
                continue
            return str(reason)[:500]
    return ""
