"""A reply that the agent proposes to an operator: one for one command, however often and for however long it is asked for."""

import asyncio
from collections.abc import Awaitable, Callable

from bot.handoff.briefing import Briefing, Suggestion
from bot.handoff.commands import Kind
from bot.handoff.feed import Feed
from bot.handoff.orders import allowed
from bot.model import Conversation, ConversationId
from bot.ports import Clock, Store
from bot.store import handoffs


class Proposals:
    """`find(conversation)`: as it is now. Raises Refused where it is gone."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        feed: Feed,
        briefing: Briefing,
        find: Callable[[ConversationId], Awaitable[Conversation]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._briefing = briefing
        self._find = find
        self._asked: dict[str, asyncio.Task[Suggestion]] = {}  # by the key of their command

    async def propose(self, operator: str, conversation: ConversationId, key: str) -> Suggestion:
        """The same for the same key, whether the first call has ended, still waits for a model, or was given up by its caller. Raises
        Refused."""
        for (id_,) in await self._store.read(handoffs.DONE, {"key": key}):
            return await self._briefing.suggested(id_)
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(self._ask(operator, conversation, key))
            asked.add_done_callback(lambda done: self._no_longer(key, done))
        return await asyncio.shield(asked)

    def _no_longer(self, key: str, done: asyncio.Task[Suggestion]) -> None:
        self._asked.pop(key, None)
        if not done.cancelled():
            done.exception()  # told to whoever still waits; nobody may

    async def _ask(self, operator: str, conversation: ConversationId, key: str) -> Suggestion:
        await self._store.run(allowed, operator, Kind.SUGGEST)
        proposed = await self._briefing.suggest(await self._find(conversation), operator)
        values = {"key": key, "told": proposed.id, "now": self._clock.now_ms()}
        await self._store.run(lambda cursor: cursor.execute(handoffs.ADD_DONE, values))
        self._feed.touch(conversation)
        return proposed
