"""What operators decide: consents, and outcomes that nobody else can find out; and the commands by which they do."""

import asyncio
import csv
import json
import re
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main
from bot.clock import SystemClock
from bot.commands.audit import FORMULA, write_csv
from bot.deciding import Deciding
from bot.errors import Refused
from bot.operators.operator import operator_id
from bot.ports import Cursor
from bot.store import actions
from bot.store.actions import Proposal, State
from bot.store.sqlite import SqliteStore
from bot.tools.action import Allowance, Consent, Effect
from tests.actions.shop import Counter, Obedient, Shop, call, counter, lost, order, refund, texts
from tests.clock import ManualClock
from tests.commands.folder import fill
from tests.commands.test_command_line import UNSAFE, on_terminal
from tests.e2e.house import Daemon
from tests.people import People
from tests.store.database import opened

PEOPLE = {"ada": "approver", "eve": "admin", "bob": "agent", "vic": "viewer", "aud": "auditor"}
NOW = 1_760_000_000_000
HOUR = 3_600_000
ONE = Allowance()
ASKED = Proposal(
    id="a1",
    reply="r1",
    call="c1",
    turn="t1",
    conversation="c1",
    case="k1",
    identity="i1",
    agent="main",
    name="refund_order",
    version="1",
    effect="naked",
    arguments='{"amount":2500,"order":"12"}',
    facts="",
    key="fd-a1",
    object="refund:12",
    amount=2_500,
    is_private=False,
    is_free=False,
    card="**Refund an order**\n\n- Order: 12",
    operators=0,
    amount_per_day=0,
    calls_per_day=0,
    expires_ms=NOW + 600_000,
    operators_expire_ms=NOW + 24 * HOUR,
    day_ms=NOW - HOUR,
    now_ms=NOW,
)


# --- the ledger ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(tmp_path / "data") as store:
        yield store


async def consents(store: SqliteStore, state: str = "open") -> list[str]:
    rows = await store.read("SELECT id FROM consents WHERE state = :state ORDER BY id", {"state": state})
    return [row[0] for row in rows]


async def state_of(store: SqliteStore, action: str = "a1") -> str:
    return str((await store.read("SELECT state FROM actions WHERE id = :id", {"id": action}))[0][0])


async def hash_of(store: SqliteStore, action: str = "a1") -> str:
    return str((await store.read("SELECT hash FROM actions WHERE id = :id", {"id": action}))[0][0])


async def test_f98_a_press_counts_from_the_asked_person_and_in_their_conversation(store: SqliteStore) -> None:
    """Somebody else, or the same button in another conversation, decides nothing."""
    verdict = await store.run(actions.propose, ASKED)
    for identity, conversation, code in (("i2", "c1", "not_asked"), ("i1", "c2", "no_message")):
        with pytest.raises(Refused) as refused:
            await store.run(actions.decide_by_press, verdict.consent, True, identity, conversation, NOW + 1)
        assert refused.value.code == code
    assert await state_of(store) == State.PROPOSED
    await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", NOW + 1)
    assert await state_of(store) == State.APPROVED


async def test_f98_a_press_decides_no_operators_consent(store: SqliteStore) -> None:
    """Not even with its id: what colleagues are asked, no button of a chat answers."""
    await store.run(actions.propose, replace(ASKED, is_free=True, operators=1))
    (consent,) = await consents(store)
    with pytest.raises(Refused, match="no_message"):
        await store.run(actions.decide_by_press, consent, True, "i1", "c1", NOW + 1)
    assert await state_of(store) == State.PROPOSED


async def test_an_operator_decides_nothing_for_the_person(store: SqliteStore) -> None:
    """What the person alone is asked is not in an operator's hand."""
    verdict = await store.run(actions.propose, ASKED)
    with pytest.raises(Refused, match="no_consent"):
        await store.run(actions.decide_by_operator, verdict.consent, True, "ada", "root", "", NOW + 1)
    assert await state_of(store) == State.PROPOSED


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("again", [True, False])
async def test_f99_what_is_decided_stays_decided(store: SqliteStore, first: bool, again: bool) -> None:
    """A second press, the other button, a replay: refused, and nothing moves."""
    verdict = await store.run(actions.propose, ASKED)
    await store.run(actions.decide_by_press, verdict.consent, first, "i1", "c1", NOW + 1)
    with pytest.raises(Refused, match="decided"):
        await store.run(actions.decide_by_press, verdict.consent, again, "i1", "c1", NOW + 2)
    assert await state_of(store) == (State.APPROVED if first else State.REFUSED)


