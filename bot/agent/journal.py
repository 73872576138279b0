"""What a turn keeps of its steps while it runs, so that a rerun continues instead of paying and acting again.

Before the calls of a step leave, the model's message stands on disk with each call as `intended`; each outcome is committed after it.
Steps of the offline answerer, which cost nothing and only read, are not kept.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.agent.router import Attempt
from bot.model import ToolCallState, value
from bot.ports import Reasoning, ToolCall, ToolResult


@value
class Step:
    """One message of a model that asked for tools. `attempts`: the model calls that led to it and are not on record yet."""

    number: int
    model: str
    text: str
    reasoning: tuple[Reasoning, ...]
    calls: tuple[ToolCall, ...]
    attempts: tuple[Attempt, ...] = ()


@value
class Taken:
    """A step of an earlier run of this turn, with what is known of its calls."""

    step: Step
    results: Mapping[str, ToolResult]


class Journal(Protocol):
    """The steps of one turn. Everything is committed when a method returns."""

    async def recall(self) -> Sequence[Taken]:
        """What earlier runs of the turn did, in order."""
        ...

    async def intend(self, step: Step) -> None: ...

    async def settle(self, step: int, result: ToolResult, state: ToolCallState) -> None: ...
