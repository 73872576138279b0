"""From the config to knowledge: which folders are read, what makes embeddings, and who fetches what lies elsewhere."""

import importlib.util
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from bot.config.knowledge_schema import Folder, Knowledge, place_of, uploads
from bot.knowledge.embeddings import Embedder, LocalEmbedder, is_installed
from bot.knowledge.fusion import Weighing
from bot.knowledge.library import FolderKnowledge
from bot.knowledge.origins.keeper import SourceKeeper
from bot.knowledge.origins.making import Surroundings
from bot.knowledge.sources import Root
from bot.model import value
from bot.net.asking import Asker
from bot.net.perimeter import Perimeter
from bot.ports import Clock

log = logging.getLogger(__name__)

Endpoint = Callable[[], Embedder]  # makes what asks the model of [roles] embed


@value
class Choice:
    """What makes embeddings, in words for an operator, and the maker: None where search goes by words alone."""

    why: str
    make: Endpoint | None = None


def choose_embedder(settings: Knowledge, endpoint: Endpoint | None) -> Choice:
    """The endpoint that the config names, else the local model where it is installed. Imports nothing heavy."""
    if not settings.fusion:
        return Choice("words alone: [knowledge] fusion is 0")
    if not can_compare():
        mend = "pip install 'frontdesk[embeddings]'"
        return Choice(f"words alone: neither numpy nor sqlite-vec can be used. For meaning too: {mend}")
    if endpoint is not None:
        return Choice("the model of [roles] embed", endpoint)
    if is_installed():
        return Choice(f"{LocalEmbedder.model}, in this process", LocalEmbedder)
    return Choice("words alone. For meaning too: pip install 'frontdesk[embeddings]', or [roles] embed")


def can_compare() -> bool:
    """Whether embeddings can be compared here: by numpy, or by sqlite-vec where this Python loads extensions."""
    has_extensions = hasattr(sqlite3.Connection, "enable_load_extension")
    return bool(importlib.util.find_spec("numpy") or (has_extensions and importlib.util.find_spec("sqlite_vec")))


def open_library(
    index: Path, data: Path, settings: Knowledge, clock: Clock, endpoint: Endpoint | None
) -> FolderKnowledge:
    """The knowledge as agents search it. The caller closes it."""
    choice = choose_embedder(settings, endpoint)
    log.info("knowledge is searched by %s", f"words and by {choice.why}" if choice.make else choice.why)
    return FolderKnowledge(
        index,
        roots(settings, data),
        clock,
        poll_s=settings.poll_s,
        embedder=choice.make() if choice.make else None,
        weighing=Weighing(settings.fusion),
    )


def roots(settings: Knowledge, data: Path) -> list[Root]:
    """Everything that is read. Sources come first: what lies in a source and in [knowledge] paths too is for the source's audience."""
    sources = [
        Root(place_of(each, data), each.language, each.audience, is_optional=not isinstance(each, Folder))
        for each in settings.sources
    ]
    return [*sources, *map(Root, settings.paths), Root(uploads(data), is_optional=True)]


class Fetching:
    """All sources of the config, with a way out of their own."""

    def __init__(
        self, data: Path, settings: Knowledge, clock: Clock, perimeter: Perimeter, secret: Callable[[str], str]
    ) -> None:
        self._asker = Asker(perimeter, clock, 0)  # never fetches: `ask` is told its own cap
        around = Surroundings(data, clock, self._asker, perimeter.allows_url, secret)
        self.keeper = SourceKeeper(settings.sources, around)

    async def run(self) -> None:
        """Syncs what is due until cancelled."""
        await self.keeper.run()

    async def close(self) -> None:
        """Safe to repeat."""
        await self.keeper.close()
        await self._asker.close()
