"""The suite that comes with the source: our own documents answer it, and the suite tells good answers from bad ones."""

import json
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.evals.answers import Reply
from bot.evals.cases import Suite, load
from bot.evals.results import Run
from bot.evals.running import Runner
from tests.clock import ManualClock
from tests.evals.answerers import Says

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "evals" / "docs"


async def answered_by(answerer: Says) -> tuple[Suite, Run]:
    suite = load(SUITE)
    return suite, await Runner(answerer, ManualClock()).run(suite, "main", suite.least)


def test_the_offline_answerer_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At least 85 in 100, through the real agent, and nothing that the documents do not say."""
    config = tmp_path / "config.toml"
    config.write_text(f'[knowledge]\npaths = ["{ROOT / "docs"}"]\n')
    status = main(["eval", "run", str(SUITE), "--config", str(config), "--json"])
    results = json.loads(capsys.readouterr().out)["results"]
    failed = [(result["case"], result["failures"]) for result in results if result["failures"]]
    assert status == 0, failed
    assert [case for case, why in failed if "claims to know" in why] == []


async def test_an_answerer_that_always_claims_to_know_fails() -> None:
    """A confident answer passes nowhere."""
    suite, run = await answered_by(Says(lambda text: Reply(f"Yes, {text} is possible. [1]", ("docs/widget.md",))))
    assert not run.is_good
    unknown = {case.name for case in suite.cases if case.must_not_know}
    assert all(result.failures for result in run.results if result.case in unknown)
    assert run.passed <= 2


async def test_an_answerer_that_never_knows_fails() -> None:
    """It passes what cannot be known, and nothing else."""
    suite, run = await answered_by(
        Says(lambda text: Reply("I did not find that.", is_answered=False, is_offering_person=True))
    )
    assert not run.is_good
    passed = {result.case for result in run.results if result.has_passed}
    assert passed == {case.name for case in suite.cases if case.must_not_know}


async def test_an_answerer_that_recites_a_whole_page_of_another_topic_fails() -> None:
    """Much text is no answer."""
    text = (ROOT / "docs" / "decisions.md").read_text()
    _, run = await answered_by(Says(lambda _: Reply(text, ("docs/decisions.md",))))
    assert run.passed <= len(run.results) // 5


def test_documents_of_another_kind_are_answered_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shop's pages: what was measured on our own documents holds there, and nothing is invented."""
    shop = Path(__file__).parent / "shop"
    config = tmp_path / "config.toml"
    config.write_text(f'[knowledge]\npaths = ["{shop / "docs"}"]\n')
    status = main(["eval", "run", str(shop / "cases"), "--config", str(config), "--json"])
    results = json.loads(capsys.readouterr().out)["results"]
    assert status == 0, [(result["case"], result["failures"]) for result in results if result["failures"]]
    assert not any("claims to know" in result["failures"] for result in results)
