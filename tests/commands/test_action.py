"""`frontdesk action` shows what would be done, does reads, and leaves effects to the daemon."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.__main__ import main
from bot.net.control import socket_path
from tests.commands.test_control import served
from tests.config.test_actions import PEOPLE

ACTIONS = """\
[[actions]]
name = "get_order"
description = "Looks an order up."
method = "GET"
url = "{shop}/orders/{{order}}"
auth = {{ secret = "SHOP_TOKEN" }}
effect = "read"
[actions.parameters]
order = {{ type = "string", pattern = "^[0-9A-Z/.]+$" }}
page = {{ type = "integer", is_required = false }}
customer = {{ type = "string", from = "identity.id" }}

[[actions]]
name = "refund_order"
description = "Gives money back."
method = "POST"
url = "{shop}/orders/{{order}}/refunds"
auth = {{ secret = "SHOP_TOKEN" }}
effect = "keyed"
operator_above = 5000
facts = "get_order"
[actions.parameters]
order = {{ type = "string" }}
amount = {{ type = "integer", role = "amount", most = "facts.total" }}
customer = {{ type = "string", from = "identity.id" }}
email = {{ type = "string", from = "facts.email", role = "recipient" }}
"""
TOKEN = "shp-3f9Ab77Qx"


@dataclass
class Shop:
    """A service that answers with what it was asked."""

    folder: Path
    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.raw_path, dict(request.headers)))
        if "99" in request.path:
            return web.json_response({"error": "no such order"}, status=404)
        return web.json_response({"order": request.match_info["order"], "total": 2500})

    async def call(self, *words: str) -> int:
        """The command, in another thread, as it runs in a process of its own."""
        return await asyncio.to_thread(main, ["action", *words, "--config", str(self.folder / "config.toml")])


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    app = web.Application()
    app.router.add_route("*", "/orders/{order}{tail:.*}", shop.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    (tmp_path / "docs").mkdir()
    (tmp_path / "config.toml").write_text(ACTIONS.format(shop=shop.url) + PEOPLE)
    (tmp_path / ".env").write_text(f"SHOP_TOKEN={TOKEN}\n")
    (tmp_path / ".env").chmod(0o600)
    yield shop
    await runner.cleanup()


def told(capsys: pytest.CaptureFixture[str]) -> Any:  # JSON
    return json.loads(capsys.readouterr().out)


async def test_every_action_is_listed_with_its_rules(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """At a glance: what it leaves behind, who agrees, who may use it, where it goes."""
    assert await shop.call("list", "--json") == 0
    read, refund = told(capsys)
    assert (read["effect"], read["consent"], read["agents"]) == ("read", "none", ["main"])
    assert refund["consent"] == "user, operator above 5000"
    assert refund["origin"] == f"POST {shop.url}/orders/{{order}}/refunds"
    assert await shop.call("list") == 0
    assert "refund_order" in capsys.readouterr().out
    assert not shop.asked


async def test_an_action_is_shown_as_the_model_sees_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """And what is filled in apart from it, which is not in the schema."""
    assert await shop.call("show", "refund_order", "--json") == 0
    found = told(capsys)
    assert set(found["schema"]["properties"]) == {"order", "amount"}
    assert found["injected"] == {"customer": "identity.id", "email": "facts.email"}
    assert found["most"] == {"amount": "facts.total"}
    assert await shop.call("show", "refund_order") == 0
    shown = capsys.readouterr().out
    assert "keyed: the other side does it once for each key" in shown
    assert "filled in, never by the model:" in shown


async def test_a_dry_run_shows_the_request_and_sends_nothing(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Made by the code that would send it, with secrets and facts standing as their names."""
    words = ("refund_order", "--arg", "order=7", "--arg", "amount=2500", "--as-person", "c1", "--dry-run")
    assert await shop.call("call", *words) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert (found["method"], found["url"]) == ("POST", f"{shop.url}/orders/7/refunds")
    assert found["headers"]["Authorization"] == "Bearer <SHOP_TOKEN>"
    assert found["body"] == {"amount": 2500, "customer": "c1", "email": "<facts.email>"}
    assert TOKEN not in text
    assert not shop.asked


async def test_an_argument_cannot_lead_to_another_path(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """A slash in it is a part of its segment, and what would climb out of it is refused."""
    assert await shop.call("call", "get_order", "--arg", "order=7/8", "--as-person", "c1", "--dry-run") == 0
    assert "/orders/7%2F8?" in told(capsys)["url"]
    assert await shop.call("call", "get_order", "--arg", "order=7/../8", "--as-person", "c1", "--dry-run") == 2
    assert "would change the path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("get_order", "--arg", "order=7"), "--as-person"),
        (("get_order", "--arg", "order=x", "--as-person", "c1"), "--arg"),
        (("get_order", "--as-person", "c1"), "order"),
        (("get_order", "--arg", "order", "--as-person", "c1"), "has no ="),
        (("get_order", "--arg", "order=7", "--arg", "order=8", "--as-person", "c1"), "is given twice"),
        (("get_order", "--arg", "order=7", "--arg", 'page="2"', "--as-person", "c1"), "--arg"),
        (("get_order", "--arg", "order=7", "--arg", "customer=c2", "--as-person", "c1"), "--arg"),
        (("get_ordr",), "there is no action"),
    ],
)
async def test_wrong_arguments_are_told_and_nothing_is_sent(
    shop: Shop, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    """The same schema as for a model; what is filled in cannot be given."""
    assert await shop.call("call", *words) == 2
    assert why in capsys.readouterr().err
    assert not shop.asked


async def test_an_effect_wants_a_yes_and_a_daemon(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line alone nothing would be entered before it is made."""
    words = ("call", "refund_order", "--arg", "order=7", "--arg", "amount=2500", "--as-person", "c1")
    assert await shop.call(*words) == 1
    assert "nothing was sent" in capsys.readouterr().out
    assert await shop.call(*words, "--yes") == 3
    assert "not running" in capsys.readouterr().err
    assert not shop.asked


@pytest.mark.parametrize(
    ("outcome", "status"), [({}, 0), ({"is_uncertain": True, "is_error": True}, 1), ({"is_error": True}, 1)]
)
@pytest.mark.parametrize("words", [("get_order",), ("refund_order", "--arg", "amount=2500", "--yes")])
async def test_every_call_goes_through_the_daemon(
    shop: Shop, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], outcome: dict[str, bool], status: int
) -> None:
    """Row 103: there is one way. It is given the arguments that were checked, and the person; what nobody knows is no success."""
    heard: list[tuple[str, dict[str, Any]]] = []

    async def handle(account: str, command: str, arguments: dict[str, Any]) -> object:
        heard.append((command, arguments))
        return {"text": "As asked.\x1b[31m", "is_error": False, "is_uncertain": False, **outcome}

    data = shop.folder / "data"
    data.mkdir(mode=0o700)
    async with served(socket_path(data, {}), handle):
        assert await shop.call("call", *words, "--arg", "order=7", "--as-person", "c1") == status
    shown = capsys.readouterr().out
    assert "As asked." in shown
    assert "\x1b" not in shown
    ((command, given),) = heard
    assert (command, given["name"], given["person"]) == ("action call", words[0], "c1")
    assert json.loads(given["arguments"])["order"] == "7"
    assert not shop.asked


async def test_without_actions_the_way_to_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is a sentence."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "config.toml").write_text("")
    assert await Shop(tmp_path).call("list") == 0
    assert "docs/actions.md" in capsys.readouterr().out
