"""The sentences and blocks of found passages that answer a question. Pure, extractive: nothing is ever reworded.

A unit is what can be quoted by itself: a sentence, a table row, a list, or a code block with the sentence that leads to it.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from bot.knowledge.blocks import Block, Kind, list_items, markdown_blocks, sentences, strip_local_links
from bot.knowledge.words import informative_words, split_words, stem
from bot.model import Found

_FOOTNOTE = re.compile(r"\[(\d+)\](?!\()")
_ITEM_MARK = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+")

MOST_UNITS = 4
MOST_CHARS = 1500  # of one quoted block: a longer list gives single items, longer code is left out
SHORT_PASSAGE_CHARS = 450  # a passage this short is quoted whole
TITLE_SHARE = 0.7  # what a word of the heading path is worth to each unit under it
SAME_QUESTION = 0.75  # headings that hold this share of the question ask the same: the passage is quoted from its start
COMPANION_SHARE = 0.65  # of the best unit's worth: what a further unit needs
KNOWN_COVERAGE = 0.52  # measured on docs/, with room to both sides: see tests/llm/test_questions.py
KNOWN_UNIT = 0.52


class Shape(StrEnum):
    """How a unit is written; it decides what may join it."""

    SENTENCE = "sentence"
    ROW = "row"  # of a table or a long list
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Quote:
    """Text of one passage, verbatim but for links and table marks. `found` is the passage's place in the results; `lead` is
    the sentence that leads to a block, if there is one."""

    found: int
    text: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the passages fit a question: the share of its words held by the best passage, and by the best unit (with the
    headings above it)."""

    coverage: float
    unit: float

    @property
    def is_enough(self) -> bool:
        return self.coverage >= KNOWN_COVERAGE and self.unit >= KNOWN_UNIT


@dataclass(frozen=True, slots=True)
class _Unit:
    found: int
    order: int
    shape: Shape
    lead: str
    text: str
    stems: frozenset[str]
    title_stems: frozenset[str]


def quote(question: str, found: Sequence[Found]) -> list[Quote]:
    """What answers the question, in the passages' order; empty when the passages do not hold an answer."""
    units, wanted = _units(found), _stems(" ".join(informative_words(question)))
    weights = _weights(wanted, units)
    if not _evidence(weights, units, found).is_enough:
        return []
    worth = {unit: _worth(unit, weights, found) for unit in units}
    best = max(units, key=lambda unit: worth[unit])
    own = [unit for unit in units if unit.found == best.found]
    if _is_whole(own) or _held(weights, best.title_stems) >= SAME_QUESTION:
        return _joined(own[:MOST_UNITS])
    return _joined(_companions(best, own, wanted, worth))


def _evidence(weights: dict[str, float], units: Sequence[_Unit], found: Sequence[Found]) -> Evidence:
    if not units or not weights:
        return Evidence(0.0, 0.0)
    even = dict.fromkeys(weights, 1.0)  # by number too: one rare word of two is no answer
    words = [unit.stems | unit.title_stems for unit in units]
    best = max(min(_held(weights, stems), _held(even, stems)) for stems in words)
    return Evidence(max(one.coverage for one in found), best)


def _held(weights: dict[str, float], stems: frozenset[str]) -> float:
    """The share of the question that is among these words."""
    return sum(weights[word] for word in weights.keys() & stems) / sum(weights.values())


def _is_whole(own: Sequence[_Unit]) -> bool:
    """Whether the passage is short enough to be quoted as it stands."""
    if any(unit.shape is Shape.ROW for unit in own):
        return False
    return len(own) <= MOST_UNITS and sum(len(unit.lead) + len(unit.text) for unit in own) <= SHORT_PASSAGE_CHARS


def _companions(best: _Unit, own: Sequence[_Unit], wanted: frozenset[str], worth: dict[_Unit, float]) -> list[_Unit]:
    """The best unit with those of its passage that are nearly as good, for a word of their own or because they follow."""
    chosen = [best]
    for unit in sorted(own, key=lambda unit: (abs(unit.order - best.order), unit.order)):
        is_speaking = bool(unit.stems & (wanted - unit.title_stems))
        is_next = unit.shape is not Shape.ROW and any(unit.order == other.order + 1 for other in chosen)
        if unit is not best and worth[unit] >= COMPANION_SHARE * worth[best] and (is_speaking or is_next):
            chosen.append(unit)
    return sorted(chosen[:MOST_UNITS], key=lambda unit: unit.order)


