"""Text from outside: fit to keep, and fit to look at."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text import clean, compile_patterns, pattern, visible


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


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled from now on, in order."""
    seen: list[str] = []
    real = re.compile

    def note(text: str, flags: int = 0) -> Any:  # as `re.compile`
        seen.append(text)
        return real(text, flags)

    monkeypatch.setattr(re, "compile", note)
    return seen


def test_a_pattern_is_compiled_with_its_first_use_and_once(compiled: list[str]) -> None:
    """Whoever only imports it pays nothing, and whoever uses it again pays nothing more."""
    own = pattern(r"first (\w+)")
    assert compiled == []
    assert own.search("the first use") is not None
    assert own.fullmatch("first") is None
    assert own.sub(r"\1", "first time") == "time"
    assert compiled == [r"first (\w+)"]


def test_a_pattern_is_like_the_one_that_re_makes() -> None:
    """Its flags hold, and it has every method and attribute."""
    own, real = pattern(r"(?P<word>grüße)", re.IGNORECASE), re.compile(r"(?P<word>grüße)", re.IGNORECASE)
    for name in (name for name in dir(real) if not name.startswith("_")):
        assert hasattr(own, name), name
    assert own.findall("GRÜSSE, Grüße") == real.findall("GRÜSSE, Grüße") == ["Grüße"]
    assert (own.pattern, own.flags, own.groups, own.groupindex) == (real.pattern, real.flags, 1, {"word": 1})
    with pytest.raises(AttributeError):
        own.serach  # type: ignore[attr-defined]  # noqa: B018


def test_a_wrong_pattern_says_so_with_its_first_use() -> None:
    """As `re.compile` would."""
    own = pattern("(")
    try:
        with pytest.raises(re.error):
            own.match("")
    finally:
        type(own).every.remove(own)  # type: ignore[attr-defined]  # so that nobody else compiles it


def test_a_pattern_that_another_thread_has_just_compiled_is_used() -> None:
    """The thread that compiles all of them may be first between a use's look and its own compiling."""
    own = pattern("now")
    late = type(own).__getattr__  # type: ignore[attr-defined]  # what a use calls that has found nothing yet
    compile_patterns()
    assert late(own, "search")("now") is not None


def test_all_patterns_can_be_compiled_ahead(compiled: list[str]) -> None:
    """Afterwards no use compiles anything; and every pattern of ours that is imported here is a right one."""
    own = pattern("ahead (of|before) time")
    compile_patterns()
    assert "ahead (of|before) time" in compiled
    compiled.clear()
    assert own.search("ahead of time") is not None
    assert visible(clean("plain\r\ntext")) == "plain\ntext"
    assert compiled == []
