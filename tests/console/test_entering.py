"""Who gets in, and what a request of a page has to show."""

import pyotp
import pytest

from bot.console.admission import COOKIE
from bot.console.room import Settings
from bot.handoff.hours import ALWAYS
from tests.console.desk import Desk
from tests.operators.house import BY, PASSWORD, WRONG

READS = ("me", "inbox", "conversations/x", "conversations/x/entries", "turns/last", "passages/x", "files/m/b")
CHANGES = ("command", "presence", "upload", "sign-out")


async def test_one_who_is_invited_sets_a_password_and_a_device_and_signs_in(desk: Desk) -> None:
    await desk.house.add("ann")
    code = await desk.house.operators.invite_code("ann", by=BY)
    page = desk.page()
    status, given = await page.post("accept-invite", {"code": code, "password": PASSWORD})
    assert status == 200
    device = pyotp.parse_uri(given["otpauth"])
    assert isinstance(device, pyotp.TOTP)
    assert device.secret == given["secret"]
    at = desk.clock.now_ms() // 1000
    assert (await page.post("confirm", {"code": code, "totp": device.at(at)}))[1] == {"ok": True, "name": "ann"}
    await desk.clock.advance(31)
    asked = {"name": " Ann ", "password": PASSWORD, "code": device.at(desk.clock.now_ms() // 1000)}
    status, given = await page.post("sign-in", asked)
    assert (status, given["operator"]["name"], given["operator"]["role"]) == (200, "ann", "agent")
    assert "reply" in given["operator"]["rights"]
    assert "see_audit" not in given["operator"]["rights"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/console", f"{COOKIE}="):
        assert part in page.cookie
    assert "Secure" not in page.cookie


async def test_behind_https_the_cookie_never_leaves_it(desk: Desk) -> None:
    desk.settings = Settings(ALWAYS, public_url="https://desk.example")
    await desk.house.enrol("ann")
    page = desk.page()
    page.origin = "https://desk.example"
    await desk.clock.advance(31)
    status, _ = await page.post("sign-in", {"name": "ann", "password": PASSWORD, "code": desk.house.code("ann")})
    assert status == 200
    assert "Secure" in page.cookie


async def test_wrong_in_any_part_is_refused_in_a_sentence_and_sets_no_cookie(desk: Desk) -> None:
    await desk.house.enrol("ann")
    page = desk.page()
    for body in (
        {"name": "ann", "password": WRONG, "code": desk.house.code("ann")},
        {"name": "x", "password": "", "code": ""},
    ):
        status, told = await page.post("sign-in", body)
        assert (status, told["code"], page.cookie) == (401, "not_signed_in", "")
    for bad in (b"", b"[]", b"{", b'{"name": 1}', b"[" * 60_000):
        assert (await page.post("sign-in", bad))[0] == 400
    assert (await page.post("sign-in", b"x" * 70_000))[0] == 413


async def test_signing_out_ends_the_session_and_its_sockets_at_once(desk: Desk) -> None:
    page, other = await desk.signed_in("ann"), await desk.signed_in("ben")
    assert await page.connect() == 101
    assert await other.connect() == 101
    assert (await page.post("sign-out"))[0] == 200
    await page.until(lambda: page.close_code == 4401)
    assert (await page.get("me"))[0] == 401
    assert other.close_code is None


@pytest.mark.parametrize("path", READS)
async def test_nothing_is_read_without_a_session(desk: Desk, path: str) -> None:
    page = desk.page()
    for token in ("", "x" * 43, "\u00e9"):
        page.token = token
        status, told = await page.get(path)
        assert (status, told["code"]) == (401, "signed_out")


@pytest.mark.parametrize("path", CHANGES)
async def test_f81_nothing_is_changed_from_another_page_or_without_its_token(desk: Desk, path: str) -> None:
    page = await desk.signed_in()
    csrf, origin = page.csrf, page.origin
    for page.csrf, page.origin in (
        ("", origin),
        ("x" * 43, origin),
        (csrf, ""),
        (csrf, "null"),
        (csrf, "http://evil.example"),
        (csrf, f"{origin}.evil.example"),
        (csrf, "http://127.0.0.1:1"),
        (csrf, f"http://a@{origin.removeprefix('http://')}"),
    ):
        status, told = await page.post(path, {"conversation": "c", "line": "!take", "key": "k", "presence": "online"})
        assert (status, told["code"]) in ((403, "bad_origin"), (403, "bad_token"))
    assert desk.works.acts == []
    page.csrf, page.origin = csrf, origin
    assert (await page.get("me"))[0] == 200


@pytest.mark.parametrize("path", ["sign-in", "accept-invite", "confirm"])
async def test_f81_no_other_page_signs_anybody_in(desk: Desk, path: str) -> None:
    page = desk.page()
    page.origin = "http://evil.example"
    status, told = await page.post(path, {"name": "ann", "password": "x", "code": "1", "totp": "1"})
    assert (status, told["code"]) == (403, "bad_origin")


async def test_f80_no_other_page_opens_the_socket_and_nobody_without_a_session(desk: Desk) -> None:
    page = await desk.signed_in()
    origin, token = page.origin, page.token
    for page.origin, page.token in (("http://evil.example", token), ("", token)):
        assert await page.connect() == 403
    page.origin, page.token = origin, ""
    assert await page.connect() == 401


async def test_f86_rights_come_from_the_server_and_hold_from_the_next_request_on(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    asked = {"conversation": zoe, "line": "!reply hi", "key": "1", "role": "admin", "operator": {"role": "admin"}}
    assert (await page.post("command", asked))[0] == 200
    await desk.house.operators.set_role("ann", "viewer", by=BY)
    assert (await page.post("command", {**asked, "key": "2"}))[0] == 401
    again = await desk.signed_in()
    status, told = await again.post("command", {**asked, "key": "3"})
    assert (status, told["code"]) == (403, "not_allowed")
    assert len(desk.works.acts) == 1


async def test_pages_keep_to_their_policy_and_no_request_makes_a_path(desk: Desk) -> None:
    page = desk.page()
    status, answer, _ = await page.raw("/console")
    assert status == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    for path in (
        "/console/static/../console.py",
        "/console/static/%2e%2e/hub.py",
        "/console/static/..%2fhub.py",
        "/console/static/",
    ):
        assert (await page.raw(path))[0] == 404
    page = await desk.signed_in()
    _, answer, _ = await page.raw("/console/api/me")
    assert answer.headers["Cache-Control"] == "no-store"
