"""The checkable values in a text, each with its normal form: money, percentages, dates, times, durations, amounts with a unit, phone and
reference numbers, addresses. English and German. Pure, and linear in the length of the text.

A value has several forms where it can be read in several ways ("03/05/2026"); it equals another where they share one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from bot.agent.units import (
    BLANK,
    CURRENCY,
    CURRENCY_SIGN,
    CURRENCY_WORD,
    DURATION,
    DURATION_UNIT,
    MONTH,
    MONTHS,
    NUMBER,
    SCALE,
    SCALES,
    UNIT,
    UNITS,
    in_digits,
    numbers,
)
from bot.model import value

Form = tuple[str | int | Decimal, ...]  # its kind first


@value
class Value:
    """A value as it stands at `at` in its text. Of two that share a form, one is a source for the other."""

    kind: str
    text: str
    forms: frozenset[Form]
    at: int


def find_values(text: str, *, is_source: bool = False) -> list[Value]:
    """Every value in their order. `is_source`: also what is too vague to be checked, yet good enough to be a source ("a week")."""
    plain = in_digits(_NOT_VALUES.sub(lambda match: BLANK * len(match[0]), text))
    starts = [match.start() for match in _NUMBER_START.finditer(plain)]
    left, found = bytearray(len(plain)), []  # 1: a value stands here
    for kind, has_number_first, pattern, read in _KINDS:
        for match in _at(starts, pattern, plain, left) if has_number_first else pattern.finditer(plain):
            start, end = match.span()
            if any(left[start:end]):
                continue
            groups = [frozenset(forms) for forms in read(match, is_source) if forms]
            if groups:
                left[start:end] = bytes([1]) * (end - start)
                while start and plain[start - 1] == BLANK:  # where a number word begins
                    start -= 1
                start = max(start, _after_preposition(match))
                found += [Value(kind, text[start:end].strip(" .,;:-\n"), forms, start) for forms in groups]
    return sorted(found, key=lambda each: each.at)


def _at(starts: Sequence[int], pattern: re.Pattern[str], text: str, taken: bytearray) -> Iterator[re.Match[str]]:
    return filter(None, (pattern.match(text, start) for start in starts if not taken[start]))


def _after_preposition(match: re.Match[str]) -> int:
    return match.end("before") if match.groupdict().get("before") else 0


def bare(text: str) -> str:
    """The text without what shows it or is not seen: emphasis, marks of code, invisible characters, spaces of other widths, escapes of JSON."""
    if "\\u" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return _WIDE_BLANK.sub(" ", _EMPHASIS.sub("", text))


def money(amount: Decimal, currency: str) -> Form:
    return ("money", currency, amount.normalize())


def host_and_path(url: str) -> str:
    """How two addresses of one page are alike."""
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", url.casefold())
    return re.split(r"[?#]", bare, maxsplit=1)[0].rstrip("/.,;:!)")


_ESCAPED = re.compile(r"\\u(?!00[0-7])([0-9a-fA-F]{4})")
_EMPHASIS = re.compile(
    r"\*{2,}|(?<!\d)\*|\*(?!\d)|`|~~|(?<!\w)_+|(?<=\w)_+(?!\w)|</?(?:b|i|u|em|strong|span)>|[\u00ad\u200b-\u200f\u2060\ufeff\ufe0f\u20e3]",
    re.IGNORECASE,
)
_WIDE_BLANK = re.compile(r"[^\S\n\t ]|&nbsp;")
_NUMBER_START = re.compile(r"(?<![\w.,/])\d")
_NOT_VALUES = re.compile(
    r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]|^[ \t>*-]*\d{1,2}[.)](?=\s)(?!\s*(?:" + MONTH + r")\b)", re.MULTILINE
)

Reader = Callable[[re.Match[str], bool], Iterator[set[Form]]]  # what a match means; a range gives both of its ends


def _email(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    yield {("email", match[0].casefold())}


def _url(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    """A source stands for the pages above it, too."""
    parts = host_and_path(match[0]).split("/", _URL_PARTS)
    yield {("url", "/".join(parts[:count])) for count in range(1 if is_source else len(parts), len(parts) + 1)}


def _iso(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    yield _day(int(match[1]), int(match[2]), int(match[3]))


def _numeric(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    first, sign, second, year = int(match[1]), match[2], int(match[3]), int(match[4])
    year += 2000 if year < 100 else 0
    yield _day(year, second, first) | (set() if sign == "." else _day(year, first, second))


def _short(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    yield _day(0, int(match[2]), int(match[1]))


def _worded(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    month, year = MONTHS[match["month"][:3].casefold()], int(match["year"] or 0)
    for day in filter(None, (match["first"], match["day"])):
        yield _day(year, month, int(day))


def _month(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    yield {("date", int(match[2]), MONTHS[match[1][:3].casefold()], 0)}


def _day(year: int, month: int, day: int) -> set[Form]:
    return {("date", year, month, day)} if 1 <= month <= 12 and 1 <= day <= 31 else set()


def _clock(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    yield _minutes(int(match[1]), int(match[2]), "")


def _hours(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    """ "9-17 Uhr", "9 to 5 pm"."""
    yield _minutes(int(match["hour"]), int(match["minute"] or 0), match["half"].casefold()[:1])
    if match["from"]:
        yield _minutes(int(match["from"]), int(match["past"] or 0), "")


def _minutes(hour: int, minute: int, half: str) -> set[Form]:
    """Without "am" or "pm" an hour up to twelve may be either."""
    if hour > 24 or minute > 59:
        return set()
    later: Form = ("clock", (hour % 12 + 12) * 60 + minute)
    if half in ("a", "p") and hour <= 12:
        return {later if half == "p" else ("clock", hour % 12 * 60 + minute)}
    return {("clock", hour * 60 + minute)} | ({later} if not half and hour <= 12 else set())


def _money(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    given = match.groupdict()
    name = (given.get("sign") or given.get("word") or "").casefold().rstrip(".")
    scale = SCALES.get((given.get("scale") or "").casefold().rstrip("."), 1)
    for number in _both(match):
        count = max(numbers(number))  # "2.500 €" has no third of a cent
        yield {money(count * scale * part, currency) for currency, part in CURRENCY[name]}


def _percent(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    for each in _both(match):
        yield {("percent", n.normalize()) for n in numbers(each)}


def _duration(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    for each in _both(match):
        yield {form for n in numbers(each) for form in _lasting(match["unit"], n, is_source=is_source)}


def _one_duration(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    if is_source or match["before"]:
        yield set(_lasting(match["unit"], Decimal(1), is_source=is_source))


def _lasting(unit: str, count: Decimal, *, is_source: bool) -> Iterator[Form]:
    """A source that speaks of working days stands for an answer that says "days", and not the other way round."""
    kind, per = DURATION[re.sub(r"[\s-]+", " ", unit.casefold())]
    yield (kind, (count * per).normalize())
    if is_source and kind == "workdays":
        yield ("seconds", (count * 86_400).normalize())


def _amount(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    for each in _both(match):
        yield {(kind, (n * per).normalize()) for n in numbers(each) for kind, per in UNITS[match["unit"].casefold()]}


def _both(match: re.Match[str]) -> Iterator[str]:
    return filter(None, (match["number"], match["to"]))


def _phone(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    digits = re.sub(r"\D", "", match[0].replace("(0)", ""))
    yield {("phone", digits[-8:])} if 8 <= len(digits) <= 15 else set()


def _reference(match: re.Match[str], is_source: bool) -> Iterator[set[Form]]:
    """A word with digits that looks like a code, is long, or is called an order, a ticket or the like."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    if _CODE.fullmatch(match[0]) or _CALLED.search(before):
        yield {("reference", re.sub(r"[^a-z0-9]", "", match[0].casefold()))}


