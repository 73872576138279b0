"""What a run gave is kept, and told apart from the run before."""

import os
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.evals.comparing import compare
from bot.evals.results import KEPT, History, Result, SavedFile, read
from tests.evals.answerers import run

GOOD = Result(case="postage", tags=("t",), answer="we do [1]", model="m", documents=("a.md",), ms=12.5, tokens=3)
BAD = Result(case="hours", failures=("claims to know",), unjudged=("is kind",), cost_micros=7)


def test_a_saved_run_is_read_as_it_was(tmp_path: Path) -> None:
    """Every field of it."""
    kept = SavedFile(tmp_path / "run.json")
    kept.prepare()
    assert kept.latest() is None
    assert read(kept.add(run(GOOD, BAD))) == kept.latest() == run(GOOD, BAD)
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "my diary"])
def test_nothing_but_a_run_is_written_over(tmp_path: Path, text: str) -> None:
    """A mistyped name destroys no file."""
    file = tmp_path / "diary.txt"
    file.write_text(text)
    with pytest.raises(DataError, match="is not the result of an evaluation"):
        SavedFile(file).prepare()
    assert file.read_text() == text


def test_a_place_that_cannot_be_written_is_found_out_before_the_run(tmp_path: Path) -> None:
    """Not after questions have been paid for."""
    with pytest.raises(DataError, match="folder does not exist"):
        SavedFile(tmp_path / "nowhere" / "run.json").prepare()
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="cannot be made"):
        History(tmp_path / "data", "shop").prepare()


def test_the_data_folder_of_another_account_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daemon could not read what we put there."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(DataError, match="belongs to user id"):
        History(tmp_path, "shop").prepare()


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    """Of each suite for itself, in a folder that nobody else can read."""
    history, other = History(tmp_path / "data", "shop"), History(tmp_path / "data", "other")
    for each in (history, other):
        each.prepare()
    other.add(run(BAD))
    files = [history.add(run(GOOD, at_ms=1_700_000_000_000 + 250 * n)) for n in range(KEPT + 3)]
    assert sorted((tmp_path / "data" / "evals" / "shop").iterdir()) == files[3:]
    assert history.latest() == run(GOOD, at_ms=1_700_000_000_000 + 250 * (KEPT + 2))
    assert other.latest() == run(BAD)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_damaged_result_is_passed_over(tmp_path: Path) -> None:
    """The run before it is compared with."""
    history = History(tmp_path, "shop")
    history.prepare()
    history.add(run(GOOD))
    history.add(run(BAD, at_ms=1_700_000_001_000)).write_text("{")
    assert history.latest() == run(GOOD)


def test_two_runs_are_compared_case_by_case() -> None:
    """What passes now, what fails now, what is answered otherwise; time and cost of what both asked."""
    before = run(
        Result(case="mended", failures=("x",), ms=10, cost_micros=1),
        Result(case="broken", ms=20, cost_micros=2),
        Result(case="other words", answer="a", ms=30, cost_micros=3),
        Result(case="same", answer="b", ms=40, cost_micros=4),
        Result(case="gone", ms=1000, cost_micros=1000),
    )
    after = run(
        Result(case="new", ms=2000, cost_micros=2000),
        Result(case="mended", answer="c", ms=1),
        Result(case="broken", failures=("y",), ms=2),
        Result(case="other words", answer="A", ms=3, cost_micros=5),
        Result(case="same", answer="b", ms=4),
    )
    difference = compare(before, after)
    assert (difference.newly_passing, difference.newly_failing) == (("mended",), ("broken",))
    assert difference.changed == ("other words",)
    assert (difference.added, difference.removed) == (("new",), ("gone",))
    assert (difference.ms, difference.cost_micros) == ((100, 10), (10, 5))
    assert not difference.is_empty
    assert compare(before, before).is_empty


def test_enough_is_the_share_or_more() -> None:
    """Exactly the share is enough; one case less is not."""
    results = [GOOD] * 17 + [BAD] * 3
    assert run(*results, least=0.85).is_good
    assert not run(*results, BAD, least=0.85).is_good
