"""What is for some is opened by these alone, however its id came to somebody."""

import contextlib
from pathlib import Path

from bot.app import App
from bot.clock import SystemClock
from bot.errors import Refused
from bot.knowledge import FolderKnowledge
from bot.model import PassageId
from tests.app import APART, running
from tests.pipeline.house import ListChannel

CONFIG = f"""{APART}
[knowledge]
paths = ["docs", "inner"]
poll_s = 0.02
fusion = 0
[agents.main]
knowledge = ["docs"]
[agents.staff]
channels = ["slack"]
audiences = ["staff"]
"""
STAFF = "---\naudience: staff\n---\n# Margins\n\nOur margin is seven per cent."


async def test_a_passage_is_opened_only_by_those_whose_agent_may_quote_it(tmp_path: Path) -> None:
    """By the host's way of each channel. Of a document that has since become one for few, an old citation is worth nothing; operators
    open all."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "inner").mkdir()
    (tmp_path / "docs" / "hours.md").write_text("# Hours\n\nWe open at nine.")
    (tmp_path / "docs" / "margins.md").write_text(STAFF)
    (tmp_path / "inner" / "plans.md").write_text("# Plans\n\nWe plan a new shop.")
    (tmp_path / "config.toml").write_text(CONFIG)
    async with running(tmp_path, ListChannel("list"), ListChannel("slack")) as app:
        library = await app.assembly.knowledge.loaded()
        await library.ready.wait()
        ids = {
            each.passage.title: each.passage.id
            for word in ("open", "margin", "plan")
            for each in await library.search(word, audiences=None)
        }
        assert set(ids) == {"Hours", "Margins", "Plans"}
        assert await opened(app, "list", ids) == {"Hours"}
        assert await opened(app, "slack", ids) == {"Hours", "Margins", "Plans"}
        assert [await app.assembly.knowledge.passage(each) is not None for each in ids.values()] == [True] * 3
        (tmp_path / "docs" / "hours.md").write_text("---\naudience: staff\n---\n# Hours\n\nWe open at nine.")
        await library.sync()
        assert await opened(app, "list", ids) == set()


async def opened(app: App, channel: str, ids: dict[str, PassageId]) -> set[str]:
    """The titles of what a user of this channel gets to read."""
    found = set()
    for each in ids.values():
        with contextlib.suppress(Refused):
            found.add((await app.house.door(channel, "").passage(each)).title)
    return found


async def test_a_joined_passage_is_opened_only_whole(tmp_path: Path) -> None:
    """One part that is for few keeps all of it from the others."""
    (tmp_path / "all.md").write_text("# Hours\n\nWe open at nine.")
    (tmp_path / "few.md").write_text(STAFF)
    library = FolderKnowledge(tmp_path / "index.db", [tmp_path / "all.md", tmp_path / "few.md"], SystemClock())
    try:
        await library.sync()
        parts = [
            found.passage.id for word in ("open", "margin") for found in await library.search(word, audiences=None)
        ]
        joined = PassageId("-".join(parts))
        assert await library.passage(joined) is None
        assert await library.passage(joined, audiences=("staff",)) is not None
    finally:
        await library.close()
