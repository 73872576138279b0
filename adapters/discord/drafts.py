"""Answers while they are written: posted once, then edited in place, about once a second.

The house has a durable row for each before the first piece comes. What is shown follows as Discord's limits allow; pieces that come meanwhile
are shown together. A draft shows as much as one message holds.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final

from adapters.discord.calls import UNKNOWN_MESSAGE, CallFailure, Limited, Rejected
from adapters.discord.text import draft_of
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import Address, DraftPosted, MessageId
from bot.ports import Host

if TYPE_CHECKING:
    from adapters.discord.posts import Posts

log = logging.getLogger(__name__)

FIRST_S: Final = 0.3
"""The first words are gathered for so long."""

EDIT_S: Final = 1.0
"""Between two edits of one message: Discord allows about five in five seconds in a channel."""

_FAILED_S: Final = 2.0
_MOST: Final = 1_000  # drafts that are remembered at a time


class Draft:
    """One answer that is being written. `shown`: Discord's id of it, "" before it is there; `lost`: the id of one that somebody
    deleted."""

    def __init__(self, to: Address, message: MessageId) -> None:
        self.to = to
        self.message = message
        self.pieces: list[str] = []
        self.shown = ""
        self.lost = ""
        self.is_ended = False
        self.changed = asyncio.Event()
        self.busy = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None


class Drafts:
    """What is known of the drafts of one account; outlives a run, the tasks that show them do not."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._drafts: OrderedDict[MessageId, Draft] = OrderedDict()

    def add(
        self,
        to: Address,
        message: MessageId,
        piece: str,
        posts: "Posts | None",
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None] | None] | None,
    ) -> None:
        """The next piece. Without `posts`, while nothing can be shown, it is only kept."""
        draft = self._drafts.get(message)
        if draft is None:
            draft = self._drafts[message] = Draft(to, message)
            if len(self._drafts) > _MOST:
                self._drafts.popitem(last=False)
        draft.pieces.append(piece)
        draft.changed.set()
        if posts is None or spawn is None or draft.is_ended:
            return
        if draft.task is None or draft.task.done():
            draft.task = spawn(self._write(draft, posts))

    async def settle(self, message: MessageId) -> str:
        """Ends the showing, once a request that is under way is answered. Returns Discord's id of the draft, "" for none."""
        draft = self._drafts.get(message)
        if draft is None:
            return ""
        draft.is_ended = True
        async with draft.busy:
            if draft.task is not None:
                draft.task.cancel()
        return draft.shown or draft.lost

    def forget(self, message: MessageId) -> None:
        self._drafts.pop(message, None)

    async def _write(self, draft: Draft, posts: "Posts") -> None:
        clock = self._host.clock
        text = ""
        await clock.sleep(FIRST_S)
        while not draft.is_ended and not draft.lost:
            draft.changed.clear()
            draft.pieces = ["".join(draft.pieces)]
            newest = draft_of(draft.pieces[0])
            wait_s = EDIT_S
            if newest and newest != text:
                wait_s = await self._show(draft, posts, newest)
                text = newest if wait_s == EDIT_S else text
            await clock.sleep(wait_s)
            if newest == text:
                await draft.changed.wait()

    async def _show(self, draft: Draft, posts: "Posts", text: str) -> float:
        """Shows the newest text, unless the draft was ended meanwhile; returns after how many seconds it may be changed again."""
        async with draft.busy:
            return EDIT_S if draft.is_ended else await self._ask(draft, posts, text)

    async def _ask(self, draft: Draft, posts: "Posts", text: str) -> float:
        try:
            id_ = await posts.show(draft.to, draft.message, text, draft.shown)
        except Limited as limited:
            return max(limited.retry_after_s, EDIT_S + 0.001)
        except Rejected as rejected:
            draft.is_ended = rejected.code != UNKNOWN_MESSAGE
            draft.lost = draft.shown
            draft.shown = ""
            log.info("a draft is not shown any further: %s", rejected)
            return EDIT_S
        except CallFailure as failure:
            log.info("a draft is shown later: %s", failure)
            return _FAILED_S
        if not draft.shown:
            draft.shown = id_
            await self._announce(draft)
        return EDIT_S

    async def _announce(self, draft: Draft) -> None:
        try:
            await self._host.receive(DraftPosted(draft.to, draft.message, draft.shown))
        except (StoreUnavailable, Overloaded, Refused) as failure:
            log.warning("the id of a draft was not kept, it is found by its key: %s", failure)
