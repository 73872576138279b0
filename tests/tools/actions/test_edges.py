"""What others answer never breaks the way of a call: it can be stored and shown, whatever it holds, and what was done stays done."""

import asyncio
import gzip
import json
import os
from collections.abc import Callable
from typing import Any, cast

import pytest
from aiohttp import web

from bot.app import App
from bot.clock import SystemClock
from bot.commands.reports import NoSuchReport
from bot.errors import ConfigError, NotSent, Uncertain
from bot.ports import Store
from bot.tools.acting import Acting
from bot.tools.action import Parameter, Reply
from bot.tools.catalogue import Catalogue
from bot.tools.consent import canonical
from bot.tools.http import Auth
from bot.tools.mcp import Server
from bot.tools.python import UNSHOWN, declared
from bot.tools.schemas import storable
from tests.config.test_actions import MCP, PEOPLE, READ, REFUND
from tests.tools.actions.servers.plain import Plain, plain
from tests.tools.actions.test_catalogue import House, house
from tests.tools.actions.test_http import TEXT, Shop, shop

__all__ = ["house", "shop"]
WITHIN_S = 5.0
LONE = "a\udcff"


def names() -> list[str]:
    """Reads names that the file system has in no UTF-8."""
    return [LONE]


def refused() -> str:
    """Refuses, with such a name in its words."""
    raise ValueError(LONE)


def deep() -> list[Any]:
    """Is nested beyond all measure."""
    made: list[Any] = []
    for _ in range(200):
        made = [made]
    return made


def long() -> int:
    """Is a number that Python itself does not write out."""
    return 10**5000


@pytest.mark.parametrize(
    ("function", "data"), [(names, ["a\ufffd"]), (refused, "a\ufffd"), (deep, UNSHOWN), (long, UNSHOWN)]
)
async def test_whatever_a_function_returns_can_be_stored(function: Callable[[], Any], data: Any) -> None:
    """What cannot be written down would end the turn after the deed, with no outcome in the ledger."""
    reply = await declared(function).endpoint.call({}, "k", WITHIN_S)
    assert reply.data == data
    assert canonical(reply.data).encode("utf-8")


async def leaves() -> str:
    """Ends the process."""
    raise SystemExit(3)


async def gives_up() -> str:
    """Was cancelled by something of its own."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [leaves, gives_up])
async def test_an_asynchronous_function_ends_neither_the_process_nor_the_turn(function: Callable[[], Any]) -> None:
    with pytest.raises(Uncertain, match=r"ended with SystemExit|cancelled from within"):
        await asyncio.create_task(declared(function).endpoint.call({}, "k", WITHIN_S))


async def test_a_turn_that_is_cancelled_ends_an_asynchronous_function() -> None:
    begun = asyncio.Event()

    async def waits() -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    waits.__doc__ = "Waits."
    running = asyncio.create_task(declared(waits).endpoint.call({}, "k", WITHIN_S))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_what_can_be_stored_is_left_as_it_is() -> None:
    told = {"a": [1, 2.5, True, None, "ü😀"], "b": {}}
    assert storable(told) == told
    assert storable({"a": float("nan"), "b\0": "\ud83d\ude00"}) == {"a": None, "b": "😀"}


# --- MCP -------------------------------------------------------------------------------------------------------------


async def of_server(server: Plain) -> Reply:
    async with Server("plain", SystemClock(), url=server.url).opened() as opened:
        (tool,) = await opened.tools()
        return await opened.declared(tool).endpoint.call({"order": "7"}, "k", WITHIN_S)


@pytest.mark.parametrize(
    ("result", "data"),
    [
        ('{"content": [], "structuredContent": {"total": NaN}}', {"total": None}),
        ('{"content": [{"type": "text", "text": "{\\"a\\": \\"\\\\udcff\\"}"}]}', {"a": "\ufffd"}),
        (
            '{"content": [], "structuredContent": {"a": %s}}' % ("9" * 4200),
            "It was carried out. Its result cannot be shown.",
        ),
    ],
)
async def test_whatever_an_mcp_server_answers_can_be_stored(
    monkeypatch: pytest.MonkeyPatch, result: str, data: Any
) -> None:
    async def answer(self: Plain, _request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        text = f'{{"jsonrpc": "2.0", "id": {json.dumps(message["id"])}, "result": {result}}}'
        return web.Response(text=text, content_type="application/json")

    monkeypatch.setattr(Plain, "_call", answer)
    async with plain() as server:
        reply = await of_server(server)
    assert reply.data == data
    assert canonical(reply.data).encode("utf-8")


async def test_a_packed_answer_of_an_mcp_server_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes would become gigabytes. It may be the answer to a deed, so nobody knows."""
    asked: list[str | None] = []

    async def answer(self: Plain, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        asked.append(request.headers.get("Accept-Encoding"))
        told = {"content": [{"type": "text", "text": "x" * 10_000_000}]}
        body = gzip.compress(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": told}).encode())
        return web.Response(body=body, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})

    monkeypatch.setattr(Plain, "_call", answer)
    async with plain() as server:
        with pytest.raises(Uncertain, match="packed"):
            await of_server(server)
    assert asked == ["identity"]


@pytest.mark.parametrize("status", [200, 400, 422])
async def test_a_secret_that_an_mcp_server_echoes_is_hidden(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """In what the model reads, and in why a call failed, which is kept and shown."""

    async def answer(self: Plain, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        got = request.headers["Authorization"]
        told = {"result": {"content": [], "structuredContent": {"got": got, got: 1}}}
        failed = {"error": {"code": -32602 if status == 422 else -32600, "message": f"not with {got}"}}
        made = told if status == 200 else failed
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], **made}, status=min(status, 400))

    monkeypatch.setattr(Plain, "_call", answer)
    secret = "shp-3f9Ab77Qx"
    async with plain() as server:
        made = Server(
            "plain", SystemClock(), url=server.url, headers={"Authorization": f"Bearer {secret}"}, hidden=[secret]
        )
        async with made.opened() as opened:
            (tool,) = await opened.tools()
            try:
                said = canonical((await opened.declared(tool).endpoint.call({"order": "7"}, "k", WITHIN_S)).data)
            except NotSent as error:
                said = str(error)
    assert secret not in said
    assert "Bearer ***" in said


