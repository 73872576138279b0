"""Two orders become one: words where they say something, likeness where they do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.fusion import CROWDED, LEAST_LIKENESS, LIKENESS, NO_LIKENESS, Weighing, fuse
from bot.knowledge.search import Hit

HITS = st.lists(
    st.builds(Hit, st.integers(1, 30), st.floats(0.1, 30), st.floats(0.01, 1)),
    max_size=12,
    unique_by=lambda hit: hit.number,
)
NEAR = st.dictionaries(st.integers(1, 30), st.floats(-1, 1), max_size=12)


@given(HITS, NEAR, st.floats(0, 1))
def test_every_passage_is_named_once_and_the_best_stands_first(
    hits: list[Hit], near: dict[int, float], weight: float
) -> None:
    fused = fuse(hits, near, Weighing(weight))
    numbers = [each.number for each in fused]
    assert len(numbers) == len(set(numbers))
    assert {hit.number for hit in hits} <= set(numbers) <= {hit.number for hit in hits} | near.keys()
    assert [each.score for each in fused] == sorted((each.score for each in fused), reverse=True)


@given(HITS)
def test_without_embeddings_the_words_decide_as_they_did(hits: list[Hit]) -> None:
    fused = fuse(hits, {}, Weighing())
    expected = [(hit.number, hit.score, hit.coverage) for hit in sorted(hits, key=lambda hit: (-hit.score, hit.number))]
    assert [(each.number, each.score, each.coverage) for each in fused] == expected
    assert all(each.likeness is None for each in fused)


@given(HITS, NEAR)
def test_the_order_does_not_hang_on_the_order_of_what_is_given(hits: list[Hit], near: dict[int, float]) -> None:
    turned = dict(reversed(near.items()))
    assert fuse(hits, near, Weighing()) == fuse(hits[::-1], turned, Weighing())


def test_words_weigh_less_where_they_hold_little_of_the_question() -> None:
    """The same two passages: likeness decides when a tenth of the question is held, words when all of it is."""
    near = {1: 0.2, 2: 0.4}
    assert fuse([Hit(1, 9.0, 0.1)], near, Weighing())[0].number == 2
    assert fuse([Hit(1, 9.0, 1.0)], near, Weighing())[0].number == 1


def test_likeness_counts_less_where_everything_is_alike() -> None:
    """The same two passages: one holds half of the question, the other is nearer in meaning."""
    hits, near = [Hit(1, 9.0, 0.5)], {1: 0.4, 2: 0.65}
    assert fuse(hits, near, Weighing(), typical=0.1)[0].number == 2
    assert fuse(hits, near, Weighing(), typical=CROWDED)[0].number == 1


@given(HITS, st.dictionaries(st.integers(1, 30), st.floats(-1, NO_LIKENESS), min_size=1, max_size=12))
def test_cosines_by_chance_leave_the_order_to_the_words(hits: list[Hit], near: dict[int, float]) -> None:
    """Embeddings of no value: those of another language, or of a broken model."""
    given_all = {hit.number: near.get(hit.number, 0.0) for hit in hits} | near
    best = [hit.number for hit in sorted(hits, key=lambda hit: (-hit.score, hit.number))]
    assert [each.number for each in fuse(hits, given_all, Weighing())] == best


@given(st.floats(0, 1), st.floats(-1, 1))
def test_a_weight_of_nothing_stays_nothing_and_none_grows(weight: float, typical: float) -> None:
    assert 0 <= Weighing(weight).where(typical) <= weight


def test_a_passage_that_shares_no_word_and_is_not_alike_is_no_result() -> None:
    fused = fuse([Hit(1, 2.0, 0.5)], {1: 0.0, 2: LEAST_LIKENESS, 3: LEAST_LIKENESS - 0.01}, Weighing())
    assert {each.number for each in fused} == {1, 2}


def test_a_passage_that_is_not_embedded_yet_is_no_worse_for_it() -> None:
    """While the embeddings of new documents are on their way, the words find these as well as old ones."""
    fused = fuse([Hit(1, 9.0, 1.0), Hit(2, 3.0, 0.3)], {2: 0.4}, Weighing(LIKENESS))
    assert fused[0].number == 1
    assert fused[0].likeness is None


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_beyond_its_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Weighing(weight)
