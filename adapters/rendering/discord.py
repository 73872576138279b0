"""Discord's Markdown, which can escape its marks. What would call somebody, show a picture or a preview is made inert."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

from adapters.rendering.links import address, is_honest, is_mail, label
from adapters.rendering.plain import ZERO_WIDTH_SPACE, Kind, Piece, Plain, Row, positions_in
from adapters.rendering.tables import aligned
from adapters.rendering.tree import Block, CodeBlock, Heading, Link, Style, Table

_FENCE: Final = "```"
_DEEPEST_HEADING: Final = 3  # support.discord.com, Markdown Text 101

# Marks that could be markup where they stand. What Discord cannot pair, such as a lone `_` in a name, stays as it is.
_MARKUP: Final = re.compile(
    r"\\(?=[!-/:-@\[-`{-~])|`|\*(?=\S)|(?<=\S)\*|(?<![^\W_])_|_(?![^\W_])|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\|"
)
_BRACKET: Final = re.compile(r"\[")
_LINE_START: Final = re.compile(r"\s*(?=#{1,3}\s|-#\s|>(?:>>)?\s|[-+*]\s)")
_LABEL: Final = str.maketrans("[]", "()")

# What Discord makes of text by itself, as its reference says under message formatting: mentions, commands, emoji, times, places.
_CALL: Final = re.compile(r"@(?=everyone|here)|<(?=[@#]|/[^<>\n]{1,100}:\d|a?:\w{1,40}:\d|t:-?\d|id:\w)", re.IGNORECASE)
_CALL_IN_ADDRESS: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)


class Discord(Plain):
    """The form of Discord. Calls are broken by a space of no width, in code too: a backslash only hides them from readers."""

    marks: ClassVar[Mapping[Style, str]] = {Style.STRONG: "**", Style.EMPHASIS: "*", Style.STRIKE: "~~"}

    def write(self, blocks: Sequence[Block]) -> str:
        return _CALL.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", super().write(blocks))

    def settled(self, pieces: Sequence[Piece]) -> str:
        line = "".join(piece.text for piece in pieces)
        marks = _marks(line, any("](" in piece.text for piece in pieces if piece.kind is Kind.WORDS))
        written: list[str] = []
        at, before = 0, Kind.OTHER
        for piece in pieces:
            if piece.kind is Kind.WORDS:
                written.append(_escaped(line, at, at + len(piece.text), marks))
            else:
                is_joined = piece.kind is Kind.OPENS and before is Kind.CLOSES
                written.append(ZERO_WIDTH_SPACE + piece.text if is_joined else piece.text)
            at, before = at + len(piece.text), piece.kind
        return "".join(written)

    def code(self, text: str) -> Piece:
        if "``" in text:
            return Piece(Kind.WORDS, text)
        return Piece(Kind.OTHER, f"`` {text} ``" if "`" in text else f"`{text}`")

    def link(self, link: Link) -> Iterator[Piece]:
        said, url = label(link), f"<{_CALL_IN_ADDRESS.sub('%40', link.url)}>"
        if said and not is_mail(link.url) and is_honest(said, link.url) and "://" not in said:
            said = said.translate(_LABEL)
            yield Piece(Kind.OTHER, f"[{_escaped(said, 0, len(said), _marks(said, has_links=False))}]({url})")
            return
        if said:
            yield Piece(Kind.WORDS, f"{said}: ")
        yield Piece(Kind.WORDS, address(link.url)) if is_mail(link.url) else Piece(Kind.OTHER, url)

    def heading(self, heading: Heading) -> str:
        if heading.level > _DEEPEST_HEADING:
            return super().heading(heading)
        return f"{'#' * heading.level} {self.line(heading.children)}"

    def code_rows(self, code: CodeBlock) -> Iterator[Row]:
        return _fenced(code.text.split("\n"), code.language)

    def table_rows(self, table: Table) -> Iterator[Row]:
        return _fenced(aligned(table))


def _fenced(lines: Sequence[str], language: str = "") -> Iterator[Row]:
    inner = (line.replace(_FENCE, f"``{ZERO_WIDTH_SPACE}`") for line in lines)
    return (Row(line, is_code=True) for line in (_FENCE + language, *inner, _FENCE))


def _marks(line: str, has_links: bool) -> list[int]:
    """Where a backslash is needed, if it is among the words of the line. `has_links`: words could be read as a link."""
    found = {match.start() for match in _MARKUP.finditer(line)}
    if has_links:
        found.update(match.start() for match in _BRACKET.finditer(line))
    begun = _LINE_START.match(line)
    if begun:
        found.add(begun.end())
    return sorted(found)


def _escaped(line: str, start: int, end: int, marks: Sequence[int]) -> str:
    written, done = [], start
    for mark in positions_in(marks, start, end):
        written += [line[done:mark], "\\"]
        done = mark
    return "".join(written) + line[done:end]
