"""What the models have cost today, by person and by model, and whether more may be spent.

The day is UTC's. Kept in memory; the rows that it is loaded from at a start are written from the attempts. Money is in millionths of
the currency of the config's prices: tokens times the price of a million of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

from bot.config.schema import Prices
from bot.model import changeable
from bot.ports import Clock, Row, Usage

MILLION = 1_000_000
DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()


@changeable
class Spent:
    """The sums of one model's calls."""

    calls: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_micros: int = 0


def day_of(now_ms: int) -> str:
    """The UTC day of a moment, as YYYY-MM-DD."""
    return date.fromordinal(_EPOCH + now_ms // DAY_MS).isoformat()


def is_priced(prices: Prices) -> bool:
    return any((prices.input, prices.output, prices.cache_read, prices.cache_write))


class Spending:
    """`per_person` and `per_day` are budgets for a day, 0 for none; they may be changed while it runs. A budget is looked at before each call, so
    it can be exceeded by what the calls that run at that moment still cost."""

    def __init__(self, clock: Clock, prices: Mapping[str, Prices], *, per_person: float, per_day: float) -> None:
        self.per_person = per_person
        self.per_day = per_day
        self._clock = clock
        self._prices = dict(prices)
        self._day = clock.now_ms() // DAY_MS
        self._models: defaultdict[str, Spent] = defaultdict(Spent)
        self._payers: defaultdict[str, int] = defaultdict(int)
        self._total = 0

    def price(self, prices: Mapping[str, Prices]) -> None:
        """Other prices from now on; what was spent stays."""
        self._prices = dict(prices)

    def cost_micros(self, model: str, usage: Usage) -> int:
        prices = self._prices.get(model)
        if prices is None:
            return 0
        return round(
            usage.input_tokens * prices.input
            + usage.output_tokens * prices.output
            + usage.cache_read_tokens * prices.cache_read
            + usage.cache_write_tokens * prices.cache_write
        )

    def load(self, rows: Iterable[Row]) -> None:
        """Adds what an earlier run spent: (day, payer, model, calls, failed, input, output, cache_read, cache_write, cost_micros).
        Rows of other days than today are left out."""
        self._turn_day()
        today = day_of(self._clock.now_ms())
        for day, payer, model, *sums in rows:
            if day == today:
                self._add(payer, model, Spent(*sums))

    def add(self, payer: str, model: str, usage: Usage, cost_micros: int, *, is_failed: bool = False) -> None:
        """One call has ended. `payer` is "" when nobody in particular caused it."""
        self._turn_day()
        self._add(
            payer,
            model,
            Spent(
                1,
                int(is_failed),
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                cost_micros,
            ),
        )

    def refusal(self, payer: str) -> str | None:
        """Why nothing more may be spent for this person today, for operators; None when it may."""
        self._turn_day()
        if self.per_day and self._total >= self.per_day * MILLION:
            return f"the budget of the day is used up ({self._total / MILLION:.2f} of {self.per_day:g}); raise limits.cost_per_day"
        spent = self._payers.get(payer, 0)
        if payer and self.per_person and spent >= self.per_person * MILLION:
            return f"this person's budget of the day is used up ({spent / MILLION:.2f} of {self.per_person:g}); raise limits.person_cost_per_day"
        return None

    def today(self) -> dict[str, Spent]:
        """The sums of each model that was called today."""
        self._turn_day()
        return dict(self._models)

    def _turn_day(self) -> None:
        day = self._clock.now_ms() // DAY_MS
        if day != self._day:
            self._day = day
            self._models.clear()
            self._payers.clear()
            self._total = 0

    def _add(self, payer: str, model: str, more: Spent) -> None:
        sums = self._models[model]
        sums.calls += more.calls
        sums.failed += more.failed
        sums.input_tokens += more.input_tokens
        sums.output_tokens += more.output_tokens
        sums.cache_read_tokens += more.cache_read_tokens
        sums.cache_write_tokens += more.cache_write_tokens
        sums.cost_micros += more.cost_micros
        if payer and more.cost_micros:
            self._payers[payer] += more.cost_micros
        self._total += more.cost_micros
