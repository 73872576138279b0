"""Parts tile the text, and each is within its platform's limit as it is shown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rendering import DISCORD, PLAIN, SLACK, WHATSAPP, Form, fit, is_boundary, render

LIMITS = [(SLACK, 4000), (DISCORD, 2000), (WHATSAPP, 1600)]
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
LINK = "[the manual](https://x.test/manual_(new)?a=1&b=2)"
CODE = "```py\nprint(1 & 2)\n\nprint(3)\n```"
LONG_CODE = "```\n" + "x = y * 2\n" * 300 + "```"

words = st.sampled_from(
    [
        "word",
        "Sentence. " * 9,
        "**bold**",
        "fish & chips < 5",
        "*",
        "_",
        "~",
        "`x`",
        LINK,
        FAMILY,
        "e\u0301",
        "日本語。",
    ]
)
lines = st.lists(words, min_size=1, max_size=30).map(" ".join)
blocks = st.one_of(
    lines,
    lines,
    lines.map("- {}".format),
    lines.map("> {}".format),
    lines.map("# {}".format),
    st.sampled_from([CODE, LONG_CODE, "|a|b|\n|-|-|\n|1|2|"]),
)
texts = st.lists(blocks, min_size=5, max_size=25).flatmap(
    lambda all_: st.sampled_from(["\n", "\n\n"]).map(lambda between: between.join(all_))
)


@given(texts)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize(("form", "limit"), LIMITS, ids=["slack", "discord", "whatsapp"])
def test_f61_parts_tile_the_text_and_fit(form: Form, limit: int, text: str) -> None:
    """Nothing lost, nothing twice, nothing longer than the platform takes; links, code and characters whole."""
    parts = fit(text, form, limit)
    assert "".join(parts) == text
    cuts = set()
    at = 0
    for number, part in enumerate(parts):
        assert len(render(part, form, part=number)) <= limit
        at += len(part)
        cuts.add(at)
    assert all(is_boundary(text, cut) for cut in cuts)
    for found in re.finditer(f"{re.escape(LINK)}|{re.escape(CODE)}", text):
        assert not any(found.start() < cut < found.end() for cut in cuts)


@given(st.text(max_size=80), st.sampled_from(LIMITS), st.integers(8, 60))
@settings(max_examples=150, deadline=None)
def test_f61_small_limits_hold_too(text: str, form: tuple[Form, int], limit: int) -> None:
    """Any text, and limits that force every kind of cut."""
    parts = fit(text, form[0], limit)
    assert "".join(parts) == text
    assert all(len(render(part, form[0], part=number)) <= limit or len(part) == 1 for number, part in enumerate(parts))


@pytest.mark.parametrize(("form", "limit"), LIMITS, ids=["slack", "discord", "whatsapp"])
def test_long_code_is_code_in_every_part(form: Form, limit: int) -> None:
    """A block of code that no part can hold is a block in each, and what follows it is text again."""
    lines = [f"line {number} = {number} * 2  # _x_ *y*" for number in range(500)]
    text = "Look:\n\n```py\n" + "\n".join(lines) + "\n```\n\nThat was **all**."
    parts = fit(text, form, limit)
    assert "".join(parts) == text
    shown = [render(part, form, part=number) for number, part in enumerate(parts)]
    assert len(shown) > 3
    code: list[str] = []
    for part in shown:
        before, inside, after = re.fullmatch(r"(.*?)```(?:py)?\n(.*)\n```(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        code += inside.split("\n")
        assert "line" not in before + after
    assert code == lines
    assert render("**all**", form) in shown[-1].rpartition("```")[2]


def test_code_goes_on_only_in_a_later_part() -> None:
    """The first part of a message, such as a draft, may begin with line ends as it likes."""
    assert render("\nHello **you**", PLAIN) == render("\nHello **you**", PLAIN, part=0) == "Hello you"
    assert render("\nx = 1\n```\nHello **you**", SLACK, part=1) == "```\nx = 1\n```\n\nHello *you*"
    assert render("\n\nHello **you**", SLACK, part=1) == "Hello *you*"


def test_a_text_that_fits_is_one_part() -> None:
    """An empty one is none."""
    assert fit("Hello", SLACK, 4000) == ("Hello",)
    assert fit("", SLACK, 4000) == ()


def test_a_platform_may_count_in_its_own_way() -> None:
    """An emoji is two units of UTF-16."""
    parts = fit("\U0001f600 " * 2000, WHATSAPP, 1600, lambda text: len(text.encode("utf-16-le")) // 2)
    assert "".join(parts) == "\U0001f600 " * 2000
    assert all(len(part.encode("utf-16-le")) // 2 <= 1601 for part in parts)  # the space at its end is not shown
    assert len(parts) == 4
