"""The conversations that are being worked on, kept in memory so that a turn reads nothing it has just been told.

Only committed rows get in. What stands here is a copy and never decides: the unit of work that ends a turn checks owner, version and
the exact rows it handles, and when they differ the copy is dropped and read again.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bot.agent.context import Past
from bot.model import Conversation, ConversationId, Message, Seq
from bot.ports import Store
from bot.store import records
from bot.store.records import Inbound


@dataclass(slots=True)
class Working:
    """One conversation as committed. `unhandled` in seq order; `past` is the case so far, without them."""

    conversation: Conversation
    unhandled: list[Inbound] = field(default_factory=list)
    past: Past = field(default_factory=Past)


class Conversations:
    """The most recently used of them; one that is not here is read from the store."""

    def __init__(self, store: Store, *, most: int = 10_000, history_most: int = 200) -> None:
        self._store = store
        self._most = most
        self._history_most = history_most
        self._known: OrderedDict[str, Working] = OrderedDict()
        self._arrivals: dict[str, int] = {}  # conversations being read: how many messages were committed meanwhile

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

    def handled(self, working: Working, last_seq: Seq, handled: Iterable[Inbound], replies: Iterable[Message]) -> None:
        """A turn was committed: `handled` and `replies` have become history, and `last_seq` is the conversation's last."""
        if self._known.get(working.conversation.id) is not working:
            return
        done = list(handled)
        last = done[-1].message.seq if done else 0
        working.unhandled = [inbound for inbound in working.unhandled if inbound.message.seq > last]
        working.past.extend(inbound.message for inbound in done)
        working.past.extend(replies)
        working.past.keep_newest(self._history_most)
        working.conversation = working.conversation.advanced(last_seq)

    def forget(self, conversation: str) -> None:
        """The copy may differ from the store: the next `get` reads it again."""
        self._known.pop(conversation, None)
        if conversation in self._arrivals:
            self._arrivals[conversation] += 1  # what is being read just now may be of before

    def __len__(self) -> int:
        return len(self._known)

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
        return Working(found, unhandled, Past(past))

    def _keep(self, working: Working) -> None:
        self._known[working.conversation.id] = working
        while len(self._known) > self._most:
            self._known.popitem(last=False)
