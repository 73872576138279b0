"""What becomes of the ledger when it is put back from a backup, and when a person wants to be forgotten."""

from pathlib import Path

import pytest

from bot.deciding import Deciding
from bot.model import Address, ForgetRequested, Identity
from bot.store.backup import backup, restore
from bot.tools.action import Consent, Effect
from tests.actions.shop import Counter, Obedient, Shop, call, counter, for_ever, lost, order, refund
from tests.clock import ManualClock
from tests.people import People

CANARY = "canary-4711"
NOTED = call(order="12", amount=2_500, note=CANARY)


@pytest.mark.parametrize("state", ["proposed", "approved", "intended"])
async def test_what_a_backup_had_open_is_not_done_again(tmp_path: Path, state: str) -> None:
    """It may have been carried out after the backup was made: whoever asks, a person says so first."""
    shop, clock = Shop(honours_keys=False), ManualClock()
    data, copy, back = tmp_path / "data", tmp_path / "copy", tmp_path / "data"
    actions = (refund(shop, consent=Consent.OPERATOR if state == "proposed" else Consent.USER), order(shop))
    async with counter(data, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.say()
        if state != "proposed":
            shop.before = [for_ever]
            await desk.press()
        if state == "approved":
            undone = "UPDATE actions SET state = 'approved', tries = 0, intended_ms = NULL WHERE state = 'intended'"
            await desk.house.store.run(lambda cursor: cursor.execute(undone))
        assert await desk.states() == [state]
        backup(data, copy, clock)
    shop.calls.clear()
    restore(copy, back, clock)
    async with counter(back, Obedient(call(id_="c9")), shop, *actions, clock=clock) as desk:
        await desk.house.rest(1)
        await desk.say("Hello?", event="later")
        assert not shop.calls
        assert await desk.states() == ["unknown"]
        assert "backup" in await only(desk, "SELECT detail FROM queue WHERE kind = 'unknown'")
        house = desk.house
        deciding = Deciding(house.store, house.clock, house.conversations, house.scheduler, People({"ada": "approver"}))
        entry = await only(desk, "SELECT id FROM queue WHERE kind = 'unknown'")
        await deciding.unknown(entry, "did-not", name="ada", account="root", why="")
        await house.rest(1)
        assert await desk.states() == ["refused"] or "proposed" in await desk.states()
        assert not shop.calls


async def test_what_had_lapsed_before_a_backup_was_made_bothers_nobody(tmp_path: Path) -> None:
    """Nobody can have agreed to it since."""
    shop, clock = Shop(), ManualClock()
    data, copy, back = tmp_path / "data", tmp_path / "copy", tmp_path / "data"
    async with counter(data, Obedient(call()), shop, clock=clock) as desk:
        await desk.say()
        await clock.advance(601)
        backup(data, copy, clock)
    restore(copy, back, clock)
    async with counter(back, Obedient(call()), shop, clock=clock) as desk:
        assert await desk.states() == ["void"]
        assert await desk.house.all("SELECT id FROM queue") == []


async def only(desk: Counter, sql: str) -> str:
    ((value,),) = await desk.house.all(sql)
    return str(value)


async def everything(desk: Counter) -> str:
    """All that stands in any table."""
    tables = await desk.house.all(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    )
    return " ".join([str(await desk.house.all(f"SELECT * FROM {name}")) for (name,) in tables])


async def forget(desk: Counter) -> None:
    await desk.house.intake.receive(
        ForgetRequested(Identity("list", "", "id:u1", verified=True), Address("list", "", "room"))
    )
    await desk.house.rest(1)


@pytest.mark.parametrize(("effect", "state"), [(Effect.KEYED, "succeeded"), (Effect.NAKED, "unknown")])
async def test_nothing_that_a_person_said_stays_in_the_ledger(tmp_path: Path, effect: Effect, state: str) -> None:
    """Ids, states and amounts stay for the audit; what was asked for, found and answered does not."""
    shop = Shop()
    if state == "unknown":
        shop.after = [lost]
    async with counter(tmp_path, Obedient(NOTED), shop, refund(shop, effect), order(shop)) as desk:
        await desk.say()
        await desk.press()
        assert await desk.states() == [state]
        assert CANARY in await everything(desk)
        await forget(desk)
        kept = await everything(desk)
        assert CANARY not in kept
        rows = await desk.house.all("SELECT state, amount FROM actions WHERE effect <> 'read'")
        assert rows == [(state, 2_500)]
        desk.model.script = Obedient(call(id_="c7"))
        await desk.say("Refund order 12", event="again")
        assert len(shop.ledger) == 1, "what happens once happens once, forgotten or not"


async def test_what_waits_for_consent_is_not_done_for_one_who_was_forgotten(tmp_path: Path) -> None:
    """Nobody can agree to it any more."""
    shop = Shop()
    async with counter(tmp_path, Obedient(NOTED), shop, refund(shop, consent=Consent.OPERATOR), order(shop)) as desk:
        await desk.say()
        await forget(desk)
        assert await desk.states() == ["void"]
        assert await desk.house.all("SELECT state, text FROM consents") == [("expired", "")]
        assert CANARY not in await everything(desk)


async def test_what_was_under_way_is_settled_without_its_text(tmp_path: Path) -> None:
    """The answer to a call comes after the request to forget: how it ended is kept, and nothing of what it said."""
    shop = Shop()
    async with counter(tmp_path, Obedient(NOTED), shop, refund(shop), order(shop)) as desk:
        await desk.say()
        shop.after = [lambda: forget(desk)]
        await desk.press()
        await desk.house.rest(2)
        assert len(shop.ledger) == 1
        assert CANARY not in await everything(desk)
        rows = await desk.house.all("SELECT state, result FROM actions WHERE effect <> 'read'")
        assert rows == [("succeeded", "")]
