"""Stage 2: handle one conversation's unhandled messages: route, act, commit.

Promises: the rows that a turn read are marked handled together with its reply, in one unit of work, or not at all; when a person
has taken over meanwhile, the reply becomes a note; a message that keeps failing ends as a dead letter with a plain sentence to the
user, and stops nobody else.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from bot import ids
from bot.agent.context import Recalled
from bot.agent.loop import WISH_NOTED, Agent, Answer, Asked
from bot.agent.router import Attempt
from bot.channels import Channel, channel_at
from bot.conversations import Conflict, Conversations, Reading, Working
from bot.delivery import Delivery, announce
from bot.draft import Draft
from bot.ending import Ended, Ending, fail, finish, mark_alone, outcome_of, pay, reply_id, sources, trace
from bot.errors import ModelError, Overloaded, StoreUnavailable
from bot.handoff.handing import Handing
from bot.handoff.orders import RETURNED
from bot.handoff.requests import Ask, Origin
from bot.handoff.rules import UNSTAFFED
from bot.handoff.triggers import contact_in
from bot.handoff.words import CANCEL
from bot.memory.memory import Memory
from bot.model import (
    AGENT_OWNER,
    PERSON_BUTTON,
    ROOM,
    Author,
    Conversation,
    ConversationId,
    Message,
    MessageId,
    Seq,
    TurnId,
    Visibility,
)
from bot.ports import Clock, Cursor, Store
from bot.preparing import Preparing, is_prepared
from bot.store.actions import HAS_OPEN
from bot.store.records import Inbound
from bot.store.steps import BEGUN, FOR_OPERATORS, StoredSteps
from bot.telemetry.logs import bind
from bot.telemetry.metrics import Metrics
from bot.tools import Caller
from bot.tools.consent import is_decision

log = logging.getLogger(__name__)

OWED_MOST = 10_000  # turns whose cost waits for the disk
WATCH_S = 0.1
SIGN_S = 0.5  # longest wait for a channel to show it: the next draft is looked after only then
GRACE_S = 5.0  # an agent ends its answer by itself in time; one that does not is ended so much later
TYPING_AFTER_S = 0.25  # an answer that begins sooner needs no typing sign
COMMIT_WAITS_S = (0.1, 0.3, 1.0, 2.0)  # an answer that cost a model call is not thrown away for a busy disk
_ALONE = frozenset({PERSON_BUTTON.id, CANCEL, RETURNED})
HELD = {  # by what `Held.why` says of the last
    "claim": "The agent claimed twice to have done what no action has done; its answer was held back.",
    "source": "The agent wrote twice what stands in no source; its answer was held back.",
}
APOLOGY = (
    "I am sorry: something went wrong on our side, and I could not answer your last message. It is kept for our team to look at. "
    "You can go on asking me."
)


class Action(Enum):
    """What a turn does with what it read."""

    ANSWER = auto()
    NOTE_WISH = auto()  # the person asked for a person by the button
    HEAR = auto()  # a person is awaited, or has the conversation
    COMMAND = auto()  # it was written in an operators' room
    RECORD = auto()  # nothing to say: the person wants no messages, or everything was deleted


def route(conversation: Conversation, unhandled: Sequence[Inbound]) -> Action:
    """Decides, from committed rows alone."""
    if conversation.kind == ROOM:
        return Action.COMMAND
    if conversation.is_stopped:
        return Action.RECORD
    if conversation.owner != AGENT_OWNER or any(inbound.button == CANCEL for inbound in unhandled):
        return Action.HEAR
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
        self.is_last_try = self.first.attempts >= tries - 1
        self.reply_id = reply_id(self.first.message.id)
        self.read: list[Inbound] = []
        self.take()

    def renew(self, messages: Mapping[MessageId, Message]) -> None:
        """What has been fetched and written down of the messages stands in them now."""
        unhandled = self._working.unhandled
        for place, inbound in enumerate(unhandled):
            if (message := messages.get(inbound.message.id)) is not None:
                unhandled[place] = replace(inbound, message=message)
        self.take()

    def joined(self) -> Sequence[Message]:
        """What a model is to be asked now. Raises Conflict when a message was changed: a rerun reads it as it is."""
        self.reading.asking()
        return self.take()

    def take(self) -> Sequence[Message]:
        """What this turn covers now, in the order in which it was written. What has arrived since it began is left to the next where
        files have to be fetched first, and where it decides on an action, which is carried out when a turn begins."""
        self.read = self._working.unhandled[:1] if self._is_alone else self._prepared()
        if len(self.read) == 1:
            return (_shown(self.read[0]),)
        return [_shown(i) for i in sorted(self.read, key=lambda i: (i.sent_ms or i.message.at_ms, i.message.seq))]

    def _prepared(self) -> list[Inbound]:
        unhandled, covered = self._working.unhandled, len(self.read)
        if len(unhandled) == covered:
            return list(unhandled)
        alone = unhandled[0].button if unhandled[0].button in _ALONE else ""  # which is noted by a turn of its own
        for place, each in enumerate(unhandled):
            if (each.button if each.button in _ALONE else "") != alone:
                return unhandled[:place]
            if covered and place >= covered and (is_decision(each.button) or not is_prepared(each.message)):
                return unhandled[:place]
        return list(unhandled)

    @property
    def last(self) -> Inbound:
        return self.read[-1]


def _shown(inbound: Inbound) -> Message:
    """As a model reads it: what wakes the agent after a return is no note to it."""
    message = inbound.message
    return replace(message, visibility=Visibility.PUBLIC) if inbound.button == RETURNED else message


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
        preparing: Preparing | None = None,
        handing: Handing | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._preparing = preparing
        self.handing = handing
        self.memory: Memory | None = None
        self._conversations = conversations
        self._agents = agents
        self._channels = channels
        self._delivery = delivery
        self._rules = rules
        self._metrics = metrics
        self._acting: dict[Draft, None] = {}  # oldest first
        self._outcomes = {
            name: metrics.turns.of(name)
            for name in (
                "answered",
                "unanswered",
                "quoted",
                "stopped",
                "wish",
                "recorded",
                "late",
                "dead",
                "failed",
                "handed over",
                "heard",
                "command",
                "memory",
            )
        }
        self._is_store_doubtful = False  # a unit of work has failed, and none has succeeded since
        self._owed: list[tuple[str, Sequence[Attempt]]] = []
        self._begun: set[str] = set()  # replies whose turns have left steps on disk
        self._has_open = False  # the last run has left actions, which the config may not name any more

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
        """At a start, before any turn runs: which turns have left steps, and whether any has left actions."""
        self._begun = {row[0] for row in await self._store.read(BEGUN)}
        self._has_open = bool(await self._store.read(HAS_OPEN))

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
        at = batch.conversation.address
        draft = Draft(
            self._channels.get(channel_at(at)), at, batch.reply_id, started, partial(self._announce, batch.conversation)
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

    async def _announce(self, conversation: Conversation, message: MessageId) -> bool:
        """The row of a draft, before it is shown. False: an earlier run has shown one, an earlier answer is still on its way, or the disk
        does not take it."""
        try:
            return await self._store.run(announce, conversation, message, self._clock.now_ms())
        except (StoreUnavailable, Overloaded):
            return False

    def _note_begun(self, batch: Batch, asked: Asked) -> None:
        if asked.has_steps:
            self._begun.add(batch.reply_id)

    # --- acting ----------------------------------------------------------------------------------------------------

    def _asked(self, turn: TurnId, working: Working, batch: Batch, draft: Draft) -> Asked:
        conversation = batch.conversation
        is_again = batch.reply_id in self._begun
        steady = batch.reading.steady
        journal = StoredSteps(
            self._store, self._clock, batch.reply_id, turn, conversation.id, conversation.identity, steady
        )
        asked = Asked(conversation.id, working.past, batch.joined, draft, conversation.identity, journal, is_again)
        asked.caller = partial(self._caller, turn, batch)
        asked.is_decision = all(is_decision(inbound.button) for inbound in batch.read)
        if self.memory is not None and self.memory.is_on(conversation.agent):
            asked.recall = partial(self._recall, self.memory, batch)
        return asked

    def _caller(self, turn: TurnId, batch: Batch) -> Caller:
        """On whose behalf the turn calls now: with every message that joins it, this may change."""
        conversation = batch.conversation
        speakers = {inbound.identity for inbound in batch.read}
        return Caller(
            conversation.id,
            batch.last.message.case or conversation.case,
            speakers.pop() if len(speakers) == 1 else "",
            batch.reply_id,
            turn,
            conversation.agent,
        )

    async def _recall(self, memory: Memory, batch: Batch) -> Recalled:
        return await memory.recall(batch.conversation.id, batch.read)

    async def _act(
        self, turn: TurnId, working: Working, batch: Batch, draft: Draft, asked: Asked, started_ms: int
    ) -> Ending:
        action = route(batch.conversation, batch.read)
        if self._preparing is not None and any(inbound.message.attachments for inbound in batch.read):
            unheard = await self._prepare(self._preparing, turn, batch, asked, is_listening=action is Action.ANSWER)
            if unheard:
                reply = self._reply(batch, working, Answer(text=unheard), Author.SYSTEM)
                return self._ending(turn, working, batch, reply, "unanswered", started_ms)
        match action:
            case Action.RECORD:
                return self._ending(turn, working, batch, None, "recorded", started_ms)
            case Action.HEAR:
                ending = self._ending(turn, working, batch, None, "heard", started_ms)
                ending.hears = batch.read
                return ending
            case Action.COMMAND:
                return await self._command(turn, working, batch, started_ms)
            case Action.NOTE_WISH:
                reply = self._reply(batch, working, Answer(text=WISH_NOTED), Author.SYSTEM)
                ending = self._ending(turn, working, batch, reply, "wish", started_ms)
                ending.ask, ending.is_wish = Ask(Origin.ASKED, "The user asked for a person."), True
                return ending
            case Action.ANSWER:
                return await self._answer_or_ask(turn, working, batch, draft, asked, started_ms)

    async def _command(self, turn: TurnId, working: Working, batch: Batch, started_ms: int) -> Ending:
        """What operators wrote in their room is carried out, and they are told what came of it."""
        told = await self.handing.commanded(batch.conversation, batch.read) if self.handing is not None else ""
        reply = self._reply(batch, working, Answer(text=told), Author.SYSTEM) if told else None
        return self._ending(turn, working, batch, reply, "command", started_ms)

    async def _answer_or_ask(
        self, turn: TurnId, working: Working, batch: Batch, draft: Draft, asked: Asked, started_ms: int
    ) -> Ending:
        """What a person should see at once is not answered by the agent, if people are there; nor what is asked of memory alone."""
        told = await self.memory.obey(batch.conversation, batch.read) if self.memory is not None else None
        if told is not None:
            said = self._reply(batch, working, Answer(text=told), Author.SYSTEM) if told else None
            return self._ending(turn, working, batch, said, "memory", started_ms)
        if self.handing is None:
            return await self._answer(turn, working, batch, draft, asked, started_ms)
        is_returned = all(inbound.button == RETURNED for inbound in batch.read)
        ask = None if is_returned else await self.handing.before(batch.conversation, batch.read)
        if ask is not None and ask.is_at_once:
            reply = self._reply(batch, working, Answer(text=WISH_NOTED), Author.SYSTEM)  # where nothing can begin
            ending = self._ending(turn, working, batch, reply, "handed over", started_ms)
            ending.ask, ending.is_wish = ask.ask, True
            return ending
        if is_returned and all(inbound.message.author is Author.SYSTEM for inbound in batch.read):
            chain = self._agent(batch.conversation)
            if chain.is_local:
                return self._ending(turn, working, batch, None, "recorded", started_ms)
        ending = await self._answer(turn, working, batch, draft, asked, started_ms)
        if any(contact_in(inbound.message.text) for inbound in batch.read):
            ending.hears = batch.read  # which off hours the agent has asked for
        if ending.ask is None and ask is not None:
            ending.ask = ask.ask
        return ending

    async def _prepare(
        self, preparing: Preparing, turn: TurnId, batch: Batch, asked: Asked, *, is_listening: bool
    ) -> str:
        """Fetches what was sent, and writes down what was said. Returns the plain answer where nobody could listen to it."""
        prepared = await preparing.prepare(
            batch.conversation,
            [inbound.message for inbound in batch.read],
            turn,
            is_last_try=batch.is_last_try,
            is_listening=is_listening,
        )
        asked.attempts.extend(prepared.attempts)
        asked.on_record += len(prepared.attempts)
        if prepared.messages:
            batch.renew(prepared.messages)
        return prepared.answer

    async def _answer(
        self, turn: TurnId, working: Working, batch: Batch, draft: Draft, asked: Asked, started_ms: int
    ) -> Ending:
        agent = self._agent(batch.conversation)
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
        author, name = (Author.SYSTEM, "") if answer.is_card else (Author.AGENT, agent.rules.signature)
        reply = self._reply(batch, working, answer, author, name)
        ending = self._ending(
            turn, working, batch, reply, outcome_of(answer), started_ms, answer, asked.attempts, asked.on_record
        )
        if self.handing is not None:
            ending.ask = await self.handing.after(batch.conversation, answer, ending.outcome, asked.attempts)
            ending.is_wish = ending.ask is not None and answer.is_person_wished
        return ending

    def _agent(self, conversation: Conversation) -> Agent:
        return self._agents.get(conversation.agent) or self._agents["main"]

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
            may_have_draft=not self._is_deduped(batch.conversation),
            has_actions=self._has_open or self._agent(batch.conversation).dispatcher.has_actions,
            told=answer.told if answer is not None else (),
            is_agents=answer is not None,
            is_card=answer is not None and answer.is_card,
            held=HELD[answer.held[-1].why] if answer is not None and answer.is_held else "",
            sources=sources(reply, answer),
            rules=self.handing.rules if self.handing is not None else UNSTAFFED,
            is_deduped=self._is_deduped(batch.conversation),
        )

    def _is_deduped(self, conversation: Conversation) -> bool:
        channel = self._channels.get(channel_at(conversation.address))
        return channel is not None and channel.limits.is_deduped

    def _parts(self, conversation: Conversation, reply: Message | None) -> tuple[str | None, ...]:
        channel = self._channels.get(channel_at(conversation.address))
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
        self._outcomes["late" if ended.is_late else ending.outcome].inc()
        if ended.reply is None and ending.may_have_draft:
            self._delivery.wake(ending.conversation.address)  # a draft may have to be taken away
        await self._tell_handing(ending, ended)
        if ended.is_late:
            self._conversations.forget(ending.conversation.id)
            return False
        replies = () if ended.reply is None else (ended.reply,)
        if ended.begun is not None or ending.hears is not None:
            self._conversations.forget(ending.conversation.id)  # whose owner may have changed
        else:
            self._conversations.handled(working, ended.conversation.last_seq, batch.read, replies)
            if self.memory is not None:
                self.memory.grown(working)
        for message in (*replies, *ended.said):
            await self._delivery.planned(ended.conversation, message)
        return ending.reply is None or ended.reply is not None

    async def _tell_handing(self, ending: Ending, ended: Ended) -> None:
        if self.handing is None:
            return
        if ended.begun is not None:
            self.handing.begun(ended.begun)
        is_persons = ending.conversation.owner != AGENT_OWNER  # also what somebody writes who gets no messages
        is_handoff = is_persons or ended.begun is not None or ending.hears is not None or ended.is_late
        self.handing.touch(ending.conversation.id, is_handoff=is_handoff)

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
        is_agents = batch.conversation.kind != ROOM and batch.conversation.owner == AGENT_OWNER
        if is_agents and Origin.ERROR in ending.rules.triggers:
            ending.ask = Ask(Origin.ERROR, "The assistant failed at this message.")
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
        await self._tell_handing(ending, ended)
        for message in (*((ended.reply,) if ended.reply is not None else ()), *ended.said):
            await self._delivery.planned(ended.conversation, message)
        if ended.reply is None:
            self._delivery.wake(ending.conversation.address)  # a draft may have to be taken away
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
