"""The console as one part of the daemon: its routes for the private listener, and the task that tells consoles what happens."""

import asyncio
from collections.abc import Sequence

from bot.console.api import Api
from bot.console.asking import of_anyone
from bot.console.entering import Entering
from bot.console.files import Files
from bot.console.gaps import GapPages
from bot.console.hub import Hub
from bot.console.knowledge import Knowledge
from bot.console.pages import Pages
from bot.console.persons import Persons
from bot.console.presence import Presences
from bot.console.room import Room
from bot.console.socket import Sockets
from bot.gaps.gaps import Gaps
from bot.handoff.feed import Feed
from bot.handoff.views_rows import Around
from bot.ports import Route


class Console:
    """`run` never returns; without it, pages work and are told nothing."""

    def __init__(self, room: Room, feed: Feed, gaps: Gaps) -> None:
        self.hub = Hub(room.views, room.operators, feed, room.clock)
        room.views.around = Around(
            self.hub.looking.names, lambda channel, account: round(room.settings().window_s(channel, account) * 1000)
        )
        self._presences = Presences(room.operators, room.clock)
        self._knowledge = Knowledge(room)
        sockets = Sockets(room, self.hub, self._presences)
        self._routes = [
            *Pages().routes(),
            *Entering(room, sockets.sign_out).routes(),
            *Api(room, self._presences).routes(),
            *Files(room).routes(),
            *Persons(room).routes(),
            *self._knowledge.routes(),
            *GapPages(room, gaps).routes(),
            Route("GET", "/console/ws", of_anyone(sockets.serve)),
        ]

    def routes(self) -> Sequence[Route]:
        return self._routes

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.hub.run(), name="console: hub")
                tasks.create_task(self._presences.run(), name="console: presence")
        finally:
            await self._knowledge.close()

    def user_is_typing(self, conversation: str) -> None:
        """Shown to those who have the conversation open, for a few seconds."""
        self.hub.looking.types(conversation)

    async def recheck(self) -> None:
        """Somebody's role or account has changed: whoever may not be here any more is signed out now."""
        await self.hub.recheck()
