"""One thing less at a time: what each adapter does where a platform lacks or refuses it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from aiohttp import web

from adapters import discord as discord_channel
from adapters import slack as slack_channel
from adapters import whatsapp as whatsapp_channel
from adapters.whatsapp.adapter import REFUSED_S
from bot.clock import SystemClock
from bot.errors import ChannelFault, SendRefused, SendUncertain
from bot.model import (
    Address,
    Author,
    Event,
    FeedbackGiven,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    Recent,
    Seq,
)
from bot.ports import Adapter, ChannelState
from tests.clock import ManualClock
from tests.discord.house import FakeHost as DiscordHost
from tests.platforms.bare import discord, slack, twilio
from tests.platforms.bare.base import PAGE, Bare
from tests.platforms.bare.discord import BareDiscord
from tests.platforms.bare.slack import BareSlack
from tests.platforms.bare.twilio import BareTwilio
from tests.platforms.kit import Seen
from tests.slack.house import OneHouse
from tests.whatsapp.rig import FakeHost as WhatsAppHost

DEADLINE_S = 15.0


class House(Protocol):
    events: list[Event]


async def until(look: Callable[[], object]) -> None:
    """Fails when it does not become true in time."""
    async with asyncio.timeout(DEADLINE_S):
        while not look():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def of(house: House, kind: type[Any]) -> list[Any]:
    return [event for event in house.events if isinstance(event, kind)]


def refusal(code: str) -> Callable[[], web.Response]:
    return lambda: web.json_response({"ok": False, "error": code})


def status(number: int) -> Callable[[], web.Response]:
    return lambda: web.Response(status=number, text=PAGE, content_type="text/html")


def answer(text: str, id_: str = "m1", **fields: Any) -> Message:
    return Message(MessageId(id_), Seq(1), Author.AGENT, text, SystemClock().now_ms(), **fields)


@asynccontextmanager
async def running(adapter: Adapter, is_up: Callable[[], object]) -> AsyncIterator[asyncio.Task[None]]:
    """The adapter at work, once it is up."""
    task = asyncio.create_task(adapter.run())
    try:
        await until(lambda: task.done() or is_up())
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- Slack -----------------------------------------------------------------------------------------------------------

DIRECT = Address("slack", "", slack.DIRECT)
SHOP = Address("slack", "", slack.CHANNEL)


@asynccontextmanager
async def slack_at_work(
    platform: BareSlack, house: OneHouse | None = None
) -> AsyncIterator[tuple[Any, OneHouse, asyncio.Task[None]]]:
    """In socket mode. The platform goes on when this ends, and is to be stopped."""
    house = house or OneHouse(SystemClock())
    house.reports.clear()
    adapter = slack_channel.create(slack_channel.Account.model_validate(platform.config()), house)
    async with running(adapter, lambda: house.reports and house.reports[-1][0] is ChannelState.UP) as task:
        yield adapter, house, task


@pytest.fixture
async def workspace() -> AsyncIterator[BareSlack]:
    platform = BareSlack("socket", below="/api")
    await platform.start()
    yield platform
    await platform.stop()


async def test_f12_where_slack_keeps_no_keys_a_post_is_found_by_its_text(workspace: BareSlack) -> None:
    """Of two that read alike, the one that is known as another part is not it."""
    workspace.instead["conversations.history"] = workspace.history
    async with slack_at_work(workspace) as (adapter, house, _):
        first = await adapter.send(DIRECT, answer("It takes two days.", "m0"))
        house.receipts.add(first.external_id)
        began = house.clock.now_ms()
        with pytest.raises(SendUncertain):
            await adapter.find(DIRECT, answer("It takes two days."), began)
        workspace.is_cut_after_posts = True
        with pytest.raises(SendUncertain):
            await adapter.send(DIRECT, answer("It takes two days."))
        found = await adapter.find(DIRECT, answer("It takes two days."), began)
        assert found is not None
        assert found.external_id == f"{slack.DIRECT}:{workspace.posts[-1].id}"


@pytest.mark.parametrize("refused", [refusal("unknown_method"), refusal("edit_window_closed"), status(405)])
async def test_where_a_draft_cannot_be_changed_the_answer_is_posted(
    workspace: BareSlack, refused: Callable[[], web.Response]
) -> None:
    """The final text is shown all the same."""
    workspace.instead["chat.update"] = refused
    async with slack_at_work(workspace) as (adapter, _, _):
        await adapter.draft(DIRECT, MessageId("m1"), "It takes ")
        await until(lambda: workspace.posts)
        await adapter.send(DIRECT, answer("It takes two days."))
        assert [post.shown for post in workspace.posts] == [["It takes"], ["It takes two days."]]


async def test_where_blocks_are_refused_the_text_is_not(workspace: BareSlack) -> None:
    """However plain it has to be."""
    kinds: list[object] = []

    def strict() -> web.Response:
        kinds.append(None)
        if len(kinds) == 2:
            del workspace.instead["chat.postMessage"]
        return refusal("invalid_blocks")()

    workspace.instead["chat.postMessage"] = strict
    async with slack_at_work(workspace) as (adapter, _, _):
        await adapter.send(DIRECT, answer("It takes two days."))
    (post,) = workspace.posts
    assert (post.shown, post.body.get("blocks"), post.body.get("metadata")) == (["It takes two days."], [], None)


async def test_what_a_lesser_method_says_of_the_token_stops_nothing(workspace: BareSlack) -> None:
    """Only when the token is refused for everything the channel stops."""
    workspace.instead["users.info"] = refusal("not_allowed_token_type")
    async with slack_at_work(workspace) as (_, house, task):
        await workspace.say("Hello")
        await until(lambda: workspace.asked.count("/api/auth.test") == 2)
        await workspace.say("Are you there?")
        assert [event.text for event in of(house, MessageReceived)] == ["Hello", "Are you there?"]
        workspace.instead["auth.test"] = refusal("token_revoked")
        workspace.instead["users.info"] = refusal("token_revoked")
        await workspace.mention("<@U0BORIS> And now?")
        with pytest.raises(ChannelFault, match="revoked"):
            await asyncio.wait_for(task, DEADLINE_S)


async def test_f23_a_change_is_taken_however_little_is_told_of_it(workspace: BareSlack) -> None:
    """Also of what was said before the process began."""
    async with slack_at_work(workspace) as (_, house, _):
        asked = await workspace.mention("How long?")
        await workspace.edit(asked, f"<@{slack.BOT}> How long exactly?")
        (edited,) = of(house, MessageEdited)
        assert (edited.text, edited.external_id, edited.at.thread) == (
            "How long exactly?",
            f"{slack.CHANNEL}:{asked}",
            asked,
        )
        said = await workspace.say("Hello")
    async with slack_at_work(workspace, house):
        await workspace.delete(said)
        (gone,) = of(house, MessageDeleted)
        assert (gone.at, gone.external_id) == (DIRECT, f"{slack.DIRECT}:{said}")
        await workspace.delete(asked)
        assert len(of(house, MessageDeleted)) == 1  # the house talks nowhere that it would know of


async def test_f29_a_thumb_on_an_answer_in_a_thread_needs_no_history(workspace: BareSlack) -> None:
    """The thread of our own messages is known."""
    async with slack_at_work(workspace) as (adapter, house, _):
        asked = await workspace.mention("How long?")
        at = Address("slack", "", slack.CHANNEL, asked)
        receipt = await adapter.send(at, answer("It takes two days."))
        await workspace.rate(Seen(workspace.posts[-1].id, True, ""), "down")
        (verdict,) = of(house, FeedbackGiven)
        assert (verdict.at, verdict.value, verdict.external_id) == (at, "down", receipt.external_id)


async def test_f30_without_a_list_of_rooms_a_gap_is_filled_where_the_house_talks(workspace: BareSlack) -> None:
    """From their histories alone."""
    workspace.instead["conversations.history"] = workspace.history
    async with slack_at_work(workspace) as (_, house, _):
        await workspace.say("Hello")
        await until(lambda: "seen" in house.kept)
    house.talks = [Recent(DIRECT, house.clock.now_ms(), "x")]
    await until(lambda: not workspace.line.is_up.is_set())
    await workspace.say("Is anybody there?")
    async with slack_at_work(workspace, house):
        await until(lambda: "Is anybody there?" in [event.text for event in of(house, MessageReceived)])


# --- Discord ---------------------------------------------------------------------------------------------------------

CHAT = Address("discord", "", discord.DIRECT)
QUESTION = Address("discord", "", discord.CHANNEL, "900")
BELOW = "/api/v10"


@asynccontextmanager
async def discord_at_work(
    platform: BareDiscord, host: DiscordHost | None = None, **changes: Any
) -> AsyncIterator[tuple[Any, DiscordHost]]:
    """The platform goes on when this ends, and is to be stopped."""
    host = host or DiscordHost()
    host.states.clear()
    account = discord_channel.Account.model_validate({**platform.config(), **changes})
    adapter = discord_channel.create(account, host)
    async with running(adapter, lambda: host.states and host.states[-1][0] is ChannelState.UP):
        yield adapter, host


@pytest.fixture
async def server() -> AsyncIterator[BareDiscord]:
    platform = BareDiscord()
    await platform.start()
    yield platform
    await platform.stop()


async def test_where_only_the_gateway_tells_who_we_are_that_is_enough(server: BareDiscord) -> None:
    """Our own echo is none of a person's messages."""
    server.instead[f"GET {BELOW}/users/@me"] = status(404)
    url = f"http://127.0.0.1:{server.port}{BELOW}/"
    async with discord_at_work(server, api_url=url) as (adapter, host):
        echo = {"id": "901", "channel_id": discord.DIRECT, "author": {"id": discord.BOT}, "content": "It is us"}
        await server.tell("MESSAGE_CREATE", echo)
        await server.say("Hello")
        assert (await host.event(MessageReceived)).text == "Hello"
        await adapter.send(CHAT, answer("Hello yourself."))
        assert [post.shown for post in server.posts] == [["Hello yourself."]]


