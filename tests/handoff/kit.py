"""The core with people on its side: real rows, intake, turns, delivery, desk, rooms; fakes only where users, operators and models are."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bot.agent.loop import Agent
from bot.channels import Channel
from bot.config.handoff_schema import Canned
from bot.conversations import Conversations
from bot.deciding import Deciding
from bot.delivery import Delivery
from bot.handoff.briefing import Briefing
from bot.handoff.commands import parse
from bot.handoff.desk import Desk, Told
from bot.handoff.feed import Feed
from bot.handoff.handing import Handing
from bot.handoff.mirror import Mirror
from bot.handoff.notice import Notice
from bot.handoff.rules import Rules
from bot.handoff.watching import Watching
from bot.handoff.words import CANCEL
from bot.ids import conversation_id, identity_id
from bot.intake import Intake
from bot.intake import Rules as IntakeRules
from bot.model import (
    Accepted,
    Address,
    Attachment,
    Author,
    BlobId,
    ButtonPressed,
    Conversation,
    ConversationId,
    Identity,
    Message,
    MessageReceived,
    PersonRequested,
    RemoteFile,
)
from bot.operators.operator import Listed, Operator, Presence
from bot.operators.people import Operators
from bot.ports import ChatRequest, Chunk, Finished, Receipt, Row, TextDelta, Value
from bot.recovery import recover
from bot.scheduler import TurnScheduler
from bot.store import handoffs, records
from bot.store import operators as stored_operators
from bot.store.folder import prepare
from bot.store.handoffs import Record
from bot.store.sqlite import SqliteStore
from bot.telemetry.metrics import Metrics
from bot.tools.person import RequestHuman
from bot.turn import Rules as TurnRules
from bot.turn import Turns
from tests.clock import ManualClock, settle
from tests.pipeline.house import ListChannel, ScriptedModel, agent

OPS: Final = Address("ops", "", "room")
PEOPLE: Final = (
    Listed("ben", "agent", ("billing",), (), ("en",)),
    Listed("cleo", "agent", ("tech",), (), ("de",)),
    Listed("dora", "agent", ("tech",), (), ("en",)),
    Listed("vera", "viewer"),
    Listed("paul", "approver"),
    Listed("adam", "admin"),
    Listed("axel", "auditor"),
)
RULES: Final = Rules(
    triggers=frozenset({"anger", "failures", "feedback", "unknown", "topic", "budget", "models", "error"}),
    topics={"law": ("lawyer",), "billing": ("invoice",)},
    teams=frozenset({"billing", "tech"}),
)
HOUR_MS: Final = 3_600_000
Step = Callable[[], Awaitable[None]]


class SendingChannel(ListChannel):
    """A platform that keeps what it was given, and can be asked whether a send arrived. `step` stands before and after each."""

    def __init__(self, name: str = "list", window_s: float = 0.0) -> None:
        super().__init__(name)
        self.limits = replace(self.limits, window_s=window_s)
        self.to: list[Address] = []
        self.step: Step | None = None

    async def send(self, to: Address, message: Message) -> Receipt:
        await self._step()
        receipt = self._put(to, message)
        await self._step()
        return receipt

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        known = [each for each, sent in enumerate(self.sent, 1) if (sent.id, sent.part) == (message.id, message.part)]
        return Receipt(f"out-{known[0]}") if known else None

    def to_person(self, chat: str) -> list[Message]:
        return [message for at, message in zip(self.to, self.sent, strict=True) if at.chat == chat]

    def _put(self, to: Address, message: Message) -> Receipt:
        self.sent.append(message)
        self.to.append(to)
        return Receipt(f"out-{len(self.sent)}")

    async def _step(self) -> None:
        if self.step is not None:
            await self.step()


class Page(SendingChannel):
    """Like the web page: shows each message once, by its id."""

    def __init__(self) -> None:
        super().__init__("page")
        self.limits = replace(self.limits, is_deduped=True)

    def _put(self, to: Address, message: Message) -> Receipt:
        if message.id not in {each.id for each in self.sent}:
            super()._put(to, message)
        return Receipt()


class Room(SendingChannel):
    """An operators' room: what is posted there, and what a card was edited to."""

    def __init__(self) -> None:
        super().__init__("ops")
        self.edits: list[Message] = []

    @property
    def room(self) -> Address | None:
        return OPS

    def _put(self, to: Address, message: Message) -> Receipt:
        if not message.replaces:
            return super()._put(to, message)
        self.edits.append(message)
        place = int(message.replaces.removeprefix("out-")) - 1
        self.sent[place] = message
        return Receipt(message.replaces)

    def cards(self) -> list[tuple[str, Message]]:
        """As they stand now, by the platform's id."""
        posted = enumerate(zip(self.to, self.sent, strict=True), 1)
        return [
            (f"out-{number}", each)
            for number, (at, each) in posted
            if not at.thread and (each.buttons or each.replaces)
        ]

    def thread(self, card: str = "") -> list[Message]:
        """What stands in the thread of a card, the newest by default."""
        card = card or self.cards()[-1][0]
        return [each for at, each in zip(self.to, self.sent, strict=True) if at.thread == card]


