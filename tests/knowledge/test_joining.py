"""Results: neighbours as one, no text twice, never more than there is room for."""

from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.fusion import Fused
from bot.knowledge.joining import GLUE, MOST_JOINED, Row, joined, parts_of


def row(number: int, text: str = "", title: str = "T", document: str = "a.md") -> Row:
    return Row(number, f"{number:016x}", document, title, text or f"text {number}", "", "")


def ranked(*rows: Row) -> list[tuple[Row, Fused]]:
    return [(each, Fused(each.number, 10.0 - place, 0.5, 1.0, None)) for place, each in enumerate(rows)]


def texts(*rows: Row, limit: int = 5, most_chars: int = 10_000) -> list[str]:
    return [each.text for each, _ in joined(ranked(*rows), limit, most_chars)]


def test_passages_that_follow_each_other_are_one_result_in_their_order() -> None:
    results = joined(ranked(row(5), row(9), row(4)), 5, 10_000)
    assert [each.text for each, _ in results] == ["text 4\n\ntext 5", "text 9"]
    first, fused = results[0]
    assert parts_of(first.id) == [row(4).id, row(5).id]
    assert fused.score == 10.0


def test_only_the_same_heading_of_the_same_document_joins() -> None:
    assert len(texts(row(1), row(2, title="Other"))) == 2
    assert len(texts(row(1), row(2, document="b.md"))) == 2


def test_the_same_paragraph_counts_once() -> None:
    """White space and capitals do not make it another."""
    assert texts(row(1, "We pay."), row(7, "we  PAY."), row(9)) == ["We pay.", "text 9"]


def test_what_joins_takes_no_place() -> None:
    assert texts(row(1), row(2), row(8), row(12), limit=2) == ["text 1\n\ntext 2", "text 8"]


NUMBERS = st.lists(st.integers(1, 40), max_size=25, unique=True)


@given(NUMBERS, st.integers(1, 6), st.integers(0, 400), st.integers(1, 120))
def test_results_never_exceed_their_budget(numbers: list[int], limit: int, most_chars: int, length: int) -> None:
    rows = [row(number, f"{number} ".ljust(length, "x")) for number in numbers]
    results = joined(ranked(*rows), limit, most_chars)
    assert len(results) <= limit
    assert sum(len(each.title) + len(each.text) for each, _ in results) <= most_chars
    ids = [part for each, _ in results for part in each.id.split(GLUE)]
    assert len(ids) == len(set(ids))
    assert all(len(each.id.split(GLUE)) <= MOST_JOINED and len(each.id) <= 75 for each, _ in results)
