"""Row 91: there is one client that reads what a URL names, and no second path that could forget its checks. Row 88, by the thousand."""

import ast
import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import FetchError, NotSent
from bot.net.fetch import Fetcher
from tests.net.test_fetch import FakeResolver, connected, fetcher

__all__ = ["connected"]  # a fixture

ROOT = Path(__file__).parents[2]
# What can make a request outwards by itself, as modules and as names of aiohttp's client.
CLIENTS = {
    "requests",
    "httpx",
    "httpx2",
    "urllib3",
    "urllib.request",
    "http.client",
    "ftplib",
    "smtplib",
    "websockets",
    "websocket",
}
SESSIONS = {"ClientSession", "request", "TCPConnector", "UnixConnector"}
CALLS = {"create_connection", "open_connection", "urlopen", "create_datagram_endpoint"}
# The vendors' SDKs go their own way, inside the perimeter: their transports stand here by name. `telemetry` and the commands speak to
# Unix sockets of this machine.
OWN_WAY = {
    "bot/llm/transport.py",
    "bot/llm/clients.py",
    "bot/llm/openai.py",
    "bot/llm/anthropic.py",
    "bot/llm/faults.py",
    "bot/llm/transcribe.py",
    "bot/llm/embed.py",
    "adapters/discord/wire.py",
    "adapters/slack/api.py",
    "adapters/slack/link.py",
    "adapters/whatsapp/api.py",
    "bot/tools/mcp_wire.py",
}
THE_CLIENT = {"bot/net/fetch.py", "bot/net/calls.py", "bot/net/connector.py"}
GENERATED = 10_000


def outward(tree: ast.AST) -> Iterator[str]:
    """Every import and name by which a module could reach out."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in CLIENTS or each.name.split(".")[0] in CLIENTS)
            case ast.ImportFrom(module=str(module), names=names):
                if module in CLIENTS or module.split(".")[0] in CLIENTS:
                    yield module
                if module.split(".")[0] == "aiohttp":
                    yield from (each.name for each in names if each.name in SESSIONS)
            case ast.Attribute(value=ast.Name(id="aiohttp"), attr=name) if name in SESSIONS:
                yield f"aiohttp.{name}"
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in CALLS:
                yield name


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


class Running(ast.NodeTransformer):
    """Without what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if is_type_checking(node) else self.generic_visit(node)


def reaches_out(path: Path) -> set[str]:
    return set(outward(Running().visit(ast.parse(path.read_text(encoding="utf-8")))))


def test_f91_nothing_but_the_fetcher_reaches_out() -> None:
    """In all of our modules; the vendors' SDKs by name."""
    found = {
        path.relative_to(ROOT).as_posix(): names
        for folder in ("bot", "adapters")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (names := reaches_out(path))
    }
    assert THE_CLIENT & found.keys(), "the check sees nothing"
    assert {path: names for path, names in found.items() if path not in THE_CLIENT | OWN_WAY} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import requests",
        "import urllib.request as u",
        "from http.client import HTTPSConnection",
        "import aiohttp\naiohttp.ClientSession()",
        "from aiohttp import ClientSession as S",
        "import asyncio\nasyncio.open_connection('x', 1)",
        "def late():\n    import httpx",
    ],
)
def test_f91_the_check_sees_every_way(text: str) -> None:
    assert set(outward(Running().visit(ast.parse(text))))


def test_f103_nothing_but_one_module_calls_an_endpoint() -> None:
    """A guard that stands on one path is not gone round by another. The rehearsal of the command line sends nothing."""
    calling = {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "bot").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("call", "look_up")
        and ast.unparse(node.value).split(".")[-1] == "endpoint"
    }
    assert calling == {"bot/tools/acting.py", "bot/commands/rehearsal.py"}


def inward(random_: random.Random) -> str:
    """A URL of an address that is nobody's business, written in one of the ways in which it can be written."""
    network = ipaddress.ip_network(
        random_.choice(
            [
                "127.0.0.0/8",
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "169.254.0.0/16",
                "100.64.0.0/10",
                "0.0.0.0/8",
                "224.0.0.0/4",
            ]
        )
    )
    number = int(network.network_address) + random_.randrange(network.num_addresses)
    four = ipaddress.IPv4Address(number)
    octets = str(four).split(".")
    host = random_.choice(
        [
            str(four),
            str(number),
            hex(number),
            "0" + oct(number)[2:],
            ".".join(hex(int(each)) for each in octets),
            ".".join("0" + oct(int(each))[2:] for each in octets),
            f"{octets[0]}.{int(octets[1]) * 65536 + int(octets[2]) * 256 + int(octets[3])}",
            f"[::ffff:{four}]",
            f"[64:ff9b::{four}]",
            f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
            f"[::{four}]",
            f"[fe80::{random_.randrange(65536):x}]",
            f"[fd{random_.randrange(256):02x}::{random_.randrange(65536):x}]",
            f"{four}.",
        ]
    )
    port = random_.choice(["", ":80", ":8080", ":22", f":{random_.randrange(1, 65536)}"])
    return f"{random_.choice(['http', 'https', 'HTTP'])}://{host}{port}/{random_.choice(['', 'latest/meta-data/', '?x=1'])}"


async def test_f88_of_10_000_generated_urls_none_connects_inward(connected: list[tuple[str, int]]) -> None:
    """By a read and by a call alike; watched at the socket."""
    random_ = random.Random(88)
    async with fetcher(resolver=FakeResolver({})) as outward_:
        for number in range(GENERATED):
            url = inward(random_)
            with pytest.raises((FetchError, NotSent)):
                await (_read(outward_, url) if number % 2 else _called(outward_, url))
    assert connected == []


async def _read(outward_: Fetcher, url: str) -> None:
    async with outward_.fetch(url):
        pass


async def _called(outward_: Fetcher, url: str) -> None:
    kind = "application/json"
    await outward_.call("POST", url, headers={}, body=b"{}", content_type=kind, most_bytes=1_000, within_s=5.0)
