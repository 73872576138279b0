"""What the values of an answer may come from: the texts that a model has read, and what simply follows from them.

What follows: the sum and the difference of two amounts of one currency, a share of an amount by a percentage, an amount so many times where
the answer says how many (or twelve, for the months of a year); a date so many days after today or another date, and the days between the
two. Where a turn has read more than `AMOUNTS_MOST` amounts of a currency or `DATES_MOST` dates, nothing follows from them: among
many, almost any value would.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import combinations, islice
from typing import Any

from bot.agent.terms import Term, is_sourced
from bot.agent.units import (
    ANY_CURRENCY,
    CURRENCY,
    CURRENCY_WORD,
    DURATION,
    DURATION_UNIT,
    NUMBER,
    UNIT,
    UNITS,
    numbers,
)
from bot.agent.values import Form, Value, bare, find_values, money

AMOUNTS_MOST = 12
DATES_MOST = 4
TABLE_NUMBERS_MOST = 500
GROUPED_DIGITS = 10  # a number as long as this may stand in groups
JSON_TRIES = 20  # so many beginnings of a text that holds JSON are tried
DAYS_MOST = 400  # that a date may lie after another to follow from it


@dataclass(slots=True)
class Known:
    """What stands in sources."""

    forms: set[Form] = field(default_factory=set)
    promises: list[str] = field(default_factory=list)  # texts whose promises are ours
    texts: list[str] = field(default_factory=list)
    _tokens: set[str] = field(default_factory=set)  # runs of letters and digits
    _dialled: list[str] = field(default_factory=list)  # the texts with the digits of a phone number side by side

    def add(self, text: str, *, has_terms: bool, is_kept: bool = False) -> None:
        """`has_terms`: what it promises is a promise of ours. `is_kept`: it will be asked for again, and is nobody's own."""
        text = bare(text)
        self.forms |= _kept(text) if is_kept else _read(text)
        if has_terms:
            self.promises.append(text)
        self.texts.append(text)

    def has(self, given: Value) -> bool:
        return any(self._has(form) for form in given.forms)

    def promises_as(self, term: Term) -> bool:
        return any(is_sourced(term, text) for text in self.promises)

    def _has(self, form: Form) -> bool:
        kind = form[0]
        if form in self.forms or (kind == "money" and ("money", ANY_CURRENCY, form[2]) in self.forms):
            return True
        if kind == "reference":
            ref, tokens = str(form[1]), self._read_tokens()
            is_grouped = (
                len(ref) >= GROUPED_DIGITS and ref.isdigit() and any(ref in each for each in self._read_dialled())
            )
            return ref in tokens or re.sub(r"\D", "", ref) in tokens or is_grouped
        return kind == "phone" and any(str(form[1]) in each for each in self._read_dialled())

    def _read_dialled(self) -> list[str]:
        if len(self._dialled) < len(self.texts):
            self._dialled = [re.sub(r"(?<=\d)[ ()/.-]+(?=[\d(])", "", text) for text in self.texts]
        return self._dialled

    def _read_tokens(self) -> set[str]:
        if not self._tokens:
            for match in _TOKEN.finditer("\n".join(self.texts)):
                whole = match[0].casefold()
                if not any(map(str.isdigit, whole)):
                    continue
                self._tokens.add(re.sub(r"[^a-z0-9]", "", whole))
                self._tokens.update(part for part in re.split(r"[^a-z0-9]+", whole) if part)
        return self._tokens


@lru_cache(maxsize=8)
def _kept(text: str) -> frozenset[Form]:
    return frozenset(_read(text))


def _read(text: str) -> set[Form]:
    forms = {form for each in find_values(text, is_source=True) for form in each.forms}
    forms |= set(_tabled(text))
    for start in islice(_JSON.finditer(text), JSON_TRIES):
        try:
            data, _ = json.JSONDecoder(parse_float=Decimal).raw_decode(text, start.start())
            forms |= set(_of_json(data))
        except (ValueError, RecursionError, ArithmeticError):  # no JSON, too deep, a number beyond all sense
            continue
        break
    return forms


