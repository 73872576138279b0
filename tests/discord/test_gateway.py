"""The connection: what was not stored comes again, what was missed is read, and nothing storms."""

import asyncio

import pytest

from bot.errors import ChannelFault, StoreUnavailable
from bot.model import MessageEdited, MessageReceived
from bot.ports import ChannelState
from tests.discord.conftest import Open
from tests.discord.house import Desk, FakeHost, QuickClock, answer, dm, ours, until
from tests.discord.test_messages import Shop
from tests.platforms.discord import limits
from tests.platforms.discord.server import DiscordServer


async def test_a_cut_connection_resumes_and_nothing_is_lost_or_repeated(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.say(ann, "one")
    await desk.host.event(MessageReceived)
    await server.gateway.cut()
    server.say(ann, "two")
    await desk.host.event(MessageReceived, 2)
    assert desk.host.texts() == ["one", "two"]
    assert (server.gateway.resumes, len(server.gateway.identifies)) == (1, 1)
    assert ChannelState.CONNECTING in [state for state, _ in desk.host.states]
    assert desk.host.states[-1][0] is ChannelState.UP


async def test_f30_a_crash_before_the_store_is_made_good_by_the_resume_of_the_next_process(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann, ben = server.person("Ann"), server.person("Ben")
    server.say(ben, "stored before")
    await desk.host.event(MessageReceived)
    desk.host.gates["never stored"] = asyncio.Event()
    server.say(ann, "never stored")
    server.say(ben, "stored after")
    await desk.host.event(MessageReceived, 2)
    await desk.stop()
    desk.host.gates.clear()
    again = await opened(desk.host)
    await again.host.event(MessageReceived, 3)
    assert again.host.texts() == ["stored before", "stored after", "never stored"]
    assert (server.gateway.resumes, len(server.gateway.identifies)) == (1, 1)


async def test_a_new_process_that_resumes_answers_in_threads_it_has_never_seen(
    opened: Open, server: DiscordServer
) -> None:
    shop = Shop(server)
    desk = await opened()
    thread = await shop.thread(shop.ann, "Hello")
    await desk.host.event(MessageReceived)
    await desk.stop()
    server.say(shop.ann, "Are you there?", thread)
    again = await opened(desk.host)
    event = await again.host.event(MessageReceived, 2)
    assert event.at == shop.at(thread)
    await again.adapter.send(event.at, answer("Yes."))
    assert [message.content for message in ours(server, thread)] == ["Yes."]
    assert server.gateway.resumes == 1


async def test_a_bookmark_claims_nothing_of_a_message_that_is_not_stored(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann, ben = server.person("Ann"), server.person("Ben")
    desk.host.gates["held"] = asyncio.Event()
    server.say(ben, "first")
    await desk.host.event(MessageReceived)
    before = desk.host.marks["session"]
    server.say(ann, "held")
    server.say(ben, "second")
    await desk.host.event(MessageReceived, 2)
    [session] = server.gateway.sessions.values()
    assert f'"seq": {session.seq - 2}' in desk.host.marks["session"]
    assert f'"seq": {session.seq - 2}' in before
    desk.host.gates["held"].set()
    await desk.host.event(MessageReceived, 3)
    server.say(ann, "third")
    await desk.host.event(MessageReceived, 4)
    assert f'"seq": {session.seq}' in desk.host.marks["session"]


async def test_f30_after_a_session_that_is_over_what_was_missed_is_read(server: DiscordServer, opened: Open) -> None:
    shop = Shop(server)
    desk = await opened(FakeHost(QuickClock()))
    thread = await shop.thread(shop.ann, "Hello")
    before = server.say(shop.ben, "I have a question")
    await desk.host.event(MessageReceived, 2)
    server.gateway.refuses_resumes = False
    await desk.stop()
    server.say(shop.ann, "in the thread", thread)
    server.say(shop.ben, "in direct messages")
    server.edit(before, "I have two questions")
    elsewhere = server.add_room(shop.guild, "other")
    server.say(shop.ann, "to others", elsewhere)
    server.say(shop.ann, f"{shop.call} in another channel", elsewhere)
    again = await opened(desk.host)
    await again.host.event(MessageReceived, 5)
    await again.host.event(MessageEdited)
    assert set(again.host.texts()[2:]) == {"in the thread", "in direct messages", "in another channel"}
    await again.host.until(lambda: again.host.marks["gap"] == "")
    assert again.host.changes()[0].text == "I have two questions"


async def test_f30_what_was_missed_comes_before_what_is_said_now(server: DiscordServer, opened: Open) -> None:
    ann = server.person("Ann")
    desk = await opened(FakeHost(QuickClock()))
    server.say(ann, "one")
    await desk.host.event(MessageReceived)
    server.gateway.refuses_resumes = False
    await desk.stop()
    server.say(ann, "two")
    held = server.hold("list")
    again = await opened(desk.host)
    await held.reached.wait()
    server.say(ann, "three")
    held.release()
    await again.host.event(MessageReceived, 3)
    assert again.host.texts() == ["one", "two", "three"]


async def test_f30_a_gap_is_remembered_until_it_was_read(server: DiscordServer, opened: Open) -> None:
    ann = server.person("Ann")
    desk = await opened(FakeHost(QuickClock()))
    server.say(ann, "one")
    await desk.host.event(MessageReceived)
    server.gateway.refuses_resumes = False
    await desk.stop()
    server.say(ann, "missed")
    held = server.hold("list")
    second = await opened(desk.host)
    await held.reached.wait()
    await second.host.until(lambda: second.host.marks.get("gap", "") != "")
    await second.stop()
    held.release()
    third = await opened(desk.host)
    await third.host.event(MessageReceived, 2)
    assert third.host.texts() == ["one", "missed"]


async def test_f30_a_session_that_ends_while_connected_is_begun_anew(server: DiscordServer, opened: Open) -> None:
    desk = await opened(FakeHost(QuickClock()))
    ann = server.person("Ann")
    server.say(ann, "one")
    await desk.host.event(MessageReceived)
    server.gateway.invalidate(is_resumable=False)
    await until(lambda: len(server.gateway.identifies) == 2)
    server.say(ann, "two")
    await desk.host.event(MessageReceived, 2)
    assert desk.host.texts() == ["one", "two"]


async def test_a_request_to_reconnect_is_followed_at_once(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    server.gateway.ask_reconnect()
    await until(lambda: server.gateway.resumes == 1)
    server.say(server.person("Ann"), "still here")
    assert (await desk.host.event(MessageReceived)).text == "still here"


@pytest.mark.parametrize(
    ("code", "word"), [(4004, "Copy a new one"), (4013, "Update"), (4014, "MESSAGE CONTENT INTENT")]
)
async def test_f30_what_a_person_must_mend_stops_the_channel_and_says_so(
    server: DiscordServer, opened: Open, code: int, word: str
) -> None:
    desk = await opened()
    await server.gateway.close_all(code)
    fault = await desk.fault()
    assert isinstance(fault, ChannelFault)
    assert word in fault.mend
    assert len(server.gateway.identifies) == 1


async def test_f31_an_intent_that_is_off_is_a_fault_at_the_start(server: DiscordServer) -> None:
    server.gateway.is_content_allowed = False
    fault = await Desk(server).fault()
    assert isinstance(fault, ChannelFault)
    assert "MESSAGE CONTENT INTENT" in fault.mend
    assert len(server.gateway.identifies) <= 1


async def test_a_refused_token_is_asked_with_once_and_never_connects(server: DiscordServer) -> None:
    server.refuse_token()
    fault = await Desk(server).fault()
    assert isinstance(fault, ChannelFault)
    assert "token" in fault.detail
    assert (len(server.requests), len(server.gateway.identifies)) == (1, 0)


async def test_f78_a_token_that_is_taken_back_while_running_stops_everything(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    server.gateway.revoke = lambda: None  # type: ignore[method-assign]  # the requests notice it first
    server.refuse_token()
    await desk.adapter.typing(dm(server, server.person("Ann")))
    fault = await desk.fault()
    assert isinstance(fault, ChannelFault)


async def test_f30_a_gateway_that_closes_at_once_is_not_stormed(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    for _ in range(3):
        await server.gateway.wait_live()
        await server.gateway.close_all(4000)
        await server.gateway.wait_none()
    began = asyncio.get_running_loop().time()
    await server.gateway.wait_live()
    assert asyncio.get_running_loop().time() - began > 1.0
    assert [state for state, _ in desk.host.states].count(ChannelState.CONNECTING) == 4
    assert not server.violations


async def test_a_connection_that_says_nothing_any_more_is_replaced(server: DiscordServer, opened: Open) -> None:
    server.gateway.heartbeat_ms = 200
    desk = await opened()
    server.gateway.is_silent = True
    server.say(server.person("Ann"), "anybody?")
    await until(lambda: not server.gateway.live)
    server.gateway.is_silent = False
    assert (await desk.host.event(MessageReceived)).text == "anybody?"


async def test_heartbeats_are_signs_of_life(server: DiscordServer, opened: Open) -> None:
    server.gateway.heartbeat_ms = 100
    desk = await opened()
    first = desk.adapter.heard_at()
    await until(lambda: desk.adapter.heard_at() > first + 0.3)
    assert desk.adapter.silence_s < 60


async def test_no_session_is_begun_when_none_is_left_for_today(server: DiscordServer, opened: Open) -> None:
    host = FakeHost(QuickClock())
    server.gateway.identifies = [-1_000_000.0] * limits.IDENTIFIES_A_DAY
    desk = Desk(server, host)
    starting = asyncio.create_task(desk.start())
    await until(lambda: any("no more sessions" in detail for _, detail in host.states))
    assert len(server.gateway.identifies) == limits.IDENTIFIES_A_DAY
    starting.cancel()
    await desk.stop()


async def test_a_store_that_is_full_moves_no_bookmark(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    server.say(server.person("Ann"), "one")
    await desk.host.event(MessageReceived)
    mark = desk.host.marks["session"]
    desk.host.failures = [StoreUnavailable("disk full")] * 100
    server.say(server.person("Ben"), "two")
    await until(lambda: len(desk.host.failures) < 100)
    assert desk.host.marks["session"] == mark
    await desk.stop()
    desk.host.failures = []
    again = await opened(desk.host)
    await again.host.event(MessageReceived, 2)
    assert again.host.texts() == ["one", "two"]
