"""When something is put off to, as operators write it. Pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from bot.errors import Refused
from bot.handoff.hours import zone_of
from bot.text import pattern

MORNING: Final = time(9)
_FOR = pattern(r"(\d{1,4})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)")
_AT = pattern(r"(\d{1,2}):(\d{2})")
_ON = pattern(r"(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{1,2}):(\d{2}))?")
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_MOST_MS: Final = 366 * 86_400_000


def until(text: str, now_ms: int, zone: str) -> int:
    """The moment that `2h`, `14:30`, `tomorrow` or `2026-12-24` means, from now on in that zone. Raises Refused."""
    wanted = text.strip().lower()
    try:
        found = _after(wanted, now_ms) or _moment(wanted, now_ms, zone)
    except (ValueError, OverflowError):
        found = 0
    if not now_ms < found <= now_ms + _MOST_MS:
        raise Refused("incomplete", "Until when? Write 30m, 2h, 1d, 14:30, tomorrow or 2026-12-24, within a year.")
    return found


def _after(wanted: str, now_ms: int) -> int:
    found = _FOR.fullmatch(wanted)
    return now_ms + int(found[1]) * _UNITS[found[2][0]] if found else 0


def _moment(wanted: str, now_ms: int, zone: str) -> int:
    clock = zone_of(zone)
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(clock)
    if wanted == "tomorrow":
        then = datetime.combine(now.date() + timedelta(days=1), MORNING, clock)
    elif found := _AT.fullmatch(wanted):
        then = datetime.combine(now.date(), time(int(found[1]), int(found[2])), clock)
        if then <= now:
            then = datetime.combine(now.date() + timedelta(days=1), then.timetz().replace(tzinfo=None), clock)
    elif found := _ON.fullmatch(wanted):
        year, month, day = int(found[1]), int(found[2]), int(found[3])
        at = time(int(found[4]), int(found[5])) if found[4] else MORNING
        then = datetime.combine(datetime(year, month, day, tzinfo=clock).date(), at, clock)
    else:
        return 0
    return round(then.timestamp() * 1000)
