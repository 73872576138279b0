"""Stage 3: send unsent messages in order; split, retry, reconcile, record the receipt.

    planned ──commit──▶ sending ──receipt──▶ sent
       ▲                  │  │
       └──refused, later──┘  └──cut off, or the process ended──▶ unknown ──found──▶ sent
                                                                   │ ├──certainly not there──▶ planned
       refused for good, too old, always cut off ──▶ dead          │ └──cannot tell──▶ held, for an operator

Promises: `sending` is durable before a request leaves; what may have arrived is never sent again before the platform was asked; parts go
out in order, and a hole in an answer closes it with one notice. A channel whose receiver dedupes and acknowledges (`Limits.is_deduped`)
is simply handed each message, and handed it again when it comes back.

What is shown of an answer before it is a message (its draft) has a row of its own, durable before it is shown; the answer takes that row
over and is put in the draft's place, which may be repeated, or the draft is taken away. Outside a channel's window (`Limits.window_s`), and
to a person who does not want it, nothing is sent, whoever wrote it: the unit of work that marks a row `sending` decides.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum, auto

from bot import ids
from bot.channels import Channel, channel_at, key_of
from bot.errors import Overloaded, SendError, SendRefused, SendUncertain, StoreUnavailable, WindowClosed
from bot.ids import conversation_id
from bot.model import (
    AGENT_OWNER,
    QUEUE_OWNER,
    Address,
    Author,
    Conversation,
    ConversationId,
    DeliveryReported,
    DeliveryStatus,
    DraftPosted,
    Message,
    MessageId,
    OutboxState,
    Seq,
    value,
)
from bot.ports import Clock, Cursor, Drafts, Receipt, Reconciles, Row, Store, Value
from bot.scheduler import TurnScheduler
from bot.store import records
from bot.telemetry.metrics import Metrics
from bot.tools.consent import is_decision

log = logging.getLogger(__name__)

SEND_S = 30.0  # longest wait for one request
TRIES = 6
LOOKUPS = 5
WAITS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
HOLE_NOTICE = "The rest of this answer could not be delivered."
HOLE_PART = 10_000  # the part number of that notice: after every other
TEMPLATE_PART = 20_000  # that of the form which tells a person outside the window that a message waits
NO_PERIOD_S = float("inf")
ROOM_KEEPS_S = 86_400.0  # operators' rooms are brought up to date although their platform was down for hours
ROWS_AT_ONCE = 50
RECORD_WAITS_S = (0.1, 0.3, 1.0, 2.0)  # what became of a request is not forgotten for a busy disk
_ONCE = records.ADD_OUTBOX + " ON CONFLICT (message_id, part) DO NOTHING"


@value
class Part:
    """One outbox row with what is to be sent. `role`: see the table."""

    message: Message
    part: int
    state: OutboxState
    attempts: int
    due_ms: int
    attempted_ms: int
    role: str = ""
    was_held: bool = False

    @property
    def key(self) -> dict[str, Value]:
        return {"message": self.message.id, "part": self.part}


class May(Enum):
    """Whether a row may be sent now."""

    GO = auto()
    GONE = auto()  # it is not planned any more
    CLOSED = auto()  # outside the channel's window
    UNWANTED = auto()  # the person has said so
    TAKEN_OVER = auto()  # it is the agent's, and a person has the conversation now
    FORGOTTEN = auto()  # what it said is gone


_DROPPED = {
    May.UNWANTED: "the person does not want to be written to",
    May.TAKEN_OVER: "a person had taken over before it could be sent",
    May.FORGOTTEN: "the person asked to be forgotten",
}


class Delivery:
    """Sends each conversation's messages in order, conversations side by side, each channel in a lane of its own: a platform that
    hangs delays nobody else's."""

    def __init__(
        self, store: Store, clock: Clock, channels: Mapping[str, Channel], metrics: Metrics, *, at_once: int = 200
    ) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._metrics = metrics
        self._at_once = at_once
        self._lanes: dict[str, TurnScheduler] = {}
        self.on_shown: Callable[[str], None] = lambda room: None  # something stands in an operators' room now
        self._lookups = Counter[tuple[MessageId, int]]()  # that have failed, of parts whose fate is unknown

    async def planned(self, conversation: Conversation, message: Message) -> None:
        """A message of this conversation was committed with its outbox rows."""
        channel = self._channels.get(channel_at(conversation.address))
        if channel is not None and channel.limits.is_deduped:
            try:
                await self._hand_over(channel, conversation, message)
            except SendError:
                log.info("receiver not there; the message waits for it")
            return
        self.wake(conversation.address)

    def wake(self, at: Address) -> None:
        """There may be something to send to this address."""
        self.wake_id(at, conversation_id(at))

    def wake_id(self, at: Address, conversation: ConversationId) -> None:
        """The same for any conversation of that account."""
        self._lane(channel_at(at)).wake(conversation)

    async def receive(self, event: DraftPosted | DeliveryReported) -> None:
        """Takes what a platform reports of a message, late, repeated and in any order. Raises StoreUnavailable or Overloaded."""
        now = self._clock.now_ms()
        match event:
            case DraftPosted():
                is_open = await self._store.run(posted, event)
            case DeliveryReported():
                channel = self._channels.get(channel_at(event.at))
                is_open = await self._store.run(reported, event, _has_template(channel), now, ids.new_id(now))
        if is_open:
            self.wake(event.at)

    async def run(self) -> None:
        """Sends, on the channels that there are now, until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            for name in self._channels:
                lanes.create_task(self._lane(name).run())

    async def recover(self) -> None:
        """At a start: what was being sent when the process ended is unknown now; everything open is taken up again."""
        await self._store.run(interrupted, self._clock.now_ms())
        await self.take_up()

    async def take_up(self) -> None:
        """Wakes every conversation that something is to be sent to."""
        for conversation, channel, account in await self._store.read(records.OPEN_OUTBOX_CONVERSATIONS):
            key = key_of(channel, account)
            if key in self._channels:
                self._lane(key).wake(conversation)

    def running(self) -> int:
        """Conversations that something is being sent to now."""
        return sum(lane.running() for lane in self._lanes.values())

    async def drain(self, seconds: float) -> None:
        """Begins nothing more, and gives what is being sent `seconds`."""
        async with asyncio.TaskGroup() as drains:
            for lane in self._lanes.values():
                drains.create_task(lane.drain(seconds))

    def _lane(self, channel: str) -> TurnScheduler:
        lane = self._lanes.get(channel)
        if lane is None:
            lane = self._lanes[channel] = TurnScheduler(self._deliver, self._clock, at_once=self._at_once)
        return lane

    # --- one conversation ------------------------------------------------------------------------------------------

    async def _deliver(self, conversation_id: str) -> float | None:
        try:
            return await self._deliver_open(ConversationId(conversation_id))
        except (StoreUnavailable, Overloaded):
            return WAITS_S[0]

    async def _deliver_open(self, conversation_id: ConversationId) -> float | None:
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation_id})
        if not rows:
            return None
        conversation = records.conversation_of(rows[0])
        channel = self._channels.get(channel_at(conversation.address))
        if channel is None:
            return None
        if channel.limits.is_deduped:
            await self._show_open(channel, conversation)
            return None
        if (later_s := await self._take_away(channel, conversation)) is not None:  # which holds no message back
            self._clock.call_later(later_s, lambda: self.wake(conversation.address))
        opened = await self._store.read(records.OPEN_OUTBOX, {"conversation": conversation_id, "limit": ROWS_AT_ONCE})
        for row in opened:
            part = part_of(row)
            wait_s = (part.due_ms - self._clock.now_ms()) / 1000
            if (
                wait_s > 0 and part.attempted_ms
            ):  # nothing is put off the first time: a clock that was set back does not count
                return min(wait_s, WAITS_S[-1])
            if not await self._settle(channel, conversation, part):
                return 0.0  # what is open has changed: look again
        return 0.0 if opened else None

    async def _show_open(self, channel: Channel, conversation: Conversation) -> None:
        """Where the receiver asks for what it does not have, each message is handed over once and waits for nobody."""
        for row in await self._store.read(
            records.OPEN_OUTBOX, {"conversation": conversation.id, "limit": ROWS_AT_ONCE}
        ):
            part = part_of(row)
            if await self._store.run(begin, conversation.id, part, self._clock.now_ms()) is May.FORGOTTEN:
                await self._record(drop, part, _DROPPED[May.FORGOTTEN], self._clock.now_ms())
                continue
            await self.planned(conversation, part.message)
            await self._record(sent, part, Receipt(""), self._clock.now_ms())

    async def _settle(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        """One step for one part. True when it is sent, so that the next may follow."""
        if part.state is not OutboxState.PLANNED:
            return await self._reconcile(channel, conversation, part)
        age_s = (self._clock.now_ms() - part.message.at_ms) / 1000
        is_fresh = (
            part.attempts or part.was_held or part.part == HOLE_PART or part.message.replaces or conversation.kind
        )
        if age_s > channel.limits.max_age_s and not is_fresh:
            await self._give_up(
                conversation, part, f"older than {channel.limits.max_age_s:.0f} s when it could be sent"
            )
            return False
        return await self._send(channel, conversation, part)

    async def _send(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        now = self._clock.now_ms()
        may = await self._store.run(begin, conversation.id, part, now, channel.limits.window_s)
        if may is not May.GO:
            await self._may_not(channel, conversation, part, may)
            return False
        try:
            async with self._clock.timeout(SEND_S):
                receipt = await self._hand_over(channel, conversation, part.message, part.role)
        except WindowClosed as error:
            await self._hold_for_window(channel, conversation, part, str(error))
            return False
        except SendRefused as error:
            await self._refused(channel, conversation, part, error)
            return False
        except (SendUncertain, TimeoutError) as error:
            await self._mark(part, OutboxState.SENDING, OutboxState.UNKNOWN, WAITS_S[0], str(error))
            return False
        await self._record(sent, part, receipt, self._clock.now_ms())
        if conversation.kind:
            self.on_shown(conversation.id)
        return True

    async def _may_not(self, channel: Channel, conversation: Conversation, part: Part, may: May) -> None:
        if may is May.CLOSED:
            hours = channel.limits.window_s / 3600
            await self._hold_for_window(channel, conversation, part, f"the person has not written for {hours:g} hours")
        elif may in _DROPPED:
            await self._record(drop, part, _DROPPED[may], self._clock.now_ms())

    async def _hold_for_window(self, channel: Channel, conversation: Conversation, part: Part, reason: str) -> None:
        """Nobody can send free text now: the message waits until the person writes, and a form tells them once that it does."""
        has_template = _has_template(channel)
        self._metrics.incidents.of("window closed").inc()
        now = self._clock.now_ms()
        await self._record(hold_for_window, conversation, part, reason[:500], has_template, now, ids.new_id(now))

    async def _take_away(self, channel: Channel, conversation: Conversation) -> float | None:
        """Withdraws what is still shown of answers that are none. Returns seconds when one has to wait."""
        waits: list[float] = []
        for row in await self._store.read(records.OPEN_WITHDRAWALS, {"conversation": conversation.id}):
            left_s: float | None = (row[4] - self._clock.now_ms()) / 1000
            if left_s is None or left_s <= 0:
                left_s = await self._withdraw(channel, conversation, row)
            if left_s is not None:
                waits.append(min(left_s, WAITS_S[-1]))
        return min(waits, default=None)

    async def _withdraw(self, channel: Channel, conversation: Conversation, row: Row) -> float | None:
        """None when it is done, else the seconds until the next try."""
        draft = Part(draft_of(row[0]), 0, OutboxState.PLANNED, row[3], 0, row[2] or 0)
        try:
            async with self._clock.timeout(SEND_S):
                shown_as = row[1]
                if not shown_as and channel.reconciles is not None:
                    found = await self._look_up(channel.reconciles, conversation, draft)
                    shown_as = found.external_id if found else ""
                if channel.drafts is not None:
                    await self._take_back(channel.drafts, conversation, draft, shown_as)
        except (SendError, TimeoutError) as error:
            put_off_s = error.retry_after_s if isinstance(error, SendRefused) and error.is_retryable else None
            if put_off_s is not None or draft.attempts + 1 < TRIES:
                wait_s = WAITS_S[min(draft.attempts, len(WAITS_S) - 1)] if put_off_s is None else put_off_s
                due = self._clock.now_ms() + round(wait_s * 1000)
                values: dict[str, Value] = {**draft.key, "due": due, "error": str(error)[:500]}
                await self._record(execute, records.COUNT_LOOKUP if put_off_s is None else records.WAIT, values)
                return wait_s
        await self._mark(draft, OutboxState.PLANNED, OutboxState.DEAD, 0.0, "withdrawn")
        return None

    async def _take_back(self, drafts: Drafts, conversation: Conversation, draft: Part, shown_as: str) -> None:
        """The same boundary for a withdrawal."""
        try:
            await drafts.withdraw(conversation.address, draft.message.id, shown_as)
        except (SendError, TimeoutError):
            raise
        except Exception as error:
            log.exception("channel %s failed to withdraw a draft", conversation.address.channel)
            raise SendUncertain(type(error).__name__) from error

    async def _hand_over(
        self, channel: Channel, conversation: Conversation, message: Message, role: str = ""
    ) -> Receipt:
        """The adapter's boundary: what it was not meant to raise says nothing about the message, and stops nobody else."""
        try:
            if role == "template" and channel.templates is not None:
                return await channel.templates.send_template(conversation.address, message)
            return await channel.adapter.send(conversation.address, message)
        except (SendError, TimeoutError):
            raise
        except Exception as error:
            log.exception("channel %s failed to send", channel.adapter.name)
            raise SendUncertain(type(error).__name__) from error

    async def _look_up(self, reconciles: Reconciles, conversation: Conversation, part: Part) -> Receipt | None:
        """The same boundary for a lookup."""
        try:
            return await reconciles.find(conversation.address, part.message, part.attempted_ms)
        except (SendError, TimeoutError):
            raise
        except Exception as error:
            log.exception("channel %s failed to look a message up", conversation.address.channel)
            raise SendUncertain(type(error).__name__) from error

    async def _record(self, unit: Callable[..., object], *args: object) -> None:
        """Keeps what became of a request, patiently: without it the row would have to count as unknown."""
        for wait_s in RECORD_WAITS_S:
            try:
                await self._store.run(unit, *args)
            except (StoreUnavailable, Overloaded):
                await self._clock.sleep(wait_s)
            else:
                return
        await self._store.run(unit, *args)

    async def _refused(self, channel: Channel, conversation: Conversation, part: Part, error: SendRefused) -> None:
        """Tried again until the message is too old; a platform that is down for a while costs no answer."""
        age_s = (self._clock.now_ms() - part.message.at_ms) / 1000
        max_age_s = self._max_age_s(channel, conversation)
        is_kept = part.was_held or bool(part.message.replaces) or age_s < max_age_s
        if error.retry_after_s is not None and error.is_retryable and is_kept:
            due = self._clock.now_ms() + round(error.retry_after_s * 1000)
            values: dict[str, Value] = {**part.key, "due": due, "error": str(error)[:500]}
            await self._record(execute, records.PUT_OFF, values)
        elif error.is_retryable and (part.attempts + 1 < TRIES or age_s < max_age_s):
            wait_s = WAITS_S[min(part.attempts, len(WAITS_S) - 1)]
            await self._mark(part, OutboxState.SENDING, OutboxState.PLANNED, wait_s, str(error))
        else:
            await self._give_up(conversation, part, str(error))

    @staticmethod
    def _max_age_s(channel: Channel, conversation: Conversation) -> float:
        return max(channel.limits.max_age_s, ROOM_KEEPS_S) if conversation.kind else channel.limits.max_age_s

    def _is_kept_for_room(self, conversation: Conversation, part: Part) -> bool:
        return bool(conversation.kind) and self._clock.now_ms() - part.message.at_ms < ROOM_KEEPS_S * 1000

    async def _reconcile(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        if part.message.replaces:  # to be shown in a draft's place, which may be done over and over
            await self._absent(conversation, part)
            return False
        if channel.reconciles is None and part.role == "final":  # nothing is known to be shown of it
            await self._absent(conversation, part)
            return False
        if channel.reconciles is None:
            await self._hold(conversation, part, "the channel cannot say whether it arrived")
            return False
        try:
            async with self._clock.timeout(SEND_S):
                receipt = await self._look_up(channel.reconciles, conversation, part)
        except (SendError, TimeoutError) as error:
            await self._lookup_failed(conversation, part, error)
            return False
        self._lookups.pop((part.message.id, part.part), None)
        if receipt is None:
            await self._absent(conversation, part)
            return False
        if part.role == "final":  # what is there is the draft
            await self._store.run(execute, records.DRAFT_FOUND, {**part.key, "external": receipt.external_id})
            return False
        await self._store.run(sent, part, receipt, self._clock.now_ms())
        if conversation.kind:
            self.on_shown(conversation.id)
        return True

    async def _absent(self, conversation: Conversation, part: Part) -> None:
        """It certainly did not arrive: sent again, the first time at once, and not for ever."""
        if part.attempts >= TRIES and not self._is_kept_for_room(conversation, part):
            await self._give_up(conversation, part, "cut off each time, and certainly not delivered")
            return
        wait_s = WAITS_S[min(part.attempts, len(WAITS_S) + 1) - 2] if part.attempts > 1 else 0.0
        await self._mark(part, part.state, OutboxState.PLANNED, wait_s, "certainly not delivered; sent again")

    async def _lookup_failed(self, conversation: Conversation, part: Part, error: SendError | TimeoutError) -> None:
        """Counted by itself, and anew after a start: that nobody could be asked yet says nothing of how often it was sent. What a rate
        limit has put off does not count."""
        key, reason = (part.message.id, part.part), str(error)
        if isinstance(error, SendRefused) and error.retry_after_s is not None:
            due = self._clock.now_ms() + round(error.retry_after_s * 1000)
            await self._store.run(execute, records.PUT_OFF_LOOKUP, {**part.key, "due": due, "error": reason[:500]})
            return
        self._lookups[key] += 1
        if self._lookups[key] >= LOOKUPS and not self._is_kept_for_room(conversation, part):
            del self._lookups[key]
            await self._hold(conversation, part, f"could not find out whether it arrived: {reason}")
            return
        due = self._clock.now_ms() + round(WAITS_S[min(self._lookups[key], len(WAITS_S) - 1)] * 1000)
        await self._store.run(execute, records.PUT_OFF_LOOKUP, {**part.key, "due": due, "error": reason[:500]})

    async def _mark(self, part: Part, was: OutboxState, state: OutboxState, wait_s: float, reason: str) -> None:
        """Unless something else has become of it meanwhile: a report of the platform counts more."""
        due = self._clock.now_ms() + round(wait_s * 1000)
        values: dict[str, Value] = {
            **part.key,
            "state": state.value,
            "was": was.value,
            "due": due,
            "error": reason[:500],
        }
        await self._record(execute, records.MARK_FROM, values)

    async def _give_up(self, conversation: Conversation, part: Part, reason: str) -> None:
        self._metrics.incidents.of("undelivered").inc()
        await self._record(
            bury, conversation, part, reason[:500], self._clock.now_ms(), ids.new_id(self._clock.now_ms())
        )

    async def _hold(self, conversation: Conversation, part: Part, reason: str) -> None:
        self._metrics.incidents.of("unknown delivery").inc()
        await self._store.run(
            hold, conversation, part, reason[:500], self._clock.now_ms(), ids.new_id(self._clock.now_ms())
        )


def part_of(row: Row) -> Part:
    message = replace(
        records.message_of(row[11:]),
        part=row[1],
        replaces=row[9] if row[7] == "final" else "",
        mentions=tuple(row[25].split()),
    )
    if row[2] is not None:
        message = replace(message, text=row[2])
    if row[1] != row[10]:  # what belongs to the whole comes with its last part
        message = replace(message, buttons=(), citations=(), attachments=(), is_last_part=False)
    return Part(message, row[1], OutboxState(row[3]), row[4], row[5], row[6] or 0, row[7], bool(row[8]))


def draft_of(message: str) -> Message:
    """What there is of a message that was never finished: its id."""
    return Message(MessageId(message), Seq(0), Author.AGENT, "", 0)


# --- units of work ---------------------------------------------------------------------------------------------------


def execute(cursor: Cursor, sql: str, values: dict[str, Value]) -> int:
    return cursor.execute(sql, values)


def interrupted(cursor: Cursor, now_ms: int) -> int:
    return cursor.execute(records.INTERRUPTED_SENDS, {"now": now_ms})


def begin(cursor: Cursor, conversation: ConversationId, part: Part, now_ms: int, window_s: float = 0.0) -> May:
    """Durable before the request leaves, and the one place where a channel's window and a person's wish are kept."""
    found = records.conversation_of(one(cursor, conversation))
    if part.role != "choice" and found.is_stopped:
        return May.UNWANTED
    is_agents = part.message.author is Author.AGENT or any(is_decision(each.id) for each in part.message.buttons)
    if is_agents and found.owner not in (AGENT_OWNER, QUEUE_OWNER):
        return May.TAKEN_OVER
    if part.message.is_deleted:
        return May.FORGOTTEN
    if window_s and part.role != "template" and heard_s(cursor, conversation, now_ms) > window_s:
        return May.CLOSED
    return May.GO if cursor.execute(records.MARK_SENDING, {**part.key, "now": now_ms}) == 1 else May.GONE


def one(cursor: Cursor, conversation: ConversationId) -> Row:
    return cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})[0]


