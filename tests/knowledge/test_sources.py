"""Reading folders: what is found, and what is passed over with a reason."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.sources import MOST_BYTES, Document, Unreadable, read_document, scan_folders, split_front_matter


def only(folder: Path) -> Document | Unreadable:
    (file,) = scan_folders([folder]).files
    return read_document(file)


def test_folders_are_read_deeply_and_in_order(tmp_path: Path) -> None:
    """Markdown, text and HTML in any subfolder; other and hidden files are left alone."""
    for name in ("b.md", "a/deep/c.txt", "a/d.HTML", "picture.png", ".hidden.md", ".git/e.md"):
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_text("text")
    scan = scan_folders([tmp_path / "docs"])
    assert [file.name for file in scan.files] == ["docs/b.md", "docs/a/d.HTML", "docs/a/deep/c.txt"]
    assert scan.unreadable == []


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two folders called docs do not mix up their documents."""
    for parent in ("one", "two"):
        (tmp_path / parent / "docs").mkdir(parents=True)
        (tmp_path / parent / "docs" / "a.md").write_text(parent)
    names = [file.name for file in scan_folders([tmp_path / "one/docs", tmp_path / "two/docs"]).files]
    assert names == ["docs/a.md", "docs-2/a.md"]


def test_a_file_in_two_listed_folders_is_read_once(tmp_path: Path) -> None:
    """Overlapping folders and single files do not double anything."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.md").write_text("a")
    assert len(scan_folders([tmp_path, tmp_path / "sub", tmp_path / "sub/a.md"]).files) == 1


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    """A loop is passed over with a reason; everything else is read once."""
    (tmp_path / "a.md").write_text("a")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "self.md").symlink_to(tmp_path / "self.md")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    scan = scan_folders([tmp_path])
    assert [Path(file.path).name for file in scan.files] == ["a.md"]
    assert {Path(one.name).name for one in scan.unreadable} == {"again", "self.md", "gone.md"}


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    """A wrong path in the config does not stop the others."""
    (tmp_path / "a.md").write_text("a")
    scan = scan_folders([tmp_path / "missing", tmp_path])
    assert [str(one) for one in scan.unreadable] == ["missing: no such file or directory"]
    assert len(scan.files) == 1


def test_huge_and_odd_files_are_passed_over(tmp_path: Path) -> None:
    """Size and kind are looked at before anything is read."""
    with open(tmp_path / "huge.md", "wb") as huge:
        huge.truncate(MOST_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.md")
    reasons = {str(one).split("/", 1)[1] for one in scan_folders([tmp_path]).unreadable}
    assert reasons == {"huge.md: larger than 5 MB", "pipe.md: not a regular file"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_text_is_passed_over(tmp_path: Path) -> None:
    """File names are bytes; the report shows what can be shown."""
    with open(os.fsencode(tmp_path) + b"/\xff.md", "w") as file:
        file.write("a")
    (problem,) = scan_folders([tmp_path]).unreadable
    assert str(problem).endswith("?.md: its name is not UTF-8")


@pytest.mark.parametrize("data", [b"caf\xe9", b"a\0b", b"\xff\xfea"])
def test_what_is_not_text_is_unreadable(tmp_path: Path, data: bytes) -> None:
    """Latin-1, binary data and broken UTF-16 are named, not guessed at."""
    (tmp_path / "a.md").write_bytes(data)
    document = only(tmp_path)
    assert isinstance(document, Unreadable)
    assert document.reason == "not UTF-8 text"


def test_marked_encodings_and_line_ends_are_understood(tmp_path: Path) -> None:
    """Files from Windows read like others."""
    (tmp_path / "a.md").write_bytes("# Größe\r\n\r\nText".encode("utf-16"))
    document = only(tmp_path)
    assert isinstance(document, Document)
    assert document.title == "Größe"
    assert document.blocks[1].text == "Text"


def test_front_matter_gives_title_and_url_and_is_not_text(tmp_path: Path) -> None:
    """Metadata is never quoted."""
    (tmp_path / "a.md").write_text(
        '---\ntitle: "Returns"\nurl: https://example.com/r\ntags:\n  - x\n---\nSend it back.'
    )
    document = only(tmp_path)
    assert isinstance(document, Document)
    assert (document.title, document.url) == ("Returns", "https://example.com/r")
    assert [block.text for block in document.blocks] == ["Send it back."]


def test_a_url_must_be_a_web_address(tmp_path: Path) -> None:
    """A document cannot make a citation run a script."""
    (tmp_path / "a.md").write_text("---\nurl: javascript:alert(1)\n---\nText")
    document = only(tmp_path)
    assert isinstance(document, Document)
    assert document.url == ""


@given(st.text())
def test_other_text_between_rules_is_kept(text: str) -> None:
    """Only a block of keys is metadata; all else stays, to the letter."""
    metadata, body = split_front_matter(text)
    assert metadata or body == text
    assert split_front_matter(f"---\nplain words here\n---\n{text}")[0] == {}


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("how-to_return.md", "No heading", "How to return"),
        ("a.md", "## Sub\n\n# Main *one*\n\nText", "Main one"),
        ("a.html", "<title>Page</title><p>Text", "Page"),
        ("a.txt", "# not a heading", "A"),
    ],
)
def test_every_document_has_a_title(tmp_path: Path, name: str, text: str, title: str) -> None:
    """From its first heading, its `<title>`, or its file name."""
    (tmp_path / name).write_text(text)
    document = only(tmp_path)
    assert isinstance(document, Document)
    assert document.title == title