_RANGE = r"\s?(?:-|–|—|\bto\b|\bbis\b|\bor\b|\boder\b|\band\b|\bund\b)\s?"
_TO = rf"(?P<number>{NUMBER})(?:[.,][-–—]{{1,2}})?(?:{_RANGE}(?P<to>{NUMBER}))?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|\.)?"
_FIRST = rf"(?:(?P<first>\d{{1,2}})(?:st|nd|rd|th|\.)?(?:{_RANGE}))?"
_HALF = r"(?P<half>[ap]\.?m\b\.?|Uhr\b|o['’]clock\b)"
_TOP = r"(?:com|org|net|de|at|ch|eu|io|co|uk|app|shop|dev|info|support|help|example|test)"
_CODE = re.compile(r"#\d{3,}|[A-Z]{1,6}-?\d{3,}(?:-\w+)*|[A-Z]{2,6}(?:-[A-Z0-9]+)*-\d{3,}(?:-\w+)*|\d{6,20}")
_CALLED = re.compile(
    r"\b(?:order|ticket|invoice|case|reference|ref|booking|tracking|bestellung|bestellnummer|rechnung|auftrag|vorgang|ticketnummer|"
    r"rechnungsnummer)\.?\s+(?:number |code |no\.? |nr\.? |nummer |id )?(?:is |lautet |ist )?$",
    re.IGNORECASE,
)
_URL_PARTS = 12  # what is deeper counts as one
_URL_END = r"[^\s<>\"'`\x00)\]]"
_ONE_OF = r"(?:an?|one|einem?|einer|eines|einen|eine|ein)"
_DEADLINE = r"\b(?:within|in|after|for|up to|innerhalb|binnen|nach|für)\s+(?:of\s+)?(?:von\s+)?"
_CLOCK = r"(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?"
_FROM = rf"(?:(?P<from>\d{{1,2}})(?:[:.](?P<past>\d{{2}}))?{_RANGE})?"
_YEAR = r"(?:,?\s+(?P<year>\d{4})(?!\d))?"