@pytest.mark.parametrize(("late_ms", "state"), [(-1, State.APPROVED), (0, State.VOID), (1, State.VOID)])
async def test_f99_agreement_has_its_time(store: SqliteStore, late_ms: int, state: State) -> None:
    """To the millisecond: from its end on a yes voids the action."""
    verdict = await store.run(actions.propose, ASKED)
    await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", ASKED.expires_ms + late_ms)
    assert await state_of(store) == state


async def test_f99_a_consent_to_something_else_is_none(store: SqliteStore) -> None:
    """The action was altered after it was shown: the yes voids it, and nothing may begin."""
    verdict = await store.run(actions.propose, ASKED)
    await store.run(lambda cursor: cursor.execute("UPDATE actions SET hash = 'h2'"))
    await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", NOW + 1)
    assert await state_of(store) == State.VOID
    assert not await store.run(actions.begin, "a1", "h2", NOW + 2)


@pytest.mark.parametrize("missing", ["user", "operator"])
async def test_nothing_begins_before_everybody_has_agreed(store: SqliteStore, missing: str) -> None:
    """The person's yes without the operator's is as little as the operator's without the person's."""
    verdict = await store.run(actions.propose, replace(ASKED, operators=1))
    (operators,) = [each for each in await consents(store) if each != verdict.consent]
    if missing == "operator":
        await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", NOW + 1)
    else:
        await store.run(actions.decide_by_operator, operators, True, "ada", "root", "", NOW + 1)
    assert await state_of(store) == State.PROPOSED
    assert not await store.run(actions.begin, "a1", await hash_of(store), NOW + 2)


async def test_two_operators_are_two_people(store: SqliteStore) -> None:
    """One name agrees once; a second, different one completes it."""
    await store.run(actions.propose, replace(ASKED, is_free=True, operators=2))
    first, second = await consents(store)
    await store.run(actions.decide_by_operator, first, True, "ada", "root", "", NOW + 1)
    with pytest.raises(Refused, match="same_person"):
        await store.run(actions.decide_by_operator, second, True, "ada", "root", "", NOW + 2)
    with pytest.raises(Refused, match="decided"):
        await store.run(actions.decide_by_operator, first, True, "eve", "root", "", NOW + 2)
    assert not await store.run(actions.begin, "a1", await hash_of(store), NOW + 3)
    await store.run(actions.decide_by_operator, second, True, "eve", "root", "", NOW + 3)
    assert await state_of(store) == State.APPROVED
    assert await store.run(actions.begin, "a1", await hash_of(store), NOW + 4)


async def test_one_refusal_ends_it_for_all(store: SqliteStore) -> None:
    """The other operator's consent and the person's are closed with it."""
    verdict = await store.run(actions.propose, replace(ASKED, operators=2))
    first, second = (each for each in await consents(store) if each != verdict.consent)
    await store.run(actions.decide_by_operator, first, False, "ada", "root", "a fraud", NOW + 1)
    assert await state_of(store) == State.REFUSED
    assert await consents(store) == []
    with pytest.raises(Refused, match="decided"):
        await store.run(actions.decide_by_operator, second, True, "eve", "root", "", NOW + 2)
    with pytest.raises(Refused, match="decided"):
        await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", NOW + 2)


