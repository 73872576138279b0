"""What is done at every start, before anything is taken in: the rows that the last run left are taken up again.

A message that was unhandled when the process died may be what killed it. So each unclean end counts one attempt against everything that
was unhandled, up to the last but one; from then on a suspect runs alone, with a mark on disk, and only the marked one is counted.
"""

import logging

from bot import ids
from bot.model import value
from bot.ports import Clock, Cursor, Store
from bot.scheduler import TurnScheduler
from bot.store import actions, records

log = logging.getLogger(__name__)

CLEAN_STOP = "clean_stop"
BACKUP = "backup_ms"  # set in every copy that a backup makes
HELD = "held"  # set while what a restored backup would send waits for an operator


@value
class Recovered:
    """What the last run left."""

    was_clean: bool
    is_held: bool


async def recover(store: Store, scheduler: TurnScheduler, clock: Clock, tries: int) -> Recovered:
    """Counts, holds and wakes. The scheduler may already be open."""
    recovered = await store.run(take_up, clock.now_ms(), ids.new_id(clock.now_ms()), tries)
    if recovered.is_held:
        log.warning("restored from a backup: what was unsent is held. See: frontdesk outbox list")
    await wake_waiting(store, scheduler, tries)
    return recovered


async def wake_waiting(store: Store, scheduler: TurnScheduler, tries: int) -> None:
    """Wakes every conversation with unhandled messages, the longest waiting first; none while a restored backup is held."""
    if await store.read(records.GET_META, {"key": HELD}):
        return
    for conversation, attempts, _ in await store.read(records.WAITING_CONVERSATIONS):
        if attempts == tries - 1:
            scheduler.wake_alone(conversation)
        else:
            scheduler.wake(conversation)


async def stopped_cleanly(store: Store) -> None:
    """The last unit of work of a run that was stopped, not killed."""
    await store.run(note_clean_stop)


# --- units of work ---------------------------------------------------------------------------------------------------


def take_up(cursor: Cursor, now_ms: int, incident: str, tries: int) -> Recovered:
    was_clean = bool(cursor.fetch(records.GET_META, {"key": CLEAN_STOP}))
    cursor.execute(records.FORGET_META, {"key": CLEAN_STOP})
    made = cursor.fetch(records.GET_META, {"key": BACKUP})
    is_backup = bool(made)
    if was_clean or is_backup:
        cursor.execute(records.UNMARK_ALONE)
    elif not cursor.execute(records.COUNT_ALONE):
        cursor.execute(records.COUNT_INTERRUPTED, {"most": tries - 1})
    if is_backup:
        cursor.execute(records.FORGET_META, {"key": BACKUP})
        cursor.execute(records.HOLD_ALL)
        actions.hold_restored(cursor, int(made[0][0]), now_ms)
        cursor.execute(records.SET_META, {"key": HELD, "value": str(now_ms)})
        detail = "This data was restored from a backup. What it had not sent is held: frontdesk outbox list"
        records.add_incident(cursor, incident, "restored", "outbox", detail, now_ms)
    actions.give_up_by_hand(cursor, now_ms)
    return Recovered(was_clean, bool(cursor.fetch(records.GET_META, {"key": HELD})))


def note_clean_stop(cursor: Cursor) -> None:
    cursor.execute(records.SET_META, {"key": CLEAN_STOP, "value": "1"})


def release(cursor: Cursor, now_ms: int) -> int:
    """An operator wants what is held to be sent. Returns how many rows."""
    cursor.execute(records.FORGET_META, {"key": HELD})
    return cursor.execute(records.RELEASE_HELD, {"now": now_ms})


def discard(cursor: Cursor, now_ms: int) -> int:
    """An operator wants neither the held messages sent nor the old questions answered: they stay, as dead. Returns how many rows."""
    held = cursor.fetch(records.GET_META, {"key": HELD})
    cursor.execute(records.FORGET_META, {"key": HELD})
    count = cursor.execute(records.DISCARD_HELD)
    if held:
        count += cursor.execute(records.DISCARD_UNHANDLED, {"before": int(held[0][0]), "now": now_ms})
    return count