async def test_a_secret_in_the_last_words_of_a_program_is_hidden(house: House) -> None:
    """They are why its actions are not there, which is logged and shown."""
    (house.folder / "dies").write_text('#!/bin/sh\necho "no account for $KEY" >&2\nexit 1\n')
    (house.folder / "dies").chmod(0o700)
    (house.folder / ".env").write_text("CRM_KEY=shp-3f9Ab77Qx\n")
    (house.folder / ".env").chmod(0o600)
    catalogue = house.catalogue(MCP.replace('["crm-server"]', '["./dies"]\nenv = { KEY = "CRM_KEY" }'))
    try:
        await catalogue.open()
    finally:
        await catalogue.close()
    assert "shp-3f9Ab77Qx" not in catalogue.unavailable()["look"]
    assert "cannot be reached" in catalogue.unavailable()["look"]


# --- HTTP ------------------------------------------------------------------------------------------------------------


async def test_a_secret_that_is_echoed_with_escapes_is_hidden_as_well(shop: Shop) -> None:
    """Many servers write a slash as \\/ in JSON."""
    shop.secrets["SHOP_TOKEN"] = 'ab/cd"ef'
    for status in (200, 422):
        shop.status, shop.body = status, rb'{"got": "Bearer ab\/cd\"ef", "ab\u002fcd\"ef": 1}'
        endpoint = shop.declare("POST", "/a", auth=Auth("SHOP_TOKEN")).endpoint
        assert (await endpoint.call({}, "k", WITHIN_S)).data == {"got": "Bearer ***", "***": 1}


async def test_what_was_only_accepted_is_not_said_to_be_done(shop: Shop) -> None:
    shop.status, shop.body = 202, b""
    assert (await shop.call()).data == "It was accepted, to be done later."


@pytest.mark.parametrize("value", ["7;x", "..;", "..;a=b", "%3b"])
async def test_no_argument_has_a_part_that_some_servers_leave_out_of_the_path(shop: Shop, value: str) -> None:
    """Behind a `;` stand parameters of a segment: "7;x" would be another object here, and the same one there; "..;" would be a step up."""
    endpoint = shop.declare("POST", "/orders/{order}/refunds", Parameter("order", TEXT)).endpoint
    with pytest.raises(NotSent, match="would change the path"):
        await endpoint.call({"order": value}, "k", WITHIN_S)
    assert not shop.asked


# --- config ----------------------------------------------------------------------------------------------------------

