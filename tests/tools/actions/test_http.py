"""An endpoint is asked for exactly what was agreed to, and its answer is taken for no more than it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import NotSent, Uncertain
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.tools.action import Declared, Effect, Parameter, Reply
from bot.tools.http import TEXT_CHARS, Auth, declared
from bot.tools.http_request import LookUp, filled
from tests.clock import ManualClock

TEXT, WHOLE, TEXTS = {"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}}
TOKEN = "sk-very-secret-token"


class Shop:
    """Answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.status = 200
        self.body: bytes = b"{}"
        self.headers: dict[str, str] = {"Content-Type": "application/json"}
        self.secrets = {"SHOP_TOKEN": TOKEN}
        self.url = ""
        self.fetcher = Fetcher(Perimeter(None), ManualClock(), 1_000)

    async def _serve(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shop"]:
        runner = web.AppRunner(_app(self._serve), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.fetcher.close()
            await runner.cleanup()

    def declare(self, method: str, path: str, *parameters: Parameter, **more: Any) -> Declared:
        look_up = more.pop("look_up", "")
        return declared(
            method=method,
            url=self.url + path,
            parameters=parameters,
            caller=self.fetcher,
            secret=lambda name: self.secrets.get(name, ""),
            look_up=LookUp(self.url + look_up) if look_up else None,
            **more,
        )

    async def call(self, method: str = "POST", *, is_read: bool = False, **arguments: Any) -> Reply:
        given = [Parameter(name, {}, is_required=False) for name in arguments]
        return await self.declare(method, "/a", *given, is_read=is_read).endpoint.call(arguments, "k1", 20)


def _app(handler: Callable[[web.Request], Any]) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return app


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop().open() as opened:
        yield opened


# --- what is sent ------------------------------------------------------------------------------------------------------


async def test_arguments_go_where_they_belong(shop: Shop) -> None:
    parameters = (Parameter("order", TEXT), Parameter("amount", WHOLE), Parameter("note", TEXT, is_required=False))
    made = shop.declare("POST", "/orders/{order}/refunds", *parameters, auth=Auth("SHOP_TOKEN"))
    reply = await made.endpoint.call({"order": "7/8", "amount": 500, "note": "é"}, "fd-1", 20)
    assert reply == Reply({})
    (method, path, headers, body), *others = shop.asked
    assert (method, path, others) == ("POST", "/orders/7%2F8/refunds", [])
    assert json.loads(body) == {"amount": 500, "note": "é"}
    assert headers["Content-Type"] == "application/json"
    assert (headers["Authorization"], headers["Idempotency-Key"]) == (f"Bearer {TOKEN}", "fd-1")
    assert (made.origin, made.effect) == (f"POST {shop.url}/orders/{{order}}/refunds", None)


async def test_a_form_and_a_query_carry_lists_as_repeated_names(shop: Shop) -> None:
    parameters = (Parameter("q", TEXT), Parameter("tag", TEXTS), Parameter("is_new", {"type": "boolean"}))
    arguments = {"q": "a&b=c +d", "tag": ["1", "ü"], "is_new": True}
    wanted = [("q", "a&b=c +d"), ("tag", "1"), ("tag", "ü"), ("is_new", "true")]
    await shop.declare("POST", "/a", *parameters, body="form").endpoint.call(arguments, "", 20)
    await shop.declare("GET", "/a?fixed=1", *parameters).endpoint.call(arguments, "", 20)
    await shop.declare("DELETE", "/a", *parameters).endpoint.call(arguments, "", 20)
    form, query, deletion = shop.asked
    assert parse_qsl(form[3].decode(), strict_parsing=True) == wanted
    assert form[2]["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(query[1].partition("?")[2], strict_parsing=True) == [("fixed", "1"), *wanted]
    assert parse_qsl(deletion[1].partition("?")[2], strict_parsing=True) == wanted
    assert (query[3], deletion[3]) == (b"", b"")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
async def test_f38_no_argument_changes_the_address(shop: Shop, order: str, note: str) -> None:
    """What arrives is one segment and one value, whatever stands in them; or nothing is sent."""
    shop.asked.clear()
    endpoint = shop.declare("GET", "/orders/{order}/lines", Parameter("order", TEXT), Parameter("note", TEXT)).endpoint
    try:
        await endpoint.call({"order": order, "note": note}, "", 20)
    except NotSent:
        assert shop.asked == []
        return
    path, _, query = shop.asked[0][1].partition("?")
    start, orders, segment, lines = path.split("/")
    assert (start, orders, unquote(segment), lines) == ("", "orders", order, "lines")
    assert parse_qsl(query, keep_blank_values=True, strict_parsing=True) == [("note", note)]


@pytest.mark.parametrize(
    "value",
    [
        *("", ".", "..", "../x", "a/../b", "..\\x", "a/..", "./a", "%2e%2e", "%2E.", "..%2fx", "a\0", "a\nb", "\x7f"),
        *([1], {"a": 1}, None),
    ],
)
async def test_f38_a_value_that_would_be_a_step_is_not_sent(shop: Shop, value: Any) -> None:
    endpoint = shop.declare("POST", "/orders/{order}", Parameter("order", TEXT)).endpoint
    with pytest.raises(NotSent) as caught:
        await endpoint.call({"order": value}, "", 20)
    assert (caught.value.is_retryable, shop.asked) == (False, [])


def test_a_segment_made_of_two_is_no_step_either() -> None:
    with pytest.raises(ValueError, match="path"):
        filled("http://a/x/.{a}", {"a": "."})
    assert filled("http://a/v1.0/{a}.json", {"a": "x y"}) == "http://a/v1.0/x%20y.json"


async def test_a_new_secret_holds_at_once_and_a_missing_one_is_told(shop: Shop) -> None:
    endpoint = shop.declare("GET", "/a", auth=Auth("SHOP_TOKEN", "X-Key", "")).endpoint
    await endpoint.call({}, "", 20)
    shop.secrets["SHOP_TOKEN"] = "other"
    await endpoint.call({}, "", 20)
    assert [each[2]["X-Key"] for each in shop.asked] == [TOKEN, "other"]
    for value in ("", "a\r\nX-Evil: 1", "ключ"):
        shop.secrets["SHOP_TOKEN"] = value
        with pytest.raises(NotSent, match="SHOP_TOKEN") as caught:
            await endpoint.call({}, "", 20)
        assert not caught.value.is_retryable
        assert not value or value not in str(caught.value)
    assert len(shop.asked) == 2


@pytest.mark.parametrize("status", [200, 422])
async def test_f79_an_answer_that_repeats_the_secret_does_not_tell_it(shop: Shop, status: int) -> None:
    shop.status, shop.body = status, json.dumps({"sent": f"Bearer {TOKEN}"}).encode()
    reply = await shop.declare("POST", "/a", auth=Auth("SHOP_TOKEN")).endpoint.call({}, "", 20)
    assert reply.data == {"sent": "Bearer ***"}


async def test_a_read_sends_no_key(shop: Shop) -> None:
    await shop.declare("GET", "/a", is_read=True).endpoint.call({}, "", 20)
    assert "Idempotency-Key" not in shop.asked[0][2]


# --- what cannot be declared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url", "parameters", "more"),
    [
        ("GET", "http://a/{order}", [], {}),
        ("GET", "http://a/{order}", [Parameter("order", TEXT, is_required=False)], {}),
        ("GET", "http://a/{order}", [Parameter("order", TEXTS)], {}),
        ("GET", "http://{order}/", [Parameter("order", TEXT)], {}),
        ("GET", "http://a/", [Parameter("order", {"type": "object"})], {}),
        ("GET", "http://a/", [Parameter("order", {"type": "array", "items": {"type": "object"}})], {}),
        ("POST", "http://a/", [Parameter("order", {"type": "object"})], {"body": "form"}),
        ("POST", "http://a/", [], {"look_up": LookUp("http://a/{order}")}),
        ("POST", "http://a/", [], {"look_up": LookUp("http://{key}/")}),
    ],
)
def test_what_no_request_can_carry_is_told_before_it_is_used(
    method: str, url: str, parameters: list[Parameter], more: dict[str, Any]
) -> None:
    fetcher = Fetcher(Perimeter(None), ManualClock(), 1)
    with pytest.raises(ValueError, match=r"\. [A-Z]"):
        declared(method=method, url=url, parameters=parameters, caller=fetcher, secret=str, **more)


def test_get_and_head_are_taken_for_reads_and_nothing_else_is() -> None:
    fetcher = Fetcher(Perimeter(None), ManualClock(), 1)
    for method, effect in {"GET": Effect.READ, "HEAD": Effect.READ, "POST": None, "PUT": None, "DELETE": None}.items():
        assert declared(method=method, url="http://a/", parameters=[], caller=fetcher, secret=str).effect is effect


# --- what an answer means ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 451])
async def test_a_refusal_certainly_did_nothing(shop: Shop, status: int) -> None:
    shop.status, shop.body = status, b'{"error": "no"}'
    assert await shop.call() == Reply({"error": "no"}, is_refused=True)


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 503, 504, 520])
async def test_f07_a_status_that_says_nothing_leaves_an_effect_open(shop: Shop, status: int) -> None:
    shop.status = status
    with pytest.raises(Uncertain):
        await shop.call()
    with pytest.raises(NotSent) as caught:
        await shop.call("GET", is_read=True)
    assert caught.value.is_retryable


