"""The two listeners: what they answer, what they hide, and what a stranger can hold."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from bot.clock import SystemClock
from bot.errors import ConfigError, Overloaded, Refused, StoreUnavailable
from bot.net.gate import Gate, Proxies, counted
from bot.net.listeners import ListenerConfig, ListenerLimits, Listeners
from bot.ports import Clock, Route
from tests.clock import ManualClock


async def whoami(request: web.Request) -> web.StreamResponse:
    return web.json_response({"remote": request.remote, "read": len(await request.read())})


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/whoami")


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise RuntimeError("canary")


def failing(failure: Exception) -> Route:
    async def fail(request: web.Request) -> web.StreamResponse:
        raise failure

    return Route("GET", f"/{type(failure).__name__}", fail)


ROUTES = [
    Route("GET", "/whoami", whoami),
    Route("POST", "/whoami", whoami),
    Route("GET", "/redirect", redirect),
    Route("GET", "/half", half),
    *map(failing, (RuntimeError("canary"), Refused("no", "No."), Overloaded("canary"), StoreUnavailable("canary"))),
]


def listeners(
    limits: ListenerLimits | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    proxies: str = "",
    routes: Sequence[Route] = (),
) -> Listeners:
    return Listeners(
        public=ListenerConfig(host, port, "server"),
        private=ListenerConfig("127.0.0.1", 0, "admin"),
        routes=[*ROUTES, *routes],
        private_routes=[Route("GET", "/console", whoami)],
        health=lambda: (200, {"status": "alive"}),
        ready=lambda: (503, {"store": "closed"}),
        metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
        clock=clock or SystemClock(),
        limits=limits,
        trusted_proxies=proxies.split(),
    )


@asynccontextmanager
async def listening(
    limits: ListenerLimits | None = None, clock: Clock | None = None, proxies: str = ""
) -> AsyncIterator[Listeners]:
    both = listeners(limits, clock=clock, proxies=proxies)
    await both.start()
    try:
        yield both
    finally:
        await both.stop(0.1)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(port: int, data: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def test_each_listener_serves_its_own_and_nothing_else() -> None:
    """What is private is not there on the public side, and the other way round."""
    async with listening() as both, ClientSession() as http:
        table = [
            (both.public_port, "/healthz", 200),
            (both.public_port, "/readyz", 503),
            (both.public_port, "/whoami", 200),
            (both.public_port, "/metrics", 404),
            (both.public_port, "/console", 404),
            (both.private_port, "/metrics", 200),
            (both.private_port, "/console", 200),
            (both.private_port, "/whoami", 404),
        ]
        for port, path, status in table:
            async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                assert (answer.status, path) == (status, path)
                assert "Server" not in answer.headers
        async with http.get(f"http://127.0.0.1:{both.private_port}/metrics") as answer:
            assert await answer.text() == "up 1\n"
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("GET", "/HEALTHZ", 404, "not_found"),
        ("GET", "/console%2f..%2fhealthz", 404, "not_found"),
        ("GET", "/%252fhealthz", 404, "not_found"),
        ("GET", "/healthz%252f", 404, "not_found"),
        ("GET", "/x/../nothing", 404, "not_found"),
        ("DELETE", "/healthz", 405, "bad_method"),
        ("GET", "/RuntimeError", 500, "failed"),
        ("GET", "/Refused", 400, "no"),
        ("GET", "/Overloaded", 503, "busy"),
        ("GET", "/StoreUnavailable", 503, "busy"),
    ],
)
async def test_every_failure_is_a_plain_sentence(method: str, path: str, status: int, code: str) -> None:
    """JSON with code and detail, and no word of an exception."""
    async with listening() as both:
        head, _, body = (
            await exchange(
                both.public_port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
        ).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert f'"code": "{code}"'.encode() in body
        assert b"canary" not in body
        assert b"Traceback" not in body


async def test_a_redirect_is_no_failure() -> None:
    """Answers below 400 pass as they are."""
    async with listening() as both:
        seen = await exchange(both.public_port, b"GET /redirect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert seen.startswith(b"HTTP/1.1 302 ")
        assert b"Location: /whoami" in seen


async def test_a_failure_in_the_middle_of_an_answer_ends_the_connection() -> None:
    """There is no second answer inside the first."""
    async with listening() as both:
        seen = await exchange(both.public_port, b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"half" in seen
        assert seen.count(b"HTTP/1.1") == 1
        assert b"canary" not in seen


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(500)) + b"\r\n",
    b"POST /whoami HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /whoami HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /whoami HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /whoami HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
]


@pytest.mark.parametrize("data", GARBAGE)
async def test_f71_garbage_is_answered_once_and_not_logged(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is no request, too large, or ambiguous ends the connection with 400, before any handler and without a trace."""
    caplog.set_level(logging.INFO)
    async with listening() as both:
        seen = await exchange(both.public_port, data)
        assert seen.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
        assert seen.count(b"HTTP/1.") == 1
        assert b"aiohttp" not in seen.lower()
        assert b"Traceback" not in seen
    assert caplog.records == []


