"""Facts come from a source: what counts as the same value, what follows, what is a promise, and what a page may show."""

import re
from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.grounding import HELD_OUT, TUNED, Case, cases, judge
from bot.agent.checks import ClaimWatch
from bot.agent.grounding import Grounds, Source, value_start
from bot.agent.values import find_values

TODAY: Final = date(2026, 11, 23)


def missing(text: str, *sources: str, asked: str = "") -> tuple[str, ...]:
    """What of the text has no source."""
    return Grounds(lambda: [*map(Source, sources), Source(asked, is_users=True)], TODAY).missing(text)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("€49.90", "49,90 EUR"),
        ("1,299 dollars", "$1,299.00"),
        ("1.299,00 €", "EUR 1299"),
        ("49 Euro", "49,- €"),
        ("two weeks", "14 days"),
        ("innerhalb von zwei Tagen", "48 h"),
        ("within a week", "7 Tage"),
        ("3 May 2026", "2026-05-03T10:00:00Z"),
        ("3. Mai", "May 3rd, 2026"),
        ("zehn Prozent", "10 %"),
        ("14:30", "2:30 p.m."),
        ("5 MB", "5242880 bytes"),
        ("2500 g", "2.5 kg"),
        ("01 234 5678", "+43 1 234 5678"),
        ("order 1187", "ORD-2024-1187"),
        ("€49.90", '{"total_cents": 4990, "currency": "EUR"}'),
        ("3 days", '{"delivery_days": 3}'),
        ("10 kg", '{"weight": 10, "unit": "kg"}'),
        ("29 €", "| Team | 29 |\n| Plan | Price in € |"),
        ("shop.example", "https://shop.example/returns"),
    ],
)
def test_a_value_is_the_same_in_whatever_notation(said: str, source: str) -> None:
    """Currencies, separators, languages and units are only notation."""
    assert missing(said) == (said.removeprefix("innerhalb von ").removeprefix("within ").removeprefix("order "),)
    assert missing(said, source) == ()


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("$49.90", "€49.90"),
        ("€1.299", "€1.29"),
        ("3.000 €", "3 €"),
        ("5 business days", "5 days"),
        ("4 days", "14 days"),
        ("one month", "30 minutes"),
        ("3 to 10 days", "3 days"),
        ("$49.90", '{"total_cents": 4990, "currency": "EUR"}'),
        ("€3", '{"total": 49.9, "currency": "EUR", "delivery_days": 3}'),
        ("shop.example/refunds", "https://shop.example/returns"),
    ],
)
def test_what_only_looks_alike_is_another_value(said: str, source: str) -> None:
    """Another currency, unit, magnitude or page, or the other end of a range."""
    assert missing(f"within {said}" if "month" in said else said, source)


@pytest.mark.parametrize(
    "text",
    [
        "1. Open it.\n2. Close it.",
        "See [1][2, 3].",
        "Python 3.11 and version 2.5.1 do two things in step 2.",
        "I cannot say what it costs.",
        "Feel free to ask; there is no problem at all.",
        "Is it refundable? I could not find whether there is a guarantee.",
        "I am 100% sure.",
        "Please tell me your order number, e.g. #12345.",
    ],
)
def test_what_is_no_value_needs_no_source(text: str) -> None:
    """List numbers, citations, versions, bare numbers, refusals, questions, examples of a notation."""
    assert missing(text) == ()


def test_what_follows_from_sources_has_one() -> None:
    """Sums and differences, shares, multiples that the answer shows, days after a date."""
    source = "The lamp costs €20 and the desk €130. Orders from 3 November get 10 %. Returns: 14 days."
    for text in (
        "€150 together",
        "€110 more",
        "3 lamps for €60",
        "€18 for the lamp",
        "until 17 November",
        "20 days ago, on 3 November",
    ):
        assert missing(text, source) == (), text
    assert missing("€155", source)
    assert missing("until 18 November", source)


def test_nothing_follows_from_too_many_amounts() -> None:
    """Among many, almost any sum could be shown."""
    few, many = (" ".join(f"€{n * n}.37" for n in range(1, most)) for most in (5, 30))
    assert missing("€5.74", few) == ()
    assert missing("€5.74", many)


def test_the_users_words_are_a_source_for_values_and_none_for_promises() -> None:
    """Who asks whether it is free has not said that it is."""
    asked = "I paid 80 euros on 3 May, is the return free of charge?"
    assert missing("You paid €80 on May 3.", asked=asked) == ()
    assert missing("It is free of charge.", asked=asked) == ("free of charge",)


def test_a_denied_promise_is_no_source() -> None:
    """ "Not refundable" does not make anything refundable."""
    assert missing("Tickets are refundable.", "Tickets are not refundable.")
    assert missing("Tickets are non-refundable.", "Tickets cannot be refunded.") == ()


@pytest.mark.parametrize(("path", "least_caught", "most_held"), [(TUNED, 0.97, 0.04), (HELD_OUT, 0.9, 0.07)])
def test_planted_values_are_caught_and_good_answers_are_sent(
    path: object, least_caught: float, most_held: float
) -> None:
    """Measured as `python -m benchmarks.grounding` does; nobody tunes on what is held out."""
    score = judge(TUNED if path == TUNED else HELD_OUT)
    assert score.caught / score.bad >= least_caught, score.mistakes
    assert score.held / score.good <= most_held, score.mistakes


SMALL = re.compile(r"(?:(?:an?|your|a full|eine?[rsmn]?)\s)+", re.IGNORECASE)
CAUGHT = [case for path in (TUNED, HELD_OUT) for case in cases(path) if case.wrong and case.missing()]
SENT = [case for path in (TUNED, HELD_OUT) for case in cases(path) if not case.missing()]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_nothing_of_a_value_without_a_source_is_shown_however_it_comes(size: int) -> None:
    """Not even its first digit or the word that names it; small words such as "your" tell nothing."""
    for case in CAUGHT:
        shown, wrong = case.shown(size), case.missing()[0]
        small = SMALL.match(wrong)
        before = case.reply[: case.reply.index(wrong) + (small.end() if small is not None else 0)]
        assert len(shown) <= len(before), (shown, wrong)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_an_answer_with_sources_is_shown_whole_however_it_comes(size: int) -> None:
    """What was held back to be judged is shown after all."""
    for case in SENT:
        assert case.shown(size) == case.reply


def test_plain_words_are_shown_at_once() -> None:
    """The first words of an answer do not wait for its first sentence."""
    watch = ClaimWatch(is_person_wished=False, grounds=Grounds(list, TODAY))
    assert [watch.take(piece) for piece in ("Hello", ", you can", " open", " the")] == [
        "Hello",
        ", you ",
        "can ",
        "open ",
    ]
    assert watch.take(" within 3") == "the within "


def test_sources_are_not_read_for_an_answer_without_values() -> None:
    """It costs nothing."""

    def read() -> list[Source]:
        raise AssertionError

    assert Grounds(read, TODAY).missing("Open the settings and choose a colour.") == ()


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """Nothing is raised, and where a value may begin lies within the text."""
    Case("", (text,), text, text, ()).missing()
    assert 0 <= value_start(text) <= len(text)


def test_values_stand_where_they_are_said() -> None:
    """With their place and their words."""
    text = "It costs €5, then twelve euros."
    assert [(each.text, text[each.at :].startswith(each.text)) for each in find_values(text)] == [
        ("€5", True),
        ("twelve euros", True),
    ]
