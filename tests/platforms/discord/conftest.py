"""A server, and a client of the real discord.py that is connected to it."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import yarl

from tests.platforms.discord.server import DiscordServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's voice part imports audioop
    import discord
    from discord.gateway import DiscordWebSocket
    from discord.http import Route


class Bot(discord.Client):
    """Writes down what it hears. The raw events are those of the SDK."""

    def __init__(self, **options: Any) -> None:  # the SDK's own options
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(**{"intents": intents, "guild_ready_timeout": 0.05, **options})
        self.heard: list[discord.Message] = []
        self.events: list[tuple[str, Any]] = []  # events of many types, as the SDK gives them
        self._waiting: list[asyncio.Future[None]] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The SDK waits 5 seconds here; the tests allow for more than one identify in that time."""

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        super().dispatch(event, *args, **kwargs)
        self.events.append((event, args[0] if args else None))
        if event == "message":
            self.heard.append(args[0])
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def wait(self, event: str, count: int = 1) -> Any:
        """The last of so many events of that name."""
        async with asyncio.timeout(10):
            while len(found := [value for name, value in self.events if name == event]) < count:
                self._waiting.append(asyncio.get_running_loop().create_future())
                await self._waiting[-1]
        return found[count - 1]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    made = DiscordServer()
    await made.start()
    monkeypatch.setattr(Route, "BASE", made.api_url)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(made.gateway_url))
    yield made
    await made.stop()


@pytest.fixture
async def bot(server: DiscordServer) -> AsyncIterator[Bot]:
    client = Bot()
    running = asyncio.create_task(client.start(server.token))
    await server.gateway.wait_live()
    yield client
    await client.close()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
