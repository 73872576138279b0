"""What a bot can ask about itself and its places, through the real SDK."""

from typing import Any

import discord
import pytest

from tests.platforms.discord import limits
from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.test_messages import QUIET, answer, asked


async def get(bot: Bot, path: str, method: str = "GET", **more: Any) -> Any:  # JSON is untyped by nature
    return await bot.http.request(discord.http.Route(method, path), **more)


async def test_the_app_tells_its_intents_and_its_bot(server: DiscordServer, bot: Bot) -> None:
    app = await bot.application_info()
    assert (app.id, app.flags.gateway_message_content_limited) == (server.world.application_id, True)
    server.gateway.is_content_allowed = False
    assert not (await bot.application_info()).flags.gateway_message_content_limited
    start = (await get(bot, "/gateway/bot"))["session_start_limit"]
    assert (start["remaining"], start["max_concurrency"]) == (limits.IDENTIFIES_A_DAY - 1, 1)


async def test_guilds_channels_threads_and_members_are_listed(server: DiscordServer, bot: Bot) -> None:
    ann, ben = server.person("Ann"), server.person("Ben")
    guild = server.add_guild("Shop", ann)
    room = server.add_room(guild, "help")
    thread = server.open_thread(ann, room, "my lamp")
    assert [g["name"] for g in await get(bot, "/users/@me/guilds")] == ["Shop"]
    found = await bot.fetch_guild(guild.id)
    assert [channel.name for channel in await found.fetch_channels()] == ["help"]
    assert [t.id for t in await found.active_threads()] == [thread.id]
    assert (await found.fetch_member(ann.id)).name == "ann"
    with pytest.raises(discord.NotFound) as refused:
        await found.fetch_member(ben.id)
    assert refused.value.code == 10007
    assert (await bot.fetch_user(ben.id)).global_name == "Ben"


async def test_a_direct_chat_is_opened_by_the_bot_and_is_the_same_each_time(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    opened = await (await bot.fetch_user(ann.id)).create_dm()
    assert opened.id == server.world.direct(ann).id
    await opened.send("good day", nonce="n", **QUIET)
    assert server.shown(server.world.direct(ann)) == ["good day"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/users/1", 10013),
        ("/users/none", 50035),
        ("/guilds/1", 10004),
        ("/channels/1", 10003),
        ("/channels/1/messages/1", 10003),
        ("/applications/1/commands", 50001),
    ],
)
async def test_what_is_not_there_is_told_by_its_code(server: DiscordServer, bot: Bot, path: str, code: int) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await get(bot, path)
    assert refused.value.code == code


async def test_commands_are_overwritten_added_and_removed(server: DiscordServer, bot: Bot) -> None:
    scope = server.world.application_id
    path = f"/applications/{scope}/commands"
    help_: dict[str, Any] = {"name": "help", "description": "Asks for help", "type": 1}
    first = await get(bot, path, "PUT", json=[help_])
    again = await get(bot, path, "PUT", json=[help_ | {"description": "Helps"}])
    assert [c["id"] for c in first] == [c["id"] for c in again]
    added = await get(bot, path, "POST", json={"name": "forget", "description": "Forgets"})
    assert [c["name"] for c in await get(bot, path)] == ["help", "forget"]
    await get(bot, f"{path}/{added['id']}", "DELETE")
    assert [c["name"] for c in await get(bot, path)] == ["help"]
    with pytest.raises(discord.NotFound, match="10063"):
        await get(bot, f"{path}/{added['id']}", "DELETE")


async def test_a_guild_has_commands_of_its_own(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    guild, other = server.add_guild("Shop", ann), server.add_guild("Club", ann)
    path = f"/applications/{server.world.application_id}/guilds/{guild.id}/commands"
    await get(bot, path, "PUT", json=[{"name": "help", "description": "Asks for help"}])
    server.interactions.run_command(ann, server.add_room(guild, "help"), "help")
    with pytest.raises(KeyError):
        server.interactions.run_command(ann, server.add_room(other, "help"), "help")


async def test_a_reply_names_what_it_answers(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    await heard.reply("good day", nonce="n1", mention_author=False, **QUIET)
    assert server.chat(said.channel, ann)[-1].answers is said
    server.say(ann, "thanks", answers=server.chat(said.channel, ann)[-1])
    await bot.wait("message", 3)
    reference = bot.heard[-1].reference
    assert reference is not None
    assert isinstance(reference.resolved, discord.Message)
    assert reference.resolved.content == "good day"
    server.delete(said)
    with pytest.raises(discord.HTTPException) as refused:
        await heard.reply("too late", nonce="n2", mention_author=False, **QUIET)
    assert refused.value.code == 50035


async def test_f68_a_body_that_is_no_json_and_files_that_are_too_large_are_refused(
    server: DiscordServer, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, said, heard = await asked(server, bot)
    with pytest.raises(discord.HTTPException) as refused:
        await get(bot, f"/channels/{said.channel.id}/messages", "POST", data=b"{", headers={})
    assert refused.value.code == 50109
    monkeypatch.setattr(limits, "FILE_BYTES", 10)
    with pytest.raises(discord.HTTPException) as too_large:
        await answer(heard, "see", file=discord.File(__file__))
    assert (too_large.value.status, too_large.value.code) == (413, 40005)


async def test_moderators_delete_many_at_once(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    room = server.add_room(server.add_guild("Shop", ann), "help")
    said = [server.say(ann, str(number), room) for number in range(3)]
    server.delete_many(*said[:2])
    gone = await bot.wait("raw_bulk_message_delete")
    assert (gone.message_ids, [m.content for m in room.messages]) == ({m.id for m in said[:2]}, ["2"])
