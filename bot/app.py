"""The composition root: builds every object once and owns the one TaskGroup.

A start takes the data folder's lock, opens the store, takes up what the last run left, and listens. A stop (SIGTERM, SIGINT) refuses
further events, lets running turns finish for up to `drain_s`, and leaves the rest in its rows for the next start.
"""

import asyncio
import dataclasses
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bot import __version__, ids
from bot.agent.probe import try_model
from bot.agent.spending import day_of
from bot.assembly import Assembly
from bot.channels import Channel, key_of
from bot.clock import SystemClock
from bot.commands import reports
from bot.config import Config, changed_keys, find_settings, load
from bot.conversations import Conversations
from bot.delivery import Delivery
from bot.errors import ConfigError, DataError, FrontdeskError, Refused
from bot.files import Files
from bot.hearing import Hearing
from bot.host import House
from bot.intake import OLDEST_MS, Intake
from bot.intake import Rules as IntakeRules
from bot.memory.making import remembering
from bot.model import Address, ConversationId
from bot.net.control import ControlServer, socket_path
from bot.net.fetch import Fetcher
from bot.net.listeners import ListenerConfig, ListenerLimits, Listeners
from bot.net.perimeter import Perimeter
from bot.people.graves import Graves
from bot.people.wiring import People
from bot.ports import Adapter, ChannelState, ChatModel, Clock, Cursor, Health, HostLimits, Route, Vitals
from bot.preparing import Preparing
from bot.recovery import discard, recover, release, stopped_cleanly, wake_waiting
from bot.scheduler import TurnScheduler
from bot.staff import Core, Staff
from bot.store import audit, handoffs, records
from bot.store.blobs import Blobs
from bot.store.folder import BLOBS, INDEX, Lock, prepare
from bot.store.sqlite import SqliteStore
from bot.store.steps import SPEND_OF_DAY, add_spend
from bot.supervisor import Supervisor
from bot.telemetry.logs import LogSetup, configure
from bot.telemetry.metrics import Metrics
from bot.turn import Rules as TurnRules
from bot.turn import Turns
from bot.watchdog import Systemd, Watchdog

if TYPE_CHECKING:
    from aiohttp import web

    from bot.tools.acting import Acting
    from bot.tools.catalogue import Catalogue

log = logging.getLogger(__name__)

# The collector's thresholds. A collection stops the loop for as long as it looks at objects, so the young generations stay small, and
# everything is looked at only by housekeeping: while nobody is answered, or else this rarely.
COLLECT = (5_000, 1_000_000, 1_000_000)
COLLECT_ALL_S = 600.0
KEEP_HOUSE_S = 15.0  # between two rounds of housekeeping
PRUNE_EVERY = 240  # rounds: an hour
CONSENT_KEY = "consent"
ERASURE_KEY = "erasure"
EXIT_CONFIG, EXIT_DATA = 2, 4
AT_ONCE = (
    "channels.",
    "models.",
    "roles.",
    "operators.",
    "handoff.",
    "retention.",
    "limits.person_cost_per_day",
    "limits.cost_per_day",
)  # by a reload

AT_START = (".enabled", ".mode")  # of a channel: which accounts and routes there are

Loader = Callable[[], Config]


