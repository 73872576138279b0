"""Connections to model servers: within the perimeter, shared, and with no SDK loaded before it is wanted."""

import asyncio
import gc
import socket
import subprocess
import sys
import weakref

import pytest

from bot.errors import Fault
from bot.llm.clients import Clients
from bot.net.perimeter import Perimeter
from tests.llm.calling import anthropic, called, failure, outcome
from tests.models.anthropic_server import AnthropicServer
from tests.models.wire import Received, Reply


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are looked up; none is found."""
    names: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> object:
        names.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


async def _call(perimeter: Perimeter, url: str) -> Fault:
    from bot.config.schema import Model
    from bot.llm.anthropic import AnthropicModel
    from tests.clock import ManualClock
    from tests.llm.calling import blobs

    clients = Clients(perimeter)
    model = AnthropicModel(
        "claude", Model(provider="anthropic", model="m", base_url=url), clients, blobs(), ManualClock()
    )
    try:
        return (await failure(model)).fault
    finally:
        await clients.close()


async def test_outside_the_perimeter_not_even_a_name_is_looked_up(lookups: list[str]) -> None:
    assert await _call(Perimeter(["models.example.org:8443"]), "https://models.example.org") is Fault.REJECTED
    assert await _call(Perimeter([]), "") is Fault.REJECTED
    assert lookups == []


async def test_inside_the_perimeter_it_is(lookups: list[str]) -> None:
    assert await _call(Perimeter(["models.example.org:443"]), "https://models.example.org") is Fault.UNREACHABLE
    assert lookups == ["models.example.org"]


async def test_outside_the_perimeter_no_address_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address needs no lookup: no socket may be made either."""
    made: list[object] = []

    class Watched(socket.socket):
        def connect(self, address: object) -> None:
            made.append(address)
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "socket", Watched)
    assert await _call(Perimeter(["10.1.0.0/16"]), "http://10.2.0.1") is Fault.REJECTED
    assert made == []
    assert await _call(Perimeter(["10.2.0.0/16"]), "http://10.2.0.1") is Fault.UNREACHABLE
    assert made == [("10.2.0.1", 80)]


async def test_the_error_names_the_host_and_the_setting() -> None:
    clients = Clients(Perimeter([]))
    async with AnthropicServer() as server, anthropic(server, base_url="http://192.0.2.1:99") as model:
        error = await failure(model)
    assert "192.0.2.1:99" in str(error)
    assert "[network] allow" in str(error)
    await clients.close()


async def test_many_calls_at_once_have_a_connection_each() -> None:
    """Nothing waits until another call is over."""
    count, is_full = 150, asyncio.Event()

    def held(_: Received) -> Reply:
        if len(server.ledger) == count:
            is_full.set()
        return Reply(silent_after=0)

    async with AnthropicServer(held) as server, anthropic(server) as model:
        calls = [asyncio.ensure_future(called(model)) for _ in range(count)]
        await asyncio.wait_for(is_full.wait(), 30)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(server.peers) == count


async def test_a_connection_is_used_again() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        for reply in (Reply(), Reply(status=429), Reply(status=500), Reply(raw=b"{}"), Reply()):
            server.replies.append(reply)
            await outcome(model)
        assert len(server.peers) == 1


async def test_one_client_serves_all_who_use_the_same_server_and_key() -> None:
    clients = Clients(Perimeter([]))
    first, second = await asyncio.gather(
        clients.anthropic("http://127.0.0.1:1", "k"), clients.anthropic("http://127.0.0.1:1", "k")
    )
    other = await clients.anthropic("http://127.0.0.1:1", "another")
    assert first is second
    assert other is not first
    await clients.close()


async def test_a_client_that_nobody_holds_is_dropped_with_its_key() -> None:
    clients = Clients(Perimeter([]))
    kept = weakref.ref(await clients.anthropic("http://127.0.0.1:1", "old"))
    gc.collect()
    assert kept() is None
    await clients.close()


async def test_the_sdk_retries_nothing_and_has_no_time_limit_of_its_own() -> None:
    clients = Clients(Perimeter([]))
    await clients.warm(["anthropic", "openai", "offline"])
    for client in (await clients.anthropic("", "k"), await clients.openai("", "k")):
        assert client.max_retries == 0
        assert client.timeout is None
    await clients.close()
    await clients.close()


def test_no_sdk_is_loaded_before_somebody_asks_and_then_in_a_thread() -> None:
    """The loop goes on while the import runs: it would stand still for a second."""
    code = """
import asyncio, sys, threading
import bot.llm.anthropic, bot.llm.clients, bot.llm.faults, bot.llm.content
from bot.net.perimeter import Perimeter

SDKS = {"anthropic", "openai", "httpx2"}
assert not SDKS & set(sys.modules), SDKS & set(sys.modules)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in SDKS:
            threads.add(threading.current_thread() is threading.main_thread())

threads = set()
sys.meta_path.insert(0, Watch())

async def main():
    clients = bot.llm.clients.Clients(Perimeter([]))
    await clients.warm(["anthropic"])
    assert "anthropic" in sys.modules and "openai" not in sys.modules
    client = await clients.anthropic("", "k")
    client.messages
    await clients.close()

asyncio.run(main())
assert threads == {False}, threads
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
