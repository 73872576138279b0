"""What the values of an answer may come from: the texts that a model has read, and what simply follows from them.

What follows: the sum and the difference of two amounts of one currency, a share of an amount by a percentage, an amount so many times where
the answer says how many (or twelve, for the months of a year); a date so many days after today or another date, and the days between the
two. Where a turn has read more than `AMOUNTS_MOST` amounts of a currency or `DATES_MOST` dates, nothing follows from them: among
many, almost any value would.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import combinations

from bot.agent.reading import Text
from bot.agent.terms import Term
from bot.agent.units import ANY_CURRENCY
from bot.agent.values import Form, Value, money

AMOUNTS_MOST = 12
DATES_MOST = 4
GROUPED_DIGITS = 10  # a number as long as this may stand in groups
DAYS_MOST = 400  # that a date may lie after another to follow from it


@dataclass(slots=True)
class Known:
    """What stands in sources: `forms` of values that follow from others, and what the texts say."""

    forms: set[Form] = field(default_factory=set)
    texts: list[Text] = field(default_factory=list)
    lasting: list[Text] = field(default_factory=list)  # those that other turns read too
    promising: list[Text] = field(default_factory=list)  # those whose promises are ours
    _has_taken_in: bool = False

    def add(self, text: str, *, has_terms: bool, is_kept: bool = False) -> None:
        """`has_terms`: what it promises is a promise of ours. `is_kept`: it will be asked for again, and is nobody's own."""
        read = lasting(text) if is_kept else Text(text)
        self.texts.append(read)
        if is_kept:
            self.lasting.append(read)
        if has_terms:
            self.promising.append(read)

    def take_in(self) -> None:
        """Reads the values of all texts, once."""
        if not self._has_taken_in:
            self.forms = self.forms.union(*(text.forms() for text in self.texts))
            self._has_taken_in = True

    def has(self, given: Value) -> bool:
        return any(self._has(form) for form in given.forms)

    def promises_as(self, term: Term) -> bool:
        return any(text.promises(term) for text in self.promising)

    def _has(self, form: Form) -> bool:
        kind = form[0]
        if form in self.forms or (kind == "money" and ("money", ANY_CURRENCY, form[2]) in self.forms):
            return True
        if kind == "reference":
            return self._has_reference(str(form[1]))
        return kind == "phone" and any(str(form[1]) in text.dialled() for text in self.texts)

    def _has_reference(self, ref: str) -> bool:
        asked = {ref, re.sub(r"\D", "", ref)}
        if any(not asked.isdisjoint(text.tokens()) for text in self.texts):
            return True
        return len(ref) >= GROUPED_DIGITS and ref.isdigit() and any(ref in text.dialled() for text in self.texts)


@lru_cache(maxsize=8)
def lasting(text: str) -> Text:
    """The text with what was read of it before."""
    return Text(text)


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