def heard_s(cursor: Cursor, conversation: ConversationId, now_ms: int) -> float:
    """Seconds since the person last wrote there."""
    rows = cursor.fetch(records.LAST_HEARD, {"conversation": conversation})
    return (now_ms - rows[0][0]) / 1000 if rows else NO_PERIOD_S


def hold_for_window(
    cursor: Cursor,
    conversation: Conversation,
    part: Part,
    reason: str,
    has_template: bool,
    now_ms: int,
    incident: str,
) -> None:
    """The part and those after it wait until the person writes; the form goes out once until then."""
    if part.role == "template":
        cursor.execute(records.MARK, {**part.key, "state": OutboxState.DEAD.value, "due": now_ms, "error": reason})
        return
    cursor.execute(records.HOLD_FOR_WINDOW, {**part.key, "error": f"outside the window: {reason}"})
    since = now_ms - round(heard_s(cursor, conversation.id, now_ms) * 1000) if has_template else 0
    if has_template and not cursor.fetch(records.TEMPLATE_SINCE, {"conversation": conversation.id, "since": since}):
        form: dict[str, Value] = {
            "message": part.message.id,
            "part": TEMPLATE_PART,
            "conversation": conversation.id,
            "seq": part.message.seq,
            "channel": conversation.address.channel,
            "text": None,
            "role": "template",
            "now": now_ms,
        }
        cursor.execute(_ONCE, form)
    told = "A form tells them that it waits." if has_template else "It is sent when they write again."
    detail = f"a message could not be sent: {reason}. {told}"
    records.add_incident(cursor, incident, "window closed", conversation.id, detail, now_ms, conversation.id)


