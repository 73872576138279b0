"""The server keeps Twilio's rules, so that a test against it can fail."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.platforms.kit import Platform
from tests.platforms.twilio.driver import TwilioPlatform
from tests.platforms.twilio.ledger import ACCOUNT, NUMBER, PERSON, TOKEN, Media, Template
from tests.platforms.twilio.server import TwilioServer
from tests.platforms.twilio.webhooks import signature

LETTER = {"To": PERSON, "From": NUMBER, "Body": "Hello"}
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


@pytest.fixture
async def server() -> AsyncIterator[TwilioServer]:
    made = TwilioServer()
    await made.start()
    yield made
    await made.stop()


async def call(
    server: TwilioServer, form: Mapping[str, str] | None, path: str = MESSAGES, token: str = TOKEN
) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": "Basic " + base64.b64encode(f"{ACCOUNT}:{token}".encode()).decode()} if token else {}
    method = "GET" if form is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.api_url + path, data=form, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


def test_the_driver_is_a_platform() -> None:
    """mypy holds it to the protocol; this one is for its name."""
    platform: Platform = TwilioPlatform()
    assert platform.name == "whatsapp"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({}, 201, None),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"Body": "x" * 1600}, 201, None),
        ({"Body": ""}, 400, 21619),
        ({"To": "whatsapp:0151"}, 400, 21211),
        ({"From": "whatsapp:+14155559999"}, 400, 63007),
        ({"StatusCallback": "desk/status"}, 400, 21609),
        ({"ContentSid": "HX0"}, 400, 21655),
        ({"ContentSid": "HX1", "ContentVariables": "{"}, 400, 21656),
        ({"ContentSid": "HX1", "ContentVariables": '{"1": ""}'}, 400, 21656),
        ({"ContentSid": "HX1", "ContentVariables": '{"1": "Ann"}'}, 201, None),
    ],
)
async def test_it_answers_with_twilios_codes(
    server: TwilioServer, change: dict[str, str], status: int, code: int | None
) -> None:
    """Each with its HTTP status."""
    server.write(PERSON, "Hi", is_delivered=False)
    server.templates["HX1"] = Template("Hello {{1}}", sid="HX1")
    answered, body = await call(server, LETTER | change)
    assert (answered, body.get("code")) == (status, code)


async def test_it_notes_what_must_not_be_done(server: TwilioServer) -> None:
    """One violation each."""
    server.webhook = "https://desk.example.test/webhooks/whatsapp"
    await call(server, LETTER)
    server.write(PERSON, "Hi", is_delivered=False)
    await call(server, LETTER | {"Body": "x" * 1601})
    await call(server, LETTER, token="")
    await call(server, LETTER | {"StatusCallback": "https://evil.example.test/status"})
    record = server.write(PERSON, media=Media(b"x", "image/png"), is_delivered=False)
    async with aiohttp.ClientSession(headers={"Authorization": "Basic x"}) as session:
        await session.get(f"{server.media_url}/{record.media[0].sid}")
    found = [each.split(" ")[0] + " " + each.split(" ")[1] for each in server.violations]
    assert found == ["free text", "a body", f"POST {MESSAGES}", "a status", "credentials reached"]


async def test_a_webhook_is_signed_as_twilios_library_expects(server: TwilioServer) -> None:
    """Over the URL without the connection overrides, and repeated under the same token where they say so."""
    seen: list[tuple[bool, str]] = []

    async def hook(request: web.Request) -> web.Response:
        form = await request.post()
        given = request.headers["X-Twilio-Signature"]
        is_valid = RequestValidator(TOKEN).validate("https://desk.example.test/hook?a=1", form, given)
        seen.append((is_valid, request.headers["I-Twilio-Idempotency-Token"]))
        return web.Response(status=503 if len(seen) < 3 else 200)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.lead("https://desk.example.test", f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        server.webhook = "https://desk.example.test/hook?a=1#rc=5&rp=all"
        server.write(PERSON, "Hällo & =")
        await server.settle()
        assert [is_valid for is_valid, _ in seen] == [True, True, True]
        assert len({token for _, token in seen}) == 1
        seen.clear()
        server.webhook = "https://desk.example.test/hook?a=1"
        record = server.write(PERSON, "Lost")
        await server.settle()
        assert len(seen) == 1
        assert server.lost == [record.sid], "without overrides an answer of 503 is not repeated"
    finally:
        await runner.cleanup()


async def test_a_webhook_that_is_too_slow_is_a_violation(server: TwilioServer) -> None:
    """The deadline counts for all repeats together."""

    async def hook(request: web.Request) -> web.Response:
        await request.read()
        await stop.wait()
        return web.Response()

    stop = asyncio.Event()
    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        server.webhook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook#tt=150&rc=5&rp=all"
        server.write(PERSON, "Hello")
        await server.settle()
        assert server.violations
    finally:
        stop.set()
        await runner.cleanup()


def test_the_signature_is_the_one_of_twilios_documentation() -> None:
    """Its own example."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert signature("12345", url, form) == RequestValidator("12345").compute_signature(url, form)
