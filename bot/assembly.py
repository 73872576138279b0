"""From the config to agents that answer: knowledge, models, the router, tools. Used by the daemon and by evaluations alike."""

import asyncio
import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.agent.ears import Ears, Transcriber
from bot.agent.loop import Agent, Rules
from bot.agent.router import Chain, Router
from bot.agent.spending import Spending
from bot.config import Config, schema
from bot.config.checks import MAIN, OFFLINE
from bot.late import LateKnowledge, LateOffline, LateSources, Plan
from bot.net.perimeter import Perimeter
from bot.ports import ChatModel, Clock, Knowledge
from bot.shelf import AgentShelf, may_search, room_of, within
from bot.telemetry.metrics import Metrics
from bot.text import compile_patterns
from bot.tools import Tool
from bot.tools.names import REQUEST_HUMAN, SEARCH_KNOWLEDGE
from bot.tools.person import RequestHuman
from bot.tools.search import CANDIDATES, PASSAGES, SearchKnowledge

if TYPE_CHECKING:
    from bot.knowledge.embeddings import Embedder
    from bot.knowledge.opening import Endpoint
    from bot.knowledge.rerank import Reranker
    from bot.llm.clients import Clients
    from bot.llm.content import ReadBlob
    from bot.llm.embed import EndpointEmbedder
    from bot.tools.acting import Acting
    from bot.tools.catalogue import Catalogue

MICROS = 1_000_000
_PROVIDERS = {"anthropic": ("bot.llm.anthropic", "AnthropicModel"), "openai": ("bot.llm.openai", "OpenAIModel")}