def announce(cursor: Cursor, conversation: Conversation, message: MessageId, now_ms: int) -> bool:
    """The row of a draft, durable before it is shown. False when there is one already, for an earlier run has shown it, and while
    something else is still to be sent there: the answer would stand before it."""
    values: dict[str, Value] = {
        "message": message,
        "conversation": conversation.id,
        "channel": conversation.address.channel,
        "now": now_ms,
    }
    return cursor.execute(records.ANNOUNCE_DRAFT, values) == 1


def posted(cursor: Cursor, event: DraftPosted) -> bool:
    """Keeps under which id a draft is shown. True when somebody waits for it."""
    values: dict[str, Value] = {
        "message": event.message,
        "conversation": conversation_id(event.at),
        "external": event.external_id,
    }
    return cursor.execute(records.DRAFT_POSTED, values) == 1


_RANKS = {"": 0, DeliveryStatus.SENT: 1, DeliveryStatus.FAILED: 2, DeliveryStatus.DELIVERED: 3, DeliveryStatus.READ: 4}


def reported(cursor: Cursor, event: DeliveryReported, has_template: bool, now_ms: int, incident: str) -> bool:
    """What a platform says of a part: never goes back. True when something may have become open by it."""
    conversation = conversation_id(event.at)
    key: dict[str, Value] = {"message": event.message, "part": event.part}
    rows = cursor.fetch(records.PART_REPORTED, {**key, "conversation": conversation})
    if not rows:
        return False
    state, receipt, external = rows[0]
    is_of_another = bool(external) and event.external_id != external
    if is_of_another and receipt != DeliveryStatus.FAILED:
        return False
    if not is_of_another and _RANKS[event.status] <= _RANKS[receipt]:
        return False
    values = {**key, "receipt": event.status.value, "external": event.external_id, "now": now_ms}
    cursor.execute(records.SET_RECEIPT, {**values, "state": state if state == "dead" else OutboxState.SENT.value})
    if event.status is DeliveryStatus.FAILED and state != "dead":
        _failed(cursor, event, conversation, has_template, now_ms, incident)
    return bool(state != "sent") or event.status is DeliveryStatus.FAILED


