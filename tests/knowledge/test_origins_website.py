"""A website is read politely, within bounds, and only as far as it has changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from bot.knowledge.origins import robots
from bot.knowledge.origins.origin import Fresh, SourceFailed
from bot.knowledge.origins.syncing import SourceReport, sync_source
from bot.knowledge.origins.website import WebsiteOrigin, normal
from bot.knowledge.reading.room import ReadingRoom
from tests.knowledge.outside import Answering, FastClock, Site, asking, serving, settings, site, steps, texts


@pytest.fixture
async def shop() -> AsyncIterator[Site]:
    async with site() as made:
        made.put("/help/", "Help", "Ask away.", ("/help/returns", "/help/shipping?utm_source=x#top", "/jobs"))
        made.put("/help/returns", "Returns", "Within thirty days.", ("/help/",))
        made.put("/help/shipping", "Shipping", "To Austria.")
        made.put("/jobs", "Jobs", "We hire.")
        yield made


async def sync(made: Site, data: Path, *, path: str = "/help/", is_dry: bool = False, **given: object) -> SourceReport:
    source, clock, room = settings("website", url=made.url + path, **given), FastClock(), ReadingRoom()
    try:
        async with asking(clock) as asker:
            return await sync_source(source, WebsiteOrigin(source, asker, room, clock), data, clock, is_dry=is_dry)
    finally:
        room.close()


async def test_links_are_followed_below_the_start_alone(shop: Site, tmp_path: Path) -> None:
    """Each page once, under one spelling, without what surrounds its text."""
    report = await sync(shop, tmp_path)
    assert report.added == [f"{shop.url}/help/", f"{shop.url}/help/returns", f"{shop.url}/help/shipping"]
    kept = "".join(texts(settings("website", url=shop.url), tmp_path).values())
    assert "# Returns\n\nWithin thirty days." in kept
    assert f"url: {shop.url}/help/returns\nlanguage: en\n" in kept
    assert "Imprint" not in kept
    assert shop.asked["/jobs"] == 0


async def test_a_second_pass_changes_nothing_and_loads_nothing(shop: Site, tmp_path: Path) -> None:
    """Validators are sent; links of an unchanged page are known without reading it."""
    await sync(shop, tmp_path)
    before = texts(settings("website", url=shop.url), tmp_path)
    shop.whole.clear()
    report = await sync(shop, tmp_path)
    assert (report.is_quiet, report.same, report.failure) == (True, 3, "")
    assert not shop.whole
    assert texts(settings("website", url=shop.url), tmp_path) == before


async def test_changes_and_removals_are_seen(shop: Site, tmp_path: Path) -> None:
    await sync(shop, tmp_path)
    shop.put("/help/returns", "Returns", "Within sixty days.")
    del shop.pages["/help/shipping"]
    report = await sync(shop, tmp_path)
    assert (report.changed, report.removed) == ([f"{shop.url}/help/returns"], [f"{shop.url}/help/shipping"])


async def test_a_dry_run_tells_and_keeps_nothing(shop: Site, tmp_path: Path) -> None:
    report = await sync(shop, tmp_path, is_dry=True)
    assert len(report.added) == 3
    assert texts(settings("website", url=shop.url), tmp_path) == {}


async def test_a_sitemap_stands_for_links(shop: Site, tmp_path: Path) -> None:
    """robots.txt names it; pages that no link leads to are read, and others are not."""
    listed = f"<urlset><url><loc>{shop.url}/help/hidden</loc></url></urlset>".encode()
    shop.pages["/robots.txt"] = Answering(f"Sitemap: {shop.url}/map.xml".encode(), "text/plain")
    shop.pages["/map.xml"] = Answering(listed, "application/xml")
    shop.put("/help/hidden", "Hidden", "Found by the map.")
    report = await sync(shop, tmp_path)
    assert report.added == [f"{shop.url}/help/hidden"]
    assert (await sync(shop, tmp_path)).is_quiet


async def test_f92_robots_is_obeyed_and_told(shop: Site, tmp_path: Path) -> None:
    shop.pages["/robots.txt"] = Answering(b"User-agent: *\nDisallow: /help/ship*", "text/plain")
    report = await sync(shop, tmp_path)
    assert f"{shop.url}/help/shipping" not in report.added
    assert any("robots.txt" in line for line in report.passed)
    assert shop.asked["/help/shipping"] == 0


async def test_f92_an_endless_calendar_ends(tmp_path: Path) -> None:
    """By depth where each page leads to the next, by variants where a query does."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        if request.path == "/robots.txt":
            return web.Response(status=404)
        month = int(request.path.rpartition("/")[2] or 0) if request.path.rpartition("/")[2].isdigit() else 0
        links = f"<a href='/calendar/{month + 1}'>next</a>" + "".join(
            f"<a href='/list?day={n + month * 100}'>{n}</a>" for n in range(100)
        )
        return web.Response(text=f"<p>Month {month} {request.query_string}</p>{links}", content_type="text/html")

    async with serving(answer) as url:
        made = Site()
        made.url = url
        report = await sync(made, tmp_path, path="/", depth=4)
    assert not report.failure
    assert sum(path.startswith("/calendar") for path in asked) <= 4
    assert sum(path.startswith("/list") for path in asked) <= 50


