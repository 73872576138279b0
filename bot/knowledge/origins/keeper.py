"""All sources of the config, each synced by its own clock, one at a time; and the same on demand.

Promises: a source is read when its time has come, also across restarts; one that fails keeps what it had, is tried again less and less often,
and stops no other.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from bot.config.knowledge_schema import Folder, Source, place_of
from bot.errors import DataError
from bot.knowledge.origins.kept import State, read_state
from bot.knowledge.origins.making import Surroundings, make_origin
from bot.knowledge.origins.origin import Watch
from bot.knowledge.origins.syncing import FIRST_WAIT_S, SourceReport, sync_source
from bot.knowledge.reading.room import ReadingRoom

log = logging.getLogger(__name__)

LONGEST_WAIT_S: Final = 86_400.0  # that a server may have asked for
LONGEST_SLEEP_S: Final = 60.0  # so that a clock that was set is noticed


class SourceKeeper:
    """Owns the passes over all sources. What they change, the library sees in their folders."""

    def __init__(
        self,
        sources: Sequence[Source],
        around: Surroundings,
    ) -> None:
        self.sources = tuple(sources)
        self._around = around
        self._room = ReadingRoom()
        self._turn = asyncio.Lock()
        self._told: dict[str, str] = {}
        self._not_before: dict[str, float] = {}  # monotonic

    def states(self) -> Mapping[str, State]:
        """How each remote source fares, by name."""
        remote = [each for each in self.sources if not isinstance(each, Folder)]
        return {each.name: read_state(place_of(each, self._around.data)) for each in remote}

    async def run(self) -> None:
        """Syncs what is due until cancelled."""
        while True:
            for source in self.sources:
                if not isinstance(source, Folder) and self._due_s(source) <= 0:
                    await self._sync_and_tell(source)
            waits = [self._due_s(each) for each in self.sources if not isinstance(each, Folder)]
            await self._around.clock.sleep(min([LONGEST_SLEEP_S, *(max(wait, 1.0) for wait in waits)]))

    async def sync(self, source: Source, *, is_dry: bool = False, watch: Watch | None = None) -> SourceReport:
        """One pass now. Raises DataError where the source's folder cannot be used or another process syncs it."""
        if isinstance(source, Folder):
            return SourceReport(source.name, is_dry)  # the library reads it where it stands
        async with self._turn:
            return await sync_source(
                source,
                make_origin(source, self._around, self._room),
                self._around.data,
                self._around.clock,
                is_dry=is_dry,
                watch=watch,
            )

    async def close(self) -> None:
        """Ends the child that parses. Safe to repeat."""
        await asyncio.to_thread(self._room.close)

    def _due_s(self, source: Source) -> float:
        """Seconds until it is to be read. A time further off than there is reason for was noted by a clock that has since been set back."""
        state = read_state(place_of(source, self._around.data))
        left_s = (state.next_ms - self._around.clock.now_ms()) / 1000
        due_s = 0.0 if left_s > max(source.every_s, LONGEST_WAIT_S) else left_s
        return max(due_s, self._not_before.get(source.name, 0.0) - self._around.clock.monotonic())

    async def _sync_and_tell(self, source: Source) -> None:
        try:
            report = await self.sync(source)
        except DataError as error:
            self._put_off(source, str(error))
            return
        except Exception:  # the boundary between sources: what is wrong with one must not stop the others
            log.exception("source %s could not be synced", source.name)
            self._put_off(source, "an error of Frontdesk's own, which is logged")
            return
        self._tell(source.name, f"{report.failure}. {report.mend}".strip() if report.failure else "")
        if not report.is_quiet:
            counts = len(report.added), len(report.changed), len(report.removed)
            log.info("source %s: %d documents added, %d changed, %d removed", source.name, *counts)

    def _put_off(self, source: Source, problem: str) -> None:
        self._not_before[source.name] = self._around.clock.monotonic() + FIRST_WAIT_S
        self._tell(source.name, problem)

    def _tell(self, name: str, problem: str) -> None:
        """Logs each trouble once, and its end."""
        before = self._told.pop(name, "")
        if problem:
            self._told[name] = problem
            if problem != before:
                log.warning("source %s cannot be read, what it had stays: %s", name, problem)
        elif before:
            log.info("source %s can be read again", name)
