"""The sentences and blocks of found passages that answer a question. Pure, extractive: nothing is ever reworded.

A unit is what can be quoted by itself: a sentence, a table row, a list, or a code block with the sentence that leads to it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.knowledge.blocks import Block, Kind, list_items, markdown_blocks, sentences, strip_local_links
from bot.knowledge.words import informative_words, split_words, stem
from bot.model import Found

MOST_UNITS = 4
MOST_CHARS = 1500  # of one quoted block: a longer list gives single items, longer code is left out
SHORT_PASSAGE_CHARS = 450  # a passage this short is quoted whole
TITLE_SHARE = 0.6  # what a word of the heading path is worth to each unit under it
COMPANION_SHARE = 0.6  # of the best unit's worth: what a further unit needs
KNOWN_COVERAGE = 0.52  # measured on docs/: see tests/llm/test_offline_questions.py
KNOWN_UNIT = 0.4


@dataclass(frozen=True, slots=True)
class Quote:
    """Markdown text of one passage, verbatim but for links and table marks. `found` is the passage's place in the results."""

    found: int
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the passages fit a question: share of its words held by the best passage, and by its best unit."""

    coverage: float
    unit: float

    @property
    def is_enough(self) -> bool:
        return self.coverage >= KNOWN_COVERAGE and self.unit >= KNOWN_UNIT


@dataclass(frozen=True, slots=True)
class _Unit:
    found: int
    order: int
    is_block: bool
    text: str
    stems: frozenset[str]
    title_stems: frozenset[str]


def quote(question: str, found: Sequence[Found]) -> list[Quote]:
    """What answers the question, in the passages' order; empty when the passages do not hold an answer."""
    units = _units(found)
    wanted = _stems(" ".join(informative_words(question)))
    if not units or not weigh(question, found).is_enough:
        return []
    weights = _weights(wanted, units)
    worth = {unit: _worth(unit, weights, found) for unit in units}
    best = max(units, key=lambda unit: worth[unit])
    return _joined(_companions(best, units, worth))


def weigh(question: str, found: Sequence[Found]) -> Evidence:
    """Whether there is an answer at all."""
    units = _units(found)
    wanted = _stems(" ".join(informative_words(question)))
    if not units or not wanted:
        return Evidence(0.0, 0.0)
    weights = _weights(wanted, units)
    total = sum(weights.values())
    held = (sum(weights[word] for word in wanted & (unit.stems | unit.title_stems)) for unit in units)
    return Evidence(max(one.coverage for one in found), max(held) / total)


def _companions(best: _Unit, units: Sequence[_Unit], worth: dict[_Unit, float]) -> list[_Unit]:
    """The best unit and what belongs with it: the rest of a short passage, or units nearly as good."""
    own = [unit for unit in units if unit.found == best.found]
    if len(own) <= MOST_UNITS and sum(len(unit.text) for unit in own) <= SHORT_PASSAGE_CHARS:
        return own
    good = [unit for unit in own if worth[unit] >= COMPANION_SHARE * worth[best] and unit != best]
    good.sort(key=lambda unit: (abs(unit.order - best.order), unit.order))
    return sorted([best, *good[: MOST_UNITS - 1]], key=lambda unit: unit.order)


def _joined(units: Sequence[_Unit]) -> list[Quote]:
    """Sentences that follow each other in one passage become one quote; blocks stand alone."""
    quotes = [Quote(units[0].found, units[0].text)]
    for before, unit in pairwise(units):
        if unit.found == before.found and unit.order == before.order + 1 and not (unit.is_block or before.is_block):
            quotes[-1] = Quote(unit.found, f"{quotes[-1].text} {unit.text}")
        else:
            quotes.append(Quote(unit.found, unit.text))
    return quotes


def _worth(unit: _Unit, weights: dict[str, float], found: Sequence[Found]) -> float:
    own = sum(weight for word, weight in weights.items() if word in unit.stems)
    title = sum(weight for word, weight in weights.items() if word in unit.title_stems - unit.stems)
    top = max(one.score for one in found) or 1.0
    return (own + TITLE_SHARE * title) * (0.5 + 0.5 * found[unit.found].score / top) / (1 + 0.02 * unit.order)


def _weights(wanted: frozenset[str], units: Sequence[_Unit]) -> dict[str, float]:
    """Inverse frequency among the units: what stands everywhere tells them apart least."""
    return {word: math.log(1 + len(units) / (1 + sum(word in unit.stems for unit in units))) for word in wanted}


def _units(found: Sequence[Found]) -> list[_Unit]:
    units = []
    for place, one in enumerate(found):
        title = _stems(one.passage.title)
        for order, (text, is_block) in enumerate(_quotable(one.passage.text)):
            units.append(_Unit(place, order, is_block, text, _stems(text), title))
    return units


def _quotable(text: str) -> Iterator[tuple[str, bool]]:
    """The units of a passage in order, each with whether it is a block. A sentence before a block leads to it."""
    lead = ""
    for block in markdown_blocks(text):
        if block.kind in (Kind.PARAGRAPH, Kind.HEADING):
            if lead:
                yield lead, False
            *whole, lead = [strip_local_links(one) for one in sentences(block.text.replace("\n> ", "\n").lstrip("> "))]
            yield from ((one, False) for one in whole)
            continue
        parts = list(_block_parts(block))
        if len(parts) == 1 and lead and (block.kind is Kind.CODE or lead.endswith(":")):
            yield f"{lead}\n\n{parts[0]}", True
        else:
            yield from ((one, True) for one in ([lead] if lead else []) + parts)
        lead = ""
    if lead:
        yield lead, False


def _block_parts(block: Block) -> list[str]:
    match block.kind:
        case Kind.CODE:
            return [block.text] if len(block.text) <= MOST_CHARS else []
        case Kind.TABLE:
            return [row for row in map(_row_text, block.text.split("\n")[2:]) if row]
        case _ if len(block.text) <= MOST_CHARS // 2:
            return [strip_local_links(block.text)]
        case _:
            return [strip_local_links(item) for item in list_items(block.text)]


def _row_text(row: str) -> str:
    """A table row as a line: chats show no tables."""
    cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    filled = [strip_local_links(cell) for cell in cells if cell]
    return f"- {filled[0]}: {' – '.join(filled[1:])}" if len(filled) > 1 else "".join(filled)


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in split_words(text))
