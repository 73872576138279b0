"""Splitting loses nothing, respects the limit, cuts where a reader would, and takes linear time."""

import html
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rendering import is_boundary, split

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
FLAG = "\U0001f1e9\U0001f1ea"
CLUSTERS = [
    FAMILY,
    FLAG,
    "\U0001f44d\U0001f3fd",  # a skin tone
    "❤\ufe0f\u200d\U0001f525",
    "1\ufe0f\u20e3",  # a keycap
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "e\u0301",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034d",
    "\u1112\u1161\u11ab",  # han, in letters
    "\uac01\u11a8",
    "\u0e01\u0e33",
    "\u0915\u094d\u200d\u0937",
    "\r\n",
]

MARKDOWN = ["[a link](https://x.test/y)", "`code`", "```\nx = 1\n\ny = 2\n```\n", "```", "~~~", "[", "](", "**", "> "]
pieces = st.sampled_from([*CLUSTERS, *MARKDOWN, " ", "\n", "\n\n", ". ", "。", "word", "\t", "\u2028", "\x00"])
texts = st.one_of(st.text(max_size=300), st.lists(pieces, max_size=80).map("".join))


@given(texts, st.integers(1, 120))
@settings(max_examples=500, deadline=None)
def test_the_parts_are_the_text(text: str, limit: int) -> None:
    """Put together they are it, and none is empty or too long."""
    parts = split(text, limit)
    assert "".join(parts) == text
    assert all(0 < len(part) <= limit for part in parts)


@given(st.lists(st.sampled_from([*CLUSTERS, "a", " ", "\n"]), max_size=60), st.integers(20, 60))
@settings(max_examples=300, deadline=None)
def test_no_character_is_cut(clusters: list[str], limit: int) -> None:
    """Emoji, flags, accents and syllables come whole."""
    ends, at = {0}, 0
    for cluster in clusters:
        at += len(cluster)
        ends.add(at)
    at = 0
    for part in split("".join(clusters), limit):
        at += len(part)
        assert at in ends


@given(texts, st.integers(30, 120))
@settings(max_examples=300, deadline=None)
def test_what_fits_stays_whole(text: str, limit: int) -> None:
    """No link and no code that fits into a part is torn, wherever it stands outside of code blocks."""
    text = text.replace("```", "").replace("~~~", "").replace("`", "")
    at, cuts = 0, []
    for part in split(text, limit):
        at += len(part)
        cuts.append(at)
    for link in re.finditer(r"\[a link\]\(https://x\.test/y\)", text):
        assert not any(link.start() < cut < link.end() for cut in cuts)


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("", 10, ()),
        ("short", 10, ("short",)),
        ("one two three", 8, ("one two ", "three")),
        ("First one.\n\nSecond one. Third", 20, ("First one.\n\n", "Second one. Third")),
        ("line one\nline two\nline", 20, ("line one\nline two\n", "line")),
        ("One. Two is long. Three", 20, ("One. Two is long. ", "Three")),
        ("abcdefghij", 4, ("abcd", "efgh", "ij")),
        ("日本語の文。次の文です", 8, ("日本語の文。", "次の文です")),
        ("see [this](https://x.test/a) now", 24, ("see ", "[this](https://x.test/a)", " now")),
        ("Do as follows:\n```\na\n\nb\n```\nDone. All.", 20, ("Do as follows:\n", "```\na\n\nb\n```\n", "Done. All.")),
        ("Look at https://x.test/a/b/c please", 20, ("Look at ", "https://x.test/a/b/c", " please")),
        (FAMILY * 3, 10, (FAMILY, FAMILY, FAMILY)),
        (FLAG * 3, 5, (FLAG * 2, FLAG)),
        ("a\r\nb", 2, ("a", "\r\n", "b")),
    ],
)
def test_cuts_are_where_a_reader_expects_them(text: str, limit: int, parts: tuple[str, ...]) -> None:
    """Paragraphs before lines before sentences before words before characters."""
    assert split(text, limit) == parts


