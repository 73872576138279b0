"""What an agent can do besides talking."""

from typing import Protocol

from bot.ports import ToolCall, ToolResult, ToolSpec


class Tool(Protocol):
    """A local read: it leaves no effect, so a rerun of the turn simply repeats it. `call` answers an unusable call with an error
    result for the model; it raises only for faults of ours."""

    spec: ToolSpec

    async def call(self, call: ToolCall, first_number: int) -> ToolResult: ...
