"""The loop: model, tools, model, until there is an answer. No unit of work is open meanwhile."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bot.agent import context
from bot.errors import ModelError
from bot.model import Author, Button, Citation, Found, Message
from bot.ports import ChatMessage, ChatModel, ChatRequest, Clock, Finished, TextDelta, ToolCall, ToolResult
from bot.text import clean
from bot.tools import Tool

STEPS_MOST = 8  # model calls in one turn
ANSWER_CHARS = 40_000  # longer answers are cut
PERSON_BUTTON = Button("person", "Talk to a person")
_CITED = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True, slots=True)
class Rules:
    """What an agent is, from the config."""

    name: str
    instructions: str = ""
    context_chars: int = 48_000


@dataclass(slots=True)
class Answer:
    """What came of the loop, with all that the trace keeps of it."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    buttons: tuple[Button, ...] = ()
    is_answered: bool = True
    is_person_wished: bool = False
    model: str = ""
    found: list[Found] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)  # JSON for the trace
    steps: int = 0
    first_token_s: float | None = None


Show = Callable[[str], Awaitable[None]]
Joined = Callable[[], Sequence[Message]]


class Agent:
    """Answers the unhandled messages of one conversation."""

    def __init__(self, rules: Rules, model: ChatModel, tools: Sequence[Tool], clock: Clock) -> None:
        self.rules = rules
        self.model = model
        self._tools = {tool.spec.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in tools)
        self._clock = clock

    async def answer(self, conversation: str, past: context.Past, joined: Joined, show: Show) -> Answer:
        """Runs the loop. `joined()` gives every message this turn covers, asked anew before each model call, so that what arrived
        meanwhile is read too; `show` takes the text as it comes. Raises ModelError."""
        answer = Answer(model=self.model.name)
        started = self._clock.monotonic()
        exchange: list[ChatMessage] = []
        while answer.steps < STEPS_MOST:
            answer.steps += 1
            asked = context.build(past, joined(), self.rules.context_chars)
            messages = (*asked, *exchange) if exchange else asked
            request = ChatRequest(self.rules.instructions, messages, self._specs, conversation)
            text, calls = await self._call_model(request, answer, show, started)
            if not calls:
                return finished(answer, text)
            exchange.append(ChatMessage(Author.AGENT, text, calls=calls))
            exchange.append(ChatMessage(Author.SYSTEM, results=await self._call_tools(calls, answer)))
        raise ModelError("the model asked for tools without end", is_retryable=False)

    async def _call_model(
        self, request: ChatRequest, answer: Answer, show: Show, started: float
    ) -> tuple[str, tuple[ToolCall, ...]]:
        pieces: list[str] = []
        calls: list[ToolCall] = []
        is_finished = False
        async with aclosing(self.model.stream(request)) as chunks:  # type: ignore[type-var]  # the port asks for less than an async generator
            async for chunk in chunks:
                match chunk:
                    case TextDelta(text):
                        if answer.first_token_s is None:
                            answer.first_token_s = self._clock.monotonic() - started
                        pieces.append(text)
                        await show(text)
                    case ToolCall():
                        calls.append(chunk)
                    case Finished():
                        is_finished = True
                        answer.is_answered = chunk.is_answered
                        answer.is_person_wished = chunk.is_person_wished
                        answer.buttons = (PERSON_BUTTON,) if chunk.is_offering_person else ()
        if not is_finished:
            raise ModelError("the model's answer broke off", is_retryable=True)
        return "".join(pieces), tuple(calls)

    async def _call_tools(self, calls: Sequence[ToolCall], answer: Answer) -> tuple[ToolResult, ...]:
        results = []
        for call in calls:
            tool = self._tools.get(call.name)
            if tool is None:
                result = ToolResult(call.id, f"There is no tool named {call.name}.", is_error=True)
            else:
                result = await tool.call(call, len(answer.found) + 1)
            answer.found.extend(result.found)
            answer.calls.append({"name": call.name, "arguments": call.arguments, "is_error": result.is_error})
            results.append(result)
        return tuple(results)


def finished(answer: Answer, text: str) -> Answer:
    """The answer with its text made safe and its citations looked up. Raises ModelError when there is no text."""
    answer.text = clean(text)[:ANSWER_CHARS].strip()
    if not answer.text:
        raise ModelError("the model gave an empty answer", is_retryable=True)
    if answer.found:
        answer.citations = citations(answer.text, answer.found)
    return answer


def citations(text: str, found: Sequence[Found]) -> tuple[Citation, ...]:
    """The passages that `[n]` in the text points at, each once, in the order of their numbers."""
    numbers = sorted({int(match) for match in _CITED.findall(text)})
    return tuple(
        Citation(n, found[n - 1].passage.id, found[n - 1].passage.title, found[n - 1].passage.url)
        for n in numbers
        if 1 <= n <= len(found)
    )
