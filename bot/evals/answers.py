"""What the evaluation asks: anything that answers a conversation, above all an agent as the daemon runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bot.agent.context import Past
from bot.agent.loop import Agent, Asked
from bot.model import PERSON_BUTTON, Message
from bot.ports import Progress

if TYPE_CHECKING:
    from bot.evals.earlier import EarlierCases


@dataclass(frozen=True, slots=True)
class Reply:
    """What of an answer is judged. `documents` are those it cites; `recalled` is what of memory stood before the model. `cost_micros` in millionths of the currency."""

    text: str
    documents: tuple[str, ...] = ()
    recalled: str = ""
    is_answered: bool = True
    is_offering_person: bool = False
    model: str = ""
    tokens: int = 0
    cost_micros: int = 0


class Answerer(Protocol):
    """Answers the last message of a conversation."""

    async def answer(self, conversation: str, messages: Sequence[Message]) -> Reply:
        """`messages`: oldest first, the last by the user. Raises ModelError."""
        ...


class AgentAnswerer:
    """An agent of ours, with its own context, tools, models and limits, and with `memory` where it remembers."""

    def __init__(self, agent: Agent, memory: "EarlierCases | None" = None) -> None:
        self._agent = agent
        self._memory = memory

    async def answer(self, conversation: str, messages: Sequence[Message]) -> Reply:
        *earlier, last = messages
        asked = Asked(conversation, Past(earlier), lambda: (last,), Unseen(), payer=conversation)
        if self._memory is not None:
            await self._memory.hear(conversation, last)
            asked.recall = partial(self._memory.recall, conversation, last.text)
            asked.caller = partial(self._memory.caller, conversation, last)
        answer = await self._agent.answer(asked)
        cited = dict.fromkeys(answer.found[citation.number - 1].passage.document for citation in answer.citations)
        usages = [attempt.usage for attempt in asked.attempts]
        return Reply(
            answer.text,
            tuple(cited),
            answer.recalled.text,
            answer.is_answered,
            answer.is_person_wished or PERSON_BUTTON in answer.buttons,
            answer.model,
            sum(u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens for u in usages),
            sum(attempt.cost_micros for attempt in asked.attempts),
        )


class Unseen:
    """A page that nobody looks at."""

    async def show(self, text: str) -> None:
        return

    async def void(self) -> None:
        return

    async def step(self, progress: Progress) -> None:
        return
