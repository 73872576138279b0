"""Stage 3: send unsent messages in order; split, retry, reconcile, record the receipt.

    planned ──commit──▶ sending ──receipt──▶ sent
       ▲                  │  │
       └──refused, later──┘  └──cut off, or the process ended──▶ unknown ──found──▶ sent
                                                                   │ ├──certainly not there──▶ planned
       refused for good, too old, always cut off ──▶ dead          │ └──cannot tell──▶ held, for an operator

Promises: `sending` is durable before a request leaves; what may have arrived is never sent again before the platform was asked; parts go
out in order, and a hole in an answer closes it with one notice. A channel whose receiver dedupes and acknowledges (`Limits.is_deduped`)
is simply handed each message, and handed it again when it comes back.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bot import ids
from bot.channels import Channel
from bot.errors import Overloaded, SendError, SendRefused, SendUncertain, StoreUnavailable
from bot.model import Conversation, ConversationId, Message, OutboxState
from bot.ports import Clock, Cursor, Receipt, Reconciles, Row, Store, Value
from bot.scheduler import TurnScheduler
from bot.store import records
from bot.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SEND_S = 30.0  # longest wait for one request
TRIES = 6
LOOKUPS = 5
WAITS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
HOLE_NOTICE = "The rest of this answer could not be delivered."
HOLE_PART = 10_000  # the part number of that notice: after every other
ROWS_AT_ONCE = 50
RECORD_WAITS_S = (0.1, 0.3, 1.0, 2.0)  # what became of a request is not forgotten for a busy disk
_HOLE_ONCE = records.ADD_OUTBOX + " ON CONFLICT (message_id, part) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Part:
    """One outbox row with what is to be sent."""

    message: Message
    part: int
    state: OutboxState
    attempts: int
    due_ms: int
    attempted_ms: int

    @property
    def key(self) -> dict[str, Value]:
        return {"message": self.message.id, "part": self.part}


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

    async def planned(self, conversation: Conversation, message: Message) -> None:
        """A message of this conversation was committed with its outbox rows."""
        channel = self._channels.get(conversation.address.channel)
        if channel is not None and channel.limits.is_deduped:
            try:
                await self._hand_over(channel, conversation, message)
            except SendError:
                log.info("receiver not there; the message waits for it")
            return
        self._lane(conversation.address.channel).wake(conversation.id)

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
        for conversation, channel in await self._store.read(records.OPEN_OUTBOX_CONVERSATIONS):
            if channel in self._channels:
                self._lane(channel).wake(conversation)

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
        channel = self._channels.get(conversation.address.channel)
        if channel is None or channel.limits.is_deduped:
            return None
        opened = await self._store.read(records.OPEN_OUTBOX, {"conversation": conversation_id, "limit": ROWS_AT_ONCE})
        for row in opened:
            part = part_of(row)
            wait_s = (part.due_ms - self._clock.now_ms()) / 1000
            if (
                wait_s > 0 and part.attempts
            ):  # nothing is put off the first time: a clock that was set back does not count
                return min(wait_s, WAITS_S[-1])
            if not await self._settle(channel, conversation, part):
                return 0.0  # what is open has changed: look again
        return 0.0 if opened else None

    async def _settle(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        """One step for one part. True when it is sent, so that the next may follow."""
        if part.state is not OutboxState.PLANNED:
            return await self._reconcile(channel, conversation, part)
        age_s = (self._clock.now_ms() - part.message.at_ms) / 1000
        if age_s > channel.limits.max_age_s and not part.attempts and part.part != HOLE_PART:
            await self._give_up(
                conversation, part, f"older than {channel.limits.max_age_s:.0f} s when it could be sent"
            )
            return False
        return await self._send(channel, conversation, part)

    async def _send(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        now = self._clock.now_ms()
        if not await self._store.run(begin, part, now):
            return False
        try:
            async with self._clock.timeout(SEND_S):
                receipt = await self._hand_over(channel, conversation, part.message)
        except SendRefused as error:
            await self._refused(conversation, part, error)
            return False
        except (SendUncertain, TimeoutError) as error:
            await self._mark(part, OutboxState.UNKNOWN, WAITS_S[0], str(error))
            return False
        await self._record(sent, part, receipt, self._clock.now_ms())
        return True

    async def _hand_over(self, channel: Channel, conversation: Conversation, message: Message) -> Receipt:
        """The adapter's boundary: what it was not meant to raise says nothing about the message, and stops nobody else."""
        try:
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

    async def _refused(self, conversation: Conversation, part: Part, error: SendRefused) -> None:
        if error.is_retryable and part.attempts + 1 < TRIES:
            wait_s = error.retry_after_s or WAITS_S[min(part.attempts, len(WAITS_S) - 1)]
            await self._mark(part, OutboxState.PLANNED, wait_s, str(error))
        else:
            await self._give_up(conversation, part, str(error))

    async def _reconcile(self, channel: Channel, conversation: Conversation, part: Part) -> bool:
        if channel.reconciles is None:
            await self._hold(conversation, part, "the channel cannot say whether it arrived")
            return False
        try:
            async with self._clock.timeout(SEND_S):
                receipt = await self._look_up(channel.reconciles, conversation, part)
        except (SendError, TimeoutError) as error:
            await self._lookup_failed(conversation, part, str(error))
            return False
        if receipt is None:
            await self._absent(conversation, part)
            return False
        await self._store.run(sent, part, receipt, self._clock.now_ms())
        return True

    async def _absent(self, conversation: Conversation, part: Part) -> None:
        """It certainly did not arrive: sent again, the first time at once, and not for ever."""
        if part.attempts >= TRIES:
            await self._give_up(conversation, part, "cut off each time, and certainly not delivered")
            return
        wait_s = WAITS_S[part.attempts - 2] if part.attempts > 1 else 0.0
        await self._mark(part, OutboxState.PLANNED, wait_s, "certainly not delivered; sent again")

    async def _lookup_failed(self, conversation: Conversation, part: Part, reason: str) -> None:
        if part.attempts >= LOOKUPS:
            await self._hold(conversation, part, f"could not find out whether it arrived: {reason}")
            return
        due = self._clock.now_ms() + round(WAITS_S[min(part.attempts, len(WAITS_S) - 1)] * 1000)
        await self._store.run(execute, records.COUNT_LOOKUP, {**part.key, "due": due, "error": reason[:500]})

    async def _mark(self, part: Part, state: OutboxState, wait_s: float, reason: str) -> None:
        due = self._clock.now_ms() + round(wait_s * 1000)
        values: dict[str, Value] = {**part.key, "state": state.value, "due": due, "error": reason[:500]}
        await self._record(execute, records.MARK, values)

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
    message = replace(records.message_of(row[7:]), part=row[1])
    if row[2] is not None:
        message = replace(message, text=row[2])
    return Part(message, row[1], OutboxState(row[3]), row[4], row[5], row[6] or 0)


