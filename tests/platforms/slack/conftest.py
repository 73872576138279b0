"""A server with one workspace, and an app of Slack's own libraries that is pointed at it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.platforms.slack.server import Site, SlackServer
from tests.platforms.slack.world import Json


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer(ack_s=0.5, retries_s=(0.0, 30.0)) as started:
        yield started


@pytest.fixture
def site(server: SlackServer) -> Site:
    return server.add_workspace("acme")


def client_of(server: SlackServer, site: Site) -> AsyncWebClient:
    return AsyncWebClient(site.space.bot_token, base_url=server.api_url)


@pytest.fixture
def client(server: SlackServer, site: Site) -> AsyncWebClient:
    return client_of(server, site)


class App:
    """A Bolt app that takes everything and writes down what it got. While `is_slow` it acknowledges nothing in time."""

    def __init__(self, server: SlackServer, site: Site) -> None:
        self._server, self._site = server, site
        self.got: list[Json] = []
        self.is_slow = False
        self.answer: Json | None = None  # with the acknowledgement of an interaction
        self.bolt = AsyncApp(
            client=client_of(server, site),
            signing_secret=site.space.signing_secret,
            process_before_response=True,
            ignoring_self_events_enabled=False,
        )
        self.bolt.middleware(self._take)
        self._handlers: list[AsyncSocketModeHandler] = []

    async def _take(self, body, req, ack, next):  # type: ignore[no-untyped-def]  # noqa: A002 - Bolt hands arguments over by name
        if self.is_slow:
            await asyncio.Event().wait()
        self.got.append(body)
        if self.answer is not None and body.get("type") != "event_callback":
            return await ack(**self.answer)
        return await ack()

    async def connect(self, count: int = 1) -> None:
        for _ in range(count):
            own = AsyncWebClient(self._site.space.app_token, base_url=self._server.api_url)
            handler = AsyncSocketModeHandler(self.bolt, self._site.space.app_token, web_client=own, ping_interval=0.2)
            self._handlers.append(handler)
            await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt has no types there
        await self._site.delivery.sockets.wait_open(count)

    async def listen(self) -> "web.AppRunner":
        async def handle(request: web.Request) -> web.Response:
            return await to_aiohttp_response(await self.bolt.async_dispatch(await to_bolt_request(request)))

        app = web.Application()
        app.router.add_post("/slack", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._site.delivery.mode = "http"
        self._site.delivery.http.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack"
        return runner

    def events(self, kind: str) -> list[Json]:
        return [body["event"] for body in self.got if body.get("event", {}).get("type") == kind]

    async def close(self) -> None:
        for handler in self._handlers:
            await handler.close_async()  # type: ignore[no-untyped-call]  # Bolt has no types there
            for task in (
                handler.client.message_processor,
                handler.client.current_session_monitor,
                handler.client.message_receiver,
            ):
                if task is not None:
                    with contextlib.suppress(asyncio.CancelledError):
                        await task


@pytest.fixture
async def app(server: SlackServer, site: Site) -> AsyncIterator[App]:
    made = App(server, site)
    yield made
    await made.close()
