"""Who has read what a person wrote stands in the audit: once for each reader, conversation and hour."""

import logging
from typing import Final

from bot import ids
from bot.errors import Overloaded, StoreUnavailable
from bot.ports import Clock, Cursor, Store
from bot.store import audit, handoffs

log = logging.getLogger(__name__)

HOUR_MS: Final = 3_600_000


async def note_reading(store: Store, clock: Clock, reader: str, conversation: str) -> None:
    """`reader`: an operator's id, or `local:ACCOUNT`. Safe to repeat. A store that takes nothing now keeps nobody from reading: operators
    are needed most when it is in trouble."""
    now = clock.now_ms()
    key = ids.derived_id("read", reader, conversation, str(now // HOUR_MS))
    if await store.read(handoffs.DONE, {"key": key}):
        return
    try:
        await store.run(_noted, key, reader, conversation, now)
    except (StoreUnavailable, Overloaded) as error:
        log.warning("it is not on record that %s read conversation %s: %s", reader, conversation, error)


def _noted(cursor: Cursor, key: str, reader: str, conversation: str, now_ms: int) -> None:
    if not cursor.fetch(handoffs.DONE, {"key": key}):
        cursor.execute(handoffs.ADD_DONE, {"key": key, "told": "", "now": now_ms})
        audit.append(cursor, reader, "conversation read", conversation, now_ms)
