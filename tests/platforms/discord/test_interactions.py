"""Slash commands, buttons and modals, answered by the real SDK."""

from typing import Any

import discord
import pytest
from discord import app_commands

from tests.platforms.discord import faults, limits
from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.interactions import said
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.test_messages import QUIET, asked
from tests.platforms.discord.things import Message, User

QUIETLY: dict[str, Any] = {"allowed_mentions": discord.AllowedMentions.none(), "ephemeral": True}  # SDK keywords


async def buttons(server: DiscordServer, bot: Bot, *labels: str) -> tuple[User, Message]:
    """A message of the bot with these buttons."""
    ann, asked_, heard = await asked(server, bot)
    view = discord.ui.View(timeout=None)
    for label in labels:
        view.add_item(discord.ui.Button(label=label, custom_id=f"choose {label}"))
    sent = await heard.channel.send("Which?", nonce="n", view=view, **QUIET)
    return ann, asked_.channel.everything[sent.id]


async def test_a_registered_command_is_run_and_answered_for_one_person(server: DiscordServer, bot: Bot) -> None:
    tree: app_commands.CommandTree[Bot] = app_commands.CommandTree(bot)

    @tree.command(description="Asks for help")
    async def help_me(interaction: discord.Interaction[Bot], topic: str) -> None:
        await interaction.response.send_message(f"help with {topic}", **QUIETLY)

    await tree.sync()
    ann, ben = server.person("Ann"), server.person("Ben")
    room = server.add_room(server.add_guild("Shop", ann, ben), "help")
    done = await server.interactions.run_command(ann, room, "help_me", topic="lamps").wait()
    assert said(done) == ["help with lamps"]
    assert [m.content for m in server.chat(room, ann)] == ["help with lamps"]
    assert server.chat(room, ben) == []
    server.say(ben, "what did she ask?", room)
    assert (await bot.wait("message")).content == "what did she ask?"
    assert (await tree.fetch_commands())[0].name == "help_me"
    with pytest.raises(KeyError):
        server.interactions.run_command(ann, room, "unknown")
    assert server.violations == []


@pytest.mark.parametrize("name", ["Help", "with space", "x" * 33])
async def test_command_names_have_limits(server: DiscordServer, bot: Bot, name: str) -> None:
    command: Any = {"name": name, "description": "x", "type": 1}  # the SDK checks names itself; the server must too
    with pytest.raises(discord.HTTPException) as refused:
        await bot.http.bulk_upsert_global_commands(server.world.application_id, [command])
    assert refused.value.code == 50035