async def test_turned_away_for_now_may_be_tried_again(shop: Shop) -> None:
    shop.status = 429
    for is_read in (False, True):
        with pytest.raises(NotSent) as caught:
            await shop.call(is_read=is_read)
        assert caught.value.is_retryable


@pytest.mark.parametrize(
    ("status", "error"), [(301, NotSent), (307, NotSent), (308, NotSent), (302, Uncertain), (303, Uncertain)]
)
async def test_f90_an_effect_is_not_sent_on(shop: Shop, status: int, error: type[Exception]) -> None:
    """Nor is it taken for refused where that is how an accepted form is answered."""
    shop.status, shop.headers = status, {"Location": "/there"}
    with pytest.raises(error):
        await shop.call()
    assert [each[1] for each in shop.asked] == ["/a"]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"id": 1, "x": [1.5, null]}', {"id": 1, "x": [1.5, None]}),
        (b"[]", []),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"text"', "text"),
        (b"OK", "OK"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": NaN, "b": 1e999}', {"a": None, "b": None}),
        (b'{"a": "x\\ud800y\\u0000"}', {"a": "x\ufffdy"}),
    ],
)
async def test_an_answer_is_taken_as_it_is_where_it_can_be_stored(shop: Shop, body: bytes, data: Any) -> None:
    shop.body = body
    for is_read in (False, True):
        assert await shop.call(is_read=is_read) == Reply(data)
    json.dumps(data, allow_nan=False, ensure_ascii=False).encode()


