"""`frontdesk models` tells how each model fares, and `frontdesk models try` calls one."""

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import main
from bot.commands import models
from bot.errors import Fault
from tests.commands.test_command_line import UNSAFE, daemon

CONFIG = """\
[data]
path = "kept"
[models.big]
provider = "openai"
model = "the-model"
base_url = "http://127.0.0.1:1/v1"
limits = { requests_per_minute = 1000 }
[roles]
answer = ["big", "offline"]
judge = ["big"]
"""
SPEND = """
    CREATE TABLE spend (day TEXT, payer TEXT, model TEXT, calls BIGINT, failed BIGINT, input_tokens BIGINT,
        output_tokens BIGINT, cache_read_tokens BIGINT, cache_write_tokens BIGINT, cost_micros BIGINT)"""
TODAY = {
    "calls_now": 3,
    "waiting": 2,
    "last_outcome": "rate limited",
    "calls_today": 1200,
    "failed_today": 4,
    "input_tokens_today": 50_000,
    "output_tokens_today": 7000,
    "cost_micros_today": 12_345_678,
}
ROW = {
    "name": "big",
    "provider": "openai",
    "model": "the\x1b]0;x\x07-model",
    "circuit": "open",
    "circuit_fault": "overloaded",
    "circuit_until_ms": 1_760_000_000_000,
    "requests_per_minute": 900,
    "tokens_per_minute": 80_000,
    "calls_at_once": 100,
    "reach": True,
    "reach_ms": 42,
    **TODAY,
}
TRIED = {
    "text": "Hello\nthere \x1b[31m",
    "outcome": "answered",
    "why": "",
    "waited_ms": 0,
    "first_ms": 431.0,
    "total_ms": 1200.0,
    "input_tokens": 12,
    "output_tokens": 34,
    "cache_read_tokens": 0,
    "cost_micros": 1230,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "kept").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def spend(config: Path, rows: list[tuple[str, str, str, int]]) -> None:
    """A database in which each (day, payer, model) has made so many calls."""
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        database.execute(SPEND)
        for day, payer, model, calls in rows:
            figures = (calls, 1, 100 * calls, 10 * calls, 0, 0, 1_000_000 * calls)
            database.execute(f"INSERT INTO spend VALUES ({', '.join('?' * 10)})", (day, payer, model, *figures))


