"""What happens beside an action while it is asked for or carried out: other messages, edits, a person who takes over, the end of a turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.deciding import Deciding
from bot.errors import Refused
from bot.model import Address, ButtonPressed, Identity, MessageDeleted, MessageEdited
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.tools.action import Allowance, Arguments, Consent, Effect, Parameter, Reply
from tests.actions.shop import Counter, Obedient, Orders, Shop, call, counter, for_ever, order, refund, texts
from tests.clock import ManualClock
from tests.people import People

ROOM = Address("list", "", "room")
ADA = Identity("list", "", "id:u1", verified=True)


class Watched(Orders):
    """Reads orders; `meanwhile` happens during the next read."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().call(arguments, key, within_s)


def yes_to(desk: Counter) -> ButtonPressed:
    card = desk.card
    return ButtonPressed(ADA, ROOM, "press", card.id, next(b.id for b in card.buttons if b.id.endswith("yes")))


async def give(desk: Counter, owner: str) -> None:
    """The conversation to somebody else."""
    taken = "UPDATE conversations SET owner = :owner, version = version + 1"
    await desk.house.store.run(lambda cursor: cursor.execute(taken, {"owner": owner}))
    desk.house.conversations.forget(str((await desk.house.all("SELECT id FROM conversations"))[0][0]))


def read_by(request: ChatRequest) -> str:
    return " ".join(result.text for message in request.messages for result in message.results)


async def test_a_yes_that_comes_while_another_answer_is_written_is_carried_out(tmp_path: Path) -> None:
    """The press joins no running turn: the next carries out what was agreed to."""
    shop = Shop()
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await desk.say()

        async def busy(request: ChatRequest) -> AsyncIterator[Chunk]:
            if "refund" in (read := read_by(request)):
                yield TextDelta("Your money is on its way.")
            elif read:
                yield TextDelta("It is paid.")
            else:
                await desk.house.intake.receive(yes_to(desk))
                yield call("get_order", order="12")
                yield Finished("tools")
                return
            yield Finished()

        desk.model.script = busy
        await desk.say("What is its state?", event="state")
        await desk.house.rest(1)
        assert len(shop.ledger) == 1
        assert texts(desk.sent)[-1] == "Your money is on its way."


async def test_a_card_that_an_edit_kept_from_being_shown_is_shown_by_the_rerun(tmp_path: Path) -> None:
    """The person edits their message while it is looked up: the model calls again under another id, and they are asked."""
    shop = Shop()
    reading = Watched(shop)
    async with counter(tmp_path, Obedient(call()), shop, refund(shop), order(shop, endpoint=reading)) as desk:

        async def edit() -> None:
            desk.model.script = Obedient(call(id_="c2"))
            await desk.house.intake.receive(MessageEdited(ADA, ROOM, "first", "Refund 12 please", 10**13))

        reading.meanwhile = edit
        await desk.say(event="first")
        await desk.house.rest(2)
        assert len([message for message in desk.sent if message.buttons]) == 1
        await desk.press()
        assert len(shop.ledger) == 1


async def test_what_was_never_asked_of_anybody_waits_for_nobody(tmp_path: Path) -> None:
    """The message is deleted while it is looked up: no operator is left with it."""
    shop = Shop()
    reading = Watched(shop)
    actions = (refund(shop, consent=Consent.OPERATOR), order(shop, endpoint=reading))
    async with counter(tmp_path, Obedient(call()), shop, *actions) as desk:
        reading.meanwhile = lambda: desk.house.intake.receive(MessageDeleted(ADA, ROOM, "first", 10**13))
        await desk.say(event="first")
        await desk.house.rest(2)
        assert await desk.states() == ["void"]
        rows = await desk.house.all("SELECT state FROM consents")
        assert rows == [("expired",)]


async def test_a_rerun_knows_what_was_done_for_the_text_before_an_edit(tmp_path: Path) -> None:
    """What needs nobody's consent was done, then the message was edited: the model reads what was done before it decides again."""
    shop = Shop()
    actions = (refund(shop, consent=Consent.NONE, once_per=""), order(shop))
    async with counter(tmp_path, Obedient(call(amount=2_500, order="12")), shop, *actions) as desk:
        known: list[str] = []

        async def careful(request: ChatRequest) -> AsyncIterator[Chunk]:
            known.append(read_by(request))
            yield TextDelta("Good.")
            yield Finished()

        async def edit() -> None:
            desk.model.script = careful
            await desk.house.intake.receive(MessageEdited(ADA, ROOM, "first", "Refund 20.00", 10**13))

        shop.after = [edit]
        await desk.say(event="first")
        await desk.house.rest(2)
        assert "r1" in known[0]
        await desk.say("And now?", event="later")
        assert known[-1] == ""


