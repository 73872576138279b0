"""The whole core over real models: router, agent, SDKs, sockets, knowledge and store, on the clock that leaps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.assembly import Assembly
from bot.config import load
from bot.late import LateKnowledge
from bot.model import Address, BlobId, Message, MessageId
from bot.ports import Receipt, Row, Value
from bot.recovery import recover
from bot.store.folder import INDEX, prepare
from bot.store.sqlite import SqliteStore
from bot.telemetry.metrics import Metrics
from tests.chaos.clock import LeapingClock, LeapingLoop
from tests.chaos.providers import Claude, Gpt, Limits, Provider
from tests.pipeline.house import Core, ListChannel, ScriptedModel

T = TypeVar("T")

TURN_S = 60.0
QUIET_S = 0.3
CALLS_AT_ONCE = 40
CIRCUIT_FAILURES, CIRCUIT_S = 5, 30.0
CLAUDE, GPT = Limits(160, 60_000), Limits(120, 50_000)
PRICES = {"claude": (3, 15, 1, 4), "gpt": (2, 8, 1, 0)}  # input, output, cache read and write, of a million tokens
MAIL, PAGE = "mail", "page"  # the channels: one with an outbox, one whose receiver dedupes

CONFIG = """
[limits]
turn_s = {turn_s}
circuit_failures = {circuit_failures}
circuit_s = {circuit_s}
person_cost_per_day = 0
cost_per_day = 0

[knowledge]
paths = ["docs"]
poll_s = 300
mode = "search"

[roles]
answer = ["claude", "gpt", "offline"]
"""
MODEL = """
[models.{name}]
provider = "{provider}"
model = "m-1"
base_url = "{url}"
api_key = "k7Hq2-vX9_bR4tW8mLzPc5"
prices = {{ input = {prices[0]}, output = {prices[1]}, cache_read = {prices[2]}, cache_write = {prices[3]} }}
limits = {{ requests_per_minute = {limits.requests}, tokens_per_minute = {limits.tokens}, calls_at_once = {at_once} }}
"""
DOCS = {
    "shipping.md": "# Shipping\n\nShipping takes three to five working days. Every parcel has a tracking number.\n",
    "returns.md": "# Returns\n\nYou can return anything within 30 days. The refund arrives within a week.\n",
    "accounts.md": "# Accounts\n\nA forgotten password is reset on the page Sign in, under Forgotten password.\n",
}


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it reached a person. `at` on the clock."""

    chat: str
    message: MessageId
    text: str
    at: float


class Outlet(ListChannel):
    """A channel that keeps what it delivered, and tells who waits for it."""

    def __init__(self, name: str, clock: LeapingClock, *, is_deduped: bool) -> None:
        super().__init__(name, is_deduped=is_deduped)
        self.posts: list[Post] = []
        self._clock = clock
        self._awaited: dict[str, asyncio.Future[bool]] = {}

    async def send(self, to: Address, message: Message) -> Receipt:
        self.posts.append(Post(to.chat, message.id, message.text, self._clock.monotonic()))
        awaited = self._awaited.pop(to.chat, None)
        if awaited is not None:
            _settle(awaited, has_come=True)
        return Receipt(f"out-{len(self.posts)}")

    def next(self, chat: str, most_s: float) -> "asyncio.Future[bool]":
        """Done with the next message to `chat`; False when none came in time."""
        awaited: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._awaited[chat] = awaited
        timer = self._clock.call_later(most_s, lambda: _settle(awaited, has_come=False))
        awaited.add_done_callback(lambda _: timer.cancel())
        return awaited


def _settle(awaited: "asyncio.Future[bool]", *, has_come: bool) -> None:
    if not awaited.done():
        awaited.set_result(has_come)


class PageOutlet(Outlet):
    """Shows drafts, too."""

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        return

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        return


class WatchedStore(SqliteStore):
    """The store; its units of work hold the clock."""

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        place = leaping_loop().begin()
        try:
            return await super().run(unit, *args)
        finally:
            await leaping_loop().end(place)

    async def read(self, query: str, parameters: Mapping[str, Value] | None = None) -> list[Row]:
        place = leaping_loop().begin()
        try:
            return await super().read(query, parameters or {})
        finally:
            await leaping_loop().end(place)


def leaping_loop() -> LeapingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LeapingLoop)
    return loop


@dataclass(slots=True)
class House:
    """One running core, and all that it stands on."""

    core: Core
    assembly: Assembly
    clock: LeapingClock
    store: WatchedStore
    outlets: dict[str, Outlet]
    providers: dict[str, Provider]

    def holds(self) -> str:
        """What is under way in sockets."""
        for name, provider in self.providers.items():
            calls = self.assembly.router.members[name].limiter.running
            if not provider.parked == provider.open == calls:
                return f"{name}: {calls} calls, {provider.open} requests, {provider.parked} of them waiting"
        return ""


def config_text(providers: Mapping[str, Provider]) -> str:
    text = CONFIG.format(turn_s=TURN_S, circuit_failures=CIRCUIT_FAILURES, circuit_s=CIRCUIT_S)
    for name, server in providers.items():
        kind, url, limits = (
            ("anthropic", server.url, CLAUDE) if isinstance(server, Claude) else ("openai", f"{server.url}/v1", GPT)
        )
        text += MODEL.format(
            name=name, provider=kind, url=url, prices=PRICES[name], limits=limits, at_once=CALLS_AT_ONCE
        )
    return text


@asynccontextmanager
async def house(folder: Path, clock: LeapingClock, claude: Claude, gpt: Gpt) -> AsyncIterator[House]:
    """A core in `folder` that asks these two, whose time moves from now on. They must be up."""
    providers: dict[str, Provider] = {"claude": claude, "gpt": gpt}
    (folder / "docs").mkdir(parents=True)
    for name, text in DOCS.items():
        (folder / "docs" / name).write_text(text)
    file = folder / "config.toml"
    file.write_text(config_text(providers))
    data = folder / "data"
    prepare(data)
    store = await WatchedStore.open(data)
    assert isinstance(store, WatchedStore)
    assembly = Assembly(load(file, {}, adapters=lambda name: None), data / INDEX, clock, Metrics(), _no_file)
    outlets: dict[str, Outlet] = {
        MAIL: Outlet(MAIL, clock, is_deduped=False),
        PAGE: PageOutlet(PAGE, clock, is_deduped=True),
    }
    core = Core(store, clock, ScriptedModel(), outlets[MAIL], QUIET_S, outlets[PAGE], answerer=assembly.agents["main"])
    at = House(core, assembly, clock, store, outlets, providers)
    loop = leaping_loop()
    loop.holds.append(at.holds)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = await _start(at, tasks)
            loop.is_leaping = True
            yield at
            loop.is_leaping = False
            for task in running:
                task.cancel()
    finally:
        loop.is_leaping = False
        loop.holds.remove(at.holds)
        await assembly.close()
        await store.close()


async def _start(at: House, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    knowledge = at.assembly.knowledge
    assert isinstance(knowledge, LateKnowledge)
    await at.assembly.warm()
    parts = (at.core.scheduler.run(), at.core.delivery.run(), at.core.turns.watch(), knowledge.run())
    running = [tasks.create_task(part) for part in parts]
    await knowledge.search("shipping")
    await at.core.turns.recover()
    await recover(at.store, at.core.scheduler, at.clock, 3)
    await at.core.delivery.recover()
    return running


async def _no_file(blob: BlobId) -> bytes:
    raise FileNotFoundError(blob)
