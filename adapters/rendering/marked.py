"""Slack's and WhatsApp's markup. Both are of one kind: single marks at the edges of words, and no way to escape one.

A mark that belongs to the text but would be taken for markup is therefore shown as code, with the word around it: there both platforms
leave marks alone, and from there it can be copied as it was written. A mark of ours that touches a letter, as is usual in languages
without spaces, is set apart by a space of no width: nothing else makes the platforms see it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import ClassVar, Final

from adapters.rendering.links import address, is_honest, is_mail, label
from adapters.rendering.plain import ZERO_WIDTH_SPACE, Kind, Piece, Plain, Row, positions_in
from adapters.rendering.tables import aligned
from adapters.rendering.tree import CodeBlock, Link, Style, Table

_FENCE: Final = "```"
_BROKEN_FENCE: Final = f"``{ZERO_WIDTH_SPACE}`"
_LIKE_A_CODE_MARK: Final = "\u02cb"  # MODIFIER LETTER GRAVE ACCENT, for a word that holds a code mark itself

# Where the platforms take a mark for an opening or a closing one: outside of it no letter or digit, inside no space.
_OPENING: Final = re.compile(r"`|(?<![^\W_])[*_~](?=\S)")
_CLOSING: Final = re.compile(r"`|(?<=\S)[*_~](?![^\W_])")
_MARK: Final = re.compile("[*_~`]")
_WORD: Final = re.compile(r"[^\s.,;:!?()\"']\S*(?<![.,;:!?()\"'])")


class _Marked(Plain):
    """What both have in common."""

    marks: ClassVar[Mapping[Style, str]] = {Style.STRONG: "*", Style.EMPHASIS: "_", Style.STRIKE: "~"}

    def escaped(self, text: str) -> str:
        """Without characters that the platform reads in any place."""
        return text

    def settled(self, pieces: Sequence[Piece]) -> str:
        line = "".join(piece.text for piece in pieces)
        risky = _risky(line, pieces)
        written: list[str] = []
        at, before = 0, Kind.OTHER
        for piece in pieces:
            end = at + len(piece.text)
            match piece.kind:
                case Kind.WORDS:
                    written.append(
                        self.escaped(_as_it_is(piece.text, [found - at for found in positions_in(risky, at, end)]))
                    )
                case Kind.OPENS if before is Kind.CLOSES or line[max(at - 1, 0) : at].isalnum():
                    written.append(ZERO_WIDTH_SPACE + piece.text)
                case Kind.CLOSES if line[end : end + 1].isalnum():
                    written.append(piece.text + ZERO_WIDTH_SPACE)
                case _:
                    written.append(piece.text)
            at, before = end, piece.kind
        return "".join(written)

    def code(self, text: str) -> Piece:
        return Piece(Kind.WORDS, text) if "`" in text else Piece(Kind.OTHER, f"`{self.escaped(text)}`")

    def code_rows(self, code: CodeBlock) -> Iterator[Row]:
        return self.fenced(code.text.split("\n"))

    def fenced(self, lines: Sequence[str]) -> Iterator[Row]:
        """The lines as a block of code."""
        inner = (self.escaped(line.replace(_FENCE, _BROKEN_FENCE)) for line in lines)
        return (Row(line, is_code=True) for line in chain((_FENCE,), inner, (_FENCE,)))


class Slack(_Marked):
    """Slack's mrkdwn (docs.slack.dev/messaging/formatting-message-text). A `<` is only ever written around an address, so no text can
    call a person, a group, a channel or everyone."""

    bullet: ClassVar[str] = "•"
    indent: ClassVar[str] = "    "

    def escaped(self, text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def link(self, link: Link) -> Iterator[Piece]:
        said, url = label(link), link.url.replace("&", "&amp;")
        if said and not is_honest(said, link.url):
            yield Piece(Kind.WORDS, f"{said}: ")
            said = ""
        if is_mail(link.url):
            said = said or address(link.url)
        yield Piece(Kind.OTHER, f"<{url}|{self.escaped(said).replace('|', '¦')}>" if said else f"<{url}>")

    def table_rows(self, table: Table) -> Iterator[Row]:
        return self.fenced(aligned(table))


class WhatsApp(_Marked):
    """WhatsApp's formatting (twilio.com/docs/whatsapp/message-features, and code within a line). Its only links are bare addresses."""

    def link(self, link: Link) -> Iterator[Piece]:
        said = label(link)
        if said:
            yield Piece(Kind.WORDS, f"{said}: ")
        yield Piece(Kind.OTHER, address(link.url))


def _risky(line: str, pieces: Sequence[Piece]) -> list[int]:
    """Where marks stand among the words that the platform would take for one of a pair."""
    said, ours = _marks_in(pieces)
    opening = {match.start() for match in _OPENING.finditer(line)}
    closing = {match.start() for match in _CLOSING.finditer(line)}
    risky: list[int] = []
    for mark in "*_~`":
        active = [at for at in said if line[at] == mark and (at in opening or at in closing)]
        if active and _pairs_up(
            sorted([*active, *(at for at in ours if line[at] == mark)]), opening, closing, set(active)
        ):
            risky += active
    return sorted(risky)


def _marks_in(pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
    """Where marks stand among the words, and where our own stand."""
    said, ours, at = [], [], 0
    for piece in pieces:
        if piece.kind is Kind.WORDS:
            said += [at + found.start() for found in _MARK.finditer(piece.text)]
        elif piece.kind is not Kind.OTHER:
            ours.append(at)
        at += len(piece.text)
    return said, ours


def _pairs_up(marks: Sequence[int], opening: set[int], closing: set[int], said: set[int]) -> bool:
    """Whether the platform, reading on from mark to mark, would make a pair with one that is only said."""
    opened: int | None = None
    for at in marks:
        if opened is not None and at in closing:
            if at in said or opened in said:
                return True
            opened = None
        elif opened is None and at in opening:
            opened = at
    return False


def _as_it_is(words: str, risky: Sequence[int]) -> str:
    """The words, with those that hold a risky mark as code."""
    if not risky:
        return words
    written, done = [], 0
    for word in _WORD.finditer(words):
        if positions_in(risky, *word.span()):
            written += [words[done : word.start()], f"`{word[0].replace('`', _LIKE_A_CODE_MARK)}`"]
            done = word.end()
    return "".join(written) + words[done:]
