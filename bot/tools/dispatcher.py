"""The one way from a model's call to a tool: known name, strict JSON, valid arguments, then the tool.

What a model writes is never trusted: a call that is wrong in any of these is not run, and the model is told why.
"""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from bot.ports import Clock, ToolCall, ToolResult, ToolSpec
from bot.tools import Tool

ARGUMENT_CHARS = 65_536
RESULT_CHARS = 40_000
LATE = "The tool took too long and was stopped."
UNCERTAIN = "The tool took too long: nobody knows whether it was carried out. Do not call it again; say so plainly."


class Dispatcher:
    """The tools of one agent. `run` never raises for anything that a model can write."""

    def __init__(self, tools: Sequence[Tool], clock: Clock) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._clock = clock
        self.specs = tuple(ToolSpec(tool.name, tool.description, shown(tool.arguments)) for tool in tools)

    def title(self, name: str) -> str:
        """What the person is told while it runs; "" for nothing."""
        tool = self._tools.get(name)
        return tool.title if tool is not None else ""

    def is_read(self, name: str) -> bool:
        """Whether a call of it may be made again. A tool that does not exist runs nothing."""
        tool = self._tools.get(name)
        return tool is None or tool.is_read

    async def run(self, call: ToolCall, first_number: int, within_s: float) -> ToolResult:
        tool = self._tools.get(call.name)
        if tool is None:
            there_is = ", ".join(self._tools) or "none"
            return _unusable(call, f"There is no tool named {call.name[:100]}. There is: {there_is}.")
        try:
            arguments = parsed(tool.arguments, call.arguments)
        except ValueError as error:
            return _unusable(call, f"These arguments cannot be used: {error}")
        try:
            async with self._clock.timeout(within_s):
                output = await tool.run(arguments, first_number)
        except TimeoutError:
            return ToolResult(
                call.id, LATE if tool.is_read else UNCERTAIN, is_error=True, is_uncertain=not tool.is_read
            )
        return ToolResult(
            call.id,
            output.text[:RESULT_CHARS],
            found=output.found,
            first_number=first_number,
            is_person_wished=output.is_person_wished,
        )


def shown(arguments: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments as models are shown it: without the titles that pydantic adds."""
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
    return schema


def parsed(model: type[BaseModel], text: str) -> BaseModel:
    """The arguments, or a ValueError that says what is wrong in a way that is safe to show a model."""
    if len(text) > ARGUMENT_CHARS:
        raise ValueError("they are too long")
    text = text.strip() or "{}"
    try:
        json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"they are not JSON ({error.msg} at {error.pos})") from error
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[:5]
        raise ValueError("; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in found)) from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands in them twice")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _unusable(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call.id, text, is_error=True, is_unusable=True)
