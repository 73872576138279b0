"""Tools of MCP servers as actions: real servers over stdio and over HTTP, and what their failures say about a call."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.errors import NotSent, Uncertain
from bot.net.perimeter import Perimeter
from bot.tools.action import Action, Declared, Effect, Reply
from bot.tools.mcp import FRESH_S, Server, Tool
from tests.clock import ManualClock
from tests.tools.actions.servers.plain import Plain, plain

SHOP = Path(__file__).parent / "servers" / "shop.py"
WITHIN_S = 15.0
# What no listening socket is at: the port is reserved, https://www.iana.org/assignments/service-names-port-numbers
NOBODY = "http://127.0.0.1:1/mcp"


def over_stdio(folder: Path, clock: Any = None, **settings: Any) -> Server:
    return Server("shop", clock or SystemClock(), command=[sys.executable, str(SHOP), "stdio", str(folder)], **settings)


def at(port: int) -> Server:
    return Server("shop", SystemClock(), url=f"http://127.0.0.1:{port}/mcp")


@asynccontextmanager
async def shop_over_http(folder: Path, port: int = 0) -> AsyncIterator[tuple[Process, int]]:
    arguments = [str(SHOP), "http", str(folder), *([str(port)] if port else [])]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def found(server: Server, name: str) -> Declared:
    return server.declared({each.name: each for each in await server.tools()}[name])


async def call(of: Declared, within_s: float = WITHIN_S, /, **arguments: Any) -> Reply:
    return await of.endpoint.call(arguments, "k-1", within_s)


def calls(folder: Path) -> list[dict[str, Any]]:
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def until(path: Path) -> None:
    """Until a file is there: another process writes it."""
    async with asyncio.timeout(WITHIN_S):
        while not os.path.exists(path):  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.01)


def pid_of_child() -> int:
    """The one process that this one has started."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (mine,) = [int(each) for each in children if str(SHOP) in Path(f"/proc/{each}/cmdline").read_text()]
    return mine


# --- a program -------------------------------------------------------------------------------------------------------


