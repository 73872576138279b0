"""From the tree to text: what all forms share, and the form without any markup."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import ClassVar, Final

from adapters.rendering.links import address, label
from adapters.rendering.tree import (
    Block,
    Code,
    CodeBlock,
    Heading,
    Inline,
    Items,
    Link,
    Paragraph,
    Quote,
    Rule,
    Style,
    Styled,
    Table,
    Text,
)
from bot.model import value


class Kind(Enum):
    """What a piece of a line is: words as they are to be read, a mark of ours, anything else of ours."""

    WORDS = 0
    OPENS = 1
    CLOSES = 2
    OTHER = 3


@value
class Piece:
    """Part of a line."""

    kind: Kind
    text: str


@value
class Row:
    """A line of output. Code is not indented: its white space means something."""

    text: str
    is_code: bool = False


ZERO_WIDTH_SPACE: Final = "\u200b"
_BREAK: Final = Piece(Kind.OTHER, "\n")
_BLANK: Final = Row("")


class Plain:
    """Text without markup. The other forms say what is different about them."""

    marks: ClassVar[Mapping[Style, str]] = {}
    bullet: ClassVar[str] = "-"
    indent: ClassVar[str] = "  "

    def write(self, blocks: Sequence[Block]) -> str:
        """The blocks, with a blank line between those that a reader takes apart."""
        return "\n".join(row.text for row in self._rows(blocks, is_tight=False)).strip("\n")

    # --- what a form does in its own way ---------------------------------------------------------------------------

    def settled(self, pieces: Sequence[Piece]) -> str:
        """The pieces of one line, with the words written so that they are read as they stand."""
        return "".join(piece.text for piece in pieces)

    def code(self, text: str) -> Piece:
        """Code within a line."""
        return Piece(Kind.WORDS, text)

    def link(self, link: Link) -> Iterator[Piece]:
        """The words of a link, and where it leads."""
        said = label(link)
        if said:
            yield Piece(Kind.WORDS, f"{said}: ")
        yield Piece(Kind.OTHER, address(link.url))

    def heading(self, heading: Heading) -> str:
        return self.line((Styled(Style.STRONG, heading.children),))

    def code_rows(self, code: CodeBlock) -> Iterator[Row]:
        return (Row(line, is_code=True) for line in code.text.split("\n"))

    def table_rows(self, table: Table) -> Iterator[Row]:
        for number, row in enumerate(table.rows):
            cells: Sequence[Sequence[Inline]] = row if number else [(Styled(Style.STRONG, cell),) for cell in row]
            yield Row(" | ".join(map(self.line, cells)))

    # --- blocks ----------------------------------------------------------------------------------------------------

    def _rows(self, blocks: Sequence[Block], *, is_tight: bool) -> Iterator[Row]:
        before: Block | None = None
        for block in blocks:
            if before is not None and not is_tight and _is_apart(before, block):
                yield _BLANK
            yield from self._block(block)
            before = block

    def _block(self, block: Block) -> Iterator[Row]:
        match block:
            case Paragraph():
                return map(Row, self.line(block.children).split("\n"))
            case Heading():
                return map(Row, self.heading(block).split("\n"))
            case CodeBlock():
                return self.code_rows(block) if block.text.strip() else iter(())
            case Quote():
                return (Row(f"> {row.text}") for row in self._rows(block.blocks, is_tight=False))
            case Items():
                return self._items(block)
            case Table():
                return self.table_rows(block)
            case Rule():
                return iter((Row("---"),))

    def _items(self, items: Items) -> Iterator[Row]:
        for number, item in enumerate(items.items):
            sign = self.bullet if items.first is None else f"{items.first + number}."
            is_signed = False
            for row in self._rows(item, is_tight=True):
                if not is_signed and not row.is_code:
                    yield Row(f"{sign} {row.text}")
                else:
                    if not is_signed:
                        yield Row(sign)
                    yield row if row.is_code else Row(self.indent + row.text)
                is_signed = True

    # --- within a line ---------------------------------------------------------------------------------------------

    def line(self, nodes: Sequence[Inline]) -> str:
        """Inline nodes written down; what is set off over several lines is set off in each of them."""
        lines: list[list[Piece]] = [[]]
        for piece in self._pieces(nodes, ()):
            if piece is _BREAK:
                lines.append([])
            else:
                lines[-1].append(piece)
        return "\n".join(map(self.settled, lines))

    def _pieces(self, nodes: Sequence[Inline], open_marks: tuple[str, ...]) -> Iterator[Piece]:
        for node in nodes:
            match node:
                case Text():
                    yield from _words(node.text, open_marks)
                case Code():
                    yield self.code(node.text)
                case Link():
                    yield from self.link(node)
                case Styled():
                    yield from self._styled(node, open_marks)

    def _styled(self, node: Styled, open_marks: tuple[str, ...]) -> Iterator[Piece]:
        mark = self.marks.get(node.style, "")
        if not mark or mark in open_marks:
            yield from self._pieces(node.children, open_marks)
            return
        yield Piece(Kind.OPENS, mark)
        yield from self._pieces(node.children, (*open_marks, mark))
        yield Piece(Kind.CLOSES, mark)


def _words(text: str, open_marks: tuple[str, ...]) -> Iterator[Piece]:
    for number, line in enumerate(text.split("\n")):
        if number:
            yield from (Piece(Kind.CLOSES, mark) for mark in reversed(open_marks))
            yield _BREAK
            yield from (Piece(Kind.OPENS, mark) for mark in open_marks)
        if line:
            yield Piece(Kind.WORDS, line)


def _is_apart(before: Block, block: Block) -> bool:
    """Not what a heading stands over, nor a list and the sentence that announces it."""
    return not isinstance(before, Heading) and not (isinstance(before, Paragraph) and isinstance(block, Items))


def positions_in(positions: Sequence[int], start: int, end: int) -> Sequence[int]:
    """Those of the sorted positions that lie from `start` to before `end`."""
    return positions[bisect_left(positions, start) : bisect_left(positions, end)]
