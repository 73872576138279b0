"""Any one fault put into the shipped config is refused, at the line where it stands."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import load
from bot.errors import ConfigError, Problem
from tests.config.home import ROOT, channels

LINES = (ROOT / "config.toml").read_text().splitlines()
KEYS = [number for number, line in enumerate(LINES) if "=" in line and line[:1].isalpha()]
TABLES = [number for number, line in enumerate(LINES) if line.startswith("[")]
WRONG = {bool: '"text"', int: '"text"', float: '"text"', str: "[7]", list: "3"}


def problems_of(lines: list[str], folder: Path) -> list[Problem]:
    """What is wrong with the config of these lines, in a folder that has `docs`."""
    file = folder / "config.toml"
    file.write_text("\n".join(lines))
    (folder / "docs").mkdir(exist_ok=True)
    try:
        load(file, {}, adapters=channels)
    except ConfigError as error:
        return error.problems
    return []


def value_of(line: str) -> object:
    return tomllib.loads(f"v = {line.partition('=')[2]}")["v"]


def with_line(number: int, line: str) -> list[str]:
    return [*LINES[:number], line, *LINES[number:]]


def test_the_shipped_config_has_no_fault(tmp_path: Path) -> None:
    """What is mutated below is right to begin with."""
    assert problems_of(LINES, tmp_path) == []


@given(st.sampled_from(KEYS), st.from_regex(r"zz[a-z_]{0,8}", fullmatch=True))
def test_f111_an_unknown_key_is_refused_at_its_line(
    tmp_path_factory: pytest.TempPathFactory, number: int, name: str
) -> None:
    """A key that does not exist, put anywhere."""
    problems = _mutated(tmp_path_factory, with_line(number, f"{name} = 1"))
    assert [problem.line for problem in problems] == [number + 1]


@given(st.sampled_from(KEYS))
def test_f111_a_key_set_twice_is_refused_at_the_second(tmp_path_factory: pytest.TempPathFactory, number: int) -> None:
    """The second of two is named, with the line of the first."""
    (problem,) = _mutated(tmp_path_factory, with_line(number, LINES[number]))
    assert problem.line == number + 2
    assert f"line {number + 1}" in problem.what


@given(st.sampled_from(TABLES))
def test_a_table_opened_twice_is_refused_at_the_second(tmp_path_factory: pytest.TempPathFactory, number: int) -> None:
    """A section that stands twice in the file is named, with the line of the first."""
    (problem,) = _mutated(tmp_path_factory, [*LINES, LINES[number]])
    assert problem.line == len(LINES) + 1
    assert f"line {number + 1}" in problem.what


@given(st.sampled_from(KEYS))
def test_f111_a_wrong_type_is_refused_at_its_line(tmp_path_factory: pytest.TempPathFactory, number: int) -> None:
    """Text for a number, a list for text, a number for a list."""
    name = LINES[number].partition("=")[0]
    wrong = WRONG[type(value_of(LINES[number]))]
    problems = _mutated(tmp_path_factory, [*LINES[:number], f"{name}= {wrong}", *LINES[number + 1 :]])
    assert [problem.line for problem in problems] == [number + 1]


@given(st.sampled_from(["changeme", "xxx", "your-secret", "sk-...", "<secret>", "REPLACE_ME", ""]))
def test_f111_a_placeholder_secret_is_refused_at_its_line(
    tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    """An example's secret in the place of a real one."""
    number = LINES.index("[channels.web]") + 1
    problems = _mutated(tmp_path_factory, with_line(number, f'identity_secret = "{secret}"'))
    assert [problem.line for problem in problems] == [number + 1]


@given(st.sampled_from(["0.0.0.0", "::", "10.1.2.3", "desk.example"]), st.sampled_from(["server", "admin"]))
def test_f111_a_public_bind_is_refused_at_its_line(
    tmp_path_factory: pytest.TempPathFactory, host: str, section: str
) -> None:
    """Neither listener opens to others by its host alone."""
    number = LINES.index(f"[{section}]") + 1
    problems = _mutated(tmp_path_factory, [*LINES[:number], f'host = "{host}"', *LINES[number + 1 :]])
    assert [problem.line for problem in problems] == [number + 1]


def _mutated(factory: pytest.TempPathFactory, lines: list[str]) -> list[Problem]:
    return problems_of(lines, factory.mktemp("home"))
