"""What strangers or libraries do wrong ends neither the process nor the search."""

import asyncio
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.knowledge import FolderKnowledge, embeddings
from bot.knowledge.embeddings import LocalEmbedder
from bot.knowledge.html import html_blocks
from tests.clock import ManualClock, settle


@pytest.mark.parametrize("unit", ["<ul><li>a", "<ol><li>a", "<ul><li>a<ol><li>b"])
def test_lists_inside_lists_without_end_take_no_more_room_than_they_came_with(unit: str) -> None:
    """Each level indents what it holds: unbounded, a file of 5 MB would fill any memory."""
    text = unit * (100_000 // len(unit))
    _, blocks = html_blocks(text)
    assert sum(len(block.text) for block in blocks) < 10 * len(text)


async def test_a_local_model_that_breaks_down_leaves_search_by_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries of the extra raise types of their own, when they are loaded and when they run."""

    class Broken(Exception):
        pass

    def network() -> object:
        raise Broken("no such instruction")

    monkeypatch.setattr(embeddings, "_Network", network)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hours.md").write_text("# Hours\n\nWe open at nine.")
    local = LocalEmbedder()
    with pytest.raises(DataError, match="pip install"):
        await local.embed(["open"])
    knowledge = FolderKnowledge(tmp_path / "index.db", [tmp_path / "docs"], ManualClock(), embedder=local)
    running = asyncio.ensure_future(knowledge.run())
    try:
        found = await knowledge.search("when do you open")
        await settle()
        assert [each.passage.title for each in found] == ["Hours"]
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])
        await knowledge.close()
