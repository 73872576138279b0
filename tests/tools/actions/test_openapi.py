"""An operation of an OpenAPI file is called as the file says, or the file is refused."""

import contextlib
import copy
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.tools.action import Action, Declared, Effect, Reply
from bot.tools.http import Auth
from bot.tools.openapi import declared, operations
from bot.tools.openapi_yaml import Loader
from bot.tools.schemas import check_schema, checked
from tests.clock import ManualClock
from tests.tools.actions.test_http import Shop

TICKS = itertools.count(1)
SHOP = """\
openapi: 3.0.3
info: {title: Shop, version: 1.0}
servers:
  - url: https://{region}.shop.example.com/v1/
    variables: {region: {default: eu}}
paths:
  /orders/{order-id}:
    parameters:
      - {name: order-id, in: path, required: true, schema: {type: string}, description: The order.}
      - {name: lang, in: query, schema: {type: string, enum: [no, en, on]}}
    get:
      operationId: getOrder
      summary: Reads an order
      description: With its lines.
      parameters:
        - {name: lang, in: query, required: true, schema: {type: string, enum: [no, en]}}
        - {name: "filter[state]", in: query, schema: {type: array, items: {type: string}}}
        - {name: fields, in: query, explode: false, schema: {type: array, items: {type: string}}}
        - {name: X-Request-Source, in: header, schema: {type: string}}
        - {name: Authorization, in: header, schema: {type: string}}
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      responses: {200: {description: OK}}
  /orders/{order}/refunds:
    post:
      operationId: refundOrder
      summary: Refunds an order
      parameters:
        - $ref: '#/components/parameters/Order'
      requestBody:
        required: true
        content:
          application/json; charset=utf-8:
            schema: {$ref: '#/components/schemas/Refund'}
      responses: {201: {description: Created}}
  /notes:
    put:
      operationId: setNote
      requestBody:
        content: {application/json: {schema: {$ref: '#/components/schemas/Refund'}}}
      responses: {204: {description: Set}}
    post:
      operationId: addNote
      requestBody:
        required: true
        content:
          application/x-www-form-urlencoded:
            schema: {type: object, required: [text], properties: {text: {type: string}, tags: {type: array, items: {type: string}}}}
      responses: {204: {description: Added}}
    delete: {responses: {204: {description: no operationId}}}
components:
  parameters:
    Order: {name: order, in: path, required: true, schema: {type: string, pattern: '^[0-9]+$'}}
  schemas:
    Refund:
      type: object
      required: [id, amount, order]
      properties:
        id: {type: string, readOnly: true}
        amount: {type: integer, format: int32, minimum: 0, exclusiveMinimum: true}
        order: {type: string, nullable: true}
        at: {type: string, format: date, example: 2026-01-01}
        lines: {type: array, items: {$ref: '#/components/schemas/Line'}}
        extra: {type: object, additionalProperties: {type: string}}
    Line:
      type: object
      properties: {sku: {type: string}, size: {allOf: [{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}]}}
    A: {type: object, properties: {a: {type: integer}}}
    B: {type: object, properties: {b: {type: integer}}, required: [b]}
"""


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop().open() as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


def of(path: Path, operation: str, shop: Shop | None = None, **more: Any) -> Declared:
    caller = shop.fetcher if shop else Fetcher(Perimeter(None), ManualClock(), 1)
    given = {"base_url": f"{shop.url}/v1" if shop else "", "caller": caller, "secret": str, **more}
    return declared(path, operation, **given)


def action(made: Declared) -> Action:
    return Action("a", "A", "A.", made.parameters, made.endpoint, given=made.given)


def written(tmp_path: Path, operation: Mapping[str, Any], *, version: str = "3.1.0", **more: Any) -> Path:
    """A file with one operation, as JSON."""
    path = tmp_path / "one.json"
    whole: dict[str, Any] = {"openapi": version, "servers": [{"url": "https://a.example"}]}
    whole["paths"] = {"/a": {"post": {"operationId": "one", "summary": "One.", **operation}}}
    path.write_text(json.dumps(whole | more))
    return path