async def test_what_was_done_before_a_person_took_over_is_told_once_they_give_back(tmp_path: Path) -> None:
    """The answer became a note, which the model does not read: it hears of the deed in its next turn."""
    shop = Shop()
    actions = (refund(shop, consent=Consent.NONE), order(shop))
    async with counter(tmp_path, Obedient(call()), shop, *actions) as desk:
        shop.after = [lambda: give(desk, "person:grace")]
        await desk.say()
        assert len(shop.ledger) == 1
        assert desk.sent == []
        await give(desk, "agent")
        asked = len(desk.model.requests)
        await desk.say("Hello?", event="later")
        assert "r1" in read_by(desk.model.requests[asked])
        assert len(shop.ledger) == 1


async def test_nothing_is_begun_once_a_person_has_taken_over(tmp_path: Path) -> None:
    """They may do it themselves: what the agent had not begun by then is not made, nor when they give back."""
    shop = Shop()
    reading = Watched(shop)
    async with counter(tmp_path, Obedient(call()), shop, refund(shop), order(shop, endpoint=reading)) as desk:
        await desk.say()
        reading.meanwhile = lambda: give(desk, "person:grace")
        await desk.press()
        assert not shop.calls
        await give(desk, "agent")
        await desk.say("Hello?", event="later")
        assert not shop.calls
        assert await desk.states() == ["void"]


async def test_a_yes_that_a_person_finds_when_they_take_over_is_theirs(tmp_path: Path) -> None:
    """Agreed to, and the conversation changed hands before the turn: nothing is made after it comes back."""
    shop = Shop()
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await desk.say()
        await desk.house.intake.receive(yes_to(desk))
        await give(desk, "person:grace")
        await desk.house.rest(1)
        await give(desk, "agent")
        await desk.say("Hello?", event="later")
        assert not shop.calls
        assert await desk.states() == ["void"]


async def test_who_is_stopped_for_claiming_too_much_is_told_what_was_done(tmp_path: Path) -> None:
    """The answer is held back; that it was refunded is true all the same."""
    shop = Shop()
    actions = (refund(shop, consent=Consent.NONE), order(shop))

    async def boasting(request: ChatRequest) -> AsyncIterator[Chunk]:
        if read_by(request):
            yield TextDelta("I have cancelled your subscription.")
            yield Finished()
        else:
            yield call()
            yield Finished("tools")

    async with counter(tmp_path, boasting, shop, *actions) as desk:
        await desk.say()
        assert len(shop.ledger) == 1
        assert "Done: Refund an order." in desk.sent[-1].text
        assert len(await desk.house.all("SELECT id FROM queue WHERE kind = 'held'")) == 1


async def test_nobody_hears_what_came_of_somebody_elses_action(tmp_path: Path) -> None:
    """The second intent for the same thing is stopped, whoever has it; what came of the first is for the first alone."""
    shop = Shop()
    shared = refund(shop, consent=Consent.NONE, facts="", fact_fields=(), once_per="slot:{order}")
    shared = replace(shared, parameters=(Parameter("order", {"type": "string"}),))
    async with counter(tmp_path, (model := Obedient(call(order="12"))), shop, shared) as desk:
        await desk.say(event="a")
        assert "r1" in model.results[-1]
        await desk.say("me too", person="id:u2", event="b")
        assert len(shop.ledger) == 1
        assert "done already" in model.results[-1]
        assert "r1" not in model.results[-1]


async def test_a_call_by_hand_that_a_kill_cut_off_is_put_before_a_person(tmp_path: Path) -> None:
    """No turn will ever find out what became of it."""
    shop, clock, has_left = Shop(), ManualClock(), asyncio.Event()

    async def leave() -> None:
        has_left.set()
        await for_ever()

    shop.before = [leave]
    naked = refund(shop, Effect.NAKED, facts="", fact_fields=(), once_per="")
    naked = replace(naked, parameters=(Parameter("order", {"type": "string"}),))
    async with counter(tmp_path, Obedient(), shop, naked, clock=clock) as desk:
        by_hand = asyncio.ensure_future(desk.acting.by_hand(naked, '{"order": "12"}', "", "root", 20))
        await has_left.wait()
        assert await desk.states() == ["intended"]
        by_hand.cancel()
    async with counter(tmp_path, Obedient(), shop, naked, clock=clock) as desk:
        await desk.house.rest(1)
        assert await desk.states() == ["unknown"]
        assert len(await desk.house.all("SELECT id FROM queue WHERE kind = 'unknown'")) == 1


