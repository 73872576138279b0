"""`frontdesk knowledge` reads the index that the daemon keeps."""

import asyncio
import json
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.knowledge import FolderKnowledge
from tests.clock import ManualClock


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hours.md").write_text(
        "# Opening hours\n\nThe workshop opens at nine \x1b[31m and closes at five.\n"
    )
    (tmp_path / "data").mkdir()
    knowledge = FolderKnowledge(tmp_path / "data" / "index.db", [tmp_path / "docs"], ManualClock())
    await knowledge.sync()
    await knowledge.close()
    path = tmp_path / "config.toml"
    path.write_text("")
    return path


async def test_documents_are_listed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every document with its passages."""
    assert main(["knowledge", "list", "--config", str(config), "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["title"], document["passages"]) == ("Opening hours", 1)
    assert main(["knowledge", "list", "--config", str(config)]) == 0
    assert "Opening hours" in capsys.readouterr().out


async def test_passages_are_found_as_the_agent_finds_them(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With score and text, and with nothing hidden in it."""
    question = ["knowledge", "search", "when", "does", "the", "workshop", "open", "--config", str(config)]
    assert await asyncio.to_thread(main, [*question, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["title"] == "Opening hours"
    assert await asyncio.to_thread(main, question) == 0
    shown = capsys.readouterr().out
    assert "opens at nine" in shown
    assert "\x1b" not in shown


async def test_nothing_found_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer is a sentence."""
    assert await asyncio.to_thread(main, ["knowledge", "search", "zebra", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "Nothing found for: zebra\n"


def test_without_an_index_the_mend_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon builds it."""
    (tmp_path / "config.toml").write_text("")
    assert main(["knowledge", "list", "--config", str(tmp_path / "config.toml")]) == 4
    assert "frontdesk serve" in capsys.readouterr().err