async def test_an_answer_without_a_word_says_that_it_was_done(shop: Shop) -> None:
    shop.status, shop.body = 204, b""
    assert await shop.call() == Reply("It was done.")
    assert await shop.call("GET", is_read=True) == Reply(None)


@pytest.mark.parametrize(
    "body", [b'{"a": ', b"[1,]", b"{'a': 1}", b'{"a": ' + b"[" * 5_000, b'{"a":' + b"9" * 5_000 + b"}"]
)
async def test_f07_a_broken_answer_leaves_it_open(shop: Shop, body: bytes) -> None:
    """And none of it is shown: what is kept of an answer is chosen by its fields."""
    shop.body = body
    with pytest.raises(Uncertain):
        await shop.call()
    with pytest.raises(NotSent) as caught:
        await shop.call("GET", is_read=True)
    assert caught.value.is_retryable


async def test_long_answers_are_cut_where_that_is_harmless(shop: Shop) -> None:
    shop.body, shop.headers = b"x" * 2_000_000, {"Content-Type": "text/plain"}
    assert await shop.call() == Reply("x" * TEXT_CHARS)
    shop.body = json.dumps(["x" * 2_000_000]).encode()
    assert "too long" in (await shop.call()).data
    with pytest.raises(NotSent, match="longer") as caught:
        await shop.call("GET", is_read=True)
    assert not caught.value.is_retryable
    shop.status, shop.body = 422, b"no" * 50_000
    assert len((await shop.call()).data) == 2_000


