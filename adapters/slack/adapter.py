"""The Slack channel as the house sees it."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from adapters.slack import NAME, Account, blocks, secret_of
from adapters.slack.drafts import Drafts
from adapters.slack.events import Me
from adapters.slack.faults import CallFailed, as_send_error
from adapters.slack.files import opened, url_in
from adapters.slack.outbound import Outbound
from adapters.slack.statuses import TYPING, Statuses, worded
from bot.errors import FetchError, SendRefused
from bot.model import Address, Message, MessageId, Visibility
from bot.ports import Fetched, Host, Limits, Progress, ProgressState, Receipt, Route

if TYPE_CHECKING:
    from adapters.slack.api import Api
    from adapters.slack.connection import Connection

SILENCE_S: Final = 60.0  # far beyond the pings of the socket, which are answered every five seconds
_SOON_S: Final = 2.0  # while there is no connection, a message waits so long for the next look


class SlackAdapter:
    """Adapter, Drafts, ShowsProgress, Typing, Splits, Reconciles, OpensFiles, HasRoom and Listens for one workspace."""

    name = NAME
    silence_s = SILENCE_S

    def __init__(self, settings: Account, host: Host, account: str = "") -> None:
        self.account = account
        self.limits = Limits(text_chars=blocks.TEXT_CHARS, attachment_bytes=host.limits.upload_bytes)
        self._settings = settings
        self._host = host
        self._started_at = host.clock.monotonic()
        self._statuses = Statuses(host.clock)
        self._drafts = Drafts(host, account)
        self._outbound = Outbound(
            host, account, self._drafts, has_feedback=settings.feedback, operators=settings.operators_channel
        )
        self._connection: Connection | None = None

    @property
    def room(self) -> Address | None:
        """The operators' room."""
        channel = self._settings.operators_channel
        return Address(NAME, self.account, channel) if channel else None

    def routes(self) -> Sequence[Route]:
        if self._settings.mode != "http":
            return ()
        path = f"/webhooks/{NAME}/{self.account}" if self.account else f"/webhooks/{NAME}"
        return (Route("POST", path, self._serve),)

    async def run(self) -> None:
        self._started_at = self._host.clock.monotonic()
        loaded = await asyncio.to_thread(importlib.import_module, "adapters.slack.connection")
        connection: Connection = loaded.Connection(
            self._settings, self._host, self.account, self._drafts, self._statuses
        )
        self._connection = connection
        try:
            await connection.run()
        finally:
            self._connection = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._connection is None:
            return web.Response(status=503)
        return await self._connection.serve(request)

    def heard_at(self) -> float:
        if self._settings.mode == "http":
            return self._host.clock.monotonic()  # Slack calls us; there is no connection that could fall silent
        return max(self._started_at, self._connection.heard_at() if self._connection is not None else 0.0)

    # --- out -------------------------------------------------------------------------------------------------------

    def split(self, text: str) -> Sequence[str]:
        return blocks.parts(text)

    async def send(self, to: Address, message: Message) -> Receipt:
        if message.visibility is not Visibility.PUBLIC and not self._is_room(to):
            raise SendRefused("a note is for operators only", is_retryable=False)
        api, me = self._connected()
        await self._statuses.settle(to)
        try:
            return await self._outbound.send(api, me, to, message)
        except CallFailed as failed:
            raise as_send_error(failed) from failed

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        api, me = self._connected()
        return await self._outbound.find(api, me, to, message, attempted_at_ms)

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        self._drafts.add(to, message, text)

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        api, _ = self._connected()
        try:
            await self._outbound.withdraw(api, to, message, shown_as)
        except CallFailed as failed:
            raise as_send_error(failed) from failed
        await self._statuses.clear(to)

    async def progress(self, to: Address, message: MessageId, step: Progress) -> None:
        if not self._drafts.step(to, message, step) and step.state is ProgressState.RUNNING:
            self._statuses.show(to, worded(step.title))

    async def typing(self, to: Address) -> None:
        if not self._is_room(to):
            self._statuses.show(to, TYPING)

    def _is_room(self, to: Address) -> bool:
        return self.room is not None and to.chat == self.room.chat

    # --- files -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_file(self, source: str) -> AsyncIterator[Fetched]:
        """Raises FetchError, or Refused for what will never be readable."""
        url = await self._url_of(source) if source.startswith("file:") else source
        token = secret_of(self._settings.bot_token)
        async with opened(self._host, url, token, self._settings.api_url) as fetched:
            yield fetched

    async def _url_of(self, source: str) -> str:
        """A file of another workspace in a shared channel comes without its URL:
        https://docs.slack.dev/apis/slack-connect#files"""
        try:
            api, _ = self._connected()
            return url_in(await api.call("files_info", file=source.removeprefix("file:")))
        except SendRefused as refused:
            raise FetchError(str(refused), is_retryable=True) from refused
        except CallFailed as failed:
            is_retryable = not failed.is_certain or failed.retry_after_s is not None
            raise FetchError(str(failed), is_retryable=is_retryable) from failed

    def _connected(self) -> "tuple[Api, Me]":
        connection = self._connection
        if connection is None or connection.me is None:
            raise SendRefused("Slack is not connected", is_retryable=True, retry_after_s=_SOON_S)
        return connection.api, connection.me
