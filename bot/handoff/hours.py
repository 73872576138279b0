"""Business time: when people are here, and how much of that time lies between two moments. Pure.

Opening hours are wall-clock times of one zone. Where the clocks change, an interval stays one stretch: it opens the first
time its opening is on the clock and closes the last time its end is. A time that the clocks leap over counts as the moment
of the leap. An interval belongs to the day on which it begins: on a holiday nothing begins, but what began the evening
before runs to its end.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from bot.errors import ConfigError, Problem
from bot.model import value
from bot.text import pattern

DAY_MINUTES = 24 * 60
_DAY_MS = DAY_MINUTES * 60_000
_FARTHEST_MS = 2 * 366 * _DAY_MS  # how far ahead an opening is looked for
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@value
class Interval:
    """Minutes after the day's midnight, by the wall clock. `end` is past `start`, and past 24:00 where it runs over midnight."""

    start: int
    end: int


@value
class Hours:
    """When people are here. `days` are Monday to Sunday, each with its intervals in order; `zone` is an IANA name or `UTC`."""

    zone: str
    days: tuple[tuple[Interval, ...], ...]
    holidays: frozenset[date] = frozenset()


ALWAYS = Hours("UTC", ((Interval(0, DAY_MINUTES),),) * 7)


def is_open(hours: Hours, at_ms: int) -> bool:
    """Whether people are here at that moment. At the very end of an interval they are not."""
    return any(True for _ in _stretches(hours, at_ms, at_ms + 1))


def next_opening(hours: Hours, at_ms: int) -> int | None:
    """The first moment from `at_ms` on when people are here: `at_ms` itself where it is open; None: not within two years."""
    return next((start for start, _ in _stretches(hours, at_ms, at_ms + _FARTHEST_MS)), None)


def add(hours: Hours, from_ms: int, business_ms: int) -> int | None:
    """The first moment at which so much business time has passed; None where that takes more than two years.

    Raises `ValueError` for a negative time.
    """
    if business_ms < 0:
        raise ValueError("business time does not run backwards")
    if not business_ms:
        return from_ms
    left = business_ms
    for start, end in _stretches(hours, from_ms, from_ms + _FARTHEST_MS):
        if end - start >= left:
            return start + left
        left -= end - start
    return None


def between(hours: Hours, from_ms: int, to_ms: int) -> int:
    """The business time from one moment to another, in milliseconds; 0 where `to_ms` is not later."""
    return sum(end - start for start, end in _stretches(hours, from_ms, to_ms))


def zone_of(name: str) -> tzinfo:
    """The zone of that name. `UTC` needs no database of zones; others raise `ZoneInfoNotFoundError`, `ValueError` or `OSError`."""
    return UTC if name == "UTC" else ZoneInfo(name)


