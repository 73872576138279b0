"""A shop at the `Endpoint` port that keeps its own ledger, and an agent that does what a script says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.errors import NotSent, Uncertain
from bot.model import Accepted, Address, Author, ButtonPressed, Identity, Message, MessageReceived
from bot.ports import ChatRequest, Chunk, Finished, TextDelta, ToolCall
from bot.tools.acting import Acting
from bot.tools.action import (
    Action,
    Arguments,
    Consent,
    Effect,
    Parameter,
    Reply,
    Role,
    Source,
)
from tests.clock import ManualClock
from tests.pipeline.house import Core, ListChannel, ScriptedModel, agent, core

Fault = Callable[[], Awaitable[None]]


class Shop:
    """Refunds of orders. `before` and `after` run around the moment at which an effect is booked; they may raise, or wait for ever."""

    def __init__(self, *, honours_keys: bool = True) -> None:
        self.ledger: list[tuple[str, Any]] = []  # key, arguments: what has really happened
        self.calls: list[tuple[str, Any]] = []
        self.looked_up = 0
        self.honours_keys = honours_keys
        self.order: dict[str, Any] = {"status": "paid", "total": 5_000, "currency": "EUR", "email": "ada@example.com"}
        self.before: list[Fault] = []
        self.after: list[Fault] = []
        self.blind = False  # the look-up does not answer

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        self.calls.append((key, dict(arguments)))
        if self.before:
            await self.before.pop(0)()
        known = [each for each in self.ledger if each[0] == key]
        if not (known and self.honours_keys):
            self.ledger.append((key, dict(arguments)))
        if self.after:
            await self.after.pop(0)()
        return Reply({"refund": f"r{len(self.ledger)}", "secret": "not for models"})

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        self.looked_up += 1
        if self.blind:
            raise Uncertain("no answer")
        return Reply({"refund": "found"}) if any(each[0] == key for each in self.ledger) else None


class Orders:
    """Reads an order of the shop."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.reads = shop, 0

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        self.reads += 1
        if arguments.get("customer") not in (None, "u1"):
            return Reply("There is no such order.", is_refused=True)
        return Reply({**self.shop.order, "order": arguments["order"], "canary": "not kept"})

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        raise Uncertain("a read is not looked up")


def refund(shop: Shop, effect: Effect = Effect.KEYED, consent: Consent = Consent.USER, **given: Any) -> Action:
    made = Action(
        "refund_order",
        "Refund an order",
        "Gives money back for an order.",
        (
            Parameter("order", {"type": "string", "pattern": "^[0-9]+$"}, title="Order"),
            Parameter("amount", {"type": "integer", "minimum": 1}, role=Role.AMOUNT, most_field="total"),
            Parameter("currency", {"type": "string"}, source=Source.FACTS, role=Role.CURRENCY),
            Parameter("customer", {"type": "string"}, source=Source.IDENTITY, source_field="id"),
            Parameter("note", {"type": "string"}, is_required=False),
        ),
        shop,
        effect,
        consent,
        facts="get_order",
        fact_fields=("status", "total", "currency"),
        once_per="refund:{order}",
        keep=("refund",),
        version="1",
    )
    return replace(made, **given)


def order(shop: Shop, **given: Any) -> Action:
    made = Action(
        "get_order",
        "Look up an order",
        "Reads an order.",
        (
            Parameter("order", {"type": "string"}, title="Order"),
            Parameter("customer", {"type": "string"}, source=Source.IDENTITY, source_field="id"),
        ),
        Orders(shop),
        Effect.READ,
        Consent.NONE,
        keep=("order", "status", "total"),
        version="1",
    )
    return replace(made, **given)


class Catalogue:
    """What there is, as the test says."""

    def __init__(self, *actions: Action) -> None:
        self.actions = {action.name: action for action in actions}

    def get(self, name: str) -> Action | None:
        return self.actions.get(name)

    def of(self, agent: str) -> Sequence[Action]:
        return [action for action in self.actions.values() if agent in action.agents]


def call(name: str = "refund_order", id_: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(id_, name, json.dumps(arguments or {"order": "12", "amount": 2_500}))


class Obedient:
    """A model that calls what it is told to, once, and then says how each result reads."""

    def __init__(self, *calls: ToolCall, says: str = "") -> None:
        self.calls = calls
        self.says = says
        self.results: list[str] = []

    async def __call__(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        newest = request.messages[-1]
        if newest.results:
            self.results += [result.text for result in newest.results]
            yield TextDelta(self.says or " / ".join(result.text for result in newest.results))
            yield Finished()
        else:
            for each in self.calls:
                yield each
            yield Finished("tools")


class Counter:
    """One running house with its shop."""

    def __init__(self, house: Core, shop: Shop, catalogue: Catalogue, model: ScriptedModel) -> None:
        self.house, self.shop, self.catalogue, self.model = house, shop, catalogue, model
        self.acting = Acting(house.store, house.clock, catalogue, lambda: b"k" * 32)

    @property
    def sent(self) -> list[Message]:
        return self.house.channel.sent

    @property
    def card(self) -> Message:
        return next(message for message in reversed(self.sent) if message.buttons)

    async def say(self, text: str = "Refund order 12, please", person: str = "id:u1", event: str = "") -> Accepted:
        who = Identity("list", "", person, verified=person.startswith("id:"))
        at = Address("list", "", "room")
        said = MessageReceived(who, at, event or f"m{len(self.model.requests)}-{text}", text)
        accepted = await self.house.intake.receive(said)
        await self.house.rest(1)
        return accepted

    async def press(self, answer: str = "yes", person: str = "id:u1", card: Message | None = None) -> Accepted:
        shown = card or self.card
        button = next(each.id for each in shown.buttons if each.id.endswith(answer))
        who = Identity("list", "", person, verified=True)
        pressed = ButtonPressed(who, Address("list", "", "room"), "press", shown.id, button)
        accepted = await self.house.intake.receive(pressed)
        await self.house.rest(1)
        return accepted

    async def states(self) -> list[str]:
        rows = await self.house.all("SELECT state FROM actions WHERE effect <> 'read' ORDER BY created_ms, id")
        return [str(row[0]) for row in rows]


@asynccontextmanager
async def counter(
    folder: Path,
    script: Callable[[ChatRequest], AsyncIterator[Chunk]],
    shop: Shop,
    *actions: Action,
    clock: ManualClock | None = None,
    channel: ListChannel | None = None,
) -> AsyncIterator[Counter]:
    """Leaving it is like a kill."""
    clock = clock or ManualClock()
    model = ScriptedModel(script)
    answerer = agent({"brain": model, "offline": ScriptedModel()}, clock)
    catalogue = Catalogue(*(actions or (refund(shop), order(shop))))

    def give(house: Core) -> None:
        answerer.give_actions(catalogue.of("main"), Acting(house.store, clock, catalogue, lambda: b"k" * 32))

    async with core(folder, model=model, clock=clock, answerer=answerer, channel=channel, built=give) as house:
        yield Counter(house, shop, catalogue, model)


async def lost() -> None:
    raise Uncertain("the connection was cut")


async def unreachable() -> None:
    raise NotSent("refused")


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def authors(messages: Sequence[Message]) -> list[Author]:
    return [message.author for message in messages]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


def arguments_of(entry: tuple[str, Any]) -> Mapping[str, Any]:
    given: Mapping[str, Any] = entry[1]
    return given
