"""Stage 2: handle one conversation's unhandled messages: route, act, commit.

Promises: the rows that a turn read are marked handled together with its reply, in one unit of work, or not at all; when a person
has taken over meanwhile, the reply becomes a note; a message that keeps failing ends as a dead letter with a plain sentence to the
user, and stops nobody else.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from bot import ids
from bot.agent.loop import PERSON_BUTTON, WISH_NOTED, Agent, Answer, Asked
from bot.agent.router import Attempt
from bot.channels import Channel
from bot.conversations import Conflict, Conversations, Reading, Working
from bot.delivery import Delivery
from bot.errors import ModelError, Overloaded, SendError, StoreUnavailable
from bot.model import (
    AGENT_OWNER,
    Address,
    Author,
    Conversation,
    ConversationId,
    Message,
    MessageId,
    Seq,
    TurnId,
    Visibility,
)
from bot.ports import Clock, Cursor, Store, Value
from bot.store import records
from bot.store.records import Inbound
from bot.store.steps import BEGUN, FOR_OPERATORS, StoredSteps, add_spend, attempt_json, end_steps, record_attempts
from bot.telemetry.logs import bind
from bot.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PLAIN = frozenset({"answered", "tools"})
OWED_MOST = 10_000  # turns whose cost waits for the disk
WATCH_S = 0.1
SIGN_S = 0.5  # longest wait for a channel to show it: the next draft is looked after only then
GRACE_S = 5.0  # an agent ends its answer by itself in time; one that does not is ended so much later
TYPING_AFTER_S = 0.25  # an answer that begins sooner needs no typing sign
COMMIT_WAITS_S = (0.1, 0.3, 1.0, 2.0)  # an answer that cost a model call is not thrown away for a busy disk
APOLOGY = (
    "I am sorry: something went wrong on our side, and I could not answer your last message. It is kept for our team to look at. "
    "You can go on asking me."
)


class Action(Enum):
    """What a turn does with what it read."""

    ANSWER = auto()
    NOTE_WISH = auto()  # the person asked for a person by the button
    RECORD = auto()  # nothing to say: a person owns the conversation, or everything was deleted


def route(conversation: Conversation, unhandled: Sequence[Inbound]) -> Action:
    """Decides, from committed rows alone."""
    if conversation.owner != AGENT_OWNER:
        return Action.RECORD
    if any(inbound.button == PERSON_BUTTON.id for inbound in unhandled):
        return Action.NOTE_WISH
    if all(inbound.message.is_deleted for inbound in unhandled):
        return Action.RECORD
    return Action.ANSWER


@dataclass(frozen=True, slots=True)
class Rules:
    """What turns need of the config."""

    turn_s: float = 60.0
    tries: int = 3
    retry_s: tuple[float, ...] = (1.0, 5.0)


class Batch:
    """The unhandled messages of one turn: all of them, growing while it runs; or, before the last try, the first alone.

    `conversation` is as the turn found it: its owner and version are what the turn may act on, whatever arrives meanwhile."""

    def __init__(self, working: Working, tries: int, reading: Reading) -> None:
        self._working = working
        self.reading = reading
        self.conversation = working.conversation
        self._is_alone = any(inbound.attempts >= tries - 1 for inbound in working.unhandled)
        self.first = working.unhandled[0]
        self.reply_id = reply_id(self.first.message.id)
        self.read: list[Inbound] = []
        self.take()

    def joined(self) -> Sequence[Message]:
        """What a model is to be asked now. Raises Conflict when a message was changed: a rerun reads it as it is."""
        self.reading.asking()
        return self.take()

    def take(self) -> Sequence[Message]:
        """What this turn covers now, in the order in which it was written."""
        self.read = self._working.unhandled[:1] if self._is_alone else list(self._working.unhandled)
        if len(self.read) == 1:
            return (self.read[0].message,)
        return [i.message for i in sorted(self.read, key=lambda i: (i.sent_ms or i.message.at_ms, i.message.seq))]

    @property
    def last(self) -> Inbound:
        return self.read[-1]


@dataclass(slots=True)
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


@dataclass(slots=True)
class Ended:
    """What it did."""

    conversation: Conversation
    reply: Message | None


class Turns:
    """Runs turns. `run` never raises, whatever a model or a message does."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        agents: Mapping[str, Agent],
        channels: Mapping[str, Channel],
        delivery: Delivery,
        rules: Rules,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._agents = agents
        self._channels = channels
        self._delivery = delivery
        self._rules = rules
        self._metrics = metrics
        self._acting: dict[_Draft, None] = {}  # oldest first
        self._outcomes = {
            name: metrics.turns.of(name)
            for name in ("answered", "unanswered", "quoted", "stopped", "wish", "recorded", "late", "dead", "failed")
        }
        self._is_store_doubtful = False  # a unit of work has failed, and none has succeeded since
        self._owed: list[tuple[str, Sequence[Attempt]]] = []
        self._begun: set[str] = set()  # replies whose turns have left steps on disk

    async def run(self, conversation_id: str) -> float | None:
        """One turn. Returns None, or the seconds after which the conversation wants another."""
        turn = TurnId(ids.new_id(self._clock.now_ms()))
        bind(conversation_id, turn)
        try:
            working = await self._conversations.get(ConversationId(conversation_id))
        except StoreUnavailable:
            return self._rules.retry_s[0]
        if working is None or not working.unhandled:
            return None
        with self._conversations.reading(conversation_id) as reading:
            return await self._run_batch(turn, working, Batch(working, self._rules.tries, reading))

    async def recover(self) -> None:
        """At a start, before any turn runs: which turns have left steps."""
        self._begun = {row[0] for row in await self._store.read(BEGUN)}

    async def watch(self) -> None:
        """Shows a typing sign for answers that take their time and ends those that take too long, until cancelled. One look at all
        turns every so often costs less than two timers for each."""
        while True:
            await self._clock.sleep(WATCH_S)
            now = self._clock.monotonic()
            for draft in tuple(self._acting):
                age_s = now - draft.started
                if age_s >= self._rules.turn_s + GRACE_S:
                    draft.end()
                elif age_s >= TYPING_AFTER_S:
                    with suppress(TimeoutError):
                        async with self._clock.timeout(SIGN_S):
                            await draft.sign()

    async def run_alone(self, conversation_id: str) -> float | None:
        """One turn of a suspect of having ended the process: says so on disk first, so that the next start knows who was at it."""
        try:
            await self._store.run(mark_alone, conversation_id, self._clock.now_ms())
        except (StoreUnavailable, Overloaded):
            return self._rules.retry_s[0]
        return await self.run(conversation_id)

    async def _run_batch(self, turn: TurnId, working: Working, batch: Batch) -> float | None:
        started = self._clock.monotonic()
        started_ms = self._clock.now_ms()
        draft = _Draft(
            self._channels.get(batch.conversation.address.channel), batch.conversation.address, batch, started
        )
        if batch.first.attempts >= self._rules.tries:
            return await self._fail(turn, working, batch, RuntimeError("the process ended each time"), started_ms, ())
        asked = self._asked(turn, working, batch, draft)
        if self._is_store_doubtful and not await self._is_store_back():
            return self._rules.retry_s[-1]
        try:
            ending = await self._act(turn, working, batch, draft, asked, started_ms)
            if not await self._commit(working, batch, ending):
                await draft.withdraw()
            self._count_incidents(asked.attempts)
        except asyncio.CancelledError:
            if unpaid := asked.attempts[asked.on_record :]:
                self._owed.append((batch.conversation.identity, unpaid))
            raise
        except (Conflict, StoreUnavailable, Overloaded) as error:
            log.warning("turn not committed, runs again: %s", type(error).__name__)
            await draft.withdraw()
            self._note_begun(batch, asked)
            self._conversations.forget(batch.conversation.id)
            await self._owe(batch, asked.attempts[asked.on_record :])
            if isinstance(error, Conflict):
                return 0.0
            self._is_store_doubtful = True
            return self._rules.retry_s[-1]
        except Exception as error:
            log.exception("turn failed")
            await draft.withdraw()
            self._note_begun(batch, asked)
            return await self._fail(turn, working, batch, error, started_ms, asked.attempts[asked.on_record :])
        self._metrics.turn_seconds.observe(self._clock.monotonic() - started)
        return 0.0 if working.unhandled else None

    async def _is_store_back(self) -> bool:
        """Asked before a model is paid for an answer that could not be kept."""
        try:
            await self._store.run(pay, [])
        except (StoreUnavailable, Overloaded):
            return False
        self._is_store_doubtful = False
        return True

    def _note_begun(self, batch: Batch, asked: Asked) -> None:
        if asked.has_steps:
            self._begun.add(batch.reply_id)

    # --- acting ----------------------------------------------------------------------------------------------------

    def _asked(self, turn: TurnId, working: Working, batch: Batch, draft: "_Draft") -> Asked:
        conversation = batch.conversation
        is_again = batch.reply_id in self._begun
        steady = batch.reading.steady
        journal = StoredSteps(
            self._store, self._clock, batch.reply_id, turn, conversation.id, conversation.identity, steady
        )
        return Asked(conversation.id, working.past, batch.joined, draft, conversation.identity, journal, is_again)

    async def _act(
        self, turn: TurnId, working: Working, batch: Batch, draft: "_Draft", asked: Asked, started_ms: int
    ) -> Ending:
        match route(batch.conversation, batch.read):
            case Action.RECORD:
                return self._ending(turn, working, batch, None, "recorded", started_ms)
            case Action.NOTE_WISH:
                reply = self._reply(batch, working, Answer(text=WISH_NOTED), Author.SYSTEM)
                return self._ending(turn, working, batch, reply, "wish", started_ms)
            case Action.ANSWER:
                return await self._answer(turn, working, batch, draft, asked, started_ms)

    async def _answer(
        self, turn: TurnId, working: Working, batch: Batch, draft: "_Draft", asked: Asked, started_ms: int
    ) -> Ending:
        agent = self._agents.get(batch.conversation.agent) or self._agents["main"]
        self._acting[draft] = None
        batch.reading.interrupt = draft.end
        try:
            answer = await agent.answer(asked)
            self._note_begun(batch, asked)
        except asyncio.CancelledError:
            if draft.was_ended():
                batch.reading.check()
                raise TimeoutError(f"no answer within {self._rules.turn_s} s") from None
            raise
        finally:
            batch.reading.rest()
            del self._acting[draft]
        if answer.first_token_s is not None:
            self._metrics.first_token_seconds.observe(answer.first_token_s)
        reply = self._reply(batch, working, answer, Author.AGENT, agent.rules.signature)
        return self._ending(
            turn, working, batch, reply, outcome_of(answer), started_ms, answer, asked.attempts, asked.on_record
        )

    def _reply(self, batch: Batch, working: Working, answer: Answer, author: Author, name: str = "") -> Message:
        return Message(
            id=batch.reply_id,
            seq=Seq(0),  # assigned by the unit of work
            author=author,
            text=answer.text,
            at_ms=self._clock.now_ms(),
            name=name,
            case=batch.last.message.case or batch.conversation.case,
            citations=answer.citations,
            buttons=answer.buttons,
        )

    def _ending(
        self,
        turn: TurnId,
        working: Working,
        batch: Batch,
        reply: Message | None,
        outcome: str,
        started_ms: int,
        answer: Answer | None = None,
        attempts: Sequence[Attempt] = (),
        on_record: int = 0,
    ) -> Ending:
        now = self._clock.now_ms()
        return Ending(
            turn=turn,
            conversation=batch.conversation,
            case=batch.last.message.case or batch.conversation.case,
            first=batch.first.message.seq,
            first_id=batch.first.message.id,
            last=batch.last.message.seq,
            count=len(batch.read),
            changed=sum(inbound.changed_ms for inbound in batch.read),
            reply=reply,
            parts=self._parts(batch.conversation, reply),
            outcome=outcome,
            wants_person=outcome == "wish" or (answer is not None and answer.is_person_wished),
            started_ms=started_ms,
            now_ms=now,
            trace=trace(batch.read, reply, answer, attempts),
            attempts=attempts[on_record:],
            has_steps=batch.reply_id in self._begun,
        )

    def _parts(self, conversation: Conversation, reply: Message | None) -> tuple[str | None, ...]:
        channel = self._channels.get(conversation.address.channel)
        if reply is None or (channel is not None and channel.limits.is_deduped):
            return ()  # nothing to send, or a receiver that asks for what it does not have
        if channel is not None and channel.splits is not None:
            return tuple(channel.splits.split(reply.text))
        return (None,)

    # --- committing ------------------------------------------------------------------------------------------------

    async def _commit(self, working: Working, batch: Batch, ending: Ending) -> bool:
        """False when a person had taken over: the reply has become a note."""
        ended = await self._patiently(finish, ending)
        self._begun.discard(batch.reply_id)
        is_late = ending.reply is not None and ended.reply is None
        self._outcomes["late" if is_late else ending.outcome].inc()
        if is_late:
            self._conversations.forget(ending.conversation.id)
            return False
        replies = () if ended.reply is None else (ended.reply,)
        self._conversations.handled(working, ended.conversation.last_seq, batch.read, replies)
        if ended.reply is not None:
            await self._delivery.planned(ended.conversation, ended.reply)
        return True

    def _count_incidents(self, attempts: Sequence[Attempt]) -> None:
        for each in attempts:
            if each.outcome in FOR_OPERATORS:
                self._metrics.incidents.of("model").inc()

    async def _patiently(self, unit: Callable[[Cursor, Ending], Ended], ending: Ending) -> Ended:
        for wait_s in COMMIT_WAITS_S:
            try:
                return await self._store.run(unit, ending)
            except (StoreUnavailable, Overloaded):
                await self._clock.sleep(wait_s)
        return await self._store.run(unit, ending)

    async def _fail(
        self,
        turn: TurnId,
        working: Working,
        batch: Batch,
        error: Exception,
        started_ms: int,
        attempts: Sequence[Attempt],
    ) -> float | None:
        """Counts the failure; the last allowed one makes a dead letter and tells the user."""
        self._conversations.forget(batch.conversation.id)
        reason = f"{type(error).__name__}: {error}"[:500]
        apology = self._reply(batch, working, Answer(text=APOLOGY, is_answered=False), Author.SYSTEM)
        ending = self._ending(turn, working, batch, apology, "dead", started_ms, attempts=attempts)
        try:
            ended = await self._store.run(fail, ending, reason, self._rules.tries)
        except (StoreUnavailable, Overloaded):
            await self._owe(batch, attempts)
            return self._rules.retry_s[-1]
        self._outcomes["failed" if ended is None else "dead"].inc()
        if ended is None:
            return self._wait_s(batch, error)
        self._begun.discard(batch.reply_id)
        self._metrics.incidents.of("dead letter").inc()
        if ended.reply is not None:
            await self._delivery.planned(ended.conversation, ended.reply)
        return 0.0

    async def _owe(self, batch: Batch, attempts: Sequence[Attempt]) -> None:
        """Model calls of a turn that was not committed have cost something all the same."""
        if any(each.is_call for each in attempts):
            self._owed.append((batch.conversation.identity, attempts))
            await self.pay()

    async def pay(self) -> None:
        """Puts on record what could not be recorded with its turn; what still cannot stays for the next time."""
        owed, self._owed = self._owed, []
        try:
            if owed:
                await self._store.run(pay, owed)
        except (StoreUnavailable, Overloaded):
            self._owed = [*owed, *self._owed][-OWED_MOST:]

    def _wait_s(self, batch: Batch, error: Exception) -> float:
        if isinstance(error, ModelError) and error.retry_after_s is not None:
            return error.retry_after_s
        return self._rules.retry_s[min(batch.first.attempts, len(self._rules.retry_s) - 1)]


