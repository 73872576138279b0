"""Once or asked: what becomes of a call whose answer never came, by effect class."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Fault, ModelError
from bot.model import Author
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.tools.action import Allowance, Arguments, Consent, Effect, Parameter, Reply
from tests.actions.shop import Counter, Obedient, Shop, call, counter, for_ever, lost, order, refund, texts, unreachable
from tests.clock import ManualClock


async def agreed(desk: Counter) -> None:
    await desk.say()
    await desk.press()
    await desk.house.rest(10)


async def test_a_keyed_call_is_made_again_with_the_same_key(tmp_path: Path) -> None:
    """Row 7: the reply is lost after the effect; the second call gives the first answer back."""
    shop = Shop()
    shop.after = [lost]
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await agreed(desk)
        assert (len(shop.calls), len(shop.ledger)) == (2, 1)
        assert len({key for key, _ in shop.calls}) == 1
        assert await desk.states() == ["succeeded"]


@pytest.mark.parametrize("is_booked", [True, False])
async def test_a_checkable_call_is_looked_up(tmp_path: Path, is_booked: bool) -> None:
    """And made again only when it certainly has not happened."""
    shop = Shop(honours_keys=False)
    (shop.after if is_booked else shop.before).append(lost)
    checkable = refund(shop, Effect.CHECKABLE)
    async with counter(tmp_path, Obedient(call()), shop, checkable, order(shop)) as desk:
        await agreed(desk)
        assert (len(shop.calls), len(shop.ledger)) == (1 if is_booked else 2, 1)
        assert shop.looked_up
        assert await desk.states() == ["succeeded"]


@pytest.mark.parametrize(("effect", "blind"), [(Effect.NAKED, False), (Effect.CHECKABLE, True)])
async def test_what_nobody_can_find_out_goes_to_a_person(tmp_path: Path, effect: Effect, blind: bool) -> None:
    """It is never made again; the agent may not claim anything of it; a second intent is stopped."""
    shop = Shop(honours_keys=False)
    shop.after, shop.blind = [lost], blind
    async with counter(tmp_path, (model := Obedient(call())), shop, refund(shop, effect), order(shop)) as desk:
        await agreed(desk)
        assert len(shop.calls) == 1
        assert await desk.states() == ["unknown"]
        assert "Nobody knows" in model.results[-1]
        assert [row[0] for row in await desk.house.all("SELECT kind FROM queue")] == ["unknown"]
        await desk.say("Do it again!", event="again")
        assert len(shop.calls) == 1
        assert await desk.states() == ["unknown"]


async def test_a_failure_that_does_not_say_that_nothing_was_done_is_none(tmp_path: Path) -> None:
    """As of a tool of an MCP server: the same call again with its key, and for a naked one a person."""

    class Vague(Shop):
        async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
            await super().call(arguments, key, within_s)
            return Reply("it broke", is_refused=True, is_vague=True)

    shop = Vague()
    async with counter(tmp_path, Obedient(call()), shop, refund(shop, Effect.NAKED), order(shop)) as desk:
        await agreed(desk)
        assert len(shop.calls) == 1
        assert await desk.states() == ["unknown"]


async def test_what_was_not_sent_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    """Certainly nothing has happened, so nobody is asked to find out."""
    shop = Shop()
    shop.before = [unreachable, unreachable]
    async with counter(tmp_path, (model := Obedient(call())), shop) as desk:
        await agreed(desk)
        assert (len(shop.calls), shop.ledger) == (2, [])
        assert await desk.states() == ["refused"]
        assert "cannot be reached" in model.results[-1]


@pytest.mark.parametrize("effect", [Effect.KEYED, Effect.CHECKABLE, Effect.NAKED])
@pytest.mark.parametrize("is_booked", [True, False])
async def test_f7_the_process_dies_in_the_middle_of_a_call(tmp_path: Path, effect: Effect, is_booked: bool) -> None:
    """The next run finds it as its class allows; one that nobody can find out is put before a person."""
    shop, clock = Shop(honours_keys=effect is Effect.KEYED), ManualClock()
    (shop.after if is_booked else shop.before).append(for_ever)
    actions = (refund(shop, effect), order(shop))
    async with counter(tmp_path, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.say()
        await desk.press()
        assert await desk.states() == ["intended"]
    async with counter(tmp_path, Obedient(call()), shop, *actions, clock=clock) as desk:
        await desk.house.rest(10)
        if effect is Effect.NAKED:
            assert await desk.states() == ["unknown"]
            assert len(shop.calls) == 1
        else:
            assert await desk.states() == ["succeeded"]
            assert len(shop.ledger) == 1


async def test_f8_an_outcome_that_was_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    """The process dies after the call and before the answer: the rerun tells of it without a second call."""
    shop, clock = Shop(), ManualClock()

    async def silent(request: object) -> object:
        await asyncio.get_running_loop().create_future()
        yield

    async with counter(tmp_path, Obedient(call()), shop, clock=clock) as desk:
        await desk.say()
        desk.model.script = silent  # type: ignore[assignment]
        await desk.press()
        assert await desk.states() == ["succeeded"]
    async with counter(tmp_path, Obedient(call(), says="It is done."), shop, clock=clock) as desk:
        await desk.house.rest(5)
        assert len(shop.calls) == 1
        assert texts(desk.sent)[-1] == "It is done."


async def test_a_second_intent_for_the_same_object_is_stopped(tmp_path: Path) -> None:
    """Refunded once, asked again with another amount: told what came of the first."""
    shop = Shop()
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await agreed(desk)
        desk.model.script = model = Obedient(call(id_="c9", order="12", amount=2_000))
        await desk.say("And 20 more", event="more")
        assert len(shop.ledger) == 1
        assert "has been done already" in model.results[-1]


async def test_a_days_allowance_is_kept(tmp_path: Path) -> None:
    """In calls and in money, for one person."""
    shop = Shop()
    meagre = refund(shop, consent=Consent.NONE, allowance=Allowance(amount_per_day=3_000, calls_per_day=2))
    orders = order(shop)
    async with counter(tmp_path, Obedient(call()), shop, meagre, orders) as desk:
        await desk.say()
        desk.model.script = model = Obedient(call(order="13", amount=600))
        await desk.say("13 too", event="e2")
        assert "more than this person may get in a day" in model.results[-1]
        desk.model.script = Obedient(call(order="14", amount=500))
        await desk.say("14", event="e3")
        desk.model.script = model = Obedient(call(order="15", amount=1))
        await desk.say("15", event="e4")
        assert "as often as is allowed" in model.results[-1]
        assert [entry[1]["order"] for entry in shop.ledger] == ["12", "14"]


async def test_f95_the_customer_is_never_an_argument(tmp_path: Path) -> None:
    """It is absent from what the model is shown, and refused where the model gives it all the same."""
    shop = Shop()
    model = Obedient(call("get_order", order="12", customer="u2"))
    async with counter(tmp_path, model, shop) as desk:
        await desk.say()
        spec = next(spec for spec in desk.model.requests[0].tools if spec.name == "get_order")
        assert "customer" not in spec.parameters["properties"]
        assert "cannot be used" in model.results[-1]
        assert shop.calls == []


async def test_a_read_is_kept_for_its_seconds_and_for_its_person(tmp_path: Path) -> None:
    """Any effect voids what that person was told."""
    shop, clock = Shop(), ManualClock()
    orders = order(shop, cache_s=60.0)
    async with counter(
        tmp_path, Obedient(call("get_order", order="12")), shop, refund(shop), orders, clock=clock
    ) as desk:
        endpoint = orders.endpoint
        for number in range(3):
            await desk.say("Where is it?", event=f"q{number}")
        assert endpoint.reads == 1  # type: ignore[attr-defined]
        desk.model.script = Obedient(call())
        await desk.say("Refund it", event="r")
        await desk.press()
        before = endpoint.reads  # type: ignore[attr-defined]
        desk.model.script = Obedient(call("get_order", order="12"))
        await desk.say("And now?", event="q9")
        assert endpoint.reads == before + 1  # type: ignore[attr-defined]


async def test_the_model_sees_only_the_fields_that_are_kept(tmp_path: Path) -> None:
    """Of an order, and of a refund."""
    shop = Shop()
    async with counter(tmp_path, (model := Obedient(call("get_order", order="12"))), shop) as desk:
        await desk.say()
        assert "canary" not in model.results[-1]
        assert '"total":5000' in model.results[-1]


async def test_f43_an_answer_may_tell_of_what_was_done_and_of_nothing_else(tmp_path: Path) -> None:
    """A refund that happened may be told; a cancellation that did not is held, and goes to a person."""
    shop = Shop()
    async with counter(tmp_path, Obedient(call(), says="I have refunded your order."), shop) as desk:
        await agreed(desk)
        assert texts(desk.sent)[-1] == "I have refunded your order."
        desk.model.script = Obedient(call(id_="c2", order="12", amount=1), says="I have cancelled your subscription.")
        await desk.say("Cancel my subscription", event="x")
        assert "cancelled your subscription" not in " ".join(texts(desk.sent))
        assert desk.sent[-1].author is Author.AGENT
        assert [row[0] for row in await desk.house.all("SELECT kind FROM queue")] == ["held"]


async def test_the_agent_knows_the_record_before_it_is_asked(tmp_path: Path) -> None:
    """A profile is read on behalf of the person who is signed in, once in a while, and for nobody else."""
    shop = Shop()
    profile = replace(
        order(shop), name="get_profile", parameters=(order(shop).parameters[1],), is_profile=True, keep=()
    )
    endpoint = Profile()
    profile = replace(profile, endpoint=endpoint)
    async with counter(tmp_path, said, shop, profile) as desk:
        await desk.say("Hello")
        assert [result.text for entry in desk.model.requests[0].messages for result in entry.results] == [
            '{"name":"Ada"}'
        ]
        await desk.say("Hello again", event="b")
        assert endpoint.asked == ["u1"]
        await desk.say("Hello", person="v:x", event="c")
        assert endpoint.asked == ["u1"]
        assert not any(entry.results for entry in desk.model.requests[-1].messages)


class Profile:
    """Who a customer is."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        self.asked.append(arguments["customer"])
        return Reply({"name": "Ada"})

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        raise AssertionError("a read is not looked up")


