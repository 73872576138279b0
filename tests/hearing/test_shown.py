"""Operators see what was sent beside the words, and what became of it."""

import json
from pathlib import Path

import pytest

from bot.commands import output, reports, trace
from bot.model import Attachment, BlobId
from bot.ports import Cursor, Value
from bot.store import records
from tests.files.desk import desk, remote

VOICE = Attachment(BlobId("b"), "voice", "audio/ogg", 900, transcript="When do you open?")
LOST = Attachment(BlobId(""), "plan.pdf", "", 7, "https://files.example/secret", problem="It is gone.")


def ended(cursor: Cursor) -> None:
    values: dict[str, Value] = {
        "conversation": "c",
        "case": "",
        "agent": "main",
        "outcome": "answered",
        "started": 1,
        "ended": 2,
    }
    cursor.execute(records.ADD_TURN, {**values, "id": "0198", "trace": json.dumps({"messages": ["m"]})})


async def test_the_trace_tells_of_every_file(tmp_path: Path) -> None:
    """But not of the address it came from."""
    async with desk(tmp_path) as house:
        await house.receive("m", VOICE, LOST, remote("https://files.example/secret", "late.png"), text="Look")
        await house.store.run(ended)
        told = await reports.trace(house.store.read, "last")
    assert [each["name"] for each in told["messages"][0]["attachments"]] == ["voice", "plan.pdf", "late.png"]
    assert "secret" not in json.dumps(told)


async def test_the_trace_shows_the_words_of_a_voice_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with desk(tmp_path) as house:
        await house.receive("m", VOICE, LOST)
        await house.store.run(ended)
        told = await reports.trace(house.store.read, "last")
    trace._show_message(output.console(), told["messages"][0])
    shown = " ".join(capsys.readouterr().out.split())
    assert "file voice (audio/ogg, 900 bytes), written out: When do you open?" in shown
    assert "file plan.pdf" in shown
    assert "It is gone." in shown
