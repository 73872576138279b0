"""The conversations that are being worked on, kept in memory so that a turn reads nothing it has just been told.

Only committed rows get in. What stands here is a copy and never decides: the unit of work that ends a turn checks owner, version and
the exact rows it handles, and when they differ the copy is dropped and read again.

A turn that has read a conversation is told when a message of it is edited or deleted: its history counts as much as what it answers, so
any change ends it, and it runs again on the rows as they are now.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import field, replace
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from bot.agent.context import Block, Past
from bot.errors import FrontdeskError
from bot.model import Conversation, ConversationId, Message, Seq, changeable
from bot.ports import Store
from bot.store import records
from bot.store.handoffs import BLOCKS_OF_CASE
from bot.store.records import Inbound


@changeable
class Working:
    """One conversation as committed. `unhandled` in seq order; `past` is the case so far, without them."""

    conversation: Conversation
    unhandled: list[Inbound] = field(default_factory=list)
    past: Past = field(default_factory=Past)


class Conflict(FrontdeskError):
    """The rows are not as the turn read them: nothing was done, read again."""


class Reading:
    """What one running turn has read of a conversation, and whether it still holds. Entered around the turn: only inside is it told of
    changes. `interrupt` is called when it no longer holds, but only while a model is asked: a tool that runs is let finish, so that what
    came of it is known."""

    __slots__ = ("_conversation", "_conversations", "_has_changed", "_is_asking", "interrupt")

    def __init__(self, conversations: "Conversations", conversation: str) -> None:
        self.interrupt: Callable[[], None] | None = None
        self._has_changed = False
        self._is_asking = False
        self._conversations = conversations
        self._conversation = conversation

    def __enter__(self) -> Self:
        self._conversations.readings[self._conversation] = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del self._conversations.readings[self._conversation]

    def check(self) -> None:
        """Raises Conflict once a message was changed."""
        if self._has_changed:
            raise Conflict("a message has changed since the turn read it")

    def asking(self) -> None:
        """A model is given what was read, now. Raises Conflict."""
        self.check()
        self._is_asking = True

    def rest(self) -> None:
        """No model is asked any more."""
        self._is_asking = False

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """Inside, no message is changed, and no model is asked. Raises Conflict."""
        async with self._conversations.lock(self._conversation):
            self.check()
            self.rest()
            yield

    def changed(self) -> None:
        self._has_changed = True
        if self._is_asking and self.interrupt is not None:
            self.rest()
            self.interrupt()


class Conversations:
    """The most recently used of them; one that is not here is read from the store."""

    def __init__(self, store: Store, *, most: int = 10_000, history_most: int = 200) -> None:
        self._store = store
        self._most = most
        self._history_most = history_most
        self._known: OrderedDict[str, Working] = OrderedDict()
        self._arrivals: dict[str, int] = {}  # conversations being read: how many messages were committed meanwhile
        self.readings: dict[str, Reading] = {}  # of the turns that run, one a conversation
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def arrived(self, conversation: Conversation, inbound: Inbound, *, is_new: bool) -> None:
        """A message was committed as `inbound`. Anything but the very next message drops the copy."""
        key = conversation.id
        if key in self._arrivals:
            self._arrivals[key] += 1
        working = self._known.get(key)
        if working is None:
            if is_new:
                self._keep(Working(conversation, [inbound]))
            return
        if inbound.message.seq != working.conversation.last_seq + 1:
            self.forget(key)
            return
        if conversation.case != working.conversation.case:
            working.past = Past()
        working.conversation = conversation
        working.unhandled.append(inbound)
        self._known.move_to_end(key)

    async def get(self, conversation: ConversationId) -> Working | None:
        """The conversation with its unhandled messages; None when there is no such conversation."""
        working = self._known.get(conversation)
        if working is None:
            working = await self._load(conversation)
        return working

    def handled(self, working: Working, last_seq: Seq, handled: Sequence[Inbound], replies: Iterable[Message]) -> None:
        """A turn was committed: `handled` and `replies` have become history, and `last_seq` is the conversation's last."""
        if self._known.get(working.conversation.id) is not working:
            return
        last = handled[-1].message.seq if handled else 0
        working.unhandled = [inbound for inbound in working.unhandled if inbound.message.seq > last]
        past = working.past
        for inbound in handled:
            past.add(inbound.message)
        for reply in replies:
            past.add(reply)
        past.keep_newest(self._history_most)
        working.conversation = working.conversation.advanced(last_seq)

    def reading(self, conversation: str) -> Reading:
        """Around a turn; entered before anything is awaited after `get`."""
        return Reading(self, conversation)

    @asynccontextmanager
    async def changing(self, conversation: str) -> AsyncIterator[None]:
        """Around the unit of work that changes a message: no turn keeps a step meanwhile."""
        async with self.lock(conversation):
            yield

    def changed(self, conversation: str) -> None:
        """An edit or a deletion was committed: the copy is dropped, and a turn that has read it ends and runs again."""
        self.forget(conversation)
        if (reading := self.readings.get(conversation)) is not None:
            reading.changed()

    def changed_all(self) -> None:
        """Any of them may have been changed."""
        for conversation in {*self._known, *self.readings, *self._arrivals}:
            self.changed(conversation)

    def forget(self, conversation: str) -> None:
        """The copy may differ from the store: the next `get` reads it again."""
        self._known.pop(conversation, None)
        if conversation in self._arrivals:
            self._arrivals[conversation] += 1  # what is being read just now may be of before

    def __len__(self) -> int:
        return len(self._known)

    def lock(self, conversation: str) -> asyncio.Lock:
        """Held while a turn keeps a step, or a message is changed."""
        lock = self._locks.get(conversation)
        if lock is None:
            lock = self._locks[conversation] = asyncio.Lock()
        return lock

    async def _load(self, conversation: ConversationId) -> Working | None:
        while True:
            self._arrivals[conversation] = 0
            try:
                working = await self._read(conversation)
                is_current = not self._arrivals[conversation]
            finally:
                self._arrivals.pop(conversation, None)
            if working is None or is_current:
                break
        if working is not None:
            self._keep(working)
        return working

    async def _read(self, conversation: ConversationId) -> Working | None:
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
        if not rows:
            return None
        found = records.conversation_of(rows[0])
        waiting = await self._store.read(records.UNHANDLED, {"conversation": conversation})
        unhandled = [records.inbound_of(row) for row in waiting]
        last = unhandled[-1].message.seq if unhandled else found.last_seq
        found = replace(found, last_seq=max(found.last_seq, last))
        rows = await self._store.read(
            records.MESSAGES_OF_CASE,
            {
                "conversation": conversation,
                "case": found.case,
                "before": found.last_seq + 1,
                "limit": self._history_most + len(unhandled),
            },
        )
        # A reply may stand after the first unhandled message, which arrived while it was written: it belongs to the past.
        waiting_ids = {inbound.message.id for inbound in unhandled}
        past = [message for row in reversed(rows) if (message := records.message_of(row)).id not in waiting_ids]
        blocks = await self._store.read(BLOCKS_OF_CASE, {"conversation": conversation, "case": found.case})
        return Working(found, unhandled, Past(past, [Block(*row) for row in blocks]))

    def _keep(self, working: Working) -> None:
        self._known[working.conversation.id] = working
        while len(self._known) > self._most:
            self._known.popitem(last=False)
