"""The core under the knife: a real store, intake, turns, actions and delivery; the shop, the people and the operators are outside.

Everything outside is reached over one loopback connection, a line of JSON each. Crash points and planted bugs stand at the ports, or replace a
unit of work; nothing in the program knows of them. Run by `tests.actions.kill`.
"""

import asyncio
import itertools
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import bot.store.actions as ledger
import bot.tools.acting as acting
from bot.channels import Channel
from bot.clock import SystemClock
from bot.conversations import Conversations
from bot.deciding import Deciding, once
from bot.delivery import Delivery
from bot.errors import NotSent, Refused, SendUncertain, Uncertain
from bot.intake import Intake
from bot.intake import Rules as IntakeRules
from bot.model import Address, Author, ButtonPressed, Identity, Message, MessageReceived
from bot.ports import ChatRequest, Chunk, Cursor, Finished, Limits, Receipt, Route, TextDelta, ToolCall
from bot.recovery import recover
from bot.scheduler import TurnScheduler
from bot.store.folder import prepare
from bot.store.sqlite import SqliteStore
from bot.telemetry.metrics import Metrics
from bot.tools.action import Action, Allowance, Arguments, Consent, Effect, Parameter, Reply, Role, Source
from bot.turn import Rules as TurnRules
from bot.turn import Turns
from tests.actions.shop import Catalogue
from tests.kill.daemon import serve_orders
from tests.kill.points import Doom, Plan
from tests.people import People
from tests.pipeline.house import ScriptedModel, agent

T = TypeVar("T")
NAME = "wire"
TRIES = 100  # a message is killed often here and is innocent
EFFECTS = ("keyed", "checkable", "naked")
CONSENTS = ("none", "user", "operator", "both")
WARM = ("aiosqlite", "bot.llm.offline", "jsonschema")

OTHER_KEY, LATE_BEGIN, NAKED_AGAIN = "a new key for each try", "begun after the call", "a naked call made again"
NO_CONSENT, NO_OBJECT = "consent not asked", "two of one object"
ALTERED, NO_HASH = "altered after consent", "altered after consent, and not compared"
FAULTS = (OTHER_KEY, LATE_BEGIN, NAKED_AGAIN, NO_CONSENT, NO_OBJECT, ALTERED, NO_HASH)

_WISH = re.compile(r"Please (\w+) for order (\d+), amount (\d+)")


class DoomedStore(SqliteStore):
    """The real store, which ends the process before, inside or after a unit of work."""

    doom = Doom(Plan(""))
    fault = ""
    begun: ClassVar[dict[object, tuple[object, ...]]] = {}  # by the planted bug: what is entered only after its call

    async def run(self, unit: Callable[..., T], *args: Any) -> T:  # whatever the unit takes
        name = name_of(unit, args)
        match self.fault, name:
            case (bug, "action begin") if bug == LATE_BEGIN:
                self.begun[args[0]] = args
                return True  # type: ignore[return-value]  # as the unit does
            case (bug, "action settle") if bug == LATE_BEGIN and args[0] in self.begun:
                await super().run(ledger.begin, *self.begun.pop(args[0]))
            case (bug, "action propose") if bug == NO_CONSENT:
                args = (replace(args[0], is_free=True, operators=0),)
        self.doom.at(f"before {name}")
        if self.doom.point == f"inside {name}":
            result: T = await super().run(self._inside, name, unit, *args)
        else:
            result = await super().run(unit, *args)
        if self.fault in (ALTERED, NO_HASH) and name in ("press", "consent"):
            await super().run(lambda cursor: cursor.execute(_ALTER))
        self.doom.at(f"after {name}")
        return result

    def _inside(self, cursor: Cursor, name: str, unit: Callable[..., T], *args: object) -> T:
        result = unit(cursor, *args)
        self.doom.at(f"inside {name}")
        return result


_ALTER = """UPDATE actions SET arguments = replace(arguments, '"amount":5', '"amount":6') WHERE state = 'approved'"""


def name_of(unit: Callable[..., object], args: Sequence[Any]) -> str:
    """Units of the ledger share names with others. A decision is made within `once`."""
    if unit is once:
        return "unknown" if args[2].func is ledger.decide_unknown else args[2].func.__name__
    return f"action {unit.__name__}" if unit.__module__ == ledger.__name__ else unit.__name__


