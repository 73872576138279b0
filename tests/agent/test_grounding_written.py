"""Facts come from a source however they are written: emphasised, in words, in tables, in escaped JSON; and no text holds the loop up."""

import time
from datetime import date
from typing import Final

import pytest

from bot.agent.checks import ClaimWatch, find_claim
from bot.agent.grounding import Grounds, Source

TODAY: Final = date(2026, 11, 23)
LONG: Final = 40_000
SLOW_S: Final = 8.0  # of the processor's time; what grows with the square takes far longer


def grounds(*sources: str, asked: str = "") -> Grounds:
    """Of an answer that may use these texts and what the user has asked."""
    return Grounds(lambda: [*map(Source, sources), Source(asked, is_users=True)], TODAY)


def shown(text: str, step: int, *sources: str) -> str:
    """What stands on the page after a text that came in pieces of `step` characters."""
    watch = ClaimWatch(is_person_wished=False, grounds=grounds(*sources))
    pieces = [watch.take(text[start : start + step]) for start in range(0, len(text), step)]
    return "".join([*pieces, watch.rest()])


WRITTEN: Final = [
    ("It costs **49** €.", "49 EUR", "49"),
    ("It costs *49* _€_ now.", "49 EUR", "49"),
    ("It costs **49**.**90** €.", "€49.90", "90"),
    ("Price: **€**49 a piece.", "49 EUR", "49"),
    ("It costs 49&nbsp;€.", "49 EUR", "49"),
    ("It takes **14** days.", "two weeks", "14"),
    ("It takes *two* weeks.", "14 days", "weeks"),
    ("It takes 14 \u200bdays.", "14 days", "14"),
    ("It is **free** of charge.", "There is no charge for it.", "free"),
    ("It is free\u00a0of\u00a0charge.", "There is **no** charge for it.", "free"),
    ("Das kostet 1.299,– €.", "EUR 1299", "1.299"),
    ("Es kostet neunundvierzig Euro.", "49 €", "vierzig"),
    ("It costs nineteen dollars.", "$19", "dollars"),
    ("It costs twenty-five euros.", "25 €", "five"),
    ("It costs two hundred euros.", "200 €", "hundred"),
    ("Es kostet 2 Mio. Euro.", "2.000.000 €", "2 Mio"),
    ("Es kostet 1,5 Millionen Euro.", "1.500.000 €", "1,5"),
    ("To kosztuje 30 zł.", "PLN 30", "30"),
    ("| Plan | Price (EUR) |\n|---|---|\n| Basic | 49 |", "49 €", "49"),
]


@pytest.mark.parametrize(("said", "source", "secret"), WRITTEN)
def test_what_is_written_in_another_way_needs_a_source_and_finds_it(said: str, source: str, secret: str) -> None:
    """In whatever pieces it comes, nothing of it is seen without one; with one, all is."""
    assert grounds().missing(said) != ()
    assert grounds(source).missing(said) == ()
    for step in (1, 2, 5, len(said)):
        assert secret not in shown(said, step)
        assert shown(said, step, source) == said


def test_a_price_far_down_a_table_is_not_seen_without_a_source() -> None:
    """The head of the table is remembered for every row."""
    rows = "".join(f"| Plan {letter} | 10 |\n" for letter in "ABCDEFGH")
    table = f"| Plan | Price in € |\n|---|---|\n{rows}| Plan Z | 49 |\n"
    assert "49" not in shown(table, 3, "10 €")
    assert shown(table, 3, "10 € and 49 €") == table


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("Das kostet 49,90 €.", r'{"price": "49,90 \u20ac"}'),
        ("Sie haben Anspruch auf volle Rückerstattung.", r'{"policy": "R\u00fcckerstattung"}'),
        ("Your balance is −5 €.", '{"balance": -5, "currency": "EUR"}'),
        ("The number is 00340434161094042557.", "Tracking: 0034 0434 1610 9404 2557"),
        ("Please try again in 5 minutes.", ""),
        ("Please wait for about 30 seconds.", ""),
    ],
)
def test_a_good_answer_is_not_held(said: str, source: str) -> None:
    """Escaped JSON, signs, groups of digits; and asking for patience promises nothing."""
    assert grounds(source).missing(said) == ()


def test_asking_for_patience_is_no_licence_for_deadlines() -> None:
    """Only minutes and seconds, and only where somebody is asked to wait."""
    assert grounds().missing("Please try again in 5 days.") == ("5 days",)
    assert grounds().missing("It is delivered in 5 minutes.") == ("5 minutes",)


@pytest.mark.parametrize(
    "source",
    [
        "9" * 400 + " hours",
        '{"hours": 1e400}',
        '{"total": 1e9999999, "currency": "EUR"}',
        '{"a": ' + "[" * 900 + "1" + "]" * 900 + "}",
        "[" * LONG,
    ],
)
def test_no_source_breaks_the_check(source: str) -> None:
    """Numbers beyond all sense and the deepest nesting are read as nothing."""
    assert grounds(source).missing("It costs 5 € and takes 3 days.") == ("5 €", "3 days")


@pytest.mark.parametrize(
    "piece",
    ["[", "[1,", "a", "_", "a-a-", "http://", "100 ", "1.1.1.1", "(", "9", "1-2-", '{"a":', "€1 ", "order no 123 "],
)
def test_the_time_to_read_a_hostile_source_does_not_grow_with_its_square(piece: str) -> None:
    """One user's message must not keep everybody else waiting."""
    text = (piece * LONG)[:LONG]
    began = time.process_time()
    grounds("x", asked=text).missing("It costs 12.34 €, call 0800 123 4567, order AB-1234, free of charge.")
    grounds("x").missing(text)
    assert time.process_time() - began < SLOW_S


@pytest.mark.parametrize(
    "piece", ["1.1.1.1", "((((", "\n", " \n", "no ", "i have just ", "a@", "!", "2026-05-03 ", "|1|€|\n", "two "]
)
def test_the_time_to_watch_a_hostile_answer_does_not_grow_with_its_square(piece: str) -> None:
    """However small its pieces: sentences without an end are held, and read once."""
    text = (piece * LONG)[:LONG]
    began = time.process_time()
    shown(text, 40)
    find_claim(text, is_person_wished=False)
    assert time.process_time() - began < SLOW_S


def test_a_sentence_without_an_end_is_seen_at_last() -> None:
    """What is held since it is long comes with its end."""
    text = "word and " * 300 + "end."
    assert shown(text, 7) == text
