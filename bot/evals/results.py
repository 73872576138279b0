"""The outcome of a run, as it is shown, saved and compared."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.errors import DataError
from bot.store.folder import refuse_other_owner
from bot.whole import replace_whole

FOLDER = "evals"  # of the data folder
KEPT = 20  # runs of one suite


class Result(BaseModel):
    """What became of one case. `failures`: why it did not pass; `unjudged`: criteria that nobody judged. `cost_micros` in millionths of
    the currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: str
    tags: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    answer: str = ""
    model: str = ""
    documents: tuple[str, ...] = ()
    ms: float = 0.0
    tokens: int = 0
    cost_micros: int = 0

    @property
    def has_passed(self) -> bool:
        return not self.failures


class Run(BaseModel):
    """One run of a suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    agent: str
    at_ms: int
    least: float
    results: tuple[Result, ...]

    @property
    def passed(self) -> int:
        return sum(result.has_passed for result in self.results)

    @property
    def is_good(self) -> bool:
        """At least the share that must pass has passed."""
        return self.passed >= self.least * len(self.results)

    @property
    def ms(self) -> float:
        return sum(result.ms for result in self.results)

    @property
    def cost_micros(self) -> int:
        return sum(result.cost_micros for result in self.results)

    def by_tag(self) -> dict[str, tuple[int, int]]:
        """For each tag how many of its cases passed, and how many there are."""
        totals: dict[str, tuple[int, int]] = {}
        for result in self.results:
            for tag in result.tags:
                passed, all_of_it = totals.get(tag, (0, 0))
                totals[tag] = (passed + result.has_passed, all_of_it + 1)
        return dict(sorted(totals.items()))


class Kept(Protocol):
    """Where runs are kept."""

    def prepare(self) -> None:
        """Finds out before a run whether it can be kept. Raises DataError."""
        ...

    def latest(self) -> Run | None:
        """The run before, or None."""
        ...

    def add(self, run: Run) -> Path:
        """Keeps the run and says where. Raises DataError."""
        ...


class SavedFile:
    """One file of the caller's choice, which holds the latest run only."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def prepare(self) -> None:
        """Refuses to write over anything but a run."""
        if not self._file.parent.is_dir():
            raise DataError(
                f"{self._file} cannot be written: its folder does not exist. Make it, or name another file."
            )
        self.latest()

    def latest(self) -> Run | None:
        return read(self._file) if self._file.exists() else None

    def add(self, run: Run) -> Path:
        _write(run, self._file)
        return self._file


class History:
    """The latest runs of one suite, in the data folder."""

    def __init__(self, data: Path, suite: str) -> None:
        self._data = data
        self._folder = data / FOLDER / suite

    def prepare(self) -> None:
        try:
            self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_other_owner(self._data)
            for folder in (self._data / FOLDER, self._folder):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{self._folder} cannot be made ({error.strerror}). Run it as Frontdesk's user, or name a file with --save."
            ) from error

    def latest(self) -> Run | None:
        """The newest that can be read."""
        for file in reversed(self._files()):
            with suppress(DataError):
                return read(file)
        return None

    def add(self, run: Run) -> Path:
        """Saves the run under its time and forgets the oldest."""
        at = datetime.fromtimestamp(run.at_ms / 1000, UTC)
        file = self._folder / f"{at:%Y-%m-%dT%H-%M-%S}-{run.at_ms % 1000:03}Z.json"
        _write(run, file)
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)
        return file

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))


def read(file: Path) -> Run:
    """A saved run. Raises DataError."""
    try:
        return Run.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}). Name a file that an evaluation saved.") from error
    except ValidationError as error:
        raise DataError(f"{file} is not the result of an evaluation. Name a file that one saved.") from error


def _write(run: Run, file: Path) -> None:
    """Puts the run in place of what stood there, whole or not at all."""
    try:
        replace_whole(file, (json.dumps(run.model_dump(mode="json"), indent=2) + "\n").encode())
    except OSError as error:
        raise DataError(f"{file} cannot be written ({error.strerror}). Name another file with --save.") from error
