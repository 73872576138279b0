"""From the config to memory. Stands apart so that the composition root names one function."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bot.agent.loop import CONTEXT_CHARS
from bot.config import Config, schema
from bot.memory.facts import Keeping
from bot.memory.job import Keeper
from bot.memory.memory import Memory
from bot.memory.notes import Notebook
from bot.memory.recall import DAY_MS, Limits
from bot.model import Accepted, ForgetRequested
from bot.people.giving import Copies

if TYPE_CHECKING:
    from bot.staff import Core


def remembering(
    config: Config,
    core: "Core",
    forget: Callable[[ForgetRequested], Awaitable[Accepted]],
    copies: Copies,
    touch: Callable[[str], None] = lambda conversation: None,
) -> tuple[Keeper, Memory]:
    """The work beside conversations, and what turns ask. Agents that remember are given its tools. What is on record can be seen and
    forgotten whether or not any agent still remembers. `copies`: what gives a user their own data; `touch`: who looks at a conversation is told that more is remembered."""
    allowed = {key: agent.tools for key, agent in config.agents.items() if agent.memory}
    keeping = keeping_of(config.memory)
    keeper = Keeper(
        core.store,
        core.clock,
        core.conversations,
        core.assembly.background,
        allowed.keys(),
        keeping,
        CONTEXT_CHARS,
        touch,
    )
    memory = Memory(
        core.store,
        core.clock,
        core.conversations,
        core.delivery,
        core.channels,
        keeper,
        allowed.keys(),
        limits_of(config.memory),
        forget,
        copies,
    )
    core.assembly.give_memory(Notebook(core.store, core.clock, keeping).tools(), allowed)
    return keeper, memory


def keeping_of(settings: schema.Memory) -> Keeping:
    return Keeping(settings.facts_most, settings.fact_days * DAY_MS)


def limits_of(settings: schema.Memory) -> Limits:
    return Limits(settings.recall_chars, settings.episodes_most, settings.facts_most)
