"""Sitemaps (https://www.sitemaps.org/protocol.html): the pages that a site lists, and further sitemaps. Also packed, and as plain text."""

import zlib
from typing import Final
from urllib.parse import urljoin, urlsplit

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from bot.knowledge.reading.parsed import Parsed, Unparsed

MOST_BYTES: Final = 50 * 1024 * 1024  # the protocol's own limit
MOST_ENTRIES: Final = 50_000


def read(data: bytes, url: str) -> Parsed:
    """Raises Unparsed."""
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data)
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return Parsed(links=_addresses(data.decode(errors="replace").split(), url))
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unparsed("holds a DTD, which no sitemap needs") from error
    except ParseError as error:
        raise Unparsed("is not a sitemap: its XML is damaged") from error
    found = _addresses([(each.text or "").strip() for each in root.iter() if _name(each.tag) == "loc"], url)
    is_index = _name(root.tag) == "sitemapindex"
    return Parsed(nested=found) if is_index else Parsed(links=found)


def _unpacked(data: bytes) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise Unparsed("is packed, and damaged") from error
    if len(unpacked) > MOST_BYTES:
        raise Unparsed(f"unpacks to more than {MOST_BYTES // 1024 // 1024} MB")
    return unpacked


def _addresses(texts: list[str], url: str) -> tuple[str, ...]:
    return tuple(found for text in texts[:MOST_ENTRIES] if text and (found := _absolute(url, text)))


def _absolute(url: str, text: str) -> str:
    try:
        found = urljoin(url, text)
        return found if urlsplit(found).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _name(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()
