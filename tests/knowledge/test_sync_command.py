"""`frontdesk knowledge add | sync | sources | why`: what an operator sees of sources."""

import argparse
import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bot.commands import knowledge, sources
from bot.errors import ConfigError
from bot.knowledge import FolderKnowledge
from bot.knowledge.origins.listing import read_sources
from bot.store.folder import Lock
from tests.clock import ManualClock
from tests.knowledge.outside import site


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("# ours\n[data]\npath = 'kept'\n")
    return path


def adding(config: Path, kind: str, *where: str, **given: Any) -> argparse.Namespace:
    names = ("playlist", "branch", "path", "key_file", "secret", "language", "audience")
    plain = {"config": config, "name": "help", "every_h": None, **dict.fromkeys(names, "")}
    return argparse.Namespace(kind=kind, where=where, **(plain | given))


def syncing(config: Path, *names: str, is_dry: bool = False, as_json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(config=config, names=list(names), dry_run=is_dry, json=as_json)


def test_a_source_is_added_to_the_file_as_it_is(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else of the file changes, and what is written is what is read."""
    assert sources.run_add(adding(config, "git", "git@host.example:x/y.git", path="docs", every_h=2.0)) == 0
    assert config.read_text().startswith("# ours\n[data]\npath = 'kept'\n")
    (source,) = tomllib.loads(config.read_text())["knowledge"]["sources"]
    assert source == {
        "name": "help",
        "kind": "git",
        "url": "git@host.example:x/y.git",
        "path": "docs",
        "every_s": 7200.0,
    }
    assert "--dry-run" in capsys.readouterr().out
    assert read_sources(config)[0].name == "help"


@pytest.mark.parametrize(
    ("kind", "where", "given", "key"),
    [
        ("website", "ftp://x.example", {}, "url"),
        ("website", "https://user:pw@x.example/", {}, "url"),
        ("git", "--upload-pack=sh", {}, "url"),
        ("git", "ext::sh -c x", {}, "url"),
        ("git", "https://x.example/y", {"path": "../.."}, "path"),
        ("drive", "abc def", {"key_file": "k.json"}, "folder"),
        ("website", "https://x.example", {"name": "../x"}, "name"),
        ("website", "https://x.example", {"name": "uploads"}, "name"),
    ],
)
def test_a_wrong_source_is_refused_with_its_key_and_mend(
    config: Path, kind: str, where: str, given: dict[str, str], key: str
) -> None:
    """And the file stays as it was."""
    before = config.read_text()
    with pytest.raises(ConfigError) as refused:
        sources.run_add(adding(config, kind, where, **given))
    assert f".{key}" in refused.value.problems[0].key
    assert refused.value.problems[0].mend
    assert config.read_text() == before


def test_a_sync_reports_and_the_state_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run keeps nothing; a failure says what to do, and ends with 1."""

    async def serve() -> list[str]:
        outs = []
        async with site() as made:
            made.put("/", "Help \x1b[31m", "Thirty days.")
            sources.run_add(adding(config, "website", f"{made.url}/"))
            for given in ({"is_dry": True}, {}, {"as_json": True}):
                capsys.readouterr()
                assert await asyncio.to_thread(sources.run_sync, syncing(config, **given)) == 0
                outs.append(capsys.readouterr().out)
            made.pages.clear()
            assert await asyncio.to_thread(sources.run_sync, syncing(config, "help")) == 1
            outs.append(capsys.readouterr().out)
        return outs

    dry, real, again, failed = asyncio.run(serve())
    assert "would be: 1 added" in dry
    assert "1 added" in real
    assert "\x1b" not in dry + real
    assert json.loads(again)[0]["same"] == 1
    assert "What it had stays" in failed
    assert "`url`" in failed
    sources.run_sources(argparse.Namespace(config=config, json=False))
    shown = capsys.readouterr().out
    assert "help\twebsite\t" in shown
    assert "there is no such page" in shown
    assert len(list((config.parent / "kept" / "knowledge" / "help").glob("*.md"))) == 1


def test_an_unknown_source_is_named(config: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        sources.run_sync(syncing(config, "nowhere"))


async def test_why_shows_the_words_that_led_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which words were looked for, and which of them each passage holds."""
    docs, data = config.parent / "docs", config.parent / "kept"
    docs.mkdir()
    data.mkdir()
    (docs / "hours.md").write_text("# Opening hours\n\nThe workshop opens at nine.\n")
    library = FolderKnowledge(data / "index.db", [docs], ManualClock())
    await library.sync()
    await library.close()
    asked = argparse.Namespace(config=config, query=["when", "does", "the", "workshop", "open"], limit=3, json=False)
    assert await asyncio.to_thread(knowledge.run_why, asked) == 0
    shown = capsys.readouterr().out
    assert "workshop" in shown.split("\n")[0]
    assert "holds: workshop" in shown


def test_a_sync_without_a_daemon_is_searched_at_once_and_with_one_is_left_to_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never do two processes write the index."""
    data = config.parent / "kept"
    data.mkdir(mode=0o700)

    async def serve() -> tuple[str, str]:
        async with site() as made:
            made.put("/", "Returns", "Goods may be sent back within thirty days.")
            sources.run_add(adding(config, "website", f"{made.url}/"))
            daemon = Lock(data)
            daemon.take()
            assert await asyncio.to_thread(sources.run_sync, syncing(config)) == 0
            beside = capsys.readouterr().out
            assert not (data / "index.db").exists()
            daemon.release()
            assert await asyncio.to_thread(sources.run_sync, syncing(config)) == 0
            return beside, capsys.readouterr().out

    beside, alone = asyncio.run(serve())
    assert "The running daemon finds what changed within 2 s." in beside
    assert "The search index holds 1 document." in alone
    asked = argparse.Namespace(config=config, query=["sent", "back"], limit=3, json=True)
    assert knowledge.run_search(asked) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["title"] == "Returns"


def test_a_source_that_makes_the_config_wrong_is_not_added(config: Path) -> None:
    """A folder that is not there: the file stays as it was."""
    before = config.read_text()
    with pytest.raises(ConfigError, match="does not exist"):
        sources.run_add(adding(config, "folder", "nowhere"))
    assert config.read_text() == before