class _Draft:
    """An answer while it is being written, where the channel can show it."""

    __slots__ = ("_drafts", "_has_sign", "_id", "_is_ended", "_is_shown", "_task", "_to", "_typing", "started")

    def __init__(self, channel: Channel | None, to: Address, batch: Batch, started: float) -> None:
        self.started = started
        self._drafts = channel.drafts if channel else None
        self._typing = channel.typing if channel else None
        self._to = to
        self._id = batch.reply_id
        self._task = asyncio.current_task()
        self._is_shown = False
        self._has_sign = False
        self._is_ended = False

    async def show(self, text: str) -> None:
        self._has_sign = True
        if self._drafts is not None:
            self._is_shown = True
            await self._drafts.draft(self._to, self._id, text)

    async def sign(self) -> None:
        """Once: somebody is at work here."""
        if self._typing is not None and not self._has_sign:
            self._has_sign = True
            with suppress(SendError, OSError):  # a sign that is not seen is nothing lost
                await self._typing.typing(self._to)

    async def withdraw(self) -> None:
        if self._drafts is not None and self._is_shown:
            self._is_shown = False
            await self._drafts.withdraw(self._to, self._id)

    async def void(self) -> None:
        await self.withdraw()

    def end(self) -> None:
        """It has taken too long."""
        if self._task is not None and not self._is_ended:
            self._is_ended = True
            self._task.cancel()

    def was_ended(self) -> bool:
        """By `end`, and by nothing else."""
        return self._is_ended and self._task is not None and self._task.uncancel() == 0


