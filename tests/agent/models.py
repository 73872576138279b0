"""Models at the port that do as they are told, and a router over them. Time is the clock's alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bot.agent.router import Attempt, Began, Chain, Router
from bot.agent.spending import Spending
from bot.config import schema
from bot.errors import ModelError
from bot.model import Author
from bot.ports import ChatMessage, ChatModel, ChatRequest, Chunk, Clock, Finished, TextDelta, ToolCall, Usage
from bot.telemetry.metrics import Metrics
from tests.clock import ManualClock

Step = Chunk | float | ModelError | Callable[[], object]  # a number: seconds until the next


def says(text: str, tokens: int = 10) -> list[Step]:
    return [TextDelta(text), Usage(tokens, tokens), Finished()]


def asks(request: str = "Where?", conversation: str = "c", instructions: str = "Help.") -> ChatRequest:
    return ChatRequest(instructions, (ChatMessage(Author.USER, request),), conversation=conversation)


class Scripted:
    """Plays one script a call, the last one for ever. Keeps what it was asked, and how often it was abandoned."""

    def __init__(self, name: str, clock: Clock, *scripts: Sequence[Step]) -> None:
        self.name = name
        self.requests: list[ChatRequest] = []
        self.times: list[float] = []
        self.running = 0
        self.most_running = 0
        self.abandoned = 0
        self._clock = clock
        self._scripts = scripts

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
        self.requests.append(request)
        self.times.append(self._clock.monotonic())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for step in script:
                if isinstance(step, float):
                    await self._clock.sleep(step)
                elif isinstance(step, ModelError):
                    raise step
                elif callable(step):
                    step()
                else:
                    yield step
        except (GeneratorExit, asyncio.CancelledError):
            self.abandoned += 1
            raise
        finally:
            self.running -= 1


def settings(provider: str = "anthropic", **given: Any) -> schema.Model:
    return schema.Model.model_validate({"provider": provider, "model": "m", **given})


def offline(clock: Clock) -> Scripted:
    return Scripted("offline", clock, [TextDelta("I found "), TextDelta("this."), Finished()])


@dataclass(slots=True)
class House:
    clock: ManualClock
    metrics: Metrics
    spending: Spending
    router: Router


def house(
    models: Sequence[ChatModel],
    given: Mapping[str, schema.Model] | None = None,
    *,
    clock: ManualClock,
    random: Callable[[], float] = lambda: 1.0,
    per_person: float = 0,
    per_day: float = 0,
    **circuit: Any,
) -> House:
    given = {model.name: settings() for model in models if model.name != "offline"} | dict(given or {})
    metrics = Metrics()
    prices = {name: each.prices for name, each in given.items()}
    spending = Spending(clock, prices, per_person=per_person, per_day=per_day)
    named = {model.name: model for model in models}
    router = Router(named, given, clock, metrics, spending=spending, random=random, **circuit)
    return House(clock, metrics, spending, router)


@dataclass(slots=True)
class Heard:
    """What a caller of a chain saw. `text`: what stands on the page."""

    attempts: list[Attempt] = field(default_factory=list)
    chunks: list[Began | Chunk] = field(default_factory=list)
    text: str = ""
    voided: list[str] = field(default_factory=list)
    error: ModelError | None = None

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(each.model, each.outcome) for each in self.attempts]

    @property
    def begun(self) -> list[Began]:
        return [each for each in self.chunks if isinstance(each, Began)]

    @property
    def calls(self) -> list[ToolCall]:
        return [each for each in self.chunks if isinstance(each, ToolCall)]

    @property
    def end(self) -> Finished | None:
        return next((each for each in self.chunks if isinstance(each, Finished)), None)


async def listen(
    chain: Chain,
    request: ChatRequest | Callable[[int], ChatRequest],
    *,
    deadline: float,
    payer: str = "",
    heard: Heard | None = None,
) -> Heard:
    heard = heard or Heard()
    make = request if callable(request) else lambda chars: request
    try:
        async with aclosing(chain.stream(make, heard.attempts, deadline=deadline, payer=payer)) as chunks:
            async for chunk in chunks:
                heard.chunks.append(chunk)
                if isinstance(chunk, Began):
                    heard.voided.append(heard.text)
                    heard.text = ""
                elif isinstance(chunk, TextDelta):
                    heard.text += chunk.text
    except ModelError as error:
        heard.error = error
    return heard


async def run(
    house: House, names: Sequence[str], request: ChatRequest | Callable[[int], ChatRequest], **more: Any
) -> Heard:
    """One call through a chain, with as much time as it wants up to a minute."""
    deadline = house.clock.monotonic() + more.pop("within", 60.0)
    task = asyncio.create_task(listen(house.router.chain(names), request, deadline=deadline, **more))
    await house.clock.advance(0)
    while not task.done():
        await house.clock.advance(0.5)
    return task.result()
