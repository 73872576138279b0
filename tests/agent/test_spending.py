"""What models cost is known at each moment, and budgets hold."""

from datetime import UTC, datetime

from bot.agent.spending import Spending, day_of
from bot.config.schema import Prices
from bot.ports import Usage
from tests.clock import ManualClock

PRICES = {"large": Prices(input=3, output=15, cache_read=0.3, cache_write=3.75), "own": Prices()}


def spending(clock: ManualClock, *, per_person: float = 1, per_day: float = 5) -> Spending:
    return Spending(clock, PRICES, per_person=per_person, per_day=per_day)


def spend(one: Spending, payer: str, cost: float) -> None:
    one.add(payer, "large", Usage(), round(cost * 1_000_000))


def test_cost_is_tokens_times_the_price_of_a_million() -> None:
    """1,000 read at 3, 200 written at 15, 10,000 from the cache at 0.3, 400 into it at 3.75: 0.0105 of the currency."""
    one = spending(ManualClock())
    assert one.cost_micros("large", Usage(1_000, 200, 10_000, 400)) == 3_000 + 3_000 + 3_000 + 1_500
    assert one.cost_micros("own", Usage(1_000, 200)) == 0
    assert one.cost_micros("offline", Usage(1_000, 200)) == 0


def test_other_prices_hold_for_what_comes_after() -> None:
    one = spending(ManualClock())
    one.price({"large": Prices(input=6)})
    assert one.cost_micros("large", Usage(1_000, 200)) == 6_000


def test_a_persons_budget_stops_that_person_alone() -> None:
    one = spending(ManualClock())
    spend(one, "ann", 0.99)
    assert one.refusal("ann") is None
    spend(one, "ann", 0.01)
    assert "person_cost_per_day" in (one.refusal("ann") or "")
    assert one.refusal("bob") is None
    assert one.refusal("") is None


def test_the_budget_of_the_day_stops_everybody() -> None:
    one = spending(ManualClock())
    for n in range(5):
        spend(one, f"person {n}", 1)
    assert "cost_per_day" in (one.refusal("somebody else") or "")
    assert one.refusal("") is not None


def test_zero_is_no_budget() -> None:
    one = spending(ManualClock(), per_person=0, per_day=0)
    spend(one, "ann", 1_000)
    assert one.refusal("ann") is None


async def test_budgets_begin_anew_with_the_utc_day() -> None:
    clock = ManualClock(int(datetime(2026, 3, 1, 23, 59, tzinfo=UTC).timestamp() * 1000))
    one = spending(clock)
    spend(one, "ann", 5)
    await clock.advance(59)
    assert one.refusal("ann") is not None
    await clock.advance(1)
    assert one.refusal("ann") is None
    assert one.today() == {}


def test_what_an_earlier_run_spent_today_counts() -> None:
    clock = ManualClock()
    one, today = spending(clock), day_of(clock.now_ms())
    one.load(
        [
            (today, "ann", "large", 3, 1, 100, 20, 5, 6, 600_000),
            (today, "ann", "own", 2, 0, 10, 2, 0, 0, 0),
            (today, "bob", "large", 1, 0, 1, 1, 1, 1, 500_000),
            ("2001-01-01", "ann", "large", 9, 9, 9, 9, 9, 9, 9_000_000),
        ]
    )
    assert one.refusal("ann") is None
    one.add("ann", "large", Usage(1, 2, 3, 4), 400_000, is_failed=True)
    assert one.refusal("ann") is not None
    large = one.today()["large"]
    assert (large.calls, large.failed, large.cost_micros) == (5, 2, 1_500_000)
    assert (large.input_tokens, large.output_tokens, large.cache_read_tokens, large.cache_write_tokens) == (
        102,
        23,
        9,
        11,
    )
    assert one.today()["own"].calls == 2


def test_a_day_is_named_as_in_the_table() -> None:
    assert day_of(int(datetime(2026, 11, 3, 0, 0, tzinfo=UTC).timestamp() * 1000)) == "2026-11-03"
    assert day_of(int(datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)) == "2026-11-03"
