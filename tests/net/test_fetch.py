"""Whatever a URL says, only what may be read is read, and credentials go where they belong."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import FetchError
from bot.net.connector import is_public, may_be_public
from bot.net.fetch import IDLE_S, TOTAL_S, Fetcher, TooLarge
from bot.net.perimeter import Perimeter
from bot.ports import Clock
from tests.clock import ManualClock

PUBLIC, OTHER = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
MOST = 100_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeResolver(AbstractResolver):
    """Answers from a table; a name with several answers gives them one after the other, the last for ever."""

    def __init__(self, table: Mapping[str, list[list[str]]] | None = None) -> None:
        self.table = dict(table or {})
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.table.get(host.rstrip("."))
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Where a connection was tried; none succeeds."""
    tried: list[tuple[str, int]] = []

    class Watched(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            tried.append(address[:2])
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "socket", Watched)
    return tried


@asynccontextmanager
async def fetcher(
    *, allow: list[str] | None = None, clock: Clock | None = None, resolver: AbstractResolver | None = None
) -> AsyncIterator[Fetcher]:
    made = Fetcher(Perimeter(allow), clock or ManualClock(), MOST, resolver or FakeResolver())
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server on loopback that answers everything by `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def read(
    outward: Fetcher, url: str, *trusted: str, headers: Mapping[str, str] | None = None
) -> tuple[bytes, str]:
    async with outward.fetch(url, headers, trusted=trusted) as fetched:
        return b"".join([piece async for piece in fetched.data]), fetched.media_type


async def failure(outward: Fetcher, url: str, *trusted: str) -> FetchError:
    try:
        got = await read(outward, url, *trusted)
    except FetchError as error:
        return error
    raise AssertionError(f"it was read: {got}")


async def hello(_: web.Request) -> web.Response:
    return web.Response(body=b"hello", content_type="image/png")


def moved(where: str, status: int = 302) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/end":
            return await hello(request)
        return web.Response(status=status, headers={"Location": where})

    return answer


# --- where it may go ---------------------------------------------------------------------------------------------------

INNER_ADDRESSES = [
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.0.1", "169.254.169.254"),
    *("169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "255.255.255.254", "192.88.99.1", "233.252.0.1"),
]
INNER_ADDRESSES_6 = [
    *("::", "::1", "::2", "::127.0.0.1", "::a00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("::ffff:7f00:1", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1", "0:0:0:0:0:0:0:1", "0:0:0:0:0:ffff:7f00:1"),
    *("fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fdff::1", "ff02::1"),
    *("ff0e::1", "ff05::2", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1", "2002:a9fe:a9fe::", "2001:0:7f00:1::", "2001::1"),
    *(
        "2001:db8::1",
        "2001:10::1",
        "2001:2::1",
        "2001:1::1",
        "3fff::1",
        "100::1",
        "5f00::1",
        "4000::1",
        "fe80::1%25eth0",
        "fe80::1%25lo",
    ),
]
ODD_HOSTS = [
    *("2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "017700000001", "0177.1"),
    *("0x7F.0x0.0x0.0x1", "127.0.0.1.", "127.0.0.01", "00127.0.0.1", "127.0.0.0x1", "3232235521", "0xc0a80001"),
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe", "0", "0x", "00"),
    *(
        "1.1",
        "8.8.2056",
        "134744072",
        "256.1.1.1",
        "1.2.3.4.5",
        "１２７.０.０.１",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "127．0．0．1",
    ),
    *("169.254.169.254.", "169。254。169。254", "0xA9FEA9FE.", "10.1", "192.168.257", "172.1048577"),
]
INNER_NAMES = [
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "x.y.localhost", "metadata", "intranet", "db", "router"),
    *("metadata.google.internal", "metadata.internal", "vault.internal", "instance-data", "nas.local", "x.home.arpa"),
    *("kubernetes", "host.docker.internal", "gateway.docker.internal", "redis", "loopback", "ip6-localhost"),
]
TURNED_NAMES = {  # public names whose owners let them point inwards
    name: [addresses]
    for name, addresses in {
        "loop.example.com": ["127.0.0.1"],
        "meta.example.com": ["169.254.169.254"],
        "ten.example.com": ["10.0.0.5"],
        "cgnat.example.com": ["100.64.0.1"],
        "zero.example.com": ["0.0.0.0"],
        "six.example.com": ["::1"],
        "mapped.example.com": ["::ffff:127.0.0.1"],
        "unique.example.com": ["fd00::1"],
        "link.example.com": ["fe80::1%eth0"],
        "nat64.example.com": ["64:ff9b::7f00:1"],
        "old.example.com": ["2002:7f00:1::"],
        "both.example.com": [PUBLIC, "127.0.0.1"],
        "last.example.com": [PUBLIC, OTHER, "::1"],
        "127.0.0.1.nip.example": ["127.0.0.1"],
        "broad.example.com": ["255.255.255.255"],
        "many.example.com": ["224.0.0.1"],
    }.items()
}
NOT_WEB = [
    *(
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/plain,hi",
        "javascript:alert(1)",
    ),
    *("dict://example.com:11211/", "ldap://example.com", "ws://example.com", "//example.com/a", "/etc/passwd", ""),
    *(
        "example.com",
        "http://",
        "https:///a",
        "http:example.com",
        "http://user@example.com/",
        "http://a:b@example.com/",
    ),
    *("http://example.com@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://example.com\\.evil.example/"),
    *("http://example.com:0/", "http://example.com:99999/", "http://example.com:x/", "http://[::1/", "http://[]/"),
    *("http://%6c%6fcalhost@example.com", "http://[::ffff:127.0.0.1", " ", "http://:80/", "unix:/run/docker.sock"),
]
REFUSED = [
    *(f"http://{host}/latest/meta-data/" for host in INNER_ADDRESSES),
    *(f"http://[{host}]/" for host in INNER_ADDRESSES_6),
    *(f"http://{host}/" for host in ODD_HOSTS),
    *(f"https://{host}/x" for host in INNER_NAMES),
    *(f"http://{host}/" for host in TURNED_NAMES),
    *NOT_WEB,
    *(
        f"http://{host}:{port}/"
        for host in ("127.0.0.1", "[::1]", "localhost")
        for port in (22, 443, 6379, 8081, 9200, 11434)
    ),
]


def test_f88_the_table_is_long() -> None:
    assert len(REFUSED) == len(set(REFUSED)) >= 200


@pytest.mark.parametrize("url", REFUSED)
async def test_f88_nothing_inward_is_connected_to(url: str, connected: list[tuple[str, int]]) -> None:
    """However it is written, and whatever a name stands for."""
    async with fetcher(resolver=FakeResolver({**TURNED_NAMES, "localhost": [["127.0.0.1"]]})) as outward:
        error = await failure(outward, url)
    assert connected == []
    assert not error.is_retryable


@pytest.mark.parametrize("host", [*INNER_NAMES, *ODD_HOSTS])
async def test_f88_what_is_certainly_inward_is_not_even_looked_up(host: str) -> None:
    resolver = FakeResolver({name: [["93.184.215.14"]] for name in (*INNER_NAMES, *ODD_HOSTS)})
    async with fetcher(resolver=resolver) as outward:
        await failure(outward, f"http://{host}/")
    assert resolver.asked == []


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://93.184.215.14/a", ("93.184.215.14", 80)),
        ("https://93.184.215.14:8443/a", ("93.184.215.14", 8443)),
        ("http://8.8.8.8/", ("8.8.8.8", 80)),
        ("http://[2606:4700::1111]/", ("2606:4700::1111", 80)),
        ("http://[::ffff:8.8.8.8]/", ("::ffff:808:808", 80)),
        ("http://[64:ff9b::808:808]/", ("64:ff9b::808:808", 80)),
        ("http://[2002:808:808::1]/", ("2002:808:808::1", 80)),
        ("http://172.32.0.1/", ("172.32.0.1", 80)),
        ("http://100.128.0.1/", ("100.128.0.1", 80)),
        ("http://192.169.0.1/", ("192.169.0.1", 80)),
        ("http://files.example.com/a", (PUBLIC, 80)),
        ("https://files.example.com/a", (PUBLIC, 443)),
        ("http://FILES.example.com./a", (PUBLIC, 80)),
        ("http://six.example.org/a", (OTHER, 80)),
        ("http://bücher.example.com/a", (PUBLIC, 80)),
    ],
)
async def test_f88_public_addresses_are_connected_to(
    url: str, where: tuple[str, int], connected: list[tuple[str, int]]
) -> None:
    names = {"files.example.com": PUBLIC, "six.example.org": OTHER, "xn--bcher-kva.example.com": PUBLIC}
    async with fetcher(resolver=FakeResolver({name: [[address]] for name, address in names.items()})) as outward:
        error = await failure(outward, url)
    assert connected == [where]
    assert error.is_retryable


async def test_f89_the_address_that_was_checked_is_the_one_that_is_connected_to(
    connected: list[tuple[str, int]],
) -> None:
    """A name that turns inwards after the check gains nothing: what it stands for is asked once."""
    resolver = FakeResolver({"flip.example.com": [[PUBLIC], ["127.0.0.1"]]})
    async with fetcher(resolver=resolver) as outward:
        await failure(outward, "http://flip.example.com/")
        assert (resolver.asked, connected) == (["flip.example.com"], [(PUBLIC, 80)])
    async with fetcher(resolver=resolver) as outward:
        await failure(outward, "http://flip.example.com/")
    assert connected == [(PUBLIC, 80)]


async def test_f89_all_addresses_that_are_tried_were_checked(connected: list[tuple[str, int]]) -> None:
    resolver = FakeResolver({"two.example.com": [[PUBLIC, "8.8.8.8"]]})
    async with fetcher(resolver=resolver) as outward:
        await failure(outward, "http://two.example.com/")
    assert set(connected) == {("8.8.8.8", 80), (PUBLIC, 80)}


async def test_the_perimeter_counts_as_well(connected: list[tuple[str, int]]) -> None:
    resolver = FakeResolver({"a.example.com": [[PUBLIC]], "b.example.com": [[PUBLIC]]})
    async with fetcher(allow=["a.example.com:443"], resolver=resolver) as outward:
        for url in ("https://b.example.com/", "http://a.example.com/", "http://93.184.215.14/"):
            assert "[network] allow" in str(await failure(outward, url))
        assert (resolver.asked, connected) == ([], [])
        await failure(outward, "https://a.example.com/")
    assert connected == [(PUBLIC, 443)]


async def test_what_the_config_names_may_be_anywhere_within_the_perimeter(connected: list[tuple[str, int]]) -> None:
    async with fetcher(allow=["10.0.0.0/8"]) as outward:
        await failure(outward, "http://10.1.2.3:8080/file", "http://10.1.2.3:8080/api/")
        await failure(outward, "http://192.168.1.1/", "http://192.168.1.1/")
    assert connected == [("10.1.2.3", 8080)]


@pytest.mark.parametrize(
    "named",
    ["https://127.0.0.1:{port}", "http://127.0.0.2:{port}", "http://127.0.0.1:1", "http://localhost:{port}", "x"],
)
async def test_only_the_very_origin_is_trusted(named: str) -> None:
    async with serving(hello) as url, fetcher() as outward:
        port = url.rpartition(":")[2]
        assert await read(outward, f"{url}/a", f"{url}/api") == (b"hello", "image/png")
        assert not (await failure(outward, f"{url}/a", named.format(port=port))).is_retryable


async def test_a_trusted_connection_serves_nobody_else() -> None:
    """It stays open, and must not be a way inward for a caller who does not trust that origin."""
    async with serving(hello) as url, fetcher() as outward:
        await read(outward, f"{url}/a", url)
        assert not (await failure(outward, f"{url}/a")).is_retryable


async def test_proxies_of_the_environment_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(hello) as url, fetcher() as outward:
        assert (await read(outward, f"{url}/a", url))[0] == b"hello"


@given(st.ip_addresses(v=4))
def test_an_address_in_other_clothes_is_judged_as_itself(address: object) -> None:
    text = str(address)
    number = f"{int.from_bytes(bytes(map(int, text.split('.')))):08x}"
    clothed = [f"::ffff:{text}", f"64:ff9b::{number[:4]}:{number[4:]}", f"2002:{number[:4]}:{number[4:]}::1"]
    assert [is_public(each) for each in clothed] == [is_public(text)] * 3


@given(st.text(max_size=40))
def test_no_host_is_an_error(host: str) -> None:
    assert may_be_public(host) in (True, False)
    assert is_public(host) in (True, False)


# --- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int) -> None:
    async with serving(moved("/end", status)) as url, fetcher() as outward:
        assert (await read(outward, f"{url}/a", url))[0] == b"hello"


@pytest.mark.parametrize(("hops", "arrives"), [(3, True), (4, False)])
async def test_f90_at_most_three_redirects(hops: int, arrives: bool) -> None:
    async def count_down(request: web.Request) -> web.Response:
        left = int(request.path[1:])
        return web.Response(status=302, headers={"Location": f"/{left - 1}"}) if left else await hello(request)

    async with serving(count_down) as url, fetcher() as outward:
        if arrives:
            assert (await read(outward, f"{url}/{hops}", url))[0] == b"hello"
        else:
            assert "3 redirects" in str(await failure(outward, f"{url}/{hops}", url))


@pytest.mark.parametrize(
    "where",
    [
        *(
            "http://127.0.0.1:{other}/",
            "http://localhost:{other}/",
            "http://2130706433:{other}/",
            "//127.0.0.1:{other}/",
        ),
        *("http://169.254.169.254/latest/", "http://[::1]:{other}/", "file:///etc/passwd", "ftp://example.com/a"),
        *("http://user:pass@example.com/", "javascript:1", "http://loop.example.com:{other}/", "http://[", ""),
    ],
)
async def test_f90_a_redirect_leads_nowhere_that_a_url_may_not(where: str) -> None:
    asked: list[str] = []

    async def other(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"secret")

    async with serving(other) as inner:
        port = inner.rpartition(":")[2]
        async with (
            serving(moved(where.format(other=port))) as url,
            fetcher(resolver=FakeResolver(dict(TURNED_NAMES))) as outward,
        ):
            assert not (await failure(outward, f"{url}/a", url)).is_retryable
    assert asked == []


async def test_f90_credentials_stay_with_the_origin_they_are_for() -> None:
    """Also on the way back: a stranger must not choose what is asked in their name."""
    seen: list[tuple[str, str | None]] = []
    back = ""

    async def first(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        if request.path == "/back":
            return await hello(request)
        return web.Response(status=302, headers={"Location": "/again" if request.path == "/a" else f"{second_url}/b"})

    async def second(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Authorization")))
        return web.Response(status=302, headers={"Location": back})

    async with serving(first) as url, serving(second) as second_url, fetcher() as outward:
        back = f"{url}/back"
        headers = {"Authorization": "Bearer token"}
        assert (await read(outward, f"{url}/a", url, second_url, headers=headers))[0] == b"hello"
    assert seen == [("/a", "Bearer token"), ("/again", "Bearer token"), ("/b", None), ("/back", None)]


async def test_no_cookie_is_kept() -> None:
    seen: list[str] = []

    async def baker(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie", ""))
        response = web.Response(body=b"x")
        response.set_cookie("id", "1")
        return response

    async with serving(baker) as url, fetcher() as outward:
        for _ in range(2):
            await read(outward, url, url)
    assert seen == ["", ""]


# --- what is read ------------------------------------------------------------------------------------------------------


def giving(body: bytes, *, is_chunked: bool = False, headers: Mapping[str, str] | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        if not is_chunked:
            response.content_length = len(body)
        await response.prepare(request)
        for at in range(0, len(body), 10_000):
            await response.write(body[at : at + 10_000])
        await response.write_eof()
        return response

    return answer


@pytest.mark.parametrize("is_chunked", [True, False], ids=["of unknown size", "of known size"])
async def test_all_of_it_is_read_and_no_byte_too_many(is_chunked: bool) -> None:
    async with serving(giving(b"x" * MOST, is_chunked=is_chunked)) as url, fetcher() as outward:
        assert len((await read(outward, url, url))[0]) == MOST
    async with serving(giving(b"x" * (MOST + 1), is_chunked=is_chunked)) as url, fetcher() as outward:
        error = await failure(outward, url, url)
    assert isinstance(error, TooLarge)
    assert not error.is_retryable


async def test_the_server_says_what_and_how_much() -> None:
    async with (
        serving(giving(b"x" * 9, headers={"Content-Type": "Audio/OGG; codecs=opus"})) as url,
        fetcher() as outward,
        outward.fetch(f"{url}/v?token=1", trusted=(url,)) as fetched,
    ):
        assert (fetched.url, fetched.media_type, fetched.size_bytes) == (f"{url}/v?token=1", "audio/ogg", 9)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_f62_nothing_is_unpacked(encoding: str) -> None:
    """A small body that unpacks to a large one is refused, packed or not as it may be."""
    headers = {"Content-Encoding": encoding}
    async with serving(giving(b"\x1f\x8b bomb", headers=headers)) as url, fetcher() as outward:
        assert "packed" in str(await failure(outward, url, url))


async def test_plain_bytes_are_asked_for() -> None:
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers["Accept-Encoding"])
        return web.Response(body=b"x")

    async with serving(note) as url, fetcher() as outward:
        await read(outward, url, url)
    assert seen == ["identity"]


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [
        *((status, False) for status in (304, 400, 401, 403, 404, 410, 416)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503)),
    ],
)
async def test_a_refusal_says_whether_to_come_again(status: int, is_retryable: bool) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as url, fetcher() as outward:
        error = await failure(outward, f"{url}/files?token=secret", url)
    assert error.is_retryable is is_retryable
    assert str(status) in str(error)
    assert "secret" not in str(error)


async def test_f79_no_failure_repeats_the_path() -> None:
    """A link to a file is often the right to read it."""
    async with fetcher() as outward:
        for url in (
            "http://127.0.0.1:9/secret?x=secret",
            "http://10.0.0.1/secret",
            "http://a.b:99999/secret",
            "secret",
        ):
            assert "secret" not in str(await failure(outward, url))


async def test_a_body_that_breaks_off_is_worth_another_try() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"x" * 50)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(cut) as url, fetcher() as outward:
        assert (await failure(outward, url, url)).is_retryable


async def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with fetcher() as outward:
            assert (await failure(outward, url, url)).is_retryable
            assert (await failure(outward, "http://unknown.example.com/")).is_retryable


@pytest.mark.parametrize("has_begun", [True, False], ids=["in the middle", "at once"])
async def test_silence_ends_it(has_begun: bool) -> None:
    clock, end, reached = ManualClock(), asyncio.Event(), asyncio.Event()

    async def hush(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if has_begun:
            await response.prepare(request)
            await response.write(b"x")
        reached.set()
        await end.wait()
        return response

    async with serving(hush) as url, fetcher(clock=clock) as outward:
        began = clock.monotonic()
        task = asyncio.ensure_future(failure(outward, url, url))
        await reached.wait()
        while not task.done():
            await clock.advance(0.5)
            await asyncio.wait([task], timeout=0.01)
        end.set()
    assert task.result().is_retryable
    assert IDLE_S <= clock.monotonic() - began <= IDLE_S + 2


async def test_a_drip_does_not_hold_it_for_ever() -> None:
    """A byte comes in time, again and again, and still there is an end."""
    clock, end = ManualClock(), asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not end.is_set():
            await response.write(b"x")
            await asyncio.sleep(0.001)
        return response

    async with serving(drip) as url, fetcher(clock=clock) as outward:
        began = clock.monotonic()
        task = asyncio.ensure_future(failure(outward, url, url))
        while not task.done():
            await clock.advance(0.5)
            await asyncio.wait([task], timeout=0.01)
        end.set()
    assert "too long" in str(task.result())
    assert TOTAL_S <= clock.monotonic() - began <= TOTAL_S + 2


async def test_what_is_left_unread_is_let_go() -> None:
    """A caller who has seen enough leaves, and the server notices."""
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1000)
        except ConnectionError:
            left.set()
        return response

    async with serving(endless) as url, fetcher() as outward:
        async with outward.fetch(url, trusted=(url,)) as fetched:
            await anext(fetched.data)
        await asyncio.wait_for(left.wait(), 10)


async def test_an_sdk_gets_connections_within_the_perimeter() -> None:
    async with (
        serving(hello) as url,
        fetcher(allow=[]) as outward,
        aiohttp.ClientSession(connector=outward.connector()) as session,
    ):
        async with session.get(url) as response:
            assert await response.read() == b"hello"
        with pytest.raises(aiohttp.ClientError, match="outside"):
            await session.get("http://93.184.215.14/")