async def test_f70_a_head_that_does_not_arrive_is_not_waited_for() -> None:
    """Slowloris: the head has header_s, whether nothing comes or a byte at a time."""
    async with listening(ListenerLimits(header_s=0.2)) as both:
        assert await exchange(both.public_port, b"") == b""
        assert await exchange(both.public_port, b"GET / HTTP/1.1\r\nX-Slow: ") == b""
        async with connected(both.public_port) as (reader, writer), asyncio.TaskGroup() as group:
            drip = group.create_task(_drip(writer))
            assert await reader.read() == b""
            drip.cancel()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await asyncio.sleep(0.02)


async def test_a_second_head_on_a_kept_connection_has_the_same_time() -> None:
    """Keeping a connection alive does not let a client hold it."""
    async with listening(ListenerLimits(header_s=0.2)) as both, connected(both.public_port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        assert (await reader.read()).count(b"HTTP/1.1 200") == 1


async def test_f70_a_body_that_does_not_arrive_is_given_up() -> None:
    """The body has body_s from the head on, and the answer says so."""
    clock = ManualClock()
    async with listening(ListenerLimits(body_s=30), clock) as both, connected(both.public_port) as (reader, writer):
        writer.write(b"POST /whoami HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow")
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(reader.readline())
            while not answer.done():
                await clock.advance(10)
        assert answer.result().startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_is_too_large_is_refused() -> None:
    """Plain handlers never hold more than body_bytes."""
    async with listening(ListenerLimits(body_bytes=1000)) as both:
        head = b"POST /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n"
        seen = await exchange(both.public_port, head + bytes(1001))
        assert seen.startswith(b"HTTP/1.1 413 ")
        assert b"too_large" in seen


async def test_f69_connections_are_capped_by_address_and_in_all() -> None:
    """One more than the cap is turned away at the door; a place that is left can be taken."""
    for limits in (ListenerLimits(connections_per_address=2), ListenerLimits(connections=2)):
        async with listening(limits) as both:
            request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            async with connected(both.public_port) as first, connected(both.public_port) as second:
                for reader, writer in (first, second):
                    writer.write(request)
                    assert b"200" in await reader.readline()
                assert (await exchange(both.public_port, request)).startswith(b"HTTP/1.1 503 ")
                first[1].close()
                await first[1].wait_closed()
                while b" 503 " in (
                    seen := await exchange(both.public_port, request[:-2] + b"Connection: close\r\n\r\n")
                ):
                    pass
                assert b" 200 " in seen


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        ("", [], "127.0.0.1"),
        ("", ["6.6.6.6"], "127.0.0.1"),
        ("10.0.0.0/8", ["6.6.6.6"], "127.0.0.1"),
        ("127.0.0.0/8", [], "127.0.0.1"),
        ("127.0.0.0/8", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.0/8", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.0/8", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.0/8 10.0.0.0/8", ["6.6.6.6, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.0/8 10.0.0.0/8", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.0/8", ["6.6.6.6, nonsense"], "127.0.0.1"),
        ("127.0.0.0/8", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.0/8", ["::ffff:203.0.113.9"], "203.0.113.9"),
    ],
)
async def test_only_a_listed_proxy_names_the_client(proxies: str, forwarded: list[str], client: str) -> None:
    """Forged headers count for nothing, with a proxy in front or without."""
    async with listening(proxies=proxies) as both, ClientSession() as http:
        headers = [("X-Forwarded-For", line) for line in forwarded]
        async with http.get(f"http://127.0.0.1:{both.public_port}/whoami", headers=headers) as answer:
            assert (await answer.json())["remote"] == client