def _failed(
    cursor: Cursor,
    event: DeliveryReported,
    conversation: ConversationId,
    has_template: bool,
    now_ms: int,
    incident: str,
) -> None:
    """The platform took it and could not deliver it after all."""
    found = records.conversation_of(one(cursor, conversation))
    part = Part(draft_of(event.message), event.part, OutboxState.SENT, 0, 0, 0)
    if event.is_window_closed:
        hold_for_window(cursor, found, part, event.detail, has_template, now_ms, incident)
    else:
        bury(cursor, found, part, event.detail, now_ms, incident)


def _has_template(channel: Channel | None) -> bool:
    return channel is not None and channel.templates is not None and channel.templates.has_template()


def drop(cursor: Cursor, part: Part, reason: str, now_ms: int) -> None:
    """Not to be sent any more, and nothing is wrong: the rest of it goes too, and so does what is shown of it."""
    cursor.execute(records.MARK, {**part.key, "state": OutboxState.DEAD.value, "due": now_ms, "error": reason})
    cursor.execute(records.DROP_REST, part.key)
    if part.role == "final":
        cursor.execute(records.WITHDRAW_FINAL, {"message": part.message.id, "now": now_ms})


def hole_notice(cursor: Cursor, conversation: Conversation, part: Part, now_ms: int) -> None:
    notice: dict[str, Value] = {
        "message": part.message.id,
        "part": HOLE_PART,
        "conversation": conversation.id,
        "seq": part.message.seq,
        "channel": conversation.address.channel,
        "text": HOLE_NOTICE,
        "role": "",
        "now": now_ms,
    }
    cursor.execute(_ONCE, notice)


