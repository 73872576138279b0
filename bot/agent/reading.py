"""What one text says: its values, its codes and numbers, and what it promises.

Promise: nothing holds Python longer than some milliseconds at a time, however long the text is, so that it can be read in a thread beside the
loop. It is read window by window; a value belongs to the window in which it begins.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from bot.agent.terms import TERMS, Term, is_sourced
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

WINDOW_CHARS = 8_000
AROUND_CHARS = 200  # that a value, or what it is said of, may reach out of its window
TABLE_NUMBERS_MOST = 500
JSON_TRIES = 20  # so many beginnings of a text that holds JSON are tried


class Text:
    """One text as a source. Each part is read when it is first asked for, or all of it by `read`."""

    __slots__ = ("_bare", "_begun", "_dialled", "_forms", "_given", "_is_read", "_promised", "_tokens")

    def __init__(self, text: str) -> None:
        self._given = text
        self._bare: str | None = None
        self._forms: frozenset[Form] | None = None
        self._tokens: frozenset[str] | None = None
        self._dialled: str | None = None
        self._promised: dict[str, bool] = {}
        self._is_read = False
        self._begun: asyncio.Future[None] | None = None

    @property
    def unread_chars(self) -> int:
        """How long it is, as long as `read` has not ended."""
        return 0 if self._is_read else len(self._given)

    def read(self) -> None:
        """Everything that may be asked of it. Safe to repeat, also in two threads at once."""
        self.forms()
        self.tokens()
        self.dialled()
        for term in TERMS:
            self.promises(term)
        self._is_read = True

    def begin(self) -> "asyncio.Future[None]":
        """Reads it in a thread, once for all who wait for that."""
        loop = asyncio.get_running_loop()
        if self._begun is None or self._begun.get_loop() is not loop:
            self._begun = loop.run_in_executor(None, self.read)
        return self._begun

    def forms(self) -> frozenset[Form]:
        """Of all its values, also of those in tables and JSON."""
        if self._forms is None:
            self._forms = frozenset(_forms(self._plain()))
        return self._forms

    def tokens(self) -> frozenset[str]:
        """Its runs of letters and digits that hold a digit, in lower case, as they stand and without what joins them."""
        if self._tokens is None:
            self._tokens = frozenset(_tokens(self._plain()))
        return self._tokens

    def dialled(self) -> str:
        """The text with the digits of a phone number side by side."""
        if self._dialled is None:
            self._dialled = _BETWEEN_DIGITS.sub("", self._plain())
        return self._dialled

    def promises(self, term: Term) -> bool:
        if term.name not in self._promised:
            text = self._plain()
            self._promised[term.name] = any(is_sourced(term, text, start, end) for start, end in windows(text))
        return self._promised[term.name]

    def _plain(self) -> str:
        """Without emphasis and the like, which never reaches over the end of a window."""
        if self._bare is None:
            self._bare = "".join(bare(self._given[start:end]) for start, end in windows(self._given))
        return self._bare


def windows(text: str) -> Iterator[tuple[int, int]]:
    """Where to begin and to end reading, one after the other: each as long as WINDOW_CHARS allow up to the end of a line, or else of a word."""
    start = 0
    while len(text) - start > WINDOW_CHARS:
        most = start + WINDOW_CHARS
        end = text.rfind("\n", start, most) + 1 or text.rfind(" ", start, most) + 1 or most
        yield start, end
        start = end
    yield start, len(text)


def _forms(text: str) -> Iterator[Form]:
    for start, end in windows(text):
        before = max(0, start - AROUND_CHARS)
        for each in find_values(text[before : end + AROUND_CHARS], is_source=True):
            if start <= before + each.at < end:
                yield from each.forms
    yield from _tabled(text)
    yield from _in_json(text)


def _in_json(text: str) -> Iterable[Form]:
    for start in islice(_JSON.finditer(text), JSON_TRIES):
        try:
            data, _ = json.JSONDecoder(parse_float=Decimal).raw_decode(text, start.start())
            return set(_of_json(data))
        except (ValueError, RecursionError, ArithmeticError):  # no JSON, too deep, a number beyond all sense
            continue
    return ()


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        whole = match[0].casefold()
        if any(map(str.isdigit, whole)):
            yield re.sub(r"[^a-z0-9]", "", whole)
            yield from filter(None, re.split(r"[^a-z0-9]+", whole))


# --- tables: the unit stands in the head -----------------------------------------------------------------------------


def _tabled(text: str) -> Iterator[Form]:
    """A number in a table's cell may have the unit or currency that the same text names."""
    cells = [match[1] for line in text.splitlines() if "|" in line or "\t" in line for match in _CELL.finditer(line)]
    if cells:
        units = {match[0] for match in _FOLDED_UNIT.finditer(text.casefold())}
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


_TOKEN = re.compile(r"\w+(?:[-/]\w+)*")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[ ()/.-]+(?=[\d(])")
_JSON = re.compile(r"[{\[](?=\s*[\"{\[\d])")
_NUMERIC = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")
_CELL = re.compile(rf"(?:[|\t]|^)\s*\**({NUMBER})\**\s*(?=[|\t]|$)")
_ANY_UNIT = rf"(?<!\w)(?:{CURRENCY_WORD}|{DURATION_UNIT}|{UNIT}|%|percent\b|prozent\b)"
_UNIT = re.compile(_ANY_UNIT, re.IGNORECASE)
_FOLDED_UNIT = re.compile(_ANY_UNIT)  # several times as quick
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
