"""Socket Mode: the sockets on which Slack's events come.

One socket is open at a time. When Slack announces that it will be refreshed, the next is opened before it is left, so that nothing falls
between; after every other end what was missed is fetched. Reconnecting backs off, whatever ends the sockets.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from adapters.slack.api import Api
from adapters.slack.faults import CallFailed, as_channel_fault
from bot.errors import ChannelFault
from bot.ports import ChannelState, Clock, Host

log = logging.getLogger(__name__)

PING_S: Final = 5.0  # a socket that does not answer a ping is left after half as long again
CONNECT_S: Final = 15.0
GREETING_S: Final = 3.0  # an open socket without a greeting is one all the same
STEADY_S: Final = 60.0  # a socket that lived so long was well: the waits begin anew
WAITS_S: Final = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
_GRACE_S: Final = 5.0  # what still comes on a socket that is being left

REFRESH: Final = {"warning", "refresh_requested"}
DISABLED: Final = "link_disabled"

_SWITCH_ON: Final = 'Switch Socket Mode on at https://api.slack.com/apps, or set mode = "http"'

Answer = Callable[[SocketModeRequest], Awaitable[SocketModeResponse | None]]


class Link(SocketModeClient):
    """One socket, through Slack's own client: it never reconnects by itself. `ended` resolves with Slack's reason for a disconnect, or ""
    when the socket broke."""

    def __init__(self, api: Api, app_token: str, host: Host, sdk_log: logging.Logger, answer: Answer) -> None:
        super().__init__(
            app_token, logger=sdk_log, web_client=api.client, auto_reconnect_enabled=False, ping_interval=PING_S
        )
        self._clock: Clock = host.clock
        self._host = host
        self._answer = answer
        self._responding: set[asyncio.Task[Any]] = set()
        self.heard_at = host.clock.monotonic()
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.socket_mode_request_listeners.append(self._respond)

    @property
    def is_open(self) -> bool:
        """Whether events still come on it."""
        return not self.closed and self.current_session is not None and not self.current_session.closed

    async def open(self, url: str) -> None:
        """Connects and waits for Slack's greeting, or for what else comes, though not for ever. Raises TimeoutError."""
        await self.aiohttp_client_session.close()  # it would not keep to the hosts that are allowed
        self.aiohttp_client_session = aiohttp.ClientSession(connector=self._host.connector())
        self.wss_uri = url
        awaited: set[asyncio.Future[Any]] = {self.greeted, self.ended}
        async with self._clock.timeout(CONNECT_S):
            await self.connect()  # type: ignore[no-untyped-call]  # Slack's client has no types there
        try:
            async with self._clock.timeout(GREETING_S):
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            log.info("Slack has not greeted on the socket; events are taken all the same")
            self._greet()

    async def receive_messages(self) -> None:
        """Reads until the socket ends, and says so at once."""
        session = self.current_session
        while session is not None:
            message = await session.receive()
            self.heard_at = self._clock.monotonic()
            if message.type is WSMsgType.TEXT:
                await self._take(message.data)
            elif message.type is WSMsgType.PING:
                await session.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                break
        self._end("")

    async def _take(self, text: str) -> None:
        """What concerns the socket itself is taken in the order in which it comes; the rest goes on to Slack's client."""
        frame = _frame(text)
        kind = frame.get("type")
        if kind == "disconnect":
            self._end(str(frame.get("reason") or ""))
            return
        self._greet()
        if kind != "hello":
            await self.enqueue_message(text)

    def _greet(self) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)

    async def monitor_current_session(self) -> None:
        """Nothing: the socket's own pings watch it."""

    async def _respond(self, _client: object, request: SocketModeRequest) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._responding.add(task)
            task.add_done_callback(self._responding.discard)
        response = await self._answer(request)
        session = self.current_session
        if response is None or session is None or session.closed:
            return
        try:
            await session.send_str(json.dumps(response.to_dict()))
        except (ConnectionError, aiohttp.ClientError):
            log.info("the socket ended before an event could be acknowledged; Slack sends it again")

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    async def close(self) -> None:
        """Ends the socket and everything that Slack's client has started."""
        self.closed = True
        started = [self.message_processor, self.current_session_monitor, self.message_receiver]
        tasks = [*(task for task in started if task is not None), *self._responding]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.current_session is not None:
            await self.current_session.close()
        await self.aiohttp_client_session.close()
        self._end("")


