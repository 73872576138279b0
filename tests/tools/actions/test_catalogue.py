"""The catalogue makes of the config exactly the actions that it declares, and nothing looser."""

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.config import Config, find_settings, load
from bot.config.action_schema import Action as Settings
from bot.config.refusals import parse
from bot.errors import ConfigError, NotSent, Uncertain
from bot.net.calls import Answered
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.tools.action import Arguments, Consent, Declared, Effect, Parameter, Reply, Role, Source
from bot.tools.catalogue import Catalogue, merged
from tests.clock import ManualClock
from tests.config.test_actions import PEOPLE, READ, REFUND

MODULE = '''\
"""A shop in one module."""


def list_slots(day: str) -> list[str]:
    """The free slots of a day."""
    return [f"{day} 09:00"]


def book(slot: str, customer: str, idempotency_key: str) -> str:
    """Books a slot."""
    return slot


def pay(amount: float, customer: str) -> str:
    """Pays."""
    return "paid"
'''
SLOTS = '[[actions]]\nname = "list_slots"\npython = "room:list_slots"\neffect = "read"\n'
BOOK = '[[actions]]\nname = "book"\npython = "room:book"\nparameters = { customer = { from = "identity.id" } }\n'


class Nowhere:
    """An endpoint that nothing reaches."""

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        raise NotSent("nowhere")

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        raise NotSent("nowhere")


class House:
    """A folder with a config and a Python module, and what the daemon would make of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.fetcher = Fetcher(Perimeter(None), self.clock, 1_000_000)
        (folder / "docs").mkdir()
        (folder / "room.py").write_text(MODULE)

    def config(self, text: str) -> Config:
        file = self.folder / "config.toml"
        file.write_text(text)
        return load(file, {}, adapters=find_settings)

    def catalogue(self, text: str) -> Catalogue:
        return Catalogue(self.config(text), self.fetcher, self.clock)

    def problem(self, text: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.catalogue(text)
        return str(caught.value)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.fetcher.close()


def settings(**keys: object) -> Settings:
    return parse(Settings, {"name": "look", "mcp": "crm", "tool": "look", **keys})


def told(effect: Effect | None = None, *parameters: Parameter) -> Declared:
    return Declared("Looks.", parameters, Nowhere(), origin="crm: look", effect=effect)


TEXT = Parameter("id", {"type": "string"})


def test_an_http_action_is_what_the_config_says(house: House) -> None:
    """Sources, roles and limits arrive, and only the model's own parameters are in its schema."""
    refund = house.catalogue(READ + REFUND + PEOPLE).actions()["refund_order"]
    assert (refund.title, refund.effect, refund.consent) == ("Refund order", Effect.KEYED, Consent.USER)
    assert refund.origin == "POST http://127.0.0.1:9100/orders/{order}/refunds"
    assert set(refund.schema((Source.MODEL,))["properties"]) == {"order", "amount", "note", "lines"}
    sources = {each.name: (each.source, each.source_field) for each in refund.parameters}
    assert sources["customer"] == (Source.IDENTITY, "id")
    assert sources["email"] == (Source.FACTS, "email")
    amount = refund.of_role(Role.AMOUNT)
    assert amount is not None
    assert (amount.most_field, refund.allowance.two_operators_above) == ("total", 50_000)


class Failing:
    """A caller whose other side always fails after it has been asked."""

    async def call(self, method: str, url: str, **more: Any) -> Answered:
        return Answered(500, "text/plain", b"")


@pytest.mark.parametrize(
    ("rules", "effect", "failure"),
    [
        ('method = "GET"\neffect = "read"', Effect.READ, NotSent),
        ('method = "GET"', Effect.NAKED, Uncertain),
        ('method = "POST"', Effect.NAKED, Uncertain),
        ('method = "POST"\neffect = "read"', Effect.READ, NotSent),
    ],
)
async def test_a_failure_is_harmless_only_where_the_action_is_a_read(
    house: House, rules: str, effect: Effect, failure: type[Exception]
) -> None:
    """What may be made again is decided once, for the rules and for the call alike."""
    text = f'[[actions]]\nname = "look"\ndescription = "Looks."\nurl = "http://127.0.0.1:9/x"\n{rules}\n'
    look = Catalogue(house.config(text), Failing(), house.clock).actions()["look"]
    assert look.effect is effect
    with pytest.raises(failure):
        await look.endpoint.call({}, "k", 5)


