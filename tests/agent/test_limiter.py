"""A model is asked as fast as its provider allows and no faster, and everybody gets a turn."""

import asyncio
import random
from collections.abc import Callable

import pytest

from bot.agent.limiter import Expected, Lease, Limiter
from bot.config.schema import ModelLimits
from bot.ports import Headroom, Usage
from tests.agent.models import asks, house, listen, settings
from tests.agent.providers import Bucket, FixedMinute, Meter, ServedModel, SlidingMinute
from tests.clock import ManualClock, settle

Kind = Callable[[float, float], Meter]
KINDS = pytest.mark.parametrize("kind", [FixedMinute, SlidingMinute, Bucket], ids=lambda kind: kind.__name__)
MINUTES = 12


async def saturate(
    model: ServedModel, clock: ManualClock, limits: dict[str, object], callers: int, dice: random.Random
) -> None:
    """More conversations than the limits allow ask without a pause."""
    router = house(
        [model], {model.name: settings(limits={"queue_s": 3600, **limits})}, clock=clock, random=dice.random
    ).router
    chain = router.chain([model.name])

    async def converse(conversation: str) -> None:
        while True:
            request = asks("x" * dice.randint(1_000, 4_000), conversation)
            await listen(chain, request, deadline=clock.monotonic() + 3600)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(converse(f"c{n}")) for n in range(callers)]
        await clock.advance(MINUTES * 60)
        for task in running:
            task.cancel()


@KINDS
@pytest.mark.parametrize("phase", [0.0, 43.9])
async def test_requests_reach_95_percent_of_the_limit_without_one_refusal(kind: Kind, phase: float) -> None:
    """However the provider counts, and with up to half a second on the way."""
    clock, dice, limit = ManualClock(), random.Random(phase), 120
    model = ServedModel("m", clock, kind(limit, phase), None, dice)
    await saturate(model, clock, {"requests_per_minute": limit}, 150, dice)
    begin = clock.monotonic() - (MINUTES - 1) * 60
    served = sum(at >= begin for at, _ in model.served)
    assert model.refused == 0
    assert served >= 0.95 * limit * (MINUTES - 1)


@KINDS
@pytest.mark.parametrize("phase", [0.0, 43.9])
async def test_tokens_reach_95_percent_of_the_limit_without_one_refusal(kind: Kind, phase: float) -> None:
    """Though nobody knows beforehand what a call will take: the ratio of tokens to characters is learned."""
    clock, dice, limit = ManualClock(), random.Random(phase), 200_000
    model = ServedModel("m", clock, None, kind(limit, phase), dice)
    await saturate(model, clock, {"tokens_per_minute": limit}, 200, dice)
    begin = clock.monotonic() - (MINUTES - 1) * 60
    used = sum(tokens for at, tokens in model.served if at >= begin)
    assert model.refused == 0
    assert used >= 0.95 * limit * (MINUTES - 1)


# --- one limiter by itself -----------------------------------------------------------------------------------------------


def limiter(clock: ManualClock, **limits: object) -> Limiter:
    return Limiter(ModelLimits.model_validate(limits), clock, output_tokens=100, random=lambda: 1.0)


def taken(one: Limiter, chars: int = 0) -> Lease:
    lease = one.at_once(chars)
    assert lease is not None
    return lease


async def granted(one: Limiter, order: list[str], conversation: str, name: str) -> None:
    assert await one.wait(conversation, 0, 1000) is not None
    order.append(name)


async def test_conversations_take_turns_and_each_keeps_its_order() -> None:
    """A conversation with ten calls holds up the one with a single call by one place, not by ten."""
    clock = ManualClock()
    one, order = limiter(clock, calls_at_once=1), list[str]()
    lease = taken(one)
    async with asyncio.TaskGroup() as tasks:
        for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            tasks.create_task(granted(one, order, name[0], name))
            await settle()
        assert one.waiting == 6
        one.ended(lease, Usage())
        for _ in range(6):
            await settle()
            one.ended(Lease(0, 0, lease.slot, 0), Usage())
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


