"""Everything that lives as long as one run of the adapter: the client, the framework, the sockets and the tasks.

This is what brings Slack's libraries in; the adapter loads it when it runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from adapters.admission import Gate
from adapters.slack import Account, secret_of
from adapters.slack.api import SDK_LOG, Api
from adapters.slack.backfill import Backfill
from adapters.slack.bolt import Bolt
from adapters.slack.drafts import Drafts
from adapters.slack.events import Me
from adapters.slack.faults import WRONG_KIND, CallFailed, as_channel_fault
from adapters.slack.inbound import Inbound
from adapters.slack.link import Sockets
from adapters.slack.room import OperatorsRoom
from adapters.slack.statuses import Statuses
from adapters.slack.surfaces import Surfaces
from bot.errors import ChannelFault, FrontdeskError
from bot.ports import ChannelState, Host

log = logging.getLogger(__name__)

_WAITS_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
_TRUSTED: Final = frozenset({"auth_test", "chat_postMessage", "chat_update"})
_MOST_TASKS: Final = 500


class Connection:
    """One run. `run` connects and stays until cancelled."""

    def __init__(self, settings: Account, host: Host, account: str, drafts: Drafts, statuses: Statuses) -> None:
        self._settings = settings
        self._host = host
        self._account = account
        self._drafts = drafts
        self._statuses = statuses
        self._where = f"[channels.slack.accounts.{account}]" if account else "[channels.slack]"
        self._fault: asyncio.Future[ChannelFault] = asyncio.get_running_loop().create_future()
        self._tasks: asyncio.TaskGroup | None = None
        self._open = 0
        self._sockets: Sockets | None = None
        self._bolt: Bolt | None = None
        self._backfill: Backfill | None = None
        self._backfilling: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._gate = Gate(settings.allow, host.clock, host.limits.messages_per_minute)
        self.me: Me | None = None
        self.api = Api(
            secret_of(settings.bot_token), settings.api_url, host.connector(), host.clock.monotonic, self._refused
        )

    async def run(self) -> None:
        """Raises ChannelFault."""
        self._host.report(ChannelState.CONNECTING)
        try:
            async with asyncio.TaskGroup() as tasks:
                try:
                    await self._work(tasks)
                finally:
                    self._rest()
        except* ChannelFault as faults:
            raise _first(faults) from None
        finally:
            await self.api.close()

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self.me = await self._introduce()
        inbound = Inbound(
            self._host, self._account, self._gate, self._drafts, self.api, self.me, self.spawn, self._gone
        )
        operators = OperatorsRoom(inbound, self._settings.operators_channel)
        surfaces = Surfaces(inbound, operators, self._settings.greeting, self._settings.prompts)
        self._backfill = Backfill(inbound, operators)
        self._bolt = Bolt(
            self.api.client, self.me, SDK_LOG, surfaces.take_event, surfaces.take_action, surfaces.take_command
        )
        self._drafts.begin(self.api, tasks)
        self._statuses.begin(self.api, tasks)
        tasks.create_task(self._listen(self._bolt))
        raise await self._fault

    def _rest(self) -> None:
        """The run is over: nothing is begun any more."""
        self._tasks = self._bolt = None
        self._drafts.end()
        self._statuses.end()

    def heard_at(self) -> float:
        return self._sockets.heard_at() if self._sockets is not None else self._host.clock.monotonic()

    async def serve(self, request: web.Request) -> web.Response:
        """A webhook."""
        if self._bolt is None:
            return web.Response(status=503)
        return await self._bolt.serve(request, secret_of(self._settings.signing_secret), self._host.clock)

    def spawn(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """A courtesy: what goes wrong with it is logged, and when there are too many, or no run, it is left."""
        if self._tasks is None or self._open >= _MOST_TASKS:
            log.info("too much is under way in Slack: a courtesy is left out")
            return
        self._open += 1
        self._tasks.create_task(self._courtesy(work, *arguments))

    async def _courtesy(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        try:
            await work(*arguments)
        except (FrontdeskError, CallFailed, TimeoutError) as error:
            log.info("a courtesy failed: %s", error)
        finally:
            self._open -= 1

    # --- connecting ------------------------------------------------------------------------------------------------

    async def _introduce(self) -> Me:
        """Who the bot is. Tries until Slack answers."""
        tries = 0
        while True:
            try:
                said = await self.api.call("auth_test")
            except CallFailed as failed:
                if failed.is_absent:
                    self.api.look_elsewhere()
                elif failed.is_settled:
                    raise as_channel_fault(failed, f"{self._where} bot_token") from failed
                self._host.report(ChannelState.CONNECTING, str(failed))
                await self._host.clock.sleep(failed.retry_after_s or _WAITS_S[min(tries, len(_WAITS_S) - 1)])
                tries += 1
            else:
                return Me(
                    str(said.get("user_id") or ""),
                    str(said.get("bot_id") or ""),
                    str(said.get("team_id") or ""),
                    str(said.get("enterprise_id") or ""),
                )

    async def _listen(self, bolt: Bolt) -> None:
        if self._settings.mode == "http":
            self._host.report(ChannelState.UP)
            self._missed()
            return
        app_token, key = secret_of(self._settings.app_token), f"{self._where} app_token"
        self._sockets = Sockets(self._host, self.api, app_token, SDK_LOG, bolt.answer, self._missed, key)
        await self._sockets.run()

    def _missed(self) -> None:
        """One look back at a time; a gap during one begins it anew."""
        if self._backfilling is not None:
            self._backfilling.cancel()
        if self._tasks is not None and self._backfill is not None:
            self._backfilling = self._tasks.create_task(self._backfill.run())

    def _refused(self, method: str, failed: CallFailed) -> None:
        """What one of the lesser methods says of the token is not taken for granted."""
        if method in _TRUSTED and failed.code != WRONG_KIND:
            self._fail(as_channel_fault(failed, f"{self._where} bot_token"))
        elif self._tasks is not None and (self._asking is None or self._asking.done()):
            self._asking = self._tasks.create_task(self._ask_again())

    async def _ask_again(self) -> None:
        try:
            await self.api.call("auth_test")
        except CallFailed as failed:
            log.info("the token is asked for again: %s", failed)

    def _gone(self, kind: str) -> None:
        what = "the app was uninstalled" if kind == "app_uninstalled" else "the app's token was revoked"
        self._fail(ChannelFault(what, f"Install it again, and put its token into {self._where} bot_token"))

    def _fail(self, fault: ChannelFault) -> None:
        if not self._fault.done():
            self._fault.set_result(fault)


def _first(faults: BaseExceptionGroup[ChannelFault]) -> ChannelFault:
    found: BaseException = faults
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, ChannelFault):
        raise found
    return found
