"""The demo page and the widget's files, read once. Only names known at the start are served: no request makes a path."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from adapters.web import Settings
from bot.model import value
from bot.ports import Route

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_EVERY_PAGE: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-cache",
}
_ANYWHERE: Final = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*", "Cross-Origin-Resource-Policy": "cross-origin"}


@value
class _Page:
    body: bytes
    media_type: str
    headers: Mapping[str, str]
    tag: str


class Pages:
    """Everything that is the same for everybody. The widget's own files may be loaded by any site, the demo page by none."""

    def __init__(self, static: Path) -> None:
        self._pages = {
            "/": _read(static / "index.html", {}),
            "/demo.css": _read(static / "demo.css", {}),
            "/demo.js": _read(static / "demo.js", {}),
            "/favicon.svg": _read(static / "favicon.svg", {}),
            "/widget.js": _read(static / "widget.js", _ANYWHERE),
            "/widget.json": None,
        }
        self._modules = {
            path.name: _read(path, _ANYWHERE) for path in sorted(static.glob("widget/*")) if path.suffix in _TYPES
        }

    def describe(self, settings: Settings) -> None:
        """Sets what the widget shows before anything is said."""
        shown = settings.model_dump(include={"name", "color", "greeting", "suggestions"})
        self._pages["/widget.json"] = _page(json.dumps(shown, ensure_ascii=False).encode(), ".json", _ANYWHERE)

    def routes(self) -> Sequence[Route]:
        return [
            *(Route("GET", path, self._serve) for path in self._pages),
            Route("GET", "/widget/{name}", self._module),
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._pages.get(request.path))

    async def _module(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._modules.get(request.match_info["name"]))


def _read(path: Path, headers: Mapping[str, str]) -> _Page | None:
    return _page(path.read_bytes(), path.suffix, headers) if path.is_file() else None


def _page(body: bytes, suffix: str, headers: Mapping[str, str]) -> _Page:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _Page(body, _TYPES[suffix], {**_EVERY_PAGE, **headers, hdrs.ETAG: tag}, tag)


def _answer(request: web.Request, page: _Page | None) -> web.Response:
    if page is None:
        raise web.HTTPNotFound
    if page.tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=page.headers)
    return web.Response(body=page.body, content_type=page.media_type, charset="utf-8", headers=page.headers)
