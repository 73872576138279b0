"""Search by likeness over a real index file: what is found, what is kept, what is gone at once."""

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.knowledge.index import VERSION, Entry, IndexReader, IndexWriter, Known, Only
from bot.knowledge.vectors import WINDOWS, SqliteVectors
from bot.model import PassageId

pytest.importorskip("numpy")
MODEL = "test"


def vector(*numbers: float) -> bytes:
    length = sum(number * number for number in numbers) ** 0.5
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))


def entry(name: str, *texts: str, language: str = "", audience: str = "", is_talk: bool = False) -> Entry:
    known = Known(f"/{name}", name, 1, 1, "x")
    passages = tuple((PassageId(f"{name}{n}"), f"T{n}", text) for n, text in enumerate(texts))
    return Entry(known, name, name, "", passages, language, audience, is_talk)


TOPICS = {"apple": vector(1, 0, 0), "pear": vector(0.9, 0.1, 0), "bolt": vector(0, 1, 0), "sea": vector(0, 0, 1)}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[IndexWriter]:
    writer = IndexWriter(tmp_path / "index.db")
    yield writer
    writer.close()


@pytest.fixture
def reader(writer: IndexWriter, tmp_path: Path) -> Iterator[IndexReader]:
    reader = IndexReader(tmp_path / "index.db", model=MODEL)
    yield reader
    reader.close()


def embed(writer: IndexWriter) -> int:
    """Gives every passage that has none the vector of its topic; returns how many."""
    missing = writer.missing(MODEL, 10_000)
    writer.keep(MODEL, [(hash_, TOPICS[text.split()[1]]) for hash_, text in missing])
    return len(missing)


def texts(reader: IndexReader, query: str, near: str, only: Only | None = None) -> list[str]:
    chosen = only or Only()
    found = reader.search(
        query, 5, chosen.within, vector=TOPICS[near], audiences=chosen.audiences, language=chosen.language
    )
    return [each.passage.text for each in found]


def test_what_shares_no_word_is_found_by_likeness(writer: IndexWriter, reader: IndexReader) -> None:
    writer.apply((), (), [entry("a", "apple"), entry("b", "pear"), entry("c", "bolt")])
    embed(writer)
    assert texts(reader, "fruit", "apple") == ["apple", "pear"]
    assert reader.search("fruit", 5) == []


def test_a_removed_document_is_gone_at_once(writer: IndexWriter, reader: IndexReader) -> None:
    """Its vector may still lie there; nothing is found by it."""
    writer.apply((), (), [entry("a", "apple"), entry("b", "pear")])
    embed(writer)
    assert texts(reader, "fruit", "apple") == ["apple", "pear"]
    writer.apply(["/a"], (), ())
    assert texts(reader, "fruit", "apple") == ["pear"]


def test_an_added_document_is_found_at_once(writer: IndexWriter, reader: IndexReader) -> None:
    writer.apply((), (), [entry("b", "bolt")])
    embed(writer)
    assert texts(reader, "fruit", "apple") == []
    writer.apply((), (), [entry("a", "apple")])
    embed(writer)
    assert texts(reader, "fruit", "apple") == ["apple"]


def test_the_same_content_is_embedded_once_for_good(writer: IndexWriter, reader: IndexReader) -> None:
    """Neither a second document with it nor its removal and return costs anything."""
    writer.apply((), (), [entry("a", "apple"), entry("b", "apple")])
    assert embed(writer) == 1
    writer.apply(["/a", "/b"], (), ())
    writer.apply((), (), [entry("a", "apple")])
    assert embed(writer) == 0
    assert texts(reader, "fruit", "apple") == ["apple"]


def test_embeddings_survive_a_new_version_of_the_index(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    writer = IndexWriter(path)
    writer.apply((), (), [entry("a", "apple")])
    embed(writer)
    writer.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    connection.close()
    writer = IndexWriter(path)
    assert (writer.is_current, writer.known()) == (True, {})
    writer.apply((), (), [entry("a", "apple")])
    assert writer.missing(MODEL, 10) == []
    assert writer.is_sound()
    writer.close()


def test_unused_embeddings_can_be_forgotten(writer: IndexWriter, reader: IndexReader) -> None:
    writer.apply((), (), [entry("a", "apple"), entry("b", "bolt")])
    embed(writer)
    writer.keep("former model", [(hash_, TOPICS["sea"]) for hash_, _ in writer.missing("former model", 10)])
    writer.apply(["/b"], (), ())
    assert writer.forget_unused(MODEL) == 3
    assert texts(reader, "fruit", "apple") == ["apple"]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (Only(), ["bolt one", "bolt two", "bolt three"]),
        (Only(audiences=()), ["bolt one"]),
        (Only(audiences={"staff"}), ["bolt one", "bolt two"]),
        (Only(language="de"), ["bolt one", "bolt three"]),
        (Only(audiences={"staff"}, language="en"), ["bolt one", "bolt two"]),
        (Only(within=[Path("/c")]), ["bolt three"]),
    ],
)
def test_a_search_keeps_to_audience_language_and_place(
    writer: IndexWriter, reader: IndexReader, only: Only, expected: list[str]
) -> None:
    """By words and by likeness alike."""
    two = entry("b", "bolt two", audience="staff", language="en")
    three = entry("c", "bolt three", language="de", audience="partners" if only.audiences is not None else "")
    writer.apply((), (), [entry("a", "bolt one"), two, three])
    embed(writer)
    for query in ("bolt", "screw"):
        assert sorted(texts(reader, query, "bolt", only)) == sorted(expected)