async def test_a_gateway_that_is_not_configured_is_asked_for_however_it_can_be(server: BareDiscord) -> None:
    """By the request that needs no token, where the other is missing."""
    url = f"ws://127.0.0.1:{server.port}/gateway"
    server.instead[f"GET {BELOW}/gateway"] = lambda: web.json_response({"url": url})
    async with discord_at_work(server, gateway_url="") as (_, host):
        await server.say("Hello")
        assert (await host.event(MessageReceived)).text == "Hello"


@pytest.mark.parametrize("number", [403, 404, 405, 501])
async def test_where_a_message_cannot_be_edited_the_answer_is_posted(server: BareDiscord, number: int) -> None:
    """The draft stays where it cannot be deleted either."""
    async with discord_at_work(server) as (adapter, _):
        await adapter.draft(CHAT, MessageId("m1"), "It takes ")
        await until(lambda: server.posts)
        path = f"{BELOW}/channels/{discord.DIRECT}/messages/{server.posts[0].id}"
        body: Mapping[str, Any] = {"message": "no", "code": 50005}
        server.instead[f"PATCH {path}"] = (
            status(number) if number != 403 else lambda: web.json_response(body, status=403)
        )
        await adapter.send(CHAT, answer("It takes two days."))
        assert [post.shown[-1] for post in server.posts] == ["It takes", "It takes two days."]