def local(at_ms: int, zone: tzinfo) -> datetime:
    """What the clocks and calendars of a zone show at that moment."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def _stretches(hours: Hours, from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """The open times within [from_ms, to_ms): in order, apart from or touching each other, none empty. Walks day by day, lazily."""
    zone = zone_of(hours.zone)
    day = local(from_ms, zone).date() - timedelta(days=2)  # an interval over midnight, and a day that a zone left out
    done = from_ms
    while done < to_ms:
        if day not in hours.holidays:
            for interval in hours.days[day.weekday()]:
                start = max(done, _first(day, interval.start, zone))
                if start >= to_ms:
                    return
                end = min(to_ms, _last(day, interval.end, zone))
                if end > start:
                    yield start, end
                    done = end
        day += timedelta(days=1)
        if _wall(day, 0).replace(tzinfo=UTC) > _EPOCH + timedelta(milliseconds=to_ms + 2 * _DAY_MS):
            return


def _wall(day: date, minutes: int) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - the zone comes with the fold


def _first(day: date, minutes: int, zone: tzinfo) -> int:
    """The first moment at which the clocks show that time or a later one."""
    early, late = _instants(_wall(day, minutes), zone)
    return early if early <= late else _leap(late, early, zone)


def _last(day: date, minutes: int, zone: tzinfo) -> int:
    """The moment from which on the clocks never show an earlier time again."""
    early, late = _instants(_wall(day, minutes), zone)
    return late if early <= late else _leap(late, early, zone)


def _instants(wall: datetime, zone: tzinfo) -> tuple[int, int]:
    """By the offset before a clock change and by the one after it: in order for a time shown twice, reversed for one left out."""
    before = wall.replace(tzinfo=zone)
    offsets = before.utcoffset(), before.replace(fold=1).utcoffset()
    naive = (wall.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
    early, late = (naive - (offset or timedelta()) // _MILLISECOND for offset in offsets)
    return early, late


def _leap(low: int, high: int, zone: tzinfo) -> int:
    """The moment of the one clock change after `low` and up to `high`."""
    old = local(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if local(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high


# --- as it is written in the config ------------------------------------------------------------------------------------

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_INTERVAL = pattern(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_WRITE_DAY = 'Write it like ["09:00-12:30", "13:30-18:00"], or [] for a day when nobody is here.'


def parse(given: Mapping[str, object], key: str = "hours", file: str = "") -> Hours:
    """The hours written as `zone`, `monday` to `sunday` and `holidays`. An end not later than the beginning lies on the next day.

    Days that are not named are days when nobody is here; where none is named, people are always here. Raises `ConfigError`
    with every problem at once, its key under `key`.
    """
    problems: list[Problem] = []

    def refuse(name: str, what: str, mend: str) -> None:
        problems.append(Problem(f"{key}.{name}", what, mend, file))

    for name in given:
        if name not in (*DAYS, "zone", "holidays"):
            refuse(name, "is not known here", f"The keys are zone, holidays and the days: {', '.join(DAYS)}.")
    zone = _read_zone(given.get("zone", "UTC"), refuse)
    days = tuple(_read_day(name, given.get(name, ()), refuse) for name in DAYS)
    holidays = frozenset(_read_holidays(given.get("holidays", ()), refuse))
    if problems:
        raise ConfigError(problems)
    return Hours(zone, days if not given.keys().isdisjoint(DAYS) else ALWAYS.days, holidays)


_Refuse = Callable[[str, str, str], None]


def _read_zone(written: object, refuse: _Refuse) -> str:
    name = str(written)
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        if not known:
            mend = 'This machine has no database of time zones: install the "tzdata" package, or write "UTC".'
        else:
            near = difflib.get_close_matches(name, sorted(known), 1, 0.5)
            mend = f'Write an IANA name such as "{near[0] if near else "Europe/Berlin"}".'
        refuse("zone", f'"{name[:60]}" is not a known time zone', mend)
    return name


def _read_day(name: str, written: object, refuse: _Refuse) -> tuple[Interval, ...]:
    if not isinstance(written, list | tuple):
        refuse(name, "is not a list of intervals", _WRITE_DAY)
        return ()
    found: list[Interval] = []
    for one in written:
        interval = _read_interval(str(one))
        if interval is None:
            refuse(name, f'"{str(one)[:60]}" is not an interval of times', _WRITE_DAY)
        else:
            found.append(interval)
    found.sort(key=lambda each: each.start)
    if any(earlier.end > later.start for earlier, later in pairwise(found)):
        refuse(name, "has intervals that overlap", "Join them, or correct their times.")
    return tuple(found)


def _read_interval(written: str) -> Interval | None:
    match = _INTERVAL.fullmatch(written.replace(" ", "").replace("–", "-"))
    if match is None:
        return None
    numbers = [int(each) for each in match.groups()]
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
        return None
    return Interval(start, end if end > start else end + DAY_MINUTES)


def _read_holidays(written: object, refuse: _Refuse) -> Iterator[date]:
    if not isinstance(written, list | tuple | set | frozenset):
        refuse("holidays", "is not a list of dates", 'Write it like ["2026-12-25", "2027-01-01"].')
        return
    for one in written:
        try:
            yield one if type(one) is date else date.fromisoformat(str(one))
        except ValueError:
            refuse("holidays", f'"{str(one)[:60]}" is not a date', 'Write dates like "2026-12-25".')
