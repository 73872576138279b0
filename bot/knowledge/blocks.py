"""Markdown and plain text as a list of blocks. Pure; a small, forgiving reading of Markdown that loses no word.

Blocks keep their Markdown, so that a passage can be shown as it was written; only headings are stripped of their marks.
"""

import re
from collections.abc import Callable, Iterable
from enum import StrEnum

from bot.model import value


class Kind(StrEnum):
    """What a block is; it decides how the block may be split."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    TABLE = "table"
    CODE = "code"


@value
class Block:
    """One block of a document. `level` is 1 to 6 for headings, else 0."""

    kind: Kind
    text: str
    level: int = 0


_FENCE = re.compile(r"\s*(?:`{3,}[^`]*$|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+\S")
_SETEXT = re.compile(r" {0,3}(={2,}|-{3,})[ \t]*$")
_BREAK = re.compile(r" {0,3}(?:-[ \t]*){3,}$| {0,3}(?:\*[ \t]*){3,}$| {0,3}(?:_[ \t]*){3,}$")
_INDENTS = ("  ", "\t")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]*)(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"\*\*|__|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|`")
_ANCHOR = re.compile(r"\s*\{#[\w-]+\}$")
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_`”’]*\s+")
_ABBREVIATIONS = frozenset(
    {
        "e.g.",
        "i.e.",
        "etc.",
        "z.b.",
        "d.h.",
        "bzw.",
        "ca.",
        "dr.",
        "mr.",
        "mrs.",
        "ms.",
        "no.",
        "nr.",
        "vs.",
        "usw.",
        "u.a.",
        "approx.",
        "cf.",
    }
)


def markdown_blocks(text: str) -> list[Block]:
    """The blocks of a Markdown document in order. Comments and thematic breaks are left out; all else is kept."""
    return _MarkdownReader(text).read()


def text_blocks(text: str) -> list[Block]:
    """The paragraphs of a plain text."""
    parts = re.split(r"\n[ \t]*\n", text)
    return [Block(Kind.PARAGRAPH, part.strip()) for part in parts if part.strip()]


def as_markdown(blocks: Iterable[Block]) -> str:
    """Blocks as one Markdown text that reads as the same words again; text that only looks like Markdown is kept from being taken for it."""
    return "\n\n".join(_written(block) for block in blocks)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; joined by spaces they are the paragraph, but for its white space."""
    flat = " ".join(text.split())
    found, start = [], 0
    for end in _SENTENCE_END.finditer(flat):
        last_word = flat[max(start, flat.rfind(" ", start, end.start()) + 1) : end.end()].strip().lstrip("(\"'").lower()
        if last_word in _ABBREVIATIONS or flat[end.end() : end.end() + 1].islower():
            continue
        found.append(flat[start : end.end()].strip())
        start = end.end()
    return [*found, flat[start:]] if flat[start:] else found


def list_items(text: str) -> list[str]:
    """The top-level items of a list block, each with what is nested in it."""
    lines = text.split("\n")
    indent = min((_indent(line) for line in lines if _ITEM.match(line)), default=0)
    items: list[list[str]] = []
    for line in lines:
        if not items or (_ITEM.match(line) and _indent(line) <= indent):
            items.append([])
        items[-1].append(line)
    return ["\n".join(item).rstrip() for item in items]


def strip_marks(text: str) -> str:
    """Text without links, emphasis and code marks, for titles."""
    return " ".join(_ANCHOR.sub("", _EMPHASIS.sub("", _LINK.sub(r"\1", text))).split())


def strip_local_links(text: str) -> str:
    """Links that lead somewhere only within the documents become their label; outside links stay."""
    return _LINK.sub(lambda m: m[0] if m[2].startswith(("https://", "http://")) and m[0][0] == "[" else m[1], text)


