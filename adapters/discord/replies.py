"""What the person who did something sees of it: the first answer within 3 seconds, and what became of it within 15 minutes."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from discord.http import Route

from adapters.discord.calls import ALREADY_ANSWERED, CallFailure, Limited, Rejected
from adapters.discord.payloads import Interaction
from adapters.discord.wire import Wire

log = logging.getLogger(__name__)

MESSAGE: Final = 4
MESSAGE_LATER: Final = 5
CHANGE_LATER: Final = 6
MODAL: Final = 9
"""Types of first answers: Discord's documentation, "Receiving and Responding"."""

NO_PINGS: Final[Mapping[str, tuple[str, ...]]] = {"parse": ()}
NO_EMBEDS: Final = 1 << 2
FOR_ONE: Final = 1 << 6
"""Discord's documentation, "Message Flags": SUPPRESS_EMBEDS, EPHEMERAL."""

_TRIES: Final = 2


class Replies:
    """One account's answers to interactions. Best effort: none raises."""

    def __init__(self, wire: Wire, application: str) -> None:
        self._wire = wire
        self.application = application

    async def defer(self, one: Interaction, kind: int, *, is_private: bool) -> bool:
        """Says that an answer follows; `is_private`: only that person sees it. False: it came too late."""
        return await self._first(one, kind, {"flags": FOR_ONE} if is_private else None)

    async def tell(self, one: Interaction, text: str) -> bool:
        """Answers at once, to that person alone."""
        flags = NO_EMBEDS | FOR_ONE
        return await self._first(one, MESSAGE, {"content": text, "allowed_mentions": NO_PINGS, "flags": flags})

    async def open(self, one: Interaction, modal: Mapping[str, Any]) -> bool:
        """Opens a form."""
        return await self._first(one, MODAL, modal)

    async def say(self, one: Interaction, text: str, *, is_private: bool = False) -> None:
        """In the place of what was deferred, or (`is_private`) beside it, to that person alone."""
        body: dict[str, Any] = {"content": text, "allowed_mentions": NO_PINGS}
        if is_private:
            route = Route(
                "POST",
                "/webhooks/{webhook_id}/{webhook_token}",
                webhook_id=one.application_id or self.application,
                webhook_token=one.token,
            )
            body["flags"] = NO_EMBEDS | FOR_ONE
        else:
            route = self.original("PATCH", one)
            body["flags"] = NO_EMBEDS
        try:
            await self._wire.request(route, json=body)
        except CallFailure as failure:
            log.info("what became of an interaction was not shown: %s", failure)

    def original(self, method: str, one: Interaction) -> Route:
        """The first answer."""
        return Route(
            method,
            "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
            webhook_id=one.application_id or self.application,
            webhook_token=one.token,
        )

    async def _first(self, one: Interaction, kind: int, data: Mapping[str, Any] | None) -> bool:
        """Asked once more where no answer came: Discord says whether it was answered by then."""
        route = Route(
            "POST", "/interactions/{webhook_id}/{webhook_token}/callback", webhook_id=one.id, webhook_token=one.token
        )
        body: dict[str, Any] = {"type": kind} if data is None else {"type": kind, "data": data}
        for tried in range(_TRIES):
            try:
                await self._wire.request(route, json=body)
            except Rejected as rejected:
                log.info("an interaction was answered before, or came too late: %s", rejected)
                return rejected.code == ALREADY_ANSWERED
            except CallFailure as failure:
                log.warning("an interaction could not be answered: %s", failure)
                if isinstance(failure, Limited) or tried + 1 == _TRIES:
                    return False
            else:
                return True
        return False
