"""What a user sees of a handoff while it goes on: who has the conversation, and the place in the queue. Best effort: what is missed here the next
`welcome` says.
"""

import logging
from collections.abc import Mapping
from typing import Final

from bot.channels import Channel, channel_at
from bot.errors import FrontdeskError
from bot.handoff.feed import Feed
from bot.handoff.machine import AWAITING
from bot.handoff.names import shown
from bot.handoff.requests import FIGURES_MS, room_of
from bot.handoff.waiting import expected_wait_s
from bot.model import AGENT_OWNER, QUEUE_OWNER, Conversation
from bot.operators.people import Operators
from bot.ports import Clock, Store, Value
from bot.store import handoffs, records
from bot.store.handoffs import Record

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.2  # between two rounds: places in a queue need not be right at once
REMEMBERED: Final = 20_000
OPERATOR: Final = "operator"
_NOT_AGENTS: Final = "SELECT id, owner FROM conversations WHERE owner <> 'agent' AND kind = '' LIMIT :limit"


class Signs:
    """Tells the channels that can show it."""

    def __init__(
        self, store: Store, clock: Clock, feed: Feed, channels: Mapping[str, Channel], operators: Operators
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._channels = channels
        self._operators = operators
        self._owners: dict[str, str] = {}  # what was told last, of conversations that are not the agent's
        self._places: dict[str, tuple[int, int | None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        with self._feed.listening(is_of_handoffs=True) as listener:
            await self._take_up()
            while True:
                changed = await listener.batch()
                listener.overflowed = False
                try:
                    for conversation in changed:
                        await self._tell(conversation)
                    await self._tell_places()
                except FrontdeskError as error:
                    log.warning("users are not told who has their conversation: %s", error)
                await self._clock.sleep(PAUSE_S)

    async def _take_up(self) -> None:
        """What pages were told before this start."""
        try:
            self._owners = dict(await self._store.read(_NOT_AGENTS, {"limit": REMEMBERED}))
        except FrontdeskError as error:
            log.warning("who has which conversation is told from the next change on: %s", error)

    async def owner_name(self, found: Conversation) -> str:
        """The name of the operator who has it, as users see it."""
        if found.owner in (AGENT_OWNER, QUEUE_OWNER):
            return ""
        operator = await self._operators.by_id(found.owner)
        return shown(operator.name) if operator is not None else ""

    async def _tell(self, conversation: str) -> None:
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
        if not rows:
            return
        found = records.conversation_of(rows[0])
        channel = self._channels.get(channel_at(found.address))
        if found.owner == self._owners.get(conversation, AGENT_OWNER):
            return
        self._owners[conversation] = found.owner
        if found.owner == AGENT_OWNER or len(self._owners) > REMEMBERED:
            del self._owners[conversation]
        if channel is not None and channel.shows_owner is not None:
            owner = found.owner if found.owner in (AGENT_OWNER, QUEUE_OWNER) else OPERATOR
            await channel.shows_owner.owner_changed(found.address, owner, await self.owner_name(found))

    async def _tell_places(self) -> None:
        queue = [handoffs.record_of(row) for row in await self._store.read(handoffs.QUEUE)]
        if not queue and not self._places:
            return
        since: dict[str, Value] = {"since": self._clock.now_ms() - FIGURES_MS}
        waits = [row[0] / 1000 for row in await self._store.read(handoffs.RECENT_WAITS, since)]
        handling = [row[0] / 1000 for row in await self._store.read(handoffs.RECENT_HANDLING, since)]
        people = await self._operators.all()
        room = room_of(people)
        for place, record in enumerate(queue, 1):  # which is in order
            if record.state.stage in AWAITING:
                await self._tell_place(record, (place, expected_wait_s(place, waits, handling, room)))
        waiting = {record.conversation for record in queue}
        self._places = {key: place for key, place in self._places.items() if key in waiting}

    async def _tell_place(self, record: Record, place: tuple[int, int | None]) -> None:
        if self._places.get(record.conversation) == place:
            return
        self._places[record.conversation] = place
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": record.conversation})
        if not rows:
            return  # erased meanwhile
        found = records.conversation_of(rows[0])
        channel = self._channels.get(channel_at(found.address))
        if channel is not None and channel.shows_owner is not None:
            await channel.shows_owner.queued(found.address, *place)