def test_few_that_are_allowed_are_found_among_many_that_are_not(writer: IndexWriter, reader: IndexReader) -> None:
    """Further away than as many as are looked at first."""
    many = [f"apple {n}" for n in range(WINDOWS[-1] + 10)]
    writer.apply((), (), [entry("a", *many), entry("b", "pear", language="de"), entry("c", "sea", language="fr")])
    embed(writer)
    only = Only(within=[Path("/b"), Path("/c")])
    assert texts(reader, "fruit", "apple", only) == ["pear"]


def test_vectors_of_another_length_are_passed_over(writer: IndexWriter, reader: IndexReader) -> None:
    """An endpoint whose model was exchanged under its name."""
    writer.apply((), (), [entry("a", "apple")])
    embed(writer)
    found = reader.search("apple", 5, vector=vector(1, 0))
    assert [each.passage.text for each in found] == ["apple"]


def test_sqlite_vec_finds_the_same_as_numpy(writer: IndexWriter, reader: IndexReader, tmp_path: Path) -> None:
    pytest.importorskip("sqlite_vec")
    writer.apply((), (), [entry("a", "apple", "pear", "bolt"), entry("b", "sea", language="de")])
    embed(writer)
    connection = sqlite3.connect(tmp_path / "index.db")
    try:
        if not hasattr(connection, "enable_load_extension"):
            with pytest.raises(ImportError, match="loads no extensions"):
                SqliteVectors(connection, MODEL)
            pytest.skip("this Python's sqlite3 loads no extensions")
        inside = SqliteVectors(connection, MODEL)
        beside = reader._opened_vectors()
        assert beside.kind == "numpy"
        for asked in TOPICS.values():
            mine, other = inside.nearest(asked, 3), beside.nearest(asked, 3)
            assert [number for number, _ in mine] == [number for number, _ in other]
            assert dict(mine) == pytest.approx(dict(other), abs=1e-6)
            assert inside.typical(asked) == beside.typical(asked) == 0.0
            assert inside.likenesses(asked, [1, 2]) == pytest.approx(beside.likenesses(asked, [1, 2]), abs=1e-6)
    finally:
        connection.close()


def test_what_is_typical_is_the_mean_over_all(writer: IndexWriter, reader: IndexReader) -> None:
    """Half of forty passages is the topic itself, half is at right angles to it."""
    writer.apply((), (), [entry("a", *(f"bolt {n}" for n in range(20)), *(f"sea {n}" for n in range(20)))])
    embed(writer)
    assert reader._opened_vectors().typical(TOPICS["bolt"]) == pytest.approx(0.5, abs=1e-6)


def test_a_turn_is_found_by_what_was_asked_before_it(writer: IndexWriter, reader: IndexReader) -> None:
    talk = entry("talk", "Which plan do you use?", "The middle one.", "Thanks.", is_talk=True)
    writer.apply((), (), [talk])
    assert [each.number for each in reader.ranked("plan", 5)] == [1, 2]
    writer.apply((), (), [entry("talk", "Which plan do you use?", "The middle one.", "Thanks.")])
    assert len(reader.ranked("plan", 5)) == 1


def test_a_joined_result_is_found_again_by_its_id(writer: IndexWriter, reader: IndexReader) -> None:
    """Until its document changes."""
    known = Known("/a", "a", 1, 1, "x")
    passages = tuple((PassageId(f"{n:016x}"), "Bolts", f"bolt {n}") for n in range(2))
    writer.apply((), (), [Entry(known, "a", "a", "", passages)])
    (found,) = reader.search("bolts", 5)
    assert found.passage.text == "bolt 0\n\nbolt 1"
    assert reader.passage(found.passage.id) == found.passage
    writer.apply((), (), [Entry(known, "a", "a", "", passages[:1])])
    assert reader.passage(found.passage.id) is None


WORDS = st.lists(st.sampled_from(sorted(TOPICS)), min_size=1, max_size=4).map(" ".join)
DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), st.lists(WORDS, min_size=1, max_size=4), min_size=1)


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS, WORDS, st.sampled_from(sorted(TOPICS)), st.integers(0, 300))
def test_indexing_again_changes_no_result(
    tmp_path_factory: pytest.TempPathFactory, documents: dict[str, list[str]], query: str, near: str, most_chars: int
) -> None:
    """The same passages in the same order, and never more than there is room for."""
    path = tmp_path_factory.mktemp("again") / "index.db"
    writer = IndexWriter(path)
    reader: IndexReader | None = None
    results = []
    try:
        for _ in range(2):
            entries = [entry(name, *parts) for name, parts in documents.items()]
            writer.apply([known.path for known in writer.known().values()], (), entries)
            embed(writer)
            reader = reader or IndexReader(path, model=MODEL)
            results.append(reader.search(query, 5, vector=TOPICS[near], most_chars=most_chars))
    finally:
        writer.close()
        if reader is not None:
            reader.close()
    assert results[0] == results[1]
    assert sum(len(each.passage.title) + len(each.passage.text) for each in results[0]) <= most_chars
