"""The one reading of Markdown.

The subset is CommonMark with tables and strikethrough. Raw HTML, entities, link references, indented code and underlined headings are
plain text; a picture is a link to it; only http, https and mailto are linked. Everything that is not markup stays in the text.
Parsing takes time in proportion to the text, and no more than a few levels of nesting, whatever is in it: what is nested deeper is
text (quotes, lists) or loses its style.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.rules_block import StateBlock, blockquote, list_block, table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

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

_DEEPEST_BLOCK: Final = 12  # a quote is one level, a list two
_DEEPEST_STYLE: Final = 8
_LINKED: Final = re.compile(
    r"(?:https?://[^\s<>]+|mailto:[\w.+-]+@[\w-]+(?:\.[\w-]+)+(?:\?[^\s<>]*)?)\Z", re.IGNORECASE | re.ASCII
)
_ADDRESS: Final = re.compile(r"://[^\s<>|\"`\\\]]+")
_SCHEME: Final = re.compile(r"(?<![A-Za-z0-9])https?\Z", re.IGNORECASE)
_AFTER_ADDRESS: Final = ".,;:!?*_~'。，、；：！？）」』】…"
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+#.-]{1,20}\Z")


def parse(text: str) -> tuple[Block, ...]:
    """The blocks of `text` in order."""
    return _blocks(iter(_MARKDOWN.parse(text)), "")


def linked(url: str) -> str:
    """`url` as it may stand in a link: percent-encoded, without white space, `<`, `>` and `|`; "" if it is none that is linked."""
    if "|" in url:
        return ""
    try:
        url = normalizeLink(url)
    except ValueError:  # a host that cannot be read
        return ""
    return url if _LINKED.match(url) else ""


# --- blocks --------------------------------------------------------------------------------------------------------


def _blocks(tokens: Iterator[Token], end: str) -> tuple[Block, ...]:
    """Everything up to the token that ends it."""
    blocks: list[Block] = []
    for token in tokens:
        if token.type == end:
            break
        blocks.append(_block(token, tokens))
    return tuple(blocks)


def _block(token: Token, tokens: Iterator[Token]) -> Block:
    match token.type:
        case "fence":
            return CodeBlock(token.content.removesuffix("\n"), _language(token.info))
        case "hr":
            return Rule()
        case "blockquote_open":
            return Quote(_blocks(tokens, "blockquote_close"))
        case "bullet_list_open":
            return Items(None, _items(tokens, "bullet_list_close"))
        case "ordered_list_open":
            return Items(int(token.attrs.get("start", 1)), _items(tokens, "ordered_list_close"))
        case "table_open":
            return Table(_rows(tokens))
        case "heading_open":
            return Heading(int(token.tag[1:]), _content(tokens, "heading_close"))
        case _:
            return Paragraph(_content(tokens, "paragraph_close"))


def _items(tokens: Iterator[Token], end: str) -> tuple[tuple[Block, ...], ...]:
    items = []
    for token in tokens:
        if token.type == end:
            break
        items.append(_blocks(tokens, "list_item_close"))
    return tuple(items)


def _rows(tokens: Iterator[Token]) -> tuple[tuple[tuple[Inline, ...], ...], ...]:
    rows: list[list[tuple[Inline, ...]]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inlines(token.children or ()))
    for row in rows:
        while row and not row[-1]:
            row.pop()
    return tuple(map(tuple, rows))


def _content(tokens: Iterator[Token], end: str) -> tuple[Inline, ...]:
    content: tuple[Inline, ...] = ()
    for token in tokens:
        if token.type == end:
            break
        content = _inlines(token.children or ())
    return content


def _language(info: str) -> str:
    found = _LANGUAGE.match(info.strip())
    return found[0] if found else ""


# --- within a line -------------------------------------------------------------------------------------------------


class _Line:
    """Inline nodes while they are read. What is open beyond the deepest style, or leads nowhere, puts its words where they stand."""

    def __init__(self) -> None:
        self._open: list[tuple[Token, list[Inline]]] = []
        self._nodes: list[Inline] = []

    def words(self, text: str) -> None:
        last = self._nodes[-1] if self._nodes else None
        if isinstance(last, Text):
            text = last.text + text
            self._nodes.pop()
        if text:
            self._nodes.append(Text(text))

    def add(self, node: Inline) -> None:
        self._nodes.append(node)

    def picture(self, url: str, children: tuple[Inline, ...]) -> None:
        self._nodes += (Link(url, children),) if url else children

    def open(self, token: Token) -> None:
        self._open.append((token, self._nodes))
        if token.attrs.get("href") if token.type == "link_open" else len(self._open) <= _DEEPEST_STYLE:
            self._nodes = []

    def close(self) -> None:
        token, outer = self._open.pop()
        inner, self._nodes = self._nodes, outer
        if inner is not outer and inner:
            outer.append(_closed(token, tuple(inner)))

    def nodes(self) -> tuple[Inline, ...]:
        return tuple(self._nodes)


def _inlines(tokens: Sequence[Token]) -> tuple[Inline, ...]:
    line = _Line()
    for token in tokens:
        if token.nesting > 0:
            line.open(token)
        elif token.nesting < 0:
            line.close()
        elif token.type == "code_inline":
            line.add(Code(token.content))
        elif token.type == "image":
            line.picture(str(token.attrs["src"]), _inlines(token.children or ()))
        else:
            line.words(token.content if token.type == "text" else "\n")
    return line.nodes()


def _closed(token: Token, children: tuple[Inline, ...]) -> Inline:
    if token.type == "link_open":
        return Link(str(token.attrs["href"]), children)
    return Styled(Style(token.tag), children)


# --- the parser ----------------------------------------------------------------------------------------------------


def _address(state: StateInline, silent: bool) -> bool:
    """A rule of the parser: an address that stands in the text by itself. It is tried at each colon."""
    if state.linkLevel or state.src[state.pos] != ":":
        return False
    scheme = _SCHEME.search(state.src, max(state.pos - 6, 0), state.pos)
    found = _ADDRESS.match(state.src, state.pos, state.posMax)
    if not scheme or not found or not (silent or state.pending.endswith(scheme[0])):
        return False
    rest = _trimmed(found[0])
    url = linked(scheme[0] + rest)
    if len(rest) <= len("://") or not url:
        return False
    if not silent:
        state.pending = state.pending.removesuffix(scheme[0])
        state.push("link_open", "a", 1).attrs = {"href": url}
        state.push("text", "", 0).content = scheme[0] + rest
        state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _trimmed(address: str) -> str:
    """Without the marks of the sentence around it. A closing bracket belongs to the address only if it has the opening one."""
    unopened = address.count(")") - address.count("(")
    end = len(address)
    while end and (address[end - 1] in _AFTER_ADDRESS or (address[end - 1] == ")" and unopened > 0)):
        end -= 1
        unopened -= address[end] == ")"
    return address[:end]


def _quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < _DEEPEST_BLOCK and blockquote(state, start, end, silent)


def _list(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < _DEEPEST_BLOCK and list_block(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not table(state, start, end, True):
        return False
    return silent or table(state, start, _table_end(state, start, end), False)


def _table_end(state: StateBlock, start: int, end: int) -> int:
    """The first row that is too short ends a table: filling it up would make much of little."""
    columns = len(_source(state, start + 1).strip("|").split("|"))
    line = start + 2
    while line < end and _source(state, line).count("|") >= columns - 1:
        line += 1
    return line


def _source(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] : state.eMarks[line]].strip()


class _Markdown(MarkdownIt):
    """Knows which addresses are linked, and shows them as they were written: decoding a host would let it look like another."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802  its name in the parser
        return linked(url)

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link

    def validateLink(self, url: str) -> bool:  # noqa: N802
        return bool(url)


def _parser() -> MarkdownIt:
    parser = _Markdown("commonmark", {"html": False})
    parser.enable(["table", "strikethrough"])
    parser.disable(["code", "lheading", "reference", "html_block", "html_inline", "entity"])
    parser.block.ruler.at("blockquote", _quote, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.at("list", _list, {"alt": ["paragraph", "reference", "blockquote"]})
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.after("text", "address", _address)
    return parser


_MARKDOWN: Final = _parser()
