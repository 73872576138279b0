"""Whether an agent's models read all that it may quote at once, or search it. Decided anew at the beginning of each turn, from the config, the
models' windows and how much there is."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.agent.tries import is_local
from bot.config import Config, schema
from bot.config.knowledge_schema import Knowledge
from bot.errors import DataError
from bot.ports import Clock, Whole
from bot.tools.names import SEARCH_KNOWLEDGE

if TYPE_CHECKING:
    from bot.knowledge.whole import Extent
    from bot.late import LateKnowledge

log = logging.getLogger(__name__)

SHARE = 2  # half of a window is left for the conversation, tools and instructions
READ_S = 5.0  # before the first indexing is over, or while the disk is slow, a turn searches


def room_of(config: Config, agent: str) -> int:
    """How many tokens of knowledge every model of the agent's chain has room for; 0 where all of them quote what they find."""
    models = [config.models[name] for name in config.chain("answer", agent) if not is_local(name, config.models[name])]
    return min(((each.context_tokens - each.output_tokens) // SHARE for each in models), default=0)


def most_tokens(settings: Knowledge, room: int) -> int:
    """How many tokens may go whole; 0: it is searched, however little there is."""
    match settings.mode:
        case "search":
            return 0
        case "whole":
            return room
        case "auto":
            return min(settings.whole_tokens, room)


def why_not(agent: str, found: "Extent", room: int) -> str:
    """In words for operators, with the mend."""
    return (
        f'[knowledge] mode is "whole", but agent {agent} knows {found.passages} passages, about {found.tokens} tokens, and its models have room '
        f"for {room} tokens, and for 999 passages whatever their size: it searches. "
        f'Write a larger context_tokens where a model has it, fewer documents into [agents.{agent}] knowledge, or mode = "auto"'
    )


def may_search(settings: schema.Agent) -> bool:
    """Whether an agent is to know anything."""
    return bool(settings.knowledge) and SEARCH_KNOWLEDGE in settings.tools


def within(settings: schema.Agent) -> Sequence[Path]:
    """The files and folders that an agent knows; none: all."""
    return () if isinstance(settings.knowledge, bool) else settings.knowledge


class AgentShelf:
    """Implements `bot.ports.Shelf` for one agent. `room`: see `room_of`; it may be changed between turns."""

    def __init__(
        self, name: str, knowledge: "LateKnowledge", settings: Knowledge, agent: schema.Agent, clock: Clock, room: int
    ) -> None:
        self.room = room
        self._name = name
        self._knowledge = knowledge
        self._settings = settings
        self._agent = agent
        self._clock = clock
        self._told = -1  # the tokens of which the log has said that they are too many
        self._refused: int | None = None  # the fewest tokens that a model has refused

    async def whole(self, within_s: float) -> Whole | None:
        most = most_tokens(self._settings, self.room)
        if self._refused is not None:
            most = min(most, self._refused - 1)
        if most <= 0:
            return None
        try:
            async with self._clock.timeout(min(within_s, READ_S)):
                agent = self._agent
                found = await self._knowledge.extent(most, within(agent), agent.audiences, agent.language)
        except TimeoutError:
            log.info("the knowledge of agent %s could not be read in time for a turn, which searches", self._name)
            return None
        except DataError:
            log.exception("the knowledge of agent %s could not be read: it searches", self._name)
            return None
        self._tell(found, most)
        return found.whole

    def note_too_long(self, whole: Whole) -> None:
        self._refused = min(whole.tokens, self._refused or whole.tokens)
        log.warning(
            "a model refused a request with the whole knowledge of agent %s, about %s tokens, as too long: the agent searches. "
            "Write the model's real context_tokens into [models], or a smaller [knowledge] whole_tokens",
            self._name,
            whole.tokens,
        )

    def _tell(self, found: "Extent", most: int) -> None:
        if found.whole is not None or not found.passages or found.tokens == self._told:
            return
        self._told = found.tokens
        if self._settings.mode == "whole":
            log.warning("%s", why_not(self._name, found, most))
        else:
            log.info(
                "agent %s knows about %s tokens: it searches, since that is above %s", self._name, found.tokens, most
            )
