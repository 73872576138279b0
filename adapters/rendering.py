"""Cutting a text into parts that a platform carries.

The parts tile the text: put together they are it, to the character, so nothing is lost and nothing is said twice. A cut is
made where a reader expects one (between paragraphs, lines, sentences, words), never inside a code block or a link that fits
into a part as a whole, and never inside what a reader sees as one character, unless that alone is longer than a part.
A code block longer than a part is cut between its lines; its fence is not repeated, for that would add text.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

Span = tuple[int, int]

# Where a cut may follow, best first. Every expression takes time in proportion to what it reads.
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
_LINE: Final = re.compile(r"\n")
_SENTENCE: Final = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]")
_WORD: Final = re.compile(r"\s+")
_LEAST_FILL: Final = 4  # a part is filled to at least one in this many, where there is a choice

_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_INLINE: Final = re.compile(r"!?\[[^\[\]\n]*\]\([^()\s]*\)|`[^`\n]+`|https?://[^\s<>]+")

_ZERO_WIDTH_JOINER: Final = "\u200d"
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})
_OTHER_EXTENDING: Final = re.compile("[\u200c\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]").match
_REGIONAL: Final = re.compile("[\U0001f1e6-\U0001f1ff]").match
_HANGUL: Final = re.compile(
    "[\u1100-\u115f][\u1100-\u11a7\uac00-\ud7a3]|[\u1160-\u11ff\uac00-\ud7a3][\u1160-\u11ff]"
).match


def split(text: str, limit: int) -> tuple[str, ...]:
    """`text` in parts of at most `limit` characters, which together are exactly `text`; none for an empty one.

    Takes time in proportion to the text, whatever is in it. A part may consist of white space alone where the text has
    that much of it; such a part need not be sent.
    """
    if limit < 1:
        raise ValueError("a part holds at least one character")
    if len(text) <= limit:
        return (text,) if text else ()
    wholes = [(start, end) for start, end in _wholes(text) if end - start <= limit]
    return tuple(text[start:end] for start, end in _parts(text, limit, wholes))


def _parts(text: str, limit: int, wholes: Sequence[Span]) -> Iterator[Span]:
    start = 0
    while len(text) - start > limit:
        end = _cut(text, start, limit, wholes)
        yield start, end
        start = end
    yield start, len(text)


def _cut(text: str, start: int, limit: int, wholes: Sequence[Span]) -> int:
    """Where the part that begins at `start` ends."""
    most = start + limit
    whole = _around(most, wholes)
    if whole and whole[0] > start:
        most = whole[0]  # it goes into the next part
    least = start + limit // _LEAST_FILL
    for place, earliest in ((_PARAGRAPH, least), (_LINE, least), (_SENTENCE, least), (_WORD, start)):
        ends = (found.end() for found in place.finditer(text, start, most))
        best = max((end for end in ends if end > earliest and _is_free(text, end, start, wholes)), default=0)
        if best:
            return best
    return next((end for end in range(most, start, -1) if _is_free(text, end, start, wholes)), start + limit)


def _is_free(text: str, at: int, floor: int, wholes: Sequence[Span]) -> bool:
    return not _around(at, wholes) and is_boundary(text, at, floor)


# --- what stays whole ----------------------------------------------------------------------------------------------


def _wholes(text: str) -> list[Span]:
    """Code blocks, and links and code between them, in order and apart from each other."""
    blocks = list(_code_blocks(text))
    spans, at = [], 0
    for start, end in [*blocks, (len(text), len(text))]:
        spans += [found.span() for found in _INLINE.finditer(text, at, start)]
        spans.append((start, end))
        at = end
    return spans


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


def _around(at: int, wholes: Sequence[Span]) -> Span | None:
    """The span that a cut at `at` would tear."""
    index = bisect_left(wholes, (at, 0)) - 1
    return wholes[index] if index >= 0 and wholes[index][1] > at else None


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
