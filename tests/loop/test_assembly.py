"""From the config to agents: each has its own models, tools and knowledge."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.agent.context import Past
from bot.agent.loop import Answer, Asked
from bot.assembly import Assembly
from bot.clock import SystemClock
from bot.config import Config, find_settings, load
from bot.late import LateKnowledge
from bot.model import Author, BlobId, Message, MessageId, Seq
from bot.telemetry.metrics import Metrics
from tests.loop.test_loop import Page

CONFIG = """
[knowledge]
paths = ["shoes", "hats"]
[models.brain]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:9/v1"
[models.spare]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:9/v1"
[roles]
answer = ["brain"]
[agents.main]
name = "Ada"
[agents.hats]
name = "Grace"
channels = ["web"]
knowledge = ["hats"]
tools = ["search_knowledge"]
[agents.hats.roles]
answer = ["spare", "brain"]
[agents.quiet]
channels = []
knowledge = false
[agents.quotes]
channels = []
knowledge = ["hats"]
[agents.quotes.roles]
answer = ["offline"]
"""


async def nothing(blob: BlobId) -> bytes:
    raise FileNotFoundError(blob)


def configured(folder: Path, text: str = CONFIG) -> Config:
    for name in ("shoes", "hats"):
        (folder / name).mkdir(exist_ok=True)
        about = f"# {name.title()}\n\nOur {name} are returned within thirty days."
        (folder / name / "returns.md").write_text(about, encoding="utf-8")
    (folder / "config.toml").write_text(text, encoding="utf-8")
    return load(folder / "config.toml", dict(os.environ), adapters=find_settings)


@pytest.fixture
async def assembly(tmp_path: Path) -> AsyncIterator[Assembly]:
    """As the config above says."""
    built = Assembly(configured(tmp_path), tmp_path / "index.db", SystemClock(), Metrics(), nothing)
    yield built
    await built.close()


async def ask(assembly: Assembly, agent: str, text: str) -> Answer:
    asked = Message(MessageId("m"), Seq(1), Author.USER, text, 0)
    return await assembly.agents[agent].answer(Asked("c", Past(), lambda: (asked,), Page()))


async def test_each_agent_has_its_own_chain_and_tools(assembly: Assembly) -> None:
    """Its own where it says so, else those of [roles]; `main` has all tools."""
    chains = {name: agent.chain.names for name, agent in assembly.agents.items()}
    assert chains == {"main": ("brain",), "hats": ("spare", "brain"), "quiet": ("brain",), "quotes": ("offline",)}
    tools = {name: [spec.name for spec in agent.dispatcher.specs] for name, agent in assembly.agents.items()}
    assert tools["main"] == ["search_knowledge", "request_human"]
    assert (tools["hats"], tools["quiet"]) == (["search_knowledge"], ["request_human"])
    assert "You are Grace" in assembly.agents["hats"].instructions
    assert "search_knowledge" not in assembly.agents["quiet"].instructions


async def test_an_agent_answers_only_from_its_own_part_of_the_knowledge(assembly: Assembly) -> None:
    """The other brand's documents are not even searched."""
    assert isinstance(assembly.knowledge, LateKnowledge)
    await assembly.warm()
    running = asyncio.ensure_future(assembly.knowledge.run())
    try:
        answer = await ask(assembly, "quotes", "When are shoes or hats returned?")
        assert {each.passage.title for each in answer.found} == {"Hats"}
        assert "hats are returned" in answer.text
        assert "shoes" not in answer.text
    finally:
        running.cancel()


async def test_a_reload_changes_keys_and_budgets_at_once(tmp_path: Path, assembly: Assembly) -> None:
    """And chains: a model that was renamed is asked under its new name."""
    budgets = "\n[limits]\nperson_cost_per_day = 2\ncost_per_day = 3\n"
    assembly.take(configured(tmp_path, CONFIG + budgets))
    assert (assembly.spending.per_person, assembly.spending.per_day) == (2, 3)
    assert assembly.agents["hats"].chain.names == ("spare", "brain")
    assembly.take(configured(tmp_path, CONFIG.replace("brain", "sonnet")))
    assert assembly.agents["main"].chain.names == ("sonnet",)
    assert assembly.agents["hats"].chain.names == ("spare", "sonnet")
    assert "sonnet" in assembly.router.members
