"""Uploaded documents are nowhere else: a backup has them, sealed, and one damaged file costs no more than itself."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.config.knowledge_schema import uploads
from bot.store import packets
from bot.store.backup import backup, restore
from bot.store.blobs import path_of
from bot.store.copying import UPLOADS
from bot.store.folder import BLOBS, DATABASE
from bot.store.salvage import salvage
from tests.store.database import fill, noted, opened
from tests.store.test_backup import save_file
from tests.users.house import empty_folder
from tests.users.planting import files_with

TEXT = "# Returns\n\nWithin zanzibar days.\n"


def upload(data: Path) -> dict[str, bytes]:
    """Two documents, the original of one of them, and others that are not whole yet."""
    found = {"returns-zanzibar.md": TEXT.encode(), "a.pdf.md": b"# A", ".originals/a.pdf": b"%PDF\x00\xff"}
    for name, content in {
        **found,
        ".half.md.part": b"# Ha",
        ".draft-b.md": b"# B",
        ".originals/.draft-b.pdf": b"%",
    }.items():
        path = uploads(data) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return found


def uploaded(data: Path) -> dict[str, bytes]:
    folder = uploads(data)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_of_uploads_is_the_one_that_is_backed_up() -> None:
    assert uploads(Path("data")) == "data" / UPLOADS


async def test_uploaded_documents_come_back_and_are_sealed_with_their_names(tmp_path: Path) -> None:
    names = await fill(tmp_path / "data", 2)
    found = upload(tmp_path / "data")
    report = await asyncio.to_thread(backup, tmp_path / "data", tmp_path / "copy")
    assert report.files.documents == 3
    assert "3 uploaded documents" in str(report)
    assert files_with(tmp_path / "copy", "zanzibar") == []
    assert [path for path in (tmp_path / "copy").rglob("*") if "zanzibar" in path.name] == []
    back = empty_folder(tmp_path / "back", tmp_path / "data")
    assert restore(tmp_path / "copy", back).files.documents == 3
    assert uploaded(back) == found
    assert noted(back) == names


async def test_uploaded_documents_come_back_from_a_plain_copy_and_from_a_salvage(tmp_path: Path) -> None:
    await fill(tmp_path / "data", 2)
    found = upload(tmp_path / "data")
    salvage(tmp_path / "data", tmp_path / "saved")
    assert uploaded(tmp_path / "saved") == found
    restore(tmp_path / "saved", tmp_path / "back")
    assert uploaded(tmp_path / "back") == found


async def test_a_damaged_file_or_document_is_left_out_and_all_else_comes_back(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    names = await fill(data, 2)
    async with opened(data) as store:
        blobs = [await save_file(data, store, name) for name in ("one.png", "two.png")]
    found = upload(data)
    await asyncio.to_thread(backup, data, copy)
    for path in (path_of(copy / BLOBS, blobs[0].id), copy / "documents" / "000001"):
        *whole, last = path.read_bytes()
        path.write_bytes(bytes((*whole, last ^ 1)))
    (copy / "documents" / "000002").unlink()
    back = empty_folder(tmp_path / "back", data)
    report = restore(copy, back)
    assert (report.files.copied, report.files.documents, report.files.missing) == (1, 1, 3)
    assert not path_of(back / BLOBS, blobs[0].id).exists()
    assert len(set(found.items()) & set(uploaded(back).items())) == 1
    assert noted(back) == names


async def test_a_backup_of_before_documents_were_in_one_is_restored(tmp_path: Path) -> None:
    names = await fill(tmp_path / "data", 2)
    await asyncio.to_thread(backup, tmp_path / "data", tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / DATABASE)) as connection:
        connection.execute("DELETE FROM seal WHERE key = 'documents'")
        connection.execute("UPDATE owners SET keys = substr(keys, 1, 32)")
        connection.commit()
    restore(tmp_path / "copy", empty_folder(tmp_path / "back", tmp_path / "data"))
    assert noted(tmp_path / "back") == names


async def test_a_blob_that_vanishes_while_it_is_sealed_is_missing_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    await fill(data, 1)
    async with opened(data) as store:
        blob = await save_file(data, store, "one.png")
    seal = packets.Sealer.file

    def vanish(*args: Any) -> None:
        shutil.rmtree(data / BLOBS)
        seal(*args)

    monkeypatch.setattr(packets.Sealer, "file", vanish)
    report = await asyncio.to_thread(backup, data, tmp_path / "copy")
    assert (report.files.copied, report.files.missing) == (0, 1)
    assert not path_of(tmp_path / "copy" / BLOBS, blob.id).exists()