class _MarkdownReader:
    """One pass over the lines. `_paragraph` gathers lines until something else begins."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._at = 0
        self._paragraph: list[str] = []
        self._blocks: list[Block] = []
        self._may_close_comments = True

    def read(self) -> list[Block]:
        while self._at < len(self._lines):
            self._step(self._lines[self._at])
        self._flush()
        return self._blocks

    def _step(self, line: str) -> None:
        if not line.strip():
            self._flush()
            self._at += 1
        elif _FENCE.match(line):
            self._take(Kind.CODE, self._fence_end())
        elif line.lstrip().startswith("<!--"):
            self._skip_comment()
        elif heading := _HEADING.match(line):
            self._heading(line[heading.end() :].strip(), len(heading[1]))
        elif len(self._paragraph) == 1 and (underline := _SETEXT.match(line)):
            title = self._paragraph.pop()
            self._heading(title, 1 if underline[1][0] == "=" else 2)
        elif _BREAK.match(line):
            self._flush()
            self._at += 1
        else:
            self._text_line(line)

    def _text_line(self, line: str) -> None:
        if not self._paragraph and _ITEM.match(line):
            self._take(Kind.LIST, self._list_end())
        elif not self._paragraph and self._is_table_here():
            self._take(Kind.TABLE, self._end_where(lambda row: "|" not in row))
        elif _ITEM.match(line) and not line.startswith(_INDENTS):
            self._flush()
        else:
            self._paragraph.append(line)
            self._at += 1

    def _heading(self, text: str, level: int) -> None:
        self._flush()
        self._at += 1
        without_closing = text.rstrip("#")
        is_closed = without_closing != text and (not without_closing or without_closing.endswith(" "))
        title = strip_marks(without_closing if is_closed else text)
        if title:
            self._blocks.append(Block(Kind.HEADING, title, level))

    def _take(self, kind: Kind, end: int) -> None:
        self._flush()
        text = "\n".join(self._lines[self._at : end]).rstrip()
        self._blocks.append(Block(kind, text))
        self._at = end

    def _flush(self) -> None:
        text = "\n".join(self._paragraph).strip()
        self._paragraph = []
        if text:
            self._blocks.append(Block(Kind.PARAGRAPH, text))

    def _fence_end(self) -> int:
        """The line after the closing fence, or the end of the document where nobody closed it."""
        opening = self._lines[self._at].strip()
        mark = opening[0] * (len(opening) - len(opening.lstrip(opening[0])))
        for number in range(self._at + 1, len(self._lines)):
            closing = self._lines[number].strip()
            if closing.startswith(mark) and not closing.strip(mark[0]):
                return number + 1
        return len(self._lines)

    def _list_end(self) -> int:
        """A list goes on while lines are items, indented, or continue an item; one blank line may stand between."""
        at = self._at + 1
        while at < len(self._lines):
            line = self._lines[at]
            if not line.strip():
                following = self._lines[at + 1] if at + 1 < len(self._lines) else ""
                if not (_ITEM.match(following) or (following.startswith(_INDENTS) and following.strip())):
                    return at
            elif not line.startswith(_INDENTS) and not _ITEM.match(line) and self._begins_block(line):
                return at
            at += 1
        return at

    def _begins_block(self, line: str) -> bool:
        return bool(_FENCE.match(line) or _HEADING.match(line) or _BREAK.match(line) or line.startswith("<!--"))

    def _is_table_here(self) -> bool:
        following = self._lines[self._at + 1].strip() if self._at + 1 < len(self._lines) else ""
        return (
            "|" in self._lines[self._at] and "|" in following and "-" in following and not set(following) - set("|-: ")
        )

    def _end_where(self, is_end: Callable[[str], bool]) -> int:
        return next((n for n in range(self._at, len(self._lines)) if is_end(self._lines[n])), len(self._lines))

    def _skip_comment(self) -> None:
        self._flush()
        end = self._end_where(lambda line: "-->" in line) if self._may_close_comments else len(self._lines)
        if end == len(self._lines):  # nobody closed it: then it is text, and so is every later one
            self._may_close_comments = False
            self._paragraph.append(self._lines[self._at])
            self._at += 1
            return
        self._at = end
        self._lines[end] = self._lines[end].split("-->", 1)[1]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _written(block: Block) -> str:
    if block.kind is Kind.HEADING:
        return f"{'#' * (block.level or 1)} {' '.join(block.text.split())}"
    if block.kind is Kind.CODE:
        return block.text
    text = block.text.replace("<!--", "< !--")
    if block.kind is Kind.PARAGRAPH:
        return "\n".join(_plain(line) for line in text.split("\n") if line.strip())
    return text


def _plain(line: str) -> str:
    """A line that begins nothing: four spaces are no heading and no rule, and a fence is told apart by its marks."""
    if _FENCE.match(line):
        line = line.replace("```", "'''").replace("~~~", "'''")
    return f"    {line.lstrip()}" if _HEADING.match(line) or _SETEXT.match(line) or _BREAK.match(line) else line
