"""Everything that people on our side need, built once: accounts, the desk, the rooms, the console. `app` owns it."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.assembly import Assembly
from bot.channels import Channel, channel_at, key_of
from bot.config import Config
from bot.console.reading import note_reading
from bot.console.room import Persons, Room, Settings
from bot.conversations import Conversations
from bot.deciding import Deciding
from bot.delivery import Delivery
from bot.gaps.gaps import Gaps
from bot.handoff import control as handoff_control
from bot.handoff.briefing import Briefing
from bot.handoff.desk import Desk
from bot.handoff.feed import Feed
from bot.handoff.handing import Handing
from bot.handoff.mirror import Mirror
from bot.handoff.notice import Notice
from bot.handoff.rules import Rules, rules_of
from bot.handoff.signs import Signs
from bot.handoff.views import Views
from bot.handoff.watching import Watching
from bot.model import Conversation, Passage, PassageId, changeable
from bot.operators import commands as operator_commands
from bot.operators.operator import Listed
from bot.operators.people import Operators
from bot.operators.signing_in import Signing
from bot.ports import Clock, Route, Scheduler, Store
from bot.store.blobs import Blobs
from bot.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from bot.console.console import Console

SIGN_IN_KEY = "operators"
INVITING = ("operator add", "operator invite")


@changeable
class Core:
    """What the staff works with."""

    store: Store
    clock: Clock
    conversations: Conversations
    scheduler: Scheduler
    delivery: Delivery
    channels: Mapping[str, Channel]
    assembly: Assembly
    blobs: Blobs
    metrics: Metrics
    secret: Callable[[str], bytes]
    passage: Callable[[PassageId], Awaitable[Passage | None]]


class Staff:
    """`start` before anything is taken in; `parts` run for as long as the daemon does."""

    def __init__(self, config: Config, core: Core) -> None:
        self.feed = Feed()
        self.operators = Operators(core.store, core.clock)
        self.signing = Signing(core.store, core.clock, core.secret(SIGN_IN_KEY))
        self.deciding = Deciding(core.store, core.clock, core.conversations, core.scheduler, self.operators)
        self.briefing = Briefing(
            core.store, core.clock, core.assembly.proposers, core.assembly.background, config.limits.turn_s
        )
        self._core = core
        self.gaps = Gaps(core.store, core.clock, core.assembly.background, config.data.path)
        self._take(config)
        self.desk = Desk(
            core.store,
            core.clock,
            core.conversations,
            core.scheduler,
            core.delivery,
            core.channels,
            self.operators,
            self.deciding,
            self.briefing,
            self.feed,
            core.metrics,
            lambda: self._rules,
            lambda: self._config.handoff.canned,
            self.asks_within_s,
        )
        self.handing = Handing(core.store, core.clock, self.desk, self.operators, self.briefing, core.metrics)
        self.views = Views(core.store, core.clock, self.feed)
        self.mirror = Mirror(core.store, core.clock, self.feed, core.delivery, core.channels)
        self.signs = Signs(core.store, core.clock, self.feed, core.channels, self.operators)
        self.watching = Watching(core.store, core.clock, self.feed, self._ring)
        self.persons: Persons | None = None  # `app` sets it before `console` is asked for
        self._console: Console | None = None
        core.delivery.on_shown = lambda room: self.feed.touch(room, is_handoff=True)

    def _take(self, config: Config) -> None:
        self._config = config
        self._rules: Rules = rules_of(config.handoff, config.operators.people)

    async def start(self) -> None:
        """The people of the config are operators."""
        await self.sync()
        await self.desk.tick()

    async def sync(self) -> None:
        people = self._config.operators.people
        await self.operators.sync(
            [Listed(each.name, each.role, each.teams, each.skills, each.languages, each.capacity) for each in people]
        )

    async def take(self, config: Config) -> None:
        """Another config, from now on."""
        self._take(config)
        await self.sync()
        await self.recheck()
        await self.desk.rearm()

    def _ring(self, notices: Sequence[Notice]) -> None:
        if self._console is not None:
            self._console.hub.ring(notices)

    async def recheck(self) -> None:
        """Whoever may not be here any more is signed out."""
        if self._console is not None:
            await self._console.recheck()

    def console(self) -> "Console":
        """Imported where it is wanted: pages are no part of the pipeline."""
        if self._console is None:
            from bot.console.console import Console

            core = self._core
            if self.persons is None:
                raise RuntimeError("the console is asked for before there is what erases people")
            room = Room(
                core.store,
                core.clock,
                self.views,
                self.desk,
                self.operators,
                self.signing,
                core.blobs,
                core.passage,
                self._settings,
                self.feed.touch,
                self.persons,
                core.assembly.knowledge,
                self._config.data.path,
            )
            self._console = Console(room, self.feed, gaps=self.gaps)
        return self._console

    def routes(self) -> list[Route]:
        return list(self.console().routes())

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "desk": self.desk.run(),
            "briefing": self.briefing.run(),
            "rooms": self.mirror.run(),
            "signs": self.signs.run(),
            "watching": self.watching.run(),
            "console": self.console().run(),
            "gaps": self.gaps.run(),
        }

    async def answer(self, account: str, command: str, arguments: dict[str, Any]) -> object:
        """A command of the command line that begins with `handoff`, `operator`, `gaps` or `recall`."""
        if command.startswith(("gaps ", "recall ")):
            return await self.gaps.answer(account, command, arguments)
        if command.startswith("handoff "):
            return await self._handoff(account, command, arguments)
        told = await operator_commands.answer(self.operators, self.signing, account, command, arguments)
        await self.recheck()
        if isinstance(told, dict) and command in INVITING:
            return {**told, "address": f"{self._console_url()}/console#/invite/{told['code']}"}
        return told

    def _console_url(self) -> str:
        """Where operators reach the console."""
        admin = self._config.admin
        host = "127.0.0.1" if admin.host in ("0.0.0.0", "::") else admin.host  # noqa: S104  only compared
        return admin.public_url or f"http://{f'[{host}]' if ':' in host else host}:{admin.port}"

    async def _handoff(self, account: str, command: str, arguments: dict[str, Any]) -> object:
        told = await handoff_control.answer(self.desk, self.views, self.operators, account, command, arguments)
        if command == "handoff show" and isinstance(told, dict):
            reader, conversation = f"local:{account}", told["row"]["conversation"]
            await note_reading(self._core.store, self._core.clock, reader, conversation)
        return told

    def asks_within_s(self, found: Conversation) -> float | None:
        """See `bot.accepting.close_case`."""
        channel = self._core.channels.get(channel_at(found.address))
        if channel is None or channel.shows_case is not None or channel.limits.is_deduped:
            return None
        return channel.limits.window_s

    def is_room(self, channel: str, account: str, chat: str) -> bool:
        """Whether a chat is an operators' room."""
        found = self._core.channels.get(key_of(channel, account))
        room = found.has_room.room if found is not None and found.has_room is not None else None
        return room is not None and room.chat == chat

    def _settings(self) -> Settings:
        config = self._config
        return Settings(
            self._rules.hours,
            tuple(
                {"name": each.name, "text": each.text, "channels": list(each.channels)}
                for each in config.handoff.canned
            ),
            config.admin.public_url,
            config.limits.upload_bytes,
            self._window_s,
            config.knowledge,
            tuple(sorted({each for agent in config.agents.values() for each in agent.audiences})),
        )

    def _window_s(self, channel: str, account: str) -> float:
        found = self._core.channels.get(key_of(channel, account))
        return found.limits.window_s if found is not None else 0.0
