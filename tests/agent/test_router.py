"""An answer comes whatever happens to the models, and what failed leaves no trace but the record."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from bot.agent.router import Attempt, Began
from bot.errors import Fault, ModelError
from bot.model import Attachment, Author, BlobId
from bot.ports import (
    ChatMessage,
    ChatRequest,
    Chunk,
    Finished,
    Headroom,
    Reasoning,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
)
from tests.agent.models import Heard, Scripted, asks, house, listen, offline, run, says, settings
from tests.clock import ManualClock

CALL = ToolCall("1", "search", "{}")
RETRIED = [Fault.OVERLOADED, Fault.UNREACHABLE, Fault.MALFORMED]
NEXT = [Fault.SILENT, Fault.KEY, Fault.BALANCE, Fault.NOT_FOUND, Fault.REJECTED]


def fails(fault: Fault, retry_after_s: float | None = None) -> ModelError:
    return ModelError("no", fault, retry_after_s=retry_after_s)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


# --- who answers ---------------------------------------------------------------------------------------------------------


async def test_the_first_model_answers_and_its_call_is_on_record(clock: ManualClock) -> None:
    first = Scripted("a", clock, [1.0, TextDelta("He"), 0.5, TextDelta("llo"), Usage(100, 20, 5, 7), 0.5, Finished()])
    second = Scripted("b", clock, says("no"))
    prices = {"input": 2, "output": 10, "cache_read": 1, "cache_write": 4}
    at = house([first, second, offline(clock)], {"a": settings(prices=prices)}, clock=clock)
    heard = await run(at, ["a", "b"], asks())
    assert heard.chunks == [Began("a", False, False), TextDelta("He"), TextDelta("llo"), Finished()]
    cost = 100 * 2 + 20 * 10 + 5 * 1 + 7 * 4
    expected = Attempt("a", "answered", "", Usage(100, 20, 5, 7), cost, 1_700_000_000_000, 0, 1000, 2000)
    assert heard.attempts == [expected]
    assert second.requests == []


async def test_a_local_model_that_is_first_answers_as_itself(clock: ManualClock) -> None:
    at = house([offline(clock), Scripted("a", clock, says("no"))], clock=clock)
    heard = await run(at, ["offline", "a"], asks())
    assert heard.chunks == [Began("offline", False, False), TextDelta("I found "), TextDelta("this."), Finished()]
    assert heard.outcomes == [("offline", "answered")]


async def test_the_last_resort_stands_in_when_every_model_has_failed(clock: ManualClock) -> None:
    models = [Scripted(name, clock, [fails(Fault.REJECTED)]) for name in "ab"]
    at = house([*models, offline(clock)], clock=clock)
    heard = await run(at, ["a", "b"], asks())
    assert heard.begun == [Began("offline", True, False)]
    assert heard.text == "I found this."
    assert heard.outcomes == [("a", "rejected"), ("b", "rejected"), ("offline", "answered")]


async def test_without_a_last_resort_the_last_fault_is_raised(clock: ManualClock) -> None:
    models = [Scripted("a", clock, [fails(Fault.KEY)]), Scripted("b", clock, [fails(Fault.NOT_FOUND)])]
    heard = await run(house(models, clock=clock), ["a", "b"], asks())
    assert heard.error is not None
    assert heard.error.fault is Fault.NOT_FOUND


@pytest.mark.parametrize("fault", RETRIED)
async def test_what_may_pass_is_tried_again_as_often_as_the_config_says(clock: ManualClock, fault: Fault) -> None:
    """With pauses that double, each drawn between nothing and the whole of it."""
    first, second = Scripted("a", clock, [fails(fault)]), Scripted("b", clock, says("yes"))
    given = {"a": settings(tries=4)}
    heard = await run(house([first, second], given, clock=clock, random=lambda: 1.0), ["a", "b"], asks())
    assert heard.outcomes == [("a", fault.value)] * 4 + [("b", "answered")]
    assert [round(at - 1000, 3) for at in first.times] == [0, 0.5, 1.5, 3.5]
    hasty = Scripted("a", clock, [fails(fault)])
    begun = clock.monotonic()
    await run(house([hasty, second], given, clock=clock, random=lambda: 0.0), ["a", "b"], asks())
    assert set(hasty.times) == {begun}


@pytest.mark.parametrize("fault", NEXT)
async def test_what_will_not_pass_goes_to_the_next_model_at_once(clock: ManualClock, fault: Fault) -> None:
    first, second = Scripted("a", clock, [fails(fault)]), Scripted("b", clock, says("yes"))
    heard = await run(house([first, second], clock=clock), ["a", "b"], asks())
    assert heard.outcomes == [("a", fault.value), ("b", "answered")]
    assert second.times == first.times


async def test_what_no_model_can_mend_is_raised_at_once(clock: ManualClock) -> None:
    first, second = Scripted("a", clock, [fails(Fault.CAPPED)]), Scripted("b", clock, says("yes"))
    heard = await run(house([first, second, offline(clock)], clock=clock), ["a", "b"], asks())
    assert heard.error is not None
    assert heard.error.fault is Fault.CAPPED
    assert heard.outcomes == [("a", "capped")]


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.RATE_LIMITED])
async def test_the_servers_wish_to_wait_is_honoured(clock: ManualClock, fault: Fault) -> None:
    model = Scripted("a", clock, [fails(fault, 20.0)], says("yes"))
    heard = await run(house([model, offline(clock)], clock=clock), ["a"], asks())
    assert heard.outcomes == [("a", fault.value), ("a", "answered")]
    assert model.times[1] - model.times[0] == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.RATE_LIMITED])
async def test_a_wish_that_does_not_fit_the_time_sends_the_call_on(clock: ManualClock, fault: Fault) -> None:
    """To another model when it is longer than a queue may be; to the last resort when it is longer than there is time."""
    model, other = Scripted("a", clock, [fails(fault, 11.0)]), Scripted("b", clock, [fails(fault, 70.0)])
    heard = await run(house([model, other, offline(clock)], clock=clock), ["a", "b"], asks())
    assert [each for each in heard.outcomes if each[1] != "passed over"] == [
        ("a", fault.value),
        ("b", fault.value),
        ("offline", "answered"),
    ]
    assert clock.monotonic() - 1000 < 1


async def test_f42_too_long_is_tried_once_with_half_and_then_elsewhere(clock: ManualClock) -> None:
    """Half of what was sent, not of what might have been."""
    first, second = Scripted("a", clock, [fails(Fault.TOO_LONG)]), Scripted("b", clock, says("yes"))
    asked: list[int] = []

    def make(chars: int) -> ChatRequest:
        asked.append(chars)
        return asks("x" * min(chars, 40_000))

    heard = await run(house([first, second], clock=clock), ["a", "b"], make)
    assert heard.outcomes == [("a", "too long"), ("a", "too long"), ("b", "answered")]
    assert [len(one.messages[0].text) for one in first.requests] == [40_000, 20_000]
    assert len(second.requests[0].messages[0].text) == 40_000


async def test_the_conversation_gets_what_instructions_tools_and_answer_leave(clock: ManualClock) -> None:
    """Three characters a token."""
    model = Scripted("a", clock, says("yes"))
    given = {"a": settings(context_tokens=10_000, output_tokens=1_000)}
    tools = (ToolSpec("t" * 100, "d" * 896, {}),)  # with its parameters, "{}", 998 characters

    def make(chars: int) -> ChatRequest:
        return ChatRequest("i" * 2_000, (ChatMessage(Author.USER, "x" * chars),), tools)

    await run(house([model], given, clock=clock), ["a"], make)
    assert len(model.requests[0].messages[0].text) == 27_000 - 2_000 - 998


# --- what is shown -------------------------------------------------------------------------------------------------------


async def test_text_of_a_failed_try_is_declared_void(clock: ManualClock) -> None:
    first = Scripted("a", clock, [TextDelta("Hel"), fails(Fault.UNREACHABLE)], [TextDelta("Hi"), fails(Fault.SILENT)])
    second = Scripted("b", clock, says("Hello"))
    heard = await run(house([first, second], clock=clock), ["a", "b"], asks())
    assert heard.begun == [Began("a", False, False), Began("a", False, True), Began("b", False, True)]
    assert heard.voided == ["", "Hel", "Hi"]
    assert heard.text == "Hello"


async def test_the_last_resort_says_that_something_was_shown(clock: ManualClock) -> None:
    first = Scripted("a", clock, [TextDelta("Hel"), fails(Fault.SILENT)])
    heard = await run(house([first, offline(clock)], clock=clock), ["a"], asks())
    assert heard.begun == [Began("a", False, False), Began("offline", True, True)]


async def test_calls_of_a_failed_try_are_never_handed_on(clock: ManualClock) -> None:
    """And those of a good one only with its end, thoughts first."""
    thought = Reasoning("a", "{}")
    first = Scripted(
        "a", clock, [CALL, fails(Fault.UNREACHABLE)], [TextDelta("So: "), thought, CALL, 5.0, Finished("tools")]
    )
    heard = await run(house([first], clock=clock), ["a"], asks())
    assert heard.chunks == [Began("a", False, False), TextDelta("So: "), thought, CALL, Finished("tools")]
    assert heard.outcomes == [("a", "unreachable"), ("a", "tools")]
    only_calls = Scripted("a", clock, [CALL, Finished("tools")])
    heard = await run(house([only_calls], clock=clock), ["a"], asks())
    assert heard.chunks == [Began("a", False, False), CALL, Finished("tools")]


@pytest.mark.parametrize(
    "script",
    [
        [Finished()],
        [TextDelta(" \n"), TextDelta("\t"), Usage(5, 5), Finished()],
        [Reasoning("a", "{}"), Finished("length")],
        [TextDelta("Hel")],
        [CALL],
        [],
    ],
    ids=["nothing", "blank", "thoughts only", "broken off", "call broken off", "no end"],
)
async def test_what_is_no_answer_is_tried_again_and_then_elsewhere(clock: ManualClock, script: list[Any]) -> None:
    first, second = Scripted("a", clock, script), Scripted("b", clock, says("yes"))
    heard = await run(house([first, second], clock=clock), ["a", "b"], asks())
    assert heard.outcomes == [("a", "malformed"), ("a", "malformed"), ("b", "answered")]
    assert heard.text == "yes"
    assert heard.calls == []


async def test_blank_text_before_the_answer_is_kept(clock: ManualClock) -> None:
    model = Scripted("a", clock, [TextDelta("\n"), TextDelta(" "), TextDelta("Hello"), TextDelta(" \n"), Finished()])
    heard = await run(house([model], clock=clock), ["a"], asks())
    assert heard.text == "\n Hello \n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([Finished("refusal")], "refusal"),
        ([TextDelta("No."), Finished("refusal")], "refusal"),
        ([TextDelta("So"), Finished("length")], "length"),
    ],
)
async def test_refusals_and_answers_cut_short_are_answers(clock: ManualClock, script: list[Any], reason: str) -> None:
    heard = await run(house([Scripted("a", clock, script), offline(clock)], clock=clock), ["a"], asks())
    assert heard.end == Finished(reason)
    assert [(each.outcome, each.why) for each in heard.attempts] == [("answered", reason)]


# --- time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [[1000.0], [TextDelta("Well"), 1000.0], [*[TextDelta("."), 1.0] * 1000]], ids=["silent", "stuck", "slow"]
)
@pytest.mark.parametrize("within", [4.0, 30.0])
async def test_a_model_that_does_not_end_leaves_time_for_the_last_resort(
    clock: ManualClock, script: list[Any], within: float
) -> None:
    """Two seconds; a quarter of what is left when that is less."""
    model = Scripted("a", clock, script)
    heard = await run(house([model, offline(clock)], clock=clock), ["a"], asks(), within=within)
    assert heard.text == "I found this."
    assert clock.monotonic() - 1000 == pytest.approx(within - min(2, within / 4), abs=0.51)
    assert (model.abandoned, model.running) == (1, 0)


async def test_with_no_time_at_all_the_last_resort_answers_at_once(clock: ManualClock) -> None:
    model = Scripted("a", clock, says("no"))
    heard = await run(house([model, offline(clock)], clock=clock), ["a"], asks(), within=0.0)
    assert heard.outcomes == [("a", "passed over"), ("offline", "answered")]
    assert model.requests == []


async def test_time_that_the_caller_takes_between_chunks_is_never_interrupted(clock: ManualClock) -> None:
    """The deadline ends waits for the model; the caller finds out when it asks for more."""
    model = Scripted("a", clock, [TextDelta("Well"), TextDelta("."), Finished()])
    at, texts, slept = house([model, offline(clock)], clock=clock), list[str](), list[bool]()

    async def read_slowly() -> None:
        chunks = at.router.chain(["a"]).stream(lambda chars: asks(), [], deadline=clock.monotonic() + 10, payer="")
        async with aclosing(chunks):
            async for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    texts.append(chunk.text)
                    await clock.sleep(20)
                    slept.append(True)

    task = asyncio.create_task(read_slowly())
    await clock.advance(100)
    await task
    assert texts == ["Well", "I found ", "this."]
    assert slept == [True] * 3
    assert task.cancelling() == 0


class Lingering(Scripted):
    """Takes a second to close."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        try:
            await self._clock.sleep(1000)
            yield Finished()
        finally:
            await self._clock.sleep(1)


