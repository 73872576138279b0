"""Stage 2: handle one conversation's unhandled messages: route, act, commit.

Promises: the rows that a turn read are marked handled together with its reply, in one unit of work, or not at all; when a person
has taken over meanwhile, the reply becomes a note; a message that keeps failing ends as a dead letter with a plain sentence to the
user, and stops nobody else.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from bot import ids
from bot.agent.loop import WISH_NOTED, Agent, Answer, Asked
from bot.agent.router import Attempt
from bot.batch import Action, Batch, route
from bot.channels import Channel, channel_at
from bot.conversations import Conflict, Conversations
from bot.delivery import Delivery, announce
from bot.draft import Draft
from bot.ending import Ended, Ending, Owed, fail, finish, mark_alone, outcome_of, pay, sources, trace
from bot.errors import ModelError, Overloaded, StoreUnavailable
from bot.handoff.handing import Handing
from bot.handoff.orders import RETURNED
from bot.handoff.requests import Ask, Origin
from bot.handoff.rules import UNSTAFFED
from bot.handoff.triggers import contact_in
from bot.memory.memory import Memory
from bot.model import AGENT_OWNER, ROOM, Author, Conversation, ConversationId, Message, MessageId, Seq, TurnId, value
from bot.people.giving import Giving, finish_giving
from bot.ports import Clock, Cursor, Store
from bot.preparing import Preparing
from bot.store.actions import HAS_OPEN
from bot.store.steps import BEGUN, FOR_OPERATORS, StoredSteps
from bot.telemetry.logs import bind
from bot.telemetry.metrics import Metrics
from bot.tools.consent import is_decision

log = logging.getLogger(__name__)
E = TypeVar("E", bound=Ending)

OWED_MOST = 10_000  # turns whose cost waits for the disk
WATCH_S = 0.1
SIGN_S = 0.5  # longest wait for a channel to show it: the next draft is looked after only then
GRACE_S = 5.0  # an agent ends its answer by itself in time; one that does not is ended so much later
TYPING_AFTER_S = 0.25  # an answer that begins sooner needs no typing sign
COMMIT_WAITS_S = (0.1, 0.3, 1.0, 2.0)  # an answer that cost a model call is not thrown away for a busy disk
HELD = {  # by what `Held.why` says of the last
    "claim": "The agent claimed twice to have done what no action has done; its answer was held back.",
    "source": "The agent wrote twice what stands in no source; its answer was held back.",
}
APOLOGY = (
    "I am sorry: something went wrong on our side, and I could not answer your last message. It is kept for our team to look at. "
    "You can go on asking me."
)


@value
class Rules:
    """What turns need of the config."""

    turn_s: float = 60.0
    tries: int = 3
    retry_s: tuple[float, ...] = (1.0, 5.0)


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
        self._owed: list[Owed] = []
        self._begun: set[str] = set()  # replies whose turns have left steps on disk
        self._has_open = False  # the last run has left actions, which the config may not name any more

    async def run(self, conversation_id: str) -> float | None:
        """One turn. Returns None, or the seconds after which the conversation wants another."""
        now = self._clock.now_ms()
        turn = TurnId(ids.new_id(now))
        bind(conversation_id, turn)
        try:
            working = await self._conversations.get(ConversationId(conversation_id))
        except StoreUnavailable:
            return self._rules.retry_s[0]
        if working is None or not working.unhandled:
            return None
        with self._conversations.reading(conversation_id) as reading:
            return await self._run_batch(Batch(turn, now, working, self._rules.tries, reading))

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

    async def _run_batch(self, batch: Batch) -> float | None:
        started = self._clock.monotonic()
        at = batch.conversation.address
        draft = Draft(
            self._channels.get(channel_at(at)), at, batch.reply_id, started, partial(self._announce, batch.conversation)
        )
        if batch.first.attempts >= self._rules.tries:
            return await self._fail(batch, RuntimeError("the process ended each time"), ())
        asked = self._asked(batch, draft)
        if self._is_store_doubtful and not await self._is_store_back():
            return self._rules.retry_s[-1]
        try:
            ending = await self._act(batch, draft, asked)
            ended = await self._commit(ending)
            asked.on_record = len(asked.attempts)
            if not await self._tell(batch, ending, ended):
                await draft.withdraw()
            self._count_incidents(asked.attempts)
        except asyncio.CancelledError:
            if unpaid := asked.attempts[asked.on_record :]:
                self._owed.append(Owed(batch.turn, batch.conversation.identity, unpaid))
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
            return await self._fail(batch, error, asked.attempts[asked.on_record :])
        self._metrics.turn_seconds.observe(self._clock.monotonic() - started)
        return 0.0 if batch.working.unhandled else None

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

    def _asked(self, batch: Batch, draft: Draft) -> Asked:
        conversation = batch.conversation
        is_again = batch.reply_id in self._begun
        steady = batch.reading.steady
        journal = StoredSteps(
            self._store, self._clock, batch.reply_id, batch.turn, conversation.id, conversation.identity, steady
        )
        asked = Asked(
            conversation.id, batch.working.past, batch.joined, draft, conversation.identity, journal, is_again
        )
        asked.caller = batch.caller
        asked.is_decision = all(map(is_decision, batch.pressed))
        if (memory := self.memory) is not None and memory.is_on(conversation.agent):
            asked.recall = lambda: memory.recall(conversation.id, batch.read)
        return asked

    async def _act(self, batch: Batch, draft: Draft, asked: Asked) -> Ending:
        action = route(batch)
        if self._preparing is not None and batch.has_files:
            unheard = await self._prepare(self._preparing, batch, asked, is_listening=action is Action.ANSWER)
            if unheard:
                return self._end(batch, "unanswered", unheard)
        match action:
            case Action.RECORD:
                return self._end(batch, "recorded")
            case Action.HEAR:
                ending = self._end(batch, "heard")
                ending.hears = batch.read
                return ending
            case Action.COMMAND:
                return await self._command(batch)
            case Action.NOTE_WISH:
                ending = self._end(batch, "wish", WISH_NOTED)
                ending.ask, ending.is_wish = Ask(Origin.ASKED, "The user asked for a person."), True
                return ending
            case Action.ANSWER:
                return await self._answer_or_ask(batch, draft, asked)

    async def _command(self, batch: Batch) -> Ending:
        """What operators wrote in their room is carried out, and they are told what came of it."""
        told = await self.handing.commanded(batch.conversation, batch.read) if self.handing is not None else ""
        return self._end(batch, "command", told)

    async def _answer_or_ask(self, batch: Batch, draft: Draft, asked: Asked) -> Ending:
        """What a person should see at once is not answered by the agent, if people are there; nor what is asked of memory alone."""
        obeyed = await self.memory.obey(batch.conversation, batch.read) if self.memory is not None else None
        if obeyed is not None:
            ending = self._end(batch, "memory", obeyed.text)
            ending.ask = obeyed.ask
            return Giving.of(ending, obeyed.given) if obeyed.given is not None else ending
        if self.handing is None:
            return await self._answer(batch, draft, asked)
        is_returned = batch.pressed == {RETURNED}
        ask = None if is_returned else await self.handing.before(batch.conversation, batch.read)
        if ask is not None and ask.is_at_once:
            ending = self._end(batch, "handed over", WISH_NOTED)  # said where nothing can begin
            ending.ask, ending.is_wish = ask.ask, True
            return ending
        is_woken = is_returned and all(inbound.message.author is Author.SYSTEM for inbound in batch.read)
        if is_woken and self._agent(batch.conversation).is_local:
            return self._end(batch, "recorded")
        ending = await self._answer(batch, draft, asked)
        if any(contact_in(inbound.message.text) for inbound in batch.read):
            ending.hears = batch.read  # which off hours the agent has asked for
        if ending.ask is None and ask is not None:
            ending.ask = ask.ask
        return ending

    async def _prepare(self, preparing: Preparing, batch: Batch, asked: Asked, *, is_listening: bool) -> str:
        """Fetches what was sent, and writes down what was said. Returns the plain answer where nobody could listen to it."""
        prepared = await preparing.prepare(
            batch.conversation,
            [inbound.message for inbound in batch.read],
            batch.turn,
            is_last_try=batch.is_last_try,
            is_listening=is_listening,
        )
        asked.attempts.extend(prepared.attempts)
        asked.on_record += len(prepared.attempts)
        if prepared.messages:
            batch.renew(prepared.messages)
        return prepared.answer

    async def _answer(self, batch: Batch, draft: Draft, asked: Asked) -> Ending:
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
        reply = self._reply(batch, answer, author, name)
        ending = self._ending(batch, reply, outcome_of(answer), answer, asked.attempts, asked.on_record)
        if self.handing is not None and ending.rules.is_staffed:
            ending.ask = await self.handing.after(batch.conversation, answer, ending.outcome, asked.attempts)
            ending.is_wish = ending.ask is not None and answer.is_person_wished
        return ending

    def _agent(self, conversation: Conversation) -> Agent:
        return self._agents.get(conversation.agent) or self._agents["main"]

    def _end(self, batch: Batch, outcome: str, text: str = "", attempts: Sequence[Attempt] = ()) -> Ending:
        """Without the agent: with a sentence of the house, or with none."""
        reply = self._reply(batch, Answer(text=text), Author.SYSTEM) if text else None
        return self._ending(batch, reply, outcome, attempts=attempts)

    def _reply(self, batch: Batch, answer: Answer, author: Author, name: str = "") -> Message:
        return Message(
            id=batch.reply_id,
            seq=Seq(0),  # assigned by the unit of work
            author=author,
            text=answer.text,
            at_ms=self._clock.now_ms(),
            name=name,
            case=batch.case,
            citations=answer.citations,
            buttons=answer.buttons,
        )

    def _ending(
        self,
        batch: Batch,
        reply: Message | None,
        outcome: str,
        answer: Answer | None = None,
        attempts: Sequence[Attempt] = (),
        on_record: int = 0,
    ) -> Ending:
        channel = self._channels.get(channel_at(batch.conversation.address))
        is_deduped = channel is not None and channel.limits.is_deduped
        return Ending(
            turn=batch.turn,
            conversation=batch.conversation,
            case=batch.case,
            first=batch.first.message.seq,
            first_id=batch.first.message.id,
            last=batch.last.message.seq,
            count=len(batch.read),
            changed=batch.changed,
            reply=reply,
            parts=() if reply is None or is_deduped else _parts(channel, reply),
            outcome=outcome,
            wants_person=outcome == "wish" or (answer is not None and answer.is_person_wished),
            started_ms=batch.started_ms,
            now_ms=self._clock.now_ms() if reply is None else reply.at_ms,
            trace=trace(batch.read, reply, answer, attempts),
            attempts=attempts[on_record:],
            has_steps=batch.reply_id in self._begun,
            has_actions=self._has_open or self._agent(batch.conversation).dispatcher.has_actions,
            told=answer.told if answer is not None else (),
            is_agents=answer is not None,
            is_card=answer is not None and answer.is_card,
            held=HELD[answer.held[-1].why] if answer is not None and answer.is_held else "",
            sources=sources(reply, answer),
            rules=self.handing.rules if self.handing is not None else UNSTAFFED,
            is_deduped=is_deduped,
        )

    # --- committing ------------------------------------------------------------------------------------------------

    async def _commit(self, ending: Ending) -> Ended:
        if isinstance(ending, Giving):
            return await self._patiently(finish_giving, ending)
        return await self._patiently(finish, ending)

    async def _tell(self, batch: Batch, ending: Ending, ended: Ended) -> bool:
        """The turn was committed: says so. False when a person had taken over: the reply has become a note."""
        self._begun.discard(batch.reply_id)
        self._outcomes["late" if ended.is_late else ending.outcome].inc()
        if ended.reply is None and not ending.is_deduped:
            self._delivery.wake(ending.conversation.address)  # a draft may have to be taken away
        self._tell_handing(ending, ended)
        if ended.is_late:
            self._conversations.forget(ending.conversation.id)
            return False
        replies = () if ended.reply is None else (ended.reply,)
        if ended.begun is not None or ending.hears is not None:
            self._conversations.forget(ending.conversation.id)  # whose owner may have changed
        else:
            self._conversations.handled(batch.working, ended.conversation.last_seq, batch.read, replies)
            if self.memory is not None:
                self.memory.grown(batch.working)
        for message in (*replies, *ended.said):
            await self._delivery.planned(ended.conversation, message)
        return ending.reply is None or ended.reply is not None

    def _tell_handing(self, ending: Ending, ended: Ended) -> None:
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

    async def _patiently(self, unit: Callable[[Cursor, E], Ended], ending: E) -> Ended:
        for wait_s in COMMIT_WAITS_S:
            try:
                return await self._store.run(unit, ending)
            except (StoreUnavailable, Overloaded):
                await self._clock.sleep(wait_s)
        return await self._store.run(unit, ending)

    async def _fail(self, batch: Batch, error: Exception, attempts: Sequence[Attempt]) -> float | None:
        """Counts the failure; the last allowed one makes a dead letter and tells the user."""
        self._conversations.forget(batch.conversation.id)
        reason = f"{type(error).__name__}: {error}"[:500]
        ending = self._end(batch, "dead", APOLOGY, attempts)
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
        self._tell_handing(ending, ended)
        for message in (*((ended.reply,) if ended.reply is not None else ()), *ended.said):
            await self._delivery.planned(ended.conversation, message)
        if ended.reply is None:
            self._delivery.wake(ending.conversation.address)  # a draft may have to be taken away
        return 0.0

    async def _owe(self, batch: Batch, attempts: Sequence[Attempt]) -> None:
        """Model calls of a turn that was not committed have cost something all the same."""
        if any(each.is_call for each in attempts):
            self._owed.append(Owed(batch.turn, batch.conversation.identity, attempts))
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


def _parts(channel: Channel | None, reply: Message) -> tuple[str | None, ...]:
    """The texts that it is sent in; None: whole. Nothing goes to a receiver that asks for what it does not have."""
    if channel is not None and channel.splits is not None:
        return tuple(channel.splits.split(reply.text))
    return (None,)
