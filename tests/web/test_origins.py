"""Which pages may open the socket and read uploads."""

import aiohttp
import pytest

from adapters.web.pages import _POLICY
from tests.web.desk import Desk, running

OWN = "http://chat.test:8080"


async def upgrade_status(desk: Desk, *origins: str, host: str = "chat.test:8080") -> int:
    headers = [("Host", host), *(("Origin", origin) for origin in origins)]
    try:
        ws = await desk.http.ws_connect("/ws", headers=headers)
    except aiohttp.WSServerHandshakeError as refusal:
        return refusal.status
    await ws.close()
    return 101


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (OWN, 101),
        ("https://chat.test:8080", 101),  # a proxy that ends TLS
        ("HTTP://CHAT.TEST:8080", 101),
        ("https://www.listed.test", 101),
        ("https://WWW.listed.test:443", 101),
        ("http://localhost:3000", 101),
        ("null", 403),
        ("", 403),
        ("*", 403),
        ("https://evil.test", 403),
        ("http://www.listed.test", 403),
        ("https://www.listed.test:444", 403),
        ("https://www.listed.test.evil.test", 403),
        ("https://evil.test/https://www.listed.test", 403),
        ("https://www.listed.test@evil.test", 403),
        ("https://listed.test", 403),
        ("http://chat.test", 403),
        ("http://chat.test:8081", 403),
        ("http://chat.test:8080.evil.test", 403),
        ("file://chat.test:8080", 403),
        ("chat.test:8080", 403),
    ],
)
async def test_f80_the_table_of_origins(origin: str, status: int) -> None:
    """Ours and the listed ones, compared whole; the list is not a pattern."""
    async with running(origins=["https://www.listed.test", "http://localhost:3000"]) as desk:
        assert await upgrade_status(desk, origin) == status


async def test_no_origin_is_no_browser() -> None:
    """A program without an Origin is let in; two Origins are not."""
    async with running() as desk:
        assert await upgrade_status(desk) == 101
        assert await upgrade_status(desk, OWN, OWN) == 403


async def test_the_default_port_may_be_left_out() -> None:
    """Browsers leave out a scheme's own port, in Origin and in Host."""
    async with running() as desk:
        assert await upgrade_status(desk, "https://chat.test", host="chat.test") == 101
        assert await upgrade_status(desk, "https://chat.test", host="chat.test:443") == 101
        assert await upgrade_status(desk, "http://chat.test", host="chat.test:443") == 403


@pytest.mark.parametrize(
    ("origin", "is_let_in"), [("https://www.listed.test", True), ("https://evil.test", False), ("null", False)]
)
async def test_uploads_answer_listed_pages_only(origin: str, is_let_in: bool) -> None:
    """A browser shows an answer to a page only when the server names that page."""
    async with running(origins=["https://www.listed.test"]) as desk:
        async with desk.http.options("/upload", headers={"Origin": origin}) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_let_in else None)
            assert ("authorization" in answer.headers.get("Access-Control-Allow-Headers", "")) == is_let_in
            assert answer.headers["Vary"] == "Origin"
        async with desk.http.post("/upload", headers={"Origin": origin}) as answer:
            assert answer.status == 401
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_let_in else None)


async def test_a_reload_opens_and_closes_origins() -> None:
    """Taken off the list, a page is refused from then on."""
    from adapters.web import Settings

    async with running(origins=["https://www.listed.test"]) as desk:
        assert await upgrade_status(desk, "https://www.listed.test") == 101
        desk.adapter.reload(Settings(origins=["https://other.test"]))
        assert await upgrade_status(desk, "https://www.listed.test") == 403
        assert await upgrade_status(desk, "https://other.test") == 101


def test_the_demo_page_allows_nothing_inline() -> None:
    """The policy is the one that docs/protocol.md's page promises: our own files, no frames, no forms."""
    assert "unsafe" not in _POLICY
    assert "frame-ancestors 'none'" in _POLICY