async def test_where_a_thread_fails_in_whatever_way_the_answer_is_a_reply(server: BareDiscord) -> None:
    """Also where nobody knows whether there is one."""
    server.instead[f"POST {BELOW}/channels/{discord.CHANNEL}/messages/900/threads"] = status(500)
    async with discord_at_work(server) as (adapter, _):
        await adapter.send(QUESTION, answer("It takes two days."))
    assert [(post.room, post.thread) for post in server.posts] == [(discord.CHANNEL, "900")]


async def test_where_a_failing_channel_list_says_nothing_of_the_message_it_is_tried_again(server: BareDiscord) -> None:
    """What fails before the post leaves no doubt about it."""
    server.instead[f"GET {BELOW}/channels/900"] = status(502)
    async with discord_at_work(server) as (adapter, _):
        with pytest.raises(SendRefused) as refused:
            await adapter.send(QUESTION, answer("It takes two days."))
        assert refused.value.is_retryable
    assert server.posts == []


async def test_a_file_is_read_from_where_it_was_where_its_message_cannot_be_asked_for(server: BareDiscord) -> None:
    """As long as the process knows."""
    async with discord_at_work(server) as (adapter, host):
        await server.say("Look", file=b"a file", file_name="bill.pdf")
        (file,) = (await host.event(MessageReceived)).files
        async with adapter.open_file(file.source) as fetched:
            assert b"".join([chunk async for chunk in fetched.data]) == b"a file"


async def test_f32_an_id_that_holds_no_time_makes_no_message_old(server: BareDiscord) -> None:
    """The platform's own word for the time counts then."""
    async with discord_at_work(server) as (_, host):
        await server.say("Hello")
        event = await host.event(MessageReceived)
        assert abs(event.sent_at_ms - host.clock.now_ms()) < 60_000
        bare = {"id": "902", "channel_id": discord.DIRECT, "author": {"id": discord.PERSON}, "content": "Again"}
        await server.tell("MESSAGE_CREATE", bare)
        assert (await host.event(MessageReceived, 2)).sent_at_ms == 0