@pytest.mark.parametrize(
    "change",
    [
        "",
        """UPDATE actions SET arguments = '{"amount":9999,"order":"12"}'""",
        """UPDATE actions SET facts = '{"total":1}'""",
        "UPDATE actions SET key = 'fd-other'",
        "UPDATE actions SET identity_id = 'i2'",
        "UPDATE actions SET name = 'ship'",
        "UPDATE consents SET text = 'something harmless' WHERE kind = 'operator'",
        "UPDATE consents SET state = 'open' WHERE kind = 'operator'",
        "UPDATE consents SET decided_by = 'mallory' WHERE kind = 'operator'",
        "UPDATE consents SET decided_by = 'i2' WHERE kind = 'user'",
        "DELETE FROM consents WHERE kind = 'operator'",
        "DELETE FROM audit",
    ],
)
async def test_f99_what_is_altered_after_the_yes_does_not_begin(store: SqliteStore, change: str) -> None:
    """Whatever of the entry or its consents is changed, removed, or given by somebody who left no trace."""
    verdict = await store.run(actions.propose, replace(ASKED, operators=1))
    (operators,) = [each for each in await consents(store) if each != verdict.consent]
    await store.run(actions.decide_by_press, verdict.consent, True, "i1", "c1", NOW + 1)
    await store.run(actions.decide_by_operator, operators, True, "ada", "root", "", NOW + 2)
    if change:
        await store.run(lambda cursor: cursor.execute(change))
    assert await store.run(actions.begin, "a1", await hash_of(store), NOW + 3) is (not change)


async def test_each_decision_of_an_operator_is_on_record(store: SqliteStore) -> None:
    """Who, from which local account, about which action."""
    await store.run(actions.propose, replace(ASKED, is_free=True, operators=1))
    (consent,) = await consents(store)
    await store.run(actions.decide_by_operator, consent, False, "ada", "root", "a fraud", NOW + 1)
    rows = await store.read("SELECT actor, action, subject, detail, at_ms FROM audit")
    assert rows == [(operator_id("ada"), "consent refused", "a1", "root", NOW + 1)]


async def unknown(store: SqliteStore, asked: Proposal = ASKED) -> str:
    """An action of which nobody knows the outcome; its place in the queue."""
    await store.run(actions.propose, replace(asked, is_free=True))
    assert await store.run(actions.begin, asked.id, await hash_of(store, asked.id), NOW + 1)
    await store.run(actions.settle, asked.id, State.UNKNOWN, actions.UNCLEAR, "no answer", NOW + 2)
    rows = await store.read("SELECT id FROM queue WHERE subject = :id", {"id": asked.id})
    return str(rows[0][0])


@pytest.mark.parametrize(("outcome", "state"), [("happened", "succeeded"), ("did not", "refused")])
async def test_an_operator_ends_an_unknown_outcome_once(store: SqliteStore, outcome: str, state: str) -> None:
    """The conversation is told once, with the reason; a second decision is refused."""
    entry = await unknown(store)
    woken: list[str] = []

    def tell(cursor: Cursor, conversation: str, identity: str, now_ms: int) -> None:
        woken.append(conversation)

    await store.run(actions.decide_unknown, entry, outcome, "bob", "root", "seen in the shop", tell, NOW + 3)
    assert await state_of(store) == state
    rows = await store.read("SELECT result, awaits_telling FROM actions")
    assert "seen in the shop" in rows[0][0]
    assert rows[0][1] == 1
    with pytest.raises(Refused, match="decided"):
        await store.run(actions.decide_unknown, entry, "happened", "eve", "root", "", tell, NOW + 4)
    assert woken == ["c1"]
    assert await state_of(store) == state


async def test_what_somebody_has_taken_can_still_be_decided(store: SqliteStore) -> None:
    """The word `mine` tells the others, decides nothing and wakes nobody."""
    entry = await unknown(store)
    woken: list[str] = []

    def tell(cursor: Cursor, conversation: str, identity: str, now_ms: int) -> None:
        woken.append(conversation)

    await store.run(actions.decide_unknown, entry, "mine", "bob", "root", "", tell, NOW + 3)
    assert (await state_of(store), woken) == (State.UNKNOWN, [])
    rows = await store.read(actions.OPEN_QUEUE, {"limit": 10})
    assert [(row[0], row[6], row[7]) for row in rows] == [(entry, "mine", "bob")]
    await store.run(actions.decide_unknown, entry, "did not", "eve", "root", "", tell, NOW + 4)
    assert (await state_of(store), woken) == (State.REFUSED, ["c1"])
    assert await store.read(actions.OPEN_QUEUE, {"limit": 10}) == []


async def test_nobody_decides_on_what_is_not_in_the_queue(store: SqliteStore) -> None:
    """An id that there is not is refused."""
    with pytest.raises(Refused, match="no_entry"):
        await store.run(actions.decide_unknown, "x", "happened", "bob", "root", "", lambda *given: None, NOW)


