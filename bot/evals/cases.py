"""What is asked and what a right answer is: TOML files, read whole or refused whole.

A file holds one case, or several under `[[case]]`; `suite.toml` beside them names the suite and gives defaults.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bot.config.lines import Lines, scan
from bot.config.refusals import parse
from bot.errors import ConfigError, Problem

SUITE_FILE = "suite.toml"
OURS = ">"  # begins a line of an earlier case that our side wrote
M = TypeVar("M", bound=BaseModel)
Key = tuple[str | int, ...]

Sentence = Annotated[str, Field(min_length=1, max_length=20_000)]
Wanted = Sentence | Annotated[tuple[Sentence, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_EXAMPLES = {
    "case": "[[case]] on a line of its own, and the case's keys below it",
    "name": 'name = "docs"',
    "least": "least = 0.85",
    "defaults": "[defaults] on a line of its own, and keys of cases below it",
    "earlier": 'earlier = [["I ride a Roadster.", "> Noted, I will send the tube."]]',
    "is_shared": "is_shared = true",
    "must_recall": 'must_recall = ["Roadster"]',
    "must_not_recall": 'must_not_recall = ["admin"]',
    "question": 'question = "Who pays the postage?"',
    "turns": 'turns = ["Who pays the postage?", "and to Norway?"]',
    "must_contain": 'must_contain = ["30 days", ["free", "no charge"]]',
    "must_not_contain": 'must_not_contain = ["14 days"]',
    "must_cite": 'must_cite = ["returns.md"]',
    "must_not_know": "must_not_know = true",
    "must_offer_person": "must_offer_person = true",
    "must_ask_judge": 'must_ask_judge = "says that postage is free within Austria only"',
    "tags": 'tags = ["returns"]',
}


class Strict(BaseModel):
    """No key but the known ones, and no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Demands(Strict):
    """What a right answer is. An entry of `must_contain` that is a list holds alternatives, one of which must be there."""

    must_contain: tuple[Wanted, ...] = ()
    must_not_contain: tuple[Sentence, ...] = ()
    must_cite: tuple[Sentence, ...] = ()
    must_not_know: bool = False
    must_offer_person: bool = False
    must_ask_judge: str = ""
    must_recall: tuple[Wanted, ...] = ()
    must_not_recall: tuple[Sentence, ...] = ()
    tags: tuple[Sentence, ...] = ()


class Case(Demands):
    """One question, or a conversation whose last answer is judged. `earlier`: cases of the same user that have ended, the oldest first, line
    by line; `is_shared`: others read along where the question is asked. After loading, `name` is never empty and `turns` holds all that the
    user says, one question among them."""

    name: str = ""
    question: str = ""
    turns: tuple[Sentence, ...] = ()
    earlier: tuple[Annotated[tuple[Sentence, ...], Field(min_length=1)], ...] = ()
    is_shared: bool = False

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if bool(self.question.strip()) == bool(self.turns):
            raise ValueError("needs a question, or turns, and not both")
        if (self.must_recall or self.must_not_recall) and not self.earlier:
            raise ValueError("demands what is recalled, and tells of no earlier case")
        if self.must_not_know and (self.must_contain or self.must_cite):
            raise ValueError("cannot demand what an answer holds and, with must_not_know, that there is none")
        if not self._demands_something():
            raise ValueError("demands nothing: every answer would pass")
        return self

    def _demands_something(self) -> bool:
        texts = self.must_contain or self.must_not_contain or self.must_cite or self.must_ask_judge
        remembered = self.must_recall or self.must_not_recall
        return bool(texts or remembered or self.must_not_know or self.must_offer_person)


class SuiteFile(Strict):
    """`suite.toml`: an empty name stands for the folder's."""

    name: Annotated[str, Field(max_length=100)] = ""
    least: Share = 0.85
    defaults: Demands = Demands()

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError("must be letters, digits, - and _, as results are stored under it")
        return name


@dataclass(frozen=True, slots=True)
class Suite:
    """A folder of cases. `least`: the share that must pass."""

    name: str
    least: float
    cases: tuple[Case, ...]


def load(folder: Path) -> Suite:
    """The suite in `folder`. Raises ConfigError with every problem of every file."""
    problems: list[Problem] = []
    files = sorted(folder.glob("*.toml"))
    suite = _suite_file(folder, problems)
    cases: list[Case] = []
    names: dict[str, str] = {}
    for file in files:
        if file.name != SUITE_FILE:
            cases += _cases(file, suite.defaults, names, problems)
    if not cases and not problems:
        mend = "Put *.toml files with [[case]] tables into it; docs/evaluation.md shows one."
        problems.append(Problem("folder", "holds no case", mend, str(folder)))
    if problems:
        raise ConfigError(problems)
    return Suite(suite.name or _folder_name(folder), suite.least, tuple(cases))