# --- units of work ---------------------------------------------------------------------------------------------------


def execute(cursor: Cursor, sql: str, values: dict[str, Value]) -> int:
    return cursor.execute(sql, values)


def interrupted(cursor: Cursor, now_ms: int) -> int:
    return cursor.execute(records.INTERRUPTED_SENDS, {"now": now_ms})


def begin(cursor: Cursor, part: Part, now_ms: int) -> bool:
    """Durable before the request leaves. False when the row is no longer planned."""
    return cursor.execute(records.MARK_SENDING, {**part.key, "now": now_ms}) == 1


def sent(cursor: Cursor, part: Part, receipt: Receipt, now_ms: int) -> None:
    cursor.execute(records.MARK_SENT, {**part.key, "now": now_ms, "external": receipt.external_id})


def bury(cursor: Cursor, conversation: Conversation, part: Part, reason: str, now_ms: int, incident: str) -> None:
    """Dead for good: the rest of the answer is dropped, and one notice closes it where something came before."""
    cursor.execute(records.MARK, {**part.key, "state": OutboxState.DEAD.value, "due": now_ms, "error": reason})
    cursor.execute(records.DROP_REST, part.key)
    if 0 < part.part < HOLE_PART:
        notice: dict[str, Value] = {
            "message": part.message.id,
            "part": HOLE_PART,
            "conversation": conversation.id,
            "seq": part.message.seq,
            "channel": conversation.address.channel,
            "text": HOLE_NOTICE,
            "now": now_ms,
        }
        cursor.execute(_HOLE_ONCE, notice)
    detail = f"part {part.part} was not delivered: {reason}"
    records.add_incident(cursor, incident, "undelivered", part.message.id, detail, now_ms, conversation.id)


def hold(cursor: Cursor, conversation: Conversation, part: Part, reason: str, now_ms: int, incident: str) -> None:
    """Stays `unknown`; an operator decides. What comes after it is sent."""
    cursor.execute(records.HOLD, {**part.key, "error": reason})
    detail = f"part {part.part} may or may not have arrived: {reason}. See: frontdesk outbox list"
    records.add_incident(cursor, incident, "unknown delivery", part.message.id, detail, now_ms, conversation.id)
