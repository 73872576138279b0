"""A recall reaches everybody who was told something, and nobody for what the document says still."""

from pathlib import Path

import pytest

from bot.gaps import gaps
from bot.gaps.gaps import Gaps
from bot.knowledge import recalls
from bot.knowledge.index import Edition
from bot.knowledge.versions import Versions, seen
from bot.ports import Cursor, Value
from tests.clock import ManualClock
from tests.store.database import opened


def _told(cursor: Cursor, count: int, passage: str) -> None:
    cursor.execute("INSERT INTO cited_passages VALUES (:id, 'docs/a.md', 'A', 'Thirty days.')", {"id": passage})
    for number in range(count):
        row: dict[str, Value] = {"talk": f"{passage}{number:03}", "seq": number, "passage": passage}
        cursor.execute(
            "INSERT INTO conversations (id, channel, account, chat, thread, identity_id, agent, created_ms) "
            "VALUES (:talk, 'list', '', :talk, '', '', 'main', 1)",
            {"talk": row["talk"]},
        )
        cursor.execute(
            "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms) "
            "VALUES (:talk, :talk, 1, '', 'agent', 'public', 'Thirty days. [1]', 1)",
            {"talk": row["talk"]},
        )
        cursor.execute("INSERT INTO answer_sources VALUES (:talk, :passage, :talk, 1, :seq)", row)


async def test_more_answers_than_are_shown_at_once_are_all_queued_and_the_rest_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalls, "LIMIT", 4)
    monkeypatch.setattr(gaps, "passages_of", lambda index, document: [("A", "Fourteen days.")])
    async with opened(tmp_path / "data") as store:
        clock = ManualClock()
        await store.run(_told, 10, "p")
        asked = {"document": "docs/a.md"}
        shown = await recalls.report(store.read, asked)
        assert (len(shown["told"]), shown["is_more"]) == (4, True)
        desk = Gaps(store, clock, {}, tmp_path / "data")
        assert (await desk.queue(asked, "local:root"))["queued"] == 10
        assert (await desk.queue(asked, "local:root"))["queued"] == 0


async def test_an_index_that_is_built_anew_with_other_passages_makes_nothing_outdated(tmp_path: Path) -> None:
    """The same document, cut otherwise, says what it said: to those who were told before, and to those who are told now."""
    async with opened(tmp_path / "data") as store:
        await store.run(seen, [Edition("docs/a.md", "v1", "A", "/a.md", ("p", "q"))], 1)
        await store.run(_told, 1, "p")
        history = Versions(store, ManualClock())
        for _ in range(2):
            assert await history.note([Edition("docs/a.md", "v1", "A", "/a.md", ("r", "q"))])
        await store.run(_told, 1, "r")
        shown = await recalls.report(store.read, {"document": "docs/a.md"})
        assert [(each["passage"], each["version"], each["is_current"]) for each in shown["told"]] == [
            ("p", "v1", True),
            ("r", "v1", True),
        ]
        assert await store.read("SELECT passages FROM document_versions") == [(" p q r ",)]
