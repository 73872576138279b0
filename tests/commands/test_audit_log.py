"""`frontdesk audit log`: what people on our side did, read from the data folder as it stands."""

import asyncio
import json
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.ports import Cursor
from bot.store import audit
from bot.store.folder import prepare
from bot.store.sqlite import SqliteStore

DEEDS = (
    ("local:ann", "operator added", "o-ben", "agent"),
    ("local:ann", "operator role", "o-ben", "admin"),
    ("o-ben", "handoff take", "c1", "take"),
    ("o-ben", "handoff take", "c2", "take from ann"),
)


def _keep(cursor: Cursor) -> None:
    for number, (actor, action, subject, detail) in enumerate(DEEDS):
        audit.append(cursor, actor, action, subject, 1_700_000_000_000 + number, detail)


async def _seed(folder: Path) -> None:
    prepare(folder)
    store = await SqliteStore.open(folder)
    try:
        await store.run(_keep)
    finally:
        await store.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[data]\npath = "{tmp_path / "data"}"\n', encoding="utf-8")
    asyncio.run(_seed(tmp_path / "data"))
    return path


def printed(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["audit", "--config", str(config), *words]) == 0
    return capsys.readouterr().out


def listed(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[str, str, str, str]]:
    found = json.loads(printed(config, capsys, *words, "log", "--json"))
    return [(each["actor"], each["action"], each["subject"], each["detail"]) for each in found]


def test_the_newest_comes_first_with_who_did_what_to_whom(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(config, capsys) == list(reversed(DEEDS))
    table = printed(config, capsys, "log")
    assert table.index("take from ann") < table.index("operator role") < table.index("operator added")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--action", "operator role"), [DEEDS[1]]),
        (("--conversation", "c2"), [DEEDS[3]]),
        (("--action", "handoff take", "--conversation", "c1"), [DEEDS[2]]),
        (("--action", "handoff take", "--limit", "1"), [DEEDS[3]]),
        (("--action", "operator"), []),
    ],
)
def test_an_action_a_conversation_and_a_limit_narrow_it(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: list[tuple[str, ...]]
) -> None:
    """Both hold where both are given, and an action is named whole."""
    assert listed(config, capsys, *words) == expected


def test_a_limit_may_stand_behind_the_word(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(json.loads(printed(config, capsys, "log", "--json", "--limit", "2"))) == 2


def test_where_nothing_was_done_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], config: Path) -> None:
    assert printed(config, capsys, "--conversation", "elsewhere", "log") == "Nobody has done anything yet.\n"
