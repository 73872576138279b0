"""The pages of a website: those that its sitemap lists, else those that its links lead to.

Polite: what robots.txt asks, one request at a time with a pause between, and only what has changed. Bounded: documents, depth, bytes and time
in all, bytes a page, and how many variants of one page a query may make, so that no calendar is endless. No step leaves the host.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from bot.config.knowledge_schema import Website
from bot.errors import FetchError
from bot.knowledge.blocks import as_markdown
from bot.knowledge.origins import robots
from bot.knowledge.origins.asking import MOST_WAIT_S, Answer, Outside, Pace
from bot.knowledge.origins.origin import Fresh, Mark, Page, Passed, Same, SourceFailed, Step, Unfinished
from bot.knowledge.reading.parsed import Format, Parsed, Unparsed, Unread
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import decode, first_headings, split_front_matter, text_of, title_from
from bot.ports import Clock

SITEMAPS_MOST: Final = 200
SITEMAP_BYTES: Final = 50 * 1024 * 1024
QUERIES_MOST: Final = 50  # variants of one path
TROUBLES_MOST: Final = 5  # failures of the server in a row before it is left alone
TRIES: Final = 2
MOST_DELAY_S: Final = 60.0
_PAGE: Final = ("text/html", "application/xhtml+xml")
_PACKED: Final = {
    "application/pdf": Format.PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": Format.DOCX,
}
_TEXT: Final = {"text/plain": ".txt", "text/markdown": ".md", "text/x-markdown": ".md"}
_TRACKING: Final = ("utm_", "gclid", "fbclid", "msclkid", "mc_cid", "mc_eid", "sessionid", "phpsessid")
_NO_PAGES: Final = tuple(
    ".png .jpg .jpeg .gif .svg .webp .ico .css .js .json .xml .zip .gz .tgz .exe .dmg .mp4 .mp3 .woff .woff2".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of one address: the step to tell, where it leads, and whether the server was in trouble. `other`: the address under which
    the page wants to be known. `is_gone`: the server says that there is no such page."""

    step: Step | None
    links: Sequence[str] = ()
    other: str = ""
    is_trouble: bool = False
    is_gone: bool = False
    size_bytes: int = 0


