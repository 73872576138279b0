"""A table as lines of equal columns, for a font in which all characters are equally wide."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from adapters.rendering.links import words
from adapters.rendering.tree import Table

_WIDEST: Final = 30  # columns a cell is padded to; a longer one pushes those behind it to the right
_GAP: Final = "  "


def aligned(table: Table) -> Sequence[str]:
    """The rows, with a line under the head. Cells are words alone."""
    rows = [[words(cell) for cell in row] for row in table.rows]
    widths = [0] * max(map(len, rows), default=0)
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], min(_width(cell), _WIDEST))
    lines = [_line(row, widths) for row in rows]
    return [*lines[:1], _GAP.join("-" * width for width in widths), *lines[1:]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _width(text: str) -> int:
    """How many columns the text takes, as terminals count them."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)