async def test_f92_a_body_without_end_is_cut(shop: Site, tmp_path: Path) -> None:
    """No more of it is read than a page may hold, and the other pages are."""
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if request.path != "/help/returns":
            return await shop.answer(request)
        response = web.StreamResponse(headers={"Content-Type": "text/html", "Content-Length": str(10 * 1024**3)})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"<p>more</p>" * 10_000)
                sent += 110_000
        except ConnectionError:
            return response

    async with serving(answer) as url:
        made = Site()
        made.url = url
        report = await sync(made, tmp_path, page_bytes=200_000)
    assert report.added == [f"{url}/help/", f"{url}/help/shipping"]
    assert any("larger than 200000 bytes" in line for line in report.passed)
    assert sent < 60_000_000


async def test_f92_documents_and_bytes_are_budgets_that_take_nothing_away(shop: Site, tmp_path: Path) -> None:
    """What was not looked at stays, and the report says which setting to raise."""
    await sync(shop, tmp_path)
    report = await sync(shop, tmp_path, documents=1)
    assert report.removed == []
    assert "`documents`" in report.unfinished[0]
    shop.put("/help/", "Help", "Ask us.", ("/help/returns", "/help/shipping"))
    report = await sync(shop, tmp_path, total_bytes=10)
    assert report.removed == []
    assert "`total_bytes`" in report.unfinished[0]


async def test_a_server_in_trouble_takes_nothing_away(shop: Site, tmp_path: Path) -> None:
    """One page that fails stays as it was; a site that fails is left alone, with the mend."""
    await sync(shop, tmp_path)
    shop.pages["/help/returns"] = Answering(b"", status=500)
    report = await sync(shop, tmp_path)
    assert (report.removed, report.failure) == ([], "")
    assert report.passed == [f"{shop.url}/help/returns: answered 500"]
    shop.pages["/help/"] = Answering(b"", status=403)
    report = await sync(shop, tmp_path)
    assert "answered 403" in report.failure
    assert "`url`" in report.mend
    shop.pages["/robots.txt"] = Answering(b"", status=503)
    assert "robots.txt" in (await sync(shop, tmp_path)).failure
    assert len(texts(settings("website", url=shop.url), tmp_path)) == 3


async def test_a_server_that_asks_for_patience_is_given_it(shop: Site, tmp_path: Path) -> None:
    """Retry-After is waited for, once a page; the site's own Crawl-delay is kept to."""
    tries = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nCrawl-delay: 3")
        tries += request.path == "/help/returns"
        if request.path == "/help/returns" and tries == 1:
            return web.Response(status=429, headers={"Retry-After": "7"})
        return await shop.answer(request)

    async with serving(answer) as url:
        source, clock, room = settings("website", url=f"{url}/help/"), FastClock(), ReadingRoom()
        try:
            async with asking(clock) as asker:
                found = await steps(WebsiteOrigin(source, asker, room, clock))
        finally:
            room.close()
    assert len([step for step in found if isinstance(step, Fresh)]) == 3
    assert any(wait > 6 for wait in clock.slept)
    assert sum(wait > 2 for wait in clock.slept) >= 3


async def test_redirects_and_other_names_make_one_document(shop: Site, tmp_path: Path) -> None:
    """The name that the site wants, in every pass."""
    shop.pages["/help/old"] = Answering(status=301, headers={"Location": "/help/returns"})
    shop.put("/help/print", "Returns", "Within thirty days.", extra='<link rel="canonical" href="/help/returns">')
    shop.put("/help/", "Help", "Ask away.", ("/help/old", "/help/print", "/elsewhere"))
    first = await sync(shop, tmp_path)
    assert first.added == [f"{shop.url}/help/", f"{shop.url}/help/returns"]
    assert (await sync(shop, tmp_path)).is_quiet


async def test_f90_a_page_that_leads_off_the_site_is_not_read(shop: Site, tmp_path: Path) -> None:
    async with site() as other:
        other.put("/", "Other", "Not ours.")
        shop.pages["/help/returns"] = Answering(status=302, headers={"Location": f"{other.url}/"})
        report = await sync(shop, tmp_path)
    assert not any("127.0.0.1" in name and other.url in name for name in report.added)
    assert any("/help/returns" in line for line in report.passed)
    assert other.asked == {}


async def test_a_host_outside_the_perimeter_is_not_asked(shop: Site, tmp_path: Path) -> None:
    source, clock, room = settings("website", url="https://docs.example.com/"), FastClock(), ReadingRoom()
    async with asking(clock, allow=["help.example.com"]) as asker:
        with pytest.raises(SourceFailed, match=r"docs\.example\.com"):
            await steps(WebsiteOrigin(source, asker, room, clock))
    room.close()


def test_addresses_have_one_spelling() -> None:
    assert normal("HTTPS://Docs.Example.com:443?b=2&utm_medium=x&a=1#top") == "https://docs.example.com/?a=1&b=2"


def test_robots_rules_are_read_as_rfc_9309_says() -> None:
    """The longest rule decides, the group that names us goes before the one for all, `*` and `$` mean what they say."""
    text = "User-agent: other\nDisallow: /\n\nUser-agent: Frontdesk\nUser-agent: x\nDisallow: /a/*.pdf$\nDisallow: /b\nAllow: /b/c\n\nUser-agent: *\nDisallow: /"
    found = robots.parse(text)
    assert [found.allows(f"https://x.example{path}") for path in ("/a/x.pdf", "/a/x.pdfs", "/b/d", "/b/c/d", "/z")] == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert not robots.parse("User-agent: *\nDisallow: /%7Ejoe").allows("https://x.example/~joe/")
