"""`check-config --peak` says what the models can carry, from their stated limits alone."""

from pathlib import Path

import pytest

from bot.__main__ import main
from bot.commands import peak
from bot.commands.parser import build
from bot.commands.peak import Load, carries
from bot.config.schema import Model, ModelLimits

MODELS = """\
[models.big]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:1/v1"
limits = { requests_per_minute = 1000, tokens_per_minute = 10_000_000, calls_at_once = 500 }
prices = { input = 2, output = 10 }
[models.small]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:1/v1"
limits = { tokens_per_minute = 1_320_000 }
[models.silent]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:1/v1"
"""


def check(folder: Path, chain: str, *options: str, more: str = "") -> int:
    """The exit status of `check-config --peak`."""
    (folder / "docs").mkdir(exist_ok=True)
    config = folder / "config.toml"
    config.write_text(f"{MODELS}[roles]\nanswer = {chain}\n{more}")
    return main(["check-config", "--config", str(config), "--peak", *options])


def model(**limits: int) -> Model:
    return Model(provider="openai", model="m", limits=ModelLimits(**limits))


@pytest.mark.parametrize(
    ("text", "turns"), [("600", 600), ("600/min", 600), ("10/s", 600), ("36000/h", 600), ("0.5/s", 30), (" 7 ", 7)]
)
def test_a_peak_may_be_told_a_second_a_minute_or_an_hour(text: str, turns: float) -> None:
    """A plain number is turns a minute."""
    assert build().parse_args(["check-config", "--peak", text]).peak == pytest.approx(turns)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "10/day", "10 per s", "", "1e9", "0.0000001"])
def test_a_peak_that_is_none_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The mend shows how to write one."""
    with pytest.raises(SystemExit) as stopped:
        build().parse_args(["check-config", f"--peak={text}"])
    assert stopped.value.code == 2
    assert "600/min" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"requests_per_minute": 100, "calls_at_once": 1000}, 100 * 0.95 / 2),
        ({"tokens_per_minute": 660_000, "calls_at_once": 1000}, 660_000 * 0.95 / (2 * 3300)),
        ({"requests_per_minute": 1000, "calls_at_once": 4}, 4 * 60 / (2 * 4)),  # four calls of 4 s: 60 a minute
    ],
)
def test_the_lowest_limit_counts(limits: dict[str, int], most: float) -> None:
    """Of requests a minute, tokens a minute and calls at once, the one that carries least."""
    assert carries("m", model(**limits), Load(1)).most == pytest.approx(most)


def test_calls_at_once_follow_from_rate_and_duration() -> None:
    """Little's law: 10 turns a second, 2 calls each, 4 s a call, are 80 calls at any moment."""
    assert Load(600).calls_at_once == 80
    assert Load(600, calls=3).calls_at_once == 120


def test_models_of_a_chain_carry_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the first cannot take goes to the next: 475 and 190 turns a minute."""
    assert check(tmp_path, '["big", "small"]', "665") == 0
    shown = capsys.readouterr().out
    assert "It carries the peak" in shown
    assert "1,000 requests a minute carry 475" in shown
    assert "1,320,000 tokens a minute carry 190" in shown
    assert check(tmp_path, '["big", "small"]', "666") == 1
    assert "cannot carry the peak: 665 of 666" in capsys.readouterr().out
    assert check(tmp_path, '["big"]', "476") == 1
    assert check(tmp_path, '["big"]', "475") == 0


def test_assumptions_are_shown_and_can_be_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half the calls a turn carry twice the turns."""
    assert check(tmp_path, '["big"]', "900") == 1
    shown = capsys.readouterr().out
    assert f"{peak.CALLS} calls a turn, 3,000 input and 300 output tokens a call, 4 s a call" in shown
    assert "a plain number means turns a minute" in shown
    assert check(tmp_path, '["big"]', "900", "--calls", "1") == 0
    assert check(tmp_path, '["small"]', "190") == 0
    assert check(tmp_path, '["small"]', "190", "--input-tokens", "4000") == 1
    assert check(tmp_path, '["small"]', "190", "--output-tokens", "1000") == 1
    assert check(tmp_path, '["small"]', "400", "--input-tokens", "1000", "--output-tokens", "100") == 0


def test_a_model_that_states_no_limits_is_named_as_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not counted as able; alone it leaves the question open, behind others it cannot save a chain that states too little."""
    assert check(tmp_path, '["silent"]', "600") == 0
    shown = capsys.readouterr().out
    assert "silent: its provider's limits are not stated (unknown)" in shown
    assert "Unknown: state the limits of silent" in shown
    assert check(tmp_path, '["big", "silent"]', "600") == 1
    assert "whether silent can carry the rest is unknown" in capsys.readouterr().out
    assert check(tmp_path, '["silent"]', "751") == 1  # its 100 calls at once carry 750


def test_the_offline_answerer_is_no_model_to_wait_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone it carries whatever comes; behind a model it does not raise what the model carries, and ends the chain."""
    assert check(tmp_path, '["offline"]', "9000") == 1  # 1,200 turns at once are more than [limits] allows
    assert check(tmp_path, '["offline"]', "600") == 0
    assert "has no limits" in capsys.readouterr().out
    assert check(tmp_path, '["small", "offline"]', "200") == 1
    assert check(tmp_path, '["small", "offline", "big"]', "200") == 1


def test_each_agents_chain_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One chain that is too weak fails the check; agents with the same chain are told together."""
    more = "[agents.a]\nchannels = []\n[agents.b]\nchannels = []\nroles.answer = ['small']\n"
    assert check(tmp_path, '["big"]', "400", more=more) == 1
    shown = capsys.readouterr().out
    assert "agents main, a: big" in shown or "agents a, main: big" in shown
    assert "agent b: small" in shown
    assert check(tmp_path, '["big"]', "100", more=more) == 0


def test_turns_at_once_must_suffice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own cap is looked at too."""
    assert check(tmp_path, '["big"]', "300", more="[limits]\nturns_at_once = 40\n") == 0
    assert check(tmp_path, '["big"]', "301", more="[limits]\nturns_at_once = 40\n") == 1
    assert "[limits] turns_at_once is 40: too few" in capsys.readouterr().out


def test_an_hour_of_the_peak_has_a_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """100 turns a minute of two calls: 36 million tokens in at 2, 3.6 million out at 10, are 108."""
    assert check(tmp_path, '["big"]', "100", more="[limits]\ncost_per_day = 54\n") == 0
    shown = capsys.readouterr().out
    assert "costs about 108.00 with big" in shown
    assert "cost_per_day = 54 lasts 0.5 hours" in shown


def test_a_config_with_problems_is_not_weighed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First the config must be right."""
    assert check(tmp_path, '["nobody"]', "1") == 2
    assert "peak" not in capsys.readouterr().out