@pytest.mark.parametrize("seed", range(5))
async def test_no_conversation_is_served_twice_while_another_waits_for_its_first(seed: int) -> None:
    """Fairness over random arrivals: between two turns of one conversation, everybody who waited had a turn."""
    clock, dice = ManualClock(), random.Random(seed)
    one, order = limiter(clock, requests_per_minute=5, calls_at_once=1000), list[str]()
    came: dict[str, int] = {}  # how many turns had been given when it began to wait
    for _ in range(5):
        taken(one)

    async def call(conversation: str) -> None:
        came.setdefault(conversation, len(order))
        await granted(one, order, conversation, conversation)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(call(f"c{min(dice.randint(0, 12), 9)}"))
            await clock.advance(dice.uniform(0, 2))
        await clock.advance(3600)
    for conversation, begun in came.items():
        before = order[begun : order.index(conversation)]
        assert len(before) == len(set(before)), conversation


async def test_no_more_calls_run_at_once_than_stated() -> None:
    clock = ManualClock()
    one = limiter(clock, calls_at_once=2)
    first, _ = taken(one), taken(one)
    assert one.at_once(0) is None
    one.ended(first, Usage())
    assert one.at_once(0) is not None


async def test_the_wait_is_told_at_once() -> None:
    """Who would wait for half a minute need not find out by waiting."""
    clock = ManualClock()
    one = limiter(clock, requests_per_minute=2)
    taken(one)
    await clock.advance(30)
    taken(one)
    assert one.wait_s("c", 0) == pytest.approx(31.1)
    waiting = asyncio.create_task(one.wait("c", 0, 1000))
    await settle()
    assert one.wait_s("d", 0) == pytest.approx(61.1)
    await clock.advance(31.1)
    assert await waiting is not None
    assert clock.monotonic() == pytest.approx(1061.1)


async def test_who_waits_too_long_leaves_the_queue() -> None:
    clock = ManualClock()
    one = limiter(clock, calls_at_once=1)
    taken(one)
    waiting = asyncio.create_task(one.wait("c", 0, 10))
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is None
    assert one.waiting == 0


async def test_a_refusal_with_a_time_stops_everybody_until_then() -> None:
    """And then one call goes first; with each answer twice as many may follow."""
    clock = ManualClock()
    one, order = limiter(clock), list[str]()
    lease = taken(one)
    one.limited(lease, 20.0)
    assert one.blocked_s() == 20
    async with asyncio.TaskGroup() as tasks:
        for n in range(7):
            tasks.create_task(granted(one, order, f"c{n}", f"c{n}"))
        await clock.advance(19.9)
        assert order == []
        await clock.advance(0.1)
        assert len(order) == 1
        for more, so_far in ((1, 3), (2, 7)):
            for _ in range(more):
                one.answered(Lease(0, clock.monotonic(), lease.slot, 1), Usage())
            await settle()
            assert len(order) == so_far


async def test_refusals_without_a_time_make_pauses_that_grow_up_to_a_minute() -> None:
    """Refusals of calls that were sent before the pause don't make it longer."""
    clock = ManualClock()
    one, pauses = limiter(clock), []
    together = [taken(one) for _ in range(5)]
    for lease in together:
        one.limited(lease, None)
    for _ in range(9):
        pauses.append(one.blocked_s())
        await clock.advance(pauses[-1])
        one.limited(taken(one), None)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    await clock.advance(60)
    one.answered(taken(one), Usage())
    one.limited(taken(one), None)
    assert one.blocked_s() == 1


async def test_headers_lower_the_limit_and_raise_it_again_but_not_above_the_stated_one() -> None:
    clock = ManualClock()
    one = limiter(clock, requests_per_minute=10)
    one.hear(Headroom(requests_limit=2))
    taken(one), taken(one)
    assert one.at_once(0) is None
    one.hear(Headroom(requests_limit=5))
    for _ in range(3):
        taken(one)
    assert one.at_once(0) is None
    one.hear(Headroom(requests_limit=50))
    assert one.requests_limit == 10