# --- tables: the unit stands in the head -----------------------------------------------------------------------------


def _tabled(text: str) -> Iterator[Form]:
    """A number in a table's cell may have the unit or currency that the same text names."""
    cells = [match[1] for line in text.splitlines() if "|" in line or "\t" in line for match in _CELL.finditer(line)]
    if cells:
        units = {match[0].casefold() for match in _UNIT.finditer(text)}
        for cell in cells[:TABLE_NUMBERS_MOST]:
            for unit in units:
                yield from _with_unit(numbers(cell), unit)


def tabled_values(text: str) -> Iterator[Value]:
    """The bare numbers in the tables of an answer whose column says in its head what they are: "Price (EUR)", "Days"."""
    units: list[str] = []
    at, is_in_table = 0, False
    for line in text.splitlines(keepends=True):
        is_row = line.count("|") > 1
        cells = line.split("|") if is_row else []
        if is_row and not is_in_table:
            units = [match[0].casefold() if (match := _UNIT.search(cell)) else "" for cell in cells]
        elif is_row:
            for cell, unit in zip(cells, units, strict=False):
                if unit and re.fullmatch(NUMBER, cell.strip()):
                    yield Value("table", f"{cell.strip()} {unit}", frozenset(_with_unit(numbers(cell), unit)), at)
        is_in_table = is_row
        at += len(line)


def _with_unit(counts: Iterable[Decimal], unit: str) -> Iterator[Form]:
    for count in counts:
        if unit in CURRENCY:
            yield from (money(count * part, currency) for currency, part in CURRENCY[unit])
        if unit in DURATION:
            kind, per = DURATION[unit]
            yield (kind, (count * per).normalize())
        for kind, per in UNITS.get(unit, ()):
            yield (kind, (count * per).normalize())
        if unit in _PERCENT:
            yield ("percent", count.normalize())
            if count <= 1:
                yield ("percent", (count * 100).normalize())


# --- JSON: the unit stands in the key ------------------------------------------------------------------------------


def _of_json(data: Any, key: str = "", currency: str = "", unit: str = "") -> Iterator[Form]:  # Any: JSON
    match data:
        case dict():
            currency, unit = _named(data, _CURRENCY_KEY) or currency, _named(data, _UNIT_KEY) or unit
            for name, each in data.items():
                yield from _of_json(
                    each, f"{key}_{name}" if isinstance(each, dict | list) else str(name), currency, unit
                )
        case list():
            for each in data:
                yield from _of_json(each, key, currency, unit)
        case bool() | None:
            return
        case int() | Decimal():
            yield from _of_number(Decimal(data), key, currency, unit)
        case str() if _NUMERIC.fullmatch(data):
            yield from _of_number(Decimal(data), key, currency, unit)


def _named(data: Mapping[str, Any], names: re.Pattern[str]) -> str:
    return next((str(each) for name, each in data.items() if isinstance(each, str) and names.search(name)), "")


def _of_number(signed: Decimal, key: str, currency: str, unit: str) -> Iterator[Form]:
    number = abs(signed)  # as in a text, where a sign is none of the value
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).casefold()))
    for word in {*words, unit.casefold()}:
        if not (currency and word in CURRENCY):
            yield from _with_unit((number,), word)
    if words & _MONEY_KEYS:
        codes = [code for code, _ in CURRENCY.get(currency.casefold(), ())] or [ANY_CURRENCY]
        is_minor, is_whole = bool(words & _MINOR), number == number.to_integral_value()
        for code in codes:
            if not is_minor:
                yield money(number, code)
            if is_minor or (is_whole and currency):  # payment services count in cents
                yield money(number / 100, code)
    if 10**9 <= number < 4 * 10**9 or 10**12 <= number < 4 * 10**12:
        at = datetime.fromtimestamp(float(number) / (1000 if number >= 10**12 else 1), UTC)
        yield from (("date", at.year, at.month, at.day), ("clock", at.hour * 60 + at.minute))


