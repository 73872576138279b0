"""`docs/configuration.md` tells every key with its true default, and no other."""

import re

import pytest

from bot.config import documented_keys
from tests.config.home import ROOT

ROW = re.compile(r"^\| `([\w.]+\.\w+)` \| `(.*?)` \| (.+) \|$", re.MULTILINE)


def documented() -> dict[str, str]:
    return {key: default for key, default, _ in ROW.findall((ROOT / "docs" / "configuration.md").read_text())}


def test_no_key_is_undocumented() -> None:
    """Whoever adds a key tells of it."""
    assert set(documented_keys()) - set(documented()) == set()


def test_no_key_is_documented_that_does_not_exist() -> None:
    """Whoever removes a key removes its line."""
    assert set(documented()) - set(documented_keys()) == set()


@pytest.mark.parametrize("key", sorted(documented_keys()))
def test_the_documented_default_is_the_true_one(key: str) -> None:
    """The page can be trusted for what happens when a key is not set."""
    assert documented()[key] == documented_keys()[key]


def test_every_exit_code_is_documented() -> None:
    """Scripts can rely on the page for what a command's end means."""
    from bot import __main__ as command

    text = (ROOT / "docs" / "configuration.md").read_text()
    codes = (0, command.FAILED, command.BAD_CONFIG, command.NOT_RUNNING, command.BAD_DATA)
    assert [code for code in codes if f"| {code} | " not in text] == []