def test_what_arguments_are_taken_from_voids_the_consent_too(house: House) -> None:
    """A recipient that changes on record is no longer the one that was agreed to."""
    refund = house.catalogue(READ + REFUND + PEOPLE).actions()["refund_order"]
    assert set(refund.fact_fields) == {"status", "total", "currency", "email"}


def test_an_agent_has_its_own_actions_only(house: House) -> None:
    """One without the action's name in its hands cannot use it."""
    text = SLOTS + 'agents = ["trade"]\n' + BOOK + "[agents.trade]\nchannels = []\n"
    catalogue = house.catalogue(text)
    assert [each.name for each in catalogue.of("trade")] == ["list_slots"]
    assert [each.name for each in catalogue.of("main")] == ["book"]
    assert catalogue.get("list_slots") is catalogue.actions()["list_slots"]


async def test_a_python_action_is_called_with_what_the_function_takes(house: House) -> None:
    """Beside the config, without any path being set."""
    slots = house.catalogue(SLOTS).actions()["list_slots"]
    assert slots.description == "The free slots of a day."
    assert await slots.endpoint.call({"day": "monday"}, "k", 5) == Reply(["monday 09:00"])


def test_f95_what_the_identity_gives_is_absent_from_the_schema(house: House) -> None:
    """The model can neither read nor choose it, nor the key."""
    book = house.catalogue(BOOK).actions()["book"]
    assert list(book.schema((Source.MODEL,))["properties"]) == ["slot"]
    assert (book.effect, book.consent) == (Effect.NAKED, Consent.USER)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (SLOTS + 'parameters = { night = { role = "recipient" } }\n', "has no parameter night"),
        (SLOTS + 'once_per = "slot:{night}"\n', "no parameter that every call has"),
        (SLOTS + "is_profile = true\n", "cannot be made when a case starts"),
        (SLOTS.replace('"read"', '"keyed"'), "is not keyed"),
        (SLOTS.replace('"read"', '"checkable"'), "cannot be looked up"),
        (SLOTS.replace("room:list_slots", "room:nothing"), "nothing"),
        (SLOTS + 'parameters = { day = { role = "amount" } }\n', "whole, in the smallest unit"),
        ('[[actions]]\nname = "pay"\npython = "room:pay"\nparameters = { amount = { role = "amount" } }\n', "smallest"),
        (BOOK + 'facts = "list_slots"\nfact_fields = ["x"]\n' + SLOTS, "has no parameter day"),
    ],
)
def test_what_does_not_fit_is_a_problem_of_the_config(house: House, text: str, what: str) -> None:
    """It stops the start, and names the action."""
    problem = house.problem(text)
    assert what in problem
    assert "actions.0 (" in problem


def test_all_that_does_not_fit_is_told_at_once(house: House) -> None:
    """Two mistakes take one try."""
    text = SLOTS + "is_profile = true\n" + BOOK + 'once_per = "{nothing}"\n'
    assert len(house.problem(text).splitlines()) == 2


def test_nothing_said_is_naked_and_asks_the_person() -> None:
    """The strictest rule stands in."""
    action = merged(settings(), told())
    assert (action.effect, action.consent) == (Effect.NAKED, Consent.USER)


def test_what_the_config_does_not_say_is_the_worst() -> None:
    """Whatever a server, a method or a function says of itself."""
    for effect in (None, *Effect):
        made = merged(settings(), told(effect))
        assert (made.effect, made.consent) == (Effect.NAKED, Consent.USER)
    assert merged(settings(effect="read"), told(None)).consent is Consent.NONE


