"""The demo page and the widget's files."""

import pytest

from adapters.web.adapter import STATIC
from tests.web.desk import running

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


async def test_the_demo_page_is_locked_down() -> None:
    """No inline script, no frame around it, no referrer, no guessing of types."""
    async with running() as desk, desk.http.get("/") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.content_type == "text/html"
        assert "Set-Cookie" not in answer.headers
        assert "Server" not in answer.headers


async def test_any_site_may_load_the_widget() -> None:
    """widget.js, its modules and its description come with what lets other origins use them."""
    async with running(name="Müller & Söhne", color="#123456") as desk:
        modules = [f"/widget/{path.name}" for path in STATIC.glob("widget/*.*")]
        assert modules
        for path in ("/widget.js", *modules, "/widget.json"):
            async with desk.http.get(path) as answer:
                assert answer.status == 200, path
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with desk.http.get("/widget.json") as answer:
            shown = await answer.json()
            assert shown["name"] == "Müller & Söhne"
            assert shown.keys() == {"name", "color", "greeting", "suggestions"}


async def test_an_unchanged_file_is_not_sent_twice() -> None:
    """The tag of the content answers 304."""
    async with running() as desk:
        async with desk.http.get("/widget.js") as answer:
            tag = answer.headers["ETag"]
        async with desk.http.get("/widget.js", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
            assert await answer.read() == b""
        async with desk.http.get("/widget.js", headers={"If-None-Match": '"other"'}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/widget/..%2f__init__.py",
        "/widget/%2e%2e/__init__.py",
        "/widget/..%252f__init__.py",
        "/widget/nope.js",
        "/widget/",
        "/index.html",
        "/static/index.html",
        "/config.toml",
        "/widget.js/",
    ],
)
async def test_only_known_names_are_served(path: str) -> None:
    """No part of a request ever becomes a path."""
    from yarl import URL

    async with running() as desk, desk.http.get(URL(path, encoded=True)) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == "not_found"