FILE = """\
openapi: "3.0.3"
paths:
  /returns:
    post:
      operationId: createReturn
      summary: Takes goods back.
"""
RETURN = """\
[[actions]]
name = "return_order"
openapi = "shop.yaml"
operation = "createReturn"
url = "http://127.0.0.1:9100/api"
"""


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        (RETURN + 'effect = "keyed"\nkey_header = ""\n', "key_header", "is empty"),
        (
            REFUND.replace('effect = "keyed"', 'effect = "keyed"\nkey_header = "authorization"') + READ + PEOPLE,
            "key_header",
            "carries the secret",
        ),
        (MCP.replace('tool = "look"', 'tool = "look"\nkey_header = "X-Key"'), "key_header", "means nothing"),
        (
            RETURN + 'effect = "checkable"\nlook_up = { url = "http://127.0.0.1:9100/returns" }\n',
            "look_up.url",
            "has no {key}",
        ),
    ],
)
def test_what_would_make_a_deed_happen_twice_or_seem_done_is_a_problem(
    house: House, text: str, key: str, what: str
) -> None:
    """A key that is not sent, one that takes the secret's place, and a look-up that finds somebody else's call."""
    (house.folder / "shop.yaml").write_text(FILE)
    with pytest.raises(ConfigError) as caught:
        house.config(text)
    assert [(key in each.key, what in each.what) for each in caught.value.problems] == [(True, True)]


@pytest.mark.parametrize(
    ("path", "header", "why"),
    [
        ("@evil.example/x", "X-Note", "does not begin with /"),
        (".evil.example/x", "X-Note", "does not begin with /"),
        ("/x", "X-HTTP-Method-Override", "no argument may choose"),
        ("/x", "x-original-url", "no argument may choose"),
        ("/x", "X-Real-IP", "no argument may choose"),
    ],
)
def test_no_path_of_a_file_changes_the_host_and_no_argument_the_method(
    house: House, path: str, header: str, why: str
) -> None:
    """Some servers take the method, the path and who asks from headers."""
    asked = f"      parameters: [{{name: {header}, in: header, schema: {{type: string}}}}]\n"
    (house.folder / "shop.yaml").write_text(FILE.replace("/returns", f'"{path}"') + asked)
    assert why in house.problem(RETURN.replace(":9100/api", ":9100"))


async def test_only_the_server_of_the_action_in_question_is_asked(house: House) -> None:
    """A command that looks at one action starts no other's program."""
    started = house.folder / "started"
    touch = f'[[actions]]\nname = "other"\nmcp = "other"\ntool = "t"\n[mcp.other]\ncommand = ["touch", "{started}"]\n'
    look = MCP.replace('"crm-server"', '"false"')
    catalogue: Catalogue = house.catalogue(look + touch)
    try:
        await catalogue.open(only="look")
    finally:
        await catalogue.close()
    assert not os.path.exists(started)  # noqa: ASYNC240
    assert "cannot be reached" in catalogue.unavailable()["look"]
    assert "not been asked" in catalogue.unavailable()["other"]


async def test_the_daemon_carries_out_what_the_command_line_was_shown_or_nothing(house: House) -> None:
    """The config may have changed since the daemon started; so may what stands behind an action that is not there."""
    config = house.config(READ + MCP.replace('"crm-server"', '"false"'))
    app = App(config)
    catalogue = app._catalogue = Catalogue(config, house.fetcher, house.clock)
    app._acting = Acting(cast(Store, None), house.clock, catalogue, lambda: b"")
    await catalogue.open()
    asked = {"name": "get_order", "arguments": '{"order": "7"}', "person": "c1", "version": "of another config"}
    try:
        with pytest.raises(NoSuchReport, match="declared otherwise in the daemon"):
            await app._control("root", "action call", asked)
        with pytest.raises(NoSuchReport, match="MCP server crm cannot be reached"):
            await app._control("root", "action call", asked | {"name": "look"})
    finally:
        await catalogue.close()


def test_a_module_that_ends_the_process_when_it_is_imported_is_a_problem(house: House) -> None:
    """Such as a program that reads its own command line; the command that checks would end without a word."""
    (house.folder / "quits.py").write_text('import sys\n\nsys.exit("usage: quits FILE")\n')
    text = house.problem('[[actions]]\nname = "quit"\npython = "quits:main"\n')
    assert "actions.0 (quit)" in text
    assert "quits cannot be imported: SystemExit: usage: quits FILE" in text