class WebsiteOrigin:
    """Implements `Origin`. `room` parses what comes."""

    def __init__(self, settings: Website, outside: Outside, room: ReadingRoom, clock: Clock) -> None:
        self._settings = settings
        self._outside = outside
        self._room = room
        self._clock = clock
        self._pace = Pace(clock, settings.pause_s)
        self._host = urlsplit(settings.url).netloc.lower()
        self._robots = robots.Robots()
        self._queue: deque[tuple[str, int]] = deque()
        self._queued: set[str] = set()
        self._queries: Counter[str] = Counter()
        self._forbidden: list[str] = []
        self._is_crawl = False
        self._done = 0

    def expected(self) -> int:
        return self._done + len(self._queue)

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        self._queue.clear()
        self._queued.clear()
        self._queries.clear()
        self._forbidden.clear()
        self._done = 0
        await self._obey()
        listed = await self._listed()
        self._is_crawl = not listed
        for url in listed or [self._settings.url]:
            self._enqueue(url, 0)
        if not self._queue:
            raise SourceFailed(f"robots.txt of {self._host} asks not to read it", "Allow the agent frontdesk there.")
        async for step in self._walk(kept):
            yield step
        if self._forbidden:
            count, first = len(self._forbidden), self._forbidden[0]
            yield Passed(self._host, f"robots.txt asks not to read {count} of its pages (such as {first})")

    async def _walk(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        end = self._clock.monotonic() + self._settings.total_s
        left, troubles = self._settings.total_bytes, 0
        while self._queue:
            if left <= 0 or self._clock.monotonic() >= end:
                what = "total_bytes" if left <= 0 else "total_s"
                yield Unfinished(f"{len(self._queue)} pages of {self._host} were left: raise `{what}` of this source")
                return
            url, depth = self._queue.popleft()
            seen = await self._visit(url, kept.get(url))
            self._done += 1
            left -= seen.size_bytes
            troubles = troubles + 1 if seen.is_trouble else 0
            if (
                self._done == 1
                and self._is_crawl
                and not (seen.links or seen.other)
                and (seen.is_gone or not isinstance(seen.step, Fresh | Same))
            ):
                raise SourceFailed(*_start_failed(self._settings.url, seen.step))
            if seen.other:
                self._enqueue(seen.other, depth)
            if seen.step is not None:
                yield seen.step
            if troubles >= TROUBLES_MOST:
                raise SourceFailed(f"{self._host} failed {troubles} times in a row ({seen.step})")
            if depth < self._settings.depth and self._is_crawl:
                for link in seen.links:
                    self._enqueue(link, depth + 1)

    # --- which pages ---------------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        """Reads robots.txt. Where the server is in trouble, nothing may be read: RFC 9309, section 2.3.1.4."""
        try:
            answer = await self._ask(urljoin(self._settings.url, "/robots.txt"), {}, robots.MOST_BYTES)
        except FetchError as error:
            raise SourceFailed(str(error), f"Check that {self._settings.url} opens from this machine.") from error
        if answer.status >= 500 or answer.status == 429:
            raise SourceFailed(f"{self._host} answered {answer.status} when asked for robots.txt")
        found = answer.status < 300 and answer.media_type not in _PAGE
        self._robots = robots.parse(answer.data.decode(errors="replace")) if found else robots.Robots()
        self._pace.pause_s = max(self._settings.pause_s, min(self._robots.delay_s, MOST_DELAY_S))

    async def _listed(self) -> list[str]:
        """What the sitemaps list of our pages; nothing where there are none."""
        own = [self._settings.sitemap] if self._settings.sitemap else list(self._robots.sitemaps)
        waiting = deque(own or [urljoin(self._settings.url, "/sitemap.xml")])
        found: dict[str, None] = {}
        seen = set[str]()
        while waiting and len(seen) < SITEMAPS_MOST and len(found) < self._settings.documents:
            url = waiting.popleft()
            if url in seen or urlsplit(url).netloc.lower() != self._host:
                continue
            seen.add(url)
            parsed = await self._sitemap(url)
            waiting.extend(parsed.nested)
            found.update(dict.fromkeys(link for each in parsed.links if self._is_ours(link := normal(each))))
        return list(found)

    async def _sitemap(self, url: str) -> Parsed:
        try:
            answer = await self._ask(url, {}, SITEMAP_BYTES)
            if answer.status == 404 and not self._settings.sitemap:
                return Parsed()
            if answer.status >= 300:
                raise SourceFailed(f"the sitemap {url} answered {answer.status}", "Correct `sitemap` of this source.")
            return await asyncio.to_thread(self._room.read, Format.SITEMAP, answer.data, url)
        except Unparsed as error:
            if not (self._settings.sitemap or self._robots.sitemaps or isinstance(error, Unread)):
                return Parsed()  # a page of the site that says "not found" and means it
            mend = "" if isinstance(error, Unread) else "Correct `sitemap` of this source."
            raise SourceFailed(f"the sitemap {url} {error}", mend) from error

    def _enqueue(self, link: str, depth: int) -> None:
        url = normal(link)
        if url in self._queued or not self._is_ours(url):
            return
        self._queued.add(url)
        if not self._robots.allows(url):
            self._forbidden.append(url)
            return
        bare, _, query = url.partition("?")
        self._queries[bare] += bool(query)
        if not query or self._queries[bare] <= QUERIES_MOST:
            self._queue.append((url, depth))

    def _is_ours(self, url: str) -> bool:
        try:
            parts, start = urlsplit(url), urlsplit(normal(self._settings.url))
        except ValueError:
            return False
        if parts.netloc != start.netloc or parts.scheme not in ("http", "https"):
            return False
        if parts.path.lower().endswith(_NO_PAGES):
            return False
        if any(parts.path.startswith(each) for each in self._settings.exclude):
            return False
        if self._settings.include:
            return any(parts.path.startswith(each) for each in self._settings.include) or url == normal(
                self._settings.url
            )
        base = start.path if start.path.endswith("/") else f"{start.path}/"
        return parts.path.startswith(base) or parts.path == start.path or base.count("/") == 1

    # --- one page ------------------------------------------------------------------------------------------------------

    async def _visit(self, url: str, mark: Mark | None) -> _Seen:
        headers = {"Accept": "text/html,application/xhtml+xml,text/markdown,text/plain,application/pdf;q=0.9,*/*;q=0.1"}
        if mark is not None and mark.etag:
            headers["If-None-Match"] = mark.etag
        if mark is not None and mark.modified:
            headers["If-Modified-Since"] = mark.modified
        try:
            answer = await self._ask(url, headers, self._settings.page_bytes)
        except SourceFailed as error:
            return _Seen(Passed(url, str(error), url), is_trouble=True)
        except FetchError as error:
            return _Seen(Passed(url, str(error), url), is_trouble=error.is_retryable)
        if answer.status == 304 and mark is not None:
            return _Seen(Same(url), mark.links, mark.token)
        if answer.status in (404, 410):  # what was kept of it goes now, whatever becomes of the pass
            return _Seen(None if mark is None else Fresh(url, None), is_gone=True)
        return await self._judge(url, answer)

    async def _judge(self, url: str, answer: Answer) -> _Seen:
        size, final = len(answer.data), normal(answer.url)
        if not 200 <= answer.status < 300:
            is_trouble = answer.status >= 500 or answer.status == 429
            return _Seen(Passed(url, f"answered {answer.status}", url), is_trouble=is_trouble)
        if final != url and self._is_ours(final):
            return _Seen(None, other=final)
        if final != url:
            return _Seen(Passed(url, f"leads to {final}, which is not part of this source"))
        if answer.is_cut:
            return _Seen(Passed(url, f"larger than {self._settings.page_bytes} bytes"), size_bytes=size)
        try:
            parsed = await asyncio.to_thread(self._parse, url, answer)
        except Unparsed as error:
            return _Seen(Passed(url, str(error), url if isinstance(error, Unread) else ""), size_bytes=size)
        links = tuple(normal(link) for link in parsed.links) if parsed.is_followed else ()
        links = tuple(dict.fromkeys(link for link in links if self._is_ours(link)))
        canonical = normal(parsed.canonical) if parsed.canonical else url
        other = canonical if canonical != url and self._is_ours(canonical) else ""
        page = Page(parsed.title, url, as_markdown(parsed.blocks), parsed.language)
        is_kept = parsed.is_wanted and not other
        fresh = Fresh(url, page if is_kept else None, Mark(answer.etag, answer.modified, other, links))
        return _Seen(fresh, links, other, size_bytes=size)

    def _parse(self, url: str, answer: Answer) -> Parsed:
        """Blocking. Raises Unparsed."""
        if answer.data.startswith(b"%PDF-"):
            return self._room.read(Format.PDF, answer.data, url)
        if answer.media_type in _PACKED:
            return self._room.read(_PACKED[answer.media_type], answer.data, url)
        if answer.media_type in _PAGE:
            return self._room.read(Format.PAGE, answer.data, url)
        if answer.media_type not in _TEXT:
            raise Unparsed(f"is {answer.media_type or 'of no stated kind'}, which is not read")
        text = decode(answer.data)
        if text is None:
            raise Unparsed("is not UTF-8 text")
        given, body = split_front_matter(text)
        path = urlsplit(url).path
        _, blocks = text_of("x" + _TEXT[answer.media_type], body)
        title = given.get("title") or next(first_headings(blocks), "") or title_from(path)
        return Parsed(title=title, language=given.get("language", ""), blocks=tuple(blocks))

    async def _ask(self, url: str, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """An answer, at the site's pace; a server that asks for patience is given it once."""
        wait_s = 0.0
        for last in (False, True):
            await self._pace.wait(wait_s)
            answer = await self._outside.ask(
                "GET", url, headers=headers, most_bytes=most_bytes, trusted=(self._settings.url,)
            )
            wait_s = answer.retry_after_s
            if last or answer.status not in (429, 503) or not 0 < wait_s <= MOST_WAIT_S:
                return answer
        raise AssertionError("unreachable")


def normal(url: str) -> str:
    """One spelling of an address: no fragment, no tracking, no default port, host in small letters."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return url
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != {"http": 80, "https": 443}.get(parts.scheme):
        host = f"{host}:{port}"
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not k.lower().startswith(_TRACKING)]
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", urlencode(sorted(kept)), ""))


def _start_failed(url: str, step: Step | None) -> tuple[str, str]:
    why = step.reason if isinstance(step, Passed) else "there is no such page"
    return f"{url}: {why}", "Open the address in a browser, and correct `url` of this source."