def body(schema: Any, kind: str = "application/json", *, is_required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": is_required, "content": {kind: {"schema": schema}}}}


def refused(path: Path, operation: str = "one") -> str:
    with pytest.raises(ValueError, match=r"\. [A-Z]") as caught:
        of(path, operation)
    return str(caught.value)


# --- what is sent ------------------------------------------------------------------------------------------------------


def test_a_file_tells_its_operations(file: Path) -> None:
    assert operations(file) == ["getOrder", "refundOrder", "addNote", "setNote"]


async def test_a_get_is_made_as_it_is_declared(file: Path, shop: Shop) -> None:
    made = of(file, "getOrder", shop)
    names = {each.name: each.is_required for each in made.parameters}
    assert names == {"order-id": True, "lang": True, "filter_state": False, "fields": False, "X-Request-Source": False}
    assert made.description == "Reads an order\n\nWith its lines."
    assert (made.effect, made.origin) == (Effect.READ, f"GET {shop.url}/v1/orders/{{order-id}}")
    text = (
        '{"order-id": "7/8", "lang": "no", "filter_state": ["a", "b"], "fields": ["x", "y"], "X-Request-Source": "bot"}'
    )
    assert await made.endpoint.call(checked(action(made), text), "", 20) == Reply({})
    path, _, query = shop.asked[0][1].partition("?")
    assert path == "/v1/orders/7%2F8"
    wanted = [("lang", "no"), ("filter[state]", "a"), ("filter[state]", "b"), ("fields", "x,y")]
    assert parse_qsl(query) == wanted
    assert shop.asked[0][2]["X-Request-Source"] == "bot"
    with pytest.raises(ValueError, match="lang"):
        checked(action(made), '{"order-id": "1", "lang": "on"}')  # the path's own, which the operation overrides


async def test_a_body_is_made_of_arguments(file: Path, shop: Shop) -> None:
    made = of(file, "refundOrder", shop)
    names = [each.name for each in made.parameters]
    assert names == ["order", "amount", "body_order", "at", "lines", "extra"]
    arguments = {
        "order": "7",
        "amount": 5,
        "body_order": None,
        "at": "2026-01-01",
        "lines": [{"sku": "s", "size": {"a": 1, "b": 2}}],
        "extra": {"x": "y"},
    }
    check_schema(action(made))
    assert checked(action(made), json.dumps(arguments)) == arguments
    await made.endpoint.call(arguments, "fd-1", 20)
    method, path, headers, sent = shop.asked[0]
    assert (method, path, headers["Content-Type"]) == ("POST", "/v1/orders/7/refunds", "application/json")
    assert json.loads(sent) == {name.removeprefix("body_"): arguments[name] for name in names[1:]}
    assert headers["Idempotency-Key"] == "fd-1"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"id": "1"}, {"amount": 0}, {"amount": 2**31}, {"amount": 1.0}, {"at": "2026-1-1"}, {"other": 1}),
        *({"lines": [{"sku": "s", "x": 1}]}, {"lines": [{"size": {"a": 1}}]}, {"lines": [{"size": {"b": 1, "c": 1}}]}),
        *({"extra": {"x": 1}}, {"order": None}, {"order": "x"}, {"body_order": 1}),
    ],
)
def test_f38_what_is_imported_is_closed_at_every_depth(file: Path, wrong: dict[str, Any]) -> None:
    made = of(file, "refundOrder")
    with pytest.raises(ValueError, match=r"."):
        checked(action(made), json.dumps({"order": "7", "amount": 5, "body_order": "x", **wrong}))


async def test_a_body_that_may_be_left_out_is_one_argument(file: Path, shop: Shop) -> None:
    made = of(file, "setNote", shop)
    assert [(each.name, each.is_required) for each in made.parameters] == [("body", False)]
    await made.endpoint.call({}, "", 20)
    await made.endpoint.call({"body": {"amount": 1, "order": "7"}}, "", 20)
    assert [each[3] for each in shop.asked] == [b"", b'{"amount":1,"order":"7"}']


async def test_a_form_is_sent_as_one(file: Path, shop: Shop) -> None:
    await of(file, "addNote", shop).endpoint.call({"text": "a&b", "tags": ["1", "2"]}, "", 20)
    assert shop.asked[0][3] == b"text=a%26b&tags=1&tags=2"


async def test_a_json_dialect_keeps_its_name(tmp_path: Path, shop: Shop) -> None:
    path = written(tmp_path, body({"type": "array", "items": {"type": "integer"}}, "application/vnd.api+json"))
    await of(path, "one", shop).endpoint.call({"body": [1]}, "", 20)
    assert (shop.asked[0][2]["Content-Type"], shop.asked[0][3]) == ("application/vnd.api+json", b"[1]")


async def test_the_secret_is_no_argument(tmp_path: Path, shop: Shop) -> None:
    """A file may declare its header as a parameter too."""
    path = written(tmp_path, parameter(**{"in": "header", "name": "x-api-key", "required": True}))
    assert [each.name for each in of(path, "one", shop).parameters] == ["x-api-key"]
    made = of(path, "one", shop, auth=Auth("SHOP_TOKEN", "X-API-Key", ""), secret=shop.secrets.__getitem__)
    assert made.parameters == ()
    await made.endpoint.call({}, "", 20)
    assert shop.asked[0][2]["X-API-Key"] == shop.secrets["SHOP_TOKEN"]


