"""Rendering takes time in proportion to the text, whatever is in it."""

import sys
import time
from types import FrameType

import pytest

from adapters.rendering import DISCORD, SLACK, fit, render
from tests.rendering.test_split import HOSTILE

HOSTILE = HOSTILE | {
    "opened": "*a " * 30_000,
    "marks in words": "a**b" * 25_000,
    "mixed marks": "*a_ " * 25_000,
    "crossed marks": "**a *b " * 8_000 + "* **" * 8_000,
    "escapes": "\\" * 100_000,
    "entities": "&" * 100_000,
    "pictures": "![" * 50_000,
    "link ends": "](" * 50_000,
    "tags": "<a" * 50_000,
    "commands": "</a " * 25_000,
    "emoji": "<:a" * 33_000,
    "links": "[a](http://b) " * 7_000,
    "mostly colons": "http:" * 20_000,
    "many addresses": "https://a " * 10_000,
    "opening brackets in an address": "https://a" + "(" * 99_000,
    "closing brackets in an address": "https://a" + ")" * 99_000,
    "one strong of many lines": "**" + "a\n" * 50_000 + "**",
    "host of many parts": "[" + "a." * 45_000 + "](http://x)",
    "wide table": "|a" * 20_000 + "\n" + "|-" * 20_000 + "\n",
    "short rows": "|a" * 300 + "\n" + "|-" * 300 + "\n" + "|a\n" * 20_000,
    "many small tables": "|a|b|\n|-|-|\n" * 8_000,
    "deep list": "\n".join("  " * depth + "- a" for depth in range(300)),
    "code spans": "`a` " * 25_000,
    "quotes": ">" * 100_000,
    "starred lines": "*a\n" * 30_000,
    "combining in strong": "**a" + "\u0301" * 90_000 + "**",
}


def calls(text: str) -> int:
    """How many calls it takes to render the text in two forms."""
    count = 0

    def profile(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        render(text, SLACK)
        render(text, DISCORD)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", HOSTILE)
def test_f60_twice_the_text_takes_twice_the_work(name: str) -> None:
    """Counted in calls; texts of one kind from beginning to end, so that the half is a half."""
    text = HOSTILE[name][:6_000]
    assert calls(text) <= 2.5 * calls(text[: len(text) // 2]) + 10_000


@pytest.mark.parametrize("name", HOSTILE)
def test_f60_hostile_texts_end_soon(name: str) -> None:
    """Also where one call does all the work: far more than a part ever holds, in some fifty times what it takes."""
    text = HOSTILE[name][:30_000]
    started = time.perf_counter()
    render(text, SLACK)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("name", HOSTILE)
def test_f60_hostile_texts_are_cut_soon(name: str) -> None:
    """The parts are rendered several times until they fit, and no more than that."""
    text = HOSTILE[name][:10_000]
    started = time.perf_counter()
    parts = fit(text, DISCORD, 2000)
    assert time.perf_counter() - started < 10
    assert "".join(parts) == text
