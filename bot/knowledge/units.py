"""The parts of passages that can be quoted by themselves: a sentence, a table row, a list, or code with the sentence that leads to it."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from bot.knowledge.blocks import Block, Kind, list_items, markdown_blocks, sentences, strip_local_links
from bot.knowledge.words import split_words, stem
from bot.model import Found, value

MOST_CHARS = 1500  # of one block: a longer list gives single items, longer code is left out
_FOOTNOTE = re.compile(r"\[(\d+)\](?!\()")
_ITEM_MARK = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+")


class Shape(StrEnum):
    """How a unit is written; it decides what may join it."""

    SENTENCE = "sentence"
    ROW = "row"  # of a table or a long list
    BLOCK = "block"


@value
class Unit:
    """Text of a passage that can be quoted by itself, with the stems of its own words, of the headings above it, and of its block: the
    paragraph, or the row with the head of its table."""

    found: int
    order: int
    block: int
    table: str  # the head of the table that a row stands in
    shape: Shape
    lead: str
    text: str
    stems: frozenset[str]
    title_stems: frozenset[str]
    block_stems: frozenset[str]


def units_of(found: Sequence[Found]) -> list[Unit]:
    """The units of all passages, in order."""
    units = []
    for place, one in enumerate(found):
        title = _stems(one.passage.title)
        parts = list(_quotable(one.passage.text))
        stems = [_stems(f"{part.lead} {part.text}") for part in parts]
        blocks: dict[int, frozenset[str]] = {}
        for part, own in zip(parts, stems, strict=True):
            head = _stems(part.table) if part.table else frozenset()
            blocks[part.block] = blocks.get(part.block, head) | own
        for order, (part, own) in enumerate(zip(parts, stems, strict=True)):
            around = blocks[part.block]
            units.append(
                Unit(place, order, part.block, part.table, part.shape, part.lead, part.text, own, title, around)
            )
    return units


@value
class _Part:
    """A unit before it is weighed."""

    block: int
    shape: Shape
    text: str
    lead: str = ""
    table: str = ""


def _quotable(text: str) -> Iterator[_Part]:
    """The units of a passage in order. A paragraph is one block, and so is each row; the sentence before a list or code leads to it."""
    number, lead = 0, ""
    for block in markdown_blocks(text):
        if block.kind in (Kind.PARAGRAPH, Kind.HEADING):
            if lead:
                yield _Part(number, Shape.SENTENCE, lead)
            number += 1
            *whole, lead = [_plain(one) for one in sentences(block.text.replace("\n> ", "\n").lstrip("> "))] or [""]
            yield from (_Part(number, Shape.SENTENCE, one) for one in whole)
            continue
        shape, parts = _block_parts(block)
        is_led_in = shape is Shape.BLOCK and bool(parts) and (block.kind is Kind.CODE or lead.endswith(":"))
        if lead and not is_led_in:
            yield _Part(number, Shape.SENTENCE, lead)
        table = block.text.split("\n", 1)[0] if block.kind is Kind.TABLE else ""
        for part in parts:
            number += not is_led_in
            yield _Part(number, shape, part, lead if is_led_in else "", table)
        lead = ""
        number += 1
    if lead:
        yield _Part(number, Shape.SENTENCE, lead)


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