async def test_a_cancellation_right_after_the_deadline_is_a_cancellation(clock: ManualClock) -> None:
    """It comes from outside, while the model is being closed, and must not be taken for the deadline's own."""
    at = house([Lingering("a", clock), offline(clock)], clock=clock)
    task = asyncio.create_task(listen(at.router.chain(["a"]), asks(), deadline=clock.monotonic() + 10))
    await clock.advance(8.5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert at.router.members["a"].limiter.running == 0


async def test_silence_until_the_time_is_up_counts_against_the_model(clock: ManualClock) -> None:
    """Though its own deadlines are longer; but not when there had hardly been any time."""
    model = Scripted("a", clock, [1000.0])
    at = house([model, offline(clock)], clock=clock, circuit_failures=2)
    for _ in range(3):
        await run(at, ["a"], asks(), within=3.0)
    assert at.router.report()[0]["circuit"] == "closed"
    for _ in range(2):
        heard = await run(at, ["a"], asks(), within=12.0)
        assert heard.outcomes[0] == ("a", "silent")
    assert at.router.report()[0]["circuit"] == "open"


# --- giving up a call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(0, 60, 3))
@pytest.mark.parametrize("is_taken", [False, True], ids=["free", "queue"])
async def test_cancelling_at_any_moment_leaves_nothing_behind(clock: ManualClock, steps: int, is_taken: bool) -> None:
    """In the queue, before the first text, in the middle, in a pause between tries: slot, queue and probe are free again, and what
    was used is on record."""
    scripts: list[list[Any]] = [
        [2.0, Usage(7, 1), fails(Fault.OVERLOADED)],
        [1.0, Usage(7), TextDelta("a"), 1.0, TextDelta("b"), 1.0, Finished()],
    ]
    model = Scripted("a", clock, *scripts)
    at = house([model], {"a": settings(limits={"calls_at_once": 1})}, clock=clock)
    limiter = at.router.members["a"].limiter
    lease = limiter.at_once(0) if is_taken else None
    heard = Heard()
    task = asyncio.create_task(listen(at.router.chain(["a"]), asks(), deadline=clock.monotonic() + 60, heard=heard))
    await clock.advance(0)
    for step in range(steps):
        if lease is not None and step == 15:
            limiter.unused(lease)
            lease = None
        await clock.advance(0.1)
    task.cancel()
    await asyncio.wait([task])
    if lease is not None:
        limiter.unused(lease)
    assert (limiter.running, limiter.waiting, model.running) == (0, 0, 0)
    assert not at.router.members["a"].circuit.is_shut()
    assert len(heard.attempts) == len(model.requests)
    assert all(each.outcome for each in heard.attempts)
    if task.cancelled() and model.abandoned:
        assert heard.attempts[-1].outcome == "cancelled"
    spent = at.spending.today().get("a")
    assert (spent.input_tokens if spent else 0) == sum(each.usage.input_tokens for each in heard.attempts)


async def test_closing_after_the_first_text_abandons_the_call(clock: ManualClock) -> None:
    model = Scripted("a", clock, [Usage(9, 1), TextDelta("Hello"), 10.0, Finished()])
    at, attempts = house([model, offline(clock)], clock=clock), list[Attempt]()
    chunks = at.router.chain(["a"]).stream(lambda chars: asks(), attempts, deadline=clock.monotonic() + 60, payer="")
    async for chunk in chunks:
        if isinstance(chunk, TextDelta):
            break
    await chunks.aclose()
    assert model.abandoned == 1
    assert [(each.outcome, each.usage) for each in attempts] == [("cancelled", Usage(9, 1))]
    assert at.router.members["a"].limiter.running == 0


async def test_closing_after_the_end_has_come_is_no_cancellation(clock: ManualClock) -> None:
    """A caller may stop reading at Finished, from a local model too."""
    for names in (["a"], ["offline"]):
        at, attempts = house([Scripted("a", clock, says("Hi")), offline(clock)], clock=clock), list[Attempt]()
        chunks = at.router.chain(names).stream(
            lambda chars: asks(), attempts, deadline=clock.monotonic() + 60, payer=""
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                if isinstance(chunk, Finished):
                    break
        assert [each.outcome for each in attempts] == ["answered"]


# --- files ---------------------------------------------------------------------------------------------------------------


def with_file(media_type: str, *after: ChatMessage) -> ChatRequest:
    file = Attachment(BlobId("b"), "f", media_type, 10)
    old = ChatMessage(Author.USER, "before", (Attachment(BlobId("o"), "o", "audio/ogg", 10),))
    return ChatRequest(
        "",
        (
            old,
            ChatMessage(Author.AGENT, "yes"),
            ChatMessage(Author.USER, "see", (file,)),
            ChatMessage(Author.USER, "?"),
            *after,
        ),
    )


async def test_files_go_to_the_first_model_that_can_read_them(clock: ManualClock) -> None:
    """Also in the second step of a turn, when calls and results stand after them. Files of earlier messages change nothing."""
    given = {
        "a": settings(reads=("text",)),
        "b": settings("openai", base_url="http://127.0.0.1:1/v1"),
        "c": settings("openai"),
    }
    step = (ChatMessage(Author.AGENT, calls=(CALL,)), ChatMessage(Author.SYSTEM, ""))
    for request in (with_file("image/png"), with_file("application/pdf", *step)):
        models = [Scripted(name, clock, says(name)) for name in "abc"]
        heard = await run(house(models, given, clock=clock), ["a", "b", "c"], request)
        assert heard.outcomes == [("a", "passed over"), ("c", "answered")]
        assert "c can" in heard.attempts[0].why


async def test_files_that_no_model_can_read_change_nothing(clock: ManualClock) -> None:
    models = [Scripted(name, clock, says(name)) for name in "ab"]
    heard = await run(house(models, clock=clock), ["a", "b"], with_file("audio/ogg"))
    assert heard.outcomes == [("a", "answered")]


async def test_the_others_follow_when_the_reader_fails(clock: ManualClock) -> None:
    models = [Scripted("a", clock, says("a")), Scripted("b", clock, [fails(Fault.SILENT)])]
    heard = await run(house(models, {"a": settings(reads=("text",))}, clock=clock), ["a", "b"], with_file("image/png"))
    assert heard.outcomes == [("a", "passed over"), ("b", "silent"), ("a", "answered")]


async def test_a_reader_that_cannot_be_asked_now_is_not_put_first(clock: ManualClock) -> None:
    models = [Scripted("a", clock, says("a")), Scripted("b", clock, [fails(Fault.KEY)])]
    at = house(models, {"a": settings(reads=("text",))}, clock=clock)
    await run(at, ["a", "b"], with_file("image/png"))
    heard = await run(at, ["a", "b"], with_file("image/png"))
    assert heard.outcomes == [("a", "answered")]


# --- limits, circuits, budgets -------------------------------------------------------------------------------------------


async def test_a_queue_that_is_too_long_sends_the_call_to_the_next_model_at_once(clock: ManualClock) -> None:
    models = [Scripted(name, clock, says(name)) for name in "ab"]
    at = house(models, {"a": settings(limits={"requests_per_minute": 1})}, clock=clock)
    await run(at, ["a", "b"], asks())
    heard = await run(at, ["a", "b"], asks())
    assert heard.outcomes == [("a", "passed over"), ("b", "answered")]
    assert clock.monotonic() == 1000


async def test_the_only_model_is_waited_for_as_long_as_there_is_time(clock: ManualClock) -> None:
    model = Scripted("a", clock, says("a"))
    at = house([model, offline(clock)], {"a": settings(limits={"requests_per_minute": 1, "queue_s": 1})}, clock=clock)
    await run(at, ["a"], asks())
    heard = await run(at, ["a"], asks(), within=70.0)
    assert heard.outcomes == [("a", "answered")]
    assert heard.attempts[0].waited_ms == pytest.approx(61_100, abs=1)
    heard = await run(at, ["a"], asks(), within=60.0)
    assert heard.outcomes == [("a", "passed over"), ("offline", "answered")]


async def test_what_the_headers_say_holds_for_the_next_call(clock: ManualClock) -> None:
    model = Scripted("a", clock, [Headroom(requests_left=0, requests_reset_s=30.0), *says("a")])
    at = house([model], clock=clock)
    await run(at, ["a"], asks())
    await run(at, ["a"], asks())
    assert model.times[1] - model.times[0] == pytest.approx(30, abs=0.01)


async def test_an_open_circuit_costs_nobody_time_and_one_call_finds_out(clock: ManualClock) -> None:
    """Fifty conversations: while it is open nobody calls; when its pause is over exactly one does; then all go on as before."""
    dead = [fails(Fault.UNREACHABLE)]
    model = Scripted("a", clock, dead, dead, dead, [2.0, *says("back")], [1.0, *says("well")])
    at = house([model, offline(clock)], {"a": settings(tries=1)}, clock=clock, circuit_failures=3, random=lambda: 0.0)
    for _ in range(3):
        await run(at, ["a"], asks())

    async def all_ask() -> list[Heard]:
        chain = at.router.chain(["a"])
        tasks = [
            asyncio.create_task(listen(chain, asks(conversation=f"c{n}"), deadline=clock.monotonic() + 60))
            for n in range(50)
        ]
        await clock.advance(20)
        return [await task for task in tasks]

    assert {heard.text for heard in await all_ask()} == {"I found this."}
    assert len(model.requests) == 3
    await clock.advance(10)
    texts = [heard.text for heard in await all_ask()]
    assert (texts.count("back"), texts.count("I found this.")) == (1, 49)
    assert len(model.requests) == 4
    assert {heard.text for heard in await all_ask()} == {"well"}
    assert sorted(model.times)[4:6] == [model.times[4]] * 2  # the probe's answer had widened the way to two


async def test_those_who_wait_for_a_model_need_not_when_its_circuit_opens(clock: ManualClock) -> None:
    """They would have waited for their minute."""
    model = Scripted("a", clock, [2.0, fails(Fault.KEY)])
    at = house([model, offline(clock)], {"a": settings(limits={"requests_per_minute": 1})}, clock=clock)
    chain = at.router.chain(["a"])
    tasks = [
        asyncio.create_task(listen(chain, asks(conversation=f"c{n}"), deadline=clock.monotonic() + 900))
        for n in range(5)
    ]
    await clock.advance(1.9)
    assert at.router.report()[0]["waiting"] == 4
    await clock.advance(0.1)
    assert all(task.done() for task in tasks)
    assert len(model.requests) == 1
    assert "circuit is open after: key refused" in tasks[1].result().attempts[0].why


async def test_a_probe_that_is_cancelled_leaves_the_next_call_to_find_out(clock: ManualClock) -> None:
    model = Scripted("a", clock, [fails(Fault.NOT_FOUND)], [9.0, *says("no")], says("back"))
    at = house([model, offline(clock)], clock=clock, random=lambda: 0.0)
    await run(at, ["a"], asks())
    await clock.advance(30)
    probe = asyncio.create_task(listen(at.router.chain(["a"]), asks(), deadline=clock.monotonic() + 60))
    await clock.advance(1)
    probe.cancel()
    await asyncio.wait([probe])
    assert (await run(at, ["a"], asks())).text == "back"


async def test_a_used_up_budget_leaves_the_models_that_cost_nothing(clock: ManualClock) -> None:
    models = [Scripted(name, clock, says(name, tokens=1_000_000)) for name in "ab"]
    given = {"a": settings(prices={"input": 1}), "b": settings("openai")}
    at = house([*models, offline(clock)], given, clock=clock, per_person=1)
    assert (await run(at, ["a", "b"], asks(), payer="ann")).text == "a"
    heard = await run(at, ["a", "b"], asks(), payer="ann")
    assert heard.outcomes == [("a", "passed over"), ("b", "answered")]
    assert "budget" in heard.attempts[0].why
    assert (await run(at, ["a"], asks(), payer="ann")).begun == [Began("offline", True, False)]
    assert (await run(at, ["a", "b"], asks(), payer="bob")).text == "a"


# --- reload, report, metrics ---------------------------------------------------------------------------------------------


async def test_a_reload_keeps_what_is_known_of_models_that_did_not_change(clock: ManualClock) -> None:
    """Another key closes the circuit, for it may be the right one now; what the provider was asked still counts."""
    models = [Scripted(name, clock, [fails(Fault.KEY)]) for name in "ab"]
    given = {name: settings(api_key="wrong", limits={"requests_per_minute": 1}) for name in "ab"}
    at = house([*models, offline(clock)], given, clock=clock)
    chain = at.router.chain(["a", "b"])
    await run(at, ["a", "b"], asks())
    fresh = [Scripted(name, clock, says(name)) for name in "ab"]
    changed = settings(api_key="right", limits={"requests_per_minute": 2})
    at.router.take({model.name: model for model in [*fresh, offline(clock)]}, given | {"b": changed})
    assert [row["circuit"] for row in at.router.report()] == ["open", "closed", "-"]
    for n in range(2):
        task = asyncio.create_task(listen(chain, asks(), deadline=clock.monotonic() + 60))
        await clock.advance(1)
        assert task.result().text == ("b" if n == 0 else "I found this.")


async def test_a_model_that_is_gone_after_a_reload_is_left_out(clock: ManualClock) -> None:
    at = house([Scripted("a", clock, says("a")), Scripted("b", clock, says("b")), offline(clock)], clock=clock)
    chain = at.router.chain(["a", "b"])
    at.router.take({"b": Scripted("b", clock, says("b"))}, {"b": settings()})
    assert (await listen(chain, asks(), deadline=clock.monotonic() + 60)).text == "b"


async def test_the_report_tells_how_each_model_fares(clock: ManualClock) -> None:
    model = Scripted(
        "a",
        clock,
        [Headroom(requests_limit=50, tokens_limit=9000), *says("a", 100)],
        [fails(Fault.KEY)],
        [9.0, *says("b")],
    )
    limits = {"requests_per_minute": 60, "calls_at_once": 7}
    at = house([model, offline(clock)], {"a": settings(prices={"input": 2}, limits=limits)}, clock=clock)
    await run(at, ["a"], asks())
    await run(at, ["a"], asks())
    row, local = at.router.report()
    expected = {
        "name": "a",
        "provider": "anthropic",
        "model": "m",
        "circuit": "open",
        "circuit_until_ms": clock.now_ms() + 300_000,
        "circuit_fault": "key refused",
        "requests_per_minute": 50,
        "tokens_per_minute": 9000,
        "requests_per_minute_stated": 60,
        "tokens_per_minute_stated": 0,
        "calls_at_once": 7,
        "calls_now": 0,
        "waiting": 0,
        "last_outcome": "key refused",
        "calls_today": 2,
        "failed_today": 1,
        "input_tokens_today": 100,
        "cost_micros_today": 200,
    }
    assert {key: row[key] for key in expected} == expected
    assert (local["circuit"], local["calls_at_once"], local["last_outcome"]) == ("-", 0, "answered")
    await clock.advance(300)
    task = asyncio.create_task(listen(at.router.chain(["a"]), asks(), deadline=clock.monotonic() + 60))
    await clock.advance(1)
    assert (at.router.report()[0]["circuit"], at.router.report()[0]["calls_now"]) == ("half-open", 1)
    await clock.advance(9)
    assert task.result().text == "b"


async def test_metrics_count_calls_tokens_and_cost(clock: ManualClock) -> None:
    model = Scripted("a", clock, says("a", 100), [fails(Fault.KEY)])
    at = house([model, offline(clock)], {"a": settings(prices={"input": 2, "output": 3})}, clock=clock)
    for _ in range(3):
        await run(at, ["a"], asks())
    shown = at.metrics.render()[0].decode()
    for line in (
        'frontdesk_model_calls_total{model="a",outcome="answered"} 1.0',
        'frontdesk_model_calls_total{model="a",outcome="key refused"} 1.0',
        'frontdesk_model_calls_total{model="a",outcome="passed over"} 1.0',
        'frontdesk_model_calls_total{model="offline",outcome="answered"} 2.0',
        'frontdesk_model_seconds_count{model="a"} 2.0',
        'frontdesk_model_tokens_total{kind="input",model="a"} 100.0',
        'frontdesk_model_cost_total{model="a"} 500.0',
        'frontdesk_model_circuit_open{model="a"} 1.0',
        'frontdesk_model_waiting{model="a"} 0.0',
    ):
        assert line in shown, line