def test_a_code_block_that_is_too_long_is_cut_between_lines() -> None:
    """Lines of code stay whole, and each part but the first begins with the end of a line."""
    block = "```\n" + "".join(f"line {number:03}\n" for number in range(50)) + "```\n"
    parts = split(block, 100)
    assert "".join(parts) == block
    assert [line for part in parts for line in part.split("\n") if line] == block.split("\n")[:-1]
    assert all(part.startswith("\n") for part in parts[1:])


@given(texts, st.integers(2, 120))
@settings(max_examples=500, deadline=None)
def test_only_code_goes_on_with_the_end_of_a_line(text: str, limit: int) -> None:
    """A part that begins so is read as code, so no other does; where there is no choice, it is a line end alone."""
    text = text.replace("```", "").replace("~~~", "")
    for part in split(text, limit)[1:]:
        assert not re.match(r"\n[^\n]", part)


@pytest.mark.parametrize("size", [1600, 2000, 4000])
def test_what_measures_more_than_it_is_long_is_cut_earlier(size: int) -> None:
    """Characters that a platform counts several times fill a part sooner, and no part is cut much too early."""
    text = "fish & chips <now> " * 1000
    parts = split(text, size, lambda part: len(html.escape(part)))
    assert "".join(parts) == text
    assert all(size // 2 < len(html.escape(part)) <= size for part in parts[:-1])


def test_a_part_that_can_only_be_one_character_may_measure_more() -> None:
    """There is nothing left to cut."""
    assert split("&&&", 2, lambda part: 5 * len(part)) == ("&", "&", "&")


@pytest.mark.parametrize("measure", [lambda part: 3 * len(part), lambda part: len(part) + 1999 * part.count("x")])
def test_a_measure_need_not_be_even(measure: Callable[[str], int]) -> None:
    """A few tries find a cut that is short enough, wherever the costly characters stand."""
    calls = 0

    def counted(part: str) -> int:
        nonlocal calls
        calls += 1
        return measure(part)

    text = ("a " * 400 + "x ") * 20
    parts = split(text, 2000, counted)
    assert "".join(parts) == text
    assert all(measure(part) <= 2000 or len(part) == 1 for part in parts)
    assert calls < 25 * len(parts)


def test_a_limit_of_nothing_is_refused() -> None:
    """There is no part without a character."""
    with pytest.raises(ValueError, match="at least one"):
        split("x", 0)


@given(st.text(max_size=50), st.integers(0, 50))
def test_boundaries_never_fail(text: str, at: int) -> None:
    """Any text has an answer at any place, and its ends are boundaries."""
    assert is_boundary(text, min(at, len(text))) in (True, False)
    assert is_boundary(text, 0)
    assert is_boundary(text, len(text))


HOSTILE = {
    "combining marks": "a" + "\u0301" * 100_000,
    "joined emoji": FAMILY * 15_000,
    "flags": FLAG * 50_000,
    "joiners": "\u200d" * 100_000,
    "open brackets": "[" * 100_000,
    "closed brackets": "]" * 100_000,
    "nested links": "[" * 30_000 + "x" + "](y)" * 30_000,
    "half links": "[a](" * 25_000,
    "backticks": "`" * 100_001,
    "lonely backticks": "`a\n" * 33_000,
    "fences": "```\n" * 25_000,
    "growing fences": "".join("`" * size + "\n" for size in range(3, 400)),
    "nested quotes": "> " * 50_000,
    "nested bold": "**" * 50_000,
    "spaces": " " * 100_000,
    "newlines": "\n" * 100_000,
    "broken paragraphs": "\n \t" * 33_000,
    "full stops": "." * 100_000,
    "quoted stops": (".'" * 1000 + "\n") * 50,
    "stop and quotes": "." + "'" * 100_000,
    "addresses": "https://" * 12_500,
    "bracketed addresses": "[https://x](" * 8_000,
    "small words": "a " * 50_000,
    "one early space": ("a " + "b" * 2100) * 47,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("limit", [1600, 2000, 4000])
def test_hostile_texts_take_linear_time(name: str, limit: int) -> None:
    """100,000 characters of anything are cut within a second: some thirty times what they take."""
    text = HOSTILE[name]
    started = time.perf_counter()
    parts = split(text, limit)
    assert time.perf_counter() - started < 1
    assert "".join(parts) == text
    assert len(parts) <= 8 * len(text) // limit + 2
