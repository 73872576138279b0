"""The index: every query is safe, and coverage says how much of a question is held."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.index import Entry, IndexReader, IndexWriter, Known, match_expression
from bot.knowledge.search import COMMON_PASSAGES, choose_words
from bot.knowledge.words import informative_words
from bot.model import PassageId

TEXTS = {
    "Widget › Install": "Put the tag before the end of the body.",
    "Widget › Colours": "Set an accent colour for the widget.",
    "Returns": "Send it back within thirty days. We refund running costs, even for the Größe XL.",
    "Shipping": "We ship to Austria and Germany.",
}


def fill(path: Path, texts: dict[str, str]) -> None:
    writer = IndexWriter(path)
    passages = tuple((PassageId(f"id{n}"), title, text) for n, (title, text) in enumerate(texts.items()))
    writer.apply((), (), [Entry(Known("/a.md", "a.md", 1, 1, "x"), "sub dir/a.md", "A", "", passages)])
    writer.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexReader]:
    path = tmp_path_factory.mktemp("index") / "index.db"
    fill(path, TEXTS)
    reader = IndexReader(path)
    yield reader
    reader.close()


@given(st.text())
def test_any_text_is_a_valid_search(index: IndexReader, text: str) -> None:
    """Operators, quotes, brackets and odd characters of a user never reach the query language."""
    for found in index.search(text, 3):
        assert 0 < found.coverage <= 1


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_words_make_a_valid_expression(words: list[str]) -> None:
    """The query builder is safe by itself, whatever the words hold."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (a)")
    connection.execute("SELECT * FROM t WHERE t MATCH ?", (match_expression(words),)).fetchall()
    connection.close()


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("How do I install the widget?", "Widget › Install"),
        ("COLOURED widgets", "Widget › Colours"),
        ("refunds", "Returns"),
        ("GROßE", "Returns"),
        ('NOT ship" OR (austria*', "Shipping"),
    ],
)
def test_words_are_found_whatever_their_form(index: IndexReader, query: str, title: str) -> None:
    """Case, endings, accents and query operators do not matter; a title counts."""
    assert index.search(query, 3)[0].passage.title == title


def test_coverage_is_the_share_of_what_is_asked(index: IndexReader) -> None:
    """All words in title or text: 1. A word that no document knows lowers it, a rare word more than a frequent one."""
    assert index.search("How do I install the widget?", 1)[0].coverage == 1
    known = index.search("refund widget", 5)
    by_title = {found.passage.title: found.coverage for found in known}
    assert by_title["Returns"] > by_title["Widget › Install"]
    assert index.search("refund quantum entanglement", 1)[0].coverage < 0.5


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("refnud", "Returns"),
        ("Austira", "Shipping"),
        ("delivery to Germany", "Shipping"),
        ("accnt color", "Widget › Colours"),
    ],
)
def test_a_mistyped_word_and_a_synonym_are_found(index: IndexReader, query: str, title: str) -> None:
    """One slip of the keyboard, and everyday words for the same."""
    assert index.search(query, 3)[0].passage.title == title


def test_a_word_that_the_documents_know_is_taken_at_its_word(index: IndexReader) -> None:
    """ "ship" is not corrected to anything, and a short or strange word is not guessed."""
    assert [found.passage.title for found in index.search("ship", 3)] == ["Shipping"]
    assert index.search("sxp", 3) == []
    assert index.search("zzzzip", 3) == []


@pytest.mark.parametrize("query", ["", "   ", "😀", "the of and", "quantum", "\0", "\ud800"])
def test_nothing_is_found_where_nothing_is_asked(index: IndexReader, query: str) -> None:
    """Grammar alone, unknown words and no words find nothing."""
    assert index.search(query, 5) == []


def test_a_passage_is_found_by_its_id(index: IndexReader) -> None:
    """Citations lead to it; unknown and strange ids lead nowhere."""
    passage = index.passage(PassageId("id2"))
    assert passage is not None
    assert (passage.title, passage.document, passage.url) == ("Returns", "a.md", "")
    for strange in ("", "x", "\0", "\ud800", "' OR 1=1 --"):
        assert index.passage(PassageId(strange)) is None


def test_a_base_url_leads_to_the_document(tmp_path: Path) -> None:
    """Where documents are published, a passage links to its own."""
    fill(tmp_path / "index.db", TEXTS)
    reader = IndexReader(tmp_path / "index.db", "https://example.com/help/")
    assert reader.search("refund", 1)[0].passage.url == "https://example.com/help/sub%20dir/a.md"
    reader.close()


def test_common_words_do_not_choose_while_rarer_ones_can() -> None:
    """A search over very many passages looks at few of them."""
    assert choose_words({"rare": 3, "everywhere": COMMON_PASSAGES + 1, "nowhere": 0}) == ["rare"]
    assert choose_words({"a": COMMON_PASSAGES + 3, "b": COMMON_PASSAGES + 1, "c": COMMON_PASSAGES + 2}) == ["b", "c"]
    assert choose_words({"nowhere": 0}) == []


@given(st.text())
def test_informative_words_never_hold_anything_but_letters_and_digits(text: str) -> None:
    """What reaches the index is harmless by shape already."""
    assert all(word.isalnum() for word in informative_words(text))


def test_filler_counts_only_when_nothing_else_is_said() -> None:
    """ "I need help" is about help; "I need help with the widget" is about the widget."""
    assert informative_words("I need help") == ["need", "help"]
    assert informative_words("I need help with the widget") == ["widget"]


def test_the_words_of_a_name_all_count() -> None:
    """Codes and keys are looked up as they are, even where they are made of common words."""
    assert informative_words("What is too_fast?") == ["too", "fast"]
