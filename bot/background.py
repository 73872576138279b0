"""What models write beside conversations: one form, filled from one text. Nobody waits for it, and whoever asks can do without."""

import asyncio
import logging
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

from bot.agent.router import Attempt, Chain
from bot.errors import ModelError
from bot.model import Author
from bot.ports import ChatMessage, ChatRequest, Clock, Store
from bot.store.steps import add_spend

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class Background:
    """The models of one kind of work. `chains`: those of each agent, if it has any; `payer`: whom its cost is put down to; `seconds`: the longest
    that one text may take."""

    def __init__(self, store: Store, clock: Clock, chains: Mapping[str, Chain], payer: str, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._chains = chains
        self._payer = payer
        self._seconds = seconds

    def works_for(self, agent: str) -> bool:
        return agent in self._chains

    async def write(self, agent: str, instructions: str, text: str, form: type[M]) -> tuple[M, str] | None:
        """The form filled from the text, and the name of the model that did; None where the agent has none, or none answers. What it cost is on
        record whatever came of it. Raises StoreUnavailable and Overloaded where it cannot be."""
        chain = self._chains.get(agent)
        if chain is None:
            return None
        request = ChatRequest(instructions, (ChatMessage(Author.USER, text),))
        attempts: list[Attempt] = []
        try:
            async with self._clock.timeout(self._seconds):
                deadline = self._clock.monotonic() + self._seconds
                made = await chain.complete(request, form, attempts, deadline=deadline, payer=self._payer)
        except (ModelError, TimeoutError) as error:
            log.info("no model writes for %s: %s", self._payer, type(error).__name__)
            return None
        finally:
            if any(each.is_call for each in attempts):
                await asyncio.shield(self._store.run(add_spend, self._payer, attempts))
        return made, attempts[-1].model
