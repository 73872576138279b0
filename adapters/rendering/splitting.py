"""Cutting a text into parts that a platform carries.

The parts tile the text: put together they are it, to the character, so nothing is lost and nothing is said twice. A cut is
made where a reader expects one (between paragraphs, lines, sentences, words), never inside a code block or a link that fits
into a part as a whole, and never inside what a reader sees as one character, unless that alone is longer than a part.

A code block longer than a part is cut between its lines. Its fence is not repeated, for that would add text; instead the cut is made
before the end of a line, and nowhere else is one made there. So a part that is not the first and begins with the end of a line, and
not with an empty line, goes on with code. A line of code that alone is longer than a part is cut like any text, and what follows in its
block cannot be told from text.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final

Span = tuple[int, int]
Measure = Callable[[str], int]

# Where a cut may follow, best first. Every expression takes time in proportion to what it reads.
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
_LINE: Final = re.compile(r"\n")
_SENTENCE: Final = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]")
_WORD: Final = re.compile(r"\s+")
_LEAST_FILL: Final = 4  # a part is filled to at least one in this many, where there is a choice
_TRIES: Final = 8  # after so many a part that measures too much is halved

_FENCE: Final = re.compile(r"^[ \t]*(`{3,}(?=[^`\n]*$)|~{3,})", re.MULTILINE)
_INLINE: Final = re.compile(r"!?\[[^\[\]\n]*\]\([^()\s]*\)|`[^`\n]+`|https?://[^\s<>]+")

_ZERO_WIDTH_JOINER: Final = "\u200d"
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})
_OTHER_EXTENDING: Final = re.compile("[\u200c\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]").match
_REGIONAL: Final = re.compile("[\U0001f1e6-\U0001f1ff]").match
_HANGUL: Final = re.compile(
    "[\u1100-\u115f][\u1100-\u11a7\uac00-\ud7a3]|[\u1160-\u11ff\uac00-\ud7a3][\u1160-\u11ff]"
).match


def split(text: str, limit: int, measure: Measure | None = None) -> tuple[str, ...]:
    """`text` in parts of at most `limit` characters, which together are exactly `text`; none for an empty one. With `measure` each part
    also measures at most `limit`, unless it is a single character.

    Takes time in proportion to the text, whatever is in it, if `measure` does. A part may consist of white space alone where the
    text has that much of it; such a part need not be sent.
    """
    if limit < 1:
        raise ValueError("a part holds at least one character")
    if len(text) <= limit and (measure is None or measure(text) <= limit):
        return (text,) if text else ()
    return tuple(_Cutter(text, limit, measure or len).parts())


class _Cutter:
    """One text while it is cut."""

    def __init__(self, text: str, limit: int, measure: Measure) -> None:
        self._text = text
        self._limit = limit
        self._measure = measure
        self._blocks = list(_code_blocks(text))
        self._wholes = list(_wholes(text, self._blocks))

    def parts(self) -> Iterator[str]:
        start = 0
        while start < len(self._text):
            end = self._end(start)
            yield self._text[start:end]
            start = end

    def _end(self, start: int) -> int:
        """Where the part that begins at `start` ends: the first cut that measures no more than the limit."""
        size, tries = self._limit, 0
        while True:
            end = self._cut(start, size)
            length = end - start
            measured = self._measure(self._text[start:end])
            if measured <= self._limit or length == 1:
                return end
            tries += 1
            size = min(length - 1, length * self._limit // measured if tries < _TRIES else length // 2) or 1

    def _cut(self, start: int, size: int) -> int:
        """Where a part of at most `size` characters is best cut."""
        if len(self._text) - start <= size:
            return len(self._text)
        most = start + size
        whole = _around(most, self._wholes, size)
        if whole and whole[0] > start:
            most = whole[0]  # it goes into the next part
        least = start + size // _LEAST_FILL
        for ends, earliest in (
            (self._ends(_PARAGRAPH, start, most), least),
            (self._ends_of_code(start, most), least),
            (self._ends(_LINE, start, most), least),
            (self._ends(_SENTENCE, start, most), least),
            (self._ends(_WORD, start, most), start),
        ):
            best = max((end for end in ends if end > earliest and self._is_free(end, start, size)), default=0)
            if best:
                return best
        return next((end for end in range(most, start, -1) if self._is_free(end, start, size)), start + size)

    def _ends(self, place: re.Pattern[str], start: int, most: int) -> Iterator[int]:
        """Where that which is found ends, outside of code blocks."""
        ends = (found.end() for found in place.finditer(self._text, start, most))
        return (end for end in ends if not _around(end, self._blocks))

    def _ends_of_code(self, start: int, most: int) -> Iterator[int]:
        """Before the ends of lines of code, where the next is not empty."""
        ends = (found.start() for found in _LINE.finditer(self._text, start, most + 1))
        return (end for end in ends if _around(end, self._blocks) and continues_code(self._text[end : end + 2]))

    def _is_free(self, at: int, floor: int, size: int) -> bool:
        if _around(at, self._wholes, size) or not is_boundary(self._text, at, floor):
            return False
        return bool(_around(at, self._blocks)) or not continues_code(self._text[at : at + 2])


def continues_code(part: str) -> bool:
    """Whether a part that is not the first begins within a code block."""
    return part[:1] == "\n" and part[1:2] not in ("", "\n")


# --- what stays whole ----------------------------------------------------------------------------------------------


def _wholes(text: str, blocks: Sequence[Span]) -> Iterator[Span]:
    """Code blocks, and links and code between them, in order and apart from each other."""
    at = 0
    for start, end in [*blocks, (len(text), len(text))]:
        yield from (found.span() for found in _INLINE.finditer(text, at, start))
        yield start, end
        at = end


def _code_blocks(text: str) -> Iterator[Span]:
    """Fenced blocks with their fences and the line's end; a fence that nothing closes reaches to the end of the text."""
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
            continue
        line_end = text.find("\n", fence.end()) + 1 or len(text)
        is_closing = fence[1].startswith(opening[1]) and not text[fence.end() : line_end].strip()
        if is_closing:
            yield opening.start(), line_end
            opening = None
    if opening is not None:
        yield opening.start(), len(text)


def _around(at: int, spans: Sequence[Span], size: int | None = None) -> Span | None:
    """The span, of at most `size` characters, that a cut at `at` would tear."""
    index = bisect_left(spans, (at, 0)) - 1
    if index < 0 or spans[index][1] <= at or (size is not None and spans[index][1] - spans[index][0] > size):
        return None
    return spans[index]


# --- what a reader sees as one character ---------------------------------------------------------------------------


def is_boundary(text: str, at: int, floor: int = 0) -> bool:
    """Whether a character, as a reader sees it, ends before `at`; looks back no further than `floor`, which is one.

    Follows the grapheme clusters of Unicode's annex 29 and is stricter in one place: nothing is cut after a joiner.
    """
    if at <= floor or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    if before in "\r\n":
        return True
    if _ZERO_WIDTH_JOINER in (before, after) or unicodedata.category(after) in _MARKS or _OTHER_EXTENDING(after):
        return False
    if _REGIONAL(after):
        return _count_regional(text, at, floor) % 2 == 0
    return not _HANGUL(before + after)


def _count_regional(text: str, at: int, floor: int) -> int:
    """How many halves of flags stand right before `at`."""
    count = 0
    while at - count > floor and _REGIONAL(text[at - count - 1]):
        count += 1
    return count
