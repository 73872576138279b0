"""Memory as the rest of the house sees it: recalled before a model is asked, shown to and forgotten for its user."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bot import ids
from bot.agent.context import NOTHING, Recalled
from bot.channels import Channel, channel_at
from bot.conversations import Conversations, Working
from bot.delivery import Delivery
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.handoff.requests import say
from bot.memory import telling
from bot.memory.job import Keeper
from bot.memory.recall import Limits, recalled
from bot.memory.wishes import Wanted, Wish, wanted
from bot.model import Accepted, Conversation, ForgetRequested, Identity, Message, MessageId
from bot.people.giving import Answered, Copies
from bot.ports import Clock, Cursor, Store
from bot.store import memory, records
from bot.store.records import Inbound

log = logging.getLogger(__name__)

EPISODES_READ = 400  # of one user, the newest
_IDENTITY = "SELECT channel, account, external_id, name FROM identities WHERE id = :id"


class Memory:
    """`agents`: those that remember. `forget`: takes the person's wish to be forgotten, as if it had come from the platform."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        delivery: Delivery,
        channels: Mapping[str, Channel],
        keeper: Keeper,
        agents: Collection[str],
        limits: Limits,
        forget: Callable[[ForgetRequested], Awaitable[Accepted]],
        copies: Copies,
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._delivery = delivery
        self._channels = channels
        self._keeper = keeper
        self._agents = agents
        self._limits = limits
        self._forget = forget
        self._copies = copies

    def is_on(self, agent: str) -> bool:
        return agent in self._agents

    def grown(self, working: Working) -> None:
        """A turn has ended: a case that has become long is summarised, by and by."""
        self._keeper.grown(working.conversation, working.past.chars)

    # --- for models ----------------------------------------------------------------------------------------------------

    async def recall(self, conversation: str, read: Sequence[Inbound]) -> Recalled:
        """What a model is shown of the one who wrote what was read; empty where others read along, several wrote, or nothing is known. An answer
        does not wait for memory that cannot be read."""
        people = {inbound.identity for inbound in read}
        if len(people) != 1:
            return NOTHING
        try:
            return await self._recall(conversation, people.pop(), [inbound.message for inbound in read])
        except (StoreUnavailable, Overloaded) as error:
            log.warning("nothing is recalled: %s", type(error).__name__)
            return NOTHING

    async def _recall(self, conversation: str, identity: str, asked: Sequence[Message]) -> Recalled:
        text = "\n".join(message.text for message in asked if not message.is_deleted)
        return await recollection(self._store, conversation, identity, text, self._clock.now_ms(), self._limits)

    # --- for users -----------------------------------------------------------------------------------------------------

    async def obey(self, conversation: Conversation, read: Sequence[Inbound]) -> Answered | None:
        """What comes of a user's messages that are nothing but wishes about their data; None for any other. With the text "" everything was
        forgotten, the user has been told so, and what was read is no more."""
        wishes = _wishes_of(read)
        if not wishes:
            return None
        told: list[str] = []
        copy: Answered | None = None
        for inbound, wish in wishes:
            if wish.wish is Wish.FORGET_ALL:
                return Answered(await self._forget_all(conversation, inbound, wish))
            if wish.wish is Wish.EXPORT:
                copy = copy or await self._copies.answer(conversation, inbound.identity, wish.language)
                continue
            one = await self._store.run(
                telling.obey, conversation.id, inbound.identity, inbound.message.id, wish, self._clock.now_ms()
            )
            if one is None:
                return None
            told.append(one)
        if copy is None:
            return Answered("\n\n".join(told))
        return replace(copy, text="\n\n".join([*told, copy.text]))

    async def _forget_all(self, conversation: Conversation, inbound: Inbound, wish: Wanted) -> str:
        rows = await self._store.read(_IDENTITY, {"id": inbound.identity})
        channel, account, external_id, name = rows[0]
        try:
            await self._forget(ForgetRequested(Identity(channel, account, external_id, name), conversation.address))
        except Refused as refused:
            return refused.detail
        found = self._channels.get(channel_at(conversation.address))
        is_deduped = found is not None and found.limits.is_deduped
        text = telling.WORDS[wish.language].everything
        message = await self._store.run(
            confirm, conversation.id, inbound.message.id, text, self._clock.now_ms(), is_deduped
        )
        if message is not None:
            self._conversations.forget(conversation.id)
            await self._delivery.planned(conversation, message)
        return ""


async def recollection(
    store: Store, conversation: str, identity: str, asked: str, now_ms: int, limits: Limits
) -> Recalled:
    """What a model is shown of a person for what they ask there; empty where others read along."""
    readers = await store.read(memory.READERS, {"conversation": conversation})
    if not readers or not telling.is_private_row(*readers[0]):
        return NOTHING
    known = await store.read(memory.FACTS, {"identity": identity, "now": now_ms})
    cases = await store.read(memory.EPISODES, {"identity": identity, "limit": EPISODES_READ})
    return recalled(
        [memory.fact_of(row) for row in known], [memory.episode_of(row) for row in cases], asked, now_ms, limits
    )


def _wishes_of(read: Sequence[Inbound]) -> list[tuple[Inbound, Wanted]]:
    """Each message with its wish; none where one of them is anything else."""
    wishes = []
    for inbound in read:
        if inbound.message.is_deleted:
            continue
        wish = _wish_of(inbound)
        if wish is None:
            return []
        wishes.append((inbound, wish))
    return wishes


def _wish_of(inbound: Inbound) -> Wanted | None:
    if inbound.button or not inbound.identity or inbound.message.attachments:
        return None
    return wanted(inbound.message.text)


def confirm(
    cursor: Cursor, conversation: str, asked: MessageId, text: str, now_ms: int, is_deduped: bool
) -> Message | None:
    """A unit of work: says once that everything was forgotten. None where it has been said, or was not carried out: then the person has
    been told why."""
    id_ = MessageId(ids.derived_id("forgotten", asked))
    wish = cursor.fetch("SELECT is_deleted FROM messages WHERE id = :id", {"id": asked})
    if cursor.fetch(records.MESSAGE_KEY, {"id": id_}) or (wish and not wish[0][0]):
        return None
    found = records.conversation_of(cursor.fetch(records.CONVERSATION_BY_ID, {"id": conversation})[0])
    return say(cursor, found, text, id_, now_ms, is_deduped=is_deduped)