def test_an_identity_is_given_to_text_only() -> None:
    """An id that is read as a number could be another person's."""
    number = Parameter("id", {"type": "integer"})
    with pytest.raises(ValueError, match="not as text"):
        merged(settings(parameters={"id": {"from": "identity.id"}}), told(None, number))


@pytest.mark.parametrize(
    ("keys", "declared"),
    [
        ({"title": "Look!"}, told(None, TEXT)),
        ({"consent": "operator"}, told(None, TEXT)),
        ({"limits": {"calls_per_day": 1}}, told(None, TEXT)),
        ({"tool": "look_again"}, told(None, TEXT)),
        ({"parameters": {"id": {"from": "identity.id"}}}, told(None, TEXT)),
        ({}, replace(told(None, TEXT), description="Looks around.")),
        ({}, replace(told(None, TEXT), given={"X": {"type": "string"}})),
        ({}, told(None, replace(TEXT, schema={"type": "string", "maxLength": 3}))),
        ({"effect": "read"}, told(None, TEXT)),
    ],
)
def test_the_version_changes_with_anything_that_is_declared(keys: dict[str, object], declared: Declared) -> None:
    """A consent is for one version of an action."""
    before = merged(settings(), told(None, TEXT)).version
    assert merged(settings(), told(None, TEXT)).version == before
    assert merged(settings(**keys), declared).version != before


def test_the_version_holds_over_a_restart(house: House) -> None:
    """What was agreed to before it is what is done after it."""
    versions = [json.dumps({n: a.version for n, a in house.catalogue(SLOTS + BOOK).actions().items()}) for _ in "ab"]
    assert versions[0] == versions[1]


FILE = """\
openapi: 3.0.3
info: { title: Shop, version: "1" }
servers: [{ url: "http://127.0.0.1:9100" }]
paths:
  /orders/{order}:
    get:
      operationId: getOrder
      description: Looks an order up.
      parameters:
        - { name: order, in: path, required: true, schema: { type: string } }
        - { name: customer, in: query, required: true, schema: { type: string } }
      responses: { "200": { description: ok } }
  /orders/{order}/refunds:
    post:
      operationId: refundOrder
      description: Gives money back.
      parameters:
        - { name: order, in: path, required: true, schema: { type: string } }
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [amount]
              properties: { amount: { type: integer } }
      responses: { "200": { description: ok } }
"""
OPERATION = """\
[[actions]]
name = "get_order"
openapi = "shop.yaml"
operation = "getOrder"
effect = "read"
parameters = { customer = { from = "identity.id" } }
[[actions]]
name = "refund_order"
openapi = "shop.yaml"
operation = "refundOrder"
parameters = { amount = { role = "amount", title = "Amount" } }
"""


async def test_an_operation_of_a_file_is_an_action_with_the_rules_of_the_config(house: House) -> None:
    """The file tells the parameters, the config what they decide; only what is a read fails harmlessly."""
    (house.folder / "shop.yaml").write_text(FILE)
    catalogue = Catalogue(house.config(OPERATION), Failing(), house.clock)
    read, refund = catalogue.actions().values()
    assert (read.effect, list(read.schema((Source.MODEL,))["properties"])) == (Effect.READ, ["order"])
    assert (refund.effect, refund.consent, refund.description) == (Effect.NAKED, Consent.USER, "Gives money back.")
    amount = refund.of_role(Role.AMOUNT)
    assert amount is not None
    assert amount.title == "Amount"
    with pytest.raises(NotSent):
        await read.endpoint.call({"order": "7", "customer": "c1"}, "", 5)
    with pytest.raises(Uncertain):
        await refund.endpoint.call({"order": "7", "amount": 1}, "k", 5)


def test_the_version_changes_with_the_file(house: House) -> None:
    """Where a parameter goes is not in its schema."""
    (house.folder / "shop.yaml").write_text(FILE)
    before = house.catalogue(OPERATION).actions()["get_order"].version
    (house.folder / "shop.yaml").write_text(FILE.replace("in: query", "in: header"))
    assert house.catalogue(OPERATION).actions()["get_order"].version != before


