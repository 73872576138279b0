"""What is written beside knowledge: the config with one more source, and how a source fares."""

import json
import os
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.knowledge.origins.kept import State, read_state
from bot.knowledge.origins.listing import add_source

GIVEN = {"name": "help", "kind": "website", "url": "https://help.example.com/"}


@pytest.mark.parametrize(
    "held",
    [{"next_ms": "soon"}, {"next_ms": None}, {"failures": []}, {"read_ms": 1.5}, [], "x", {"unknown": 1}],
)
def test_a_damaged_state_of_a_source_is_the_beginning(tmp_path: Path, held: object) -> None:
    (tmp_path / ".state.json").write_text(json.dumps(held))
    assert read_state(tmp_path) == State()


def test_a_link_to_the_config_stays_a_link_and_the_file_keeps_its_rights(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("[knowledge]\npaths = []\n")
    real.chmod(0o640)
    config = tmp_path / "config.toml"
    config.symlink_to(real)
    add_source(config, GIVEN)
    assert config.is_symlink()
    assert "help.example.com" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_config_with_secrets_is_never_readable_by_others_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[knowledge]\npaths = []\n")
    config.chmod(0o600)
    seen: list[int] = []
    give = os.fchmod

    def look(file: int, mode: int) -> None:
        seen.append(os.fstat(file).st_mode & 0o077)
        give(file, mode)

    monkeypatch.setattr(os, "fchmod", look)
    add_source(config, GIVEN)
    assert seen == [0]


def test_a_config_that_cannot_be_written_is_named_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[knowledge]\npaths = []\n")

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConfigError) as refused:
        add_source(config, GIVEN)
    (problem,) = refused.value.problems
    assert (str(config) in problem.key, "No space left" in problem.what) == (True, True)
    assert problem.mend
    assert config.read_text() == "[knowledge]\npaths = []\n"
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
