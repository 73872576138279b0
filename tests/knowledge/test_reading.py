"""Whatever a document holds, the house reads its text or says plainly why not, and goes on."""

import contextlib
import io
import os
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.knowledge import FolderKnowledge
from bot.knowledge.blocks import Block, Kind, as_markdown, markdown_blocks
from bot.knowledge.reading.parsed import Format, Unparsed, from_json
from bot.knowledge.reading.room import ReadingRoom
from tests.clock import ManualClock

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture(scope="module")
def room() -> Iterator[ReadingRoom]:
    made = ReadingRoom(wall_s=60)
    yield made
    made.close()


def docx(body: str, styles: str = "", prolog: str = "") -> bytes:
    """A Word document with these paragraphs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml", f'{prolog}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
        )
        archive.writestr("word/styles.xml", f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>')
    return out.getvalue()


def paragraph(text: str, style: str = "", item: int | None = None) -> str:
    held = f'<w:pStyle w:val="{style}"/>' if style else ""
    held += f'<w:numPr><w:ilvl w:val="{item}"/><w:numId w:val="1"/></w:numPr>' if item is not None else ""
    return f"<w:p><w:pPr>{held}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


HEADING = '<w:style w:styleId="Kop1"><w:name w:val="heading 1"/></w:style>'


def pdf(content: bytes, stream: bytes = b"", packing: str = "") -> bytes:
    """A PDF of one page that draws `content`, or `stream` as it is packed."""
    held = stream or content
    objects = [
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources <</Font <</F1 5 0 R /F2 6 0 R>>>>>>",
        b"<</Length %d %s>> stream\n%s\nendstream" % (len(held), packing.encode(), held),
        b"<</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>",
        b"<</Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold>>",
    ]
    return whole_pdf(objects)


def whole_pdf(objects: list[bytes]) -> bytes:
    """Objects with their table; the first is the catalogue."""
    out, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer <</Root 1 0 R /Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, end)


def line(y: int, text: str, size: int = 11, font: str = "F1") -> bytes:
    return f"BT /{font} {size} Tf 1 0 0 1 50 {y} Tm ({text}) Tj ET\n".encode()


def test_a_pdf_keeps_its_headings_and_paragraphs(room: ReadingRoom) -> None:
    """By the size and weight of letters, and the gaps between lines; a word split at a line's end is one word again."""
    drawn = line(750, "Returns", 20) + line(720, "Send it back within thirty days of de-") + line(706, "livery to us.")
    drawn += line(660, "Costs", 11, "F2") + line(640, "We pay the postage.")
    assert room.read(Format.PDF, pdf(drawn)).blocks == (
        Block(Kind.HEADING, "Returns", 1),
        Block(Kind.PARAGRAPH, "Send it back within thirty days of delivery to us."),
        Block(Kind.HEADING, "Costs", 2),
        Block(Kind.PARAGRAPH, "We pay the postage."),
    )


def test_a_word_document_keeps_headings_lists_and_tables(room: ReadingRoom) -> None:
    """A heading by its style, whatever the style's id is in the writer's language."""
    row = "<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>".format
    table = f"<w:tbl>{row(paragraph('Country'), paragraph('Days'))}{row(paragraph('Austria'), paragraph('3'))}</w:tbl>"
    body = paragraph("Shipping", "Kop1") + paragraph("We ship daily.") + paragraph("Box", item=0)
    body += paragraph("Label", item=1) + table
    assert room.read(Format.DOCX, docx(body, HEADING)).blocks == (
        Block(Kind.HEADING, "Shipping", 1),
        Block(Kind.PARAGRAPH, "We ship daily."),
        Block(Kind.LIST, "- Box\n  - Label"),
        Block(Kind.TABLE, "| Country | Days |\n|---|---|\n| Austria | 3 |"),
    )


def test_a_page_is_read_without_what_surrounds_it(room: ReadingRoom) -> None:
    """Navigation, footer and cookie banner are not the page; its headings, lists and links are."""
    html = b"""<html lang="de-AT"><head><title>Returns | Shop</title><link rel="canonical" href="/r"></head><body>
    <header>Shop of the year</header><nav><a href="/a#x">Home</a></nav><div class="cookie-banner">We use cookies</div>
    <h1>Returns</h1><p>Thirty days.</p><ul><li>One</li><li>Two</li></ul><footer>Imprint</footer></body></html>"""
    page = room.read(Format.PAGE, html, "https://shop.example/help/")
    assert [block.text for block in page.blocks] == ["Returns", "Thirty days.", "- One\n- Two"]
    assert (page.title, page.language, page.canonical) == ("Returns", "de", "https://shop.example/r")
    assert page.links == ("https://shop.example/a",)


