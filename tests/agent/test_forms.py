"""A typed answer is what was asked for, or none."""

import asyncio
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from bot.agent.forms import read
from bot.agent.router import Attempt
from bot.errors import Fault, ModelError
from bot.model import Author
from bot.ports import Finished, TextDelta, Usage
from tests.agent.models import House, Scripted, asks, house, offline, says, settings
from tests.clock import ManualClock


class Verdict(BaseModel):
    grade: Literal["good", "bad"]
    score: int = Field(ge=0, le=10)


GOOD = Verdict(grade="good", score=7)
JSON = '{"grade": "good", "score": 7}'
ENOUGH = 60.0


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"\n {JSON} \n",
        f"```json\n{JSON}\n```",
        f"Here it is:\n```\n{JSON}\n```\nAnything else?",
        f'<think>Maybe {{"grade": "bad", "score": 1}}?</think>\n{JSON}',
        f"Of {{the two}} and [this], I choose {JSON}.",
        f'{{"grade": "awful", "score": 3}} no, {JSON}',
        '{"note": "the rest", "grade": "good", "score": 7}',
    ],
)
def test_text_around_the_json_is_tolerated(text: str) -> None:
    assert read(text, Verdict) == GOOD


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSON"),
        ("good, 7", "JSON"),
        ('{"grade": "good", "score": 11}', "score"),
        ('{"grade": "good"}', "score"),
        ('Sure: {"grade": "fine", "score": 1}', "grade"),
        ('{"grade": "good", "sc', "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"grade": ' * 50_000, "JSON"),
        (" " * 1_000_001, "too long"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(text, Verdict)


async def complete(at: House, names: list[str], within: float = ENOUGH) -> tuple[Verdict | ModelError, list[Attempt]]:
    attempts: list[Attempt] = []
    chain = at.router.chain(names)
    task = asyncio.create_task(
        chain.complete(asks("Judge."), Verdict, attempts, deadline=at.clock.monotonic() + within, payer="")
    )
    while not task.done():
        await at.clock.advance(0.5)
    error = task.exception()
    assert error is None or isinstance(error, ModelError)
    return error or task.result(), attempts


def outcomes(attempts: list[Attempt]) -> list[tuple[str, str]]:
    return [(each.model, each.outcome) for each in attempts]


async def test_the_model_is_given_the_schema_and_its_answer_is_read() -> None:
    clock = ManualClock()
    model = Scripted("a", clock, [TextDelta(JSON[:9]), 0.1, TextDelta(JSON[9:]), Usage(5, 6), Finished()])
    value, attempts = await complete(house([model, offline(clock)], clock=clock), ["a"])
    assert value == GOOD
    assert model.requests[0].schema == Verdict.model_json_schema()
    assert [(each.outcome, each.usage) for each in attempts] == [("answered", Usage(5, 6))]


async def test_an_answer_that_does_not_fit_goes_back_once_with_the_reason() -> None:
    clock = ManualClock()
    model = Scripted("a", clock, says('{"grade": "good", "score": 99}'), says(JSON))
    value, attempts = await complete(house([model], {"a": settings(tries=1)}, clock=clock), ["a"])
    assert value == GOOD
    assert outcomes(attempts) == [("a", "malformed"), ("a", "answered")]
    said, told = model.requests[1].messages[-2:]
    assert (said.author, said.text) == (Author.AGENT, '{"grade": "good", "score": 99}')
    assert told.author is Author.USER
    assert "score" in told.text
    assert len(model.requests[0].messages) == 1


async def test_then_the_next_model_is_asked_anew() -> None:
    """It is not told what another one got wrong. A model that cannot write JSON is not a broken one: its circuit stays closed."""
    clock = ManualClock()
    first, second = Scripted("a", clock, says("I would say good.")), Scripted("b", clock, says("Hm."), says(JSON))
    at = house([first, second], clock=clock, circuit_failures=1)
    value, attempts = await complete(at, ["a", "b"])
    assert value == GOOD
    assert outcomes(attempts) == [("a", "malformed")] * 2 + [("b", "malformed"), ("b", "answered")]
    assert len(second.requests[0].messages) == 1
    assert [row["circuit"] for row in at.router.report()] == ["closed", "closed"]


async def test_failures_go_through_the_same_tries() -> None:
    clock = ManualClock()
    first = Scripted("a", clock, [ModelError("no", Fault.OVERLOADED)])
    value, attempts = await complete(house([first, Scripted("b", clock, says(JSON))], clock=clock), ["a", "b"])
    assert value == GOOD
    assert outcomes(attempts) == [("a", "overloaded")] * 2 + [("b", "answered")]


async def test_too_long_cannot_be_halved_here_and_goes_on() -> None:
    clock = ManualClock()
    first = Scripted("a", clock, [ModelError("no", Fault.TOO_LONG)])
    _, attempts = await complete(house([first, Scripted("b", clock, says(JSON))], clock=clock), ["a", "b"])
    assert outcomes(attempts) == [("a", "too long"), ("b", "answered")]


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (says("no"), Fault.MALFORMED),
        ([Finished("refusal")], Fault.MALFORMED),
        ([ModelError("no", Fault.KEY)], Fault.KEY),
        ([100.0], Fault.SILENT),
    ],
)
async def test_without_an_answer_the_last_fault_is_raised_within_the_time(script: list[object], fault: Fault) -> None:
    """The offline answerer cannot stand in: it has no judgement."""
    clock = ManualClock()
    value, _ = await complete(house([Scripted("a", clock, script), offline(clock)], clock=clock), ["a", "offline"])  # type: ignore[arg-type]  # parametrize loses the type
    assert isinstance(value, ModelError)
    assert value.fault is fault
    assert clock.monotonic() - 1000 <= ENOUGH


async def test_a_chain_of_local_models_alone_says_so() -> None:
    clock = ManualClock()
    value, attempts = await complete(house([offline(clock)], clock=clock), ["offline"])
    assert isinstance(value, ModelError)
    assert "[roles]" in str(value)
    assert attempts == []
