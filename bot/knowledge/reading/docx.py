"""Word documents (OOXML, ECMA-376 part 1) as blocks: headings by their style, lists, and tables as Markdown tables.

Only three members of the archive are opened, each up to a cap, and none may hold a DTD, so that neither a bomb nor an entity unfolds.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from bot.knowledge.blocks import Block, Kind
from bot.knowledge.reading.parsed import Parsed, Unparsed

MOST_MEMBER_BYTES: Final = 24 * 1024 * 1024
MOST_MEMBERS: Final = 20_000
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DC: Final = "{http://purl.org/dc/elements/1.1/}"


def read(data: bytes, url: str) -> Parsed:
    """Raises Unparsed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise Unparsed(f"is an archive of more than {MOST_MEMBERS} files")
            body = _member(archive, "word/document.xml")
            if body is None:
                raise Unparsed("is not a Word document")
            levels = _levels(_member(archive, "word/styles.xml"))
            core = _member(archive, "docProps/core.xml")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Unparsed("is not a Word document, or is protected by a password") from error
    blocks = tuple(_blocks(body, levels))
    if not blocks:
        raise Unparsed("holds no text")
    title = "" if core is None else (core.findtext(f"{_DC}title") or "")
    language = "" if core is None else (core.findtext(f"{_DC}language") or "")
    return Parsed(title=title.strip(), language=language.split("-")[0].lower()[:8], blocks=blocks)


def _member(archive: zipfile.ZipFile, name: str) -> Element | None:
    try:
        with archive.open(name) as member:
            data = member.read(MOST_MEMBER_BYTES + 1)
    except KeyError:
        return None
    if len(data) > MOST_MEMBER_BYTES:
        raise Unparsed(f"unpacks to more than {MOST_MEMBER_BYTES // 1024 // 1024} MB")
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise Unparsed("holds a DTD, which no Word document needs") from error
    except ParseError as error:
        raise Unparsed("could not be read: its XML is damaged") from error
    return root


def _levels(styles: Element | None) -> dict[str, int]:
    """The level of each paragraph style that is a heading, by its id."""
    found: dict[str, int] = {}
    for style in styles.iter(f"{_W}style") if styles is not None else ():
        name = (_value(style.find(f"{_W}name")) or "").lower()
        outline = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
        if name == "title":
            found[style.get(f"{_W}styleId", "")] = 1
        elif name.startswith("heading ") and name[8:].isdecimal():
            found[style.get(f"{_W}styleId", "")] = min(int(name[8:]), 6)
        elif outline.isdecimal() and int(outline) < 6:
            found[style.get(f"{_W}styleId", "")] = int(outline) + 1
    return found


def _blocks(root: Element, levels: dict[str, int]) -> Iterator[Block]:
    items: list[str] = []
    for node in _content(root.find(f"{_W}body")):
        item = _item(node) if node.tag == f"{_W}p" else ""
        if item:
            items.append(item)
            continue
        if items:
            yield Block(Kind.LIST, "\n".join(items))
            items = []
        if node.tag == f"{_W}tbl":
            yield from _table(node)
        else:
            yield from _paragraph(node, levels)
    if items:
        yield Block(Kind.LIST, "\n".join(items))


def _content(node: Element | None) -> Iterator[Element]:
    """Paragraphs and tables in order, also those inside content controls."""
    for child in node if node is not None else ():
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag == f"{_W}sdt":
            yield from _content(child.find(f"{_W}sdtContent"))


def _item(node: Element) -> str:
    numbering = node.find(f"{_W}pPr/{_W}numPr")
    text = _text(node)
    if numbering is None or not text or _value(numbering.find(f"{_W}numId")) == "0":
        return ""
    depth = _value(numbering.find(f"{_W}ilvl"))
    return "  " * (int(depth) if depth.isdecimal() and len(depth) < 2 else 0) + "- " + text


def _paragraph(node: Element, levels: dict[str, int]) -> Iterator[Block]:
    text = _text(node)
    if not text:
        return
    level = levels.get(_value(node.find(f"{_W}pPr/{_W}pStyle")), 0)
    yield Block(Kind.HEADING, " ".join(text.split()), level) if level else Block(Kind.PARAGRAPH, text)


def _table(node: Element) -> Iterator[Block]:
    rows = [
        [" ".join(_text(cell).split()).replace("|", "\\|") for cell in row.findall(f"{_W}tc")]
        for row in node.findall(f"{_W}tr")
    ]
    rows = [row for row in rows if any(row)]
    if rows:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        yield Block(Kind.TABLE, "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]))


def _text(node: Element) -> str:
    """What is to be read; deleted text and field codes are not."""
    parts: list[str] = []
    for each in node.iter():
        if each.tag == f"{_W}t":
            parts.append(each.text or "")
        elif each.tag in (f"{_W}br", f"{_W}cr"):
            parts.append("\n")
        elif each.tag in (f"{_W}tab", f"{_W}p"):
            parts.append(" ")
    return "".join(parts).strip()


def _value(node: Element | None) -> str:
    return "" if node is None else node.get(f"{_W}val", "")
