"""The operators' desk: everything that a person on our side does, from wherever, and everything that time does to a handoff.

Promises: a command is carried out once for its key, in one unit of work; after the commit the running turn of the agent ends at its next
step, what was written is on its way, and all who look are told.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bot import ids
from bot.channels import Channel, channel_at
from bot.config.handoff_schema import Canned
from bot.conversations import Conversations
from bot.deciding import Deciding
from bot.delivery import Delivery
from bot.errors import FrontdeskError, Refused
from bot.handoff import timers, timing
from bot.handoff.brief import brief_of
from bot.handoff.briefing import Briefing
from bot.handoff.commands import Command, Kind, help_text
from bot.handoff.feed import Feed
from bot.handoff.names import shown
from bot.handoff.orders import Done, Order, allowed, carry_out
from bot.handoff.proposing import Proposals
from bot.handoff.requests import Ask, Begun, begin
from bot.handoff.rules import UNSTAFFED, Rules
from bot.handoff.until import until
from bot.model import Attachment, CaseId, Conversation, ConversationId, Message, Visibility, value
from bot.operators.operator import Operator, Presence
from bot.operators.people import Operators
from bot.operators.roles import Right
from bot.people.masking import masked
from bot.ports import Clock, Cursor, Scheduler, Store
from bot.store import handoffs, records
from bot.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
DUE_AT_ONCE: Final = 200
ARMED_AT_ONCE: Final = 50
TEXT_CHARS: Final = 16_000
_DECIDING: Final = {
    Kind.APPROVE: "approve",
    Kind.REFUSE: "refuse",
    Kind.HAPPENED: "happened",
    Kind.DID_NOT: "did-not",
    Kind.MINE: "mine",
}
_ASIDE: Final = frozenset({Kind.HELP, Kind.ONLINE, Kind.AWAY, Kind.SUMMARISE, Kind.PEEK})
_NAME: Final = "SELECT name FROM identities WHERE id = :id"
_DROP: Final = "UPDATE suggestions SET outcome = 'dropped', ended_ms = :now WHERE id = :id AND outcome = '' AND operator = :operator"


@value
class Told:
    """What the operator is told. `message`, `suggestion`: ids of what was written or proposed."""

    text: str
    warning: str = ""
    message: str = ""
    suggestion: str = ""


class Desk:
    """`rules()`: of the config, as they are now. `asks_within_s(conversation)`: see `bot.accepting.close_case`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        scheduler: Scheduler,
        delivery: Delivery,
        channels: Mapping[str, Channel],
        operators: Operators,
        deciding: Deciding,
        briefing: Briefing,
        feed: Feed,
        metrics: Metrics,
        rules: Callable[[], Rules],
        canned: Callable[[], Sequence[Canned]],
        asks_within_s: Callable[[Conversation], float | None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._scheduler = scheduler
        self._delivery = delivery
        self._channels = channels
        self._operators = operators
        self._deciding = deciding
        self._briefing = briefing
        self._metrics = metrics
        self._canned = canned
        self._asks_within_s = asks_within_s
        self._rules = rules
        self.feed = feed
        self.is_staffed = False
        self._made_of: Rules = UNSTAFFED
        self._made: Rules = UNSTAFFED
        self._proposals = Proposals(store, clock, feed, briefing, self._found)
        self._left: set[asyncio.Task[Done]] = set()  # what is being carried out, whether or not its caller still waits

    @property
    def rules(self) -> Rules:
        """As they are now. Asked for by every turn, so made anew only when something has changed."""
        of_config = self._rules()
        if of_config is not self._made_of or self._made.is_staffed is not self.is_staffed:
            self._made_of = of_config
            self._made = replace(of_config, is_staffed=self.is_staffed)
        return self._made

    # --- what operators do ---------------------------------------------------------------------------------------------

    async def act(
        self,
        operator: Operator,
        conversation: ConversationId,
        command: Command,
        *,
        key: str = "",
        attachments: Sequence[Attachment] = (),
        suggestion: str = "",
        via: str = "",
        account: str = "",
        case: str = "",
    ) -> Told:
        """Carries one command out. The same key of the same operator again gives the same answer and changes nothing. A caller may give up
        waiting: what is committed all the same is sent and told all the same. Raises Refused with a plain sentence."""
        if len(command.text) > TEXT_CHARS:
            raise Refused("too_long", f"Please keep it under {TEXT_CHARS} characters.")
        key = ids.derived_id("command", operator.id, conversation, key or ids.new_id(self._clock.now_ms()))
        if command.kind in _DECIDING:
            return await self._decide(operator, command, account, key)
        if command.kind is Kind.SUGGEST:
            proposed = await self._proposals.propose(operator.id, conversation, key)
            return Told(proposed.text, proposed.sources, suggestion=proposed.id)
        if command.kind in _ASIDE:
            return await self._aside(operator, conversation, command)
        found = await self._found(conversation)
        order = await self._order(operator, found, command, key)
        order = replace(
            order, attachments=tuple(attachments), suggestion=suggestion, via=via, account=account, case=case
        )
        carried = asyncio.create_task(self._carry(found, order))
        self._left.add(carried)
        carried.add_done_callback(self._carried)
        done = await asyncio.shield(carried)
        return Told(done.text, done.warning, done.message)

    def _carried(self, task: "asyncio.Task[Done]") -> None:
        """Whoever gave up waiting does not hear why it came to nothing."""
        self._left.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Refused):
            log.info("a command came to nothing: %s", error)

    async def _carry(self, found: Conversation, order: Order) -> Done:
        done = await self._store.run(carry_out, order, self.rules)
        if done.is_again:
            await self._again(found, done.message)
            return done
        await self._after(found, done.messages, done.ended)
        if done.wakes_agent:
            self._scheduler.wake(found.id)
        return done

    async def _again(self, found: Conversation, written: str) -> None:
        """The first time may have ended before anything of it was sent: what waits is looked after once more."""
        for row in await self._store.read(records.MESSAGE_BY_ID, {"id": written, "conversation": found.id}):
            message = records.message_of(row)
            if message.visibility is Visibility.PUBLIC:
                await self._delivery.planned(found, message)
        self._delivery.wake(found.address)
        self._scheduler.wake(found.id)

    async def typing(self, operator: Operator, conversation: ConversationId) -> None:
        """The operator is typing: shown to the user where they have the conversation."""
        found = await self._found(conversation)
        channel = self._channel(found)
        if found.owner == operator.id and channel is not None:
            if channel.shows_owner is not None:
                await channel.shows_owner.typing_as(found.address, shown(operator.name))
            elif channel.typing is not None:
                await channel.typing.typing(found.address)

    async def drop(self, operator: Operator, suggestion: str) -> None:
        """The operator does not want what was proposed."""
        values = {"id": suggestion, "operator": operator.id, "now": self._clock.now_ms()}
        await self._store.run(lambda cursor: cursor.execute(_DROP, values))

    async def _order(self, operator: Operator, found: Conversation, command: Command, key: str) -> Order:
        channel = self._channel(found)
        if command.kind is Kind.CANNED:
            command = Command(Kind.CANNED, await self._filled(operator, found, command.text))
        command = replace(command, text=masked(command.text))
        now = self._clock.now_ms()
        return Order(
            key,
            operator.id,
            found.id,
            command,
            now,
            parts=self._parts(channel, operator, command.text),
            is_deduped=channel is not None and channel.limits.is_deduped,
            window_s=channel.limits.window_s if channel is not None else 0.0,
            asks_within_s=self._asks_within_s(found),
            until_ms=until(command.text, now, self.rules.hours.zone) if command.kind is Kind.SNOOZE else 0,
        )

    def _parts(self, channel: Channel | None, operator: Operator, text: str) -> tuple[str | None, ...]:
        """As the channel sends it: with the person's name, where it cannot show names by itself."""
        if channel is not None and channel.limits.is_deduped:
            return ()
        named = f"**{shown(operator.name)}:** {text}" if text else f"**{shown(operator.name)}**"
        return tuple(channel.splits.split(named)) if channel is not None and channel.splits is not None else (named,)

    async def _filled(self, operator: Operator, found: Conversation, name: str) -> str:
        by_name = {each.name: each for each in self._canned()}
        canned = by_name.get(name.strip().lower())
        if canned is None or (canned.channels and found.address.channel not in canned.channels):
            known = ", ".join(each.name for each in by_name.values()) or "none yet: see [[handoff.canned]]"
            raise Refused("no_canned", f"There is no prepared reply {name!r} here ({known}).")
        rows = await self._store.read(_NAME, {"id": found.identity})
        filled = {"operator": shown(operator.name), "case": found.case[:8], "user": rows[0][0] if rows else ""}
        text = canned.text
        for place, value_ in filled.items():
            text = text.replace(f"{{{place}}}", value_)
        return text

    async def _decide(self, operator: Operator, command: Command, account: str, key: str) -> Told:
        decision, name, why = _DECIDING[command.kind], operator.name, command.text
        if command.kind in (Kind.APPROVE, Kind.REFUSE):
            is_yes = command.kind is Kind.APPROVE
            came = await self._deciding.consent(command.id, is_yes=is_yes, name=name, account=account, why=why, key=key)
            return Told(f"The consent is {came}.")
        came = await self._deciding.unknown(command.id, decision, name=name, account=account, why=why, key=key)
        return Told(f"Recorded: {came}.")

    async def _aside(self, operator: Operator, conversation: ConversationId, command: Command) -> Told:
        """What changes nothing about the conversation."""
        if command.kind is Kind.HELP:
            return Told(help_text())
        if command.kind in (Kind.ONLINE, Kind.AWAY):
            presence = Presence.ONLINE if command.kind is Kind.ONLINE else Presence.AWAY
            await self._operators.set_presence(operator.name, presence)
            return Told(
                "You are online: conversations come to you." if presence is Presence.ONLINE else "You are away."
            )
        await self._store.run(allowed, operator.id, command.kind)
        found = await self._found(conversation)
        if command.kind is Kind.PEEK:
            return Told(await self._briefing.peek(found))
        return Told(await self._briefing.summary(found))

    # --- what else begins a handoff --------------------------------------------------------------------------------------

    async def ask(self, conversation: ConversationId, ask: Ask, key: str) -> bool:
        """Asks for a person outside a turn (feedback, an operator's queue). False where nothing has begun."""
        found = await self._found(conversation)
        channel = self._channel(found)
        is_deduped = channel is not None and channel.limits.is_deduped
        now = self._clock.now_ms()

        def unit(cursor: Cursor) -> Begun | None:
            rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})
            asked_in = records.conversation_of(rows[0])
            told = replace(ask, brief=brief_of(cursor, conversation, asked_in.case, ask.reason))
            return begin(cursor, asked_in, told, self.rules, now, key, is_deduped=is_deduped)

        begun = await self._store.run(unit)
        if begun is not None:
            await self._after(found, [begun.announcement] if begun.announcement else [])
            self._briefing.begun(begun.record)
        return begun is not None

    # --- time --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lets the timers act and offers what waits, until cancelled."""
        is_armed = False  # as the config has it now; it may have been another when they were set
        while True:
            try:
                if not is_armed:
                    await self.rearm()
                    is_armed = True
                await self.tick()
            except FrontdeskError as error:
                log.warning("timers of handoffs: %s", error)
            await self._clock.sleep(TICK_S)

    async def tick(self) -> None:
        """One round."""
        self.is_staffed = any(each.may(Right.REPLY) for each in await self._operators.all())
        now = self._clock.now_ms()
        for handoff, kind, since_ms, _ in await self._store.read(
            handoffs.DUE_TIMERS, {"now": now, "limit": DUE_AT_ONCE}
        ):
            await self._due(handoff, kind, since_ms)
        if self._rules().assignment != "claim":
            await self._offer()

    async def rearm(self) -> None:
        """The timers of all open handoffs as the rules have them now."""
        opened = [row[0] for row in await self._store.read(handoffs.OPEN_IDS)]
        for at in range(0, len(opened), ARMED_AT_ONCE):
            await self._store.run(timing.rearm, opened[at : at + ARMED_AT_ONCE], self.rules)

    async def _due(self, handoff: str, kind: str, since_ms: int) -> None:
        rows = await self._store.read(handoffs.HANDOFF_BY_ID, {"id": handoff})
        if not rows:
            return  # erased meanwhile
        found = await self._found(rows[0][1])
        channel = self._channel(found)
        is_deduped = channel is not None and channel.limits.is_deduped
        acted = await self._store.run(
            timing.act,
            handoff,
            kind,
            since_ms,
            self.rules,
            self._clock.now_ms(),
            is_deduped,
            self._asks_within_s(found),
        )
        if acted is None:
            return
        if acted.missed:
            self._metrics.missed.of(acted.missed).inc()
        is_left_alone = kind in timers.PROMISES
        await self._after(found, acted.messages, acted.ended, is_quiet=is_left_alone)

    async def _offer(self) -> None:
        """Nothing is looked through while nobody waits or nobody is there: most of the time the queue stands still."""
        people = await self._operators.all()
        if not any(each.presence is Presence.ONLINE and each.may(Right.REPLY) for each in people):
            return
        if not await self._store.read(handoffs.IS_QUEUED):
            return
        for handoff in await self._store.run(timing.offerable, self.rules):
            offered = await self._store.run(timing.assign, handoff, self.rules, self._clock.now_ms())
            if offered:
                self.feed.touch(offered, is_handoff=True)

    # --- after a commit ------------------------------------------------------------------------------------------------------

    async def _after(
        self, found: Conversation, messages: Sequence[Message], ended: str = "", *, is_quiet: bool = False
    ) -> None:
        """The agent's running turn ends, what was written goes out, whoever looks is told."""
        if not is_quiet:
            self._conversations.changed(found.id)
        for message in messages:
            await self._delivery.planned(found, message)
        channel = self._channel(found)
        if ended and channel is not None:
            if channel.shows_case is not None:
                await channel.shows_case.case_ended(found.address, CaseId(ended))
            else:
                self._delivery.wake(found.address)
        self.feed.touch(found.id, is_handoff=True)

    async def _found(self, conversation: str) -> Conversation:
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
        if not rows:
            raise Refused("no_conversation", "There is no such conversation (any more).")
        return records.conversation_of(rows[0])

    def _channel(self, found: Conversation) -> Channel | None:
        return self._channels.get(channel_at(found.address))