async def test_an_object_whose_outcome_is_unknown_is_not_touched_again(store: SqliteStore) -> None:
    """Until somebody knows; when it did not happen, it may be asked for anew."""
    entry = await unknown(store)
    again = replace(ASKED, id="a2", call="c2", arguments='{"amount":1,"order":"12"}', key="fd-a2")
    stopped = await store.run(actions.propose, again)
    assert stopped.entry is None
    await store.run(actions.decide_unknown, entry, "did not", "bob", "root", "", lambda *given: None, NOW + 3)
    assert (await store.run(actions.propose, again)).entry is not None


# --- from an operator's decision to the person ------------------------------------------------------------------------


def deciding_in(desk: Counter) -> Deciding:
    house = desk.house
    return Deciding(house.store, house.clock, house.conversations, house.scheduler, People(PEOPLE))


async def the_consents(desk: Counter) -> list[str]:
    return [str(row[0]) for row in await desk.house.all("SELECT id FROM consents WHERE kind = 'operator' ORDER BY id")]


@asynccontextmanager
async def asking_operators(
    folder: Path, model: Obedient, shop: Shop, allowance: Allowance = ONE, clock: ManualClock | None = None
) -> AsyncIterator[tuple[Counter, Deciding]]:
    """A desk at which a refund waits for operators."""
    guarded = refund(shop, consent=Consent.OPERATOR, allowance=allowance)
    async with counter(folder, model, shop, guarded, order(shop), clock=clock) as desk:
        await desk.say()
        yield desk, deciding_in(desk)


async def test_an_operators_yes_is_carried_out_and_told(tmp_path: Path) -> None:
    """The conversation wakes by itself: the person need not ask."""
    shop = Shop()
    async with asking_operators(tmp_path, Obedient(call(), says="Done."), shop) as (desk, deciding):
        assert not shop.calls
        (consent,) = await the_consents(desk)
        said = await deciding.consent(consent, is_yes=True, name="ada", account="root", why="")
        await desk.house.rest(2)
        assert said == "given"
        assert len(shop.ledger) == 1
        assert texts(desk.sent)[-1] == "Done."


async def test_an_operators_no_is_told_and_nothing_happens(tmp_path: Path) -> None:
    """The agent hears it and speaks."""
    shop = Shop()
    async with asking_operators(tmp_path, (model := Obedient(call())), shop) as (desk, deciding):
        (consent,) = await the_consents(desk)
        await deciding.consent(consent, is_yes=False, name="eve", account="root", why="too much")
        await desk.house.rest(2)
        assert not shop.calls
        assert "said no" in model.results[-1]


@pytest.mark.parametrize(
    ("name", "code"),
    [("bob", "not_allowed"), ("vic", "not_allowed"), ("aud", "not_allowed"), ("Ada", "no_person"), ("", "no_person")],
)
async def test_f100_only_named_people_of_the_right_role_agree(tmp_path: Path, name: str, code: str) -> None:
    """Names are compared letter by letter; a refusal leaves the question open and nothing on record."""
    shop = Shop()
    async with asking_operators(tmp_path, Obedient(call()), shop) as (desk, deciding):
        (consent,) = await the_consents(desk)
        with pytest.raises(Refused) as refused:
            await deciding.consent(consent, is_yes=True, name=name, account="root", why="")
        await desk.house.rest(1)
        assert refused.value.code == code
        assert await desk.states() == ["proposed"]
        assert not shop.calls
        assert await desk.house.all("SELECT * FROM audit") == []


async def test_above_an_amount_two_different_people_agree(tmp_path: Path) -> None:
    """After the first nothing leaves and nobody is woken."""
    shop = Shop()
    most = Allowance(two_operators_above=1_000)
    async with asking_operators(tmp_path, Obedient(call(), says="Done."), shop, most) as (desk, deciding):
        first, second = await the_consents(desk)
        sent = len(desk.sent)
        await deciding.consent(first, is_yes=True, name="ada", account="root", why="")
        await desk.house.rest(2)
        assert (shop.calls, len(desk.sent)) == ([], sent)
        with pytest.raises(Refused, match="same_person"):
            await deciding.consent(second, is_yes=True, name="ada", account="root", why="")
        await deciding.consent(second, is_yes=True, name="eve", account="root", why="")
        await desk.house.rest(2)
        assert len(shop.ledger) == 1


