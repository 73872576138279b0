"""HTML as blocks. Pure, on the standard library's parser; scripts, styles and navigation are left out."""

from html.parser import HTMLParser

from bot.knowledge.blocks import Block, Kind

_SKIPPED = frozenset({"script", "style", "template", "noscript", "svg", "nav", "iframe", "object"})
_MOST_LINES_CHARS = 20_000  # a longer list or table goes on in another block
_DEEPEST = 12  # levels of a list that are told apart
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# fmt: off
_BREAKING = frozenset({
    "p", "div", "section", "article", "main", "aside", "header", "footer", "blockquote", "figure", "figcaption",
    "dl", "dt", "dd", "form", "fieldset", "details", "summary", "body", "html", "hr", "address", "ul", "ol",
    "table", "thead", "tbody", "tfoot", "caption",
})
# fmt: on


def html_blocks(text: str) -> tuple[str, list[Block]]:
    """The document's `<title>` ("" without one) and its blocks. Broken markup never raises; what can be read is kept."""
    reader = _Reader()
    try:
        reader.feed(closed(text))
        reader.close()
    except AssertionError:  # the standard parser's answer to a malformed "<![": what came before it stands
        pass
    reader.end_block()
    return reader.title.strip(), reader.blocks


class _Reader(HTMLParser):
    """Gathers text until a tag ends the block; lists and tables are gathered line by line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.blocks: list[Block] = []
        self._text = ""
        self._kind = Kind.PARAGRAPH
        self._level = 0
        self._skipping: list[str] = []
        self._lists: list[str] = []
        self._is_in_title = False
        self._is_preformatted = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping.append(tag)
        elif tag == "title":
            self._is_in_title = True
        elif not self._skipping:
            self._open(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SKIPPED:
            self.handle_starttag(tag, attrs)

    def _open(self, tag: str) -> None:
        if tag in _HEADINGS:
            self.end_block(Kind.HEADING, _HEADINGS[tag])
        elif tag == "pre":
            self.end_block(Kind.CODE)
            self._is_preformatted = True
        elif tag == "br":
            self._text += "\n"
        elif tag == "li":
            self._start_item()
        elif tag == "tr":
            self._start_line(Kind.TABLE, "| ")
        elif tag in ("ul", "ol") and self._lists:
            self._lists.append(tag)
        elif self._kind not in (Kind.LIST, Kind.TABLE) and tag in _BREAKING:
            self.end_block()
        if tag in ("ul", "ol") and not self._lists:
            self._lists.append(tag)

    def _start_item(self) -> None:
        mark = "1." if self._lists and self._lists[-1] == "ol" else "-"
        self._start_line(Kind.LIST, "  " * min(max(0, len(self._lists) - 1), _DEEPEST) + mark + " ")

    def _start_line(self, kind: Kind, prefix: str) -> None:
        if self._kind is not kind or len(self._text) > _MOST_LINES_CHARS:
            self.end_block(kind)
        self._text = f"{self._text.rstrip()}\n{prefix}" if self._text else prefix

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag == self._skipping[-1]:
                self._skipping.pop()
        elif tag == "title":
            self._is_in_title = False
        elif tag in ("ul", "ol"):
            del self._lists[-1:]
            if not self._lists:
                self.end_block()
        elif tag in ("td", "th") and self._kind is Kind.TABLE:
            self._text += " | "
        elif tag in _HEADINGS or tag in ("pre", "table") or (tag in _BREAKING and self._kind is Kind.PARAGRAPH):
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._is_in_title:
            self.title += data
        elif self._is_preformatted:
            self._text += data
        elif not self._skipping:
            glue = " " if data[:1].isspace() and self._text[-1:].strip() else ""
            tail = " " if data[-1:].isspace() and data.strip() else ""
            self._text += glue + " ".join(data.split()) + tail

    def end_block(self, kind: Kind = Kind.PARAGRAPH, level: int = 0) -> None:
        """Ends the block at hand and begins one of `kind`."""
        text = self._text.strip("\n") if self._kind is Kind.CODE else self._text.strip()
        if self._kind is Kind.HEADING:
            text = " ".join(text.split())
        if self._kind is Kind.TABLE:
            text = _with_rule(text)
        if any(character.isalnum() for character in text) or (text and self._kind is Kind.CODE):
            text = f"```\n{text}\n```" if self._kind is Kind.CODE else text
            self.blocks.append(Block(self._kind, text, self._level))
        self._text, self._kind, self._level = "", kind, level
        self._is_preformatted = kind is Kind.CODE


def closed(text: str) -> str:
    """Without comments and tags that nobody closes: the standard parser looks for the end of each of them anew, through all the text."""
    end = text.rfind("-->") + 1
    text = text[:end] + text[end:].replace("<!--", "")
    end = text.rfind(">") + 1
    return text[:end] + text[end:].replace("<", "&lt;")


def _with_rule(table: str) -> str:
    """The rule below the first row that makes it a Markdown table."""
    head, *rows = table.split("\n")
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows])
