"""The gateway: what the real SDK makes of it, and, by bare frames, what it refuses."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest

from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.limits import GATEWAY_SENDS
from tests.platforms.discord.server import DiscordServer


class Bare:
    """A connection without the SDK."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def read(self) -> Any:
        return json.loads((await self.socket.receive(timeout=5)).data)

    async def send(self, op: int, data: object) -> None:
        await self.socket.send_json({"op": op, "d": data})

    async def closed(self) -> int | None:
        """The code with which the server ends it."""
        while (await self.socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        return self.socket.close_code


@asynccontextmanager
async def bare(server: DiscordServer, query: str = "v=10&encoding=json") -> AsyncIterator[Bare]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.gateway_url}?{query}") as socket:
        yield Bare(socket)


def identify(server: DiscordServer, **changed: object) -> dict[str, object]:
    return {"token": server.token, "intents": 1 << 12, "properties": {}, **changed}


# --- sessions -------------------------------------------------------------------------------------------------------


async def test_ready_names_the_guilds_and_events_bring_what_is_in_them(server: DiscordServer, bot: Bot) -> None:
    guild = server.add_guild("Shop", server.person("Ann"))
    room = server.add_room(guild, "help")
    await bot.wait("guild_channel_create")
    found = bot.get_channel(room.id)
    assert isinstance(found, discord.TextChannel)
    assert (found.name, found.guild.name, found.guild.me.id) == ("help", "Shop", server.world.bot.id)
    assert found.guild.self_role is not None
    assert found.guild.self_role.id == guild.bot_role