async def test_f99_an_operators_late_yes_does_nothing_and_is_told(tmp_path: Path) -> None:
    """After a day the action is void."""
    shop, clock = Shop(), ManualClock()
    async with asking_operators(tmp_path, (model := Obedient(call())), shop, clock=clock) as (desk, deciding):
        (consent,) = await the_consents(desk)
        clock.step_wall(24 * HOUR)
        await deciding.consent(consent, is_yes=True, name="ada", account="root", why="")
        await desk.house.rest(2)
        assert not shop.calls
        assert await desk.states() == ["void"]
        assert "is over" in model.results[-1]


async def test_f99_two_operators_at_the_same_moment_do_it_once(tmp_path: Path) -> None:
    """One decision holds, the other is refused; it happens once."""
    shop = Shop()
    async with asking_operators(tmp_path, Obedient(call(), says="Done."), shop) as (desk, deciding):
        (consent,) = await the_consents(desk)
        outcomes = await asyncio.gather(
            *(deciding.consent(consent, is_yes=True, name=name, account="root", why="") for name in ("ada", "eve")),
            return_exceptions=True,
        )
        await desk.house.rest(2)
        assert sorted(type(each).__name__ for each in outcomes) == ["Refused", "str"]
        assert len(shop.calls) == 1


@asynccontextmanager
async def not_knowing(folder: Path, model: Obedient, shop: Shop) -> AsyncIterator[tuple[Counter, Deciding, str]]:
    """A desk at which nobody knows what became of a refund."""
    shop.after = [lost]
    async with counter(folder, model, shop, refund(shop, Effect.NAKED), order(shop)) as desk:
        await desk.say()
        await desk.press()
        ((entry,),) = await desk.house.all("SELECT id FROM queue")
        yield desk, deciding_in(desk), str(entry)


@pytest.mark.parametrize(("outcome", "told"), [("happened", "it was carried out"), ("did-not", "it was not carried")])
async def test_f7_what_an_operator_found_out_is_told_by_itself(tmp_path: Path, outcome: str, told: str) -> None:
    """A decision row wakes the conversation, the agent hears what came of it, and no call is made again."""
    shop = Shop(honours_keys=False)
    async with not_knowing(tmp_path, (model := Obedient(call())), shop) as (desk, deciding, entry):
        sent = len(desk.sent)
        await deciding.unknown(entry, outcome, name="bob", account="root", why="seen in the shop")
        await desk.house.rest(2)
        assert told in model.results[-1]
        assert "seen in the shop" in model.results[-1]
        assert len(desk.sent) == sent + 1
        assert len(shop.calls) == 1
        rows = await desk.house.all(
            "SELECT author, visibility, handled_ms > 0 FROM messages WHERE kind LIKE 'press:d%'"
        )
        assert rows == [("system", "note", 1)]


@pytest.mark.parametrize("name", ["vic", "aud", "Bob"])
async def test_who_only_looks_decides_no_outcome(tmp_path: Path, name: str) -> None:
    """Viewers and auditors see the queue and leave it as it is."""
    async with not_knowing(tmp_path, Obedient(call()), Shop(honours_keys=False)) as (desk, deciding, entry):
        with pytest.raises(Refused):
            await deciding.unknown(entry, "happened", name=name, account="root", why="")
        assert await desk.states() == ["unknown"]


# --- the commands ----------------------------------------------------------------------------------------------------

