"""`frontdesk knowledge gaps` with a real daemon: from a question that nothing answers to a document that answers it."""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bot.app import App
from bot.commands import gaps
from bot.net.control import CommandFailed, NotRunning
from bot.people.exporting import exported
from tests.knowledge.lamps import laid_out, rows, running, say
from tests.store.database import until

QUESTION = "Do you deliver pianos to Iceland?"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return laid_out(tmp_path)


class Line:
    """The command line."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._place, self._capsys = place, capsys

    async def text(self, command: Any, **given: object) -> str:
        named = {"config": self._place / "config.toml", "json": False, "all": False, **given}
        self._capsys.readouterr()
        assert await asyncio.to_thread(command, argparse.Namespace(**named)) == 0
        return self._capsys.readouterr().out

    async def json(self, command: Any, **given: object) -> Any:
        return json.loads(await self.text(command, json=True, **given))


async def test_a_question_that_nothing_answers_becomes_a_document_that_answers_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(place, capsys)
    async with running(place) as (app, channel):
        await say(app, channel, QUESTION)
        await say(app, channel, "Is delivering a piano to Iceland possible?", "eve")
        assert "answer" in channel.sent[-1].text
        (gap,) = await line.json(gaps.run_list)
        assert (gap["count"], gap["state"]) == (2, "open")
        assert QUESTION in await line.text(gaps.run_show, id=gap["id"][:10])
        told = await line.text(gaps.run_draft, id=gap["id"])
        assert ("TO CHECK" in told, "No agent reads this draft." in told) == (True, True)
        await _edit(app, gap["id"])
        assert "Added to the documents" in await line.text(gaps.run_accept, id=gap["id"])
        library = await app.assembly.knowledge.loaded()
        await until(lambda: "piano" in str(rows(place, "SELECT document FROM document_versions")))
        assert await library.search(QUESTION)
        assert "by ship" in await say(app, channel, QUESTION, "zoe")
        assert await line.json(gaps.run_list) == []
        assert [each["state"] for each in await line.json(gaps.run_list, all=True)] == ["closed"]
        with pytest.raises(CommandFailed, match="There is no gap"):
            await line.text(gaps.run_close, id="beef")
    assert "No gaps" in await line.text(gaps.run_list)  # also without a daemon
    with pytest.raises(NotRunning):
        await line.text(gaps.run_draft, id=gap["id"])


async def _edit(app: App, gap: str) -> None:
    """What a person makes of a draft, as the console keeps it until it is accepted."""
    text = "We deliver pianos to Iceland by ship, in six weeks."
    sql = "UPDATE gap_drafts SET text = :text WHERE gap_id = :gap"
    await app.store.run(lambda cursor: cursor.execute(sql, {"text": text, "gap": gap}))


async def test_an_erased_person_leaves_a_count_and_an_export_holds_what_they_asked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(place, capsys)
    async with running(place) as (app, channel):
        await say(app, channel, QUESTION)
        (gap,) = await line.json(gaps.run_list)
        await line.text(gaps.run_draft, id=gap["id"])
        ((user,),) = rows(place, "SELECT user_id FROM identities")
        given = await app.store.run(exported, user, 0)
        assert [each["kind"] for each in given.data["gap_asks"]] == ["unanswered"]
        await app.people.answer("root", "user erase", {"user": "list:ada", "reason": "request 1"})
        (left,) = await line.json(gaps.run_list)
        assert (left["count"], left["question"], left["conversations"], left["state"]) == (1, "(erased)", [], "open")
    data = b"".join(path.read_bytes() for path in (place / "data").rglob("*") if path.is_file())
    assert b"pianos" not in data
