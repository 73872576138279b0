"""A folder of cases is read whole, or refused with all that is wrong."""

from pathlib import Path

import pytest

from bot.errors import ConfigError, Problem
from bot.evals.cases import Suite, load
from tests.evals.answerers import write

POSTAGE = 'question = "Who pays the postage?"\nmust_contain = ["we do"]\n'


def problems(folder: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return caught.value.problems


def test_a_file_is_one_case_or_several(tmp_path: Path) -> None:
    """In the order of the files' names; a case without a name is called by what is asked."""
    two = f'[[case]]\n{POSTAGE}[[case]]\nname = "hours"\nturns = ["Open?", "On Sundays?"]\nmust_not_know = true\n'
    suite = load(write(tmp_path, a='question = "Hi?"\nmust_contain = ["hello"]\n', b=two))
    assert [case.name for case in suite.cases] == ["Hi?", "Who pays the postage?", "hours"]
    assert [case.turns for case in suite.cases] == [("Hi?",), ("Who pays the postage?",), ("Open?", "On Sundays?")]


def test_a_suite_is_named_by_its_file_or_its_folder(tmp_path: Path) -> None:
    """Results are kept under the name, so that it is always fit for a file's."""
    folder = tmp_path / "my questions"
    folder.mkdir()
    write(folder, a=POSTAGE)
    assert (load(folder).name, load(folder).least) == ("my-questions", 0.85)
    write(folder, suite='name = "shop"\nleast = 0.5\n')
    assert (load(folder).name, load(folder).least) == ("shop", 0.5)


def test_defaults_hold_where_a_case_says_nothing(tmp_path: Path) -> None:
    """A case's own key wins."""
    write(tmp_path, suite='[defaults]\ntags = ["all"]\nmust_not_contain = ["Zendesk"]\n')
    write(tmp_path, a=POSTAGE, b='question = "Hm?"\nmust_contain = ["hm"]\ntags = ["own"]\n')
    first, second = load(tmp_path).cases
    assert (first.tags, second.tags) == (("all",), ("own",))
    assert first.must_not_contain == second.must_not_contain == ("Zendesk",)


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    """With file, line, key and what to do."""
    write(
        tmp_path,
        a='[[case]]\nquestion = "A?"\nmust_contian = ["x"]\nmust_not_know = true\n',
        b='[[case]]\nquestion = "B?"\nmust_cite = "b.md"\n\n[[case]]\nquestion = "C?"\n',
        c='question = "C?\n',
        suite='name = "no/name"\nleast = 2\n',
    )
    found = {(Path(each.file).name, each.line, each.key): each for each in problems(tmp_path)}
    assert set(found) == {
        ("suite.toml", 1, "name"),
        ("suite.toml", 2, "least"),
        ("a.toml", 3, "case.0.must_contian"),
        ("b.toml", 3, "case.0.must_cite"),
        ("b.toml", 5, "case.1"),
        ("c.toml", 1, "syntax"),
    }
    assert found["a.toml", 3, "case.0.must_contian"].mend == "Did you mean must_contain?"
    assert 'must_cite = ["returns.md"]' in found["b.toml", 3, "case.0.must_cite"].mend
    assert "every answer would pass" in found["b.toml", 5, "case.1"].what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('must_contain = ["x"]\n', "needs a question"),
        (f'{POSTAGE}turns = ["A?"]\n', "and not both"),
        ('question = "A?"\nmust_contain = ["x"]\nmust_not_know = true\n', "that there is none"),
        ('question = "A?"\nmust_contain = [""]\n', "at least 1 character"),
        ('question = "A?"\nmust_contain = [[]]\n', "valid string"),
        ('question = "A?"\nmust_not_know = "yes"\n', "valid boolean"),
        (f"{POSTAGE}[[case]]\n{POSTAGE}", "stands beside"),
        ("case = 3\n", "list of tables"),
        (f"[[case]]\n{POSTAGE}[[case]]\n{POSTAGE}", "is the same case"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_a_case_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, what: str) -> None:
    """Nothing is guessed."""
    (tmp_path / "a.toml").write_bytes(text.encode("latin-1"))
    assert any(what in each.what for each in problems(tmp_path))


def test_a_problem_of_the_defaults_is_told_once(tmp_path: Path) -> None:
    """At its own place, not at every case."""
    write(tmp_path, suite="[defaults]\nmust_cit = []\n", a=POSTAGE, b=POSTAGE.replace("Who", "who"))
    (problem,) = problems(tmp_path)
    assert (problem.key, problem.line, problem.mend) == ("defaults.must_cit", 2, "Did you mean must_cite?")


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_cases_is_refused(tmp_path: Path, name: str) -> None:
    """An evaluation of nothing would pass."""
    (problem,) = problems(tmp_path / name)
    assert problem.what == "holds no case"


def test_the_shipped_suite_is_what_it_says() -> None:
    """Fifty questions, ten of which the documents do not answer."""
    suite: Suite = load(Path(__file__).parents[2] / "evals" / "docs")
    assert (suite.name, suite.least, len(suite.cases)) == ("docs", 0.85, 50)
    assert sum(case.must_not_know for case in suite.cases) == 10