async def test_a_pressed_button_is_answered_by_changing_its_message(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Yes", "No")
    pressed = server.press(ann, message, "No")
    interaction = await bot.wait("interaction")
    assert (interaction.data["custom_id"], interaction.user.id, interaction.message.id) == (
        "choose No",
        ann.id,
        message.id,
    )
    await interaction.response.edit_message(
        content="No, then", view=None, allowed_mentions=discord.AllowedMentions.none()
    )
    await pressed.wait()
    assert (message.content, message.components, said(pressed)) == ("No, then", [], [])
    with pytest.raises(KeyError):
        server.press(ann, message, "Yes")
    assert server.violations == []


async def test_thinking_is_shown_until_the_follow_up(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Sources")
    pressed = server.press(ann, message, "Sources")
    interaction = await bot.wait("interaction")
    await interaction.response.defer(thinking=True, ephemeral=True)
    assert pressed.is_thinking
    await interaction.followup.send("here they are", **QUIETLY)
    assert (pressed.is_thinking, said(pressed)) == (False, ["here they are"])
    await interaction.followup.send("and more", **QUIETLY)
    await interaction.edit_original_response(content="changed", allowed_mentions=discord.AllowedMentions.none())
    assert said(pressed) == ["changed", "and more"]
    assert [m.content for m in server.chat(message.channel, ann)][-2:] == ["changed", "and more"]
    assert server.shown(message.channel) == ["Which?", "here they are", "and more", "changed"]
    assert server.violations == []


async def test_a_deferred_update_shows_nothing(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Yes")
    pressed = server.press(ann, message, "Yes")
    await (await bot.wait("interaction")).response.defer()
    await pressed.wait()
    assert (pressed.state, said(pressed), len(server.chat(message.channel, ann))) == ("answered", [], 2)


async def test_an_answer_after_the_deadline_is_unknown_and_noted(server: DiscordServer, bot: Bot) -> None:
    server.interactions.answer_s = 0.05
    ann, message = await buttons(server, bot, "Yes")
    pressed = server.press(ann, message, "Yes")
    interaction = await bot.wait("interaction")
    await pressed.wait()
    assert pressed.state == "failed"
    with pytest.raises(discord.NotFound) as refused:
        await interaction.response.defer()
    assert refused.value.code == 10062
    assert "not answered" in server.violations[0]


async def test_who_was_not_connected_breaks_no_deadline(server: DiscordServer, bot: Bot) -> None:
    server.interactions.answer_s = 0.05
    ann, message = await buttons(server, bot, "Yes")
    held = server.hold(faults.ANSWER)
    pressed = server.press(ann, message, "Yes")
    server.gateway.refuses_resumes = True
    await server.gateway.cut()
    await pressed.wait()
    held.release()
    assert (pressed.state, [v for v in server.violations if "answered" in v]) == ("failed", [])


async def test_a_second_first_answer_is_refused(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Yes")
    server.press(ann, message, "Yes")
    interaction = await bot.wait("interaction")
    await interaction.response.defer()
    with pytest.raises(discord.HTTPException) as refused:
        await bot.http.request(
            discord.http.Route(
                "POST",
                "/interactions/{webhook_id}/{webhook_token}/callback",
                webhook_id=interaction.id,
                webhook_token=interaction.token,
            ),
            json={"type": 6},
        )
    assert refused.value.code == 40060


async def test_the_token_ends_after_fifteen_minutes(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Yes")
    server.press(ann, message, "Yes")
    interaction = await bot.wait("interaction")
    await interaction.response.defer()
    server.skip(limits.TOKEN_S - 5)
    await interaction.followup.send("in time", **QUIETLY)
    server.skip(10)
    with pytest.raises(discord.HTTPException) as refused:
        await interaction.followup.send("too late", **QUIETLY)
    assert (refused.value.status, refused.value.code) == (401, 50027)


async def test_a_modal_is_opened_filled_in_and_answered(server: DiscordServer, bot: Bot) -> None:
    class Form(discord.ui.Modal, title="What was wrong?"):
        reason: discord.ui.TextInput["Form"] = discord.ui.TextInput(label="Reason", custom_id="reason")

        async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
            await interaction.response.send_message(f"noted: {self.reason.value}", **QUIETLY)

    ann, message = await buttons(server, bot, "Bad")
    pressed = server.press(ann, message, "Bad")
    await (await bot.wait("interaction")).response.send_modal(Form())
    await pressed.wait()
    assert said(pressed) == ["What was wrong?"]
    sent = await server.interactions.submit(pressed, reason="too slow").wait()
    assert said(sent) == ["noted: too slow"]
    assert server.violations == []


async def test_a_select_tells_what_was_chosen(server: DiscordServer, bot: Bot) -> None:
    ann, asked_, heard = await asked(server, bot)
    view = discord.ui.View(timeout=None)
    options = [discord.SelectOption(label=f"Source {n}", value=str(n)) for n in (1, 2)]
    view.add_item(discord.ui.Select(custom_id="sources", options=options))
    sent = await heard.channel.send("See", nonce="n", view=view, **QUIET)
    server.interactions.use_component(ann, asked_.channel.everything[sent.id], "sources", "2")
    interaction = await bot.wait("interaction")
    assert interaction.data["values"] == ["2"]
    await interaction.response.send_message("passage two", **QUIETLY)
    assert server.violations == []


async def test_with_an_interactions_address_none_come_by_the_gateway(server: DiscordServer, bot: Bot) -> None:
    ann, message = await buttons(server, bot, "Yes")
    server.rest.interactions_url = "https://example.com/interactions"
    server.press(ann, message, "Yes")
    server.say(ann, "nothing happens")
    await bot.wait("message", 2)
    assert [name for name, _ in bot.events if name == "interaction"] == []