async def test_f30_after_a_cut_a_resume_replays_what_was_missed_in_order(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    server.say(ann, "before")
    await bot.wait("message")
    await server.gateway.cut()
    for number in range(20):
        server.say(ann, f"missed {number}")
    await server.gateway.wait_live()
    server.say(ann, "after")
    await bot.wait("message", 22)
    assert [m.content for m in bot.heard] == ["before", *(f"missed {n}" for n in range(20)), "after"]
    assert (server.gateway.resumes, len(server.gateway.identifies)) == (1, 1)
    assert server.violations == []


async def test_f30_a_session_that_cannot_be_resumed_loses_what_was_missed(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    first = server.say(ann, "before")
    await bot.wait("message")
    server.gateway.max_concurrency = 2
    await server.gateway.cut()
    server.say(ann, "missed")
    server.skip(server.gateway.resume_window_s + 1)
    await server.gateway.wait_live()
    server.say(ann, "after")
    await bot.wait("message", 2)
    assert [m.content for m in bot.heard] == ["before", "after"]
    missed = await bot.http.logs_from(first.channel.id, limit=10, after=first.id)
    assert [m["content"] for m in missed] == ["after", "missed"]


async def test_f30_a_session_that_missed_too_much_cannot_be_resumed(
    server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.platforms.discord.connection.KEPT_EVENTS", 3)
    ann = server.person("Ann")
    async with bare(server) as one:
        await one.read()
        await one.send(2, identify(server))
        session = (await one.read())["d"]["session_id"]
        await one.socket.close(code=4000)
    for number in range(4):
        server.say(ann, str(number))
    for seq, op in ((1, 9), (2, 0)):
        async with bare(server) as two:
            await two.read()
            await two.send(6, {"token": server.token, "session_id": session, "seq": seq})
            assert (await two.read())["op"] == op


async def test_f30_a_refused_resume_is_followed_by_a_new_session(server: DiscordServer, bot: Bot) -> None:
    server.gateway.max_concurrency = 2
    server.gateway.refuses_resumes = False
    await server.gateway.cut()
    await server.gateway.wait_live()
    assert (server.gateway.resumes, len(server.gateway.identifies)) == (0, 2)


async def test_f30_a_session_is_over_when_the_client_says_goodbye(server: DiscordServer) -> None:
    async with bare(server) as one:
        await one.read()
        await one.send(2, identify(server))
        ready = await one.read()
        await one.socket.close(code=1000)
    async with bare(server) as two:
        await two.read()
        await two.send(6, {"token": server.token, "session_id": ready["d"]["session_id"], "seq": 1})
        assert await two.read() == {"op": 9, "d": False, "s": None, "t": None}


async def test_f30_asked_to_reconnect_the_client_resumes(server: DiscordServer, bot: Bot) -> None:
    server.gateway.ask_reconnect()
    await bot.wait("resumed")
    server.say(server.person("Ann"), "still there?")
    assert (await bot.wait("message")).content == "still there?"


@pytest.mark.parametrize("is_resumable", [True, False])
async def test_f30_an_invalid_session_is_resumed_or_begun_anew(
    server: DiscordServer, bot: Bot, is_resumable: bool
) -> None:
    server.gateway.max_concurrency = 2
    await bot.wait("connect")
    server.gateway.invalidate(is_resumable=is_resumable)
    await (bot.wait("resumed") if is_resumable else bot.wait("connect", 2))
    assert (server.gateway.resumes, len(server.gateway.identifies)) == ((1, 1) if is_resumable else (0, 2))


async def test_f22_a_repeated_event_is_told_twice_and_out_of_order_backwards(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    said = [server.say(ann, text, is_told=False) for text in ("one", "two")]
    for message in [*reversed(said), said[0]]:
        server.repeat(message)
    await bot.wait("message", 3)
    assert [(m.id, m.content) for m in bot.heard] == [(said[i].id, t) for i, t in ((1, "two"), (0, "one"), (0, "one"))]


async def test_a_bot_that_was_kicked_hears_no_more(server: DiscordServer, bot: Bot) -> None:
    ann = server.person("Ann")
    guild = server.add_guild("Shop", ann)
    room = server.add_room(guild, "help")
    server.remove_bot(guild)
    server.say(ann, "anybody?", room)
    server.say(ann, "directly")
    assert (await bot.wait("guild_remove")).id == guild.id
    assert (await bot.wait("message")).content == "directly"


# --- dead connections -----------------------------------------------------------------------------------------------


async def test_a_heartbeat_that_is_asked_for_is_given(server: DiscordServer, bot: Bot) -> None:
    before = server.gateway.beats
    server.gateway.ask_heartbeat()
    await server.gateway.wait_live()
    assert server.gateway.beats > before


async def test_without_heartbeats_the_connection_is_ended_and_noted(server: DiscordServer) -> None:
    server.gateway.heartbeat_ms = 30
    async with bare(server) as mute:
        assert (await mute.read())["d"] == {"heartbeat_interval": 30}
        assert await mute.closed() == 4009
    assert "heartbeat" in server.violations[0]


async def test_a_silent_connection_is_left_by_the_client_and_its_events_are_replayed(server: DiscordServer) -> None:
    server.gateway.heartbeat_ms = 50
    bot = Bot(heartbeat_timeout=0.2)
    running = asyncio.create_task(bot.start(server.token))
    await server.gateway.wait_live()
    server.gateway.is_silent = True
    server.say(server.person("Ann"), "into the void")
    await bot.wait("disconnect")
    server.gateway.is_silent = False
    assert (await bot.wait("message")).content == "into the void"
    await bot.close()
    await running
    assert server.violations == []


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_f78_a_refused_token_fails_the_login_for_good(server: DiscordServer) -> None:
    server.refuse_token()
    async with Bot() as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.login(server.token)


async def test_f78_a_token_that_is_revoked_ends_the_connection_with_4004(server: DiscordServer) -> None:
    async with Bot() as bot:
        running = asyncio.create_task(bot.start(server.token))
        await server.gateway.wait_live()
        server.refuse_token()
        with pytest.raises(discord.ConnectionClosed) as closed:
            await running
        assert closed.value.code == 4004


async def test_f30_an_intent_that_is_switched_off_is_disallowed(server: DiscordServer) -> None:
    server.gateway.is_content_allowed = False
    async with Bot() as bot:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await bot.start(server.token)
    assert server.gateway.close_codes == [4014]


@pytest.mark.parametrize(
    ("query", "frames", "code"),
    [
        ("v=9&encoding=json", [], 4012),
        ("v=10&encoding=json", [(8, {})], 4003),
        ("v=10&encoding=json", [(2, {"token": "wrong"})], 4004),
        ("v=10&encoding=json", [(2, {"intents": 1 << 40})], 4013),
        ("v=10&encoding=json", [(2, {"intents": 1 << 1})], 4014),
        ("v=10&encoding=json", [(2, {}), (2, {})], 4005),
        ("v=10&encoding=json", [(2, {}), (77, {})], 4001),
        ("v=10&encoding=json", [(2, {"padding": "x" * 5000})], 4002),
        ("v=10&encoding=json", [(1, None)] * (GATEWAY_SENDS + 1), 4008),
    ],
)
async def test_what_breaks_the_protocol_is_ended_with_its_code(
    server: DiscordServer, query: str, frames: list[tuple[int, Any]], code: int
) -> None:
    async with bare(server, query) as rude:
        for op, data in frames:
            await rude.send(op, identify(server, **data) if op == 2 else data)
        assert await rude.closed() == code


async def test_a_resume_from_a_number_that_was_never_told_is_ended_with_4007(server: DiscordServer) -> None:
    async with bare(server) as one:
        await one.read()
        await one.send(2, identify(server))
        session = (await one.read())["d"]["session_id"]
        await one.socket.close(code=4000)
    async with bare(server) as two:
        await two.send(6, {"token": server.token, "session_id": session, "seq": 99})
        assert await two.closed() == 4007


async def test_identifying_too_often_is_an_invalid_session_and_noted(server: DiscordServer) -> None:
    async with bare(server) as one, bare(server) as two:
        for connection in (one, two):
            await connection.read()
            await connection.send(2, identify(server))
        assert (await one.read())["t"] == "READY"
        assert (await two.read())["op"] == 9
    assert "identifies" in server.violations[0]


async def test_f30_a_storm_of_connections_is_noted(server: DiscordServer) -> None:
    for _ in range(21):
        async with bare(server) as one:
            await one.read()
    assert [violation.partition(":")[0] for violation in server.violations] == ["reconnect storm"]


async def test_a_thousand_identifies_a_day_reset_the_token(
    server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.platforms.discord.gateway.IDENTIFIES_A_DAY", 2)
    server.gateway.max_concurrency = 10
    for _ in range(3):
        async with bare(server) as one:
            await one.read()
            await one.send(2, identify(server))
            assert (await one.read())["t"] == "READY"
    assert len(server.violations) == 1
    assert "resets the token" in server.violations[0]


# --- odd events -----------------------------------------------------------------------------------------------------


async def test_f32_events_can_carry_what_nobody_expects(server: DiscordServer, bot: Bot) -> None:
    server.gateway.distort = lambda name, data: data | {"new_field": [name], "nonce": 12345678901234567890123}
    server.say(server.person("Ann"), "hello")
    assert (await bot.wait("message")).nonce == 12345678901234567890123


# --- compression ----------------------------------------------------------------------------------------------------


async def test_a_compressed_stream_is_one_for_the_whole_connection(server: DiscordServer) -> None:
    async with bare(server, "v=10&encoding=json&compress=zlib-stream") as packed:
        inflate = zlib.decompressobj()
        hello = (await packed.socket.receive(timeout=5)).data
        assert json.loads(inflate.decompress(hello))["op"] == 10
        await packed.send(2, identify(server))
        ready = (await packed.socket.receive(timeout=5)).data
        assert ready.endswith(b"\x00\x00\xff\xff")
        assert json.loads(inflate.decompress(ready))["t"] == "READY"
