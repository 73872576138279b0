"""Markdown as a small tree, which all forms are written from."""

from enum import StrEnum

from bot.model import value


class Style(StrEnum):
    """How words are set off."""

    STRONG = "strong"
    EMPHASIS = "em"
    STRIKE = "s"


@value
class Text:
    """Words as they are to be read; they may hold line ends."""

    text: str


@value
class Code:
    """Code within a line."""

    text: str


@value
class Styled:
    """Words that are set off."""

    style: Style
    children: "tuple[Inline, ...]"


@value
class Link:
    """An address, percent-encoded, and the words that it hides behind."""

    url: str
    children: "tuple[Inline, ...]"


Inline = Text | Code | Styled | Link


@value
class Paragraph:
    children: tuple[Inline, ...]


@value
class Heading:
    """`level` is 1 to 6."""

    level: int
    children: tuple[Inline, ...]


@value
class CodeBlock:
    """Lines of code. `language` is what the author wrote behind the fence, if it is one word."""

    text: str
    language: str = ""


@value
class Quote:
    blocks: "tuple[Block, ...]"


@value
class Items:
    """A list; `first` is the number of its first item, None for bullets."""

    first: int | None
    items: "tuple[tuple[Block, ...], ...]"


@value
class Table:
    """Rows of cells, the first of which is the head. Rows are as long as their last cell that is not empty."""

    rows: tuple[tuple[tuple[Inline, ...], ...], ...]


@value
class Rule:
    """A line across the page."""


Block = Paragraph | Heading | CodeBlock | Quote | Items | Table | Rule
