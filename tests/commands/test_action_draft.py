"""`frontdesk action draft` proposes, and never writes nor loosens."""

import asyncio
import json
import tomllib
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.commands.drafting import Proposal, strict, toml_of
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Reply

GOOD = {
    "name": "get_parcel",
    "title": "Look a parcel up",
    "description": "Where a parcel is.\nUse it when somebody asks.",
    "method": "GET",
    "url": "https://shop.example.com/parcels/{order}",
    "effect": "read",
    "why_effect": "It only looks something up.",
    "consent": "none",
    "why_consent": "Nothing changes.",
    "parameters": [
        {"name": "order", "type": "string", "title": "Order"},
        {"name": "customer", "type": "string", "is_identity": True},
    ],
}


async def drafted(folder: Path, answer: object, *more: str) -> int:
    """The command's exit code, with a model that answers so."""
    async with OpenAIServer(script=lambda _: Reply(text=json.dumps(answer))) as server:
        model = f'provider = "openai"\nmodel = "m"\nbase_url = "{server.base_url}"\napi_key = "sk-1f3A9bQ"'
        (folder / "docs").mkdir(exist_ok=True)
        (folder / "config.toml").write_text(f'[models.near]\n{model}\n[roles]\nbackground = ["near"]\n')
        words = ["action", "draft", "where", "is", "my", "parcel", "--config", str(folder / "config.toml"), *more]
        return await asyncio.to_thread(main, words)


async def test_a_proposal_is_printed_to_be_pasted_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it is TOML that the config takes, with the reasons as comments."""
    assert await drafted(tmp_path, GOOD, "--url", "https://shop.example.com/parcels") == 0
    shown = capsys.readouterr().out
    (action,) = tomllib.loads(shown)["actions"]
    assert action["parameters"]["customer"]["from"] == "identity.id"
    assert action["auth"] == {"secret": "GET_PARCEL_TOKEN"}
    assert "# effect = read: It only looks something up." in shown
    assert "[[actions]]" not in (tmp_path / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(shown)
    assert main(["check-config", "--config", str(tmp_path / "config.toml")]) == 0


async def test_an_address_that_nobody_gave_is_called_a_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one thing that a model cannot know."""
    assert await drafted(tmp_path, GOOD) == 0
    assert "the model's guess" in capsys.readouterr().out


async def test_a_proposal_for_another_host_than_asked_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret would go there."""
    assert await drafted(tmp_path, GOOD, "--url", "https://b.example.com/") == 2
    captured = capsys.readouterr()
    assert "not at https://b.example.com/" in captured.err
    assert not captured.out


async def test_a_proposal_that_the_config_would_refuse_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its path names what is no parameter."""
    assert await drafted(tmp_path, GOOD | {"url": "https://shop.example.com/{number}"}) == 2
    captured = capsys.readouterr()
    assert 'has "{number}", which is no parameter' in captured.err
    assert not captured.out


def test_without_a_model_the_mend_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The chain that is missing is named."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "config.toml").write_text("")
    assert main(["action", "draft", "x", "--config", str(tmp_path / "config.toml")]) == 2
    assert "roles.background" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "effect", "consent"),
    [
        ({}, "read", "none"),
        ({"why_effect": " "}, "naked", "user"),
        ({"method": "POST"}, "naked", "user"),
        ({"method": "POST", "effect": "keyed"}, "naked", "user"),
        ({"method": "POST", "effect": "keyed", "key_header": "Idempotency-Key"}, "keyed", "user"),
        ({"method": "POST", "effect": "naked", "consent": "operator"}, "naked", "operator"),
        ({"consent": "operator"}, "read", "none"),
    ],
)
def test_nothing_looser_than_the_strictest_is_proposed_without_a_reason(
    changes: dict[str, str], effect: str, consent: str
) -> None:
    """A read is a GET; a key needs a header; an effect asks somebody."""
    proposal = strict(Proposal.model_validate(GOOD | changes))
    assert (proposal.effect, proposal.consent) == (effect, consent)


@pytest.mark.parametrize("text", ['"', "\\", "\n[server]\nport = 1", '"""', "\x7f", "\x1b[31m", "\u202e", "'"])
def test_no_text_of_a_model_breaks_out_of_its_place(text: str) -> None:
    """Whatever it writes is one value."""
    raw = tomllib.loads(toml_of(Proposal.model_validate(GOOD | {"title": text, "description": f"a {text}"})))
    assert list(raw) == ["actions"]
    assert set(raw["actions"][0]) == {"name", "title", "description", "method", "url", "auth", "effect", "consent"} | {
        "parameters"
    }
