"""Places in the queue and honest waits."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.handoff.waiting import Waiting, expected_wait_s, position, wait_words

QUEUES = st.lists(
    st.builds(Waiting, st.text("abc", min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 3)),
    max_size=9,
    unique_by=lambda each: each.id,
)
FIGURES = st.lists(st.floats(0, 86_400), min_size=3, max_size=20)


def test_the_more_urgent_and_then_the_longer_waiting_go_first() -> None:
    queue = [Waiting("late", 0, 30), Waiting("urgent", 2, 40), Waiting("b", 0, 10), Waiting("a", 0, 10)]
    assert [position(queue, name) for name in ("urgent", "a", "b", "late")] == [1, 2, 3, 4]


@given(QUEUES)
def test_everyone_in_the_queue_has_a_place_of_their_own(queue: list[Waiting]) -> None:
    assert sorted(position(queue, each.id) or 0 for each in queue) == list(range(1, len(queue) + 1))


def test_who_is_not_in_the_queue_has_no_place() -> None:
    assert position([Waiting("a", 0, 1)], "b") is None


def test_nothing_is_promised_without_figures_or_without_anybody_online() -> None:
    assert expected_wait_s(1, [], [], 3) is None
    assert expected_wait_s(1, [60, 60], [300, 300], 3) is None
    assert expected_wait_s(1, [60, 60, 60], [300, 300, 300], 0) is None
    assert expected_wait_s(4, [60, 60, 60], [], 3) is None


def test_the_nth_waits_for_n_places_to_fall_free() -> None:
    assert expected_wait_s(6, [10, 10, 10], [600, 600, 600], 3) == 1200


def test_nobody_is_taken_faster_than_people_have_lately_reacted() -> None:
    assert expected_wait_s(1, [90, 90, 90], [60, 60, 60], 3) == 90
    assert expected_wait_s(1, [90, 90, 90], [], 3) == 90


def test_one_that_lay_over_night_does_not_spoil_the_figure_and_one_quick_one_does_not_flatter_it() -> None:
    assert expected_wait_s(1, [1, 100, 120, 50_000], [], 1) == 120


@given(st.integers(1, 30), FIGURES, FIGURES, st.integers(1, 30))
def test_further_back_never_waits_shorter_and_more_people_never_longer(
    place: int, waits: list[float], handling: list[float], places: int
) -> None:
    here = expected_wait_s(place, waits, handling, places)
    behind, more = (
        expected_wait_s(place + 1, waits, handling, places),
        expected_wait_s(place, waits, handling, places + 1),
    )
    assert here is not None
    assert behind is not None
    assert more is not None
    assert behind >= here >= more


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (None, "", ""),
        (0, "about a minute", "etwa eine Minute"),
        (61, "about 2 minutes", "etwa 2 Minuten"),
        (300, "about 5 minutes", "etwa 5 Minuten"),
        (301, "about 10 minutes", "etwa 10 Minuten"),
        (1801, "about 45 minutes", "etwa 45 Minuten"),
        (2701, "about an hour", "etwa eine Stunde"),
        (3601, "about 2 hours", "etwa 2 Stunden"),
        (8 * 3600, "about 8 hours", "etwa 8 Stunden"),
        (8 * 3600 + 1, "more than 8 hours", "mehr als 8 Stunden"),
        (math.inf, "more than 8 hours", "mehr als 8 Stunden"),
    ],
)
def test_a_wait_is_said_in_honest_steps(seconds: float | None, english: str, german: str) -> None:
    assert wait_words(seconds, "en") == english
    assert wait_words(seconds, "de") == german


@given(st.integers(0, 8 * 3600))
def test_what_is_said_is_never_shorter_than_what_is_expected(seconds: int) -> None:
    said = wait_words(seconds)
    number = re.search(r"\d+", said)
    count = int(number[0]) if number else 1
    assert count * (3600 if "hour" in said else 60) >= seconds