def test_a_page_that_asks_not_to_be_kept_says_so(room: ReadingRoom) -> None:
    html = b'<meta name="robots" content="noindex, nofollow"><p>Secret sale</p>'
    page = room.read(Format.PAGE, html, "https://shop.example/")
    assert (page.is_wanted, page.is_followed) == (False, False)


def test_sitemaps_are_read_plain_nested_and_packed(room: ReadingRoom) -> None:
    listed = b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://a.example/x</loc></url></urlset>'
    assert room.read(Format.SITEMAP, listed, "https://a.example/s.xml").links == ("https://a.example/x",)
    packed = zlib.compressobj(wbits=31)
    data = packed.compress(listed) + packed.flush()
    assert room.read(Format.SITEMAP, data, "https://a.example/s.xml.gz").links == ("https://a.example/x",)
    index = b"<sitemapindex><sitemap><loc>/two.xml</loc></sitemap></sitemapindex>"
    assert room.read(Format.SITEMAP, index, "https://a.example/s.xml").nested == ("https://a.example/two.xml",)


def loop_pdf() -> bytes:
    """A page tree that is its own child."""
    return whole_pdf([b"<</Type /Catalog /Pages 2 0 R>>", b"<</Type /Pages /Kids [2 0 R 2 0 R] /Count 99999>>"])


def bomb_pdf() -> bytes:
    """A stream that unpacks to two gigabytes."""
    packer = zlib.compressobj(9)
    piece = b" " * 1_000_000
    packed = b"".join(packer.compress(piece) for _ in range(2_000)) + packer.flush()
    return pdf(b"", packed, "/Filter /FlateDecode")


