"""`check-config` sums up what would run: listeners, chains, models, the perimeter. It shows no key."""

from pathlib import Path

import pytest

from bot.__main__ import main

KEY = "sk-Zr81kPq4vYt0WnD7cXb2"
CONFIG = f"""\
[models]
big = {{ provider = "openai", model = "the-model", base_url = "https://llm.example.com/v1", api_key = "{KEY}" }}
idle = {{ provider = "openai", model = "another" }}
[roles]
answer = ["big", "offline"]
judge = ["big"]
[agents.trade]
channels = ["web"]
roles.answer = ["offline"]
[network]
allow = ["llm.example.com"]
"""


def lines(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text)
    assert main(["check-config", "--config", str(folder / "config.toml")]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_the_models_in_use_are_told_with_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Chains, the model behind each name and its host; a model that nobody calls is left out, and so is every key."""
    shown = lines(tmp_path, CONFIG, capsys)
    assert "answers   big then offline" in shown
    assert "offline for agent trade" in shown
    assert "model     big: the-model by openai at llm.example.com, for answer, judge" in shown
    assert not any("idle" in line for line in shown)
    assert not any(KEY in line for line in shown)
    warnings = [line for line in shown if line.startswith("warning")]
    assert any("FRONTDESK_MODELS_BIG_API_KEY" in line for line in warnings)
    assert any("models.big.prices" in line for line in warnings)


def test_the_perimeter_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be connected to; nothing is said where there is no perimeter."""
    assert "outward   llm.example.com" in lines(tmp_path, CONFIG, capsys)
    assert "outward   nothing but this machine" in lines(tmp_path, "network.allow = []", capsys)
    assert not any(line.startswith("outward") for line in lines(tmp_path, "", capsys))