class Wire:
    """The connection to everything outside. A question has one reply; what comes unasked is an event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    async def read(self) -> None:
        """Until the other side is gone."""
        while line := await self._reader.readline():
            said = json.loads(line)
            if "event" in said:
                self.events.put_nowait(said["event"])
            else:
                self._replies.pop(said["number"]).set_result(said["reply"])

    def tell(self, **said: Any) -> None:
        self._writer.write(json.dumps(said).encode() + b"\n")

    async def ask(self, **said: Any) -> Any:
        number = next(self._numbers)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        self.tell(number=number, **said)
        await self._writer.drain()
        return await reply


class Till:
    """The shop's endpoint of one action."""

    def __init__(self, name: str, wire: Wire, doom: Doom, fault: str) -> None:
        self._name, self._wire, self._doom, self._fault = name, wire, doom, fault
        self._tries = itertools.count()

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        if self._fault == OTHER_KEY:
            key = f"{key}-{id(self)}-{next(self._tries)}"
        asking = asyncio.ensure_future(self._wire.ask(op="call", name=self._name, key=key, arguments=dict(arguments)))
        await asyncio.sleep(0)
        self._doom.at("request written")
        return self._read(await asking)

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        said = await self._wire.ask(op="look up", name=self._name, key=key)
        self._doom.at("looked up")
        return None if "none" in said else self._read(said)

    def _read(self, said: dict[str, Any]) -> Reply:  # JSON
        self._doom.at("reply read")
        match said:
            case {"lost": _}:
                raise Uncertain("the connection was cut")
            case {"unsent": _}:
                raise NotSent("refused")
            case {"refused": why}:
                return Reply(why, is_refused=True)
            case _:
                return Reply(said)


def catalogue(wire: Wire, doom: Doom, fault: str) -> Catalogue:
    """One action for each effect class and each consent."""
    return Catalogue(
        *(
            _action(f"{effect}_{consent}", effect, consent, wire, doom, fault)
            for effect in EFFECTS
            for consent in CONSENTS
        )
    )


def _action(name: str, effect: str, consent: str, wire: Wire, doom: Doom, fault: str) -> Action:
    is_planted = fault == NAKED_AGAIN and effect == "naked"
    return Action(
        name,
        f"Pay by {name}",
        "Pays.",
        (
            Parameter("order", {"type": "string"}),
            Parameter("amount", {"type": "integer", "minimum": 1}, role=Role.AMOUNT),
            Parameter("customer", {"type": "string"}, source=Source.IDENTITY, source_field="id"),
        ),
        Till(name, wire, doom, fault),
        Effect.KEYED if is_planted else Effect(effect),
        Consent.USER if consent == "both" else Consent(consent),
        Allowance(operator_above=1 if consent == "both" else None),
        once_per="pay:{order}",
        version="1",
    )


class WireChannel:
    """Adapter and Reconciles: a platform that dedupes nothing, and that can be asked what it has."""

    name, account = NAME, ""
    limits = Limits(text_chars=10_000, max_age_s=3600.0)

    def __init__(self, wire: Wire, doom: Doom) -> None:
        self._wire, self._doom = wire, doom

    def routes(self) -> Sequence[Route]:
        return ()

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def send(self, to: Address, message: Message) -> Receipt:
        buttons = [button.id for button in message.buttons]
        reply = await self._wire.ask(op="post", chat=to.chat, message=message.id, text=message.text, buttons=buttons)
        self._doom.at("posted")
        if not reply:
            raise SendUncertain("cut off")
        return Receipt(reply)

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        reply = await self._wire.ask(op="find", message=message.id)
        return Receipt(reply) if reply else None


async def teller(request: ChatRequest) -> AsyncIterator[Chunk]:
    """A model that calls what it is asked for, once, and tells of each outcome in one plain word."""
    asked: list[str] = []
    told: list[str] = []
    orders: dict[str, str] = {}
    for entry in request.messages:
        if entry.author is Author.USER:
            asked, told = [entry.text], []
        orders |= {call.id: json.loads(call.arguments)["order"] for call in entry.calls}
        told += [f"order {orders[result.call]}: {outcome_of(result.text)}" for result in entry.results]
    wish = _WISH.search(asked[-1]) if asked else None
    if told or wish is None:
        yield TextDelta("; ".join(told) or "I do not know what you mean.")
        yield Finished()
    else:
        name, order, amount = wish.groups()
        yield ToolCall("c1", name, json.dumps({"order": order, "amount": int(amount)}))
        yield Finished("tools")


def outcome_of(text: str) -> str:
    for sign, word in (
        ("already", "already"),
        ("Nobody knows", "unclear"),
        ('"paid"', "done"),
        ("it was carried out", "done"),
    ):
        if sign in text:
            return word
    return "no"


