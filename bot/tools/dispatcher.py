"""The one way from a model's call to a tool: known name, strict JSON, valid arguments, then the tool.

What a model writes is never trusted: a call that is wrong in any of these is not run, and the model is told why.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from bot.ports import Clock, ToolCall, ToolResult, ToolSpec
from bot.tools import Caller, Output, Personal, Tool
from bot.tools.action import Action, Source

if TYPE_CHECKING:
    from bot.tools.acting import Acting, Told  # loaded only where there are actions

ARGUMENT_CHARS = 65_536
RESULT_CHARS = 40_000
LATE = "The tool took too long and was stopped."
UNCERTAIN = "The tool took too long: nobody knows whether it was carried out. Do not call it again; say so plainly."


class Dispatcher:
    """The tools and actions of one agent. `run` never raises for anything that a model can write."""

    def __init__(
        self, tools: Sequence[Tool], clock: Clock, actions: Sequence[Action] = (), acting: "Acting | None" = None
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._actions = {action.name: action for action in actions} if acting is not None else {}
        self._acting = acting
        self._clock = clock
        self.specs = (
            *(ToolSpec(tool.name, tool.description, shown(tool.arguments)) for tool in tools),
            *(_spec(action) for action in self._actions.values()),
        )

    @property
    def has_actions(self) -> bool:
        return bool(self._actions)

    def title(self, name: str) -> str:
        """What the person is told while it runs; "" for nothing."""
        known = self._tools.get(name) or self._actions.get(name)
        return known.title if known is not None else ""

    def told(self, name: str) -> str:
        """The words in which an answer may tell of what it did."""
        known = self._tools.get(name) or self._actions.get(name)
        return f"{name} {known.title} {known.description}" if known is not None else name

    def is_read(self, name: str) -> bool:
        """Whether a call of it may be made again. A tool that does not exist runs nothing."""
        known = self._tools.get(name) or self._actions.get(name)
        return known is None or known.is_read

    def is_entered(self, name: str) -> bool:
        """Whether the ledger knows what became of a call, so that it is safe to ask for it again."""
        action = self._actions.get(name)
        return action is not None and not action.is_read

    def goes_beside(self, name: str) -> bool:
        """Whether it may run beside other calls of the same step."""
        action = self._actions.get(name)
        return action is not None and action.is_read

    async def opening(self, agent: str, caller: Caller, within_s: float) -> list[tuple[str, Output]]:
        """What the agent is to know of the person before it is asked."""
        return await self._acting.opening(agent, caller, within_s) if self._acting is not None else []

    async def decided(self, conversation: str, within_s: float) -> "list[Told]":
        """Carries out what people have agreed to; gives what the agent has not told of yet."""
        return await self._acting.decided(conversation, within_s) if self._acting is not None else []

    async def run(self, call: ToolCall, first_number: int, within_s: float, caller: Caller | None = None) -> ToolResult:
        action = self._actions.get(call.name)
        if action is not None and self._acting is not None and caller is not None:
            output = await self._acting.run(action, call.id, call.arguments, caller, within_s)
            return result_of(call.id, output)
        tool = self._tools.get(call.name)
        if tool is None:
            there_is = ", ".join([*self._tools, *self._actions]) or "none"
            return _unusable(call, f"There is no tool named {call.name[:100]}. There is: {there_is}.")
        return await self._run_tool(tool, call, first_number, within_s, caller)

    async def _run_tool(
        self, tool: Tool, call: ToolCall, first_number: int, within_s: float, caller: Caller | None
    ) -> ToolResult:
        try:
            arguments = parsed(tool.arguments, call.arguments)
        except ValueError as error:
            return _unusable(call, f"These arguments cannot be used: {error}")
        try:
            async with self._clock.timeout(within_s):
                if caller is not None and isinstance(tool, Personal):
                    output = await tool.run_for(arguments, caller)
                else:
                    output = await tool.run(arguments, first_number)
        except TimeoutError:
            return ToolResult(
                call.id, LATE if tool.is_read else UNCERTAIN, is_error=True, is_uncertain=not tool.is_read
            )
        return result_of(call.id, output, first_number)


def result_of(call: str, output: Output, first_number: int = 1) -> ToolResult:
    """An output as the result of that call."""
    return ToolResult(
        call,
        output.text[:RESULT_CHARS],
        is_error=output.is_error,
        found=output.found,
        first_number=first_number,
        is_unusable=output.is_unusable,
        is_person_wished=output.is_person_wished,
        is_uncertain=output.is_uncertain,
        is_waiting=output.is_waiting,
        card=output.card,
        buttons=output.buttons,
        deed=output.deed,
    )


def _spec(action: Action) -> ToolSpec:
    return ToolSpec(action.name, action.description, action.schema((Source.MODEL,)))


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
