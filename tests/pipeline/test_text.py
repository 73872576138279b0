"""Text from outside: fit to keep, and fit to look at."""

from hypothesis import given
from hypothesis import strategies as st

from bot.text import clean, visible


@given(st.text(st.characters(codec=None)))
def test_f58_cleaned_text_can_be_kept_and_stays_as_it_is(text: str) -> None:
    """Whatever comes in can be encoded and stored, and cleaning it again changes nothing."""
    kept = clean(text)
    kept.encode("utf-8")
    assert "\x00" not in kept
    assert clean(kept) == kept


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Co", "Cn", "Cs"))))
def test_f58_ordinary_text_is_kept_to_the_letter(text: str) -> None:
    """Only what is no text is replaced."""
    if not any(mark in text for mark in "\ufeff\ufff9\ufffa\ufffb"):
        assert clean(text) == text


def test_f59_what_hides_or_reorders_text_is_written_out() -> None:
    """A direction mark, a zero-width joiner, a tag character or a terminal escape cannot deceive who reads it."""
    assert visible("pay \u202e001\u202c now") == "pay ‹U+202E›001‹U+202C› now"
    assert visible("a\u200bb\U000e0041\x1b[31m") == "a‹U+200B›b‹U+E0041›‹U+001B›[31m"
    assert visible("Grüße, 你好\n") == "Grüße, 你好\n"


def test_f60_cleaning_and_showing_are_linear() -> None:
    """A hundred thousand combining marks or direction marks are no more work than as many letters."""
    zalgo = "a" + "\u0301\u202e" * 50_000
    assert len(clean(zalgo)) == len(zalgo)
    assert visible(zalgo).count("‹U+202E›") == 50_000