def outcome_of(answer: Answer) -> str:
    if answer.stopped:
        return "stopped"
    if answer.is_last_resort:
        return "quoted"
    return "answered" if answer.is_answered else "unanswered"


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
        kept["first_token_ms"] = None if answer.first_token_s is None else round(answer.first_token_s * 1000, 2)
        kept["passages"] = [
            {
                "id": one.passage.id,
                "title": one.passage.title,
                "score": round(one.score, 4),
                "coverage": round(one.coverage, 3),
            }
            for one in answer.found
        ]
    if any(each.is_call or each.outcome not in _PLAIN for each in attempts):  # the offline answerer's own stand above
        kept["attempts"] = [attempt_json(each) for each in attempts]
    return _encode(kept)


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
    owner, version, last_seq = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation.id})[0]
    is_owned = (owner, version) == (conversation.owner, conversation.version)
    reply = None
    if ending.reply is not None:
        last_seq += 1
        visibility = Visibility.PUBLIC if is_owned else Visibility.NOTE
        reply = ending.reply.placed(Seq(last_seq), visibility)
        records.add_message(cursor, reply, conversation.id, ending.turn)
        if is_owned:
            records.add_outbox(cursor, reply, conversation.id, conversation.address.channel, ending.parts)
    if ending.wants_person:
        cursor.execute(records.WANT_PERSON, {"id": conversation.id})
        cursor.execute(records.CASE_WANTS_PERSON, {"id": ending.case, "now": ending.now_ms})
    add_turn(cursor, ending)
    return Ended(conversation.advanced(Seq(last_seq)), reply if is_owned else None)


def pay(cursor: Cursor, owed: Sequence[tuple[str, Sequence[Attempt]]]) -> None:
    for payer, attempts in owed:
        add_spend(cursor, payer, attempts)


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
