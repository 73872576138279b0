"""A web page without what surrounds it: its main part as blocks, its title and language, and where it leads.

The main part is what the page itself marks as such (`main`, one `article`, role main). Where it marks nothing, it is everything but headers,
footers, asides, navigation, forms, dialogs and what is named like them. Headings, lists, tables and code keep their shape.
"""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from bot.knowledge.blocks import Block, Kind
from bot.knowledge.html import closed, html_blocks
from bot.knowledge.reading.parsed import Parsed, Unparsed

MOST_LINKS: Final = 2_000
_AROUND: Final = frozenset({"nav", "aside", "form", "dialog", "button", "select"})
_AROUND_BODY: Final = frozenset({"header", "footer"})
_ROLES: Final = frozenset({"navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog"})
_NAMES: Final = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|breadcrumbs?|sidebar|skip-?(?:link|to)\S*|share|social|newsletter|pagination|toc"
    r"|related|feedback|edit-this-page|table-of-contents)(?:$|[\s_-])",
    re.IGNORECASE,
)
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{2,40})", re.IGNORECASE)


@dataclass(slots=True)
class _Span:
    start: int
    end: int


def read(data: bytes, url: str) -> Parsed:
    """Raises Unparsed for a page without text."""
    text = _decoded(data)
    page = _Page(text, url)
    page.run()
    title, blocks = html_blocks(page.main_part())
    blocks = _with_one_title(blocks)
    if page.is_wanted and not blocks:
        raise Unparsed("holds no text (is it made by scripts in the browser?)")
    first = next((block.text for block in blocks if block.kind is Kind.HEADING and block.level == 1), "")
    return Parsed(
        title=first or " ".join((page.title or title).split()),
        language=page.language,
        blocks=tuple(blocks),
        links=tuple(page.links),
        canonical=page.canonical,
        is_wanted=page.is_wanted,
        is_followed=page.is_followed,
    )


def _with_one_title(blocks: list[Block]) -> list[Block]:
    """Without empty repetitions: a block that says again what the one before it says."""
    return [block for n, block in enumerate(blocks) if n == 0 or block != blocks[n - 1]]


def _decoded(data: bytes) -> str:
    named = _CHARSET.search(data[:4096])
    for encoding in ("utf-8-sig", named[1].decode() if named else "", "cp1252"):
        try:
            return data.decode(encoding).replace("\0", "")
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("utf-8", "replace").replace("\0", "")


class _Page(HTMLParser):
    """One pass that notes where parts begin and end, as places in the text."""

    def __init__(self, text: str, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._text = closed(text)
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", self._text))]
        self._base = url
        self._open: list[tuple[str, _Span | None]] = []
        self._mains: list[_Span] = []
        self._articles: list[_Span] = []
        self._around: list[_Span] = []
        self._ends: list[_Span] = []
        self._is_in_title = False
        self.title = ""
        self.language = ""
        self.canonical = ""
        self.links: dict[str, None] = {}
        self.is_wanted = True
        self.is_followed = True

    def run(self) -> None:
        try:
            self.feed(self._text)
            self.close()
        except AssertionError:
            return  # the standard parser's answer to a malformed "<!["

    def main_part(self) -> str:
        inner = self._mains or (self._articles if len(self._articles) == 1 else [])
        where = inner or [_Span(0, len(self._text))]
        dropped = self._around if inner else self._around + self._ends
        return "\n".join(_without(self._text, span, dropped) for span in where[:1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._note(tag, given)
        if tag not in _VOID:
            span = self._span(tag, given)
            if len(self._open) < 2_000:
                self._open.append((tag, span))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, {name: value or "" for name, value in attrs})

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._is_in_title = False
        for depth in range(len(self._open) - 1, max(-1, len(self._open) - 60), -1):
            if self._open[depth][0] == tag:
                for _, span in self._open[depth:]:
                    if span is not None:
                        span.end = self._at()
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        if self._is_in_title:
            self.title += data

    def _at(self) -> int:
        line, column = self.getpos()
        return self._line_starts[line - 1] + column

    def _span(self, tag: str, given: dict[str, str]) -> _Span | None:
        group = self._group(tag, given)
        if group is None:
            return None
        span = _Span(self._at(), len(self._text))
        group.append(span)
        return span

    def _group(self, tag: str, given: dict[str, str]) -> list[_Span] | None:
        role = given.get("role", "").lower()
        if tag == "main" or role == "main":
            return self._mains
        if tag in ("html", "body"):
            return None
        named = f"{given.get('class', '')} {given.get('id', '')}"
        if tag in _AROUND or role in _ROLES or "hidden" in given or _NAMES.search(named[:500]):
            return self._around
        if tag in _AROUND_BODY:
            return self._ends
        return self._articles if tag == "article" else None

    def _note(self, tag: str, given: dict[str, str]) -> None:
        if tag == "html":
            self.language = given.get("lang", "").split("-")[0].lower()[:8]
        elif tag == "base" and given.get("href"):
            self._base = _joined(self._base, given["href"]) or self._base
        elif tag == "title" and not self.title:
            self._is_in_title = True
        elif tag == "meta" and given.get("name", "").lower() in ("robots", "frontdesk"):
            self._obey(given.get("content", "").lower())
        elif tag == "link" and "canonical" in given.get("rel", "").lower().split():
            self.canonical = _joined(self._base, given.get("href", ""))
        elif tag == "a" and given.get("href") and len(self.links) < MOST_LINKS:
            self._link(given)

    def _obey(self, content: str) -> None:
        words = {word.strip() for word in content.split(",")}
        self.is_wanted = self.is_wanted and not words & {"noindex", "none"}
        self.is_followed = self.is_followed and not words & {"nofollow", "none"}

    def _link(self, given: dict[str, str]) -> None:
        if "nofollow" not in given.get("rel", "").lower().split() and (found := _joined(self._base, given["href"])):
            self.links[found] = None


def _joined(base: str, href: str) -> str:
    try:
        found = urldefrag(urljoin(base, href.strip())).url
        return found if urlsplit(found).scheme in ("http", "https") and len(found) <= 2_000 else ""
    except ValueError:
        return ""


def _without(text: str, span: _Span, dropped: list[_Span]) -> str:
    parts, at = [], span.start
    for each in sorted(dropped, key=lambda one: one.start):
        if each.start >= at and each.end <= span.end:
            parts.append(text[at : each.start])
            at = each.end
    return "".join([*parts, text[at : span.end]])