async def test_a_refusal_without_a_word_gives_its_status(shop: Shop) -> None:
    shop.status, shop.body = 404, b""
    assert await shop.call() == Reply("answered 404", is_refused=True)


async def test_how_it_ended_is_told_within_the_time(shop: Shop) -> None:
    """Before the caller's own patience ends, which would know less."""
    clock, reached = ManualClock(), asyncio.Event()

    class Slow:
        async def call(self, method: str, url: str, *, within_s: float, **_: Any) -> Any:
            reached.set()
            async with clock.timeout(within_s):
                await asyncio.get_running_loop().create_future()

    made = declared(method="POST", url="http://a/", parameters=[], caller=Slow(), secret=str)
    task = asyncio.ensure_future(made.endpoint.call({}, "", 10.0))
    await reached.wait()
    await clock.advance(9.9)
    assert task.done()
    assert isinstance(task.exception(), TimeoutError)


# --- looking up --------------------------------------------------------------------------------------------------------


async def found(shop: Shop, status: int, body: bytes) -> Reply | None:
    shop.status, shop.body = status, body
    made = shop.declare("POST", "/orders/{order}/refunds", Parameter("order", TEXT), look_up="/o/{order}/r?key={key}")
    return await made.endpoint.look_up({"order": "7/8"}, "fd-1&x", 20)


async def test_a_look_up_asks_for_the_key(shop: Shop) -> None:
    assert await found(shop, 200, b'{"id": 1}') == Reply({"id": 1})
    assert shop.asked[0][:2] == ("GET", "/o/7%2F8/r?key=fd-1%26x")


@pytest.mark.parametrize(("status", "body"), [(404, b""), (404, b'{"error": "none"}'), (200, b"[]"), (200, b" [ ] ")])
async def test_what_was_never_done_can_be_told(shop: Shop, status: int, body: bytes) -> None:
    assert await found(shop, status, body) is None


@pytest.mark.parametrize("body", [b'[{"id": 1}]', b'{"id": 1, "lines": [], "key": "fd-1&x"}'])
async def test_what_was_done_can_be_told(shop: Shop, body: bytes) -> None:
    assert await found(shop, 200, body) == Reply(json.loads(body))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, b'{"id": 1}') for status in (201, 204, 304, 400, 401, 403, 410, 429, 500, 502, 503)),
        *((200, body) for body in (b"", b"null", b"{}", b"OK", b"<html>", b'{"a": ', b"0", b'{"data": []}')),
    ],
)
async def test_f07_anything_else_leaves_it_open(shop: Shop, status: int, body: bytes) -> None:
    """Also a list that is empty inside an object: it was not found, or found with nothing in it."""
    with pytest.raises(Uncertain):
        await found(shop, status, body)


async def test_f07_a_look_up_that_fails_leaves_it_open(shop: Shop) -> None:
    shop.secrets.clear()
    made = shop.declare("POST", "/a", auth=Auth("SHOP_TOKEN"), look_up="/b/{key}")
    with pytest.raises(Uncertain):
        await made.endpoint.look_up({}, "k", 20)
    with pytest.raises(Uncertain):
        await shop.declare("POST", "/a").endpoint.look_up({}, "k", 20)
    assert shop.asked == []
