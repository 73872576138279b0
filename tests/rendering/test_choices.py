"""Buttons as numbers, and sources as a list."""

import pytest

from adapters.rendering import DISCORD, PLAIN, SLACK, WHATSAPP, Form, chosen, numbered, sources
from bot.model import Button, Citation, PassageId

YES, NO = Button("y", "Yes, please"), Button("n", "No")
BUTTONS = (YES, NO)


def test_buttons_are_numbered() -> None:
    """One a line, whatever is in a label; none for none."""
    assert numbered(BUTTONS) == "1. Yes, please\n2. No"
    assert numbered([Button("x", "two\n lines")]) == "1. two lines"
    assert numbered(()) == ""


@pytest.mark.parametrize(
    ("text", "button"),
    [
        ("1", YES),
        ("2", NO),
        ("2.", NO),
        (" 2 )", NO),
        ("2)\n", NO),
        ("02", NO),
        ("no", NO),
        (" NO ", NO),
        ("yes,  PLEASE", YES),
        ("0", None),
        ("3", None),
        ("-1", None),
        ("2 of them", None),
        ("1 2", None),
        ("2..", None),
        ("no way", None),
        ("yes", None),
        ("", None),
        ("²", None),
        ("9" * 5000, None),
    ],
)
def test_an_answer_means_one_button_or_none(text: str, button: Button | None) -> None:
    """A number or the label, and nothing like it: everything else is a message."""
    assert chosen(text, BUTTONS) is button


def test_a_label_that_is_a_number_goes_first() -> None:
    """On a scale from five down, "5" means five."""
    scale = [Button(str(number), str(number)) for number in range(5, 0, -1)]
    assert chosen("5", scale) is scale[0]
    assert chosen("5.", scale) is scale[4]


def test_without_buttons_nothing_is_chosen() -> None:
    """Nor is an empty label."""
    assert chosen("1", ()) is None
    assert chosen("", [Button("x", " ")]) is None


CITATIONS = (
    Citation(1, PassageId("a"), "Refunds > How *long*", "https://x.test/refunds?a=1&b=2"),
    Citation(2, PassageId("b"), "Prices", ""),
    Citation(3, PassageId("c"), "Local", "file:///etc/passwd"),
)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (SLACK, "*Sources*\n[1] <https://x.test/refunds?a=1&amp;b=2|Refunds &gt; How *long*>\n[2] Prices\n[3] Local"),
        (
            DISCORD,
            "**Sources**\n[1] [Refunds > How \\*long\\*](<https://x.test/refunds?a=1&b=2>)\n[2] Prices\n[3] Local",
        ),
        (WHATSAPP, "*Sources*\n[1] Refunds > How `*long*`: https://x.test/refunds?a=1&b=2\n[2] Prices\n[3] Local"),
        (PLAIN, "Sources\n[1] Refunds > How *long*: https://x.test/refunds?a=1&b=2\n[2] Prices\n[3] Local"),
    ],
)
def test_sources_are_listed(form: Form, text: str) -> None:
    """With a link where a person can read them."""
    assert sources(CITATIONS, form) == text


def test_no_citations_are_no_sources() -> None:
    """There is no heading over nothing."""
    assert sources((), SLACK) == ""


def test_sources_keep_to_the_room_that_is_left() -> None:
    """Whole lines, the first ones first, or nothing."""
    whole = sources(CITATIONS, PLAIN)
    assert sources(CITATIONS, PLAIN, len(whole)) == whole
    assert sources(CITATIONS, PLAIN, len(whole) - 1) == whole.removesuffix("\n[3] Local")
    assert sources(CITATIONS, PLAIN, 10) == ""
    assert sources(CITATIONS, PLAIN, -5) == ""


def test_long_titles_are_cut() -> None:
    """A heading path may be long; a line of sources is not."""
    line = sources([Citation(1, PassageId("a"), "x\n" * 400)], PLAIN).split("\n")[1]
    assert len(line) < 160
    assert line.endswith("…")
