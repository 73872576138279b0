"""Facts come from a source: which values and promises of an answer stand in nothing that the model has read.

A price, date, deadline, percentage, amount with a unit, phone number, address or reference number has to stand, in whatever notation, in a
passage, a tool's result, the instructions or the conversation; a promise such as "free of charge" in one that is not the user's own words.
Not looked for: list numbers, citations, versions, and bare numbers ("two things").
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal

from bot.agent.reading import Text, tabled_values
from bot.agent.sources import Known, following, general_dates, lasting
from bot.agent.terms import TERMS, find_terms
from bot.agent.units import BLANK, CURRENCY, DURATION, MONTH, UNITS, WORD_NUMBERS
from bot.agent.values import Form, Value, bare, find_values
from bot.model import value

MOMENT_CHARS = 4_000  # of all sources; reading so much takes the loop some milliseconds


@value
class Source:
    """A text that a model has read. `is_users`: in it the user asks, and promises nothing. `is_lasting`: other turns read it too."""

    text: str
    is_users: bool = False
    is_lasting: bool = False


class Grounds:
    """The sources of one answer. They are read when the first value is asked for: an answer without one costs nothing. Who wants long ones read
    beside the loop calls `prepare` first."""

    def __init__(self, read: Callable[[], Iterable[Source]], today: date) -> None:
        self._read = read
        self._today = today
        self._known: Known | None = None

    async def prepare(self) -> None:
        """Has all read in a thread that would take the loop too long; does nothing the second time."""
        known = self._sources()
        if sum(text.unread_chars for text in known.texts) > MOMENT_CHARS:
            for text in known.lasting:
                if text.unread_chars:
                    await asyncio.shield(text.begin())  # other turns wait for it, too
            await asyncio.to_thread(_read_all, known.texts)

    def missing(self, text: str) -> tuple[str, ...]:
        """The values and terms of a text that have no source, as they stand in it, each once."""
        text = bare(text)
        values, terms = [*find_values(text), *tabled_values(text)], find_terms(text)
        if not values and not terms:
            return ()
        known = self._sources()
        known.take_in()
        times = {int(match[0]) for match in _COUNT.finditer(text)}
        wanting, said = [], set[Form]()
        for each in values:
            if known.has(each):
                said |= each.forms
            else:
                wanting.append(each)
        if wanting:
            beyond = Known(following(known.forms, times, self._today) | general_dates(known.forms, self._today))
            near = (self._today + timedelta(days) for days in (-1, 0, 1))  # wherever on earth the user is
            beyond.forms |= {("date", day.year, day.month, day.day) for day in near}
            beyond.forms |= general_dates(beyond.forms, self._today) | following(said, times, self._today)
            wanting = [each for each in wanting if not (beyond.has(each) or _is_free(text, each))]
        lacking = [(match.start(), match[0]) for term, match in terms if not known.promises_as(term)]
        found = sorted([*((each.at, each.text) for each in wanting), *lacking])
        return tuple(dict.fromkeys(each for _, each in found))

    def _sources(self) -> Known:
        if self._known is None:
            self._known = Known()
            for source in self._read():
                self._known.add(source.text, has_terms=not source.is_users, is_kept=source.is_lasting)
        return self._known


def read_ahead(text: str) -> None:
    """Begins to read a text that will be a lasting source, so that no answer has to wait for it."""
    kept = lasting(text)
    if kept.unread_chars > MOMENT_CHARS:
        kept.begin()


def _read_all(texts: Iterable[Text]) -> None:
    for text in texts:
        text.read()


def value_start(text: str) -> int:
    """Where in an unfinished sentence the first value may begin; its length where nothing looks like one. A word that is cut off may still
    become one; only a first word of letters is not waited for, so that an answer begins at once."""
    plain = _CITATIONS.sub(lambda match: BLANK * len(match[0]), text)
    marked = _MARKED.search(plain)
    start = _word_start(plain)
    if marked is not None and (word := _LAST.search(plain, 0, marked.start() + 1)) is not None:
        start = min(start, word.start())
    last = _LAST.search(plain)
    if last is not None and (plain[: last.start()].strip() or _may_begin(last[0])):
        start = min(start, last.start())
    return start


def _word_start(text: str) -> int:
    """Where a word stands that begins or ends a value."""
    words = [(match.start(), _letters(match[0])) for match in _WORD.finditer(text)]
    for number, (start, word) in enumerate(words):
        if word.startswith(_OPENINGS) or word in _COUNTS or "garantie" in word:
            if len(words) - number <= _PENDING_WORDS or _stands(text, start):
                return start
        elif number and word.rstrip(".,;:") in _UNITS and words[number - 1][1] in _ONE:
            return words[number - 1][0]
    return len(text)


def _letters(word: str) -> str:
    """The word as it is read."""
    return bare(word).casefold().strip(_AROUND)


def _may_begin(word: str) -> bool:
    return not word.isalpha() or word.casefold() in _BEGINNINGS


def _stands(text: str, start: int) -> bool:
    """Whether what began there has become a value or a term."""
    begun, around = (
        bare(text[start : start + _VALUE_CHARS]),
        bare(text[max(0, start - _VALUE_CHARS) : start + 2 * _VALUE_CHARS]),
    )
    return bool(find_values(begun)) or any(term.said.search(around) for term in TERMS)


def _is_free(text: str, given: Value) -> bool:
    """ "such as 12345" shows how something is written, "try again in 5 minutes" is no deadline."""
    if _EXAMPLE.search(text, max(0, given.at - 24), given.at) is not None:
        return True
    is_short = all(kind == "seconds" and Decimal(str(count)) < _HOUR_S for kind, count, *_ in given.forms)
    return is_short and _WAIT.search(text, max(0, given.at - 40), given.at) is not None


_COUNT = re.compile(r"(?<![\d.,])\d{1,3}(?![\d.,]\d|\d)")
_CITATIONS = re.compile(r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")
_EXAMPLE = re.compile(
    r"(?:\be\.g\.|\bz\. ?B\.|\bfor example|\bsuch as|\bzum Beispiel|\bformat:?)[ ,:(`\"“„']*$", re.IGNORECASE
)
_HOUR_S = 3_600
_WAIT = re.compile(
    r"\b(?:try (?:it |that )?(?:once )?(?:again|later)|please wait|wait (?:for )?|versuchen Sie es|warten Sie|warte)(?: bitte)?(?: erneut| noch einmal| wieder)?"
    r"(?: in| after| for| nach)?(?: about| around| at least| another| etwa| rund| mindestens| ungefähr)? ?$",
    re.IGNORECASE,
)
_MARKED = re.compile(r"[\d€$£¥₹@]|https?:|\bwww|[^\W\d]\.\w")
_LAST = re.compile(r"\S+$")
_WORD = re.compile(r"[^\s-]+")
_AROUND = "\"'“”„‘’()[]"
_PENDING_WORDS = 4  # so long may a word such as "no" wait for what it is said of
_VALUE_CHARS = 60
_ONE = frozenset(["a", "an", "one", "ein", "eine", "einem", "einer", "eines", "einen"])
_COUNTS = WORD_NUMBERS | {each for each in CURRENCY if len(each) == 3} | {each.casefold() for each in MONTH.split("|")}
_UNITS = frozenset((*(part for unit in DURATION for part in unit.split()), *CURRENCY, *UNITS, "percent", "prozent"))
_OPENINGS = (
    *[
        "free",
        "no",
        "without",
        "complimentary",
        "kosten",
        "versandkosten",
        "gratis",
        "gebühr",
        "umsonst",
        "ohne",
        "keine",
        "pay",
        "refund",
        "money",
        "erstatt",
        "geld",
        "rückerstatt",
        "full",
        "voll",
    ],
    *[
        "anytime",
        "any",
        "jederzeit",
        "guarant",
        "garant",
        "warrant",
        "gewährleist",
        "mindestlaufzeit",
        "unlimit",
        "unbegrenzt",
        "unbeschr",
        "lifetime",
        "lebenslang",
    ],
    *[
        "unverbindlich",
        "around",
        "round",
        "rund",
        "tax",
        "duty",
        "steuerfrei",
        "zollfrei",
        "discount",
        "voucher",
        "credit",
        "rabatt",
        "gutschein",
        "compens",
        "entschäd",
    ],
)
_BEGINNINGS = frozenset(
    word[:length] for word in (*_OPENINGS, *_COUNTS, *_UNITS, "http", "www") for length in range(1, len(word) + 1)
)