_Kind = tuple[str, bool, re.Pattern[str], Reader]  # whether it begins with a number


def _kind(name: str, pattern: str, read: Reader, flags: re.RegexFlag = re.IGNORECASE) -> _Kind:
    return (name, False, re.compile(pattern, flags), read)


def _number(name: str, pattern: str, read: Reader, flags: re.RegexFlag = re.IGNORECASE) -> _Kind:
    return (name, True, re.compile(pattern, flags), read)


_KINDS = (
    _kind("email", r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}", _email),
    _kind(
        "url",
        rf"https?://{_URL_END}+|\bwww\.{_URL_END}+|(?<![\w@./-])(?:[a-z0-9-]+\.)+{_TOP}\b(?:/{_URL_END}*)?(?![\w@])",
        _url,
    ),
    _kind("date", r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)", _iso),
    _number("date", r"(\d{1,2})([./-]) ?(\d{1,2})\2 ?(\d{4}|\d{2})(?![\d.]\d|\d)", _numeric),
    _kind("date", r"\b(?:am|vom|bis|ab|zum|seit|der|den|dem)\s+(\d{1,2})\.(\d{1,2})\.(?!\d)", _short),
    _number("date", rf"{_FIRST}{_DAY}\s+(?:of\s+)?(?P<month>{MONTH})\b\.?{_YEAR}", _worded, re.UNICODE),
    _kind("date", rf"\b(?P<month>{MONTH})\b\.?\s+{_FIRST}{_DAY}(?![\d:%]){_YEAR}", _worded, re.UNICODE),
    _kind("date", rf"\b({MONTH})\s+(\d{{4}})(?!\d)", _month, re.UNICODE),
    _number("time", rf"{_FROM}{_CLOCK}\s?{_HALF}", _hours),
    _kind("time", r"(?<![\d:.,])(\d{1,2}):(\d{2})(?::\d{2})?(?![\d:])", _clock),
    _kind(
        "money",
        rf"(?P<sign>{CURRENCY_SIGN})\s?(?P<number>{NUMBER})(?:{_RANGE}(?:{CURRENCY_SIGN})?\s?(?P<to>{NUMBER}))?(?:\s?(?P<scale>{SCALE}))?",
        _money,
    ),
    _number("money", rf"{_TO}(?:\s(?P<scale>{SCALE}))?[\s-]?(?P<word>{CURRENCY_WORD})", _money),
    _number("percentage", rf"{_TO}\s?-?(?:%|percent\b|per cent\b|prozent)(?!\s*(?:sure|certain|sicher))", _percent),
    _number("duration", rf"{_TO}[\s-]?(?:full |volle[nr]? )?(?P<unit>{DURATION_UNIT})", _duration),
    _kind("duration", rf"(?P<before>{_DEADLINE})?\b{_ONE_OF}[\s-](?P<unit>{DURATION_UNIT})", _one_duration),
    _number("amount", rf"{_TO}[\s-]?(?P<unit>{UNIT})", _amount),
    _kind(
        "phone",
        r"(?<![\w#./-])(?:(?:\+|00)\d[\d ()./-]{6,20}\d|\(\d{2,5}\)[ -]?\d[\d -]{4,12}\d|0\d{1,5}[ /-]\d[\d /-]{3,14}\d|0\d{8,12}"
        r"|\d{3}[ .-]\d{3}[ .-]\d{4}|1-8\d{2}-\d{3}-\d{4})(?![\w%€$])",
        _phone,
    ),
    _kind("reference", r"(?<![\w./-])#?(?=[\w-]*\d{3})\w+(?:-\w+)*(?![.,]\d)", _reference),
)
