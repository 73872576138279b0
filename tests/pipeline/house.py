"""The core on a real SQLite file, with fakes only at the ports: a channel, a model, the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot.agent.loop import Agent
from bot.agent.loop import Rules as AgentRules
from bot.agent.router import Router
from bot.agent.spending import Spending
from bot.channels import Channel
from bot.config import schema
from bot.conversations import Conversations
from bot.delivery import Delivery
from bot.intake import Intake
from bot.intake import Rules as IntakeRules
from bot.model import Accepted, Address, Identity, Message, MessageId, MessageReceived
from bot.ports import ChatModel, ChatRequest, Chunk, Clock, Finished, Limits, Receipt, Route, TextDelta
from bot.recovery import recover
from bot.scheduler import TurnScheduler
from bot.store.folder import prepare
from bot.store.sqlite import SqliteStore
from bot.telemetry.metrics import Metrics
from bot.tools import Tool
from bot.turn import Rules as TurnRules
from bot.turn import Turns
from tests.clock import ManualClock, settle

Script = Callable[[ChatRequest], AsyncIterator[Chunk]]


class ScriptedModel:
    """Answers as the test says; keeps every request."""

    name = "scripted"

    def __init__(self, script: Script | None = None) -> None:
        self.requests: list[ChatRequest] = []
        self.was_asked = asyncio.Event()
        self.script = script or echo

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        self.was_asked.set()
        async for chunk in self.script(request):
            yield chunk


async def echo(request: ChatRequest) -> AsyncIterator[Chunk]:
    """Repeats everything that the user wrote in this turn."""
    texts = []
    for entry in reversed(request.messages):
        if entry.author.value != "user":
            break
        texts.append(entry.text)
    yield TextDelta("You said: " + " | ".join(reversed(texts)))
    yield Finished()


class ListChannel:
    """A channel that keeps what it was given. `on_send` may raise, or wait."""

    def __init__(self, name: str = "list", *, is_deduped: bool = False, text_chars: int = 10_000) -> None:
        self.name, self.account = name, ""
        self.limits = Limits(text_chars=text_chars, is_deduped=is_deduped, max_age_s=3600.0)
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], Awaitable[None]] | None = None

    def routes(self) -> Sequence[Route]:
        return ()

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def send(self, to: Address, message: Message) -> Receipt:
        if self.on_send is not None:
            await self.on_send(message)
        self.sent.append(message)
        return Receipt(f"out-{len(self.sent)}")


class DraftingChannel(ListChannel):
    """A channel that shows drafts, like the web page."""

    def __init__(self) -> None:
        super().__init__("page", is_deduped=True)
        self.drafts: list[tuple[str, str]] = []

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        self.drafts.append((message, text))

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        self.drafts.append((message, "<withdrawn>"))


def agent(
    models: Mapping[str, ChatModel],
    clock: Clock,
    tools: Sequence[Tool] = (),
    *,
    rules: AgentRules | None = None,
    settings: Mapping[str, schema.Model] | None = None,
    budget: float = 0.0,
) -> Agent:
    """An agent whose chain is `models` in their order; the one named "offline" is local and the last resort."""
    given = {name: schema.Model(provider="offline" if name == "offline" else "openai", model="m") for name in models}
    given |= settings or {}
    spending = Spending(clock, {name: each.prices for name, each in given.items()}, per_person=budget, per_day=0.0)
    router = Router(models, given, clock, Metrics(), spending=spending)
    return Agent(rules or AgentRules("main"), router.chain(list(models)), router.chain(["offline"]), tools, clock)


class Core:
    """Everything between a channel and the database."""

    def __init__(
        self,
        store: SqliteStore,
        clock: ManualClock,
        model: ScriptedModel,
        channel: ListChannel,
        quiet_s: float,
        other: ListChannel | None = None,
        sends_at_once: int = 200,
        answerer: Agent | None = None,
    ) -> None:
        self.store, self.clock, self.model, self.channel = store, clock, model, channel
        self.metrics = Metrics()
        self.conversations = Conversations(store)
        channels = {each.name: Channel.of(each) for each in (channel, other) if each is not None}
        self.delivery = Delivery(store, clock, channels, self.metrics, at_once=sends_at_once)
        agents = {"main": answerer or agent({"offline": model}, clock)}
        self.turns = Turns(store, clock, self.conversations, agents, channels, self.delivery, TurnRules(), self.metrics)
        self.scheduler = TurnScheduler(self.turns.run, clock, alone=self.turns.run_alone)
        rules = IntakeRules(16_000, 86_400_000, lambda channel: "main", lambda channel: quiet_s)
        self.intake = Intake(
            store, clock, self.conversations, self.scheduler, rules, self.metrics, channels, self.delivery
        )

    async def say(
        self, text: str, external_id: str, chat: str = "ada", sent_at_ms: int = 0, channel: str = ""
    ) -> Accepted:
        who = Identity(channel or self.channel.name, "", chat)
        at = Address(channel or self.channel.name, "", chat)
        return await self.intake.receive(MessageReceived(who, at, external_id, text, sent_at_ms=sent_at_ms))

    async def rest(self, seconds: float = 0.0) -> None:
        """Moves time and lets real disk work finish until nothing is running."""
        await self.clock.advance(seconds)
        for _ in range(400):
            await asyncio.sleep(0.001)  # the store's thread works in real time, and has no clock to move
            await settle(3)
            if not self.scheduler.running() and not self.delivery.running() and not self.store.waiting():
                return

    async def all(self, sql: str) -> list[tuple[object, ...]]:
        return await self.store.read(sql)


@asynccontextmanager
async def core(
    folder: Path,
    *,
    model: ScriptedModel | None = None,
    channel: ListChannel | None = None,
    clock: ManualClock | None = None,
    quiet_s: float = 0.0,
    other: ListChannel | None = None,
    sends_at_once: int = 200,
    answerer: Agent | None = None,
    built: Callable[[Core], None] = lambda house: None,
) -> AsyncIterator[Core]:
    """A running core over `folder`, recovered as at a start; leaving it is like a kill: nothing is drained. `built` is called before
    anything runs."""
    prepare(folder)
    clock = clock or ManualClock()
    store = await SqliteStore.open(folder)
    house = Core(
        store, clock, model or ScriptedModel(), channel or ListChannel(), quiet_s, other, sends_at_once, answerer
    )
    built(house)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(house.scheduler.run()),
                tasks.create_task(house.delivery.run()),
                tasks.create_task(house.turns.watch()),
            ]
            await house.turns.recover()
            await recover(store, house.scheduler, clock, 3)
            await house.delivery.recover()
            yield house
            for task in running:
                task.cancel()
    finally:
        await store.close()
