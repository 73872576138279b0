"""Messages, as the real SDK sends and hears them."""

import asyncio
import io
from typing import Any

import aiohttp
import discord
import pytest

from tests.platforms.discord import faults, limits
from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Message, User

QUIET: dict[str, Any] = {"allowed_mentions": discord.AllowedMentions.none(), "suppress_embeds": True}  # SDK keywords


async def answer(message: discord.Message, text: str, nonce: str = "n1", **more: Any) -> discord.Message:
    return await message.channel.send(text, nonce=nonce, **QUIET, **more)


async def asked(server: DiscordServer, bot: Bot, text: str = "hello") -> tuple[User, Message, discord.Message]:
    ann = server.person("Ann")
    said = server.say(ann, text)
    return ann, said, await bot.wait("message")


async def test_a_direct_message_is_heard_and_its_answer_is_seen(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    assert (heard.id, heard.content, heard.author.id, heard.guild) == (said.id, "hello", ann.id, None)
    sent = await answer(heard, "good day")
    chat = server.chat(said.channel, ann)
    assert [(m.author.name, m.content) for m in chat] == [("Ann", "hello"), ("Frontdesk", "good day")]
    assert chat[1].id == sent.id
    assert server.violations == []


async def test_an_edit_shows_the_new_text_and_keeps_the_old_in_the_ledger(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    sent = await answer(heard, "one")
    await sent.edit(content="one two", allowed_mentions=discord.AllowedMentions.none())
    assert server.shown(said.channel) == ["one", "one two"]
    assert server.chat(said.channel, ann)[-1].content == "one two"
    await sent.delete()
    assert [m.content for m in server.chat(said.channel, ann)] == ["hello"]
    assert server.violations == []


async def test_people_edit_and_delete_and_the_bot_hears_it(server: DiscordServer, bot: Bot) -> None:
    _, said, _ = await asked(server, bot)
    server.edit(said, "hello again")
    edited = await bot.wait("raw_message_edit")
    assert (edited.message_id, edited.data["content"], bool(edited.data["edited_timestamp"])) == (
        said.id,
        "hello again",
        True,
    )
    server.delete(said)
    assert (await bot.wait("raw_message_delete")).message_id == said.id


async def test_an_unfolded_link_updates_a_message_without_dating_an_edit(server: DiscordServer, bot: Bot) -> None:
    _, said, _ = await asked(server, bot, "see https://example.com")
    server.unfold(said)
    update = await bot.wait("raw_message_edit")
    assert (update.data["edited_timestamp"], len(update.data["embeds"])) == (None, 1)


# --- nonces ---------------------------------------------------------------------------------------------------------


async def test_f12_an_enforced_nonce_gives_the_first_message_back(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    first = await answer(heard, "good day")
    assert (await answer(heard, "something else")).id == first.id
    assert server.shown(said.channel) == ["good day"]


async def test_f12_a_nonce_is_forgotten_after_some_minutes(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    first = await answer(heard, "good day")
    server.skip(limits.NONCE_WINDOW_S + 1)
    assert (await answer(heard, "good day")).id != first.id
    assert server.shown(said.channel) == ["good day", "good day"]


async def test_a_nonce_whose_message_was_deleted_posts_nothing(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    await (await answer(heard, "good day")).delete()
    with pytest.raises(discord.NotFound) as refused:
        await answer(heard, "good day")
    assert refused.value.code == 10008
    assert server.shown(said.channel) == ["good day"]


async def test_nonces_are_told_by_events_and_not_by_listings(server: DiscordServer, bot: Bot) -> None:
    _, _, heard = await asked(server, bot)
    sent = await answer(heard, "good day", "key-1")
    assert sent.nonce == "key-1"
    assert (await bot.wait("message", 2)).nonce == "key-1"
    assert [m.nonce async for m in heard.channel.history()] == [None, None]
    server.messages.lists_nonces = True
    assert [m.nonce async for m in heard.channel.history()] == ["key-1", None]


# --- listing --------------------------------------------------------------------------------------------------------


async def test_listings_run_from_the_newest_and_page_both_ways(server: DiscordServer, bot: Bot) -> None:
    server.throttle.limits[faults.LIST] = (50, 1.0)
    ann = server.person("Ann")
    said = [server.say(ann, str(number)) for number in range(7)]
    channel = await bot.fetch_channel(said[0].channel.id)
    assert isinstance(channel, discord.DMChannel)

    async def texts(**where: Any) -> list[str]:
        raw = await bot.http.logs_from(channel.id, **where)
        return [message["content"] for message in raw]

    assert await texts(limit=3) == ["6", "5", "4"]
    assert await texts(limit=2, after=said[2].id) == ["4", "3"]
    assert await texts(limit=2, before=said[2].id) == ["1", "0"]
    assert await texts(limit=3, around=said[3].id) == ["4", "3", "2"]
    with pytest.raises(discord.HTTPException):
        await texts(limit=101)


# --- limits and refusals --------------------------------------------------------------------------------------------


async def test_f61_more_than_2000_characters_are_refused_and_noted(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    await answer(heard, "x" * 2000, "n1")
    assert server.violations == []
    with pytest.raises(discord.HTTPException) as refused:
        await answer(heard, "x" * 2001, "n2")
    assert (refused.value.status, refused.value.code) == (400, 50035)
    assert len(server.violations) == 1
    assert [len(text) for text in server.shown(said.channel)] == [2000]


@pytest.mark.parametrize(("text", "nonce", "code"), [("  \n", "n1", 50006), ("hello", "n" * 26, 50035)])
async def test_a_wrong_form_is_refused(server: DiscordServer, bot: Bot, text: str, nonce: str, code: int) -> None:
    _, _, heard = await asked(server, bot)
    with pytest.raises(discord.HTTPException) as refused:
        await answer(heard, text, nonce)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("count", "label", "custom_id", "is_taken"),
    [(25, "Yes", "id", True), (26, "Yes", "id", False), (1, "y" * 81, "id", False), (1, "Yes", "i" * 100, False)],
)
async def test_buttons_have_limits(
    server: DiscordServer, bot: Bot, count: int, label: str, custom_id: str, is_taken: bool
) -> None:
    _, said, heard = await asked(server, bot)
    buttons = [{"type": 2, "style": 2, "label": label, "custom_id": f"{custom_id}{n}"} for n in range(count)]
    rows = [{"type": 1, "components": buttons[at : at + 5]} for at in range(0, count, 5)]
    body = {"content": "?", "components": rows, "nonce": "n", "enforce_nonce": True, "allowed_mentions": {"parse": []}}
    path = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=heard.channel.id)
    if is_taken:
        await bot.http.request(path, json=body)
    else:
        with pytest.raises(discord.HTTPException, match="50035"):
            await bot.http.request(path, json=body)
    assert bool(server.shown(said.channel)) is is_taken


async def test_places_that_are_closed_refuse_in_discords_words(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    guild = server.add_guild("Shop", ann)
    room = server.add_room(guild, "help")
    said = server.say(ann, "hello", room)
    heard = await bot.wait("message")

    async def code() -> int:
        with pytest.raises(discord.HTTPException) as refused:
            await answer(heard, "good day")
        return refused.value.code

    room.refusal = limits.MISSING_PERMISSIONS
    assert await code() == 50013
    room.refusal = limits.CANNOT_WRITE_TO_USER
    assert await code() == 50007
    room.refusal = None
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.edit_message(room.id, said.id, params=discord.http.handle_message_parameters(content="mine"))
    assert refused.value.code == 50005
    server.remove_bot(guild)
    assert await code() == 50001
    guild.has_bot = True
    server.remove_room(room)
    assert await code() == 10003
    assert server.shown(room) == []


async def test_an_unknown_route_is_not_found_in_json(server: DiscordServer, bot: Bot) -> None:
    with pytest.raises(discord.NotFound):
        await bot.http.request(discord.http.Route("GET", "/nowhere"))


# --- manners --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "how", "wrong"),
    [
        ("hi <@{ann}>", {}, "pings"),
        ("hi @everyone", {}, "pings"),
        ("hi <@&1>", {}, "pings"),
        ("hi", {"allowed_mentions": None}, "default"),
        ("see https://example.com", {"suppress_embeds": False}, "embeds"),
    ],
)
async def test_f104_bad_manners_are_noted(
    server: DiscordServer, bot: Bot, text: str, how: dict[str, Any], wrong: str
) -> None:
    ann, _, heard = await asked(server, bot)
    loud = {} if "pings" not in wrong else {"allowed_mentions": discord.AllowedMentions.all()}
    await heard.channel.send(text.format(ann=ann.id), **{"nonce": "n1", **QUIET, **loud, **how})
    assert [wrong in violation for violation in server.violations] == [True]


async def test_a_post_without_an_enforced_nonce_is_noted(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    path = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=heard.channel.id)
    await bot.http.request(path, json={"content": "hi", "nonce": "n1", "allowed_mentions": {"parse": []}})
    await bot.http.request(path, json={"content": "hi", "nonce": "n1", "allowed_mentions": {"parse": []}})
    assert server.violations == ["a post without an enforced nonce"] * 2
    assert server.shown(said.channel) == ["hi", "hi"]


async def test_f104_mentions_that_are_switched_off_ping_nobody(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    sent = await answer(heard, f"<@{ann.id}> @everyone <@&1> https://example.com")
    assert (sent.mentions, sent.mention_everyone, server.violations) == ([], False, [])
    await sent.edit(content=f"<@{ann.id}>", allowed_mentions=discord.AllowedMentions(users=True))
    assert said.channel.everything[sent.id].mentions == [ann]
    assert "pings" in server.violations[0]


# --- content and who may see it -------------------------------------------------------------------------------------


async def test_f31_without_the_intent_a_room_is_read_empty_unless_the_bot_is_meant(server: DiscordServer) -> None:
    server.gateway.is_content_allowed = False
    ann = server.person("Ann")
    guild = server.add_guild("Shop", ann)
    room = server.add_room(guild, "help")
    async with Bot(intents=discord.Intents.default()) as bot:
        await bot.login(server.token)
        running = asyncio.create_task(bot.connect())
        await server.gateway.wait_live()
        server.say(ann, "nobody is meant", room)
        server.say(ann, f"<@{server.world.bot.id}> help", room)
        server.say(ann, f"<@&{guild.bot_role}> help", room)
        server.say(ann, "directly")
        await bot.wait("message", 4)
        assert [message.content != "" for message in bot.heard] == [False, True, True, True]
        await bot.close()
        await running


async def test_f27_webhooks_and_other_bots_show_what_they_are(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    room = server.add_room(server.add_guild("Shop", ann), "help")
    server.say_by_webhook("Relay", "from elsewhere", room)
    server.say(server.world.user("Other", is_bot=True), "beep", room)
    await bot.wait("message", 2)
    hook, other = bot.heard
    assert (hook.webhook_id is not None, hook.author.name, other.author.bot, other.webhook_id) == (
        True,
        "Relay",
        True,
        None,
    )


# --- threads, reactions, typing, files ------------------------------------------------------------------------------


async def test_a_thread_from_a_message_has_its_id_and_is_made_once(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    room = server.add_room(server.add_guild("Shop", ann), "help")
    said = server.say(ann, f"<@{server.world.bot.id}> my lamp flickers", room)
    heard = await bot.wait("message")
    thread = await heard.create_thread(name="my lamp flickers")
    assert thread.id == said.id
    with pytest.raises(discord.HTTPException) as refused:
        await heard.create_thread(name="again")
    assert refused.value.code == 160004
    await thread.send("let us see", nonce="n1", **QUIET)
    server.say(ann, "thanks", server.world.channels[thread.id])
    await bot.wait("message", 4)
    starter, ours, theirs = bot.heard[1:]
    assert (starter.type, ours.content, theirs.content) == (
        discord.MessageType.thread_starter_message,
        "let us see",
        "thanks",
    )
    assert theirs.channel.id == thread.id
    assert isinstance(theirs.channel, discord.Thread)
    assert server.violations == []


async def test_a_locked_thread_takes_no_message_and_an_archived_one_opens(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    thread = server.open_thread(ann, server.add_room(server.add_guild("Shop", ann), "help"), "my lamp")
    server.say(ann, "hello", thread)
    await bot.wait("message", 2)
    heard = bot.heard[-1]
    server.archive(thread)
    await answer(heard, "good day", "n1")
    assert not thread.is_archived
    server.archive(thread, is_locked=True)
    with pytest.raises(discord.HTTPException) as refused:
        await answer(heard, "good night", "n2")
    assert (refused.value.code, server.shown(thread)) == (50083, ["good day"])


async def test_f29_a_join_is_told_as_a_line_of_discords_own(server: DiscordServer, bot: Bot) -> None:
    guild = server.add_guild("Shop", server.person("Ann"))
    server.join(server.person("Ben"), guild, server.add_room(guild, "help"))
    assert (await bot.wait("message")).type is discord.MessageType.new_member


async def test_reactions_go_both_ways(server: DiscordServer, bot: Bot) -> None:
    ann, _, heard = await asked(server, bot)
    sent = await answer(heard, "good day")
    server.react(ann, server.world.direct(ann).everything[sent.id], "👍")
    added = await bot.wait("raw_reaction_add")
    assert (added.message_id, added.user_id, str(added.emoji)) == (sent.id, ann.id, "👍")
    server.unreact(ann, server.world.direct(ann).everything[sent.id], "👍")
    assert (await bot.wait("raw_reaction_remove")).user_id == ann.id
    await heard.add_reaction("👀")
    assert server.world.direct(ann).everything[heard.id].reactions == {"👀": [server.world.bot]}


async def test_typing_is_seen_both_ways(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    await heard.channel.typing()
    assert (server.typed(said.channel), server.is_typing(said.channel)) == (1, True)
    server.skip(limits.TYPING_S)
    assert not server.is_typing(said.channel)
    await heard.channel.typing()
    assert server.is_typing(said.channel)
    server.skip(1)
    await answer(heard, "good day")
    assert not server.is_typing(said.channel)
    server.types(ann)
    assert (await bot.wait("raw_typing")).user_id == ann.id


async def test_a_persons_file_is_read_by_its_signed_url_until_that_expires(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    said = server.say(ann, "", files=(server.world.files.upload("photo.png", b"pixels"),))
    heard = await bot.wait("message")
    assert (heard.attachments[0].filename, heard.attachments[0].content_type) == ("photo.png", "image/png")
    assert await heard.attachments[0].read() == b"pixels"
    url = heard.attachments[0].url
    async with aiohttp.ClientSession() as session, session.get(url.replace("hm=", "hm=0")) as forged:
        assert forged.status == 404
    server.skip(limits.FILE_URL_S)
    with pytest.raises(discord.NotFound):
        await heard.attachments[0].read()
    again = await heard.channel.fetch_message(said.id)
    assert await again.attachments[0].read() == b"pixels"


async def test_an_expired_url_is_refreshed(server: DiscordServer, bot: Bot) -> None:
    server.say(server.person("Ann"), "see", files=(server.world.files.upload("note.txt", b"text"),))
    url = (await bot.wait("message")).attachments[0].url
    server.skip(limits.FILE_URL_S)
    path = discord.http.Route("POST", "/attachments/refresh-urls")
    refreshed = (await bot.http.request(path, json={"attachment_urls": [url]}))["refreshed_urls"][0]
    assert refreshed["original"] == url
    assert await bot.http.get_from_cdn(refreshed["refreshed"]) == b"text"


async def test_f67_a_file_can_be_gone_or_a_web_page_instead(server: DiscordServer, bot: Bot) -> None:
    server.say(server.person("Ann"), "see", files=(server.world.files.upload("note.txt", b"text"),))
    heard = await bot.wait("message")
    server.file_answer = "page"
    assert b"<!doctype html>" in await heard.attachments[0].read()
    server.file_answer = "gone"
    with pytest.raises(discord.NotFound):
        await heard.attachments[0].read()


async def test_the_bots_files_are_shown_with_their_names(server: DiscordServer, bot: Bot) -> None:
    ann, said, heard = await asked(server, bot)
    files = [
        discord.File(io.BytesIO(b"one"), "a.txt"),
        discord.File(io.BytesIO(b"two"), "b.txt", description="the second"),
    ]
    sent = await answer(heard, "two files", files=files)
    shown = server.chat(said.channel, ann)[-1].files
    assert [(file.name, file.data, file.description) for file in shown] == [
        ("a.txt", b"one", None),
        ("b.txt", b"two", "the second"),
    ]
    await sent.edit(attachments=sent.attachments[1:], allowed_mentions=discord.AllowedMentions.none())
    assert [file.name for file in server.chat(said.channel, ann)[-1].files] == ["b.txt"]
