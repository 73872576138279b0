"""`frontdesk eval` as a person calls it: the real agent over real documents, without a daemon."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main
from tests.evals.answerers import write

RETURNS = "# Returns\n\nSend unused things back within thirty days. We pay the postage within Austria.\n"
HOURS = "# Opening hours\n\nThe workshop opens at nine and closes at five.\n"
CASES = """
[[case]]
question = "Who pays the postage?"
must_contain = ["within Austria"]
must_cite = ["returns.md"]
tags = ["returns"]

[[case]]
turns = ["When does the workshop open?", "and when does it close?"]
must_contain = ["five"]
must_cite = ["hours.md"]

[[case]]
question = "Do you sell motorbikes?"
must_not_know = true
must_offer_person = true

[[case]]
question = "Who won the football world cup?"
must_contain = ["Austria"]
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with a config, documents, and a suite of which three in four pass."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "returns.md").write_text(RETURNS)
    (tmp_path / "docs" / "hours.md").write_text(HOURS)
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "shop").mkdir()
    write(tmp_path / "shop", cases=CASES, suite="least = 0.75\n")
    return tmp_path


def evaluate(house: Path, *more: str) -> int:
    return main(["eval", "run", str(house / "shop"), "--config", str(house / "config.toml"), *more])


def told(capsys: pytest.CaptureFixture[str]) -> Any:  # JSON
    return json.loads(capsys.readouterr().out)


def test_a_suite_is_asked_and_judged(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each case, totals by tag, and where the result is kept."""
    assert evaluate(house) == 0
    head, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert head == ["result", "case", "why", "model", "cites", "time", "tokens", "cost"]
    assert [row[0] for row in rows[:4]] == ["passed", "passed", "passed", "FAILED"]
    assert rows[0][1:5] == ["Who pays the postage?", "", "offline", "docs/returns.md"]
    assert rows[3][2] == 'does not contain "Austria"'
    assert rows[4] == ["returns: 1 of 1"]
    assert rows[5][0].startswith("3 of 4 passed (75%); 75% must.")


@pytest.mark.parametrize(("least", "status"), [("0.75", 0), ("0.76", 1), ("1", 1), ("0", 0)])
def test_the_status_says_whether_enough_passed(house: Path, least: str, status: int) -> None:
    """For scripts."""
    assert evaluate(house, "--least", least) == status


def test_the_next_run_says_what_is_different(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cases by name, and time and cost before and after."""
    evaluate(house)
    (house / "docs" / "hours.md").write_text(HOURS.replace("five", "six"))
    (house / "docs" / "cup.md").write_text(
        "# The football world cup\n\nAustria has never won the football world cup.\n"
    )
    capsys.readouterr()
    assert evaluate(house) == 0
    shown = capsys.readouterr().out
    assert "  passes now: Who won the football world cup?\n" in shown
    assert "  FAILS NOW: When does the workshop open? / and when does it close?\n" in shown
    assert "  time " in shown
    evaluate(house)
    assert "the same answers" in capsys.readouterr().out


def test_json_holds_everything(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The results, the verdict, the place, and the difference from the second run on."""
    evaluate(house, "--json")
    first = told(capsys)
    assert (first["passed"], first["is_good"], first["difference"]) == (3, True, None)
    assert "within Austria" in first["results"][0]["answer"]
    assert Path(first["saved"]).parent == house / "data" / "evals" / "shop"
    evaluate(house, "--json")
    assert told(capsys)["difference"]["newly_failing"] == []


def test_two_saved_results_are_compared(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--save` keeps them where one wants them, and then nothing in the data folder."""
    evaluate(house, "--save", str(house / "a.json"))
    (house / "docs" / "returns.md").unlink()
    evaluate(house, "--save", str(house / "b.json"))
    assert not (house / "data").exists()
    capsys.readouterr()
    assert main(["eval", "compare", str(house / "a.json"), str(house / "b.json"), "--json"]) == 0
    assert told(capsys)["newly_failing"] == ["Who pays the postage?"]
    assert main(["eval", "compare", str(house / "a.json"), str(house / "b.json")]) == 0
    assert "  FAILS NOW: Who pays the postage?\n" in capsys.readouterr().out
    assert main(["eval", "compare", str(house / "a.json"), str(house / "config.toml")]) == 4


def test_neither_database_nor_index_of_the_daemon_is_touched(house: Path) -> None:
    """An evaluation may run beside it, and leaves nothing but its result."""
    (house / "data").mkdir(mode=0o700)
    (house / "data" / "index.db").write_text("the daemon's")
    evaluate(house)
    assert {path.name for path in (house / "data").iterdir()} == {"index.db", "evals"}
    assert (house / "data" / "index.db").read_text() == "the daemon's"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--agent", "nobody"], "there is no nobody in the config. There is: main."),
        (["--model", "gpt"], "there is no gpt in the config. There is: offline."),
    ],
)
def test_names_that_the_config_does_not_hold_are_refused(
    house: Path, more: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked."""
    assert evaluate(house, *more) == 2
    assert what in capsys.readouterr().err


def test_an_agent_answers_with_the_model_that_is_named(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its own chain is."""
    (house / "config.toml").write_text('[models.quotes]\nprovider = "offline"\n[agents.shop]\nname = "Ada"\n')
    assert evaluate(house, "--agent", "shop", "--model", "quotes", "--json") == 0
    shown = told(capsys)
    assert shown["agent"] == "shop"
    assert {result["model"] for result in shown["results"]} == {"quotes"}


def test_the_offline_answerer_does_not_pass_for_the_model_that_is_named(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands in for a model that fails, and every such case fails, though the answer be right."""
    (house / "config.toml").write_text(
        '[models.near]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\ntries = 1\n'
    )
    assert evaluate(house, "--model", "near", "--json") == 1
    results = told(capsys)["results"]
    assert {result["failures"][0] for result in results} == {"answered by offline, not by near"}


def test_bad_files_are_refused_with_status_2(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem on a line, with file and line."""
    write(house / "shop", more='question = "A?"\nmust_conain = ["x"]\n', other="[[case]]\n")
    assert evaluate(house) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].rpartition("/")[2] for line in lines] == ["more.toml:2", "other.toml:1"]
    assert "Did you mean must_contain?" in lines[0]


@pytest.mark.parametrize("share", ["2", "-1", "85%", "nan", ""])
def test_a_share_is_a_number_from_0_to_1(house: Path, share: str) -> None:
    """A mistyped one lets nothing pass by accident."""
    with pytest.raises(SystemExit, match="2"):
        evaluate(house, f"--least={share}")
