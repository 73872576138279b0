"""Ten thousand calls against models that fail in every way they can."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from bot.agent.router import Began
from bot.errors import Fault, ModelError
from bot.ports import ChatRequest, Chunk, Clock, Finished, Headroom, Reasoning, TextDelta, ToolCall, Usage
from tests.agent.models import Heard, asks, house, listen, offline, settings
from tests.clock import ManualClock

CALLS = 10_000
FAILING = 0.3
FAULTS = [fault for fault in Fault if fault is not Fault.CAPPED]


@dataclass(slots=True)
class Ledger:
    """What a model itself says that its calls used."""

    calls: int = 0
    usage: Counter[str] = field(default_factory=Counter)
    running: int = 0
    most_running: int = 0


class Unreliable:
    """Answers, and in three calls of ten does something else."""

    def __init__(self, name: str, clock: Clock, dice: random.Random) -> None:
        self.name = name
        self.ledger = Ledger()
        self.marks: set[str] = set()  # of the calls that ended well
        self._clock = clock
        self._dice = dice

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        ledger, dice = self.ledger, self._dice
        ledger.calls += 1
        ledger.running += 1
        ledger.most_running = max(ledger.most_running, ledger.running)
        mark = f"{self.name}{ledger.calls}"
        usage = Usage()
        try:
            await self._pause(0.5)
            if dice.random() < FAILING:
                chunks = self._fail(mark)
            else:
                chunks = self._answer(mark)
                self.marks.add(mark)
            async for chunk in chunks:
                if isinstance(chunk, Usage):
                    usage = chunk
                yield chunk
        finally:
            ledger.running -= 1
            ledger.usage["input"] += usage.input_tokens
            ledger.usage["output"] += usage.output_tokens
            ledger.usage["cached"] += usage.cache_read_tokens

    async def _answer(self, mark: str) -> AsyncIterator[Chunk]:
        dice = self._dice
        read = dice.randint(10, 500)
        yield Usage(read)
        if dice.random() < 0.2:
            yield Headroom(requests_limit=600, requests_left=dice.randint(0, 100), requests_reset_s=dice.uniform(0, 3))
        if dice.random() < 0.3:
            yield Reasoning(self.name, "{}")
            yield ToolCall(mark, "search", "{}")
        else:
            yield TextDelta(f" {mark}")
            await self._pause(2)
            yield TextDelta(".")
        yield Usage(read, dice.randint(1, 300), dice.randint(0, 50))
        yield Finished(dice.choice(["stop", "stop", "stop", "refusal"]))

    async def _fail(self, mark: str) -> AsyncIterator[Chunk]:
        dice = self._dice
        if dice.random() < 0.5:
            yield Usage(dice.randint(1, 100))
            yield TextDelta(f" half of {mark}")
            yield ToolCall(mark, "search", "{}")
        await self._pause(2)
        match dice.randrange(5):
            case 0:
                await self._clock.sleep(10_000)
            case 1:
                return
            case 2:
                yield TextDelta(" \n ")
            case 3:
                for _ in range(100):
                    yield TextDelta(".")
                    await self._clock.sleep(1)
            case _:
                wait = dice.choice([None, None, 0.0, 1.0, 3.0, 30.0])
                raise ModelError("no", self._fault(), retry_after_s=wait)
        if dice.random() < 0.5:
            raise ModelError("no", self._fault())

    def _fault(self) -> Fault:
        """Those that open a circuit at once are rare, else hardly anybody would be asked."""
        fault = self._dice.choice(FAULTS)
        return self._dice.choice(FAULTS) if fault in (Fault.KEY, Fault.BALANCE, Fault.NOT_FOUND) else fault

    async def _pause(self, most: float) -> None:
        await self._clock.sleep(self._dice.uniform(0, most))


@dataclass(slots=True)
class Ended:
    heard: Heard
    is_cancelled: bool
    seconds_left: float


async def test_ten_thousand_calls_end_in_time_with_an_answer_and_an_honest_record() -> None:
    """Each that was not abandoned has an answer before its deadline, only whole answers are handed on, every call that a model saw
    is on record exactly once with what it used, and afterwards nothing is held."""
    clock, dice = ManualClock(), random.Random(20)
    models = [Unreliable(name, clock, dice) for name in "abc"]
    given = {
        "a": settings(tries=3, limits={"requests_per_minute": 400, "calls_at_once": 40, "queue_s": 4}),
        "b": settings(
            "openai", limits={"tokens_per_minute": 200_000, "calls_at_once": 30, "queue_s": 2}, prices={"input": 1}
        ),
        "c": settings("openai", tries=1, limits={"calls_at_once": 20}),
    }
    at = house([*models, offline(clock)], given, clock=clock, random=dice.random, circuit_s=0.5, per_person=0.02)
    chains = [at.router.chain(names) for names in (["a", "b", "c"], ["b", "a"], ["c"], ["c", "offline"])]
    ended: list[Ended] = []

    async def call(number: int) -> None:
        heard, deadline = Heard(), clock.monotonic() + dice.uniform(3, 40)
        request = asks("x" * dice.randint(10, 2_000), f"c{number % 300}")
        try:
            chain = dice.choice(chains)
            await listen(chain, request, deadline=deadline, payer=f"p{number % 50}", heard=heard)
        finally:
            is_cancelled = asyncio.current_task() in cancelled
            ended.append(Ended(heard, is_cancelled, deadline - clock.monotonic()))

    cancelled: set[asyncio.Task[None] | None] = set()

    def cancel(task: asyncio.Task[None]) -> None:
        if not task.done():
            cancelled.add(task)
            task.cancel()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CALLS):
            task = tasks.create_task(call(number))
            if dice.random() < 0.05:
                clock.call_later(dice.uniform(0, 5), partial(cancel, task))
            if number % 25 == 24:
                await clock.advance(dice.uniform(0, 12))
        await clock.advance(60)

    assert len(ended) == CALLS
    whole = {mark for model in models for mark in model.marks}
    outcomes = Counter(one.outcome for each in ended for one in each.heard.attempts)
    for each in ended:
        if not each.is_cancelled:
            check_answer(each, whole)
    check_record(ended, models)
    for model in models:
        limiter = at.router.members[model.name].limiter
        assert (limiter.running, limiter.waiting, model.ledger.running) == (0, 0, 0)
        assert model.ledger.most_running <= given[model.name].limits.calls_at_once
        spent = at.spending.today()[model.name]
        assert (spent.calls, spent.input_tokens) == (model.ledger.calls, model.ledger.usage["input"])
    assert {fault.value for fault in FAULTS} | {"answered", "tools", "cancelled", "passed over", "capped"} <= set(
        outcomes
    )
    assert sum(model.ledger.calls for model in models) > 0.9 * CALLS


def check_answer(each: Ended, whole: set[str]) -> None:
    heard = each.heard
    assert heard.error is None
    assert heard.end is not None
    assert each.seconds_left >= 0
    last = heard.begun[-1]
    assert heard.attempts[-1].model == last.model
    assert last.is_last_resort == (last.model == "offline")
    assert all(call.id in whole for call in heard.calls)
    if not last.is_last_resort and heard.text:
        assert heard.text.strip(" .") in whole
    for before, one in zip(heard.chunks, heard.chunks[1:], strict=False):
        if isinstance(one, Began):
            assert isinstance(before, TextDelta)
            assert one.is_again


def check_record(ended: list[Ended], models: list[Unreliable]) -> None:
    usage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in ended:
        for attempt in each.heard.attempts:
            assert attempt.outcome
            if attempt.is_call:
                usage[attempt.model]["calls"] += 1
                usage[attempt.model]["input"] += attempt.usage.input_tokens
                usage[attempt.model]["output"] += attempt.usage.output_tokens
                usage[attempt.model]["cached"] += attempt.usage.cache_read_tokens
    for model in models:
        assert usage[model.name] == model.ledger.usage + Counter(calls=model.ledger.calls)