class Assembly:
    """Everything that answers, built once. `given` models replace those of the same name."""

    def __init__(
        self,
        config: Config,
        index: Path,
        clock: Clock,
        metrics: Metrics,
        read_blob: "ReadBlob",
        given: Mapping[str, ChatModel] | None = None,
    ) -> None:
        self._clock = clock
        self._held_answers = metrics.held_answers
        self._read_blob = read_blob
        self._given = dict(given or {})
        self._clients: Clients | None = None
        self._perimeter = Perimeter(config.network.allow)
        self._embedder: EndpointEmbedder | None = None
        limits = config.limits
        plan = self._plan(config, index)
        self.knowledge = LateKnowledge(plan)
        self.knows = {key: self._known(settings) for key, settings in config.agents.items()}
        self._shelves = self._filled(config)
        self.sources = LateSources(plan, self._perimeter, config.secret)
        prices = {name: each.prices for name, each in config.models.items()}
        self.spending = Spending(clock, prices, per_person=limits.person_cost_per_day, per_day=limits.cost_per_day)
        self.models = self._models(config)
        self.router = Router(
            self.models,
            config.models,
            clock,
            metrics,
            spending=self.spending,
            circuit_failures=limits.circuit_failures,
            circuit_s=limits.circuit_s,
        )
        self.agents = {key: self._agent(config, key) for key in config.agents}
        self.proposers = {key: self._agent(config, key, is_proposing=True) for key in config.agents}
        self.background = self._background(config)
        self.ears = Ears(self.router)
        self._give_ears(config)

    def models_of(self, agent: str) -> Sequence[str]:
        """The names of the models that an agent asks for answers, in order."""
        return self._chains.get(agent) or self._chains[MAIN]

    def _give_ears(self, config: Config) -> None:
        """Who transcribes for each agent."""
        self._chains = {key: config.chain("answer", key) for key in config.agents}
        chains = {key: config.chain("transcribe", key) for key in config.agents}
        named = {name for chain in chains.values() for name in chain}
        transcribers: dict[str, Transcriber] = {}
        if named:
            from bot.llm.transcribe import Transcriber as Kind

            for name in sorted(named):
                transcribers[name] = Kind(name, config.models[name], self._shared_clients(), self._clock)
        self.ears.take(transcribers, chains)

    def _background(self, config: Config) -> dict[str, Chain]:
        """Who works for each agent beside conversations; no entry: nobody."""
        chains = {key: config.chain("background", key) for key in config.agents}
        return {key: self.router.chain(chain) for key, chain in chains.items() if chain}

    def give_memory(self, tools: Sequence[Tool], allowed: Mapping[str, Collection[str]]) -> None:
        """What the agents that remember note with. `allowed`: for each of them, the names of the tools that it may use."""
        for key, names in allowed.items():
            self.agents[key].give_tools([tool for tool in tools if tool.name in names])

    def give_actions(self, catalogue: "Catalogue", acting: "Acting") -> None:
        """What each agent may do besides talking, from the next turn on."""
        for key, agent in self.agents.items():
            agent.give_actions(catalogue.of(key), acting)

    async def warm(self) -> None:
        """Imports what the models need and compiles the patterns, in threads, so that the first question need not wait for it."""
        for model in self.models.values():
            if isinstance(model, LateOffline):
                await model.load()
        if self._clients is not None:
            await asyncio.to_thread(importlib.import_module, "bot.agent.checks")
            await self._clients.warm(sorted(self._providers))
        await asyncio.to_thread(compile_patterns)

    def take(self, fresh: Config) -> None:
        """New keys, models, chains and budgets bite at once; what else changed waits for a restart."""
        self.spending.per_person = fresh.limits.person_cost_per_day
        self.spending.per_day = fresh.limits.cost_per_day
        self.models = self._models(fresh)
        self.router.take(self.models, fresh.models)
        for key in self.agents.keys() & fresh.agents.keys():
            for agent in (self.agents[key], self.proposers[key]):
                agent.ask(self.router.chain(fresh.chain("answer", key)), _local(fresh))
            if key in self._shelves:
                self._shelves[key].room = room_of(fresh, key)
        self.background.clear()
        self.background.update(self._background(fresh))
        self._give_ears(fresh)
        if self._embedder is not None and self._embedded_by in fresh.models:
            self._embedder.take(fresh.models[self._embedded_by])

    async def report(self) -> list[dict[str, Any]]:
        """Every model with its circuit, limits and spend, and whether its server can be reached now."""
        told = self.router.report()
        reached = await asyncio.gather(*(self._reach(each["name"]) for each in told))
        return [{**each, "reach": said, "reach_ms": ms} for each, (said, ms) in zip(told, reached, strict=True)]

    async def _reach(self, name: str) -> tuple[str, float | None]:
        settings = self._in_use[name]
        if settings.provider == OFFLINE:
            return "yes", None
        from bot.llm.reach import reach

        return await reach(settings, self._shared_clients(), self._clock)

    async def close(self) -> None:
        await self.sources.close()
        await self.knowledge.close()
        if self._clients is not None:
            await self._clients.close()

    # --- building --------------------------------------------------------------------------------------------------------

    def _plan(self, config: Config, index: Path) -> Plan:
        return Plan(index, config.data.path, config.knowledge, self._clock, self._endpoint(config))

    def _endpoint(self, config: Config) -> "Endpoint | None":
        """Makes what asks the model of [roles] embed for embeddings; None where none is named."""
        if not config.roles.embed:
            return None
        name = self._embedded_by = config.roles.embed[0]

        def make() -> "Embedder":
            from bot.llm.embed import EndpointEmbedder

            self._embedder = EndpointEmbedder(name, self._in_use[name], self._shared_clients(), self._clock)
            return self._embedder

        return make

    def _models(self, config: Config) -> dict[str, ChatModel]:
        self._in_use = config.models
        self._providers = {each.provider for name, each in config.models.items() if config.roles_of(name)}
        return {name: self._given.get(name) or self._model(name, each) for name, each in config.models.items()}

    def _model(self, name: str, settings: schema.Model) -> ChatModel:
        if settings.provider == OFFLINE:
            return LateOffline(name)
        module, kind = _PROVIDERS[settings.provider]
        made: ChatModel = getattr(importlib.import_module(module), kind)(
            name, settings, self._shared_clients(), self._read_blob, self._clock
        )
        return made

    def _shared_clients(self) -> "Clients":
        if self._clients is None:
            from bot.llm.clients import Clients

            self._clients = Clients(self._perimeter)
        return self._clients

    def _agent(self, config: Config, key: str, *, is_proposing: bool = False) -> Agent:
        """`is_proposing`: it can search, and do nothing else."""
        settings, limits = config.agents[key], config.limits
        rules = Rules(
            name=settings.name,
            signature="" if settings.name == key else settings.name,  # unnamed: the channel shows its own name
            instructions=settings.instructions,
            steps=limits.turn_steps,
            same_calls=limits.same_calls,
            turn_tokens=limits.turn_tokens,
            turn_cost_micros=round(limits.turn_cost * MICROS),
            turn_s=limits.turn_s,
            is_checking_facts=settings.check_facts,
        )
        chain = self.router.chain(config.chain("answer", key))
        reranker = self._reranker(config, key)
        tools = self._tools(key, settings, PASSAGES if reranker is None else CANDIDATES)
        if is_proposing:
            tools = [tool for tool in tools if tool.name == SEARCH_KNOWLEDGE]
        return Agent(
            rules,
            chain,
            self.router.chain([OFFLINE]),
            tools,
            self._clock,
            _local(config),
            shelf=self._shelves.get(key),
            reranker=reranker,
            held_answers=self._held_answers,
        )

    def _filled(self, config: Config) -> dict[str, AgentShelf]:
        """What each agent knows that may search."""
        return {
            key: AgentShelf(key, self.knowledge, config.knowledge, settings, self._clock, room_of(config, key))
            for key, settings in config.agents.items()
            if may_search(settings)
        }

    def _reranker(self, config: Config, key: str) -> "Reranker | None":
        chain = config.chain("rerank", key)
        if not chain:
            return None
        from bot.knowledge.rerank import Reranker

        return Reranker(self.router.chain(chain), self._clock, config.knowledge.rerank_s)

    def _known(self, settings: schema.Agent) -> Knowledge:
        """What an agent may quote, and those who talk with it may open."""
        return self.knowledge.seen_by(settings.audiences, settings.language, within(settings))

    def _tools(self, key: str, settings: schema.Agent, most: int) -> list[Tool]:
        """`most`: so many passages a search gives."""
        tools: list[Tool] = []
        if may_search(settings):
            tools.append(SearchKnowledge(self.knows[key], within(settings), most))
        if REQUEST_HUMAN in settings.tools:
            tools.append(RequestHuman())
        return tools


def _local(config: Config) -> frozenset[str]:
    return frozenset(name for name, each in config.models.items() if each.provider == OFFLINE)