async def test_behind_a_proxy_clients_are_counted_and_the_proxy_is_not() -> None:
    """One client cannot use up the places of the others, and a body still arrives."""
    limits = ListenerLimits(connections_per_address=1)
    async with listening(limits, proxies="127.0.0.1/32") as both, ClientSession() as http:
        url = f"http://127.0.0.1:{both.public_port}/whoami"
        async with connected(both.public_port) as (_, writer), http.get(url) as kept:
            assert kept.status == 200
            writer.write(b"POST /whoami HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nContent-Length: 9\r\n\r\n")
            while True:
                async with http.get(url, headers={"X-Forwarded-For": "9.9.9.9"}) as answer:
                    if answer.status == 503:
                        break
            async with http.post(url, headers={"X-Forwarded-For": "8.8.8.8"}, data=b"abc") as answer:
                assert await answer.json() == {"remote": "8.8.8.8", "read": 3}


def test_addresses_are_counted_by_who_has_them() -> None:
    """A host has a whole /64 of IPv6; an IPv4 address is one, however it is written."""
    assert counted("2001:db8::1") == counted("2001:db8::2:0:0:1") == "2001:db8::/64"
    assert counted("2001:db8:0:1::1") != counted("2001:db8::1")
    assert counted("::ffff:1.2.3.4") == counted("1.2.3.4") == "1.2.3.4"
    assert counted("") == ""
    assert Proxies(["10.0.0.0/8"]).client("10.1.1.1", ["1.2.3.4"]) == "1.2.3.4"


def test_the_gate_forgets_who_has_left() -> None:
    """Counting strangers takes no memory once they are gone."""
    gate = Gate(most=10, most_by_client=1)
    assert gate.admit_client("a")
    assert not gate.admit_client("a")
    gate.release_client("a")
    assert gate.admit_client("a")
    gate.release_client("a")
    assert gate._by_client == {}


async def test_a_port_in_use_is_one_plain_line() -> None:
    """The error names the key and what to do, and leaves nothing listening."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        both = listeners(port=port)
        with pytest.raises(ConfigError) as caught:
            await both.start()
    assert str(caught.value) == (
        f"server.port: another program listens on 127.0.0.1:{port} already. Stop it, or choose another port."
    )
    assert both.private_port == 0  # as configured: it listens no longer
    await both.stop()


async def test_a_host_that_is_not_ours_is_one_plain_line() -> None:
    """So is an address that this machine does not have."""
    both = listeners(host="192.0.2.1")
    with pytest.raises(ConfigError, match=r"server\.host: this machine cannot listen on 192\.0\.2\.1:0"):
        await both.start()


async def test_stopping_gives_running_requests_their_time() -> None:
    """What is under way is answered; what is idle is closed; nobody new gets in."""
    begun, released = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        begun.set()
        await released.wait()
        return web.Response(text="done")

    both = listeners(routes=[Route("GET", "/hold", hold)])
    await both.start()
    port = both.public_port
    async with connected(port) as (reader, writer), connected(port) as (idle, other):
        other.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.readuntil(b"}")
        writer.write(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(both.stop(5))
            assert await idle.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            released.set()
            assert (await reader.read()).endswith(b"done")
