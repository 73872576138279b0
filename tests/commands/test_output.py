"""How commands say times and texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.output import clock, cut, lasting, one_line, when


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (119_000, "119.0 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_stretch_of_time_has_one_unit(ms: float, text: str) -> None:
    """Short enough to read at a glance."""
    assert lasting(ms) == text


def test_an_unknown_time_is_a_dash() -> None:
    """Nothing is shown as 1970."""
    assert (when(None), when(0), clock(None), clock("x")) == ("-", "-", "-", "-")


@given(st.text())
def test_a_line_is_one_line(text: str) -> None:
    """Whatever stands in an error or a message, it makes one line on the terminal."""
    assert len(one_line(text).splitlines()) <= 1
    assert len(cut(text).splitlines()) <= 1
    assert len(cut(text)) <= 60
