"""What was said while no event could reach us, fetched from Slack's history after every gap.

It may fetch too much: the house knows every message by its id. It is bounded in age, in rooms and in pages, and waits as long as Slack's
rate limits want.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from adapters.slack.events import Said, ms_of, text_of, ts_of
from adapters.slack.faults import CallFailed
from adapters.slack.inbound import SEEN, Inbound, said_in
from adapters.slack.pages import PAGE, next_cursor
from adapters.slack.room import OperatorsRoom
from bot.errors import Overloaded, StoreUnavailable
from bot.model import Bookmark

log = logging.getLogger(__name__)

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

MOST_AGE_MS: Final = 24 * 3_600_000  # older questions are not answered any more
OVERLAP_MS: Final = 300_000  # what was on its way when the last event was stored
MOST_ROOMS: Final = 200
MOST_PAGES: Final = 5
_TRIES: Final = 10
_NOT_THERE: Final = {"channel_not_found", "not_in_channel", "thread_not_found", "message_not_found"}
_WAIT_S: Final = 60.0
_AGAIN_S: Final = (1.0, 5.0, 15.0, 60.0)  # between two tries to store what was fetched
GAP: Final = "gap"  # the bookmark: from when on it is not read what was missed, in ms; "" where nothing is left


class Backfill:
    """One account's look back."""

    def __init__(self, inbound: Inbound, operators: OperatorsRoom) -> None:
        self._in = inbound
        self._operators = operators

    async def run(self) -> None:
        """Takes up what was missed since the last stored event, again until it is stored; the first run of all only notes when it began.
        Never raises for Slack."""
        tries = 0
        while not await self._is_done():
            await self._in.host.clock.sleep(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)])
            tries += 1

    async def _is_done(self) -> bool:
        """The gap stays on record until it is read: what comes meanwhile moves the other bookmark on."""
        host = self._in.host
        now_ms = host.clock.now_ms()
        try:
            since_ms = await self._since(now_ms)
            if since_ms:
                await host.keep(Bookmark(GAP, str(since_ms)))
                await self._look_back(since_ms)
            await host.keep(Bookmark(SEEN, str(now_ms)))
            if since_ms:
                await host.keep(Bookmark(GAP, ""))
        except CallFailed as failed:
            log.warning("what was missed could not be fetched whole: %s", failed)
        except (StoreUnavailable, Overloaded, TimeoutError) as error:
            log.warning("what was missed could not be stored yet: %s", error or "too slow")
            return False
        return True

    async def _since(self, now_ms: int) -> int:
        """Where to begin; 0 where nothing was ever stored."""
        marks = await self._in.host.bookmarks()
        seen_ms, gap_ms = _number(marks.get(SEEN, "")), _number(marks.get(GAP, ""))
        begins = [ms for ms in (seen_ms - OVERLAP_MS if seen_ms else 0, gap_ms) if ms]
        return max(min(begins), now_ms - MOST_AGE_MS) if begins else 0

    async def _look_back(self, since_ms: int) -> None:
        async for room in self._rooms():
            async with _left_out(room):
                await self._room(room, since_ms)
        await self._threads(since_ms)

    async def _rooms(self) -> AsyncIterator[str]:
        """The direct chats of the bot and the channels it is in; where Slack does not list them, those in which the house talks."""
        rooms: dict[str, None] = {}
        async with _left_out("the list of rooms"):
            async for page in self._pages(
                "users_conversations", types="im,mpim,public_channel,private_channel", exclude_archived=True
            ):
                found = [text_of(room, "id") for room in page.get("channels") or () if isinstance(room, Mapping)]
                rooms |= dict.fromkeys(filter(None, found))
        if not rooms:
            since_ms = self._in.host.clock.now_ms() - MOST_AGE_MS
            rooms = dict.fromkeys(recent.at.chat for recent in await self._in.host.recent(since_ms, MOST_ROOMS))
        for room in list(rooms)[:MOST_ROOMS]:
            yield room

    async def _room(self, channel: str, since_ms: int) -> None:
        """Cards are older than what is said in their threads: in the operators' room it looks farther back for them."""
        late: list[Said] = []
        replied: list[str] = []
        begin_ms = max(0, since_ms - MOST_AGE_MS) if self._operators.is_here(channel) else since_ms
        async for page in self._pages("conversations_history", channel=channel, oldest=ts_of(begin_ms)):
            late += said_in(page, self._in.me, self._in.me.team, channel)
            replied += _replied(page, since_ms)
        await self._take([each for each in late if ms_of(each.ts) >= since_ms])
        for thread in replied:
            await self._thread(channel, thread, since_ms)

    async def _threads(self, since_ms: int) -> None:
        """Threads whose root is older than the gap do not show in a history; the house knows those in which it talks."""
        for recent in await self._in.host.recent(max(0, since_ms - MOST_AGE_MS), MOST_ROOMS):
            if recent.at.thread and ms_of(recent.at.thread) < since_ms:
                async with _left_out(recent.at.chat):
                    await self._thread(recent.at.chat, recent.at.thread, since_ms)

    async def _thread(self, channel: str, thread: str, since_ms: int) -> None:
        late: list[Said] = []
        async for page in self._pages("conversations_replies", channel=channel, ts=thread, oldest=ts_of(since_ms)):
            late += said_in(page, self._in.me, self._in.me.team, channel)
        await self._take([each for each in late if ms_of(each.ts) >= since_ms])

    async def _take(self, late: list[Said]) -> None:
        for each in sorted(late, key=lambda found: ms_of(found.ts)):
            if self._operators.is_here(each.channel):
                await self._operators.take_said(each, is_late=True)
                continue
            if each.is_addressed:
                await self._in.take_said(each, is_late=True)
            if each.edited_ts:
                await self._in.take_edit(each)

    async def _pages(self, method: str, **arguments: object) -> AsyncIterator[Json]:
        """Pages of a list, as slowly as Slack wants. Empty for a room that is gone."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._page(method, cursor, **arguments)
            yield page
            cursor = next_cursor(page) or None
            if cursor is None:
                return

    async def _page(self, method: str, cursor: str | None, **arguments: object) -> Json:
        for _ in range(_TRIES):
            try:
                return await self._in.api.call(method, cursor=cursor, limit=PAGE, **arguments)
            except CallFailed as failed:
                if failed.code in _NOT_THERE:
                    return {}
                if failed.is_settled and failed.retry_after_s is None:
                    raise
                await self._in.host.clock.sleep(min(failed.retry_after_s or 1.0, _WAIT_S))
        raise CallFailed("ratelimited", "Slack's rate limit, over and over", is_certain=True)


@asynccontextmanager
async def _left_out(what: str) -> AsyncIterator[None]:
    """What Slack does not show us is left out; the rest is not."""
    try:
        yield
    except CallFailed as failed:
        if failed.is_token or not failed.is_settled:
            raise
        log.info("%s could not be looked through: %s", what, failed)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _replied(page: Json, since_ms: int) -> list[str]:
    """The roots whose threads have grown since."""
    return [
        text_of(post, "ts")
        for post in page.get("messages") or ()
        if isinstance(post, Mapping) and ms_of(text_of(post, "latest_reply")) >= since_ms
    ]