class App:
    """One running Frontdesk. `run` returns after a clean stop; `stop` asks for one."""

    def __init__(
        self,
        config: Config,
        *,
        reload: Loader | None = None,
        models: Mapping[str, ChatModel] | None = None,
        adapters: Callable[[House], list[Adapter]] | None = None,
        logs: LogSetup | None = None,
    ) -> None:
        self.config = config
        self.clock: Clock = SystemClock()
        self.metrics = Metrics()
        self.health = Health()
        self.ready = asyncio.Event()
        self._reload = reload
        self._models = dict(models or {})
        self._make_adapters = adapters
        self._logs = logs
        self._outbox: dict[str, int] = {}
        self._catalogue: Catalogue | None = None
        self._acting: Acting | None = None
        self._systemd = Systemd()
        self._stopping = asyncio.Event()
        self._started = self.clock.monotonic()

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until `stop`. Raises DataError or ConfigError when it cannot start."""
        data = self.config.data.path
        prepare(data)
        lock = Lock(data)
        lock.take()
        try:
            ahead = asyncio.get_running_loop().run_in_executor(None, self._import_ahead)
            self.store = await self._open_store(data)
            try:
                await ahead
                await self._serve(data)
            finally:
                await self.store.close()
        finally:
            lock.release()

    def stop(self) -> None:
        self._stopping.set()

    @property
    def port(self) -> int:
        """Of the public listener, once ready."""
        return self.listeners.public_port

    async def _serve(self, data: Path) -> None:
        self._build(data)
        await self._open_actions()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part, name=name) for name, part in self._parts().items()]
                self.assembly.spending.load(await self.store.read(SPEND_OF_DAY, {"day": day_of(self.clock.now_ms())}))
                await self.turns.recover()
                await self.staff.start()
                await recover(self.store, self.scheduler, self.clock, self.config.limits.tries)
                await self.delivery.recover()
                await self.intake.recall()
                await self.blobs.tidy()
                self.health.intake = "open"
                await self.listeners.start()
                self._announce()
                await self._stopping.wait()
                await self._drain()
                for task in running:
                    task.cancel()
        finally:
            await self.listeners.stop(1.0)
            if self._catalogue is not None:
                await self._catalogue.close()
            await self.fetcher.close()
            await self.assembly.close()
        await self.turns.pay()
        await stopped_cleanly(self.store)
        log.info("stopped")

    async def _drain(self) -> None:
        """Stops taking in, finishes what runs, and sends what is ready, all within `drain_s`."""
        self._systemd.stopping()
        self.health.intake = "stopping"
        self.house.close()
        started = self.clock.monotonic()
        drain_s = self.config.limits.drain_s
        if not await self.scheduler.drain(drain_s):
            log.warning("turns were still running after %s s; they run again at the next start", drain_s)
        await self.delivery.drain(max(1.0, drain_s - (self.clock.monotonic() - started)))
        await self.intake.flush_receipts()

    def _announce(self) -> None:
        """Everything is up: said to systemd, to the log, and to whoever started us."""
        gc.freeze()  # what start-up made lives as long as the process: the collector need not look at it again
        gc.set_threshold(*COLLECT)
        gc.enable()
        self.ready.set()
        address = self._address()
        self._systemd.ready(f"Answering at {address}")
        log.info("ready", extra={"address": address, "version": __version__})
        if sys.stdout.isatty() or "NOTIFY_SOCKET" not in os.environ:
            print(f"Frontdesk {__version__} is ready. Chat with it at {address}/", flush=True)  # noqa: T201 - the promise of `make run`

    def _address(self) -> str:
        return self.config.server.public_url or f"http://{_shown(self.config.server.host)}:{self.port}"

    # --- building --------------------------------------------------------------------------------------------------

    async def _open_store(self, data: Path) -> SqliteStore:
        metrics = self.metrics

        def observe(units: int, seconds: float) -> None:
            metrics.group_units.observe(units)
            metrics.commit_seconds.observe(seconds)

        def note_health(state: str) -> None:
            self.health.store = state
            if state == "open":
                log.info("the store takes units of work again")
            else:
                log.error("the store does not take units of work: %s. Free the disk; it recovers by itself", state)

        waiting_most = self.config.limits.waiting_units
        store = await SqliteStore.open(data, waiting_most=waiting_most, observe=observe, on_health=note_health)
        self.health.store = "open"
        return store

    def _import_ahead(self) -> None:
        """What `_build` needs, imported while the disk is waited for."""
        importlib.import_module("bot.console.console")
        if self._make_adapters is None:
            for channel in self.config.channels:
                importlib.import_module(f"adapters.{channel}.adapter")

    def _build(self, data: Path) -> None:
        config, limits = self.config, self.config.limits
        self.conversations = Conversations(self.store, history_most=limits.history_messages)
        channels = self.channels = dict[str, Channel]()
        self.delivery = Delivery(self.store, self.clock, channels, self.metrics)
        turn_rules = TurnRules(limits.turn_s, limits.tries, tuple(limits.retry_s))
        self.blobs = Blobs(data / BLOBS, self.store, self.clock, limits.upload_bytes)
        self.assembly = Assembly(config, data / INDEX, self.clock, self.metrics, self.blobs.read, self._models)
        self.turns = Turns(
            self.store,
            self.clock,
            self.conversations,
            self.assembly.agents,
            channels,
            self.delivery,
            turn_rules,
            self.metrics,
            Preparing(
                Files(self.store, self.clock, self.blobs, channels),
                Hearing(self.store, self.clock, self.blobs.read, self.assembly.ears),
                self.assembly.models_of,
            ),
        )
        self.scheduler = TurnScheduler(
            self.turns.run,
            self.clock,
            alone=self.turns.run_alone,
            at_once=limits.turns_at_once,
            waiting_most=limits.waiting_conversations,
            burst_s=limits.burst_s,
        )
        accounts = self._accounts(config)
        quiet = self._quiet_s = _quiet_of(accounts)
        intake_rules = IntakeRules(
            limits.message_chars,
            round(limits.case_idle_s * 1000),
            config.agent_for,
            lambda channel: quiet.get(channel, 0.0),
            self._is_room,
            self._touched,
            self._changed_hands,
            self._typed,
            self._disliked,
        )
        self.intake = Intake(
            self.store,
            self.clock,
            self.conversations,
            self.scheduler,
            intake_rules,
            self.metrics,
            channels,
            self.delivery,
        )
        host_limits = HostLimits(**{name: getattr(limits, name) for name in HostLimits.__dataclass_fields__})
        self.fetcher = Fetcher(Perimeter(config.network.allow), self.clock, limits.upload_bytes)
        self.house = House(
            self.intake,
            self.store,
            self.blobs,
            self.assembly.knowledge,
            self.clock,
            data,
            host_limits,
            self.fetcher,
            self.health,
        )
        self.house.knowledge_on = lambda key: self.assembly.knows[config.agent_for(key)]
        core = self._core()
        self.staff = Staff(config, core)
        self.turns.handing = self.staff.handing
        self.intake.graves = Graves(self.house.secret(ERASURE_KEY))
        self.people = People(config, core, self.store, data, self.intake.graves, self._touched)
        self.staff.persons = self.people.commands
        self.keeper, self.turns.memory = remembering(
            config, core, self.intake.receive, self.people.copies, self._touched
        )
        self.house.owner_name = self.staff.signs.owner_name
        self.supervisors = {
            key_of(adapter.name, adapter.account): self._supervisor(adapter)
            for adapter in self._load_adapters(accounts)
        }
        self.listeners = self._listeners([route for key in self.supervisors for route in self._routes(key)])
        self._read_gauges()

    async def _open_actions(self) -> None:
        """What agents can do, and the one way in which it is done; loaded only where there is something."""
        config = self.config
        if not config.actions:
            return
        from bot.tools.acting import Acting
        from bot.tools.catalogue import Catalogue

        self._catalogue = Catalogue(config, self.fetcher, self.clock)
        await self._catalogue.open()
        self._acting = Acting(self.store, self.clock, self._catalogue, lambda: self.house.secret(CONSENT_KEY))
        self.assembly.give_actions(self._catalogue, self._acting)

    def _is_room(self, at: Address) -> bool:
        return self.staff.is_room(at.channel, at.account, at.chat)

    def _touched(self, conversation: str) -> None:
        self.staff.feed.touch(conversation)

    def _changed_hands(self, conversation: str) -> None:
        self.staff.feed.touch(conversation, is_handoff=True)

    def _typed(self, conversation: str) -> None:
        self.staff.console().user_is_typing(conversation)

    async def _disliked(self, conversation: ConversationId) -> None:
        await self.staff.handing.disliked(conversation)

    def _core(self) -> Core:
        return Core(
            self.store,
            self.clock,
            self.conversations,
            self.scheduler,
            self.delivery,
            self.channels,
            self.assembly,
            self.blobs,
            self.metrics,
            self.house.secret,
            self.assembly.knowledge.passage,
        )

    def _accounts(self, config: Config) -> dict[str, tuple[str, str, BaseModel]]:
        """Every account that is to run, by its key: the channel, the account, its settings."""
        found = {}
        for channel, settings in config.channels.items():
            accounts = getattr(importlib.import_module(f"adapters.{channel}"), "accounts", None)
            for account, own in accounts(settings).items() if accounts else [("", settings)]:
                found[key_of(channel, account)] = (channel, account, own)
        return found

    def _load_adapters(self, accounts: Mapping[str, tuple[str, str, BaseModel]]) -> list[Adapter]:
        if self._make_adapters is not None:
            return self._make_adapters(self.house)
        return [self._load_adapter(*account) for account in accounts.values()]

    def _load_adapter(self, channel: str, account: str, settings: BaseModel) -> Adapter:
        module = importlib.import_module(f"adapters.{channel}")
        adapter: Adapter = module.create(settings, self.house.door(channel, account), account)
        return adapter

    def _supervisor(self, adapter: Adapter) -> Supervisor:
        key = key_of(adapter.name, adapter.account)
        self.channels[key] = Channel.of(adapter)
        vitals = self.health.channels.setdefault(key, Vitals())
        return Supervisor(adapter, self.clock, vitals, self._alarm)

    async def _alarm(self, kind: str, subject: str, detail: str) -> None:
        """An incident of a channel."""
        self.metrics.incidents.of(kind).inc()
        now = self.clock.now_ms()
        try:
            await self.store.run(records.add_incident, ids.new_id(now), kind, subject, detail, now)
        except FrontdeskError as error:
            log.warning("incident not kept: %s", error)

    def _routes(self, key: str) -> list[Route]:
        """The routes of whichever adapter holds the place at the time."""

        def held(method: str, path: str) -> "Callable[[web.Request], Awaitable[web.StreamResponse]]":
            async def serve(request: "web.Request") -> "web.StreamResponse":
                routes = self.supervisors[key].adapter.routes()
                handler = next((each.handler for each in routes if (each.method, each.path) == (method, path)), None)
                return await (handler if handler is not None and key in self.channels else _gone)(request)

            return serve

        return [
            dataclasses.replace(route, handler=held(route.method, route.path))
            for route in self.supervisors[key].adapter.routes()
        ]

    def _listeners(self, routes: list[Route]) -> Listeners:
        config, limits = self.config, self.config.limits
        return Listeners(
            public=ListenerConfig(config.server.host, config.server.port, "server"),
            private=ListenerConfig(config.admin.host, config.admin.port, "admin"),
            routes=routes,
            private_routes=self.staff.routes(),
            health=lambda: (200, {"status": "alive"}),
            ready=self._readiness,
            metrics=self.metrics.render,
            clock=self.clock,
            limits=ListenerLimits(
                connections=limits.connections,
                connections_per_address=limits.connections_per_address,
                header_s=limits.header_s,
            ),
            trusted_proxies=[str(network) for network in config.server.trusted_proxies],
        )

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Every long-lived task, by name."""
        control = ControlServer(socket_path(self.config.data.path, os.environ), self._control)
        watchdog = Watchdog(
            self._systemd,
            on_lag=self.metrics.loop_lag_seconds.observe,
            on_stall=self.metrics.loop_stalls.of().inc,
        )
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "scheduler": self.scheduler.run(),
            "turns": self.turns.watch(),
            "delivery": self.delivery.run(),
            "receipts": self.intake.record_receipts(),
            "control": control.run(),
            "watchdog": watchdog.run(),
            "housekeeping": self._keep_house(),
            "signals": self._listen_for_signals(),
        }
        parts |= self.staff.parts()
        parts["memory"] = self.keeper.run()
        parts |= {"knowledge": self._know(), "sources": self._fetch_sources(), "versions": self._note_versions()}
        for key, supervisor in self.supervisors.items():
            parts[f"channel {key}"] = supervisor.run()
        return parts

    async def _know(self) -> None:
        """Loading and indexing begin after ready: a start does not wait for them, a question does."""
        await self.ready.wait()
        await self.assembly.warm()
        await self.assembly.knowledge.run()

    async def _note_versions(self) -> None:
        """Imports the index, and so waits as knowledge does."""
        await self.ready.wait()
        library = await self.assembly.knowledge.loaded()
        from bot.knowledge.versions import Versions

        await Versions(self.store, self.clock).run(library)

    async def _fetch_sources(self) -> None:
        await self.ready.wait()
        await self.assembly.sources.run()

    # --- while it runs ---------------------------------------------------------------------------------------------

    async def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        reloads = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, reloads.set)
        try:
            while True:
                await reloads.wait()
                reloads.clear()
                await self.reread_config()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def reread_config(self) -> None:
        """SIGHUP: new secrets and channel settings bite at once; a config with problems is refused and the old one stays."""
        if self._reload is None:
            return
        self._systemd.reloading()
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.error("the new config is not used: %s", error)
        else:
            await self._apply(fresh)
        self._systemd.ready(f"Answering at {self._address()}")

    async def _apply(self, fresh: Config) -> None:
        changed = changed_keys(self.config, fresh)
        if self._logs is not None:
            self._logs.set_secrets(fresh.secrets())
        self._take_accounts(fresh)
        self.assembly.take(fresh)
        await self.staff.take(fresh)
        self.people.take(fresh)
        restart = [
            key for key in changed if not (key.startswith(AT_ONCE) or ".roles." in key) or key.endswith(AT_START)
        ]
        log.info("config read again", extra={"changed": ", ".join(changed), "after_restart": ", ".join(restart)})
        self.config = fresh

    def _take_accounts(self, fresh: Config) -> None:
        """Other settings of the accounts that run: taken by an adapter that can, else another adapter takes its place."""
        before, accounts = self._accounts(self.config), self._accounts(fresh)
        self._quiet_s.update(_quiet_of(accounts))
        self.intake.reread()
        for key, supervisor in self.supervisors.items():
            account = accounts.get(key)
            if self._make_adapters is not None:
                continue
            if account is None:
                self.channels.pop(key, None)
                supervisor.replace(None)
                continue
            take: Callable[[BaseModel], None] | None = getattr(supervisor.adapter, "reload", None)
            is_stopped = self.health.channels[key].state is ChannelState.STOPPED
            if take is not None:
                take(account[2])
            elif is_stopped or key not in self.channels or key not in before or before[key][2] != account[2]:
                adapter = self._load_adapter(*account)
                self.channels[key] = Channel.of(adapter)
                supervisor.replace(adapter)

    async def _keep_house(self) -> None:
        """Drops old keys, counts what waits, and wakes what could not be woken."""
        rounds, collected = 0, self.clock.monotonic()
        while True:
            await self.clock.sleep(KEEP_HOUSE_S)
            rounds += 1
            if not self.scheduler.running() or self.clock.monotonic() - collected > COLLECT_ALL_S:
                gc.collect()
                gc.freeze()  # what is left lives long: the next time looks only at what has come since
                collected = self.clock.monotonic()
            try:
                await self._round(is_pruning=rounds % PRUNE_EVERY == 1)
            except FrontdeskError as error:
                log.warning("housekeeping: %s", error)

    async def _round(self, *, is_pruning: bool) -> None:
        if self.scheduler.take_overflow():
            await wake_waiting(self.store, self.scheduler, self.config.limits.tries)
        await self.turns.pay()
        await self.intake.end_idle_cases()
        await self.staff.deciding.expire()
        await self.people.keep_house()
        counted: dict[str, int] = dict(await self.store.read(records.COUNT_OUTBOX))
        self._outbox = {state: counted.get(state, 0) for state in ("planned", "sending", "unknown")}
        if is_pruning:
            await self.store.run(prune, self.clock.now_ms() - OLDEST_MS)
            await self.blobs.drop_orphans(self.clock.now_ms() / 1000)

    def _read_gauges(self) -> None:
        metrics, health = self.metrics, self.health
        metrics.inbox_waiting.read_from(self.scheduler.waiting)
        metrics.store_up.read_from(lambda: health.store == "open")
        metrics.open_sockets.read_from(lambda: self.listeners.public_connections)
        metrics.outbox.read_from(lambda: self._outbox)
        metrics.channel_up.read_from(
            lambda: {key: vitals.state is ChannelState.UP for key, vitals in health.channels.items()}
        )
        if self._logs is not None:
            logs = self._logs
            metrics.log_dropped.read_from(lambda: logs.dropped)

    def _readiness(self) -> tuple[int, dict[str, Any]]:
        is_ready = self.health.store == "open" and self.health.intake == "open"
        store = "open" if self.health.store == "open" else "not taking work"
        return (200 if is_ready else 503), {
            "store": store,
            "intake": self.health.intake,
            "channels": {key: vitals.shown() for key, vitals in self.health.channels.items()},
        }

    def _channel_states(self) -> dict[str, str]:
        return {key: str(vitals) for key, vitals in self.health.channels.items()}

    async def _channel_report(self) -> list[dict[str, Any]]:
        """Every account: how it stands, what came last, what waits to go out."""
        rows = await self.store.read(records.OUTBOX_BY_ACCOUNT)
        waiting = {(key_of(row[0], row[1]), row[2]): row[3] for row in rows}
        return [
            {"channel": key, **dataclasses.asdict(vitals)}
            | {state: waiting.get((key, state), 0) for state in ("planned", "unknown", "held")}
            for key, vitals in self.health.channels.items()
        ]

    # --- commands --------------------------------------------------------------------------------------------------

    async def _control(self, account: str, command: str, arguments: dict[str, Any]) -> object:
        """One command of the command line. What changes something is recorded with the local account that called."""
        match command:
            case "outbox release":
                return await self._decide(account, command, lambda cursor: release(cursor, self.clock.now_ms()))
            case "outbox discard":
                return await self._decide(account, command, lambda cursor: discard(cursor, self.clock.now_ms()))
            case "channels":
                return await self._channel_report()
            case "models":
                return await self.assembly.report()
            case "models try":
                return await self._try_model(str(arguments.get("name", "")), str(arguments.get("text", "")))
            case "consent approve" | "consent refuse" | "queue happened" | "queue did-not" | "queue mine":
                return await self._decision(account, command, arguments)
            case "action call":
                return await self._call_action(account, arguments)
            case str() if command.startswith(("handoff ", "operator ", "user ", "gaps ", "recall ")):
                own = self.people if command.startswith("user ") else self.staff
                return await own.answer(account, command, arguments)
            case "status":
                return await reports.status(self.store.read) | self._vitals()
        return await reports.answer(self.store.read, command, arguments)

    async def _decision(self, account: str, command: str, arguments: Mapping[str, Any]) -> str:
        """What an operator decides about an action."""
        kind, _, decision = command.partition(" ")
        id_, name, why = (str(arguments.get(each, "")) for each in ("id", "name", "why"))
        try:
            if kind == "consent":
                is_yes = decision == "approve"
                return await self.staff.deciding.consent(id_, is_yes=is_yes, name=name, account=account, why=why)
            return await self.staff.deciding.unknown(id_, decision, name=name, account=account, why=why)
        except Refused as error:
            raise reports.NoSuchReport(error.detail) from error

    async def _call_action(self, account: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A call from the command line, entered with the local account."""
        name, text, person = (str(arguments.get(each, "")) for each in ("name", "arguments", "person"))
        action = self._catalogue.get(name) if self._catalogue is not None else None
        if action is None or self._acting is None:
            why = self._catalogue.unavailable().get(name) if self._catalogue is not None else None
            what = (
                f"{name} is not available in the daemon: {why}" if why else f'there is no action "{name}" in the daemon'
            )
            raise reports.NoSuchReport(f"{what}. After a change of the config, restart it")
        if arguments.get("version") != action.version:
            what = "is declared otherwise in the daemon than in the config as it is now"
            raise reports.NoSuchReport(f"{name} {what}. Nothing was sent: restart the daemon, and look again")
        now = self.clock.now_ms()
        await self.store.run(audit.append, f"local:{account}", "action call", name, now)
        output = await self._acting.by_hand(action, text, person, account, self.config.limits.turn_s)
        return {"text": output.text, "is_error": output.is_error, "is_uncertain": output.is_uncertain}

    async def _try_model(self, name: str, text: str) -> dict[str, Any]:
        if name not in self.config.models:
            raise reports.NoSuchReport(f'there is no model "{name}". There is: {", ".join(self.config.models)}')
        tried = await try_model(self.assembly.router, name, text, self.clock, self.config.limits.turn_s)
        await self.store.run(add_spend, "", [each for each in tried.attempts if each.model == name])
        return tried.told(name)

    async def _decide(self, account: str, command: str, unit: Callable[[Cursor], int]) -> int:
        now = self.clock.now_ms()

        def decide(cursor: Cursor) -> int:
            audit.append(cursor, f"local:{account}", command, "outbox", now)
            return unit(cursor)

        count = await self.store.run(decide)
        await wake_waiting(self.store, self.scheduler, self.config.limits.tries)
        await self.delivery.take_up()
        return count

    def _vitals(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(self.clock.monotonic() - self._started, 1),
            "store": self.health.store,
            "channels": self._channel_states(),
            "turns_running": self.scheduler.running(),
        }


def _quiet_of(accounts: Mapping[str, tuple[str, str, BaseModel]]) -> dict[str, float]:
    return {key: getattr(settings, "quiet_ms", 0) / 1000 for key, (_, _, settings) in accounts.items()}


async def _gone(request: "web.Request") -> "web.StreamResponse":
    """The account that had this route has it no longer."""
    from aiohttp import web

    raise web.HTTPNotFound


def prune(cursor: Cursor, before_ms: int) -> None:
    """Drops changes whose messages never came, and keys of commands that nobody sends again."""
    cursor.execute(records.PRUNE_EARLY_CHANGES, {"before": before_ms})
    cursor.execute(handoffs.PRUNE_DONE, {"before": before_ms})


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def serve(config_path: Path) -> int:
    """`frontdesk serve`. Returns the exit status; says in one line each what stands in the way."""

    def read() -> Config:
        return load(config_path, os.environ, adapters=find_settings)

    try:
        config = read()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - before there is a log
        return EXIT_CONFIG
    logs = configure(config.log.level, config.secrets())
    status = 0
    try:
        asyncio.run(_run(config, read, logs))
    except* DataError as group:
        status = _refuse(group, EXIT_DATA)
    except* ConfigError as group:
        status = _refuse(group, EXIT_CONFIG)
    finally:
        logs.close()
    return status


async def _run(config: Config, read: Loader, logs: LogSetup) -> None:
    for warning in config.warnings:
        log.warning(warning)
    await App(config, reload=read, logs=logs).run()


def _refuse(group: BaseExceptionGroup[FrontdeskError], status: int) -> int:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    print(f"frontdesk: {error}", file=sys.stderr)  # noqa: T201 - the one line that says why there is no daemon
    return status