FORGED = "\x1b]0;x\x07=cmd|' /C calc'!A0 \u202egnp [bold]x[/bold]"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder in which one action waits for two operators, one outcome is unknown, and an answer is held."""
    config = fill(tmp_path)
    now = SystemClock().now_ms()
    later: dict[str, Any] = {
        "now_ms": now,
        "expires_ms": now + HOUR,
        "operators_expire_ms": now + HOUR,
        "day_ms": now - HOUR,
    }
    two = replace(ASKED, is_free=True, operators=2, card=f"**Refund**\n\n- Note: {FORGED}", effect="keyed", **later)
    lost = replace(ASKED, id="a2", reply="r2", call="c2", name="ship", object="", arguments='{"order":"13"}', **later)
    read = replace(ASKED, id="a3", reply="r3", call="c3", name="get_order", effect="read", object="", card="", **later)
    read = replace(read, arguments=json.dumps({"order": FORGED}, ensure_ascii=False), now_ms=now + 1)

    async def enter() -> None:
        store = await SqliteStore.open(config.parent / "kept")
        try:
            await store.run(actions.propose, two)
            await unknown(store, lost)
            await store.run(actions.add_read, read, State.SUCCEEDED, "private data of a person", "")
            await store.run(actions.queue, "held", "t1", "c1", FORGED, now)
        finally:
            await store.close()

    asyncio.run(enter())
    return config


def ids(config: Path, sql: str) -> list[str]:
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database:
        return [row[0] for row in database.execute(sql)]


def shown(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--config", str(config)]) == 0
    return capsys.readouterr().out


def test_what_waits_for_agreement_is_shown_whole(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also while nothing runs: each line of the text, with its mark, and until when."""
    waiting = json.loads(shown(config, capsys, "consent", "list", "--json"))
    assert [each["consent"] for each in waiting] == ids(config, "SELECT id FROM consents ORDER BY id")
    assert {(each["action"], each["conversation"], each["text"]) for each in waiting} == {
        ("refund_order", "c1", f"**Refund**\n\n- Note: {FORGED}")
    }
    assert all(each["expires_ms"] - each["created_ms"] == HOUR for each in waiting)
    told = shown(config, capsys, "consent", "list")
    assert "  | **Refund**\n" in told
    assert "  | - Note: ‹U+001B›]0;x‹U+0007›=cmd|' /C calc'!A0 ‹U+202E›gnp [bold]x[/bold]\n" in told
    assert "conversation c1" in told