class Town:
    """The core, assembled as at a start."""

    def __init__(self, store: SqliteStore, wire: Wire, doom: Doom, fault: str) -> None:
        self.store, self.wire = store, wire
        self.clock = SystemClock()
        metrics = Metrics()
        self.conversations = Conversations(store)
        channels = {NAME: Channel.of(WireChannel(wire, doom))}
        self.delivery = Delivery(store, self.clock, channels, metrics)
        answerer = agent({"brain": ScriptedModel(teller), "offline": ScriptedModel()}, self.clock)
        actions = catalogue(wire, doom, fault)
        answerer.give_actions(actions.of("main"), acting.Acting(store, self.clock, actions, lambda: b"k" * 32))
        rules = TurnRules(tries=TRIES, retry_s=(0.02,))
        self.turns = Turns(
            store, self.clock, self.conversations, {"main": answerer}, channels, self.delivery, rules, metrics
        )
        self.scheduler = TurnScheduler(self.turns.run, self.clock, alone=self.turns.run_alone)
        taken_in = IntakeRules(16_000, 86_400_000, lambda channel: "main", lambda channel: 0.0)
        self.intake = Intake(
            store, self.clock, self.conversations, self.scheduler, taken_in, metrics, channels, self.delivery
        )
        people = {"ada": "approver", "bob": "approver"}
        self.deciding = Deciding(store, self.clock, self.conversations, self.scheduler, People(people))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(work)
                for work in (self.scheduler.run(), self.delivery.run(), self.turns.watch(), self._serve(tasks))
            ]
            await self.turns.recover()
            await recover(self.store, self.scheduler, self.clock, TRIES)
            await self.delivery.recover()
            self.wire.tell(op="ready")
            await self.wire.read()
            for task in running:
                task.cancel()

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            tasks.create_task(self._take(await self.wire.events.get()))

    async def _take(self, event: dict[str, Any]) -> None:  # JSON
        try:
            await self._receive(event)
        except Refused as error:
            self.wire.tell(op="ack", id=event["id"], refused=error.code)
        else:
            self.wire.tell(op="ack", id=event["id"], refused="")

    async def _receive(self, event: dict[str, Any]) -> None:
        match event:
            case {"kind": "say"}:
                who, at = _place(event)
                await self.intake.receive(MessageReceived(who, at, event["id"], event["text"]))
            case {"kind": "press"}:
                who, at = _place(event)
                pressed = ButtonPressed(who, at, event["id"], event["message"], event["button"])
                await self.intake.receive(pressed)
            case {"kind": "consent"}:
                await self._consent(event["order"], is_yes=event["yes"])
            case {"kind": "resolve"}:
                for row in await self.store.read(_QUEUED, {"order": f'%"order":"{event["order"]}"%'}):
                    why = {"name": "ada", "account": "root", "why": ""}
                    await self.deciding.unknown(str(row[0]), event["outcome"], **why)

    async def _consent(self, order: str, *, is_yes: bool) -> None:
        for row in await self.store.read(_OPEN, {"order": f'%"order":"{order}"%'}):
            await self.deciding.consent(str(row[0]), is_yes=is_yes, name="ada", account="root", why="")


_OPEN = """
    SELECT c.id FROM consents c JOIN actions a ON a.id = c.action_id
    WHERE c.kind = 'operator' AND c.state = 'open' AND a.arguments LIKE :order"""
_QUEUED = """
    SELECT q.id FROM queue q JOIN actions a ON a.id = q.subject
    WHERE q.kind = 'unknown' AND q.decided_ms IS NULL AND a.arguments LIKE :order"""


def _place(event: dict[str, Any]) -> tuple[Identity, Address]:
    return Identity(NAME, "", f"id:{event['chat']}", verified=True), Address(NAME, "", event["chat"])


def life(order: dict[str, str], _report: int) -> None:
    """One life: until the plan ends it, or the other side is gone."""
    doom = Doom(Plan(order["point"], int(order["count"])))
    DoomedStore.doom, DoomedStore.fault = doom, order["fault"]
    setattr(acting, "RETRY_S", (0.005, 0.01, 0.02))  # noqa: B010 - waits are not what is proved here
    if order["fault"] == NO_HASH:
        setattr(ledger, "_is_sealed", lambda *_: True)  # noqa: B010 - mypy forbids the assignment
    if order["fault"] == NO_OBJECT:
        setattr(ledger, "OF_OBJECT", f"{ledger.OF_OBJECT} AND id = ''")  # noqa: B010 - mypy forbids the assignment
    asyncio.run(_live(Path(order["data"]), int(order["port"]), doom, order["fault"]))


async def _live(folder: Path, port: int, doom: Doom, fault: str) -> None:
    doom.at("starting")
    prepare(folder)
    store = await DoomedStore.open(folder)
    if fault == NO_OBJECT:
        await store.run(lambda cursor: cursor.execute("DROP INDEX IF EXISTS actions_by_object"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await Town(store, Wire(reader, writer), doom, fault).run()
    finally:
        await store.close()
        writer.close()


if __name__ == "__main__":
    serve_orders(life, WARM)
    sys.exit(0)
