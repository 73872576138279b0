"""PDF as blocks: headings by the size and weight of their letters, paragraphs by the gaps between lines.

What stands at the top or bottom of most pages (running titles, page numbers) is kept once.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from bot.knowledge.blocks import Block, Kind
from bot.knowledge.reading.parsed import Parsed, Unparsed

MOST_PAGES: Final = 2_000
MOST_CHARS: Final = 8_000_000
_HEADING_RATIO: Final = 1.15
_HEADING_CHARS: Final = 150
_BULLET: Final = re.compile(r"[•◦▪‣●○■–\x7f\uf0b7]\s+")


@dataclass(slots=True)
class _Line:
    text: str = ""
    size: float = 0.0  # points, of its largest letters
    y: float = 0.0
    bold_chars: int = 0

    @property
    def is_bold(self) -> bool:
        return self.bold_chars >= len(self.text.strip()) > 0


def read(data: bytes, url: str) -> Parsed:
    """Raises Unparsed, or what pypdf raises for a damaged file."""
    reader = PdfReader(io.BytesIO(data), strict=False)
    try:
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unparsed("is protected by a password")
        if len(reader.pages) > MOST_PAGES:
            raise Unparsed(f"has more than {MOST_PAGES} pages")
        pages = list(_pages(reader))
    except (DependencyError, FileNotDecryptedError) as error:
        raise Unparsed("is protected by a password") from error
    blocks = tuple(_blocks(_without_running(pages)))
    if not blocks:
        raise Unparsed("holds no text (pictures of pages?): export it with text, or run OCR over it")
    title = str((reader.metadata and reader.metadata.title) or "")
    return Parsed(title=title.replace("\0", "").strip(), language=_language(reader), blocks=blocks)


def _pages(reader: PdfReader) -> Iterator[list[_Line]]:
    left = MOST_CHARS
    for page in reader.pages:
        lines = _lines(page)
        left -= sum(len(line.text) for line in lines)
        if left < 0:
            raise Unparsed(f"holds more than {MOST_CHARS} characters of text")
        yield lines


def _lines(page: PageObject) -> list[_Line]:
    lines = [_Line()]

    def visit(text: str, cm: list[float], tm: list[float], font: dict[str, Any] | None, size: float) -> None:
        height = abs(size * (abs(tm[3]) or abs(tm[1]) or 1) * (abs(cm[3]) or abs(cm[1]) or 1))
        is_bold = "bold" in str((font or {}).get("/BaseFont", "")).lower()
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append(_Line())
            line = lines[-1]
            if part.strip():
                line.y = tm[5] * (cm[3] or 1) + cm[5] if not line.text.strip() else line.y
                line.size = max(line.size, round(height * 2) / 2)
                line.bold_chars += len(part.strip()) if is_bold else 0
            line.text += part

    page.extract_text(visitor_text=visit)
    found = [line for line in lines if line.text.strip()]
    for line in found:
        line.text = " ".join(line.text.replace("\0", "").encode(errors="replace").decode().split())
    return found


def _without_running(pages: Sequence[list[_Line]]) -> list[list[_Line]]:
    """Pages without what most of them begin or end with, but for the first time that it stands there."""
    edges = Counter(key for page in pages for key in {_key(line) for line in (*page[:1], *page[-1:])})
    running = {key for key, count in edges.items() if len(pages) > 2 and count > len(pages) / 2}
    kept, seen = [], set[str]()
    for page in pages:
        again = {n for n in (0, len(page) - 1) if page and _key(page[n]) in running & seen}
        seen |= {_key(line) for line in (*page[:1], *page[-1:])}
        kept.append([line for n, line in enumerate(page) if n not in again])
    return kept


def _key(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text)


def _blocks(pages: Sequence[list[_Line]]) -> Iterator[Block]:
    lines = [line for page in pages for line in page]
    weights = Counter[float]()
    for line in lines:
        weights[line.size] += len(line.text)
    body = weights.most_common(1)[0][0] if weights else 0.0
    levels = _levels(lines, body)
    paragraph: list[_Line] = []
    for line in lines:
        level = _level(line, body, levels)
        if level or (paragraph and _is_apart(paragraph[-1], line)):
            yield from _paragraph(paragraph)
            paragraph = []
        if level:
            yield Block(Kind.HEADING, line.text, level)
        else:
            paragraph.append(line)
    yield from _paragraph(paragraph)


def _levels(lines: Sequence[_Line], body: float) -> dict[float, int]:
    larger = {line.size for line in lines if line.size >= body * _HEADING_RATIO and len(line.text) <= _HEADING_CHARS}
    return {size: min(place, 5) for place, size in enumerate(sorted(larger, reverse=True), 1)}


def _level(line: _Line, body: float, levels: dict[float, int]) -> int:
    if len(line.text) > _HEADING_CHARS or not any(letter.isalpha() for letter in line.text):
        return 0
    if line.size in levels:
        return levels[line.size]
    is_title = line.is_bold and line.size >= body and len(line.text) < 80 and line.text[-1] not in ".,;:"
    return min(len(levels) + 1, 6) if is_title else 0


def _is_apart(before: _Line, line: _Line) -> bool:
    gap = before.y - line.y
    return gap > 1.6 * max(before.size, line.size, 1) or gap < -1 or bool(_BULLET.match(line.text))


def _paragraph(lines: Sequence[_Line]) -> Iterator[Block]:
    text = ""
    for line in lines:
        is_split = text[-1:] == "-" and text[-2:-1].isalpha() and line.text[:1].islower()
        text = text[:-1] + line.text if is_split else f"{text} {line.text}".strip()
    if bullet := _BULLET.match(text):
        yield Block(Kind.LIST, f"- {text[bullet.end() :]}")
    elif text:
        yield Block(Kind.PARAGRAPH, text)


def _language(reader: PdfReader) -> str:
    found = reader.root_object.get("/Lang", "")
    return found.split("-")[0].lower()[:8] if isinstance(found, str) else ""
