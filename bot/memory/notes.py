"""What agents note of a user while they talk, and tell them of it."""

from bot.memory import facts, telling
from bot.memory.facts import Claim, Keeping, Place, Taken
from bot.model import IdentityId
from bot.ports import Clock, Store
from bot.tools import Caller, Tool
from bot.tools.remember import AboutMe, Remember


class Notebook:
    """The facts of a store. Implements `bot.tools.remember.Notes`."""

    def __init__(self, store: Store, clock: Clock, keeping: Keeping) -> None:
        self._store = store
        self._clock = clock
        self._keeping = keeping

    def tools(self) -> list[Tool]:
        """For the agents that remember."""
        return [Remember(self), AboutMe(self)]

    async def note(self, caller: Caller, claim: Claim) -> Taken:
        """Of the person on whose behalf a model calls."""
        place = Place(IdentityId(caller.identity), caller.conversation, caller.case)
        return await self._store.run(facts.take, place, claim, self._keeping, self._clock.now_ms())

    async def told(self, caller: Caller) -> str:
        words, now = telling.WORDS["en"], self._clock.now_ms()
        return await self._store.run(telling.show, caller.conversation, IdentityId(caller.identity), words, now)
