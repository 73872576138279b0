"""One adapter in one workspace: Slack's own libraries on our side, a server of the protocol on the other."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from adapters.slack import Account
from adapters.slack.adapter import SlackAdapter
from bot.clock import SystemClock
from bot.model import (
    Address,
    Author,
    Message,
    MessageId,
    MessageReceived,
    Seq,
)
from bot.ports import ChannelState
from tests.platforms.slack.server import Site, SlackServer
from tests.platforms.slack.world import Post
from tests.slack.house import OneHouse
from tests.store.database import until


class Rig:
    """The adapter runs between `start` and `stop`; the platform goes on."""

    def __init__(self, server: SlackServer, site: Site, mode: str = "socket", **settings: Any) -> None:
        self.server, self.site = server, site
        self.space, self.people = site.space, site.people
        self.anna = self.space.add_person("Anna")
        self.room = self.space.direct(self.anna)
        self.settings = Account.model_validate(
            {
                "enabled": True,
                "mode": mode,
                "bot_token": self.space.bot_token,
                "app_token": self.space.app_token,
                "signing_secret": self.space.signing_secret,
                "api_url": server.api_url,
                "greeting": "",
            }
            | settings
        )
        self.house = OneHouse(SystemClock())
        self.adapter = SlackAdapter(self.settings, self.house)
        self.task: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self._count = 0

    async def start(self) -> None:
        """Returns once the adapter is connected."""
        self.house.reports.clear()
        if self.settings.mode == "http":
            await self._listen()
        self.task = asyncio.create_task(self.adapter.run())
        await until(lambda: self.is_up() or self.is_over())
        if self.is_over():
            await self.task

    def is_up(self) -> bool:
        return bool(self.house.reports) and self.house.reports[-1][0] is ChannelState.UP

    def is_over(self) -> bool:
        return self.task is not None and self.task.done()

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.task
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        """The process dies and another begins: only what is stored is known."""
        await self.stop()
        self.adapter = SlackAdapter(self.settings, self.house)
        await self.start()

    async def _listen(self) -> None:
        app = web.Application()
        for route in self.adapter.routes():
            app.router.add_route(route.method, route.path, route.handler)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.site.delivery.mode = "http"
        self.site.delivery.http.url = f"http://127.0.0.1:{port}/webhooks/slack"

    # --- what is said ----------------------------------------------------------------------------------------------

    async def heard(self, count: int = 1) -> list[MessageReceived]:
        """The messages that the house has, once there are as many."""
        await until(lambda: len(self.house.of(MessageReceived)) >= count)
        return self.house.of(MessageReceived)

    def message(self, text: str, **more: Any) -> Message:
        """An answer of the agent."""
        self._count += 1
        id_ = more.pop("id", MessageId(f"m{self._count}"))
        author = more.pop("author", Author.AGENT)
        return Message(id_, Seq(self._count), author, text, self.house.clock.now_ms(), **more)

    def direct(self, thread: str = "") -> Address:
        return Address("slack", "", self.room.id, thread)

    def ours(self, room: str = "") -> list[Post]:
        """What people see of us in a room."""
        return [
            post
            for post in self.space.all_posts(room or self.room.id)
            if post.user == self.space.bot.id and post.subtype != "assistant_app_thread" and not post.only_for
        ]

    async def shown(self, is_so: Callable[[list[Post]], bool], room: str = "") -> list[Post]:
        await until(lambda: is_so(self.ours(room)))
        return self.ours(room)
