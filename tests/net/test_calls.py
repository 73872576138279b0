"""A call is sent once, to where it may go, and its failure tells whether it may have arrived."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.errors import ActionError, NotSent, Uncertain
from bot.net.calls import Answered
from bot.net.fetch import Fetcher
from tests.clock import ManualClock
from tests.net.test_fetch import TURNED_NAMES, FakeResolver, fetcher, serving

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def call(outward: Fetcher, method: str, url: str, *, is_trusted: bool = True, **more: Any) -> Answered:
    given: dict[str, Any] = {"headers": {}, "most_bytes": 1_000, "within_s": 20.0}
    given["trusted"] = ["/".join(url.split("/")[:3])] if is_trusted else []
    return await outward.call(method, url, **{**given, **more})


async def failure(outward: Fetcher, method: str, url: str, **more: Any) -> ActionError:
    with pytest.raises(ActionError) as caught:
        await call(outward, method, url, **more)
    return caught.value


class Wire:
    """A server that reads each request to its end, notes it, and writes exactly the bytes that it is told, then hangs up."""

    def __init__(self, *answers: bytes, is_kept: bool = False, is_reset: bool = False) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.is_kept = is_kept
        self.is_reset = is_reset
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await _request(reader))
                if not self.answers:
                    break
                writer.write(self.answers.pop(0))
                await writer.drain()
                if not self.is_kept:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if self.is_reset:
                writer.transport.abort()
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(size)


def ok(body: bytes = b"{}", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


# --- what certainly did not arrive -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_where_nothing_listens_nothing_has_happened(method: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with fetcher() as outward:
            error = await failure(outward, method, f"http://127.0.0.1:{free.getsockname()[1]}/", body=b"x")
    assert isinstance(error, NotSent)
    assert error.is_retryable


async def test_an_unknown_name_is_worth_another_try() -> None:
    async with fetcher() as outward:
        error = await failure(outward, "POST", "http://unknown.example.com/")
    assert isinstance(error, NotSent)
    assert error.is_retryable


async def test_a_server_that_speaks_no_tls_is_sent_nothing() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(note) as url, fetcher() as outward:
        error = await failure(outward, "POST", url.replace("http:", "https:"), body=b"secret")
    assert isinstance(error, NotSent)
    assert asked == []


@pytest.mark.parametrize("host", ["127.0.0.1:1", "169.254.169.254", "localhost", *sorted(TURNED_NAMES)])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_f88_a_call_goes_nowhere_inward_that_nobody_named(
    host: str, method: str, connected: list[tuple[str, int]]
) -> None:
    async with fetcher(resolver=FakeResolver(TURNED_NAMES)) as outward:
        error = await failure(outward, method, f"http://{host}/", is_trusted=False)
    assert isinstance(error, NotSent)
    assert (error.is_retryable, connected) == (False, [])


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    tried: list[tuple[str, int]] = []

    class Watched(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            tried.append(address[:2])
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "socket", Watched)
    return tried


async def test_f91_the_perimeter_holds_for_what_the_config_names() -> None:
    async with fetcher(allow=["shop.example.com"]) as outward:
        error = await failure(outward, "POST", "http://10.0.0.1/")
    assert isinstance(error, NotSent)
    assert (error.is_retryable, "[network] allow" in str(error)) == (False, True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "/orders", "http://"])
async def test_what_is_no_web_address_is_not_called(url: str) -> None:
    async with fetcher() as outward:
        error = await failure(outward, "POST", url)
    assert isinstance(error, NotSent)
    assert "secret" not in str(error)


@pytest.mark.parametrize("headers", [{"A": "b\r\nX-Injected: 1"}, {"A\r\nB": "c"}, {"A": "b\0"}, {"Ä": "b"}])
async def test_no_header_becomes_another(headers: dict[str, str]) -> None:
    async with Wire(ok()).open() as wire, fetcher() as outward:
        error = await failure(outward, "POST", wire.url, headers=headers)
    assert isinstance(error, NotSent)
    assert (error.is_retryable, wire.requests) == (False, [])


@pytest.mark.parametrize("head", [b"429 Too Many Requests\r\n", b"503 Service Unavailable\r\nRetry-After: 1\r\n"])
async def test_turned_away_for_now_is_not_sent(head: bytes) -> None:
    answer = b"HTTP/1.1 " + head + b"Content-Length: 0\r\n\r\n"
    async with Wire(answer).open() as wire, fetcher() as outward:
        error = await failure(outward, "POST", wire.url)
    assert isinstance(error, NotSent)
    assert error.is_retryable


async def test_unavailable_without_a_time_is_an_answer() -> None:
    """It may come from a proxy that has lost the one who was at work."""
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with Wire(answer).open() as wire, fetcher() as outward:
        assert (await call(outward, "POST", wire.url)).status == 503


async def test_a_connection_that_is_never_made_carries_nothing() -> None:
    """The time runs out before anything could leave."""
    clock, reached = ManualClock(), asyncio.Event()

    class Silent(FakeResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            reached.set()
            await asyncio.get_running_loop().create_future()

    async with fetcher(clock=clock, resolver=Silent()) as outward:
        task = asyncio.ensure_future(failure(outward, "POST", "http://slow.example.com/", within_s=5.0))
        await reached.wait()
        await clock.advance(5.1)
        error = await task
    assert isinstance(error, NotSent)


# --- what may have arrived ---------------------------------------------------------------------------------------------

BROKEN = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "packed": ok(b"\x1f\x8b", b"Content-Encoding: gzip\r\n"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_reset", [False, True])
async def test_f07_after_it_may_have_arrived_nobody_knows(method: str, answer: bytes, is_reset: bool) -> None:
    """And it was sent once, whatever the method."""
    async with Wire(answer, ok(), is_reset=is_reset).open() as wire, fetcher() as outward:
        error = await failure(outward, method, wire.url, body=b"x" if method != "GET" else b"")
    assert isinstance(error, Uncertain)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_have_an_effect_goes_over_a_connection_of_its_own(method: str) -> None:
    """A kept one may be closed by the time it is used; aiohttp would repeat these methods by itself."""
    async with Wire(ok(), ok(), ok(), is_kept=True).open() as wire, fetcher() as outward:
        for _ in range(3):
            await call(outward, method, wire.url)
    assert (wire.connections, len(wire.requests)) == (3, 3)


async def test_reads_share_a_connection() -> None:
    async with Wire(ok(), ok(), ok(), is_kept=True).open() as wire, fetcher() as outward:
        for _ in range(3):
            await call(outward, "GET", wire.url, is_read=True)
    assert (wire.connections, len(wire.requests)) == (1, 3)


async def test_a_read_survives_a_connection_that_was_closed_meanwhile() -> None:
    async with Wire(ok(), is_kept=True).open() as wire, fetcher() as outward:
        await call(outward, "GET", wire.url, is_read=True)
        wire.answers = []
        error = await failure(outward, "GET", wire.url, is_read=True)
        assert isinstance(error, Uncertain)
        assert len(wire.requests) == 3  # on the old connection, and once more on a new one


@pytest.mark.parametrize("has_begun", [False, True])
async def test_f07_silence_after_it_was_sent_is_uncertain(has_begun: bool) -> None:
    clock, end, reached = ManualClock(), asyncio.Event(), asyncio.Event()

    async def hush(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if has_begun:
            await response.prepare(request)
            await response.write(b"{")
        reached.set()
        await end.wait()
        return response

    async with serving(hush) as url, fetcher(clock=clock) as outward:
        task = asyncio.ensure_future(failure(outward, "POST", url, within_s=7.0))
        await reached.wait()
        await clock.advance(6.9)
        assert not task.done()
        await clock.advance(0.2)
        error = await task
        end.set()
    assert isinstance(error, Uncertain)


# --- answers -----------------------------------------------------------------------------------------------------------


async def test_what_is_sent_is_what_was_given() -> None:
    seen: list[tuple[str, str, bytes, str]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, await request.read(), request.headers.get("Content-Type", "")))
        return web.json_response({"a": 1}, status=201)

    async with serving(note) as url, fetcher() as outward:
        got = await call(outward, "POST", f"{url}/a%2Fb?c=d%26e", body=b"{}", content_type="application/json")
    assert seen == [("POST", "/a%2Fb?c=d%26e", b"{}", "application/json")]
    assert got == Answered(201, "application/json", b'{"a": 1}')


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 502])
async def test_every_whole_answer_is_one(status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nno" % status
    async with Wire(answer).open() as wire, fetcher() as outward:
        got = await call(outward, "POST", wire.url)
    assert (got.status, got.data) == (status, b"no")


async def test_a_refusal_stays_one_though_its_text_breaks_off() -> None:
    async with Wire(b"HTTP/1.1 422 X\r\nContent-Length: 9\r\n\r\nno").open() as wire, fetcher() as outward:
        assert (await call(outward, "POST", wire.url)).status == 422


@pytest.mark.parametrize(("size", "is_cut"), [(1_000, False), (1_001, True), (300_000, True)])
async def test_no_more_is_kept_than_may_be(size: int, is_cut: bool) -> None:
    async with Wire(ok(b"x" * size)).open() as wire, fetcher() as outward:
        got = await call(outward, "POST", wire.url)
    assert (len(got.data), got.is_cut) == (min(size, 1_000), is_cut)


# --- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_f90_a_call_with_a_body_is_never_sent_on(status: int) -> None:
    asked: list[str] = []

    async def moved(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/there"})

    async with serving(moved) as url, fetcher() as outward:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert (await call(outward, method, f"{url}/a")).status == status
    assert asked == ["/a"] * 4


@pytest.mark.parametrize(("hops", "arrives"), [(3, True), (4, False)])
async def test_f90_a_get_follows_three_times(hops: int, arrives: bool) -> None:
    async def count_down(request: web.Request) -> web.Response:
        left = int(request.path[1:])
        return web.Response(status=302 if left else 200, headers={"Location": f"/{left - 1}"})

    async with serving(count_down) as url, fetcher() as outward:
        if arrives:
            assert (await call(outward, "GET", f"{url}/{hops}")).status == 200
        else:
            assert "3 redirects" in str(await failure(outward, "GET", f"{url}/{hops}"))


async def test_f90_the_secret_stays_with_its_host() -> None:
    seen: list[tuple[str, str | None]] = []

    async def second(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        return web.Response()

    async with serving(second) as other:

        async def first(request: web.Request) -> web.Response:
            seen.append((request.path, request.headers.get("Authorization")))
            return web.Response(status=302, headers={"Location": "/again" if request.path == "/a" else f"{other}/b"})

        async with serving(first) as url, fetcher() as outward:
            headers = {"Authorization": "Bearer token"}
            await call(outward, "GET", f"{url}/a", headers=headers, trusted=[url, other])
    assert seen == [("/a", "Bearer token"), ("/again", "Bearer token"), ("/b", None)]


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:1/", "http://169.254.169.254/", "ftp://a.example/", "http://[", ""]
)
async def test_f90_behind_a_redirect_nothing_is_certain(where: str) -> None:
    """The first host has been asked, and may have done something."""

    async def moved(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    async with serving(moved) as url, fetcher() as outward:
        assert isinstance(await failure(outward, "GET", url), Uncertain)


async def test_f90_turned_away_behind_a_redirect_is_uncertain() -> None:
    async def moved(request: web.Request) -> web.Response:
        status = 302 if request.path == "/" else 429
        return web.Response(status=status, headers={"Location": "/busy"})

    async with serving(moved) as url, fetcher() as outward:
        assert isinstance(await failure(outward, "GET", url), Uncertain)
