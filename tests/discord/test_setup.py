"""Settings that cannot work are refused in plain words, and what stands at Discord is checked."""

import asyncio
import sys

import pytest
from pydantic import ValidationError

from adapters import discord
from adapters.discord import Account, Settings, accounts
from adapters.discord.setup import PERMISSIONS
from bot.model import MessageReceived
from tests.discord.house import Desk, FakeHost, answer, dm, ours
from tests.platforms.discord.server import DiscordServer


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ({"enabled": True}, "no token"),
        ({"enabled": True, "token": "  "}, "no token"),
        ({"token": "two words"}, "no bot token"),
        ({"api_url": "discord.com"}, "not an address"),
        ({"gateway_url": "https://gateway.discord.gg"}, "not an address"),
        ({"allow": {"users": []}}, "Extra inputs"),
        ({"enabled": True, "token": "a", "accounts": {"b": {"token": "a"}}}, "same token"),
        ({"enabled": True, "token": "a", "accounts": {"b": {}}}, "accounts.b"),
        ({"operators_channel": "#desk"}, "no channel's id"),
        ({"operators_channel": "1", "allow": {"rooms": ["1"]}}, "for operators alone"),
        (
            {
                "enabled": True,
                "token": "a",
                "operators_channel": "1",
                "accounts": {"b": {"token": "b", "operators_channel": "1"}},
            },
            "same operators_channel",
        ),
        ({"accounts": {"No Name": {"token": "a"}}}, "small letters"),
    ],
)
def test_settings_that_cannot_work_say_why(raw: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Settings.model_validate(raw)


def test_accounts_run_as_they_are_named_and_share_the_addresses() -> None:
    settings = Settings.model_validate(
        {
            "enabled": True,
            "api_url": "http://127.0.0.1:1/api",
            "accounts": {
                "one": {"token": "Bot a"},
                "two": {"token": "b", "api_url": "http://127.0.0.1:2/api"},
                "off": {"token": "c", "enabled": False},
            },
        }
    )
    running = accounts(settings)
    assert {name: account.api_url for name, account in running.items()} == {
        "one": "http://127.0.0.1:1/api",
        "two": "http://127.0.0.1:2/api",
    }
    assert running["one"].token is not None
    assert running["one"].token.get_secret_value() == "a"
    assert list(accounts(Settings.model_validate({"enabled": True, "token": "a"}))) == [""]
    assert not accounts(Settings.model_validate({"token": "a"}))


def test_f79_the_token_is_in_no_text_of_the_settings() -> None:
    settings = Settings.model_validate({"enabled": True, "token": "canary-token"})
    assert "canary" not in repr(settings) + str(settings)


def test_the_guide_names_the_intent_the_permissions_and_the_invitation() -> None:
    text = discord.guide(Settings(), "")
    assert "MESSAGE CONTENT INTENT" in text
    assert f"permissions={PERMISSIONS}" in text
    assert "FRONTDESK_CHANNELS_DISCORD_TOKEN" in text


async def test_a_bot_that_is_set_up_well_has_nothing_to_mend(server: DiscordServer) -> None:
    server.add_guild("Shop", server.person("Ann"))
    findings = await discord.check(_settings(server), FakeHost())
    assert all(finding.is_well for finding in findings)
    assert len(findings) == 3


async def test_what_is_wrong_is_found_and_what_to_do_about_it(server: DiscordServer) -> None:
    server.gateway.is_content_allowed = False
    findings = [finding for finding in await discord.check(_settings(server), FakeHost()) if not finding.is_well]
    assert ["MESSAGE CONTENT INTENT" in findings[0].mend, "Invite it" in findings[1].mend] == [True, True]
    server.refuse_token()
    [finding] = await discord.check(_settings(server), FakeHost())
    assert not finding.is_well
    assert "Copy a new one" in finding.mend


async def test_the_operators_channel_must_be_there_and_one_of_text(server: DiscordServer) -> None:
    guild = server.add_guild("Shop", server.person("Ann"))
    room = server.add_room(guild, "operators")
    voice = server.world.room(guild, "voice", 2)
    found = []
    for channel in (room.id, voice.id, 42):
        *_, finding = await discord.check(_settings(server, operators_channel=str(channel)), FakeHost())
        found.append((finding.is_well, finding.what))
    assert found == [(is_well, "the operators' channel is there") for is_well in (True, False, False)]


async def test_a_discord_that_does_not_answer_is_a_finding() -> None:
    settings = Settings.model_validate({"enabled": True, "token": "a", "api_url": "http://127.0.0.1:9/api"})
    [finding] = await discord.check(settings, FakeHost())
    assert not finding.is_well


async def test_two_bots_of_one_process_speak_to_their_own_addresses(server: DiscordServer) -> None:
    other = DiscordServer("another-token")
    await other.start()
    desks = [await Desk(each).start() for each in (server, other)]
    try:
        for desk in desks:
            ann = desk.server.person("Ann")
            desk.server.say(ann, "Hello")
            await desk.host.event(MessageReceived)
            await desk.adapter.send(dm(desk.server, ann), answer("Good day."))
            assert len(ours(desk.server, desk.server.world.direct(ann))) == 1
            assert not desk.server.violations
    finally:
        for desk in desks:
            await desk.stop()
        await other.stop()


async def test_nothing_of_the_sdk_is_loaded_before_a_channel_runs() -> None:
    code = (
        "import sys, adapters.discord as d\n"
        "from adapters.discord.adapter import DiscordAdapter\n"
        "d.guide(d.Settings(), '')\n"
        "print([name for name in ('discord', 'aiohttp') if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].decode().strip() == "[]"


def _settings(server: DiscordServer, **more: str) -> Settings:
    return Settings.model_validate({"enabled": True, "token": server.token, "api_url": server.api_url, **more})


def test_an_account_has_every_key_of_the_settings_but_the_accounts() -> None:
    assert set(Settings.model_fields) - set(Account.model_fields) == {"accounts"}
