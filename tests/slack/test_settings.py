"""Settings say what is wrong with them; the guide and the check say what to do."""

import json
import subprocess
import sys

import pytest

from adapters.slack import Settings, accounts, check, guide
from adapters.slack.manifest import SCOPES, manifest
from tests.platforms.slack.manifest import problems
from tests.platforms.slack.server import Site, SlackServer
from tests.slack.rig import Rig

OWN = {"bot_token": "xoxb-1", "app_token": "xapp-1"}


def test_nothing_set_is_nothing_to_run() -> None:
    assert accounts(Settings()) == {}


def test_an_account_of_its_own_and_further_ones_run_side_by_side() -> None:
    further = {
        "north": {"enabled": True, "bot_token": "xoxb-2", "app_token": "xapp-2"},
        "south": {"bot_token": "xoxb-3"},
    }
    settings = Settings.model_validate(
        {"enabled": True, "api_url": "http://127.0.0.1:1/api", **OWN, "accounts": further}
    )
    found = accounts(settings)
    assert list(found) == ["", "north"]
    assert {account.api_url for account in found.values()} == {"http://127.0.0.1:1/api/"}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "bot_token"),
        ({"bot_token": "xoxb-1"}, "app_token"),
        ({"bot_token": "xapp-1", "app_token": "xapp-1"}, "bot token begins"),
        ({"bot_token": "xoxb-1", "app_token": "xoxb-1"}, "app-level token begins"),
        ({**OWN, "mode": "http"}, "signing_secret"),
        ({**OWN, "api_url": "slack.com"}, "whole URL"),
        ({**OWN, "accounts": {"a": {"enabled": True}}}, "account 'a'"),
        ({**OWN, "accounts": {"a": {"enabled": True, **OWN}}}, "same app_token"),
        ({**OWN, "accounts": {"A b": {}}}, "small letters"),
        ({**OWN, "tokn": "x"}, "tokn"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Settings.model_validate({"enabled": True, **values})


@pytest.mark.parametrize("mode", ["socket", "http"])
def test_the_guide_holds_a_manifest_that_slack_takes(mode: str) -> None:
    settings = Settings.model_validate({"enabled": True, "mode": mode, **OWN, "signing_secret": "s"})
    text = guide(settings, "https://help.example.com/")
    start, end = text.index("{\n"), text.rindex("}") + 1
    found = json.loads(text[start:end])
    assert problems(found) == []
    assert ("https://help.example.com/webhooks/slack" in text) is (mode == "http")


def test_each_account_has_a_webhook_of_its_own(server: SlackServer, site: Site) -> None:
    settings = Settings.model_validate(
        {
            "enabled": True,
            "accounts": {"north": {"enabled": True, "mode": "http", "bot_token": "xoxb-2", "signing_secret": "s"}},
        }
    )
    assert "https://h.example/webhooks/slack/north" in guide(settings, "https://h.example")


def test_no_two_accounts_share_an_operators_channel() -> None:
    both = {"enabled": True, "mode": "http", "signing_secret": "s", "operators_channel": "C0123ABCD"}
    accounts = {"north": {**both, "bot_token": "xoxb-2"}, "south": {**both, "bot_token": "xoxb-3"}}
    with pytest.raises(ValueError, match="same operators_channel"):
        Settings.model_validate({"enabled": True, "accounts": accounts})


async def test_the_check_finds_everything_well(socket: Rig) -> None:
    found = await check(Settings.model_validate({**_plain(socket)}), socket.house)
    assert found
    assert all(each.is_well for each in found)


async def test_the_check_names_missing_scopes_and_refused_tokens(socket: Rig) -> None:
    settings = Settings.model_validate({**_plain(socket)})
    socket.space.scopes.discard("files:read")
    found = await check(settings, socket.house)
    assert any("files:read" in each.mend for each in found if not each.is_well)
    socket.site.faults.token_error = "invalid_auth"
    found = await check(settings, socket.house)
    assert all(each.mend for each in found if not each.is_well)
    assert not any(each.is_well for each in found)


async def test_the_check_looks_at_the_operators_channel(socket: Rig) -> None:
    channel = socket.space.add_channel("desk", socket.anna, has_bot=False)
    settings = Settings.model_validate({**_plain(socket), "operators_channel": channel.id})

    async def found() -> tuple[bool, str]:
        (finding,) = [each for each in await check(settings, socket.house) if "operators' channel" in each.what]
        return finding.is_well, finding.mend

    assert await found() == (
        False,
        f"There is no channel {channel.id}, or the app is not in it: /invite @Frontdesk there.",
    )
    channel.members.add(socket.space.bot.id)
    assert await found() == (True, "")
    channel.is_shared = True
    is_well, mend = await found()
    assert not is_well
    assert "not shared" in mend


def test_the_manifest_has_the_operators_shortcut_only_where_they_have_a_channel() -> None:
    plain, desk = Settings(), Settings(operators_channel="C0123ABCD")
    assert "shortcuts" not in manifest(plain, "")["features"]
    (shortcut,) = manifest(desk, "")["features"]["shortcuts"]
    assert (shortcut["type"], shortcut["callback_id"]) == ("message", "desk:reply")
    assert manifest(desk, "")["oauth_config"] == manifest(plain, "")["oauth_config"]
    assert "C0123ABCD" in guide(desk, "")
    assert "operators" not in guide(plain, "").replace(manifest(plain, "")["display_information"]["description"], "")


def test_every_scope_says_what_it_is_for() -> None:
    assert all(SCOPES.values())
    assert manifest(Settings(), "")["oauth_config"]["scopes"]["bot"] == list(SCOPES)


def _plain(rig: Rig) -> dict[str, object]:
    own = rig.settings
    return {
        "enabled": True,
        "bot_token": own.bot_token.get_secret_value() if own.bot_token else "",
        "app_token": own.app_token.get_secret_value() if own.app_token else "",
        "api_url": own.api_url,
    }


def test_slacks_libraries_are_not_loaded_before_the_channel_runs() -> None:
    program = (
        "import sys, adapters.slack, adapters.slack.adapter; print([m for m in sys.modules if m.startswith('slack_')])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
