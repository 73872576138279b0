"""Days that would be counted for nobody are refused."""

from pathlib import Path

import pytest

from bot.config import find_settings, load
from bot.errors import ConfigError


@pytest.mark.parametrize("name", ["slakc", "slack.support", "*"])
def test_days_of_a_channel_that_does_not_exist_are_refused(tmp_path: Path, name: str) -> None:
    """Otherwise what should go after ten days would stay."""
    file = tmp_path / "config.toml"
    file.write_text(f'[knowledge]\npaths = []\n[retention.channels."{name}"]\nmessages_days = 10\n')
    with pytest.raises(ConfigError) as refused:
        load(file, {}, adapters=find_settings)
    (problem,) = refused.value.problems
    assert "retention.channels" in problem.key
    assert (name in problem.what, problem.file, bool(problem.mend)) == (True, str(file), True)


def test_days_of_a_channel_that_there_is_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[knowledge]\npaths = []\n[retention.channels.slack]\nmessages_days = 10\n")
    assert load(file, {}, adapters=find_settings).retention.channels["slack"].messages_days == 10
