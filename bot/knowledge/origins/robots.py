"""robots.txt as RFC 9309 tells it: which paths may be read, how fast, and where the sitemaps are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

AGENT: Final = "frontdesk"
MOST_BYTES: Final = 512 * 1024  # RFC 9309 asks for at least 500 KiB
_MOST_RULES: Final = 5_000


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules that hold for us. `rules`: patterns with whether they allow."""

    rules: tuple[tuple[str, bool], ...] = ()
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()

    def allows(self, url: str) -> bool:
        """The longest pattern that fits decides; of two as long, the one that allows."""
        parts = urlsplit(url)
        at = _same(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        fitting = [(len(pattern), is_allowed) for pattern, is_allowed in self.rules if _fits(pattern, at)]
        return at == "/robots.txt" or not fitting or max(fitting)[1]


def parse(text: str) -> Robots:
    """The group that names us, else the one for everybody. Never raises."""
    own, everybody, sitemaps = _Group(), _Group(), list[str]()
    current: list[_Group] = []
    is_naming = False
    for field, value in _lines(text):
        if field == "user-agent":
            current = current if is_naming else []
            current += [own] if value.lower().split("/")[0].strip() == AGENT else [everybody] if value == "*" else []
            is_naming = True
            for group in current:
                group.is_there = True
        elif field == "sitemap":
            sitemaps.append(value)
        else:
            is_naming = False
            for group in current:
                group.take(field, value)
    group = own if own.is_there else everybody
    return Robots(tuple(group.rules[:_MOST_RULES]), group.delay_s, tuple(sitemaps[:100]))


class _Group:
    def __init__(self) -> None:
        self.is_there = False
        self.rules: list[tuple[str, bool]] = []
        self.delay_s = 0.0

    def take(self, field: str, value: str) -> None:
        if field in ("allow", "disallow") and value:
            self.rules.append((_same(value[:2_000]), field == "allow"))
        elif field == "crawl-delay" and re.fullmatch(r"\d{1,4}(?:\.\d{1,3})?", value):
            self.delay_s = float(value)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\ufeff", "").splitlines():
        field, colon, value = line.split("#", 1)[0].partition(":")
        if colon:
            yield field.strip().lower(), value.strip()


def _same(path: str) -> str:
    """Paths with one spelling of each character."""
    return quote(unquote(path, errors="replace"), safe="/?&=*$+,;:@!~'()%-._")


def _fits(pattern: str, path: str) -> bool:
    """`*` is anything, `$` at the end is the end. In time that is linear in both, whatever the pattern."""
    is_whole = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for number, part in enumerate(rest):
        if is_whole and number == len(rest) - 1:
            return len(path) - len(part) >= at and path.endswith(part)
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return not is_whole or at == len(path)
