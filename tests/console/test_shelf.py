"""Uploads with names at the edge: each can be had back, replaced and deleted, and the file that came is the one that is given."""

import os
from pathlib import Path

import pytest

from bot.console import shelf
from bot.console.shelf import ORIGINALS, Given, Ready, examined, keep, original
from bot.errors import Refused
from bot.knowledge.reading.room import ReadingRoom

NAMES = [
    "x" * 100,
    "a.123456789 bc",
    "日" * 100 + "." + "本" * 10,
    "CON",
    "..hidden..",
    "a/../b\x00c",
    "Straße (neu).md",
]


def packed(name: str, data: bytes = b"%PDF-1") -> Ready:
    """A PDF as it is kept, without reading one."""
    return Ready(f"{name}.md", b"# Text\n\nof it\n", name, data)


@pytest.mark.parametrize("name", NAMES)
def test_f85_whatever_an_upload_is_called_it_can_be_had_back_and_deleted(tmp_path: Path, name: str) -> None:
    text = examined(Given(name), b"# Words\n\nof a document\n", ReadingRoom())
    pdf = packed(f"{shelf.sanitised(name)}.docx")
    for ready in (text, pdf):
        kept = keep(tmp_path, ready, is_replacing=False)
        assert original(tmp_path, kept).read_bytes() == (ready.original or ready.data)
        shelf.delete(tmp_path, kept)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_document_that_is_replaced_in_other_letters_is_one_document(tmp_path: Path) -> None:
    keep(tmp_path, packed("Terms.PDF", b"%PDF-old"), is_replacing=False)
    with pytest.raises(Refused, match="There is a document"):
        keep(tmp_path, packed("terms.pdf"), is_replacing=False)
    kept = keep(tmp_path, packed("terms.pdf", b"%PDF-new"), is_replacing=True)
    assert [name for name in os.listdir(tmp_path) if name != ORIGINALS] == [kept] == ["Terms.PDF.md"]
    assert original(tmp_path, kept).read_bytes() == b"%PDF-new"
    assert len(os.listdir(tmp_path / ORIGINALS)) == 1


def test_a_text_in_the_place_of_a_pdf_is_given_back_and_not_the_pdf(tmp_path: Path) -> None:
    keep(tmp_path, packed("terms.pdf"), is_replacing=False)
    keep(tmp_path, Ready("terms.pdf.md", b"# Other\n\nwords\n"), is_replacing=True)
    assert original(tmp_path, "terms.pdf.md").read_bytes() == b"# Other\n\nwords\n"


def test_f85_a_link_that_leads_out_of_the_folder_gives_nothing(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret.txt", tmp_path / "uploads"
    secret.write_text("secret", encoding="utf-8")
    folder.mkdir()
    (folder / "a.md").symlink_to(secret)
    for name in ("a.md", "", ".", "..", "../secret.txt", "a\x00.md", ORIGINALS, f"{ORIGINALS}/a"):
        with pytest.raises(Refused, match="not among the uploads"):
            original(folder, name)
        with pytest.raises(Refused, match="not among the uploads"):
            shelf.delete(folder, name)
    assert secret.exists()


def test_an_upload_that_the_disk_does_not_take_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".draft-terms.pdf.md").mkdir()
    with pytest.raises(Refused, match="could not be written"):
        keep(tmp_path, packed("terms.pdf"), is_replacing=False)
    assert list((tmp_path / ORIGINALS).iterdir()) == []