def _suite_file(folder: Path, problems: list[Problem]) -> SuiteFile:
    file = folder / SUITE_FILE
    if not file.exists():
        return SuiteFile()
    text, raw = _read(file, problems)
    return _parse(SuiteFile, raw, (), file, scan(text), problems) or SuiteFile()


def _folder_name(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "suite"


def _cases(file: Path, defaults: Demands, names: dict[str, str], problems: list[Problem]) -> Iterator[Case]:
    text, raw = _read(file, problems)
    lines = scan(text)
    for at, table in _tables(raw, file, lines, problems):
        case = _parse(Case, {**_given(defaults), **table}, at, file, lines, problems)
        if case is None:
            continue
        turns = case.turns or (case.question,)
        case = case.model_copy(update={"name": case.name or " / ".join(turns), "turns": turns, "question": ""})
        if case.name in names:
            what = f"is the same case as one in {names[case.name]}"
            problems.append(Problem(_dotted(at), what, "Remove one, or give it a name.", str(file), lines.nearest(at)))
        names.setdefault(case.name, file.name)
        yield case


def _given(defaults: Demands) -> dict[str, Any]:
    return defaults.model_dump(exclude_unset=True)


def _tables(
    raw: dict[str, Any], file: Path, lines: Lines, problems: list[Problem]
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The tables of a file that are cases, each with its place."""
    if "case" not in raw:
        if raw:
            yield (), raw
        return
    for name in raw.keys() - {"case"}:
        what = "stands beside [[case]]"
        mend = "Move it below a [[case]] line, or into suite.toml under [defaults]."
        problems.append(Problem(name, what, mend, str(file), lines.nearest((name,))))
    listed = raw["case"]
    if not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
        problems.append(_problem("case", "must be a list of tables", ("case",), file, lines))
        return
    yield from ((("case", number), table) for number, table in enumerate(listed))


def _read(file: Path, problems: list[Problem]) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text("utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        problems.append(Problem("file", f"cannot be read ({error.strerror})", "Check its rights.", str(file)))
    except UnicodeDecodeError:
        problems.append(Problem("file", "is not UTF-8 text", "Save it as UTF-8.", str(file)))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        what = re.sub(r" \(at [^()]*\)$", "", str(error))
        mend = 'Text stands in quotes: question = "..."'
        problems.append(Problem("syntax", what, mend, str(file), int(line[1]) if line else 0))
    return "", {}


def _parse(
    model: type[M], raw: Mapping[str, Any], at: Key, file: Path, lines: Lines, problems: list[Problem]
) -> M | None:
    try:
        return parse(model, raw)
    except ValidationError as error:
        problems += _explain(error, model, at, file, lines)
        return None


def _explain(error: ValidationError, model: type[BaseModel], at: Key, file: Path, lines: Lines) -> list[Problem]:
    """One problem for each wrong key."""
    found: dict[Key, Problem] = {}
    for detail in error.errors(include_url=False, include_input=False):
        inside = detail["loc"]
        key = str(inside[-1] if inside[:1] == ("defaults",) and len(inside) > 1 else inside[0]) if inside else ""
        place = (*at, *inside[: 2 if inside[:1] == ("defaults",) else 1])
        if detail["type"] == "extra_forbidden":
            near = get_close_matches(key, _known(model, inside), n=1)
            mend = f"Did you mean {near[0]}?" if near else f"Remove it. Known here: {', '.join(_known(model, inside))}."
            problem = Problem(_dotted(place), "is not a key", mend, str(file), lines.nearest(place))
        else:
            what = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else _sentence(detail["msg"])
            problem = _problem(key, what, place, file, lines)
        found.setdefault(place, problem)
    return list(found.values())


def _known(model: type[BaseModel], inside: Key) -> list[str]:
    return sorted((Demands if inside[:1] == ("defaults",) else model).model_fields)


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _problem(key: str, what: str, place: Key, file: Path, lines: Lines) -> Problem:
    example = _EXAMPLES.get(key)
    mend = f"Write it as: {example}" if example else "docs/evaluation.md says what a case holds."
    return Problem(_dotted(place), what, mend, str(file), lines.nearest(place))


def _dotted(place: Key) -> str:
    return ".".join(map(str, place)) or "case"