def _joined(units: Sequence[_Unit]) -> list[Quote]:
    """Sentences that follow each other become one quote, as do rows; blocks stand alone."""
    quotes = [Quote(units[0].found, units[0].text, units[0].lead)]
    for before, unit in pairwise(units):
        is_sentence = unit.shape is before.shape is Shape.SENTENCE and unit.order == before.order + 1
        if is_sentence or unit.shape is before.shape is Shape.ROW:
            quotes[-1] = Quote(unit.found, f"{quotes[-1].text}{' ' if is_sentence else chr(10)}{unit.text}")
        else:
            quotes.append(Quote(unit.found, unit.text, unit.lead))
    return quotes


def _worth(unit: _Unit, weights: dict[str, float], found: Sequence[Found]) -> float:
    own = sum(weight for word, weight in weights.items() if word in unit.stems)
    title = sum(weight for word, weight in weights.items() if word in unit.title_stems - unit.stems)
    top = max(one.score for one in found) or 1.0
    return (own + TITLE_SHARE * title) * (0.3 + 0.7 * found[unit.found].score / top) / (1 + 0.02 * unit.order)


def _weights(wanted: frozenset[str], units: Sequence[_Unit]) -> dict[str, float]:
    """Inverse frequency among the units: what stands everywhere tells them apart least."""
    return {word: math.log(1 + len(units) / (1 + sum(word in unit.stems for unit in units))) for word in wanted}


def _units(found: Sequence[Found]) -> list[_Unit]:
    units = []
    for place, one in enumerate(found):
        title = _stems(one.passage.title)
        for order, (shape, lead, text) in enumerate(_quotable(one.passage.text)):
            units.append(_Unit(place, order, shape, lead, text, _stems(f"{lead} {text}"), title))
    return units


def _quotable(text: str) -> Iterator[tuple[Shape, str, str]]:
    """The units of a passage in order: shape, lead and text. The sentence before a block leads to it."""
    lead = ""
    for block in markdown_blocks(text):
        if block.kind in (Kind.PARAGRAPH, Kind.HEADING):
            if lead:
                yield Shape.SENTENCE, "", lead
            *whole, lead = [_plain(one) for one in sentences(block.text.replace("\n> ", "\n").lstrip("> "))] or [""]
            yield from ((Shape.SENTENCE, "", one) for one in whole)
            continue
        shape, parts = _block_parts(block)
        is_led_in = shape is Shape.BLOCK and bool(parts) and (block.kind is Kind.CODE or lead.endswith(":"))
        if lead and not is_led_in:
            yield Shape.SENTENCE, "", lead
        yield from ((shape, lead if is_led_in else "", part) for part in parts)
        lead = ""
    if lead:
        yield Shape.SENTENCE, "", lead


def _block_parts(block: Block) -> tuple[Shape, list[str]]:
    match block.kind:
        case Kind.CODE:
            return Shape.BLOCK, [block.text] if len(block.text) <= MOST_CHARS else []
        case Kind.TABLE:
            return Shape.ROW, [row for row in map(_row_text, block.text.split("\n")[2:]) if row]
        case _ if len(block.text) <= MOST_CHARS // 2:
            return Shape.BLOCK, [_plain(block.text)]
        case _:
            return Shape.ROW, [_plain(_ITEM_MARK.sub("- ", " ".join(item.split()))) for item in list_items(block.text)]


def _row_text(row: str) -> str:
    """A table row as a list item: chats show no tables."""
    filled = [_plain(cell.strip()) for cell in row.strip().strip("|").split("|") if cell.strip()]
    return f"- {filled[0]}: {' – '.join(filled[1:])}" if len(filled) > 1 else "".join(filled)


def _plain(text: str) -> str:
    """Without links that lead nowhere in a chat, and without what would be taken for one of our citations."""
    return _FOOTNOTE.sub(r"(\1)", strip_local_links(text))


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in split_words(text))