def test_the_address_is_the_file_s_unless_the_config_says_another(file: Path) -> None:
    assert of(file, "getOrder").origin == "GET https://eu.shop.example.com/v1/orders/{order-id}"
    assert of(file, "getOrder", base_url="http://127.0.0.1:1/x/").origin == "GET http://127.0.0.1:1/x/orders/{order-id}"


def test_3_1_adds_to_what_is_referred_to(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"$ref": "#/components/schemas/N", "minimum": 5},
            "m": {"$ref": "#/components/schemas/N", "description": "M."},
            "k": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        },
    }
    path = written(tmp_path, body(schema), components={"schemas": {"N": {"type": "integer", "maximum": 9}}})
    made = action(of(path, "one"))
    assert checked(made, '{"n": 5, "m": 1, "k": null}')
    for wrong in ('{"n": 4}', '{"n": 10}', '{"m": 10}', '{"k": 0}'):
        with pytest.raises(ValueError, match=r"."):
            checked(made, wrong)
    assert {each.name: each.schema.get("description") for each in made.parameters}["m"] == "M."


def test_alternatives_are_closed_as_a_whole(tmp_path: Path) -> None:
    one = {"type": "object", "properties": {"card": {"type": "string"}}, "required": ["card"]}
    other = {"type": "object", "properties": {"iban": {"type": "string"}}, "required": ["iban"]}
    schema = {"oneOf": [one, other], "properties": {"name": {"type": "string"}}}
    made = action(of(written(tmp_path, body(schema)), "one"))
    assert checked(made, '{"body": {"card": "1", "name": "a"}}')
    for wrong in ('{"body": {"card": "1", "x": 1}}', '{"body": {"card": "1", "iban": "2"}}', '{"body": {}}'):
        with pytest.raises(ValueError, match=r"."):
            checked(made, wrong)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    assert operations(written(tmp_path, {})) == ["one"]
    assert operations(written(tmp_path, {"operationId": "other"})) == ["other"]


def test_yaml_means_what_openapi_takes_it_for(tmp_path: Path) -> None:
    """`no`, a time and a date are text; nothing but plain values is made."""
    path = tmp_path / "a.yaml"
    parameter = "{name: p, in: query, schema: {enum: [no, 12:30, 2026-01-01, 0755, true, 1, 1.5, 1e3, 1e, null]}}"
    path.write_text(
        "openapi: 3.1.0\nservers: [{url: https://a.example}]\n"
        f"paths: {{/a: {{get: {{operationId: one, parameters: [{parameter}]}}}}}}\n"
    )
    wanted = ["no", "12:30", "2026-01-01", "0755", True, 1, 1.5, 1000.0, "1e", None]
    assert of(path, "one").parameters[0].schema["enum"] == wanted
    path.write_text("openapi: !!python/object/apply:os.system ['exit 1']\n")
    assert "YAML" in refused(path)


# --- what is refused ---------------------------------------------------------------------------------------------------


def parameter(**given: Any) -> dict[str, Any]:
    return {"parameters": [{"name": "p", "in": "query", "schema": {"type": "string"}, **given}]}


@pytest.mark.parametrize(
    "operation",
    [
        parameter(**{"in": "cookie"}),
        parameter(style="deepObject", schema={"type": "object"}),
        parameter(style="pipeDelimited", schema={"type": "array", "items": {"type": "string"}}),
        parameter(schema={"type": "object", "properties": {"a": {"type": "string"}}}),
        parameter(**{"in": "header", "schema": {"type": "array", "items": {"type": "string"}}}),
        *(
            parameter(**{"in": "header", "name": name})
            for name in ("Host", "Cookie", "Content-Length", "X-Forwarded-For")
        ),
        {"parameters": [{"name": "p", "in": "query", "content": {"application/json": {}}}]},
        {"parameters": [{"$ref": "#/components/parameters/None"}]},
        body({"type": "string", "format": "binary"}),
        body({"type": "object"}, "multipart/form-data"),
        body({"type": "string"}, "text/plain"),
        body({"type": "string"}, "application/xml"),
        body({"$ref": "other.yaml#/A"}),
        body({"$ref": "https://example.com/a.json"}),
        body({"$ref": "#/components/schemas/None"}),
        body({"not": {"type": "string"}}),
        body({"$dynamicRef": "#a"}),
        body(
            {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}},
            "application/x-www-form-urlencoded",
        ),
    ],
)
def test_what_cannot_be_carried_is_told_with_its_operation(tmp_path: Path, operation: dict[str, Any]) -> None:
    assert "one" in refused(written(tmp_path, operation))