# --- WhatsApp --------------------------------------------------------------------------------------------------------

PERSON = Address("whatsapp", "", twilio.PERSON)


@pytest.fixture
async def number() -> AsyncIterator[BareTwilio]:
    platform = BareTwilio()
    await platform.start()
    yield platform
    await platform.stop()


@asynccontextmanager
async def whatsapp_at_work(
    platform: Bare, clock: ManualClock | SystemClock
) -> AsyncIterator[tuple[Any, WhatsAppHost, asyncio.Task[None]]]:
    host = WhatsAppHost(clock)
    adapter = whatsapp_channel.create(whatsapp_channel.Account.model_validate(platform.config()), host)
    try:
        async with running(adapter, lambda: host.reports[-1:] == [(ChannelState.UP, "")]) as task:
            yield adapter, host, task
    finally:
        await host.close()


async def test_f78_where_the_account_is_not_told_refused_messages_tell_of_the_credentials(number: BareTwilio) -> None:
    """They wait; after ten minutes the channel stops. What is taken meanwhile ends the doubt."""
    denied = web.json_response({"code": 20003, "message": "Authenticate"}, status=401)
    async with whatsapp_at_work(number, clock := ManualClock()) as (adapter, host, task):
        number.instead[f"POST {twilio.MESSAGES}"] = lambda: web.Response(
            body=denied.body, status=401, content_type="application/json"
        )
        with pytest.raises(SendRefused) as refused:
            await adapter.send(PERSON, answer("Hello"))
        assert refused.value.retry_after_s
        await until(lambda: host.reports[-1][0] is ChannelState.CONNECTING)
        del number.instead[f"POST {twilio.MESSAGES}"]
        await adapter.send(PERSON, answer("Hello"))
        await _moved(clock, lambda: host.reports[-1][0] is ChannelState.UP, 120)
        number.is_token_refused = True
        number.instead[f"GET {twilio.MESSAGES.replace('/Messages', '')}"] = status(404)
        await _moved(clock, task.done, REFUSED_S + 400)
        assert isinstance(task.exception(), ChannelFault)


async def _moved(clock: ManualClock, is_so: Callable[[], object], seconds: float) -> None:
    """Lets time go by until it is so."""
    for _ in range(round(seconds / 5)):
        if is_so():
            return
        await clock.advance(5)
        await asyncio.sleep(0.01)
    assert is_so()


async def test_f12_a_list_without_times_and_filters_finds_what_arrived(number: BareTwilio) -> None:
    """And nothing that somebody else was sent, or has written."""

    def listed(sid: str, to: str, body: str, sender: str = twilio.BOT) -> Mapping[str, Any]:
        return {"sid": sid, "to": to, "from": sender, "body": body, "date_created": None, "date_sent": None}

    others = [
        listed("SM1", "whatsapp:+4915100000000", "It takes two days."),
        listed("SM2", twilio.BOT, "It takes two days.", twilio.PERSON),
        listed("SM3", twilio.PERSON, "Something else"),
    ]
    messages = list(others)
    number.instead[f"GET {twilio.MESSAGES}"] = lambda: web.json_response({"messages": messages})
    async with whatsapp_at_work(number, SystemClock()) as (adapter, host, _):
        long_ago = host.clock.now_ms() - 60_000
        assert await adapter.find(PERSON, answer("It takes two days."), long_ago) is None
        messages.append(listed("SM4", twilio.PERSON, "It takes two days."))
        found = await adapter.find(PERSON, answer("It takes two days."), long_ago)
        assert found is not None
        assert found.external_id == "SM4"


async def test_a_file_is_read_where_the_config_says_whatever_twilio_calls_itself(number: BareTwilio) -> None:
    """Twilio names its files by its own host."""
    path = f"/2010-04-01/Accounts/{twilio.SID}/Messages/SM1/Media/ME1"
    number.instead[f"GET /twilio{path}"] = lambda: web.Response(body=b"a file", content_type="image/png")
    async with (
        whatsapp_at_work(number, SystemClock()) as (adapter, host, _),
        adapter.open_file(f"https://api.twilio.com{path}") as fetched,
    ):
        assert b"".join([chunk async for chunk in fetched.data]) == b"a file"
        assert "Authorization" in host.fetched[0][1]