async def said(request: ChatRequest) -> AsyncIterator[Chunk]:
    yield TextDelta("Hello!")
    yield Finished()


async def test_reads_of_one_step_run_side_by_side_and_effects_one_after_another(tmp_path: Path) -> None:
    """Row 40: two reads are in flight at once; of two payments the second begins when the first has ended."""
    shop = Shop()
    watched = Watched(shop)
    reads = replace(order(shop), endpoint=watched)
    pays = replace(refund(shop, consent=Consent.NONE), endpoint=watched, facts="", fact_fields=(), parameters=PLAIN)
    both = Obedient(call(id_="c", order="1"), call(id_="d", order="2"))
    async with counter(tmp_path, both, shop, reads, pays) as desk:
        await desk.say()
        assert (watched.most, len(shop.ledger)) == (1, 2)
        desk.model.script = Obedient(call("get_order", "a", order="1"), call("get_order", "b", order="2"))
        await desk.say("Where are both?", event="p")
        assert watched.most == 2


PLAIN = (Parameter("order", {"type": "string"}),)


class Watched:
    """Counts what is in flight."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.now, self.most = shop, 0, 0

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(100):
            await asyncio.sleep(0.001)  # the store's threads, which the other call waits for, work in real time
            if self.most > 1:
                break
        self.now -= 1
        return await self.shop.call(arguments, key, within_s) if key else Reply({"order": arguments["order"]})

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        return await self.shop.look_up(arguments, key, within_s)


async def test_f46_with_every_model_down_the_person_is_told_what_was_done(tmp_path: Path) -> None:
    """The offline answerer quotes documents and knows nothing of actions: code says it."""
    shop = Shop()
    async with counter(tmp_path, Obedient(call()), shop) as desk:
        await desk.say()

        async def down(request: ChatRequest) -> AsyncIterator[Chunk]:
            if request.messages:
                raise ModelError("gone", Fault.NOT_FOUND)
            yield Finished()

        desk.model.script = down
        await desk.press()
        await desk.house.rest(10)
        assert len(shop.ledger) == 1
        assert "Done: Refund an order." in texts(desk.sent)[-1]