async def test_a_tool_of_a_program_is_declared_and_called_with_the_key(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        refund = await found(server, "refund")
        reply = await call(refund, order="7", amount=500)
    assert reply == Reply({"id": "r-7", "status": "done"})
    assert calls(tmp_path) == [{"order": "7", "amount": 500, "key": "k-1"}]
    assert refund.description == "Gives money back."
    assert refund.effect is None
    assert refund.origin == "MCP shop: refund"
    assert [(each.name, each.title, each.is_required) for each in refund.parameters] == [
        ("order", "Order", True),
        ("amount", "Amount", True),
    ]


async def test_schemas_are_closed_all_the_way_down_and_text_that_is_json_is_read(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        get = await found(server, "get_order")
        reply = await call(get, order="7", items=[{"name": "cup"}])
    schema = Action("it", "It", "", get.parameters, get.endpoint, given=get.given).schema()
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Item"]["additionalProperties"] is False
    assert get.effect is Effect.READ
    assert reply.data == {"order": "7", "items": [{"name": "cup", "count": 1}]}


async def test_an_error_of_the_tool_is_a_refusal(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        reply = await call(await found(server, "refuse"), order="7")
    assert reply.is_refused
    assert "order 7 is closed" in reply.data


async def test_images_and_links_are_named_and_not_followed(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        reply = await call(await found(server, "mixed"))
    assert reply.data == "Here it is.\n(image: image/png)\n(resource: terms, http://127.0.0.1:1/terms)"


async def test_a_program_sees_nothing_of_our_environment_but_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "USER", "SHELL", "TERM", "LOGNAME"):
        monkeypatch.setenv(name, "secret")
    async with over_stdio(tmp_path, env={"SHOP_TOKEN": "t-1"}).opened() as server:
        seen = (await call(await found(server, "environment"))).data
    assert set(seen) - {"LC_CTYPE"} <= {
        "PATH",
        "HOME",
        "LANG",
        "SHOP_TOKEN",
    }  # Python sets LC_CTYPE by itself (PEP 538)
    assert seen["SHOP_TOKEN"] == "t-1"


async def test_f07_a_program_killed_in_the_middle_of_a_call_leaves_it_uncertain_and_the_next_call_finds_a_new_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "hang").touch()
    async with over_stdio(tmp_path).opened() as server:
        refund = await found(server, "refund")
        calling = asyncio.create_task(call(refund, order="7", amount=5))
        await until(tmp_path / "calls")
        os.kill(pid_of_child(), signal.SIGKILL)
        with pytest.raises(Uncertain):
            await calling
        (tmp_path / "hang").unlink()
        assert (await call(refund, order="8", amount=5)).data["id"] == "r-8"
    assert [each["order"] for each in calls(tmp_path)] == ["7", "8"]


async def test_f07_a_program_that_takes_too_long_leaves_the_call_uncertain_and_serves_the_next(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    clock = ManualClock()
    async with over_stdio(tmp_path, clock).opened() as server:
        refund = await found(server, "refund")
        calling = asyncio.create_task(call(refund, 5.0, order="7", amount=5))
        await until(tmp_path / "calls")
        await clock.advance(5.0)
        with pytest.raises(Uncertain):
            await calling
        (tmp_path / "hang").unlink()
        assert (await call(refund, order="8", amount=5)).data["id"] == "r-8"


async def test_a_program_ends_with_its_server(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        await server.tools()
        pid = pid_of_child()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_is_not_there_sends_nothing_and_is_named() -> None:
    async with Server("shop", SystemClock(), command=["no-such-program-here"]).opened() as server:
        with pytest.raises(NotSent, match="no-such-program-here"):
            await server.tools()


async def test_a_program_that_does_not_start_is_told_with_what_it_said() -> None:
    says = [sys.executable, "-c", "import sys; sys.exit('no licence')"]
    async with Server("shop", SystemClock(), command=says).opened() as server:
        with pytest.raises(NotSent, match="no licence"):
            await server.tools()


# --- the pin ---------------------------------------------------------------------------------------------------------


async def test_f93_a_tool_that_says_that_it_has_changed_is_refused_and_others_go_on(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        refund, poison = await found(server, "refund"), await found(server, "poison")
        refuse = await found(server, "refuse")
        await call(poison, is_quiet=False)
        with pytest.raises(NotSent, match="has changed") as raised:
            await call(refund, order="7", amount=5)
        assert not raised.value.is_retryable
        assert (await call(refuse, order="7")).is_refused
    assert calls(tmp_path) == []


async def test_f93_a_tool_that_changes_in_silence_is_refused_as_soon_as_its_listing_is_old(tmp_path: Path) -> None:
    clock = ManualClock()
    async with over_stdio(tmp_path, clock).opened() as server:
        refund, poison = await found(server, "refund"), await found(server, "poison")
        await call(poison, is_quiet=True)
        await clock.advance(FRESH_S + 1)
        with pytest.raises(NotSent, match="has changed"):
            await call(refund, order="7", amount=5)
    assert calls(tmp_path) == []


async def test_f93_a_tool_that_has_changed_while_its_server_was_away_is_refused(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        tool = {each.name: each for each in await server.tools()}["refund"]
        before = server.declared(Tool(tool.name, tool.title, "Gives a little money back.", tool.schema))
        os.kill(pid_of_child(), signal.SIGKILL)
        with pytest.raises(NotSent, match="has changed"):
            await call(before, order="7", amount=5)
    assert calls(tmp_path) == []


async def test_a_tool_that_is_gone_is_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    async with over_stdio(tmp_path, clock).opened() as server:
        refund, withdraw = await found(server, "refund"), await found(server, "withdraw")
        await call(withdraw)
        await clock.advance(FRESH_S + 1)
        with pytest.raises(NotSent, match="no longer offered"):
            await call(refund, order="7", amount=5)


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "array"}, "object"),
        ({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "not valid"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/a"}}}, "cannot be followed"),
        ({"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {}}}, "cannot be followed"),
        ({"type": "object", "properties": {"a": {"items": {"$ref": "#/$defs/c"}}}}, "cannot be followed"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "requires"),
    ],
)
def test_a_schema_that_cannot_be_carried_is_a_clear_error(schema: dict[str, Any], what: str) -> None:
    server = Server("shop", ManualClock(), url=NOBODY)
    with pytest.raises(ValueError, match=rf"tool refund of the MCP server shop.*{what}"):
        server.declared(Tool("refund", "", "", schema))


def test_definitions_of_older_schemas_are_carried() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/b"}},
        "definitions": {"b": {"type": "object", "properties": {"c": {"type": "string"}}}},
    }
    made = Server("shop", ManualClock(), url=NOBODY).declared(Tool("refund", "", "", schema))
    assert made.parameters[0].schema == {"$ref": "#/$defs/b"}
    assert made.given["b"]["additionalProperties"] is False


# --- an address ------------------------------------------------------------------------------------------------------


async def test_a_tool_at_an_address_is_called_with_the_key(tmp_path: Path) -> None:
    async with shop_over_http(tmp_path) as (_, port), at(port).opened() as server:
        reply = await call(await found(server, "refund"), order="7", amount=500)
    assert reply.data == {"id": "r-7", "status": "done"}
    assert calls(tmp_path) == [{"order": "7", "amount": 500, "key": "k-1"}]


async def test_f07_a_server_killed_in_the_middle_of_a_call_leaves_it_uncertain_and_calls_after_that_unsent_until_it_is_back(
    tmp_path: Path,
) -> None:
    (tmp_path / "hang").touch()
    async with shop_over_http(tmp_path) as (process, port), at(port).opened() as server:
        refund = await found(server, "refund")
        calling = asyncio.create_task(call(refund, order="7", amount=5))
        await until(tmp_path / "calls")
        process.kill()
        with pytest.raises(Uncertain):
            await calling
        await process.wait()
        with pytest.raises(NotSent):
            await call(refund, order="8", amount=5)
        (tmp_path / "hang").unlink()
        async with shop_over_http(tmp_path, port):
            assert (await call(refund, order="9", amount=5)).data["id"] == "r-9"
    assert [each["order"] for each in calls(tmp_path)] == ["7", "9"]


async def test_an_address_that_nobody_listens_at_sends_nothing() -> None:
    async with Server("shop", SystemClock(), url=NOBODY).opened() as server:
        with pytest.raises(NotSent, match="cannot be connected to"):
            await server.tools()


async def test_f88_an_address_outside_the_perimeter_is_neither_looked_up_nor_connected_to() -> None:
    perimeter = Perimeter(["shop.example.com"])
    server = Server("shop", SystemClock(), url="http://other.example.com/mcp", perimeter=perimeter)
    async with server.opened():
        with pytest.raises(NotSent, match=r"other\.example\.com:80 is outside \[network\] allow"):
            await server.tools()


@pytest.fixture
async def desk() -> AsyncIterator[tuple[Plain, Server]]:
    async with (
        plain() as served,
        Server("desk", SystemClock(), url=served.url, headers={"Authorization": "Bearer t-1"}).opened() as server,
    ):
        yield served, server


async def test_an_older_server_is_spoken_to_in_its_own_way_and_every_message_carries_the_headers(
    desk: tuple[Plain, Server],
) -> None:
    served, server = desk
    assert await call(await found(server, "refund"), order="7") == Reply("done")
    assert served.calls[0]["_meta"] == {"idempotency_key": "k-1"}
    assert {each["Authorization"] for each in served.headers} == {"Bearer t-1"}


ERROR = {"jsonrpc": "2.0", "id": None}


@pytest.mark.parametrize(
    ("status", "body", "kind", "is_retryable"),
    [
        (401, {"detail": "no"}, NotSent, False),
        (403, {}, NotSent, False),
        (429, {}, NotSent, True),
        (400, {**ERROR, "error": {"code": -32600, "message": "no"}}, NotSent, False),
        (404, {}, NotSent, True),
        (408, {}, Uncertain, None),
        (500, {}, Uncertain, None),
        (503, {**ERROR, "error": {"code": -32603, "message": "no"}}, Uncertain, None),
        (302, {}, Uncertain, None),
    ],
)
async def test_f07_a_status_says_whether_the_message_was_taken(
    desk: tuple[Plain, Server], status: int, body: object, kind: type[Exception], is_retryable: bool | None
) -> None:
    served, server = desk
    refund = await found(server, "refund")
    served.status, served.body = status, body
    with pytest.raises(kind) as raised:
        await call(refund, order="7")
    assert getattr(raised.value, "is_retryable", None) is is_retryable
    served.status, served.body = 200, None
    assert await call(refund, order="7") == Reply("done")


async def test_arguments_that_the_server_turns_down_are_a_refusal(desk: tuple[Plain, Server]) -> None:
    served, server = desk
    refund = await found(server, "refund")
    served.status, served.body = 400, {**ERROR, "error": {"code": -32602, "message": "no such order"}}
    assert await call(refund, order="7") == Reply("no such order", is_refused=True)


async def test_f07_a_connection_that_is_cut_leaves_one_call_uncertain_and_others_alone(
    desk: tuple[Plain, Server],
) -> None:
    served, server = desk
    refund = await found(server, "refund")
    served.is_silent = True
    other = asyncio.create_task(call(refund, order="6"))
    await served.asked.wait()
    served.is_silent, served.is_cut = False, True
    with pytest.raises(Uncertain):
        await call(refund, order="7")
    assert not other.done()
    other.cancel()
    served.is_cut = False
    assert await call(refund, order="8") == Reply("done")
    assert [each["arguments"]["order"] for each in served.calls] == ["6", "7", "8"]


@pytest.mark.parametrize(
    "body", [{"content": "none"}, {"content": [{"type": "text", "text": "x" * 5_000_000}]}], ids=["none", "too long"]
)
async def test_f07_an_answer_that_is_none_leaves_the_call_uncertain(desk: tuple[Plain, Server], body: object) -> None:
    served, server = desk
    refund = await found(server, "refund")
    served.body = body
    with pytest.raises(Uncertain):
        await call(refund, order="7")


async def test_a_session_that_the_server_has_forgotten_is_begun_anew(desk: tuple[Plain, Server]) -> None:
    served, server = desk
    refund = await found(server, "refund")
    served.session = 2
    with pytest.raises(NotSent) as raised:
        await call(refund, order="7")
    assert raised.value.is_retryable
    assert await call(refund, order="8") == Reply("done")
    assert [each["arguments"]["order"] for each in served.calls] == ["8"]


async def test_what_became_of_a_call_cannot_be_looked_up() -> None:
    made = Server("shop", ManualClock(), url=NOBODY).declared(Tool("refund", "", "", {"type": "object"}))
    with pytest.raises(Uncertain):
        await made.endpoint.look_up({}, "k", WITHIN_S)


async def test_after_it_was_shut_down_nothing_is_sent(tmp_path: Path) -> None:
    async with over_stdio(tmp_path).opened() as server:
        refund = await found(server, "refund")
    with pytest.raises(NotSent, match="shut down"):
        await call(refund, order="7", amount=5)


def test_the_sdk_is_not_imported_before_a_server_is_connected_to() -> None:
    import subprocess

    program = (
        "import sys, bot.tools.mcp; Server = bot.tools.mcp.Server; print(sorted({'mcp', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "[]\n"
