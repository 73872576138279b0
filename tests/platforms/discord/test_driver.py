"""The driver, with a small bot in Frontdesk's place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.driver import DiscordPlatform
from tests.platforms.discord.test_messages import QUIET
from tests.platforms.kit import Platform


class Echo(Bot):
    """Answers with what it heard, two buttons and two thumbs."""

    async def on_message(self, message: discord.Message) -> None:
        if message.author.bot:
            return
        view = discord.ui.View(timeout=None)
        for label in ("Yes", "No"):
            view.add_item(discord.ui.Button(label=label, custom_id=label))
        for thumb in "👍👎":
            view.add_item(discord.ui.Button(emoji=thumb, custom_id=thumb))
        await message.channel.send(f"you said: {message.content}", nonce=str(message.id), view=view, **QUIET)

    async def on_interaction(self, interaction: discord.Interaction[discord.Client]) -> None:
        data: dict[str, Any] = dict(interaction.data or {})  # of many shapes
        pressed = data["custom_id"]
        await interaction.response.edit_message(
            content=f"you chose: {pressed}", allowed_mentions=discord.AllowedMentions.none()
        )


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordPlatform]:
    made = DiscordPlatform()
    await made.start()
    config = made.config()
    monkeypatch.setattr(Route, "BASE", config["api_url"])
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(config["gateway_url"]))
    made.attach(0)
    bot = Echo()
    running = asyncio.create_task(bot.start(config["token"]))
    await made.wait_ready()
    yield made
    await bot.close()
    running.cancel()
    with suppress(asyncio.CancelledError, discord.ConnectionClosed):
        await running
    await made.stop()


async def shown(platform: DiscordPlatform, count: int) -> None:
    """Returns once the bot's messages have shown so many texts."""
    await platform.server.until(lambda: len(platform.was_shown()) >= count)


async def test_the_driver_is_a_platform(platform: Platform) -> None:
    assert (platform.name, platform.can_edit, platform.can_stream) == ("discord", True, True)


async def test_what_is_said_and_answered_is_seen_by_that_person_alone(platform: DiscordPlatform) -> None:
    said = await platform.say("hello", file=b"pixels", file_name="photo.png")
    await shown(platform, 1)
    person, bot = platform.seen()
    assert (person.id, person.is_ours, person.text, person.files) == (said, False, "hello", ("photo.png",))
    assert (bot.is_ours, bot.text, bot.buttons, bot.is_edited) == (True, "you said: hello", ("Yes", "No"), False)
    assert platform.seen(by_other=True) == []
    await platform.say("me too", by_other=True)
    assert platform.seen(by_other=True)[0].text == "me too"
    assert platform.violations() == []


async def test_edits_and_deletions_show_in_the_chat(platform: DiscordPlatform) -> None:
    said = await platform.say("hello")
    await platform.edit(said, "hello again")
    assert [(s.text, s.is_edited) for s in platform.seen() if not s.is_ours] == [("hello again", True)]
    await platform.delete(said)
    assert [s for s in platform.seen() if not s.is_ours] == []


@pytest.mark.parametrize(("action", "result"), [("No", "you chose: No"), ("up", "you chose: 👍")])
async def test_buttons_are_pressed_and_verdicts_given(platform: DiscordPlatform, action: str, result: str) -> None:
    await platform.say("hello")
    await shown(platform, 1)
    answer = platform.seen()[-1]
    await (platform.rate(answer, action) if action == "up" else platform.press(answer, action))
    await shown(platform, 2)
    assert platform.was_shown() == ["you said: hello", result]
    assert platform.seen()[-1].is_edited


async def test_events_can_come_twice_and_backwards(platform: DiscordPlatform) -> None:
    said = await platform.say_out_of_order(["one", "two"])
    await shown(platform, 2)
    assert platform.was_shown() == ["you said: two", "you said: one"]
    assert [seen.text for seen in platform.seen()][:2] == ["one", "two"]
    await platform.repeat(said[0])
    await platform.say("three")
    await shown(platform, 3)
    assert platform.was_shown()[2:] == ["you said: three"]


async def test_what_is_said_during_a_cut_is_heard_after_it(platform: DiscordPlatform) -> None:
    await platform.cut()
    await platform.say("are you there?")
    await platform.wait_ready()
    await shown(platform, 1)
    assert platform.was_shown() == ["you said: are you there?"]


async def test_a_dead_connection_does_not_count_as_ready(platform: DiscordPlatform) -> None:
    platform.server.gateway.is_silent = True
    with pytest.raises(TimeoutError):
        await platform.server.gateway.wait_live(timeout_s=0.1)


async def test_faults_reach_the_server(platform: DiscordPlatform) -> None:
    platform.limit_rate(1, 0.1)
    platform.lose_answers(1)
    await platform.say("hello")
    await shown(platform, 1)
    platform.refuse_token(True)
    assert 4004 not in platform.server.gateway.close_codes
    await platform.server.gateway.wait_none()
    assert platform.server.gateway.close_codes == [4004]
