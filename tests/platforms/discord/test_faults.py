"""Limits of rate and failing requests, as the real SDK meets them, and a client that ignores them."""

import asyncio

import aiohttp
import discord
import pytest

from tests.platforms.discord import faults, limits
from tests.platforms.discord.conftest import Bot
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.test_messages import answer, asked


async def test_f12_a_lost_answer_has_posted_and_the_same_nonce_posts_no_second(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    server.lose_answers(1)
    with pytest.raises(aiohttp.ClientError):
        await answer(heard, "good day")
    assert server.shown(said.channel) == ["good day"]
    await answer(heard, "good day")
    assert server.shown(said.channel) == ["good day"]


async def test_a_lost_request_has_posted_nothing(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    server.lose_requests(1)
    with pytest.raises(aiohttp.ClientError):
        await answer(heard, "good day")
    assert server.shown(said.channel) == []


@pytest.mark.parametrize(("is_done", "shown"), [(False, []), (True, ["good day"])])
async def test_a_failing_server_has_carried_it_out_or_not(
    server: DiscordServer, bot: Bot, is_done: bool, shown: list[str]
) -> None:
    _, said, heard = await asked(server, bot)
    server.fail(1, 503, is_done=is_done)
    with pytest.raises(discord.DiscordServerError):
        await answer(heard, "good day")
    assert server.shown(said.channel) == shown


async def test_faults_befall_only_their_kind_of_request(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    server.fail(1, 503, faults.EDIT)
    sent = await answer(heard, "good day")
    with pytest.raises(discord.DiscordServerError):
        await sent.edit(content="good night")
    await sent.edit(content="good evening", allowed_mentions=discord.AllowedMentions.none())
    assert server.shown(said.channel) == ["good day", "good evening"]


async def test_a_held_request_waits_until_it_is_released(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    held = server.hold()
    sending = asyncio.create_task(answer(heard, "good day"))
    await held.reached.wait()
    assert (server.shown(said.channel), sending.done()) == ([], False)
    held.release()
    await sending
    assert server.shown(said.channel) == ["good day"]


@pytest.mark.parametrize("is_global", [False, True])
async def test_the_sdk_waits_as_long_as_a_rate_limit_says(server: DiscordServer, bot: Bot, is_global: bool) -> None:
    _, said, heard = await asked(server, bot)
    server.limit_rate(1, 0.2, is_global=is_global)
    began = asyncio.get_running_loop().time()
    await answer(heard, "good day")
    assert asyncio.get_running_loop().time() - began >= 0.15
    assert (server.shown(said.channel), server.violations) == (["good day"], [])


async def test_the_headers_keep_the_sdk_within_a_bucket(server: DiscordServer, bot: Bot) -> None:
    server.throttle.limits[faults.POST] = (2, 0.2)
    _, said, heard = await asked(server, bot)
    for number in range(5):
        await answer(heard, str(number), f"n{number}")
    assert (server.shown(said.channel), server.violations) == (list("01234"), [])
    assert len([path for method, path in server.requests if method == "POST"]) == 5


@pytest.mark.parametrize(("is_global", "scope"), [(False, "user"), (True, "global")])
async def test_who_ignores_a_rate_limit_is_refused_again_and_noted(
    server: DiscordServer, is_global: bool, scope: str
) -> None:
    channel = server.world.direct(server.person("Ann"))
    url, headers = f"{server.api_url}/channels/{channel.id}/messages", {"Authorization": f"Bot {server.token}"}
    body = {"content": "hi", "nonce": "n", "enforce_nonce": True, "allowed_mentions": {"parse": []}}
    server.limit_rate(1, 30, is_global=is_global)
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(2):
            async with session.post(url, json=body) as refused:
                told = await refused.json()
                assert (refused.status, refused.headers["X-RateLimit-Scope"], told["global"]) == (429, scope, is_global)
                assert 29 < told["retry_after"] <= 30
                assert refused.headers["Via"]
    assert len(server.violations) == 1
    assert "before a rate limit had passed" in server.violations[0]


async def test_more_than_50_requests_a_second_meet_the_global_limit(server: DiscordServer) -> None:
    headers = {"Authorization": f"Bot {server.token}"}
    server.throttle.others = (1000, 1.0)
    async with aiohttp.ClientSession(headers=headers) as session:

        async def status() -> int:
            async with session.get(f"{server.api_url}/users/@me") as response:
                return response.status

        statuses = [await status() for _ in range(51)]
    assert statuses == [200] * 50 + [429]


async def test_f78_a_wrong_token_is_unauthorized_in_json(server: DiscordServer) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bot wrong"}) as session,
        session.get(f"{server.api_url}/users/@me") as refused,
    ):
        assert (refused.status, refused.headers["Content-Type"]) == (401, "application/json")
        assert await refused.json() == {"message": "401: Unauthorized", "code": 0}


async def test_too_many_invalid_requests_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INVALID_REQUESTS", 3)
    server = DiscordServer()
    await server.start()
    async with aiohttp.ClientSession(headers={"Authorization": "Bot wrong"}) as session:
        for _ in range(4):
            async with session.get(f"{server.api_url}/users/@me") as refused:
                assert refused.status == 401
    await server.stop()
    assert server.violations == ["3 invalid requests in 10 minutes: Discord bans the address"]


async def test_a_slow_answer_comes_late_and_once(server: DiscordServer, bot: Bot) -> None:
    _, said, heard = await asked(server, bot)
    server.slow(1, 0.1)
    began = asyncio.get_running_loop().time()
    await answer(heard, "good day")
    assert asyncio.get_running_loop().time() - began >= 0.09
    assert server.shown(said.channel) == ["good day"]