# --- what follows ------------------------------------------------------------------------------------------------------


def following(forms: Collection[Form], times: Collection[int], today: date) -> set[Form]:
    """What follows from values that have a source; `times`: the whole numbers that the answer itself shows."""
    return set(_amounts(forms, times)) | set(_dates(forms, today))


def _amounts(forms: Collection[Form], times: Collection[int]) -> Iterator[Form]:
    by_currency: dict[str, set[Decimal]] = {}
    for form in forms:
        if form[0] == "money":
            by_currency.setdefault(str(form[1]), set()).add(Decimal(str(form[2])))
    shares = [Decimal(str(form[1])) / 100 for form in forms if form[0] == "percent"][:AMOUNTS_MOST]
    for currency, amounts in by_currency.items():
        if len(amounts) > AMOUNTS_MOST:
            continue
        for one, other in combinations(sorted(amounts), 2):
            yield money(one + other, currency)
            yield money(other - one, currency)
        for amount in amounts:
            yield from (money(amount * count, currency) for count in {*times, 12})
            for share in shares:
                part = (amount * share).quantize(Decimal("0.01"))
                yield from (money(part, currency), money(amount - part, currency), money(amount + part, currency))


def _dates(forms: Collection[Form], today: date) -> Iterator[Form]:
    found = set(filter(None, (_date(form, today) for form in forms if form[0] == "date")))
    spans = (Decimal(str(form[1])) / 86_400 for form in forms if form[0] == "seconds")
    days = {int(span) for span in spans if 1 <= span <= DAYS_MOST}
    starts = {today, *found} if len(found) <= DATES_MOST else {today}
    for start in starts:
        for count in days:
            yield from (_form(start + timedelta(count)), _form(start - timedelta(count)))
    for start in starts:
        for end in found:
            if 0 < abs((end - start).days) <= DAYS_MOST:
                yield ("seconds", (Decimal(abs((end - start).days)) * 86_400).normalize())


def _date(form: Form, today: date) -> date | None:
    _, year, month, day = (int(str(each)) if number else 0 for number, each in enumerate(form))
    try:
        return date(year or today.year, month, day)
    except ValueError:
        return None


def _form(day: date) -> Form:
    return ("date", day.year, day.month, day.day)


def general_dates(forms: Collection[Form], today: date) -> set[Form]:
    """The same dates as they are said without their year or day, or with a year that goes without saying."""
    more: set[Form] = set()
    for form in forms:
        if form[0] == "date":
            _, year, month, day = form
            years = (year,) if year else (today.year, today.year + 1)
            more |= {
                ("date", 0, month, day),
                *(("date", each, month, each_day) for each in years for each_day in (0, day)),
            }
    return more


_TOKEN = re.compile(r"\w+(?:[-/]\w+)*")
_JSON = re.compile(r"[{\[](?=\s*[\"{\[\d])")
_NUMERIC = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")
_CELL = re.compile(rf"(?:[|\t]|^)\s*\**({NUMBER})\**\s*(?=[|\t]|$)")
_UNIT = re.compile(rf"(?<!\w)(?:{CURRENCY_WORD}|{DURATION_UNIT}|{UNIT}|%|percent\b|prozent\b)", re.IGNORECASE)
_PERCENT = frozenset({"%", "percent", "prozent", "pct", "rate", "discount", "vat", "percentage", "share"})
_CURRENCY_KEY, _UNIT_KEY = re.compile("currency|^ccy$|^cur$", re.IGNORECASE), re.compile("unit", re.IGNORECASE)
_MONEY_KEYS = frozenset(
    [
        "price",
        "total",
        "subtotal",
        "amount",
        "cost",
        "costs",
        "fee",
        "balance",
        "paid",
        "due",
        "refund",
        "shipping",
        "tax",
        "cents",
        "charge",
        "value",
        "sum",
        "net",
        "gross",
    ]
)
_MINOR = frozenset({"cents", "cent", "minor", "pence"})
