"""Gaps and recalls as one part of the daemon: the work beside conversations, and what commands and the console ask of it."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.agent.router import Chain
from bot.commands import reports
from bot.commands.reports import NoSuchReport
from bot.config.knowledge_schema import uploads
from bot.errors import DataError, Refused
from bot.gaps import listing
from bot.gaps.drafting import Drafting
from bot.gaps.finding import Finding
from bot.ports import Clock, Cursor, Store
from bot.store import audit
from bot.store.actions import decide_unknown
from bot.store.folder import INDEX

RECALLS_MOST = 200


class Gaps:
    """`run` until cancelled. `by`, everywhere: the operator, or the local account that a command was called from."""

    def __init__(self, store: Store, clock: Clock, chains: Mapping[str, Chain], data: Path) -> None:
        self._store = store
        self._clock = clock
        self._index = data / INDEX
        self.drafting = Drafting(store, clock, chains, uploads(data))
        self.finding = Finding(store, clock)

    async def run(self) -> None:
        await self.finding.run()

    async def listed(self, *, is_all: bool = False) -> list[dict[str, Any]]:
        """What is noticed is listed at once."""
        await self.finding.round()
        return await listing.listed(self._store.read, is_all=is_all)

    async def shown(self, id_: str) -> dict[str, Any]:
        return await listing.shown(self._store.read, id_)

    async def recalls(self) -> list[dict[str, Any]]:
        """The open entries of the queue that say who was told what stands no longer, oldest first."""
        from bot.knowledge.recalls import KIND

        found = await reports.queue(self._store.read, RECALLS_MOST * 10)
        return [each for each in found if each["kind"] == KIND][:RECALLS_MOST]

    async def settle(self, entry: str, name: str) -> None:
        """The operator `name` has looked after the person of such an entry. Raises Refused."""
        if entry not in [each["entry"] for each in await self.recalls()]:
            raise Refused("no_entry", "This is no longer in the queue: somebody has looked after it.")
        await self._store.run(decide_unknown, entry, "happened", name, "", "", _tell_nobody, self._clock.now_ms())

    async def queue(self, arguments: Mapping[str, object], by: str) -> dict[str, Any]:
        """One entry for each conversation in which somebody was told what the document no longer says. Safe to repeat. Raises Refused or
        DataError."""
        from bot.knowledge import recalls

        now, offset, is_more = self._clock.now_ms(), 0, True
        old: list[Mapping[str, Any]] = []
        while is_more:
            found = await recalls.report(self._store.read, arguments, offset)
            document, is_more = found["document"], found["is_more"]
            old += recalls.outdated(found["told"])
            offset += recalls.LIMIT
        told = await asyncio.to_thread(lambda: recalls.compared(old, passages_of(self._index, document)))

        def unit(cursor: Cursor) -> int:
            new = recalls.queue(cursor, document, told, now)
            if new:
                audit.append(cursor, by, "recall queued", document, now, f"{new} entries")
            return new

        return {"document": document, "queued": await self._store.run(unit)}

    async def answer(self, account: str, command: str, arguments: Mapping[str, object]) -> object:
        """A command of the command line that begins with `gaps` or `recall`. Raises NoSuchReport."""
        id_, by = str(arguments.get("id", "")), f"local:{account}"
        try:
            match command:
                case "gaps list":
                    return await self.listed(is_all=bool(arguments.get("all")))
                case "gaps draft":
                    return await self.drafting.draft(id_, by)
                case "gaps accept":
                    return await self.drafting.accept(id_, by)
                case "gaps close":
                    return await self.drafting.close(id_, by)
                case "recall queue":
                    return await self.queue(arguments, by)
        except Refused as error:
            raise NoSuchReport(error.detail) from error
        except DataError as error:
            raise NoSuchReport(str(error)) from error
        raise NoSuchReport(f"there is no command {command}. frontdesk --help lists the commands")


def _tell_nobody(cursor: Cursor, conversation: str, identity: str, now_ms: int) -> None:
    """An agent need not hear of it: the person was written to by a person."""


def passages_of(index: Path, document: str) -> list[tuple[str, str]]:
    """Heading and text of each passage of a document as it is; none where it is gone. Raises DataError."""
    from bot.knowledge import open_index

    reader = open_index(index)
    try:
        return [(each.title, each.text) for each in reader.passages_of(document)]
    except sqlite3.Error as error:
        raise DataError(f"{index} cannot be searched ({error}). frontdesk serve rebuilds it.") from error
    finally:
        reader.close()
