"""What happens, told to every open console: read once, encoded once, written to all.

Changes of a tenth of a second go out together. A console that reads too slowly is cut off, and whose session is over is signed out; nobody
waits for anybody. After a failure of the store everybody is told to read everything again.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from bot import rounds
from bot.console import frames
from bot.console.looking import Looking
from bot.errors import FrontdeskError, Refused
from bot.handoff.feed import Feed
from bot.handoff.notice import Notice
from bot.handoff.views_entries import Stream
from bot.handoff.views_rows import Json
from bot.operators.operator import Operator
from bot.ports import Clock

log = logging.getLogger(__name__)

TOGETHER_S: Final = 0.1
FRAME_ROWS: Final = 200
CHECK_S: Final = 2.0  # how soon a changed or disabled account is noticed, at the latest
SESSION_S: Final = 60.0  # how often a session that nothing is known to have happened to is looked at
RECENT_MS: Final = 600_000  # notices that a console is told which has just been opened
NEWEST: Final = 40  # messages of an open conversation that are looked at for changes


class Screen(Protocol):
    """One open console."""

    operator: Operator
    checked_at: float

    def send(self, frame: bytes) -> None: ...

    def cut(self, code: int) -> None: ...

    async def is_still_in(self) -> bool: ...


class Reads(Protocol):
    """What the hub reads (`bot.handoff.views.Views`)."""

    async def rows(self, conversations: list[str]) -> tuple[list[Json], list[str]]: ...

    async def open_consents(self) -> int: ...

    async def is_there(self, conversation: str) -> bool: ...

    async def entries(self, conversation: str, before: int = 0, limit: int = NEWEST) -> Stream: ...

    async def context(self, conversation: str) -> Json: ...

    async def notices(self, operator: str, since_ms: int) -> list[Notice]: ...


class People(Protocol):
    """Who the operators are now (`bot.operators.people.Operators`)."""

    async def all(self) -> list[Operator]: ...


class Hub:
    """Owns the list of open consoles. `run` never returns."""

    def __init__(self, views: Reads, people: People, feed: Feed, clock: Clock) -> None:
        self.looking = Looking(clock, feed.touch)
        self._views = views
        self._people = people
        self._feed = feed
        self._clock = clock
        self._screens: dict[Screen, None] = {}
        self._new: dict[Screen, None] = {}  # who have not been told of the notices of the last minutes
        self._watched: dict[str, _Watched] = {}
        self._consents = -1
        self._has_failed = False

    @property
    def count(self) -> int:
        return len(self._screens)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._relay(), name="console: relay")
            checking = rounds.every(self._clock, CHECK_S, self._check, "sessions of consoles could not be checked")
            tasks.create_task(checking, name="console: sessions")

    # --- screens -----------------------------------------------------------------------------------------------------

    def enter(self, screen: Screen) -> None:
        screen.checked_at = self._clock.monotonic()
        self._screens[screen] = None
        if self._consents >= 0:
            screen.send(frames.consents(self._consents))
        self._new[screen] = None
        self._feed.touch("")  # so that the first of all is told the number of consents

    def leave(self, screen: Screen) -> None:
        self._screens.pop(screen, None)
        self._new.pop(screen, None)

    async def open(self, screen: Screen, conversation: str) -> bool:
        """From now on this console is told what happens there; first the newest of it. False where there is no such conversation."""
        if not await self._views.is_there(conversation):
            return False
        if screen not in self._screens:  # it has gone meanwhile
            return True
        watched = self._watched.setdefault(conversation, _Watched())
        watched.screens[screen] = None
        self.looking.enter(conversation, screen.operator)
        try:
            stream = await self._views.entries(conversation, 0, NEWEST)
        except Refused:  # it is forgotten
            self.shut(screen, conversation)
            return False
        if screen in watched.screens:
            screen.send(self._entries(conversation, list(stream.entries), None))
        return True

    def shut(self, screen: Screen, conversation: str) -> None:
        watched = self._watched.get(conversation)
        if watched is None or screen not in watched.screens:
            return
        del watched.screens[screen]
        if not watched.screens:
            del self._watched[conversation]
        self.looking.leave(conversation, screen.operator)

    def sign_out(self, token_holders: Iterable[Screen]) -> None:
        for screen in list(token_holders):
            screen.cut(frames.SIGNED_OUT)

    def screens(self) -> list[Screen]:
        return list(self._screens)

    # --- what happens ------------------------------------------------------------------------------------------------

    async def _relay(self) -> None:
        with self._feed.listening() as listener:
            while True:
                changed = await listener.batch()
                began = self._clock.monotonic()
                if listener.overflowed:
                    listener.overflowed, self._has_failed = False, True
                if self._screens:
                    await self._tell_safely([each for each in changed if each])
                await self._clock.sleep(max(0.0, TOGETHER_S - (self._clock.monotonic() - began)))

    async def _tell_safely(self, changed: list[str]) -> None:
        try:
            await self._tell(changed)
        except FrontdeskError as error:
            log.warning("consoles were not told of a change, and read everything again soon: %s", error)
            self._has_failed = True
            self._clock.call_later(1.0, lambda: self._feed.touch(""))

    async def _tell(self, changed: list[str]) -> None:
        if self._has_failed:
            count = await self._views.open_consents()  # raises while there is nothing to be read
            self._has_failed = False
            self._broadcast(frames.OVERFLOW + frames.consents(count))
            self._consents = count
        for at in range(0, len(changed), FRAME_ROWS):
            rows, gone = await self._views.rows(changed[at : at + FRAME_ROWS])
            if rows or gone:
                self._broadcast(frames.rows(rows, gone))
        for conversation in changed:
            if conversation in self._watched:
                await self._tell_watchers(conversation)
        if self._new:
            await self._catch_up()
        count = await self._views.open_consents()
        if count != self._consents:
            self._consents = count
            self._broadcast(frames.consents(count))

    def ring(self, notices: Sequence[Notice]) -> None:
        """Tells each notice to the consoles of its operator."""
        for notice in notices:
            frame = frames.notice(notice)
            for screen in [each for each in self._screens if each.operator.id == notice.operator]:
                screen.send(frame)

    async def _catch_up(self) -> None:
        """Whoever was away for a moment misses no notice; a page shows each of them once."""
        since = self._clock.now_ms() - RECENT_MS
        while self._new:
            screen = next(iter(self._new))
            for notice in await self._views.notices(screen.operator.id, since):  # else at the next time
                screen.send(frames.notice(notice))
            self._new.pop(screen, None)

    def _broadcast(self, frame: bytes) -> None:
        for screen in list(self._screens):
            screen.send(frame)

    async def _tell_watchers(self, conversation: str) -> None:
        """What is new or has changed of the newest entries, and the context where it has changed."""
        try:
            stream = await self._views.entries(conversation, 0, NEWEST)
            context = await self._views.context(conversation)
        except Refused:  # it is forgotten
            for screen in list(self._watched[conversation].screens) if conversation in self._watched else ():
                self.shut(screen, conversation)
            return
        watched = self._watched.get(conversation)
        if watched is None:
            return
        frame = self._entries(conversation, watched.changed(stream.entries), watched.changed_context(context))
        for screen in list(watched.screens):
            screen.send(frame)

    def _entries(self, conversation: str, entries: list[Json], context: Json | None) -> bytes:
        frame: Json = {
            "type": "entries",
            "conversation": conversation,
            "entries": entries,
            "lookers": self.looking.lookers(conversation),
            "is_user_typing": self.looking.is_user_typing(conversation),
        }
        return frames.framed(frame if context is None else {**frame, "context": context})

    # --- whose session is over ---------------------------------------------------------------------------------------

    async def _check(self) -> None:
        if self._screens:
            await self.recheck(is_all=False)

    async def recheck(self, *, is_all: bool = True) -> None:
        """Signs out whose account or session is not what it was. Without `is_all`, sessions that nothing is known to have happened to
        are looked at every SESSION_S only."""
        now = {each.id: (each.role, each.is_disabled) for each in await self._people.all()}
        for screen in list(self._screens):
            operator, moment = screen.operator, self._clock.monotonic()
            has_changed = now.get(operator.id) != (operator.role, False)
            if is_all or has_changed or moment - screen.checked_at >= SESSION_S:
                screen.checked_at = moment
                if has_changed or not await screen.is_still_in():
                    screen.cut(frames.SIGNED_OUT)


class _Watched:
    """A conversation that somebody has open: who, and what they were told last."""

    def __init__(self) -> None:
        self.screens: dict[Screen, None] = {}
        self._known: dict[str, int] = {}
        self._context = 0

    def changed(self, entries: Iterable[Json]) -> list[Json]:
        """The entries that are not as they were; all of them the first time, for what came in since the page was read."""
        marks = {each["id"]: _mark(each) for each in entries}
        found = [each for each in entries if self._known.get(each["id"]) != marks[each["id"]]]
        self._known = marks
        return found

    def changed_context(self, context: Json) -> Json | None:
        before, self._context = self._context, _mark(context)
        return context if before != self._context else None


def _mark(value: dict[str, Any]) -> int:
    return hash(json.dumps(value, sort_keys=True))
