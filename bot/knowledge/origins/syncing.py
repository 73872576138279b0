"""One pass over one source: what is new is kept at once, what is gone goes at the end, and a failure takes nothing away."""

import asyncio
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final, assert_never

from bot.config.knowledge_schema import Source, place_of
from bot.errors import DataError, FetchError
from bot.knowledge.origins.kept import KeptFolder, State, read_state
from bot.knowledge.origins.origin import (
    Fresh,
    Mark,
    Origin,
    Passed,
    Progress,
    Same,
    SourceFailed,
    Step,
    Unfinished,
    Watch,
)
from bot.model import changeable
from bot.ports import Clock

FIRST_WAIT_S: Final = 60.0
MOST_WAIT_S: Final = 6 * 3600.0


@changeable
class SourceReport:
    """What one pass changed, or would change where `is_dry`. `kept` counts documents after it."""

    source: str
    is_dry: bool = False
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    same: int = 0
    passed: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    failure: str = ""
    mend: str = ""

    @property
    def is_quiet(self) -> bool:
        return not (self.added or self.changed or self.removed)


async def sync_source(
    source: Source, origin: Origin, data: Path, clock: Clock, *, is_dry: bool = False, watch: Watch | None = None
) -> SourceReport:
    """Brings the source's folder in step with its origin. Safe to repeat and to be cut off anywhere: what was read is not read again.
    Raises DataError where the folder cannot be used; a failure of the origin is told in the report."""
    folder = place_of(source, data)
    kept = KeptFolder(folder, source)
    one_pass = _Pass(source, origin, kept, clock, SourceReport(source.name, is_dry), watch)
    try:
        report = await one_pass.run(await asyncio.to_thread(kept.open))
        if not is_dry:
            state = state_after(report, read_state(folder), source, clock.now_ms(), one_pass.retry_after_s)
            await asyncio.to_thread(kept.note_state, state)
        return report
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        kept.close()


def state_after(report: SourceReport, before: State, source: Source, now_ms: int, retry_after_s: float) -> State:
    """When the source is read next: after its own time, or, where that failed, soon and then less and less soon."""
    if not report.failure:
        return State(now_ms, now_ms + round(source.every_s * 1000))
    soon_s = FIRST_WAIT_S * 2 ** min(before.failures, 20)
    wait_s = max(min(soon_s, MOST_WAIT_S, source.every_s), retry_after_s)
    next_ms = now_ms + round(wait_s * 1000)
    return State(before.read_ms, next_ms, before.failures + 1, report.failure, report.mend)


class _Pass:
    """What is seen on the way."""

    def __init__(
        self, source: Source, origin: Origin, kept: KeptFolder, clock: Clock, report: SourceReport, watch: Watch | None
    ) -> None:
        self.retry_after_s = 0.0
        self._source = source
        self._origin = origin
        self._kept = kept
        self._clock = clock
        self._report = report
        self._watch = watch
        self._seen: set[str] = set()

    async def run(self, marks: Mapping[str, Mark]) -> SourceReport:
        report = self._report
        try:
            await self._take_all(marks)
        except SourceFailed as error:
            report.failure, report.mend, self.retry_after_s = str(error), error.mend, error.retry_after_s
        except FetchError as error:
            report.failure, report.mend = str(error), "Check the network from this machine, and [network] allow."
        if not (report.failure or report.unfinished):
            await self._forget_unseen()
        return report

    async def _take_all(self, marks: Mapping[str, Mark]) -> None:
        steps = self._origin.changes(marks)
        async for step in steps:
            if isinstance(step, Fresh | Same) and len(self._seen) >= self._source.documents:
                most = (
                    f"more than {self._source.documents} documents: raise `documents` of the source {self._source.name}"
                )
                self._report.unfinished.append(most)
                return
            await self._take(step)

    async def _take(self, step: Step) -> None:
        match step:
            case Fresh(key=key):
                if key not in self._seen:
                    self._seen.add(key)
                    await self._keep(step)
                self._tell(key)
            case Same(key=key):
                self._report.same += key not in self._seen and self._kept.has(key)
                self._seen.add(key)
                self._tell(key)
            case Passed(key=key):
                self._seen |= {key} if key else set()
                self._report.passed.append(str(step))
            case Unfinished(reason=reason):
                self._report.unfinished.append(reason)
            case _:
                assert_never(step)

    async def _keep(self, fresh: Fresh) -> None:
        if self._report.is_dry:
            change = self._kept.compare(fresh)
        else:
            change = await asyncio.to_thread(self._kept.keep, fresh, self._clock.now_ms())
        self._report.same += not change and fresh.page is not None
        for name, changed in (
            ("added", self._report.added),
            ("changed", self._report.changed),
            ("removed", self._report.removed),
        ):
            if change == name:
                changed.append(fresh.key)

    async def _forget_unseen(self) -> None:
        for key in [key for key in self._kept.known() if key not in self._seen]:
            had = self._kept.has(key)
            if not self._report.is_dry:
                await asyncio.to_thread(self._kept.forget, key)
            if had:
                self._report.removed.append(key)
        if not self._report.is_dry:
            await asyncio.to_thread(self._kept.tidy)

    def _tell(self, name: str) -> None:
        if self._watch is not None:
            self._watch(Progress(self._source.name, len(self._seen), self._origin.expected(), name))
