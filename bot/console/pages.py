"""The console's files, read once. Only names known at the start are served: no request makes a path."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from bot.model import value
from bot.ports import Route

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-cache",
}


@value
class _Page:
    body: bytes
    media_type: str
    tag: str


class Pages:
    """`/console` and `/console/static/...`."""

    def __init__(self, static: Path = STATIC) -> None:
        self._files = {
            path.relative_to(static).as_posix(): _read(path)
            for path in sorted(static.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }

    def routes(self) -> Sequence[Route]:
        return [
            Route("GET", "/console", self._index),
            Route("GET", "/console/", self._index),
            Route("GET", "/console/static/{name:.+}", self._file),
        ]

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._files.get("index.html"))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._files.get(request.match_info["name"]))


def _read(path: Path) -> _Page:
    body = path.read_bytes()
    return _Page(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(request: web.Request, page: _Page | None) -> web.Response:
    if page is None:
        raise web.HTTPNotFound
    headers = {**HEADERS, hdrs.ETAG: page.tag}
    if page.tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=page.body, content_type=page.media_type, charset="utf-8", headers=headers)
