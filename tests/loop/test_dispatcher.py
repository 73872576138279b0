"""Row 38: no call of a model is run unless it is whole, known and valid."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from bot.ports import ToolCall
from bot.tools import Output
from bot.tools.dispatcher import UNCERTAIN, Dispatcher
from bot.tools.person import RequestHuman
from tests.clock import ManualClock, settle


class Arguments(BaseModel):
    """What a refund would need."""

    model_config = ConfigDict(extra="forbid", strict=True)

    order: str = Field(min_length=1, max_length=20)
    cents: int = Field(gt=0, le=100_000)


class Refund:
    """Remembers what it was asked to do."""

    name = "refund"
    description = "Refunds."
    arguments = Arguments
    is_read = False
    title = ""

    def __init__(self) -> None:
        self.done: list[Arguments] = []
        self.wait: asyncio.Event | None = None

    async def run(self, arguments: Arguments, first_number: int) -> Output:
        if self.wait is not None:
            await self.wait.wait()
        self.done.append(arguments)
        return Output("done")


def dispatcher() -> tuple[Dispatcher, Refund]:
    tool = Refund()
    return Dispatcher([tool, RequestHuman()], ManualClock()), tool


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{",
        "null",
        "[]",
        '"refund"',
        '{"order": "4711"}',
        '{"order": "4711", "cents": "1e9"}',
        '{"order": "4711", "cents": 1e9}',
        '{"order": "4711", "cents": -1}',
        '{"order": "4711", "cents": NaN}',
        '{"order": "4711", "cents": Infinity}',
        '{"order": "4711", "cents": true}',
        '{"order": 4711, "cents": 100}',
        '{"order": "4711", "cents": 100, "cents": 99999}',
        '{"order": "4711", "cents": 100, "to": "me"}',
        '{"order": "", "cents": 100}',
        '{"order": "4711", "cents": 100} {"order": "4712", "cents": 100}',
        "[" * 100_000,
        '{"order": "' + "x" * 100_000 + '", "cents": 100}',
    ],
)
async def test_f38_arguments_that_cannot_be_used_run_nothing(arguments: str) -> None:
    """The model is told, in a way that says what is wrong, and nothing happened."""
    tools, refund = dispatcher()
    result = await tools.run(ToolCall("1", "refund", arguments), 1, 10.0)
    assert (result.call, result.is_error, result.is_unusable, refund.done) == ("1", True, True, [])
    assert len(result.text) < 1000


async def test_f38_a_tool_that_does_not_exist_is_named_and_not_run() -> None:
    """And the model is told which there are."""
    tools, _ = dispatcher()
    result = await tools.run(ToolCall("1", "delete_everything", "{}"), 1, 10.0)
    assert result.is_unusable
    assert "refund, request_human" in result.text


async def test_valid_arguments_run_once() -> None:
    """As they were written."""
    tools, refund = dispatcher()
    result = await tools.run(ToolCall("1", "refund", ' {"order": "4711", "cents": 100} '), 1, 10.0)
    assert (result.text, result.is_error, refund.done) == ("done", False, [Arguments(order="4711", cents=100)])


async def test_a_tool_that_hangs_is_stopped_in_time() -> None:
    """Whether it was carried out nobody knows, and the model is told so."""
    clock, refund = ManualClock(), Refund()
    refund.wait = asyncio.Event()
    running = asyncio.ensure_future(
        Dispatcher([refund], clock).run(ToolCall("1", "refund", '{"order": "4711", "cents": 100}'), 1, 10.0)
    )
    await settle()
    await clock.advance(10.0)
    result = await running
    assert (result.text, result.is_error, result.is_uncertain, refund.done) == (UNCERTAIN, True, True, [])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["order", "cents", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(value=_json)
async def test_f38_only_valid_values_ever_reach_a_tool(value: Any) -> None:
    """For any JSON: either the tool ran with arguments inside its bounds, or the call was unusable."""
    tools, refund = dispatcher()
    result = await tools.run(ToolCall("1", "refund", json.dumps(value)), 1, 10.0)
    assert len(refund.done) == (0 if result.is_unusable else 1)
    assert all(0 < done.cents <= 100_000 and 0 < len(done.order) <= 20 for done in refund.done)


async def test_a_wish_for_a_person_is_put_on_record() -> None:
    """The tool itself changes nothing: the turn writes it down."""
    tools, _ = dispatcher()
    result = await tools.run(ToolCall("1", "request_human", '{"reason": "angry"}'), 1, 10.0)
    assert result.is_person_wished
    assert not result.is_error


def test_models_are_shown_a_plain_schema() -> None:
    """Names, types and bounds, without what pydantic adds for itself."""
    tools, _ = dispatcher()
    assert tools.specs[0].parameters == {
        "type": "object",
        "properties": {
            "order": {"type": "string", "minLength": 1, "maxLength": 20},
            "cents": {"type": "integer", "exclusiveMinimum": 0, "maximum": 100_000},
        },
        "required": ["order", "cents"],
        "additionalProperties": False,
    }
