"""Corrections of operators become cases."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bot.evals import cases
from bot.evals.harvest import Correction, file_of

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_whatever_was_written_comes_back_out_of_the_file(written: list[tuple[str, str]]) -> None:
    """No quote, line break or control character of a user makes another file of it."""
    found = tomllib.loads(file_of(Correction(str(n), asked, "?", sent) for n, (asked, sent) in enumerate(written)))
    assert [each["question"] for each in found["case"]] == [asked for asked, _ in written]
    assert all(each["must_ask_judge"].endswith(sent) for each, (_, sent) in zip(found["case"], written, strict=True))


def test_the_file_is_a_suite_that_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "corrected.toml").write_text(file_of([Correction("s1", "Who pays?", "You", "We do")]))
    (case,) = cases.load(tmp_path).cases
    assert (case.turns, case.tags) == (("Who pays?",), ("corrected",))