@pytest.mark.parametrize(
    ("url", "keys", "what"),
    [
        ("http://shop.example.com", 'auth = { secret = "SHOP_TOKEN" }', "in the clear"),
        ("https://b.example.com", "", "[network] allow does not list"),
    ],
)
def test_the_address_in_a_file_is_held_to_what_the_config_allows(house: House, url: str, keys: str, what: str) -> None:
    """As one of the config would be."""
    (house.folder / "shop.yaml").write_text(FILE.replace("http://127.0.0.1:9100", url))
    action = f'[[actions]]\nname = "refund"\nopenapi = "shop.yaml"\noperation = "refundOrder"\n{keys}\n'
    assert what in house.problem(action + '[network]\nallow = ["shop.example.com"]\n')


SHOP = Path(__file__).parent / "servers" / "shop.py"


def server(*command: str) -> str:
    return f"[mcp.shop]\ncommand = {json.dumps(command)}\n"


def tool(name: str, more: str = "") -> str:
    return f'[[actions]]\nname = "shop_{name}"\nmcp = "shop"\ntool = "{name}"\n{more}'


async def test_a_tool_of_a_server_is_an_action_once_the_catalogue_is_open(house: House) -> None:
    """With the rules of the config, and ended with the catalogue."""
    rules = 'once_per = "refund:{order}"\nparameters = { amount = { role = "amount" } }\n'
    text = (
        tool("refund", rules)
        + tool("get_order", 'effect = "read"\n')
        + SLOTS
        + server(sys.executable, str(SHOP), "stdio", str(SHOP.parent))
    )
    catalogue = house.catalogue(text)
    assert list(catalogue.actions()) == ["list_slots"]
    assert "not been asked" in catalogue.unavailable()["shop_refund"]
    try:
        await catalogue.open()
        assert list(catalogue.actions()) == ["shop_refund", "shop_get_order", "list_slots"]
        assert not catalogue.unavailable()
        refund, order = catalogue.of("main")[:2]
        assert (refund.effect, refund.consent, refund.origin) == (Effect.NAKED, Consent.USER, "MCP shop: refund")
        assert (order.effect, order.consent) == (Effect.READ, Consent.NONE)
        reply = await order.endpoint.call({"order": "7"}, "", 10)
        assert "7" in json.dumps(reply.data)
    finally:
        await catalogue.close()
    with pytest.raises(NotSent):
        await order.endpoint.call({"order": "7"}, "", 10)


async def test_a_server_that_is_down_takes_nothing_else_with_it(house: House) -> None:
    """Its actions are left out, with the reason; the others are there."""
    catalogue = house.catalogue(tool("refund") + SLOTS + server("/nowhere/at-all"))
    await catalogue.open()
    await catalogue.close()
    assert [each.name for each in catalogue.of("main")] == ["list_slots"]
    assert "cannot be reached" in catalogue.unavailable()["shop_refund"]


async def test_a_tool_that_does_not_fit_its_rules_is_left_out(house: House) -> None:
    """What a server says is not ours to correct, and stops nothing else."""
    wrong = 'parameters = { order = { role = "amount" } }\n'
    command = server(sys.executable, str(SHOP), "stdio", str(SHOP.parent))
    catalogue = house.catalogue(tool("refund", wrong) + tool("nothing") + tool("get_order") + command)
    await catalogue.open()
    await catalogue.close()
    assert list(catalogue.actions()) == ["shop_get_order"]
    assert "smallest unit" in catalogue.unavailable()["shop_refund"]
    assert "does not have" in catalogue.unavailable()["shop_nothing"]


async def test_a_server_whose_secret_is_missing_is_not_started(house: House) -> None:
    """The name of what is missing is told."""
    catalogue = house.catalogue(tool("refund") + server(sys.executable) + 'env = { KEY = "SHOP_KEY" }\n')
    await catalogue.open()
    await catalogue.close()
    assert "the secret SHOP_KEY is set nowhere" in catalogue.unavailable()["shop_refund"]
