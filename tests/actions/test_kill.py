"""Nothing happens twice, nothing is forgotten and nobody is told wrong, wherever the process is killed."""

from pathlib import Path

from bot.tools.action import Arguments, Consent, Reply
from tests.actions.kill import LABELS, collect
from tests.actions.kill_child import CONSENTS, EFFECTS
from tests.actions.shop import Obedient, Shop, call, counter, for_ever, lost, order, refund
from tests.clock import ManualClock

CYCLES = 500


async def test_f6_to_f10_of_500_kills_none_doubles_loses_or_hides_an_effect(tmp_path: Path) -> None:
    """Every effect class, every consent, a shop that fails of itself; judged from its own ledger."""
    report = await collect(tmp_path, CYCLES, 60)
    assert report.findings == []
    assert report.cycles.total() == CYCLES
    assert report.bookings > CYCLES // 2
    assert report.in_queue > CYCLES // 50, "too few outcomes were unknown: the operators' queue was hardly tried"
    assert len(LABELS.keys() - report.cycles.keys()) <= 3, "too many points were never reached"
    made = {name.partition(":")[0] for name in report.actions}
    assert made == {f"{effect}_{consent}" for effect in EFFECTS for consent in CONSENTS}


async def test_what_was_never_begun_and_is_not_wanted_any_more_makes_room(tmp_path: Path) -> None:
    """Entered, killed, and the rerun makes another call: the first is not made, and stands in nobody's way."""
    shop, clock = Shop(), ManualClock()
    actions = (refund(shop, consent=Consent.NONE), order(shop))
    shop.before = [for_ever]
    async with counter(tmp_path, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.say()
        unbegun = "UPDATE actions SET state = 'approved', tries = 0, intended_ms = NULL, awaits_telling = 0 WHERE state = 'intended'"
        assert await desk.house.store.run(lambda cursor: cursor.execute(unbegun)) == 1
        await desk.house.store.run(lambda cursor: cursor.execute("DELETE FROM tool_calls"))
        await desk.house.store.run(lambda cursor: cursor.execute("DELETE FROM steps"))
    async with counter(tmp_path, Obedient(call(order="13", amount=1)), shop, *actions, clock=clock) as desk:
        await desk.house.rest(5)
        assert sorted(await desk.states()) == ["succeeded", "void"]
        desk.model.script = Obedient(call(order="12", amount=7))
        await desk.say("12 after all", event="after all")
        assert [entry[1]["order"] for entry in shop.ledger] == ["13", "12"]


async def test_f7_a_refusal_says_nothing_of_an_earlier_try(tmp_path: Path) -> None:
    """The first reply is lost after the effect; the repetition is refused, for whatever reason: a person finds out."""
    shop = Refusing()
    shop.after = [lost]
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await desk.say()
        await desk.press()
        await desk.house.rest(10)
        assert len(shop.ledger) == 1
        assert await desk.states() == ["unknown"]
        assert [row[0] for row in await desk.house.all("SELECT kind FROM queue")] == ["unknown"]


class Refusing(Shop):
    """Takes one call, and lets nobody in afterwards."""

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        if self.calls:
            return Reply("Your key has expired.", is_refused=True)
        return await super().call(arguments, key, within_s)


async def test_what_needs_nobody_is_not_done_on_facts_that_have_changed(tmp_path: Path) -> None:
    """Entered and killed before the call; meanwhile the order has changed: the rerun does not make it."""
    shop, clock = Shop(), ManualClock()
    actions = (refund(shop, consent=Consent.NONE), order(shop))
    shop.before = [for_ever]
    async with counter(tmp_path, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.say()
        unbegun = "UPDATE actions SET state = 'approved', tries = 0, intended_ms = NULL, awaits_telling = 0 WHERE state = 'intended'"
        assert await desk.house.store.run(lambda cursor: cursor.execute(unbegun)) == 1
    shop.order["status"] = "refunded"
    async with counter(tmp_path, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.house.rest(5)
        assert shop.ledger == []
        assert await desk.states() == ["void"]
