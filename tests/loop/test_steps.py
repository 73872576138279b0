"""A turn that is cut off between its steps continues where it stood, on a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from bot.agent.calls import UNCERTAIN
from bot.agent.loop import Agent, Rules
from bot.config import schema
from bot.errors import Fault, ModelError
from bot.llm.offline import OfflineModel
from bot.ports import ChatModel, ChatRequest, Chunk, Finished, Reasoning, TextDelta, ToolCall, Usage
from bot.tools import Output, Tool
from tests.clock import ManualClock
from tests.pipeline.house import agent, core

THOUGHT = Reasoning("model", '[{"type":"thinking","thinking":"hm","signature":"s"}]')


class Nothing(BaseModel):
    """A tool without arguments."""


class Counted:
    """A tool that counts its runs; `hangs` once it has done its work."""

    description = "Cancels an order."
    arguments = Nothing

    def __init__(self, name: str, *, is_read: bool, hangs: bool = False) -> None:
        self.name, self.title, self.is_read, self.hangs = name, "", is_read, hangs
        self.runs = 0
        self.has_run = asyncio.Event()

    async def run(self, arguments: Nothing, first_number: int) -> Output:
        self.runs += 1
        self.has_run.set()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        return Output(f"{self.name} done")


class Model:
    """Asks for both tools, then answers; `hangs` before the answer."""

    name = "model"

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.requests: list[ChatRequest] = []
        self.is_at_answer = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        if not any(entry.results for entry in request.messages):
            yield TextDelta("One moment.")
            yield THOUGHT
            yield ToolCall("a", "read", "{}")
            yield ToolCall("b", "act", "{}")
            yield Usage(100, 20)
            yield Finished("tools")
            return
        self.is_at_answer.set()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        yield TextDelta("All done.")
        yield Usage(150, 5)
        yield Finished()


def made(model: Model, *tools: Tool) -> Agent:
    models: dict[str, ChatModel] = {"model": model, "offline": OfflineModel()}
    prices = schema.Prices(input=1.0, output=2.0)
    settings = {"model": schema.Model(provider="openai", model="m", tries=1, prices=prices)}
    return agent(models, ManualClock(), tools, settings=settings, rules=Rules("main"))


async def test_f04_a_turn_that_was_cut_off_after_its_tools_repeats_neither_model_call_nor_tool(tmp_path: Path) -> None:
    """The rerun reads the steps from disk: the model is asked for the answer alone, with its own words and thoughts before it."""
    read, act = Counted("read", is_read=True), Counted("act", is_read=False)
    first = Model(hangs=True)
    async with core(tmp_path / "data", answerer=made(first, read, act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(first.is_at_answer.wait(), 10)
    again = Model()
    async with core(tmp_path / "data", answerer=made(again, read, act)) as house:
        await house.rest()
        assert [message.text for message in house.channel.sent] == ["All done."]
        assert (read.runs, act.runs, len(again.requests)) == (1, 1, 1)
        asked, results = again.requests[0].messages[-2:]
        assert (asked.text, asked.reasoning, [call.id for call in asked.calls]) == (
            "One moment.",
            (THOUGHT,),
            ["a", "b"],
        )
        assert [result.text for result in results.results] == ["read done", "act done"]
        assert await house.all("SELECT count(*) FROM steps WHERE ended_ms IS NULL") == [(0,)]
        assert await house.all("SELECT name, state FROM tool_calls ORDER BY place") == [
            ("read", "succeeded"),
            ("act", "succeeded"),
        ]


async def test_f04_spend_of_both_runs_is_counted_once(tmp_path: Path) -> None:
    """The call before the cut was recorded with its step, the one after it with the answer."""
    first = Model(hangs=True)
    async with core(tmp_path / "data", answerer=made(first)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(first.is_at_answer.wait(), 10)
    async with core(tmp_path / "data", answerer=made(Model())) as house:
        await house.rest()
        spend = await house.all("SELECT model, calls, failed, input_tokens, output_tokens, cost_micros FROM spend")
        assert spend == [("model", 2, 0, 250, 25, 300)]
        (row,) = await house.all("SELECT trace FROM turns")
        kept = json.loads(str(row[0]))
        assert [(each["model"], each["outcome"]) for each in kept["attempts"]] == [
            ("model", "tools"),
            ("model", "answered"),
        ]


async def test_f04_a_call_with_an_effect_whose_outcome_nobody_knows_is_not_made_again(tmp_path: Path) -> None:
    """It is marked unknown and the model is told so; one that only reads is simply made again."""
    read, act = Counted("read", is_read=True), Counted("act", is_read=False, hangs=True)
    async with core(tmp_path / "data", answerer=made(Model(), read, act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(act.has_run.wait(), 10)
    again, act.hangs = Model(), False
    async with core(tmp_path / "data", answerer=made(again, read, act)) as house:
        await house.rest()
        assert (read.runs, act.runs) == (1, 1)
        assert [result.text for result in again.requests[0].messages[-1].results] == ["read done", UNCERTAIN]
        assert await house.all("SELECT name, state FROM tool_calls ORDER BY place") == [
            ("read", "succeeded"),
            ("act", "unknown"),
        ]


async def test_a_read_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """It leaves no effect."""
    read, act = Counted("read", is_read=True, hangs=True), Counted("act", is_read=True)
    async with core(tmp_path / "data", answerer=made(Model(), read, act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(read.has_run.wait(), 10)
    read.hangs = False
    async with core(tmp_path / "data", answerer=made(Model(), read, act)) as house:
        await house.rest()
        assert (read.runs, act.runs) == (2, 1)
        assert [message.text for message in house.channel.sent] == ["All done."]


async def test_steps_are_on_disk_before_a_tool_runs(tmp_path: Path) -> None:
    """With each call as intended, and the model's message as it was."""
    act = Counted("read", is_read=True, hangs=True)
    async with core(tmp_path / "data", answerer=made(Model(), act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(act.has_run.wait(), 10)
        assert await house.all("SELECT step, model, text FROM steps") == [(1, "model", "One moment.")]
        assert await house.all("SELECT name, state FROM tool_calls ORDER BY place") == [
            ("read", "intended"),
            ("act", "intended"),
        ]


@pytest.mark.parametrize("fault", [Fault.KEY, Fault.BALANCE])
async def test_f45_operators_are_told_of_a_key_that_is_refused(tmp_path: Path, fault: Fault) -> None:
    """One incident for the model, counted; every user still gets an answer."""

    class Refused(Model):
        async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
            self.requests.append(request)
            if self.requests:
                raise ModelError("invalid x-api-key", fault)
            yield Finished()

    async with core(tmp_path / "data", answerer=made(Refused())) as house:
        for n in range(3):
            await house.say("hello", str(n), chat=f"chat {n}")
        await house.rest()
        assert len(house.channel.sent) == 3
        ((kind, subject, detail),) = await house.all("SELECT kind, subject, detail FROM incidents")
        assert (kind, subject) == ("model", "model")
        assert fault.value in str(detail)
        assert await house.all("SELECT outcome FROM turns") == [("quoted",)] * 3


async def test_the_offline_answerer_leaves_no_steps(tmp_path: Path) -> None:
    """It costs nothing and only reads, so a rerun simply repeats it."""
    async with core(tmp_path / "data") as house:
        await house.say("hello", "1")
        await house.rest()
        assert await house.all("SELECT * FROM steps") == []
        assert await house.all("SELECT * FROM spend") == []


async def test_a_turn_that_is_not_committed_has_cost_something_all_the_same(tmp_path: Path) -> None:
    """Somebody handled the message meanwhile: the answer is dropped, and what it cost is on record."""

    class Slow(Model):
        async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
            self.is_at_answer.set()
            await gate.wait()
            yield TextDelta("Too late.")
            yield Usage(100, 10)
            yield Finished()

    gate, slow = asyncio.Event(), Slow()
    async with core(tmp_path / "data", answerer=made(slow)) as house:
        await house.say("hello", "1")
        await asyncio.wait_for(slow.is_at_answer.wait(), 10)
        await house.store.run(lambda cursor: cursor.execute("UPDATE messages SET handled_ms = 1"))
        gate.set()
        await house.rest()
        assert house.channel.sent == []
        assert await house.all("SELECT model, calls, input_tokens, output_tokens FROM spend") == [("model", 1, 100, 10)]


class Twice(Model):
    """Asks for the same thing with an effect in two steps, whatever came of the first."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        if sum(bool(entry.results) for entry in request.messages) < 2:
            yield ToolCall("a", "act", "{}")
            yield Finished("tools")
            return
        yield TextDelta("I have cancelled your order.")
        yield Finished()


async def test_a_call_with_an_effect_is_made_once_in_a_turn(tmp_path: Path) -> None:
    """The second, equal one is refused; and what was done may be told."""
    act, model = Counted("act", is_read=False), Twice()
    async with core(tmp_path / "data", answerer=made(model, act)) as house:
        await house.say("do it", "1")
        await house.rest()
        assert act.runs == 1
        assert await house.all("SELECT state FROM tool_calls ORDER BY step") == [("succeeded",), ("refused",)]
        assert [message.text for message in house.channel.sent] == ["I have cancelled your order."]


async def test_a_call_that_is_uncertain_is_not_made_again_by_the_model_either(tmp_path: Path) -> None:
    """Cut off in the middle, and asked for again in the next step of the rerun."""
    act, model = Counted("act", is_read=False, hangs=True), Twice()
    async with core(tmp_path / "data", answerer=made(model, act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(act.has_run.wait(), 10)
    act.hangs = False
    async with core(tmp_path / "data", answerer=made(Twice(), act)) as house:
        await house.rest()
        assert act.runs == 1
        assert await house.all("SELECT state FROM tool_calls ORDER BY step") == [("unknown",), ("refused",)]


async def test_a_person_who_takes_over_finds_an_uncertain_call_named(tmp_path: Path) -> None:
    """Between two runs: the turn is only recorded, the call is marked unknown, and operators are told."""
    act = Counted("act", is_read=False, hangs=True)
    async with core(tmp_path / "data", answerer=made(Twice(), act)) as house:
        await house.say("do it", "1")
        await asyncio.wait_for(act.has_run.wait(), 10)
        await house.store.run(lambda cursor: cursor.execute("UPDATE conversations SET owner = 'op', version = 2"))
    async with core(tmp_path / "data", answerer=made(Twice(), act)) as house:
        await house.rest()
        assert act.runs == 1
        assert await house.all("SELECT state FROM tool_calls") == [("unknown",)]
        assert await house.all("SELECT kind FROM incidents") == [("tool call",)]


async def test_f45_a_refused_key_is_an_incident_also_when_the_next_model_goes_on_with_tools(tmp_path: Path) -> None:
    """The failure is put on record with the step that followed it."""

    class Refused(Model):
        name = "first"

        async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
            self.requests.append(request)
            if self.requests:
                raise ModelError("invalid x-api-key", Fault.KEY)
            yield Finished()

    models: dict[str, ChatModel] = {"first": Refused(), "model": Model(), "offline": OfflineModel()}
    settings = {name: schema.Model(provider="openai", model="m", tries=1) for name in ("first", "model")}
    read, act = Counted("read", is_read=True), Counted("act", is_read=True)
    answerer = agent(models, ManualClock(), [read, act], settings=settings)
    async with core(tmp_path / "data", answerer=answerer) as house:
        await house.say("do it", "1")
        await house.rest()
        assert await house.all("SELECT kind, subject FROM incidents") == [("model", "first")]
