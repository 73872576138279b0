"""From the config to memory. Stands apart so that the composition root names one function."""

from collections.abc import Awaitable, Callable

from bot.agent.loop import Rules
from bot.config import Config
from bot.memory.facts import Keeping
from bot.memory.job import Keeper
from bot.memory.memory import Memory
from bot.memory.recall import DAY_MS, Limits
from bot.model import Accepted, ForgetRequested
from bot.staff import Core


def remembering(
    config: Config,
    core: Core,
    forget: Callable[[ForgetRequested], Awaitable[Accepted]],
    touch: Callable[[str], None] = lambda conversation: None,
) -> tuple[Keeper, Memory]:
    """The work beside conversations, and what turns ask. Agents that remember are given its tools. What is on record can be seen and
    forgotten whether or not any agent still remembers. `touch`: who looks at a conversation is told that more is remembered."""
    settings = config.memory
    agents = frozenset(key for key, agent in config.agents.items() if agent.memory)
    keeping = Keeping(settings.facts_most, settings.fact_days * DAY_MS)
    keeper = Keeper(
        core.store,
        core.clock,
        core.conversations,
        core.assembly.background,
        agents,
        keeping,
        Rules("").context_chars,
        touch,
    )
    limits = Limits(settings.recall_chars, settings.episodes_most, settings.facts_most)
    memory = Memory(
        core.store,
        core.clock,
        core.conversations,
        core.delivery,
        core.channels,
        keeper,
        agents,
        limits,
        keeping,
        forget,
    )
    core.assembly.give_memory(memory.tools(), agents, {key: config.agents[key].tools for key in agents})
    return keeper, memory
