"""An evaluation tells of earlier cases: with memory they stand before the model, without it nothing does, and each user has their own."""

import json
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.errors import ConfigError
from bot.evals.cases import load

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "evals" / "memory"


def evaluated(
    folder: Path, suite: Path, capsys: pytest.CaptureFixture[str], *, has_memory: bool
) -> tuple[int, dict[str, list[str]]]:
    config = folder / "config.toml"
    config.write_text(f"[agents.main]\nmemory = {str(has_memory).lower()}\n")
    status = main(["eval", "run", str(suite), "--config", str(config), "--json"])
    run = json.loads(capsys.readouterr().out)
    return status, {result["case"]: result["failures"] for result in run["results"]}


def test_with_memory_the_shipped_suite_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, results = evaluated(tmp_path, SUITE, capsys, has_memory=True)
    assert (status, {case: why for case, why in results.items() if why}) == (0, {})


def test_without_memory_only_what_must_not_be_recalled_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the suite shows what the switch is worth."""
    status, results = evaluated(tmp_path, SUITE, capsys, has_memory=False)
    passed = {case for case, why in results.items() if not why}
    assert status == 1
    assert passed == {case.name for case in load(SUITE).cases if not case.must_recall}


def test_the_memory_of_one_case_is_not_shown_in_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two users with the same question."""
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "two.toml").write_text(
        '[[case]]\nname = "a"\nearlier = [["I ride a Roadster."]]\nquestion = "Which bike is mine?"\n'
        'must_recall = ["Roadster"]\nmust_not_recall = ["Tourer"]\n'
        '[[case]]\nname = "b"\nearlier = [["I ride a Tourer."]]\nquestion = "Which bike is mine?"\n'
        'must_recall = ["Tourer"]\nmust_not_recall = ["Roadster"]\n'
    )
    assert evaluated(tmp_path, suite, capsys, has_memory=True) == (0, {"a": [], "b": []})


def test_a_demand_of_memory_without_earlier_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('question = "Which bike is mine?"\nmust_recall = ["Roadster"]\n')
    with pytest.raises(ConfigError, match="tells of no earlier case"):
        load(tmp_path)
