"""One evaluation: the agent as the daemon would build it from the config, alive for as long as the questions take.

It has an index of its own in a folder that is deleted afterwards, and neither opens nor needs the daemon's database and index.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot.assembly import Assembly
from bot.config import Config
from bot.errors import ConfigError, Problem, Refused
from bot.evals.answers import AgentAnswerer
from bot.evals.cases import Suite
from bot.evals.judging import ModelJudge
from bot.evals.results import Run
from bot.evals.running import Runner
from bot.late import LateKnowledge
from bot.model import BlobId
from bot.ports import Clock
from bot.store.folder import INDEX, prepare
from bot.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from bot.evals.earlier import EarlierCases
    from bot.knowledge import FolderKnowledge

MEMORY = "memory"  # the folder of what the agent remembers


def chosen(config: Config, agent: str, model: str = "") -> Config:
    """The config with nothing but this agent, answering with this model alone if one is named. Raises ConfigError for names that the
    config does not hold."""
    _refuse_unknown("--agent", agent, list(config.agents))
    settings = config.agents[agent]
    if model:
        _refuse_unknown("--model", model, list(config.models))
        settings = settings.model_copy(update={"roles": settings.roles.model_copy(update={"answer": (model,)})})
    return replace(config, agents={agent: settings})


async def evaluate(config: Config, suite: Suite, agent: str, model: str, least: float, clock: Clock) -> Run:
    """Asks `agent` every question of the suite; where a `model` is named, only its own answers count. Files of the knowledge are indexed first, outside of any answer's time."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-eval-") as folder:
        assembly = Assembly(config, Path(folder) / INDEX, clock, Metrics(), _no_file)
        try:
            return await _ask(assembly, Path(folder) / MEMORY, config, suite, agent, model, least, clock)
        finally:
            await assembly.close()


async def _ask(
    assembly: Assembly, folder: Path, config: Config, suite: Suite, agent: str, model: str, least: float, clock: Clock
) -> Run:
    roles = config.agents[agent].roles
    judges = config.roles.judge if roles.judge is None else roles.judge
    judge = ModelJudge(assembly.router.chain(judges), clock, config.limits.turn_s) if judges else None
    knowledge = assembly.knowledge
    indexing = asyncio.create_task(knowledge.run()) if isinstance(knowledge, LateKnowledge) else None
    try:
        await assembly.warm()
        await knowledge.search(suite.cases[0].turns[0])
        if isinstance(knowledge, LateKnowledge):
            await _embedded(await knowledge.loaded())
        async with _earlier(config, assembly, folder, agent, clock) as memory:
            runner = Runner(AgentAnswerer(assembly.agents[agent], memory), clock, judge, model, memory)
            return await runner.run(suite, agent, least)
    finally:
        if indexing is not None:
            indexing.cancel()
            await asyncio.wait([indexing])


async def _embedded(knowledge: "FolderKnowledge") -> None:
    """Every passage has its embedding, or whoever makes them has failed, which the log tells: then words alone decide, as in the daemon."""
    if knowledge.meanings is not None:
        await knowledge.meanings.is_settled.wait()


@asynccontextmanager
async def _earlier(
    config: Config, assembly: Assembly, folder: Path, agent: str, clock: Clock
) -> "AsyncIterator[EarlierCases | None]":
    """A store of its own for what the agent remembers; None where it remembers nothing."""
    if not config.agents[agent].memory:
        yield None
        return
    from bot.agent.loop import CONTEXT_CHARS
    from bot.conversations import Conversations
    from bot.evals.earlier import EarlierCases
    from bot.memory.job import Keeper
    from bot.memory.making import keeping_of, limits_of
    from bot.memory.notes import Notebook
    from bot.store.sqlite import SqliteStore

    keeping = keeping_of(config.memory)
    prepare(folder)
    store = await SqliteStore.open(folder)
    try:
        keeper = Keeper(store, clock, Conversations(store), assembly.background, {agent}, keeping, CONTEXT_CHARS)
        assembly.give_memory(Notebook(store, clock, keeping).tools(), {agent: config.agents[agent].tools})
        yield EarlierCases(store, clock, keeper, limits_of(config.memory), agent)
    finally:
        await store.close()


async def _no_file(blob: BlobId) -> bytes:
    raise Refused("no_blob", "An evaluation has no files.")


def _refuse_unknown(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ConfigError([Problem(option, f"there is no {name} in the config", f"There is: {', '.join(known)}.")])
