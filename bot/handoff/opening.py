"""The next opening, said to a person in their language. Pure."""

from datetime import datetime, timedelta

from bot.handoff.hours import Hours, is_open, local, next_opening, zone_of
from bot.model import value


def opening_words(hours: Hours, at_ms: int, zone: str = "", language: str = "en") -> str:
    """When people are here next, as words that follow "we are back": "tomorrow at 9:00 (Berlin time)".

    `zone` is the reader's; "" where it is not known: then the time is that of the hours' zone, which is named. "now" where
    it is open; "" where it does not open within two years, and nothing can be promised. German for `de`, otherwise English.
    """
    words = _GERMAN if language.lower().startswith("de") else _ENGLISH
    if is_open(hours, at_ms):
        return words.now
    opening_ms = next_opening(hours, at_ms)
    if opening_ms is None:
        return ""
    clock = zone_of(zone or hours.zone)
    now, then = local(at_ms, clock), local(opening_ms, clock)
    said = f"{_day(now, then, words)} {words.at.format(time=f'{then.hour}:{then.minute:02}')}"
    return said if zone else f"{said} ({_place(hours.zone, words)})"


@value
class _Words:
    now: str
    today: str
    tomorrow: str
    weekday: str
    date: str
    year: str
    at: str
    place: str
    days: tuple[str, ...]
    months: tuple[str, ...]
    cities: tuple[tuple[str, str], ...] = ()


_ENGLISH = _Words(
    now="now",
    today="today",
    tomorrow="tomorrow",
    weekday="on {day}",
    date="on {day}, {number} {month}{year}",
    year=" {year}",
    at="at {time}",
    place="{city} time",
    days=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
)
_GERMAN = _Words(
    now="jetzt",
    today="heute",
    tomorrow="morgen",
    weekday="am {day}",
    date="am {day}, dem {number}. {month}{year},",
    year=" {year}",
    at="um {time} Uhr",
    place="Ortszeit {city}",
    days=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    months=(
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ),
    cities=(
        ("Vienna", "Wien"),
        ("Zurich", "Zürich"),
        ("Brussels", "Brüssel"),
        ("Rome", "Rom"),
        ("Warsaw", "Warschau"),
        ("Copenhagen", "Kopenhagen"),
        ("Prague", "Prag"),
        ("Lisbon", "Lissabon"),
        ("Moscow", "Moskau"),
        ("Athens", "Athen"),
    ),
)


def _day(now: datetime, then: datetime, words: _Words) -> str:
    match (then.date() - now.date()) // timedelta(days=1):
        case 0:
            return words.today
        case 1:
            return words.tomorrow
        case days if days < 7:
            return words.weekday.format(day=words.days[then.weekday()])
    year = words.year.format(year=then.year) if then.year != now.year else ""
    return words.date.format(
        day=words.days[then.weekday()], number=then.day, month=words.months[then.month - 1], year=year
    )


def _place(zone: str, words: _Words) -> str:
    city = zone.rpartition("/")[2].replace("_", " ")
    return words.place.format(city=dict(words.cities).get(city, city)) if "/" in zone else zone