async def test_headers_alone_make_a_limit_where_none_is_stated() -> None:
    clock = ManualClock()
    one = limiter(clock)
    lease = taken(one)
    one.hear(Headroom(tokens_limit=1000))
    one.answered(lease, Usage(300, 100))
    assert one.counts_tokens
    assert one.at_once(10_000) is None


async def test_nothing_left_means_waiting_until_the_server_says() -> None:
    """Somebody else uses the same key: our own count knows nothing of that."""
    clock = ManualClock()
    one = limiter(clock, requests_per_minute=100)
    one.hear(Headroom(requests_left=1, requests_reset_s=12.0))
    taken(one)
    waiting = asyncio.create_task(one.wait("c", 0, 1000))
    await clock.advance(11.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is not None


async def test_a_call_larger_than_the_limit_goes_alone_instead_of_never() -> None:
    clock = ManualClock()
    one = limiter(clock, tokens_per_minute=1000)
    lease = taken(one, 1_000_000)
    assert one.at_once(10) is None
    one.answered(lease, Usage(250_000, 10))
    assert one.at_once(10) is None
    waiting = asyncio.create_task(one.wait("c", 1_000_000, 1000))
    await clock.advance(61.2)
    assert await waiting is not None


async def test_tokens_are_what_the_calls_before_took_for_as_many_characters() -> None:
    """After a few answers a minute holds nearly as many calls as the true ratio allows."""
    clock = ManualClock()
    one = limiter(clock, tokens_per_minute=100_000)
    for _ in range(60):
        one.answered(taken(one, 4000), Usage(1000, 10))
        await clock.advance(61.2)
    count = 0
    while one.at_once(4000) is not None:
        count += 1
    assert 95 <= count <= 99


@pytest.mark.parametrize("at", range(6))
async def test_a_cancelled_wait_leaves_nothing_behind_at_any_moment(at: int) -> None:
    """Also when the lease is granted in the same moment as the caller is cancelled."""
    clock = ManualClock()
    one = limiter(clock, calls_at_once=1)
    lease = taken(one)
    waiting = asyncio.create_task(one.wait("c", 0, 1000))
    await settle(at // 2)
    if at % 2:
        waiting.cancel()
        one.ended(lease, Usage())
    else:
        one.ended(lease, Usage())
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (one.running, one.waiting) == (0, 0)
    assert one.at_once(0) is not None


async def test_a_lease_that_was_not_used_does_not_count() -> None:
    one = limiter(ManualClock(), requests_per_minute=1)
    one.unused(taken(one))
    one.refused(taken(one))
    assert one.at_once(0) is None


async def test_turning_away_ends_all_waiting() -> None:
    clock = ManualClock()
    one = limiter(clock, calls_at_once=1)
    taken(one)
    waiting = [asyncio.create_task(one.wait(f"c{n}", 0, 1000)) for n in range(3)]
    await settle()
    one.turn_away()
    assert await asyncio.gather(*waiting) == [None, None, None]
    assert one.waiting == 0


async def test_new_limits_hold_at_once_for_those_who_wait() -> None:
    clock = ManualClock()
    one = limiter(clock, calls_at_once=1)
    taken(one)
    waiting = asyncio.create_task(one.wait("c", 0, 1000))
    await settle()
    one.take(ModelLimits(calls_at_once=2))
    assert await waiting is not None


def test_an_expectation_bounds_the_sum_of_what_comes() -> None:
    """Sums of calls stay below `most` nearly always, and `most` is not far above them."""
    dice, expected, over = random.Random(5), Expected(1.0), 0
    for _ in range(50):
        expected.learn(dice.gauss(0.25, 0.05))
    for _ in range(1000):
        sizes = [dice.randint(100, 4000) for _ in range(20)]
        took = sum(size * dice.gauss(0.25, 0.05) for size in sizes)
        most = expected.most(sum(sizes), sum(size * size for size in sizes))
        over += took > most
        assert most < took * 1.5
    assert over <= 10
