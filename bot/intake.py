"""Stage 1: accept one event. One unit of work dedupes, identifies and appends; then the conversation is woken.

Promise: `receive` returns after the commit, and the same event again changes nothing and returns the same answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from bot.accepting import (
    SOLVED,
    Arrival,
    Said,
    Stored,
    accept,
    acknowledge,
    bookmarked,
    change_message,
    change_of,
    choose,
    cleaned,
    end_case,
    end_idle_case,
    keep_bookmark,
    nothing,
    press,
    rate,
    rate_case_of,
)
from bot.channels import Channel, channel_at
from bot.conversations import Conversations
from bot.delivery import Delivery
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.ids import conversation_id, identity_id, message_id
from bot.model import (
    PERSON_BUTTON,
    ROOM,
    Accepted,
    Address,
    Bookmark,
    ButtonPressed,
    CaseEnded,
    CaseId,
    ContactChosen,
    ConversationId,
    Delivered,
    DeliveryReported,
    DraftPosted,
    Event,
    FeedbackGiven,
    ForgetRequested,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PersonRequested,
    Seq,
    TypingSeen,
    changeable,
    value,
)
from bot.people import keeping, linking
from bot.people.graves import Graves
from bot.ports import Clock, Scheduler, Store
from bot.store import records
from bot.telemetry.instruments import Counter
from bot.telemetry.metrics import Metrics
from bot.text import clean

OLDEST_MS = (
    30 * 86_400_000
)  # an event that is older by its platform's time is refused: what it repeats may have been erased
RECEIPTS_EVERY_S = 0.25
LOOK_AGAIN_S = 1.0
IDLE_AT_ONCE = 100

T = TypeVar("T")


@value
class Rules:
    """What intake needs of the config."""

    message_chars: int
    case_idle_ms: int
    agent_for: Callable[[str], str]  # channel -> agent
    quiet_s: Callable[[str], float]  # channel -> seconds of quiet that end a burst
    is_room: Callable[[Address], bool] = lambda at: False  # an operators' room
    touch: Callable[[str], None] = lambda conversation: None  # something was committed
    changed_hands: Callable[[str], None] = lambda conversation: None  # ... that may have to do with a handoff
    typed: Callable[[str], None] = lambda conversation: None  # the user is typing
    disliked: Callable[[ConversationId], Awaitable[None]] | None = None  # an answer was of no use


@changeable
class _Facts:
    """What every message of one account of a channel needs, looked up once."""

    agent: str
    quiet_s: float
    has_window: bool
    may_have_room: bool
    accepted: Counter
    duplicates: Counter


class Intake:
    """Takes events from all adapters."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        scheduler: Scheduler,
        rules: Rules,
        metrics: Metrics,
        channels: Mapping[str, Channel],
        delivery: Delivery | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._scheduler = scheduler
        self._rules = rules
        self._metrics = metrics
        self._channels = channels
        self._delivery = delivery
        self._receipts: dict[ConversationId, Seq] = {}
        self._has_receipts = asyncio.Event()
        self._has_early_changes = True  # until `recall` has looked
        self._facts: dict[str, _Facts] = {}
        self._left: set[asyncio.Task[None]] = set()  # what callers have left behind
        self.graves: Graves | None = None

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        """Takes one event; a bookmark is committed with it, or, where nothing is, by itself. A caller may give up waiting: what is
        committed all the same is worked on all the same."""
        try:
            match event:
                case MessageReceived():
                    return await self._message(event, bookmark)
                case Delivered(at, seq):
                    return self._delivered(at, seq)
            return await self._rare(event, bookmark)
        except asyncio.CancelledError:
            left = asyncio.get_running_loop().create_task(self._look_after(event.at))
            self._left.add(left)
            left.add_done_callback(self._left.discard)
            raise

    async def _look_after(self, at: Address) -> None:
        """Once everything that was handed over is committed or not: there may be work, of which nobody was told."""
        conversation = conversation_id(at)
        while not await self._has_settled():
            await self._clock.sleep(LOOK_AGAIN_S)
        self._conversations.forget(conversation)
        self._scheduler.wake(conversation)
        if self._delivery is not None:
            self._delivery.wake(at)

    async def _has_settled(self) -> bool:
        try:
            await self._store.run(nothing)
        except (StoreUnavailable, Overloaded):
            return False
        return True

    async def _rare(self, event: Event, bookmark: Bookmark | None) -> Accepted:
        match event:
            case TypingSeen(at):
                self._scheduler.wait_longer(conversation_id(at), self._of(at).quiet_s)
                self._rules.typed(conversation_id(at))
                return Accepted()
            case ButtonPressed():
                return await self._pressed(event, bookmark)
        return await self._rarer(event, bookmark)

    async def _rarer(self, event: Event, bookmark: Bookmark | None) -> Accepted:
        match event:
            case PersonRequested():
                facts = self._of(event.at)
                arrival = self._arrival(event, facts, f"press:{PERSON_BUTTON.id}", PERSON_BUTTON.label, "", 0)
                return await self._store_message(accept, event, arrival, facts, bookmark)
            case ContactChosen():
                return await self._chosen(event, bookmark)
            case FeedbackGiven():
                return await self._rated(event, bookmark)
            case CaseEnded(_, at):
                return await self._case_ended(at, bookmark)
            case MessageEdited() | MessageDeleted():
                return await self._changed(event, bookmark)
            case ForgetRequested():
                await self._forget(event)
            case DraftPosted() | DeliveryReported() if self._delivery is not None:
                await self._delivery.receive(event)
        if bookmark is not None:
            await self.keep(event.at, bookmark)
        return Accepted()

    async def keep(self, at: Address, bookmark: Bookmark) -> None:
        """Stores a bookmark of this account by itself."""
        await self._store.run(keep_bookmark, at, bookmark, self._clock.now_ms())

    def _run(self, at: Address, bookmark: Bookmark | None, unit: Callable[..., T], *args: object) -> Awaitable[T]:
        if bookmark is None:
            return self._store.run(unit, *args)
        return self._store.run(bookmarked, at, bookmark, self._clock.now_ms(), unit, args)

    def reread(self) -> None:
        """Other settings of channels: what was looked up of them is looked up again."""
        self._facts.clear()

    async def recall(self) -> None:
        """At a start: whether edits wait for messages that have not come yet; where none do, nobody looks for them."""
        self._has_early_changes = bool(await self._store.read(records.HAS_EARLY_CHANGES))
        if self.graves is not None:
            await self.graves.recall(self._store.read)

    async def record_receipts(self) -> None:
        """Writes receipts down in batches, forever; nobody waits for them, and a lost one is only sent again."""
        while True:
            await self._has_receipts.wait()
            await self._clock.sleep(RECEIPTS_EVERY_S)
            await self.flush_receipts()

    async def flush_receipts(self) -> None:
        """Those that cannot be written now wait for the next."""
        self._has_receipts.clear()
        receipts, self._receipts = self._receipts, {}
        if not receipts:
            return
        try:
            await self._store.run(acknowledge, receipts)
        except (StoreUnavailable, Overloaded):
            self._receipts = receipts | self._receipts

    # --- one kind of event each ------------------------------------------------------------------------------------

    def _message(self, event: MessageReceived, bookmark: Bookmark | None) -> Awaitable[Accepted]:
        if event.sent_at_ms and self._clock.now_ms() - event.sent_at_ms > OLDEST_MS:
            raise Refused("too_old", "This message is more than 30 days old.")
        if len(event.text) > self._rules.message_chars:
            raise Refused("too_long", f"Please keep a message under {self._rules.message_chars} characters.")
        text, raw_hash = cleaned(event.text)
        if not text.strip() and not event.attachments and not event.files:
            raise Refused("empty", "The message is empty.")
        facts = self._of(event.at)
        wish = None if facts.may_have_room and self._rules.is_room(event.at) else linking.wish_of(text)
        if wish is not None:
            text, raw_hash = wish.text, raw_hash if wish.text == text else ""
        arrival = self._arrival(event, facts, "message", text, raw_hash, event.sent_at_ms)
        if wish is not None:
            return self._link(event, arrival, wish, bookmark)
        return self._store_message(accept, event, arrival, facts, bookmark)

    async def _link(
        self, event: MessageReceived, arrival: Arrival, wish: linking.Wish, bookmark: Bookmark | None
    ) -> Accepted:
        """A message about the person's accounts: it is answered at once, and no model reads it."""
        done = await self._run(event.at, bookmark, linking.take, event, arrival, wish, linking.new_code())
        for at in {event.at, done.told.address if done.told is not None else event.at}:
            self._conversations.changed(conversation_id(at))
            self._rules.touch(conversation_id(at))
            if self._delivery is not None:
                self._delivery.wake(at)
        return done.stored.accepted

    async def _pressed(self, event: ButtonPressed, bookmark: Bookmark | None) -> Accepted:
        if event.button in SOLVED:
            return await self._run(event.at, bookmark, rate_case_of, event, conversation_id(event.at))
        once = replace(event, external_id=f"press:{event.message}:{event.button}")  # however often, by whatever event
        facts = self._of(event.at)
        arrival = self._arrival(once, facts, f"press:{event.button}", "", "", 0)
        return await self._store_message(press, once, arrival, facts, bookmark)

    async def _chosen(self, event: ContactChosen, bookmark: Bookmark | None) -> Accepted:
        arrival = self._arrival(event, self._of(event.at), f"choice:{event.choice}", clean(event.text), "", 0)
        stored = await self._run(event.at, bookmark, choose, event, arrival)
        self._conversations.forget(arrival.conversation)
        if self._delivery is not None:
            self._delivery.wake(event.at)
        return stored.accepted

    def _arrival(self, event: Said, facts: _Facts, kind: str, text: str, raw_hash: str, sent_ms: int) -> Arrival:
        conversation = conversation_id(event.at)
        identity = identity_id(event.sender.channel, event.sender.account, event.sender.external_id)
        return Arrival(
            message_id(conversation, event.external_id),
            conversation,
            identity,
            identity,  # until identities are linked, each is a user of its own
            facts.agent,
            event.external_id,
            kind,
            text,
            raw_hash,
            self._clock.now_ms(),
            sent_ms,
            self._rules.case_idle_ms,
            self._has_early_changes,
            facts.has_window,
            ROOM if facts.may_have_room and self._rules.is_room(event.at) else "",
            self.graves,
        )

    def _of(self, at: Address) -> _Facts:
        key = channel_at(at)
        facts = self._facts.get(key)
        if facts is None:
            rules, metrics, channel = self._rules, self._metrics, self._channels.get(key)
            accepted, duplicates = metrics.accepted.of(at.channel), metrics.duplicates.of(at.channel)
            has_window = channel is not None and channel.limits.window_s > 0
            has_room = channel is not None and channel.has_room is not None
            facts = _Facts(rules.agent_for(key), rules.quiet_s(key), has_window, has_room, accepted, duplicates)
            self._facts[key] = facts
        return facts

    async def _store_message(
        self, unit: Callable[..., Stored], event: Said, arrival: Arrival, facts: _Facts, bookmark: Bookmark | None
    ) -> Accepted:
        started = self._clock.monotonic()
        stored = await self._run(event.at, bookmark, unit, event, arrival)
        self._metrics.ack_seconds.observe(self._clock.monotonic() - started)
        if stored.inbound is None or stored.conversation is None:
            facts.duplicates.inc()
            return stored.accepted
        self._conversations.arrived(stored.conversation, stored.inbound, is_new=stored.is_new)
        if stored.is_stale:
            self._conversations.forget(arrival.conversation)
        facts.accepted.inc()
        self._scheduler.wake(arrival.conversation, 0.0 if arrival.conversation_kind else facts.quiet_s)
        self._rules.touch(arrival.conversation)
        if stored.has_released and self._delivery is not None:
            self._delivery.wake(event.at)
        return stored.accepted

    async def _rated(self, event: FeedbackGiven, bookmark: Bookmark | None) -> Accepted:
        conversation = conversation_id(event.at)
        accepted = await self._run(event.at, bookmark, rate, event, conversation)
        self._rules.touch(conversation)
        if event.value == "down" and accepted.message and self._rules.disliked is not None:
            await self._rules.disliked(conversation)
        return accepted

    def _delivered(self, at: Address, seq: Seq) -> Accepted:
        conversation = conversation_id(at)
        if self._receipts.get(conversation, 0) < seq:
            self._receipts[conversation] = seq
            self._has_receipts.set()
        return Accepted()

    async def _case_ended(self, at: Address, bookmark: Bookmark | None) -> Accepted:
        conversation = conversation_id(at)
        within_s = self._asks_within_s(at)
        accepted = await self._run(at, bookmark, end_case, conversation, self._clock.now_ms(), within_s)
        await self._ended(at, accepted.case)
        return accepted

    def _asks_within_s(self, at: Address) -> float | None:
        """Whether a message asks if a case was solved: None: none does; else how long after the person's last message it may (0: always)."""
        channel = self._channels.get(channel_at(at))
        if channel is None or channel.shows_case is not None or channel.limits.is_deduped:
            return None
        return channel.limits.window_s

    async def _ended(self, at: Address, case: CaseId) -> None:
        self._conversations.forget(conversation_id(at))
        self._rules.changed_hands(conversation_id(at))
        channel = self._channels.get(channel_at(at))
        if not case or channel is None:
            return
        if channel.shows_case is not None:
            await channel.shows_case.case_ended(at, case)
        elif self._delivery is not None:
            self._delivery.wake(at)

    async def end_idle_cases(self) -> int:
        """Ends the cases in which nothing was said for `case_idle_ms`, and asks whether they were solved. Returns how many."""
        now = self._clock.now_ms()
        rows = await self._store.read(
            records.IDLE_CASES, {"before": now - self._rules.case_idle_ms, "limit": IDLE_AT_ONCE}
        )
        for case, conversation in rows:
            found = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
            at = records.conversation_of(found[0]).address
            within_s = self._asks_within_s(at)
            ended = await self._store.run(end_idle_case, case, conversation, now, self._rules.case_idle_ms, within_s)
            await self._ended(at, ended)
        return len(rows)

    async def _changed(self, event: MessageEdited | MessageDeleted, bookmark: Bookmark | None) -> Accepted:
        self._has_early_changes = True
        change = change_of(event, self._clock.now_ms(), self.graves)
        async with self._conversations.changing(change.conversation):
            try:
                is_changed = await self._run(event.at, bookmark, change_message, change)
            except asyncio.CancelledError:
                self._conversations.changed(change.conversation)  # the unit is not undone by it
                raise
            if is_changed:
                self._conversations.changed(change.conversation)
                self._rules.changed_hands(change.conversation)
        return Accepted(change.message)

    async def _forget(self, event: ForgetRequested) -> None:
        """Everything this identity said is blanked, unless it must be kept, and then used for nothing; a turn that has read it ends."""
        who = event.sender
        identity = identity_id(who.channel, who.account, who.external_id)
        now = self._clock.now_ms()
        try:
            changed = await self._store.run(keeping.forget_unless_held, identity, now)
        except asyncio.CancelledError:
            self._conversations.changed_all()  # the unit is not undone by it
            raise
        for conversation in changed:
            self._conversations.changed(conversation)
            self._rules.changed_hands(conversation)
        if self._delivery is not None:
            await self._delivery.take_up()
