"""Every route of the console against every role: who may not is refused, and a route that nobody has judged fails the test."""

import re
from typing import Final

import pytest

from bot.operators.roles import Role
from bot.ports import Route
from tests.console.desk import Desk, Page

EVERYBODY: Final = frozenset(Role)
WORKERS: Final = frozenset({Role.AGENT, Role.APPROVER, Role.ADMIN})
ADMIN: Final = frozenset({Role.ADMIN})
OPEN: Final = {  # without a session: the page itself, and the way in
    "GET /console",
    "GET /console/",
    "GET /console/static/{name:.+}",
    "POST /console/api/sign-in",
    "POST /console/api/accept-invite",
    "POST /console/api/confirm",
}
WHO: Final = {
    "GET /console/ws": EVERYBODY,
    "POST /console/api/sign-out": EVERYBODY,
    "GET /console/api/me": EVERYBODY,
    "GET /console/api/inbox": EVERYBODY,
    "GET /console/api/conversations/{id}": EVERYBODY,
    "GET /console/api/conversations/{id}/entries": EVERYBODY,
    "GET /console/api/turns/{id}": EVERYBODY,
    "GET /console/api/passages/{id:.+}": EVERYBODY,
    "GET /console/api/files/{message}/{blob}": EVERYBODY,
    "POST /console/api/command": WORKERS,
    "POST /console/api/presence": EVERYBODY,
    "POST /console/api/upload": WORKERS,
    "POST /console/api/prove": EVERYBODY,
    "POST /console/api/facts/forget": WORKERS,
    "GET /console/api/users/{id}": ADMIN,
    "GET /console/api/users/{id}/export": ADMIN,
    "POST /console/api/users/{id}/erase": ADMIN,
    "GET /console/api/knowledge": EVERYBODY,
    "GET /console/api/knowledge/why": EVERYBODY,
    "GET /console/api/knowledge/files/{name}": ADMIN,
    "POST /console/api/knowledge/upload": ADMIN,
    "POST /console/api/knowledge/delete": ADMIN,
    "GET /console/api/gaps": EVERYBODY,
    "GET /console/api/gaps/{id}": EVERYBODY,
    "POST /console/api/gaps/draft": ADMIN,
    "POST /console/api/gaps/accept": ADMIN,
    "POST /console/api/gaps/close": ADMIN,
    "POST /console/api/gaps/recalled": WORKERS,
}
ASKED: Final = {
    "conversation": "c",
    "line": "!take",
    "key": "k",
    "presence": "online",
    "fact": "f",
    "reason": "r",
    "typed": "t",
    "name": "n.md",
    "id": "g",
    "title": "t",
    "text": "t",
    "entry": "e",
    "password": "p",
    "code": "1",
}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def concrete(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path).removeprefix("/console/api/")


async def asked(page: Page, name: str) -> tuple[int, dict[str, object]]:
    """The status and what is told. A file is given as it is."""
    method, _, path = name.partition(" ")
    if method == "GET":
        return await page.get(concrete(path))
    return await page.post(concrete(path), ASKED, headers={"X-Name": "n.md"})


async def test_f86_every_route_is_judged(desk: Desk) -> None:
    assert {named(each) for each in desk.console.routes()} == OPEN | set(WHO)


@pytest.mark.parametrize("role", list(Role))
async def test_f86_each_role_reaches_its_routes_and_no_others(desk: Desk, role: Role) -> None:
    """Where it may, the answer is about what was asked for; where it may not, nothing but that is told."""
    for name in [each for each in WHO if not each.endswith(("/ws", "/sign-out"))]:
        page = await desk.signed_in("ann", role)
        status, told = await asked(page, name)
        is_refused = (status, told.get("code")) == (403, "not_allowed")
        assert is_refused is (role not in WHO[name]), (name, status, told)
    page = await desk.signed_in("ann", role)
    assert await page.connect() == 101
    assert (await page.post("sign-out"))[0] == 200


async def test_f86_without_a_session_no_route_answers(desk: Desk) -> None:
    page = desk.page()
    for name in [each for each in WHO if not each.endswith("/ws")]:
        status, told = await asked(page, name)
        assert (status, told["code"]) == (401, "signed_out"), name
    assert await page.connect() == 401


async def test_f81_every_change_asks_for_the_token_and_the_page(desk: Desk) -> None:
    page = await desk.signed_in("ann", "admin")
    csrf, origin = page.csrf, page.origin
    for page.csrf, page.origin, code in (("", origin, "bad_token"), (csrf, "https://evil.example", "bad_origin")):
        for name in [each for each in WHO if each.startswith("POST")]:
            status, told = await asked(page, name)
            assert (status, told["code"]) == (403, code), name
    assert desk.works.acts == []