class Brain:
    """A model that answers what was asked last. `calls` are made first; `wait`, where set, is waited for before an answer."""

    def __init__(self) -> None:
        self.says = "Answer to: {text}"
        self.calls: list[Chunk] = []
        self.gates: list[asyncio.Event] = []
        self.fails: list[Exception] = []

    async def __call__(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        if self.gates:
            await self.gates.pop(0).wait()
        if self.fails:
            raise self.fails.pop(0)
        if self.calls and not request.messages[-1].results:
            for each in self.calls:
                yield each
            self.calls = []
            yield Finished("tools")
            return
        asked = [each.text for each in request.messages if each.author is Author.USER]
        yield TextDelta(self.says.format(text=asked[-1] if asked else "nothing"))
        yield Finished()


async def useless(request: ChatRequest) -> AsyncIterator[Chunk]:
    """The last resort, with nothing to quote."""
    yield TextDelta("I found nothing about that.")
    yield Finished(is_answered=False)


@dataclass
class World:
    """What outlives a process: the file, the platforms, the models, time."""

    folder: Path
    rules: Rules = RULES
    channels: Sequence[SendingChannel] = ()
    canned: Sequence[Canned] = (
        Canned(name="hello", text="Hello {user}, {operator} here, case {case}."),
        Canned(name="page", text="Only on the page.", channels=("page",)),
    )
    people: Sequence[Listed] = PEOPLE
    clock: ManualClock = field(default_factory=ManualClock)
    brain: Brain = field(default_factory=Brain)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    step: Step | None = None

    def __post_init__(self) -> None:
        self.model = ScriptedModel(self.brain)
        self.offline = ScriptedModel(useless)
        if not self.channels:
            self.channels = (SendingChannel(), Room())
        self.user, self.room = (
            self.channels[0],
            next((each for each in self.channels if isinstance(each, Room)), Room()),
        )

    def answerer(self) -> Agent:
        return agent({"brain": self.model, "offline": self.offline}, self.clock, [RequestHuman()])


class StepStore(SqliteStore):
    """Lets a test end the process before and after each unit of work, and knows whether anybody reads or writes."""

    step: Step | None = None
    reading = 0
    writing = 0

    async def read(self, query: str, parameters: Mapping[str, Value] = {}) -> list[Row]:
        self.reading += 1
        try:
            return await super().read(query, parameters)
        finally:
            self.reading -= 1

    async def run(
        self, unit: Callable[..., Any], /, *args: object
    ) -> Any:  # as the port has it, whatever the unit gives
        if self.step is not None:
            await self.step()
        self.writing += 1
        try:
            result = await super().run(unit, *args)
        finally:
            self.writing -= 1
        if self.step is not None:
            await self.step()
        return result


class Office:
    """One running process."""

    def __init__(self, world: World, store: StepStore) -> None:
        self.world, self.store, self.clock = world, store, world.clock
        self.model, self.brain, self.user, self.room = world.model, world.brain, world.user, world.room
        self.metrics = Metrics()
        self.feed = Feed()
        self.conversations = Conversations(store)
        channels = {each.name: Channel.of(each) for each in world.channels}
        self.delivery = Delivery(store, self.clock, channels, self.metrics)
        agents = {"main": world.answerer()}
        self.turns = Turns(
            store, self.clock, self.conversations, agents, channels, self.delivery, TurnRules(), self.metrics
        )
        self.scheduler = TurnScheduler(self.turns.run, self.clock, alone=self.turns.run_alone)
        self.operators = Operators(store, self.clock)
        deciding = Deciding(store, self.clock, self.conversations, self.scheduler, self.operators)
        self.briefing = Briefing(store, self.clock, {"main": world.answerer()}, {}, 60.0)
        self.desk = Desk(
            store,
            self.clock,
            self.conversations,
            self.scheduler,
            self.delivery,
            channels,
            self.operators,
            deciding,
            self.briefing,
            self.feed,
            self.metrics,
            lambda: world.rules,
            lambda: world.canned,
            lambda found: None,
        )
        self.handing = Handing(store, self.clock, self.desk, self.operators, self.briefing, self.metrics)
        self.turns.handing = self.handing
        self.mirror = Mirror(store, self.clock, self.feed, self.delivery, channels)
        self.rung: list[Notice] = []  # what open consoles were told
        self.watching = Watching(store, self.clock, self.feed, self._ring, pause_s=0.0)
        self.delivery.on_shown = self.handed
        rules = IntakeRules(
            16_000,
            86_400_000,
            lambda channel: "main",
            lambda channel: 0.0,
            is_room=lambda at: (at.channel, at.chat) == (OPS.channel, OPS.chat),
            touch=self.feed.touch,
            changed_hands=self.handed,
            disliked=self.handing.disliked,
        )
        self.intake = Intake(
            store, self.clock, self.conversations, self.scheduler, rules, self.metrics, channels, self.delivery
        )

    def _ring(self, notices: Sequence[Notice]) -> None:
        self.rung.extend(notices)

    def handed(self, conversation: str) -> None:
        self.feed.touch(conversation, is_handoff=True)

    async def start(self) -> None:
        await self.operators.sync(self.world.people)
        for person in self.world.people:
            await self._link(person.name)
        await self.desk.tick()
        await self.turns.recover()
        await recover(self.store, self.scheduler, self.clock, 3)
        await self.delivery.recover()

    async def _link(self, name: str) -> None:
        """On the room's platform `U-ben` is ben."""
        operator = await self.operators.named(name)
        id_ = identity_id("ops", "", f"U-{name}")
        now = self.clock.now_ms()
        known = await self.operators.by_identity("ops", "", f"U-{name}")
        if known is None:
            link = (operator.id, "ops", "", f"U-{name}", name, id_, now)
            await self.store.run(stored_operators.link, *link)

    # --- users ---------------------------------------------------------------------------------------------------------

    async def say(
        self, text: str, *, chat: str = "ada", event: str = "", channel: str = "", files: Sequence[RemoteFile] = (),
        attachments: tuple[BlobId, ...] = (),
    ) -> Accepted:  # fmt: skip
        """A user writes."""
        name = channel or self.user.name
        who, at = Identity(name, "", chat, "Ada Example"), Address(name, "", chat)
        external = event or f"e{next(self.world.numbers)}"
        said = MessageReceived(who, at, external, text, files=tuple(files), attachments=attachments)
        accepted = await self.intake.receive(said)
        await self.rest()
        return accepted

    async def press(self, button: str = CANCEL, chat: str = "ada") -> None:
        """A user presses a button of the newest message that has it."""
        shown = [each for each in self.user.to_person(chat) if any(known.id == button for known in each.buttons)]
        who, at = Identity(self.user.name, "", chat), Address(self.user.name, "", chat)
        await self.intake.receive(ButtonPressed(who, at, "press", shown[-1].id, button))
        await self.rest()

    async def ask_for_person(self, chat: str = "ada") -> None:
        who, at = Identity(self.user.name, "", chat, "Ada Example"), Address(self.user.name, "", chat)
        await self.intake.receive(PersonRequested(who, at, f"wish{next(self.world.numbers)}"))
        await self.rest()

    # --- operators -----------------------------------------------------------------------------------------------------

    async def act(
        self,
        who: str,
        line: str,
        *,
        chat: str = "ada",
        key: str = "",
        attachments: Sequence[Attachment] = (),
        suggestion: str = "",
    ) -> Told:
        """An operator's command from the console. Raises Refused."""
        command = parse(line)
        assert command is not None, line
        operator = await self.operators.named(who)
        told = await self.desk.act(
            operator, self.id_of(chat), command, key=key, attachments=attachments, suggestion=suggestion
        )
        await self.rest()
        return told

    async def write(self, who: str, text: str, *, thread: str | None = None, event: str = "", name: str = "") -> None:
        """An operator, or anybody, writes in the room; in the thread of the newest card by default."""
        card = self.room.cards()[-1][0] if thread is None else thread
        sender = Identity("ops", "", who if who.startswith("U-") else f"U-{who}", name or who)
        external = event or f"o{next(self.world.numbers)}"
        await self.intake.receive(MessageReceived(sender, replace(OPS, thread=card), external, text))
        await self.rest()

    async def online(self, *names: str) -> None:
        for name in names:
            await self.operators.set_presence(name, Presence.ONLINE)

    async def operator(self, name: str) -> Operator:
        return await self.operators.named(name)

    # --- time ------------------------------------------------------------------------------------------------------------

    async def pass_time(self, seconds: float) -> None:
        """So much later; what is due by then is done."""
        self.clock.step_wall(round(seconds * 1000))
        await self.desk.tick()
        await self.rest()

    async def rest(self, seconds: float = 0.0) -> None:
        """Lets everything run until nothing moves."""
        await self.clock.advance(seconds)
        quiet = 0
        for round_ in range(2000):
            await asyncio.sleep(0.0005)  # the store's thread works in real time, and has no clock to move
            await settle(5)
            is_busy = self.scheduler.running() or self.delivery.running() or self.store.writing or self.store.reading
            quiet = 0 if is_busy else quiet + 1
            if quiet >= 4 or (self.is_held and round_ > 20 and not self.store.writing and not self.delivery.running()):
                return

    is_held = False  # a turn waits for its model: resting does not wait for it

    # --- what there is -----------------------------------------------------------------------------------------------------

    def id_of(self, chat: str = "ada") -> ConversationId:
        return conversation_id(Address(self.user.name, "", chat))

    async def found(self, chat: str = "ada") -> Conversation:
        rows = await self.store.read(records.CONVERSATION_BY_ID, {"id": self.id_of(chat)})
        return records.conversation_of(rows[0])

    async def owner(self, chat: str = "ada") -> str:
        """ "agent", "queue" or the operator's name."""
        owner = (await self.found(chat)).owner
        known = {each.id: each.name for each in await self.operators.all()}
        return known.get(owner, owner)

    async def record(self, chat: str = "ada") -> Record:
        """The latest handoff."""
        rows = await self.store.read(handoffs.LATEST_HANDOFF, {"conversation": self.id_of(chat)})
        return handoffs.record_of(rows[0])

    async def all(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return await self.store.read(sql, values or {})

    def seen(self, chat: str = "ada") -> list[str]:
        """What a user has been shown, in order."""
        return [message.text for message in self.user.to_person(chat)]


@asynccontextmanager
async def office(world: World) -> AsyncIterator[Office]:
    """A running process; leaving it is like a kill: nothing is drained."""
    prepare(world.folder)
    store = await StepStore.open(world.folder)
    assert isinstance(store, StepStore)
    for each in world.channels:
        each.step = world.step
    place = Office(world, store)
    sides = (place.briefing.run(), place.mirror.run(), place.watching.run())
    parts = (place.scheduler.run(), place.delivery.run(), place.turns.watch(), *sides)
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await place.start()
        store.step = world.step
        yield place
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
    failures = [each for each in ended if isinstance(each, Exception)]
    assert failures == []
