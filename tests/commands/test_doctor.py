"""`frontdesk doctor`: what this machine lacks is named with its mend, and ends with 1."""

import json
import shutil
import tomllib
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main
from bot.commands import doctor

ROOT = Path(__file__).parents[2]


def examined(folder: Path, capsys: pytest.CaptureFixture[str], text: str = "") -> tuple[int, dict[str, dict[str, Any]]]:
    (folder / "config.toml").write_text(text)
    status = main(["doctor", "--json", "--config", str(folder / "config.toml")])
    return status, {each["what"]: each for each in json.loads(capsys.readouterr().out)}


def test_a_sound_machine_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is looked at, and nothing is changed."""
    status, found = examined(tmp_path, capsys, "[knowledge]\npaths = []\n")
    assert [each for each in found.values() if each["is_wrong"]] == []
    assert status == 0
    assert {"Python", "SQLite", "full-text search", "time zones", "search", "data folder", "disk space"} <= set(found)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert main(["doctor", "--config", str(tmp_path / "config.toml")]) == 0
    assert "FTS5" in capsys.readouterr().out


def test_what_is_wrong_ends_with_1_and_has_a_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, an open folder, no time zones, an extra that the config needs."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1_000))
    monkeypatch.setattr(doctor, "available_timezones", set)
    monkeypatch.setitem(doctor.EXTRAS, "web", ("no_such_package",))
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    text = '[[knowledge.sources]]\nname = "help"\nkind = "website"\nurl = "https://help.example.com/"\n'
    status, found = examined(tmp_path, capsys, text)
    wrong = {name: each["mend"] for name, each in found.items() if each["is_wrong"]}
    assert status == 1
    assert set(wrong) == {"disk space", "time zones", "extra [web]", "data folder"}
    assert all(wrong.values())
    assert wrong["extra [web]"] == "pip install 'frontdesk[web]'"
    assert wrong["data folder"].startswith("chmod 700 ")


def test_a_config_that_cannot_be_read_is_a_finding_among_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = examined(tmp_path, capsys, "[server]\nport = 'x'\n")
    assert status == 1
    assert found["config"]["is_wrong"]
    assert "check-config" in found["config"]["mend"]
    assert not found["Python"]["is_wrong"]


def test_every_extra_of_the_package_is_looked_at() -> None:
    """Whoever adds an extra adds it here."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"test"}
