"""What was said while no session stood: read where we are in a conversation, and where something new is.

Reading too much does no harm, for the house knows each message by its id. Direct messages of people who never wrote before cannot be
found so: Discord does not list them.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from adapters.discord.calls import CallFailure, Rejected, patiently
from adapters.discord.inbound import Inbound
from adapters.discord.payloads import GROUPS, TEXTS, Guild, Said, id_at, time_ms
from adapters.discord.posts import said
from adapters.discord.rooms import Rooms
from adapters.discord.wire import Wire
from bot.model import Recent
from bot.ports import Clock

log = logging.getLogger(__name__)

LONGEST_MS: Final = 7 * 24 * 3600 * 1000
"""What is older is not looked for."""

PLACES: Final = 200
_OVERLAP_MS: Final = 5 * 60 * 1000
_PAGE: Final = 100
_PAGES: Final = 5
_IN_A_SERVER: Final = 50


def places(recent: Iterable[Recent]) -> Sequence[str]:
    """The channels and threads of these addresses, each once."""
    return list(dict.fromkeys(one.at.thread or one.at.chat for one in recent))


def news(guild: Guild, since_ms: int, operators: str = "") -> Sequence[str]:
    """The channels of a server in which something was said since then, the newest first; all of those where operators work come before."""
    since = int(id_at(since_ms))
    channels = [one for one in [*guild.channels, *guild.threads] if one.type in TEXTS | GROUPS]
    newest = sorted(channels, key=lambda one: int(one.last_message_id), reverse=True)
    fresh = [one for one in newest if int(one.last_message_id) >= since]
    desk = [one.id for one in fresh if operators and operators in (one.id, one.parent_id)]
    return [*desk, *[one.id for one in fresh if one.id not in desk][:_IN_A_SERVER]]


class Backfill:
    """Reads channels again and hands what it finds to `inbound`."""

    def __init__(self, clock: Clock, wire: Wire, rooms: Rooms, inbound: Inbound) -> None:
        self._clock = clock
        self._wire = wire
        self._rooms = rooms
        self._inbound = inbound

    async def read(self, channel: str, since_ms: int) -> bool:
        """Everything in a channel since then, oldest first. False: it could not be read."""
        after = id_at(since_ms - _OVERLAP_MS)
        try:
            room = await self._rooms.room(channel)
            for _ in range(_PAGES):
                page = await self._page(channel, after)
                for raw in page:
                    one = raw.model_copy(update={"guild_id": room.space})
                    await self._inbound.message(one, _unmarked)
                    if time_ms(one.edited_timestamp) >= since_ms:
                        await self._inbound.edited(one, _unmarked)
                if len(page) < _PAGE:
                    break
                after = page[-1].id
        except Rejected as rejected:
            log.info("channel %s can no longer be read: %s", channel, rejected)
        except CallFailure as failure:
            log.warning("what was missed in channel %s could not be read: %s", channel, failure)
            return False
        return True

    async def _page(self, channel: str, after: str) -> Sequence[Said]:
        raw = await patiently(self._clock, lambda: self._wire.logs_from(channel, _PAGE, after=after))
        return sorted(map(said, raw), key=lambda one: int(one.id))


def _unmarked() -> None:
    """What was missed belongs to no session."""
