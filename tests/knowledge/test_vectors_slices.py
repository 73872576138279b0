"""Embeddings come into memory in slices, and one of another length harms no search."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any  # numpy may be missing

import pytest

from bot.knowledge import vectors
from bot.knowledge.index import Entry, IndexReader, IndexWriter, Known
from bot.model import PassageId

numpy = pytest.importorskip("numpy")
MODEL = "test"


def vector(length: int, place: int) -> bytes:
    return struct.pack(f"<{length}f", *(float(n == place) for n in range(length)))


def add(writer: IndexWriter, name: str, *texts: str) -> None:
    passages = tuple((PassageId(f"{name}{n}"), "", text) for n, text in enumerate(texts))
    writer.apply((), (), [Entry(Known(f"/{name}", name, 1, 1, "x"), name, name, "", passages)])


def embed(writer: IndexWriter, length: int) -> None:
    missing = writer.missing(MODEL, 100)
    writer.keep(MODEL, [(hash_, vector(length, n % length)) for n, (hash_, _) in enumerate(missing)])


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[IndexWriter]:
    writer = IndexWriter(tmp_path / "index.db")
    yield writer
    writer.close()


def nearest(reader: IndexReader, length: int, place: int) -> list[str]:
    return [each.passage.text for each in reader.search("zzz", 1, vector=vector(length, place))]


def test_every_passage_is_found_whichever_slice_its_embedding_came_in(
    writer: IndexWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SLICE", 2)
    add(writer, "a", *(f"text {n}" for n in range(5)))
    embed(writer, 5)
    reader = IndexReader(tmp_path / "index.db", model=MODEL)
    assert [nearest(reader, 5, n) for n in range(5)] == [[f"text {n}"] for n in range(5)]
    reader.close()


def test_new_embeddings_of_another_length_alone_do_not_break_a_search(writer: IndexWriter, tmp_path: Path) -> None:
    """As when an endpoint's model is exchanged under its name."""
    add(writer, "a", "old")
    embed(writer, 4)
    reader = IndexReader(tmp_path / "index.db", model=MODEL)
    assert nearest(reader, 4, 0) == ["old"]
    add(writer, "b", "new")
    embed(writer, 6)
    assert nearest(reader, 4, 0) == ["old"]
    reader.close()


def test_what_is_embedded_little_by_little_is_not_copied_for_every_search(writer: IndexWriter, tmp_path: Path) -> None:
    """As while a large index is embedded: every passage is found at once, and all that was copied is far less than all of it each time."""
    count, copied = 64, 0
    reader = IndexReader(tmp_path / "index.db", model=MODEL)
    add(writer, "a", *(f"text {n}" for n in range(count)))
    concatenate = numpy.concatenate

    def counting(parts: Sequence[Any]) -> object:
        nonlocal copied
        copied += sum(len(part) for part in parts if part.ndim == 2)
        return concatenate(parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy, "concatenate", counting)
        for n in range(count):
            ((hash_, _),) = writer.missing(MODEL, 1)
            writer.keep(MODEL, [(hash_, vector(count, n))])
            assert nearest(reader, count, n) == [f"text {n}"]
            assert nearest(reader, count, 0) == ["text 0"]
    assert copied <= count * (count.bit_length() - 1)
    reader.close()