@pytest.mark.parametrize(
    "schemas",
    [
        {"A": {"$ref": "#/components/schemas/A"}},
        {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
        {"A": {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/A"}}}},
        {"A": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/A"}]}}},
    ],
)
@pytest.mark.parametrize("version", ["3.0.0", "3.1.0"])
def test_a_circle_is_told(tmp_path: Path, schemas: dict[str, Any], version: str) -> None:
    path = written(tmp_path, body({"$ref": "#/components/schemas/A"}), version=version, components={"schemas": schemas})
    assert "circle" in refused(path)


def test_a_schema_that_grows_without_end_is_told(tmp_path: Path) -> None:
    """Twenty lines that would be written out as a million."""
    level = {"type": "object", "properties": {name: {"$ref": "#/components/schemas/L{}"} for name in "ab"}}
    schemas = {f"L{at}": json.loads(json.dumps(level).replace("{}", str(at + 1))) for at in range(20)}
    schemas["L20"] = {"type": "string"}
    path = written(tmp_path, body({"$ref": "#/components/schemas/L0"}), components={"schemas": schemas})
    assert "large" in refused(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"swagger": "2.0", "paths": {}}', "OpenAPI 3"),
        ('{"openapi": "4.0.0", "paths": {}}', "OpenAPI 3"),
        ('{"openapi": "3.1.0"', "JSON"),
        ("a: [", "YAML"),
        ("[]", "OpenAPI 3"),
        ("", "OpenAPI 3"),
        ("\0", "YAML"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert said in refused(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "missing.yaml")


def test_an_operation_that_is_not_there_is_told_with_those_that_are(file: Path) -> None:
    assert "refundOrder" in refused(file, "refund_order")


def test_an_operation_that_is_there_twice_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, {}, components={})
    whole = json.loads(path.read_text())
    whole["paths"]["/b"] = whole["paths"]["/a"]
    path.write_text(json.dumps(whole))
    assert "2 times" in refused(path)


@pytest.mark.parametrize("url", ["", "/v1", "ftp://a.example", "https://user@a.example", "https://a.example?x=1"])
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    assert "url =" in refused(written(tmp_path, {}, servers=[{"url": url}]))


@pytest.mark.parametrize(
    ("security", "is_carried"),
    [
        ([], True),
        ([{"bearer": []}], True),
        ([{"header": []}], True),
        ([{"query": []}, {"header": []}], True),
        ([{"query": []}], False),
        ([{"bearer": [], "cookie": []}], False),
        ([{"tls": []}], False),
    ],
)
def test_a_secret_that_no_header_can_carry_is_told(tmp_path: Path, security: list[Any], is_carried: bool) -> None:
    schemes = {each: {"type": "apiKey", "name": "k", "in": each} for each in ("query", "cookie", "header")}
    known = {**schemes, "bearer": {"type": "http", "scheme": "bearer"}, "tls": {"type": "mutualTLS"}}
    path = written(tmp_path, {}, security=security, components={"securitySchemes": known})
    if is_carried:
        assert of(path, "one")
    else:
        assert "secret" in refused(path)


def test_a_place_in_the_path_without_a_parameter_is_told(tmp_path: Path) -> None:
    assert "{b}" in refused(written(tmp_path, {}, paths={"/a/{b}": {"post": {"operationId": "one"}}}))


JUNK: list[Any] = [None, True, 0, "", "x", [], [0], {}, {"a": 0}, {"$ref": 1}, {"$ref": "#/x"}, [[]]]


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a document that something else can be put into."""
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(value, key) for key, _ in pairs] + [spot for _, each in pairs for spot in _spots(each)]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_a_misshapen_file_is_told_and_nothing_worse(tmp_path: Path, data: st.DataObject) -> None:
    whole = yaml.load(SHOP, Loader)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(_spots(whole)))
        holder[key] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    path = tmp_path / "x.json"
    path.write_text(json.dumps(whole))
    os.utime(path, ns=(0, next(TICKS)))  # two writes within one tick of the file system's clock look the same
    for name in ("getOrder", "refundOrder", "addNote", "setNote"):
        with contextlib.suppress(ValueError):
            action(of(path, name)).schema()


async def test_no_file_makes_a_request_of_its_own(tmp_path: Path, shop: Shop) -> None:
    """F91: a reference is never fetched, nor a schema that one names."""
    refused(written(tmp_path, body({"$ref": f"{shop.url}/schema.json"})))
    path = written(
        tmp_path, body({"type": "object", "$schema": f"{shop.url}/x", "properties": {"a": {"type": "string"}}})
    )
    made = of(path, "one", shop)
    check_schema(action(made))
    checked(action(made), '{"a": "x"}')
    assert shop.asked == []