def zip_bomb() -> bytes:
    """A document of four hundred megabytes in four hundred kilobytes."""
    return docx("<w:p/>" * (400_000_000 // 6))


def many_files() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(25_000):
            archive.writestr(f"../../{number}", "")
    return out.getvalue()


HOSTILE = {
    "f63 a PDF whose pages contain themselves": (Format.PDF, loop_pdf),
    "f63 a PDF that unpacks to gigabytes": (Format.PDF, bomb_pdf),
    "f63 a PDF of noise": (Format.PDF, lambda: b"%PDF-1.7\n" + b"\xff\x00obj<<" * 5_000),
    "f63 a PDF of nested arrays": (Format.PDF, lambda: whole_pdf([b"<</Type /Catalog /Pages 2 0 R>>", b"[" * 200_000])),
    "f62 a Word document that unpacks to 400 MB": (Format.DOCX, zip_bomb),
    "f62 an archive of 25,000 files": (Format.DOCX, many_files),
    "f64 a Word document with an entity that reads a file": (
        Format.DOCX,
        lambda: docx(paragraph("&x;"), prolog='<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    ),
    "f64 a Word document with entities that double": (
        Format.DOCX,
        lambda: docx(
            paragraph("&b;"),
            prolog='<!DOCTYPE d [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        ),
    ),
    "f62 an archive that ends early": (Format.DOCX, lambda: docx(paragraph("x"))[:-30]),
    "f65 a picture of 65,000 pixels named .docx": (
        Format.DOCX,
        lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0),
    ),
    "f62 a sitemap that unpacks to 300 MB": (
        Format.SITEMAP,
        lambda: (lambda packer: packer.compress(b" " * 300_000_000) + packer.flush())(zlib.compressobj(9, wbits=31)),
    ),
    "f64 a sitemap with a DTD": (
        Format.SITEMAP,
        lambda: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><loc>&x;</loc></urlset>',
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_cost_a_plain_reason(name: str, room: ReadingRoom) -> None:
    """And the next document is read as if nothing had been. The reason holds no traceback and no text of the file."""
    kind, make = HOSTILE[name]
    with pytest.raises(Unparsed) as refused:
        room.read(kind, make(), "https://a.example/")
    reason = str(refused.value)
    assert len(reason) < 200
    assert "root:" not in reason
    assert room.read(Format.DOCX, docx(paragraph("Still here."))).blocks == (Block(Kind.PARAGRAPH, "Still here."),)


def test_f63_a_document_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The parent waits no longer than it said, and then reads the next one."""
    room = ReadingRoom(wall_s=1.0)
    try:
        began = time.monotonic()
        with pytest.raises(Unparsed, match="too long"):
            room.read(Format.PDF, pdf(b"BT /F1 9 Tf (a) Tj ET\n" * 3_000_000))
        assert time.monotonic() - began < 20
    finally:
        room.close()


def test_f60_nested_and_unclosed_markup_takes_linear_time(room: ReadingRoom) -> None:
    """Ten thousand open elements, comments nobody closes."""
    for html in (
        "<div>" * 10_000 + "text",
        "<p>text</p>" + "<!--" * 100_000,
        "<main>" * 5_000 + "x",
        "<a href=" * 50_000,
    ):
        began = time.monotonic()
        with contextlib.suppress(Unparsed):
            room.read(Format.PAGE, html.encode(), "https://a.example/")
        assert time.monotonic() - began < 10


def test_the_child_has_no_network_and_writes_nothing(tmp_path: Path) -> None:
    """It gives both up before it reads; so whoever took it over could tell nobody."""
    program = """
import os, socket, sys
from bot.knowledge.reading.child import give_up_network, limit_all
has_left = give_up_network()
limit_all()
try:
    os.write(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT), b"x")
    print("wrote")
except OSError:
    print("wrote nothing")
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
    print("reached")
except OSError:
    print("reached nothing")
print(has_left)
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        words = [sys.executable, "-c", program, port, str(tmp_path / "written")]
        told = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = told.stdout.split("\n")
    assert lines[0] == "wrote nothing"
    assert lines[1] == ("reached nothing" if lines[2] == "True" else "reached")


@given(st.binary(max_size=300))
def test_an_answer_of_the_child_is_whole_or_none(data: bytes) -> None:
    with pytest.raises(Unparsed):
        from_json(data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(Format)), st.binary(max_size=2_000))
def test_f58_noise_is_read_or_refused(kind: Format, data: bytes) -> None:
    """Nothing else comes of it, and one child lasts through all of it."""
    room = _shared()
    child = room._child
    with contextlib.suppress(Unparsed):
        room.read(kind, data, "https://a.example/")
    assert child is None or child.poll() is None


_ROOMS: list[ReadingRoom] = []


def _shared() -> ReadingRoom:
    if not _ROOMS:
        _ROOMS.append(ReadingRoom())
    return _ROOMS[0]


@pytest.fixture(scope="module", autouse=True)
def _closing() -> Iterator[None]:
    yield
    while _ROOMS:
        _ROOMS.pop().close()


_texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=80
)


@given(st.lists(st.builds(Block, st.just(Kind.PARAGRAPH), _texts), max_size=6))
def test_kept_text_loses_no_word(blocks: list[Block]) -> None:
    """What was read elsewhere is written as Markdown and read again: every word that has a letter is still there."""
    again = " ".join(block.text for block in markdown_blocks(as_markdown(blocks)))
    words = [word for block in blocks for word in block.text.replace("<!--", " ").split() if word.isalnum()]
    assert [word for word in words if word not in again] == []


async def test_folders_hold_pdf_and_word_and_hostile_ones_are_named(tmp_path: Path) -> None:
    """Rows 62 to 66: what can be read is found, what cannot is a line of the report, under a name that goes nowhere."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "manual.pdf").write_bytes(pdf(line(750, "Battery", 20) + line(720, "It lasts eleven hours.")))
    (docs / "terms.docx").write_bytes(docx(paragraph("Warranty", "Kop1") + paragraph("Two years."), HEADING))
    (docs / "bomb.docx").write_bytes(many_files())
    (docs / "a..%2f..%2fetc.docx").write_bytes(b"no archive")
    os.mkfifo(docs / "pipe.pdf")
    knowledge = FolderKnowledge(tmp_path / "index.db", [docs], ManualClock())
    try:
        report = await knowledge.sync()
        assert report.added == ["docs/manual.pdf", "docs/terms.docx"]
        assert [text.split(":")[0] for text in report.unreadable] == [
            "docs/a..%2f..%2fetc.docx",
            "docs/bomb.docx",
            "docs/pipe.pdf",
        ]
        assert [found.passage.title for found in await knowledge.search("how long does the battery last")] == [
            "Battery"
        ]
        assert (await knowledge.sync()).is_quiet
    finally:
        await knowledge.close()


async def test_closing_while_a_document_is_read_forgets_nothing(tmp_path: Path) -> None:
    """A document that was not read because the house stops stays in the index."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "manual.pdf").write_bytes(pdf(line(720, "It lasts eleven hours.")))
    index = tmp_path / "index.db"
    knowledge = FolderKnowledge(index, [docs], ManualClock())
    await knowledge.sync()
    (docs / "manual.pdf").write_bytes(pdf(line(720, "It lasts twelve hours.")))
    knowledge._indexer._room.close()
    knowledge._indexer._stopping.set()
    await knowledge.sync()
    assert [found.passage.text for found in await knowledge.search("eleven hours")]
    await knowledge.close()
