"""The console as one part of the daemon: its routes for the private listener, and the task that tells consoles what happens."""

from collections.abc import Sequence
from pathlib import Path

from bot.console.api import Api
from bot.console.asking import of_anyone
from bot.console.entering import Entering
from bot.console.files import Files
from bot.console.hub import Hub
from bot.console.pages import STATIC, Pages
from bot.console.room import Room
from bot.console.socket import Sockets
from bot.handoff.feed import Feed
from bot.handoff.views_rows import Around
from bot.ports import Route


class Console:
    """`run` never returns; without it, pages work and are told nothing."""

    def __init__(self, room: Room, feed: Feed, static: Path = STATIC) -> None:
        self.hub = Hub(room.views, room.operators, feed, room.clock)
        room.views.around = Around(
            self.hub.looking.names, lambda channel, account: round(room.settings().window_s(channel, account) * 1000)
        )
        sockets = Sockets(room, self.hub)
        self._routes = [
            *Pages(static).routes(),
            *Entering(room, sockets.sign_out).routes(),
            *Api(room, feed.touch).routes(),
            *Files(room).routes(),
            Route("GET", "/console/ws", of_anyone(sockets.serve)),
        ]

    def routes(self) -> Sequence[Route]:
        return self._routes

    async def run(self) -> None:
        await self.hub.run()

    def user_is_typing(self, conversation: str) -> None:
        """Shown to those who have the conversation open, for a few seconds."""
        self.hub.looking.types(conversation)

    async def recheck(self) -> None:
        """Somebody's role or account has changed: whoever may not be here any more is signed out now."""
        await self.hub.recheck()
