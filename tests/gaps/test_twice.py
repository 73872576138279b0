"""A gap becomes one document however many accept it at once, and what is erased or has grown old is in none."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Refused
from bot.gaps import drafting
from bot.people.retention import DAY_MS, Rule, empty
from bot.ports import ChatRequest, Chunk, Cursor, Finished, TextDelta
from bot.store import gaps
from tests.gaps.kit import BY, Asking, asking
from tests.gaps.test_drafting import QUESTION, answered
from tests.pipeline.house import ScriptedModel


def documents(data: Path) -> list[str]:
    return sorted(path.read_text() for path in (data / "knowledge" / "uploads").glob("*"))


async def test_two_who_accept_at_once_make_one_document_and_the_second_hears_that_theirs_is_not_it(
    tmp_path: Path,
) -> None:
    async with asking(tmp_path / "data") as desk:
        id_, _ = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        accept = desk.gaps.drafting.accept
        both = (accept(id_, "ann", "Pianos", "By ship."), accept(id_, "bob", "Pianos", "Never."))
        done: list[Any] = await asyncio.gather(*both, return_exceptions=True)
        first, second = done
        assert isinstance(first, dict)
        assert isinstance(second, Refused)
        assert "Your text is not in it" in second.detail
        assert documents(desk.house.data) == ["# Pianos\n\nBy ship.\n"]
        assert [row[:2] for row in await desk.house.audited() if row[1] == "gap accepted"] == [("ann", "gap accepted")]
        assert await accept(id_, "bob", "Pianos", "By ship.") == first


async def test_a_draft_that_was_begun_before_another_accepted_reopens_nothing(tmp_path: Path) -> None:
    desks: list[Asking] = []
    drafts: list[str] = []

    async def write(request: ChatRequest) -> AsyncIterator[Chunk]:
        if drafts:
            await desks[0].gaps.drafting.accept(drafts[0], "ann", "Pianos", "By ship.")
        yield TextDelta(json.dumps({"title": "Pianos", "text": "By train."}))
        yield Finished()

    async with asking(tmp_path / "data", ScriptedModel(write)) as desk:
        desks.append(desk)
        id_, _ = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        drafts.append(id_)
        with pytest.raises(Refused, match="decided about this gap meanwhile"):
            await desk.gaps.drafting.draft(id_, BY)
        found = await desk.gaps.shown(id_)
        assert (found["state"], found["draft"]) == ("closed", None)
        assert documents(desk.house.data) == ["# Pianos\n\nBy ship.\n"]


async def test_what_is_erased_while_it_is_accepted_becomes_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path / "data") as desk:
        id_, talk = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        rows = await desk.store.read(
            "SELECT i.user_id FROM identities i JOIN speakers s ON s.identity_id = i.id WHERE s.conversation_id = :talk",
            {"talk": talk},
        )
        free = drafting._free

        def erase_then(folder: Path, name: str) -> str:
            asyncio.run_coroutine_threadsafe(desk.store.run(gaps.forget, rows[0][0]), loop).result(5)
            return free(folder, name)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(drafting, "_free", erase_then)
        with pytest.raises(Refused, match="erased"):
            await desk.gaps.drafting.accept(id_, BY)
        assert documents(desk.house.data) == []


async def test_what_has_grown_old_leaves_no_draft_and_no_pointer_and_is_counted_still(tmp_path: Path) -> None:
    """A draft stays as long as one of those who asked is there to write from."""
    async with asking(tmp_path / "data") as desk:
        id_, talk = await answered(desk)
        other = await desk.unanswered("Eve", QUESTION.replace("Ada", "Eve"))
        (gap,) = await desk.listed()
        assert gap["count"] == 2
        await desk.gaps.drafting.draft(id_, BY)
        await desk.store.run(_answer_rests, talk)
        for conversation, has_draft in ((talk, True), (other, False)):
            await desk.store.run(_only, conversation)
            count = await desk.store.run(empty, Rule("messages", 1), desk.house.clock.now_ms() + 40 * DAY_MS)
            assert count > 0
            found = await desk.gaps.shown(id_)
            assert (found["draft"] is not None, found["state"]) == (has_draft, "drafted" if has_draft else "open")
        assert await desk.store.read("SELECT * FROM gap_asks") == []
        assert await desk.store.read("SELECT * FROM answer_sources") == []
        await desk.gaps.finding.round()
        assert (await desk.gaps.shown(id_))["count"] == 2


def _only(cursor: Cursor, conversation: str) -> None:
    """Of the others, nothing is old."""
    cursor.execute(
        "UPDATE messages SET created_ms = CASE WHEN conversation_id = :it THEN created_ms % 100000000000000 "
        "ELSE created_ms % 100000000000000 + 100000000000000 END, handled_ms = 1",
        {"it": conversation},
    )
    cursor.execute("UPDATE handoffs SET ended_ms = 1")


def _answer_rests(cursor: Cursor, conversation: str) -> None:
    cursor.execute(
        "INSERT INTO answer_sources SELECT id, 'p', conversation_id, 1, created_ms FROM messages WHERE conversation_id = :it",
        {"it": conversation},
    )