def test_f99_a_long_text_is_not_cut(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an operator agrees to is seen to its last character."""
    text = "word " * 2_000 + "END"
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        database.execute("UPDATE consents SET text = ?", (text,))
    assert f"  | {text}\n" in shown(config, capsys, "consent", "list")


@pytest.mark.parametrize("letter", ["x", "\N{CJK UNIFIED IDEOGRAPH-4E00}"])
def test_f99_no_line_of_the_text_passes_for_one_of_ours(config: Path, letter: str) -> None:
    """A terminal that is too narrow breaks it into pieces that all have their mark; nothing is lost."""
    text = "".join(f"{letter * number} agreed so far: eve " for number in range(60))
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        database.execute("UPDATE consents SET text = ?", (text,))
        database.execute("UPDATE consents SET state = 'expired' WHERE id = (SELECT min(id) FROM consents)")
    told = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(["consent", "list", "--config", config])).splitlines()
    pieces = [line.removeprefix("  | ") for line in told if line.startswith("  | ")]
    assert "".join(pieces).rstrip() == text.rstrip()
    assert len(pieces) > 20
    assert not [line for line in told if line not in ("", *told[:3]) and not line.startswith("  | ")]


def test_the_queue_names_what_waits_for_a_person(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown outcomes and held answers, oldest first."""
    entries = json.loads(shown(config, capsys, "queue", "list", "--json"))
    assert {(each["kind"], each["subject"], each["taken_by"]) for each in entries} == {
        ("unknown", "a2", ""),
        ("held", "t1", ""),
    }
    assert 'ship {"order":"13"}: no answer' in shown(config, capsys, "queue", "list")


def test_an_empty_list_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a blank screen."""
    config = fill(tmp_path)
    assert shown(config, capsys, "consent", "list") == "Nothing waits for agreement.\n"
    assert shown(config, capsys, "queue", "list") == "Nothing waits for a person.\n"
    assert shown(config, capsys, "audit") == "No action has been called.\n"


def test_the_audit_lists_every_call_newest_first(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reads too; narrowed by action and conversation; without what an endpoint answered about a person."""
    calls = json.loads(shown(config, capsys, "audit", "--json"))
    assert [each["created_ms"] for each in calls] == sorted((each["created_ms"] for each in calls), reverse=True)
    assert {(each["action"], each["effect"], each["state"], each["identity"], each["tries"]) for each in calls} == {
        ("get_order", "read", "succeeded", "i1", 0),
        ("ship", "naked", "unknown", "i1", 1),
        ("refund_order", "keyed", "proposed", "i1", 0),
    }
    assert "private data" not in json.dumps(calls)
    assert [each["action"] for each in json.loads(shown(config, capsys, "audit", "--action", "ship", "--json"))] == [
        "ship"
    ]
    assert len(json.loads(shown(config, capsys, "audit", "--limit", "1", "--json"))) == 1
    assert shown(config, capsys, "audit", "--conversation", "c9") == "No action has been called.\n"


@pytest.mark.parametrize("words", [("audit",), ("consent", "list"), ("queue", "list")])
def test_f105_nothing_written_reaches_the_terminal(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """No escape and no direction mark, as text or as JSON."""
    assert UNSAFE.findall(shown(config, capsys, *words)) == []
    assert UNSAFE.findall(shown(config, capsys, *words, "--json")) == []


def test_f105_a_table_for_spreadsheets_calculates_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is new, ours alone, complete; no cell is a formula or holds what a terminal obeys."""
    path = tmp_path / "audit.csv"
    assert "3 call(s) written" in shown(config, capsys, "audit", "--csv", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream))
    assert len(rows) == 3
    assert {row[head.index("action")] for row in rows} == {"refund_order", "ship", "get_order"}
    assert UNSAFE.findall(path.read_text(encoding="utf-8")) == []
    assert main(["audit", "--csv", str(path), "--config", str(config)]) == 1
    assert "Name a new file" in capsys.readouterr().err


@pytest.mark.parametrize("space", ["", " ", "\n", "\t"])
@pytest.mark.parametrize("sign", sorted(FORMULA))
def test_f105_each_sign_that_begins_a_formula_is_quoted(tmp_path: Path, sign: str, space: str) -> None:
    """Also after white space, and with what would end a cell."""
    path = tmp_path / "t.csv"
    write_csv(path, ("head",), [(f'{space}{sign}1+1",=2',), ("plain",), (-5,)])
    with path.open(newline="", encoding="utf-8") as stream:
        (_, (cell,), plain, negative) = list(csv.reader(stream))
    assert cell[0] not in FORMULA
    assert cell.strip()[0] not in FORMULA
    assert (plain, negative) == (["plain"], ["'-5"])


def test_decisions_need_the_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one they change nothing and say how to start it."""
    (entry,) = ids(config, "SELECT id FROM queue WHERE kind = 'unknown'")
    consent = ids(config, "SELECT id FROM consents")[0]
    for words in (["consent", "approve", consent], ["consent", "refuse", consent], ["queue", "happened", entry]):
        assert main([*words, "--as", "ada", "--config", str(config)]) == 3
        assert "frontdesk serve" in capsys.readouterr().err
    assert ids(config, "SELECT state FROM consents") == ["open", "open"]


@pytest.mark.parametrize("id_", ["", "zz", "%", "'"])
def test_an_id_that_is_not_there_is_a_plain_error(config: Path, capsys: pytest.CaptureFixture[str], id_: str) -> None:
    """The list is named."""
    for words, hint in (("consent", "frontdesk consent list"), ("queue", "frontdesk queue list")):
        decision = "approve" if words == "consent" else "happened"
        assert main([words, decision, id_, "--as", "ada", "--config", str(config)]) == 1
        assert hint in capsys.readouterr().err


def test_a_beginning_must_mean_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two that are open and begin alike are not guessed between; the whole id of one is."""
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        for number, (id_,) in enumerate(database.execute("SELECT id FROM consents").fetchall()):
            database.execute("UPDATE consents SET id = ? WHERE id = ?", (f"ab{'c' * number}", id_))
    assert main(["consent", "approve", "a", "--as", "ada", "--config", str(config)]) == 1
    assert "more than one consent begins" in capsys.readouterr().err
    assert main(["consent", "approve", "ab", "--as", "ada", "--config", str(config)]) == 3
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        database.execute("UPDATE consents SET state = 'given' WHERE id = 'ab'")
    assert main(["consent", "approve", "a", "--as", "ada", "--config", str(config)]) == 3  # the open one is meant


def test_who_decides_must_be_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no default person."""
    with pytest.raises(SystemExit) as ended:
        main(["consent", "approve", "a", "--config", str(config)])
    assert ended.value.code == 2
    assert "--as" in capsys.readouterr().err


# --- against a running daemon ----------------------------------------------------------------------------------------

PEOPLE_TOML = "\n".join(f'[[operators.people]]\nname = "{name}"\nrole = "{role}"' for name, role in PEOPLE.items())


@pytest.fixture
def served(config: Path, tmp_path: Path) -> Iterator[Daemon]:
    """`frontdesk serve` as a process over the folder of `config`."""
    (tmp_path / "serving").mkdir()
    (tmp_path / "kept").rename(tmp_path / "serving" / "data")
    daemon = Daemon(tmp_path / "serving", more=PEOPLE_TOML)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def listed(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(daemon.command(*words, "--json").stdout)
    return found


def test_the_commands_decide_in_the_running_daemon(served: Daemon) -> None:
    """From the lists to the audit, as an operator works."""
    first, second = (each["consent"] for each in listed(served, "consent", "list"))
    wrong = served.command("consent", "approve", first[:10], "--as", "bob")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "frontdesk: bob is agent; this takes one of: approver, admin.\n"
    nobody = served.command("consent", "approve", first[:10], "--as", "mallory")
    assert "There is no operator mallory" in nobody.stderr

    done = served.command("consent", "approve", first[:10], "--as", "ada")
    assert done.stdout == "Agreed, as ada. Nothing is done before one more operator agrees, too.\n"
    (left,) = listed(served, "consent", "list")
    assert (left["consent"], left["agreed"]) == (second, [{"kind": "operator", "by": "ada"}])
    assert "agreed so far: ada" in served.command("consent", "list").stdout
    again = served.command("consent", "approve", second[:10], "--as", "ada")
    assert "a second person has to" in again.stderr
    twice = served.command("consent", "approve", first, "--as", "eve")
    assert "This has been decided already." in twice.stderr
    no = served.command("consent", "refuse", second[:10], "--as", "eve", "--why", "a fraud \x1b[31m")
    assert no.stdout == "Refused, as eve. refund_order is not carried out, and the agent says so.\n"
    assert listed(served, "consent", "list") == []

    (entry,) = (each["entry"] for each in listed(served, "queue", "list") if each["kind"] == "unknown")
    assert "Taken, as bob" in served.command("queue", "mine", entry[:10], "--as", "bob").stdout
    assert {each["taken_by"] for each in listed(served, "queue", "list")} == {"bob", ""}
    found = served.command("queue", "happened", entry[:10], "--as", "bob", "--why", "seen in the shop")
    assert found.stdout == "Noted, as bob: it was carried out. The agent tells the person.\n"
    late = served.command("queue", "did-not", entry, "--as", "eve")
    assert (late.returncode, late.stderr) == (1, "frontdesk: This has been decided already.\n")
    (held,) = (each["entry"] for each in listed(served, "queue", "list"))
    assert "looked after" in served.command("queue", "happened", held, "--as", "eve").stdout
    assert served.command("queue", "list").stdout == "Nothing waits for a person.\n"

    calls = {each["action"]: each for each in listed(served, "audit")}
    assert (calls["refund_order"]["state"], calls["ship"]["state"]) == ("refused", "succeeded")
    decided = [(each["decision"], each["by"], each["why"]) for each in calls["refund_order"]["decisions"]]
    assert decided == [("given", "ada", ""), ("refused", "eve", "a fraud \N{REPLACEMENT CHARACTER}[31m")]
    (outcome,) = calls["ship"]["decisions"]
    assert (outcome["decision"], outcome["by"], outcome["why"]) == ("happened", "bob", "seen in the shop")


def test_f99_a_yes_that_comes_too_late_says_so(served: Daemon) -> None:
    """The command fails, and nothing was agreed to."""
    with closing(sqlite3.connect(served.folder / "data" / "frontdesk.db")) as database, database:
        database.execute("UPDATE consents SET expires_ms = 1")
        ((consent, _),) = database.execute("SELECT id, kind FROM consents LIMIT 1").fetchall()
    assert listed(served, "consent", "list") == []
    done = served.command("consent", "approve", consent, "--as", "ada")
    assert (done.returncode, done.stdout) == (1, "")
    assert "can no longer be agreed to" in done.stderr
    (call,) = listed(served, "audit", "--action", "refund_order")
    assert call["state"] == "void"