def _frame(text: str) -> Mapping[str, Any]:
    try:
        frame = json.loads(text)
    except ValueError:
        return {}
    return frame if isinstance(frame, Mapping) else {}


class Sockets:
    """Keeps one account connected. `missed` is called when events may have been missed."""

    def __init__(
        self,
        host: Host,
        api: Api,
        app_token: str,
        sdk_log: logging.Logger,
        answer: Answer,
        missed: Callable[[], None],
        key: str,
    ) -> None:
        self._host = host
        self._api = api
        self._app_token = app_token
        self._sdk_log = sdk_log
        self._answer = answer
        self._missed = missed
        self._key = key
        self._heard_at = host.clock.monotonic()
        self._links: list[Link] = []  # the one in use, and one that is being left

    def heard_at(self) -> float:
        return max([self._heard_at, *(link.heard_at for link in self._links)])

    async def run(self) -> None:
        """Until cancelled. Raises ChannelFault."""
        try:
            await self._keep_connected()
        finally:
            await self._leave(self._links)

    async def _keep_connected(self) -> None:
        tries = 0
        while True:
            await self._host.clock.sleep(WAITS_S[min(tries, len(WAITS_S) - 1)])
            tries += 1
            old = list(self._links)
            link = await self._connect()
            if link is None:
                continue
            since = self._host.clock.monotonic()
            self._host.report(ChannelState.UP)
            if not any(each.is_open for each in old):
                self._missed()
            elif not link.ended.done():
                await self._host.clock.sleep(_GRACE_S)
            await self._leave(old)
            reason = await asyncio.shield(link.ended)
            if self._host.clock.monotonic() - since >= STEADY_S:
                tries = 0
            await self._take_end(link, reason)

    async def _take_end(self, link: Link, reason: str) -> None:
        if reason == DISABLED:
            raise ChannelFault("Socket Mode is switched off for the app", _SWITCH_ON)
        if reason in REFRESH:
            return
        log.info("the socket to Slack ended: %s", reason or "the connection broke")
        self._host.report(ChannelState.CONNECTING, reason or "the connection broke")
        await self._leave([link])

    async def _connect(self) -> Link | None:
        """Another socket, greeted by Slack. None when it could not be had."""
        try:
            opened = await self._api.call("apps_connections_open", app_token=self._app_token)
        except CallFailed as failed:
            await self._not_opened(failed)
            return None
        link = Link(self._api, self._app_token, self._host, self._sdk_log, self._answer)
        self._links.append(link)
        try:
            await link.open(str(opened.get("url") or ""))
        except TimeoutError:
            detail = "no socket could be opened in time"
        else:
            if link.greeted.done() and (not link.ended.done() or link.ended.result() in REFRESH):
                return link
            detail = link.ended.result() if link.ended.done() else ""
        if detail == DISABLED:
            await self._take_end(link, detail)
        self._host.report(ChannelState.CONNECTING, detail)
        await self._leave([link])
        return None

    async def _not_opened(self, failed: CallFailed) -> None:
        if failed.is_token or failed.code == "missing_scope":
            raise as_channel_fault(failed, self._key) from failed
        if failed.is_settled and not failed.is_absent:
            raise ChannelFault(f"Slack opens no socket ({failed.code})", _SWITCH_ON) from failed
        self._host.report(ChannelState.CONNECTING, str(failed))
        if failed.retry_after_s is not None:
            await self._host.clock.sleep(failed.retry_after_s)

    async def _leave(self, links: list[Link]) -> None:
        for link in list(links):
            self._heard_at = max(self._heard_at, link.heard_at)
            self._links.remove(link)
            await link.close()