@pytest.mark.parametrize("effect", [Effect.KEYED, Effect.NAKED])
async def test_a_key_that_the_other_side_may_have_dropped_is_not_used_again(tmp_path: Path, effect: Effect) -> None:
    """The process was away for more than a day after the call had left: a person finds out."""
    shop, clock = Shop(honours_keys=False), ManualClock()
    shop.after = [for_ever]
    async with counter(tmp_path, Obedient(call()), shop, refund(shop, effect), order(shop), clock=clock) as desk:
        await desk.say()
        await desk.press()
        assert len(shop.ledger) == 1
    await clock.advance(25 * 3_600)
    async with counter(tmp_path, Obedient(call()), shop, refund(shop, effect), order(shop), clock=clock) as desk:
        await desk.house.rest(5)
        assert len(shop.ledger) == 1
        assert await desk.states() == ["unknown"]


class Profile(Orders):
    """Is down the first time."""

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        self.reads += 1
        return Reply("down", is_refused=True) if self.reads == 1 else Reply({"name": "Ada"})


async def test_a_profile_that_is_read_after_a_failure_taints_the_case(tmp_path: Path) -> None:
    """The first run's read failed; the rerun makes the same one, and what it brought is private all the same."""
    shop = Shop()
    customer = tuple(each for each in order(shop).parameters if each.name == "customer")
    profile = replace(order(shop), name="profile", parameters=customer, endpoint=Profile(shop), is_profile=True)
    free = refund(shop, consent=Consent.NONE)
    async with counter(tmp_path, Obedient(call()), shop, free, order(shop), profile) as desk:

        async def paying(request: ChatRequest) -> AsyncIterator[Chunk]:
            yield call()
            yield Finished("tools")

        def failing(request: ChatRequest) -> AsyncIterator[Chunk]:
            desk.model.script = paying
            raise RuntimeError("a bug")

        desk.model.script = failing
        await desk.say()
        await desk.house.rest(10)
        assert await desk.house.all("SELECT state FROM actions WHERE name = 'profile'") == [("succeeded",)]
        assert not shop.calls
        assert "Please confirm" in desk.sent[-1].text


async def test_what_nobody_decided_in_time_is_told_and_makes_room(tmp_path: Path) -> None:
    """The person was promised to hear of it; and a card that lapsed uses nothing of a day's allowance."""
    shop, clock = Shop(), ManualClock()
    costly = refund(shop, consent=Consent.OPERATOR, allowance=Allowance(calls_per_day=1))
    async with counter(tmp_path, (model := Obedient(call())), shop, costly, order(shop), clock=clock) as desk:
        house = desk.house
        deciding = Deciding(house.store, house.clock, house.conversations, house.scheduler, People({}))
        await desk.say()
        await deciding.expire()
        assert await desk.states() == ["proposed"]
        clock.step_wall(86_401_000)
        await deciding.expire()
        await house.rest(1)
        assert await desk.states() == ["void"]
        assert "is over" in model.results[-1]
        await deciding.expire()
        assert len(await house.all("SELECT id FROM messages WHERE kind = 'press:decided'")) == 1


async def test_a_card_that_lapsed_says_so_when_it_is_pressed(tmp_path: Path) -> None:
    """And it uses nothing of a day's allowance."""
    shop, clock = Shop(), ManualClock()
    once = refund(shop, allowance=Allowance(calls_per_day=1))
    async with counter(tmp_path, Obedient(call()), shop, once, order(shop), clock=clock) as desk:
        house = desk.house
        await desk.say()
        await clock.advance(601)
        await Deciding(house.store, house.clock, house.conversations, house.scheduler, People({})).expire()
        assert await desk.states() == ["void"]
        with pytest.raises(Refused, match="time in which this could be decided is over"):
            await desk.press()
        desk.model.script = Obedient(call(order="13", amount=1))
        await desk.say("13 then", event="later")
        await desk.press()
        assert len(shop.ledger) == 1
