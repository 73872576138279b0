"""The core with memory: a real store, the agent and its background model scripted."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bot.agent.loop import Agent
from bot.agent.router import Chain, Router
from bot.agent.spending import Spending
from bot.channels import Channel
from bot.config import schema
from bot.memory.facts import Keeping
from bot.memory.job import Keeper
from bot.memory.memory import Memory
from bot.memory.notes import Notebook
from bot.memory.recall import DAY_MS, OPENING, Limits
from bot.model import Accepted, Address, CaseEnded, Heard, Identity, MessageReceived
from bot.people.giving import Copies
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.telemetry.metrics import Metrics
from tests.clock import ManualClock
from tests.pipeline.house import Core, ListChannel, Script, ScriptedModel, agent, core

KEEPING = Keeping(30, 365 * DAY_MS)


class Remembering:
    """One running house that remembers. `notes` is its background model; its channel carries files of `carries_bytes`."""

    def __init__(
        self,
        house: Core,
        folder: Path,
        answerer: Agent,
        notes: ScriptedModel | None,
        limits: Limits,
        budget: int,
        other: ListChannel | None,
    ) -> None:
        self.house, self.notes, self.answerer = house, notes, answerer
        self.keeper = Keeper(
            house.store,
            house.clock,
            house.conversations,
            {"main": chain(notes, house.clock)} if notes is not None else {},
            {"main"},
            KEEPING,
            budget,
        )
        self.memory = Memory(
            house.store,
            house.clock,
            house.conversations,
            house.delivery,
            {},
            self.keeper,
            {"main"},
            limits,
            house.intake.receive,
            Copies(
                house.store,
                house.clock,
                folder,
                {each.name: Channel.of(each) for each in (house.channel, other) if each is not None},
            ),
        )
        answerer.give_tools(Notebook(house.store, house.clock, KEEPING).tools())
        house.turns.memory = self.memory
        self.events = 0

    async def say(
        self, text: str, person: str = "ada", chat: str = "", *, is_shared: bool = False, before: tuple[Heard, ...] = ()
    ) -> Accepted:
        self.events += 1
        who, at = Identity("list", "", person), Address("list", "", chat or person)
        said = MessageReceived(who, at, f"e{self.events}", text, before=before, is_shared=is_shared)
        accepted = await self.house.intake.receive(said)
        await self.house.rest(1)
        return accepted

    async def end(self, person: str = "ada", chat: str = "") -> None:
        """The case ends, and the job has its round."""
        at = Address("list", "", chat or person)
        await self.house.intake.receive(CaseEnded(Identity("list", "", person), at))
        await self.house.rest(1)
        await self.keeper.round()

    @property
    def shown(self) -> str:
        """What stood before the model last, as memory; "" for nothing."""
        entries = self.house.model.requests[-1].messages
        return next((each.text for each in entries if each.text.startswith(OPENING)), "")

    @property
    def sent(self) -> list[str]:
        return [message.text for message in self.house.channel.sent]

    async def rows(self, table: str) -> list[tuple[object, ...]]:
        return await self.house.all(f"SELECT * FROM {table}")


def chain(model: ScriptedModel, clock: ManualClock) -> Chain:
    given = {model.name: schema.Model(provider="openai", model="m")}
    spending = Spending(clock, {}, per_person=0.0, per_day=0.0)
    return Router({model.name: model}, given, clock, Metrics(), spending=spending).chain([model.name])


def told(happened: str = "They asked and were answered.", **more: object) -> Script:
    """A background model that writes this down."""

    async def write(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta(json.dumps({"happened": happened, **more}))
        yield Finished()

    return write


@asynccontextmanager
async def remembering(
    folder: Path,
    *,
    notes: Script | None = None,
    script: Script | None = None,
    limits: Limits | None = None,
    budget: int = 48_000,
    clock: ManualClock | None = None,
    other: ListChannel | None = None,
    carries_bytes: int = 0,
    change: Callable[[Core], None] = lambda house: None,
    ready: Callable[[Remembering], None] = lambda desk: None,
) -> AsyncIterator[Remembering]:
    clock = clock or ManualClock()
    model = ScriptedModel(script)
    answerer = agent({"scripted": model, "offline": model}, clock)
    written = ScriptedModel(notes) if notes is not None else None
    made: list[Remembering] = []

    def built(house: Core) -> None:
        for each in (house.channel, other):
            if each is not None:
                each.limits = replace(each.limits, attachment_bytes=carries_bytes)
        made.append(Remembering(house, folder, answerer, written, limits or Limits(), budget, other))
        change(house)
        ready(made[0])

    async with core(
        folder, model=model, channel=ListChannel(), clock=clock, other=other, answerer=answerer, built=built
    ):
        yield made[0]
