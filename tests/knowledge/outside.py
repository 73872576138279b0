"""Servers of the outer world on this machine's loopback, and what a source needs around it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.clock import SystemClock
from bot.config.knowledge_schema import SOURCE, Source, place_of
from bot.knowledge.origins.kept import KeptFolder
from bot.knowledge.origins.making import Surroundings
from bot.knowledge.origins.origin import Mark, Origin, Step
from bot.net.asking import Asker
from bot.net.perimeter import Perimeter
from bot.ports import Clock


class FastClock(SystemClock):
    """The machine's clock, but nobody waits: whoever sleeps moves it on, and what was slept is noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Answering:
    """What one path answers."""

    body: bytes = b""
    media_type: str = "text/html"
    status: int = 200
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """A website whose pages are a dictionary. Knows validators, and counts what it was asked and what it sent whole."""

    def __init__(self) -> None:
        self.pages: dict[str, Answering] = {}
        self.asked: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()
        self.url = ""

    def put(self, path: str, title: str, text: str, links: tuple[str, ...] = (), extra: str = "") -> None:
        anchors = "".join(f'<a href="{link}">to {link}</a> ' for link in links)
        html = (
            f'<html lang="en"><head><title>{title} | Site</title>{extra}</head><body><nav>{anchors}</nav>'
            f"<main><h1>{title}</h1><p>{text}</p></main><footer>Imprint</footer></body></html>"
        )
        self.pages[path] = Answering(html.encode(), etag=f'"{hash(html) & 0xFFFFFF:x}"')

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked[path] += 1
        page = self.pages.get(path)
        if page is None:
            return web.Response(status=404, text="no such page", content_type="text/html")
        if page.etag and request.headers.get("If-None-Match") == page.etag:
            return web.Response(status=304)
        self.whole[path] += 1
        headers = dict(page.headers) | ({"ETag": page.etag} if page.etag else {})
        return web.Response(status=page.status, body=page.body, content_type=page.media_type, headers=headers)


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on a free port; its address without a slash."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with serving(made.answer) as made.url:
        yield made


@asynccontextmanager
async def asking(clock: Clock | None = None, allow: list[str] | None = None) -> AsyncIterator[Asker]:
    asker = Asker(Perimeter(allow), clock or FastClock(), 0)
    try:
        yield asker
    finally:
        await asker.close()


def settings(kind: str, **given: Any) -> Any:
    """Settings as the config would give them; nobody pauses."""
    pause = {"pause_s": 0.0} if kind == "website" else {}
    return SOURCE.validate_python({"name": "source", "kind": kind, **pause, **given})


def around(data: Path, outside: Asker, clock: Clock, secret: Callable[[str], str] = lambda _: "") -> Surroundings:
    return Surroundings(data, clock, outside, lambda _: True, secret)


async def steps(origin: Origin, kept: Mapping[str, Mark] | None = None) -> list[Step]:
    return [step async for step in origin.changes(kept or {})]


def marks(source: Source, data: Path) -> dict[str, Mark]:
    """What is kept of a source."""
    kept = KeptFolder(place_of(source, data), source)
    try:
        return kept.open()
    finally:
        kept.close()


def texts(source: Source, data: Path) -> dict[str, str]:
    """Every kept document by its file's name."""
    return {path.name: path.read_text() for path in sorted(place_of(source, data).glob("[!.]*.md"))}


def reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(value).encode(), status=status, content_type="application/json", headers=dict(headers or {})
    )