def sent(cursor: Cursor, part: Part, receipt: Receipt, now_ms: int) -> None:
    cursor.execute(records.MARK_SENT, {**part.key, "now": now_ms, "external": receipt.external_id})


def bury(cursor: Cursor, conversation: Conversation, part: Part, reason: str, now_ms: int, incident: str) -> None:
    """Dead for good: the rest of the answer is dropped, and one notice closes it where something came before."""
    cursor.execute(records.MARK, {**part.key, "state": OutboxState.DEAD.value, "due": now_ms, "error": reason})
    cursor.execute(records.DROP_REST, part.key)
    if part.role == "final":
        cursor.execute(records.WITHDRAW_FINAL, {"message": part.message.id, "now": now_ms})
    if 0 < part.part < HOLE_PART:
        hole_notice(cursor, conversation, part, now_ms)
    detail = f"part {part.part} was not delivered: {reason}"
    records.add_incident(cursor, incident, "undelivered", part.message.id, detail, now_ms, conversation.id)


def hold(cursor: Cursor, conversation: Conversation, part: Part, reason: str, now_ms: int, incident: str) -> None:
    """Stays `unknown`; an operator decides. What comes after it is sent."""
    cursor.execute(records.HOLD, {**part.key, "error": reason})
    detail = f"part {part.part} may or may not have arrived: {reason}. See: frontdesk outbox list"
    records.add_incident(cursor, incident, "unknown delivery", part.message.id, detail, now_ms, conversation.id)
