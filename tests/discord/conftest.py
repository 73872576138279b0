"""A protocol server, and desks that are closed at the end of each test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.discord.house import Desk, FakeHost
from tests.platforms.discord.server import DiscordServer

Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    made = DiscordServer()
    made.gateway.max_concurrency = 16
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def opened(server: DiscordServer) -> AsyncIterator[Open]:
    desks: list[Desk] = []

    async def open_(host: FakeHost | None = None, **settings: Any) -> Desk:
        desks.append(Desk(server, host, **settings))
        return await desks[-1].start()

    yield open_
    for desk in desks:
        await desk.stop()