def listed(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Mapping[str, Any]]:
    assert main(["models", "--config", str(config), "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}


def test_without_a_daemon_the_config_and_todays_spend_are_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sums of this UTC day over all payers; what another day cost is not counted."""
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    spend(config, [(today, "i1", "big", 3), (today, "i2", "big", 4), ("2020-01-01", "i1", "big", 90)])
    rows = listed(config, capsys)
    big = rows["big"]
    assert (big["provider"], big["model"], big["roles"], big["circuit"]) == (
        *("openai", "the-model"),
        ["answer", "judge"],
        "-",
    )
    assert (big["calls_today"], big["failed_today"], big["input_tokens_today"]) == (7, 2, 700)
    assert big["cost_micros_today"] == 7_000_000
    assert rows["offline"]["calls_today"] == 0
    assert main(["models", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "Frontdesk is not running" in shown
    line = next(line for line in shown.splitlines() if line.startswith("big\t"))
    assert line.split("\t") == [
        *("big", "openai the-model", "answer, judge", "-", "-", "1k calls/min, 100 at once", "0"),
        *("7 calls, 2 failed, 770 tokens", "7.00"),
    ]


def test_a_database_without_the_table_has_spent_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No database yet, or one from an earlier version: the config's view, and no error."""
    assert listed(config, capsys)["big"]["calls_today"] == 0
    with closing(sqlite3.connect(config.parent / "kept" / "frontdesk.db")) as database, database:
        database.execute("CREATE TABLE other (a)")
    assert listed(config, capsys)["big"]["calls_today"] == 0


def test_a_damaged_database_is_a_plain_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 4, in one line."""
    (config.parent / "kept" / "frontdesk.db").write_bytes(b"not a database" * 100)
    assert main(["models", "--config", str(config)]) == 4
    assert "frontdesk salvage" in capsys.readouterr().err


def test_without_a_daemon_a_wrong_config_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nobody else to ask."""
    config.write_text(CONFIG + "judge = 3\n")
    assert main(["models", "--config", str(config)]) == 2
    assert "config.toml" in capsys.readouterr().err


def test_a_running_daemon_tells_how_its_models_fare(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reachability, circuit, limits in force, what runs and waits, and today's figures; nothing hidden in any of it."""
    with daemon(config.parent / "kept", {"models": [ROW]}) as asked:
        assert main(["models", "--config", str(config)]) == 0
        shown = capsys.readouterr().out
        rows = listed(config, capsys)
    assert [command for command, _ in asked] == ["models", "models"]
    assert not UNSAFE.search(shown.replace("\t", ""))
    cells = shown.splitlines()[1].split("\t")
    assert cells[2:4] == ["answer, judge", "yes (42 ms)"]
    assert re.match(r"open \(overloaded\) until 20\d\d-", cells[4])
    assert cells[5:] == [
        "900 calls/min, 80k tokens/min, 100 at once",
        "3, 2 waiting",
        "1.2k calls, 4 failed, 57k tokens, last: rate limited",
        "12.35",
    ]
    assert rows["big"]["circuit"] == "open"


def test_the_daemon_is_asked_even_while_the_config_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that only the service has must not hide how its models fare."""
    config.write_text('[data]\npath = "kept"\n[models.big]\nprovider = "anthropic"\n[roles]\nanswer = ["big"]\n')
    with daemon(config.parent / "kept", {"models": [{**ROW, "roles": ["answer"]}, {**ROW, "name": "b"}]}):
        rows = listed(config, capsys)
    assert (rows["big"]["roles"], rows["b"]["roles"]) == (["answer"], [])


def test_a_model_is_tried_through_the_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it says, then what it took; options count before and after the word `try`."""
    with daemon(config.parent / "kept", {"models try": TRIED}) as asked:
        assert main(["models", "try", "big", "hello", "you", "--config", str(config)]) == 0
        shown = capsys.readouterr().out
        assert main(["models", "--json", "--config", str(config), "try", "big", "hi"]) == 0
        assert json.loads(capsys.readouterr().out) == TRIED
    assert asked == [
        ("models try", {"name": "big", "text": "hello you"}),
        ("models try", {"name": "big", "text": "hi"}),
    ]
    assert not UNSAFE.search(shown)
    assert shown.splitlines() == [
        "Hello",
        "there ‹U+001B›[31m",
        "queued 0 ms, first text after 431 ms, 1.2 s in all; 12 tokens in, 34 out; cost 0.00123",
    ]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_failed_try_says_what_to_do(config: Path, capsys: pytest.CaptureFixture[str], fault: Fault) -> None:
    """For every way in which a model can fail: one line, with the server's word for it and a mend; exit status 1."""
    failed = {**TRIED, "text": "", "outcome": fault.value, "why": "the server said so", "first_ms": None}
    with daemon(config.parent / "kept", {"models try": failed}):
        assert main(["models", "try", "big", "hello", "--config", str(config)]) == 1
        out, err = capsys.readouterr()
        assert main(["models", "try", "big", "hello", "--config", str(config), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["outcome"] == fault.value
    assert "first text" not in out
    assert err == f"frontdesk: big: {fault.value} (the server said so). {models.MENDS[fault].replace('NAME', 'big')}\n"


def test_an_outcome_that_is_new_is_still_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon of another version may know more outcomes than this command."""
    with daemon(config.parent / "kept", {"models try": {"outcome": "passed over", "why": "the budget is used up"}}):
        assert main(["models", "try", "big", "hello", "--config", str(config)]) == 1
    assert "passed over (the budget is used up)" in capsys.readouterr().err


def test_trying_needs_a_running_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 3 and names the command that starts it."""
    assert main(["models", "try", "big", "hello", "--config", str(config)]) == 3
    assert capsys.readouterr().err == "frontdesk: Frontdesk is not running. Start it with: frontdesk serve\n"


@pytest.mark.parametrize(("micros", "text"), [(0, "0.00"), (7, "0.000007"), (1230, "0.00123"), (12_345_678, "12.35")])
def test_small_sums_keep_their_digits(micros: int, text: str) -> None:
    """One call costs a fraction of a cent, and is not shown as nothing."""
    assert models.money(micros) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (80_000, "80k"),
        (100_000, "100k"),
        (999_999, "1,000k"),
        (1_234_567, "1.23M"),
        (2_500_000_000, "2,500M"),
    ],
)
def test_large_numbers_are_told_at_a_glance(number: int, text: str) -> None:
    """Three digits and a letter."""
    assert models.short(number) == text
