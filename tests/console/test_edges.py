"""Where the console meets those who should not be there, and what ends while somebody looks."""

from dataclasses import replace
from typing import Any

import pytest

from bot.handoff.views import Views
from bot.net.listeners import ListenerConfig, Listeners
from bot.operators.signing_in import PER_ADDRESS
from bot.ports import Cursor
from tests.console.desk import Desk, Page
from tests.operators.house import BY, WRONG

PUBLIC = "https://127.0.0.1"


async def watching(desk: Desk, name: str = "ann") -> Page:
    page = await desk.signed_in(name)
    assert await page.connect() == 101
    await page.frame("consents")
    page.clear()
    return page


async def forget(desk: Desk, conversation: str) -> None:
    """As an erasure leaves it."""

    def unit(cursor: Cursor) -> None:
        at = {"conversation": conversation}
        for table in ("messages", "cases", "handoff_log", "handoffs"):
            cursor.execute(f"DELETE FROM {table} WHERE conversation_id = :conversation", at)
        cursor.execute("DELETE FROM conversations WHERE id = :conversation", at)

    await desk.house.store.run(unit)


@pytest.mark.parametrize("read", ["entries", "context"])
async def test_what_is_forgotten_while_it_is_read_ends_no_console(
    desk: Desk, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await watching(desk)
    zoe, yan = await desk.people.talk("Zoe"), await desk.people.talk("Yan")
    await page.say("open", zoe)
    await page.frame("entries", lambda frame: "context" in frame)
    page.clear()
    real = getattr(Views, read)

    async def forgotten_meanwhile(self: Views, conversation: str, *more: Any) -> Any:
        if conversation == zoe:
            await forget(desk, zoe)
        return await real(self, conversation, *more)

    monkeypatch.setattr(Views, read, forgotten_meanwhile)
    desk.feed.touch(zoe)
    await page.until(lambda: desk.console.hub.looking.names(zoe) == [])
    desk.feed.touch(yan)
    await page.frame("rows", lambda frame: [row["conversation"] for row in frame["rows"]] == [yan])
    assert page.close_code is None


@pytest.mark.parametrize("read", ["context", "rows"])
async def test_a_conversation_that_is_forgotten_while_it_is_read_is_said_to_be_gone(
    desk: Desk, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    real = getattr(Views, read)

    async def forgotten_meanwhile(self: Views, *asked: Any) -> Any:
        await forget(desk, zoe)
        return await real(self, *asked)

    monkeypatch.setattr(Views, read, forgotten_meanwhile)
    status, told = await page.get(f"conversations/{zoe}")
    assert (status, told["code"]) == (404, "no_conversation")


async def test_sessions_that_are_ended_by_an_admin_close_their_sockets_at_once(desk: Desk) -> None:
    page, other = await watching(desk), await watching(desk, "ben")
    assert await desk.house.signing.end_sessions("ann", by=BY) == 1
    await desk.console.recheck()
    assert [each.operator.name for each in desk.console.hub.screens()] == ["ben"]
    await page.until(lambda: page.close_code == 4401)
    assert other.close_code is None


async def test_f80_behind_https_a_page_over_http_is_not_ours(desk: Desk) -> None:
    """Whoever stands between could serve it, and would be in the socket with the operator's cookie."""
    page = await desk.signed_in()
    port = desk.listeners.private_port
    desk.settings = replace(desk.settings, public_url=f"{PUBLIC}:{port}")
    assert page.origin == f"http://127.0.0.1:{port}"
    assert await page.connect() == 403
    assert (await page.post("presence", {"presence": "online"}))[1]["code"] == "bad_origin"
    page.origin = f"{PUBLIC}:{port}"
    assert (await page.post("presence", {"presence": "online"}))[0] == 200
    assert await page.connect() == 101


async def test_the_addresses_that_one_host_has_to_itself_count_as_one(desk: Desk) -> None:
    """Wrong tries of many names, each from another address of the same network."""
    nowhere = ListenerConfig("127.0.0.1", 0, "server")
    await desk.listeners.stop(0.0)
    desk.listeners = Listeners(
        public=nowhere,
        private=ListenerConfig("127.0.0.1", 0, "admin"),
        routes=(),
        private_routes=desk.console.routes(),
        health=lambda: (200, {}),
        ready=lambda: (200, {}),
        metrics=lambda: (b"", "text/plain"),
        clock=desk.clock,
        trusted_proxies=["127.0.0.1/32"],
    )
    await desk.listeners.start()
    page = desk.page()

    async def tried(number: int, network: str = "2001:db8:1:2") -> str:
        asked = {"name": f"name{number}", "password": WRONG, "code": "000000"}
        _, told = await page.post("sign-in", asked, headers={"X-Forwarded-For": f"{network}::{number:x}"})
        return str(told["code"])

    for number in range(PER_ADDRESS.free):
        assert await tried(number) == "not_signed_in"
    assert await tried(100) == "too_many_tries"
    assert await tried(101, "2001:db8:1:3") == "not_signed_in"


async def test_a_code_is_no_command_of_the_console_and_that_is_said(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    status, told = await page.post("command", {"conversation": zoe, "line": "!link ABCD", "key": "1"})
    assert (status, told["code"]) == (400, "bad_request")
    assert "Slack or Discord" in told["detail"]
    assert desk.works.acts == []
