"""How often somebody may be wrong: a try is counted before it is judged, so that tries made at once are not free."""

from collections.abc import Mapping
from typing import Final

from bot import ids
from bot.model import value
from bot.ports import Cursor

_FORGET: Final = "DELETE FROM sign_in_failures WHERE until_ms < :before"
_OF: Final = "SELECT count, until_ms FROM sign_in_failures WHERE subject = :subject"
_COUNT: Final = """
    INSERT INTO sign_in_failures (subject, count, until_ms) VALUES (:subject, :count, :until)
    ON CONFLICT (subject) DO UPDATE SET count = excluded.count, until_ms = excluded.until_ms"""
_CLEAR: Final = "DELETE FROM sign_in_failures WHERE subject = :subject"
_GIVE_BACK: Final = "UPDATE sign_in_failures SET count = count - 1, until_ms = :now WHERE subject = :subject"

FORGET_MS: Final = 60 * 60_000  # after a wait is over, the count stands for so long


@value
class Limit:
    """`free` tries, then a wait that doubles with each further one, from `first_ms` to `most_ms`."""

    free: int
    first_ms: int
    most_ms: int

    def wait_ms(self, count: int) -> int:
        over = count - self.free
        return min(self.first_ms << min(over, 32), self.most_ms) if over >= 0 else 0


def subject(kind: str, *parts: str) -> str:
    """What tries are counted for, as a hash: what strangers write is not kept."""
    return ids.derived_id("try", kind, *parts)


def take(cursor: Cursor, limits: Mapping[str, Limit], now_ms: int) -> int:
    """Counts one try for each subject and returns 0; or, where one of them has to wait, returns how many ms and counts nothing."""
    cursor.execute(_FORGET, {"before": now_ms - FORGET_MS})
    found = {each: rows[0] for each in limits if (rows := cursor.fetch(_OF, {"subject": each}))}
    wait = max((until - now_ms for _, until in found.values()), default=0)
    if wait > 0:
        return int(wait)
    for each, limit in limits.items():
        count = found[each][0] + 1 if each in found else 1
        cursor.execute(_COUNT, {"subject": each, "count": count, "until": now_ms + limit.wait_ms(count)})
    return 0


def clear(cursor: Cursor, subject: str) -> None:
    """The try was right: earlier ones are forgotten."""
    cursor.execute(_CLEAR, {"subject": subject})


def give_back(cursor: Cursor, subject: str, now_ms: int) -> None:
    """The try was right, and earlier ones were perhaps somebody else's: only this one is taken back."""
    cursor.execute(_GIVE_BACK, {"subject": subject, "now": now_ms})


def wait_words(wait_ms: int) -> str:
    """Rounded up."""
    seconds = -(-wait_ms // 1000)
    if seconds < 60:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    minutes = -(-seconds // 60)
    return f"{minutes} minute{'s' if minutes != 1 else ''}"
