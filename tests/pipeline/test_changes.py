"""A message that is edited or deleted while its turn runs: what was read before counts no more."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pydantic import BaseModel

from bot.accepting import change_message, change_of
from bot.agent.loop import Agent
from bot.config import schema
from bot.conversations import Conflict, Conversations
from bot.llm.offline import OfflineModel
from bot.model import Address, Identity, MessageDeleted, MessageEdited
from bot.ports import ChatModel, ChatRequest, Chunk, Finished, TextDelta, ToolCall, Usage
from bot.recovery import stopped_cleanly
from bot.store.sqlite import SqliteStore
from bot.tools import Output, Tool
from tests.clock import ManualClock, settle
from tests.pipeline.house import Core, DraftingChannel, ScriptedModel, agent, core, echo

WHO, AT = Identity("list", "", "ada"), Address("list", "", "ada")


def edited(external_id: str, text: str, at_ms: int = 10) -> MessageEdited:
    return MessageEdited(WHO, AT, external_id, text, edited_at_ms=at_ms)


def deleted(external_id: str, at_ms: int = 10) -> MessageDeleted:
    return MessageDeleted(WHO, AT, external_id, deleted_at_ms=at_ms)


def told(request: ChatRequest) -> str:
    """Everything that a model was given to read."""
    calls = [call.arguments for entry in request.messages for call in entry.calls]
    results = [result.text for entry in request.messages for result in entry.results]
    return " ".join([entry.text for entry in request.messages] + calls + results)


async def texts(house: Core) -> list[str]:
    return [message.text for message in house.channel.sent]


class Topic(BaseModel):
    """What to look for."""

    topic: str


class Look:
    """A tool that waits for its gate, once it runs."""

    name, title, description, arguments, is_read = "look", "", "Looks.", Topic, True

    def __init__(self) -> None:
        self.runs = asyncio.Event()
        self.gate = asyncio.Event()

    async def run(self, arguments: Topic, first_number: int) -> Output:
        self.runs.set()
        await self.gate.wait()
        return Output(f"found {arguments.topic}")


class Quoting:
    """Looks for what the user wrote, then answers with it; `hangs` before the answer."""

    name = "model"

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.requests: list[ChatRequest] = []
        self.is_at_answer = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        asked = " | ".join(entry.text for entry in request.messages if entry.author.value == "user")
        yield Usage(100, 10)
        if not any(entry.results for entry in request.messages):
            yield ToolCall("a", "look", json.dumps({"topic": asked}))
            yield Finished("tools")
            return
        self.is_at_answer.set()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        yield TextDelta(f"About: {asked}")
        yield Finished()


def made(model: Quoting, *tools: Tool) -> Agent:
    models: dict[str, ChatModel] = {"model": model, "offline": OfflineModel()}
    return agent(models, ManualClock(), tools, settings={"model": schema.Model(provider="openai", model="m", tries=1)})


class Gated:
    """A script that hangs for requests which say "old", after `before` was shown."""

    def __init__(self, before: str = "") -> None:
        self.before = before
        self.gate = asyncio.Event()
        self.hangs = asyncio.Event()

    async def __call__(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        if "old" in told(request) and not self.gate.is_set():
            if self.before:
                yield TextDelta(self.before)
            self.hangs.set()
            await self.gate.wait()
        async for chunk in echo(request):
            yield chunk


async def test_f23_a_message_deleted_while_a_tool_runs_is_neither_sent_to_a_model_again_nor_answered(
    tmp_path: Path,
) -> None:
    """The tool ends and its outcome is kept for the trace; what the model call cost is on record."""
    look, model = Look(), Quoting()
    async with core(tmp_path / "data", answerer=made(model, look)) as house:
        await house.say("secret", "1")
        await asyncio.wait_for(look.runs.wait(), 10)
        await house.intake.receive(deleted("1"))
        await settle()
        assert house.scheduler.running() == 1  # a tool that runs is let finish
        look.gate.set()
        await house.rest()
        assert (len(model.requests), await texts(house)) == (1, [])
        assert await house.all("SELECT outcome FROM turns") == [("recorded",)]
        assert await house.all("SELECT state FROM tool_calls") == [("succeeded",)]
        assert await house.all("SELECT count(*) FROM steps WHERE ended_ms IS NULL") == [(0,)]
        assert await house.all("SELECT calls, input_tokens FROM spend") == [(1, 100)]


async def test_f23_the_rest_of_a_burst_is_answered_without_the_message_that_was_deleted(tmp_path: Path) -> None:
    """The steps that were made with it are kept beside those of the run that counts."""
    look, model = Look(), Quoting()
    async with core(tmp_path / "data", answerer=made(model, look), quiet_s=1.0) as house:
        await house.say("secret", "1")
        await house.say("hello", "2")
        await house.rest(1.0)
        await asyncio.wait_for(look.runs.wait(), 10)
        await house.intake.receive(deleted("1"))
        look.gate.set()
        await house.rest()
        assert await texts(house) == ["About: hello"]
        assert not any("secret" in told(request) for request in model.requests[1:])
        assert await house.all("SELECT step, arguments, state FROM tool_calls ORDER BY step") == [
            (1, '{"topic": "secret | hello"}', "succeeded"),
            (2, '{"topic": "hello"}', "succeeded"),
        ]


@pytest.mark.parametrize("before", ["", "You said: o"])
async def test_an_edit_ends_an_answer_to_the_old_text_at_once(tmp_path: Path, before: str) -> None:
    """Whether the model is silent or writes: the call is abandoned, the draft withdrawn, and the new text answered."""
    script, channel = Gated(before), DraftingChannel()
    async with core(tmp_path / "data", model=ScriptedModel(script), channel=channel) as house:
        who, at = Identity("page", "", "ada"), Address("page", "", "ada")
        await house.say("old", "1")
        await asyncio.wait_for(script.hangs.wait(), 10)
        await house.intake.receive(MessageEdited(who, at, "1", "new", edited_at_ms=10))
        await house.rest()
        assert await texts(house) == ["You said: new"]
        shown = [text for _, text in channel.drafts]
        assert shown == ([before, "<withdrawn>"] if before else []) + ["You said: new"]
        assert [told(request) for request in house.model.requests] == ["old", "new"]
        assert await house.all("SELECT outcome, count(*) FROM turns") == [("answered", 1)]


async def test_f23_steps_made_before_a_deletion_are_not_taken_up_by_a_rerun(tmp_path: Path) -> None:
    """Deleted between two runs: the turn begins anew. Its own steps are taken up when it is cut off in turn."""
    look = Look()
    look.gate.set()
    first, second, third = Quoting(hangs=True), Quoting(hangs=True), Quoting()
    async with core(tmp_path / "data", answerer=made(first, look), quiet_s=1.0) as house:
        await house.say("secret", "1")
        await house.say("hello", "2")
        await house.rest(1.0)
        await asyncio.wait_for(first.is_at_answer.wait(), 10)
        await stopped_cleanly(house.store)
    store = await SqliteStore.open(tmp_path / "data")
    await store.run(change_message, change_of(deleted("1"), 20))
    await store.close()
    async with core(tmp_path / "data", answerer=made(second, look)):
        await asyncio.wait_for(second.is_at_answer.wait(), 10)
    async with core(tmp_path / "data", answerer=made(third, look)) as house:
        await house.rest()
        assert await texts(house) == ["About: hello"]
        assert (len(second.requests), len(third.requests)) == (2, 1)
        assert not any("secret" in told(request) for request in second.requests + third.requests)
        assert "found hello" in told(third.requests[0])
        assert await house.all("SELECT step, ended_ms IS NULL FROM steps ORDER BY step") == [(1, 0), (2, 0)]


async def test_an_edit_of_an_earlier_message_ends_the_answer_that_was_written_with_its_old_text(tmp_path: Path) -> None:
    """The model has it before it as history, so the turn runs again too."""
    async with core(tmp_path / "data") as house:
        await house.say("an old thing", "1")
        await house.rest()
        script = house.model.script = Gated("One mo")
        await house.say("and now?", "2")
        await asyncio.wait_for(script.hangs.wait(), 10)
        await house.intake.receive(edited("1", "a new thing"))
        script.gate.set()
        await house.rest()
        assert (await texts(house))[1:] == ["You said: and now?"]
        assert told(house.model.requests[-1]) == "a new thing You said: an old thing and now?"


async def test_f23_what_was_changed_after_its_answer_is_history_as_it_is_now(tmp_path: Path) -> None:
    """Later turns read the new text of the edited message, and nothing of the deleted one."""
    async with core(tmp_path / "data") as house:
        house.model.script = fine
        for number, text in enumerate(["old", "secret", "kept"]):
            await house.say(text, str(number))
            await house.rest()
        await house.intake.receive(edited("0", "new"))
        await house.intake.receive(deleted("1"))
        await house.rest()
        assert len(house.model.requests) == 3  # a change of what was answered is no question
        await house.say("and now?", "3")
        await house.rest()
        assert told(house.model.requests[-1]) == "new fine fine kept fine and now?"


async def test_f23_a_deletion_whose_sender_hung_up_counts(tmp_path: Path) -> None:
    """It had been handed over, so it is committed though nobody waits for the answer."""
    async with core(tmp_path / "data") as house:
        house.model.script = fine
        await house.say("secret", "1")
        await house.rest()
        deleting = asyncio.create_task(house.intake.receive(deleted("1")))
        await asyncio.sleep(0)
        deleting.cancel()
        await asyncio.gather(deleting, return_exceptions=True)
        await house.rest()
        await house.say("and now?", "2")
        await house.rest()
        assert told(house.model.requests[-1]) == "fine and now?"


async def fine(request: ChatRequest) -> AsyncIterator[Chunk]:
    yield TextDelta("fine")
    yield Finished()


async def test_a_message_that_comes_after_a_change_is_answered_with_it(tmp_path: Path) -> None:
    """One answer for both."""
    script = Gated("You")
    async with core(tmp_path / "data", model=ScriptedModel(script)) as house:
        await house.say("old", "1")
        await asyncio.wait_for(script.hangs.wait(), 10)
        changing = asyncio.create_task(house.intake.receive(edited("1", "new")))
        await house.say("more", "2")
        await changing
        await house.rest()
        assert await texts(house) == ["You said: new | more"]


@pytest.mark.parametrize("count", [1, 2])
async def test_an_answer_to_text_that_has_changed_is_not_committed(tmp_path: Path, count: int) -> None:
    """Also when nobody could tell the turn: the rows are compared in the unit of work that ends it."""
    script = Gated()
    async with core(tmp_path / "data", model=ScriptedModel(script), quiet_s=1.0) as house:
        for number in range(count):
            await house.say(f"old {number}", str(number))
            await house.intake.receive(edited(str(number), f"old edited {number}", at_ms=100 - number))
        await house.rest(1.0)
        await asyncio.wait_for(script.hangs.wait(), 10)
        last = str(count - 1)
        await house.store.run(change_message, change_of(edited(last, "new", at_ms=102 - count), 20))
        script.gate.set()
        await house.rest()
        answers = await texts(house)
        assert len(answers) == 1
        assert answers[0].endswith("new")
        assert await house.all("SELECT count(*) FROM turns") == [(1,)]


async def test_a_change_that_is_told_while_the_answer_is_committed_breaks_nothing(tmp_path: Path) -> None:
    """The disk takes the change first, then refuses the answer; the turn runs again."""
    script, is_free = Gated(), threading.Event()
    async with core(tmp_path / "data", model=ScriptedModel(script)) as house:
        await house.say("old", "1")
        await asyncio.wait_for(script.hangs.wait(), 10)
        busy = asyncio.create_task(house.store.run(lambda cursor: is_free.wait(10)))
        changing = asyncio.create_task(house.intake.receive(edited("1", "new")))
        await settle()
        script.gate.set()
        await settle()
        is_free.set()
        await asyncio.gather(busy, changing)
        await house.rest()
        assert await texts(house) == ["You said: new"]


async def test_a_change_that_changes_nothing_leaves_the_running_turn_alone(tmp_path: Path) -> None:
    """A redelivered or outdated edit, and one of a message that has not come."""
    script = Gated()
    async with core(tmp_path / "data", model=ScriptedModel(script), quiet_s=1.0) as house:
        await house.say("first", "1")
        await house.intake.receive(edited("1", "old", at_ms=20))
        await house.rest(1.0)
        await asyncio.wait_for(script.hangs.wait(), 10)
        for event in (edited("1", "old", at_ms=20), edited("1", "older", at_ms=10), edited("9", "unknown")):
            await house.intake.receive(event)
        script.gate.set()
        await house.rest()
        assert (len(house.model.requests), await texts(house)) == (1, ["You said: old"])


async def test_a_turn_of_another_conversation_goes_on(tmp_path: Path) -> None:
    """A change ends the turn of its own conversation alone."""
    script = Gated()
    async with core(tmp_path / "data", model=ScriptedModel(script)) as house:
        await house.say("hello", "1")
        await house.rest()
        await house.say("old", "1", chat="bob")
        await asyncio.wait_for(script.hangs.wait(), 10)
        await house.intake.receive(deleted("1"))
        script.gate.set()
        await house.rest()
        assert [told(request) for request in house.model.requests] == ["hello", "old"]


async def test_no_step_is_kept_that_was_made_with_what_is_being_changed(tmp_path: Path) -> None:
    """It waits until the change is decided, and is refused when it was made; so that no rerun finds it."""
    async with core(tmp_path / "data") as house:
        conversations = Conversations(house.store)
        with conversations.reading("c") as reading:
            async with conversations.changing("c"):
                kept = asyncio.create_task(keep(reading.steady()))
                await settle()
                assert not kept.done()
            assert await kept == "kept"
            async with conversations.changing("c"):
                kept = asyncio.create_task(keep(reading.steady()))
                await settle()
                conversations.changed("c")
            with pytest.raises(Conflict):
                await kept


async def keep(steady: AbstractAsyncContextManager[None]) -> str:
    async with steady:
        return "kept"
