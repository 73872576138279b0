"""The connection holds, says how it stands, and loses nothing that Slack still has."""

import asyncio

import pytest

from adapters.slack.link import WAITS_S
from bot.errors import ChannelFault
from bot.model import MessageEdited, MessageReceived, Recent
from bot.ports import ChannelState
from tests.platforms.slack.faults import Fault
from tests.slack.rig import Rig
from tests.store.database import until


async def test_a_refused_bot_token_stops_the_channel_and_says_what_to_do(socket: Rig) -> None:
    socket.site.faults.token_error = "invalid_auth"
    with pytest.raises(ChannelFault) as fault:
        await socket.start()
    assert "bot_token" in str(fault.value)
    assert "install" in fault.value.mend


async def test_f78_a_token_that_is_revoked_later_stops_it_too_and_the_answer_waits(socket: Rig) -> None:
    await socket.start()
    socket.site.faults.token_error = "token_revoked"
    with pytest.raises(Exception, match="token_revoked") as refused:
        await socket.adapter.send(socket.direct(), socket.message("hello"))
    assert getattr(refused.value, "retry_after_s", None)
    assert socket.task is not None
    with pytest.raises(ChannelFault, match="revoked"):
        await socket.task


async def test_socket_mode_that_is_switched_off_stops_it(socket: Rig) -> None:
    await socket.start()
    await socket.site.delivery.sockets.say_goodbye("link_disabled")
    assert socket.task is not None
    with pytest.raises(ChannelFault, match="Socket Mode"):
        await socket.task


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_f30_a_refresh_opens_the_next_socket_before_the_old_one_is_left(socket: Rig, reason: str) -> None:
    await socket.start()
    await socket.site.delivery.sockets.say_goodbye(reason)
    await until(lambda: socket.site.delivery.sockets.opened == 2)
    await socket.site.delivery.sockets.wait_open()
    assert ChannelState.CONNECTING not in [state for state, _ in socket.house.reports[1:]]
    socket.people.say(socket.anna, socket.room, "still there?")
    assert (await socket.heard())[0].text == "still there?"


async def test_f30_a_cut_is_told_reconnected_and_what_was_missed_is_fetched(socket: Rig) -> None:
    await socket.start()
    general = socket.space.add_channel("general", socket.anna)
    old = socket.people.say(socket.anna, general, "an old root")
    socket.people.say(socket.anna, socket.room, "before")
    await socket.heard()
    socket.site.faults.set(Fault("failed", 1, frozenset({"apps.connections.open"}), status=503))
    socket.site.delivery.sockets.cut()
    await until(lambda: not socket.is_up())
    missed = socket.people.say(socket.anna, socket.room, "in the gap")
    asked = socket.people.mention(socket.anna, general, "in the gap too")
    inside = socket.people.mention(socket.anna, general, "and in a thread", thread=old.ts)
    await until(lambda: len({each.external_id for each in socket.house.of(MessageReceived)}) == 4)
    assert {each.external_id for each in socket.house.of(MessageReceived)} >= {
        f"{socket.room.id}:{missed.ts}",
        f"{general.id}:{asked.ts}",
        f"{general.id}:{inside.ts}",
    }
    assert socket.is_up()


async def test_what_was_missed_while_the_process_was_down_is_fetched_at_the_start(socket: Rig) -> None:
    await socket.start()
    socket.people.say(socket.anna, socket.room, "before")
    await socket.heard()
    await socket.stop()
    late = socket.people.say(socket.anna, socket.room, "while you were away")
    socket.people.edit(late, "while you were out")
    await socket.restart()
    await until(lambda: any(each.text == "while you were out" for each in socket.house.of(MessageReceived)))
    await until(lambda: bool(socket.house.of(MessageEdited)))


async def test_a_thread_that_is_older_than_the_gap_is_looked_through_where_the_house_talks(socket: Rig) -> None:
    await socket.start()
    thread = socket.people.open_assistant(socket.anna)
    socket.people.say(socket.anna, socket.room, "before", thread=thread)
    first = (await socket.heard())[0]
    await socket.stop()
    socket.house.talks = [Recent(first.at, first.sent_at_ms, first.external_id)]
    socket.people.say(socket.anna, socket.room, "in the thread", thread=thread)
    await socket.restart()
    await until(lambda: any(each.text == "in the thread" for each in socket.house.of(MessageReceived)))
    assert socket.house.of(MessageReceived)[-1].at == first.at


async def test_the_first_start_answers_nothing_old(socket: Rig) -> None:
    socket.people.say(socket.anna, socket.room, "from before there was a bot")
    await socket.start()
    await until(lambda: "seen" in socket.house.kept)
    socket.people.say(socket.anna, socket.room, "hello")
    assert [each.text for each in await socket.heard()] == ["hello"]


async def test_f30_sockets_that_end_at_once_are_no_storm(socket: Rig) -> None:
    await socket.start()
    sockets = socket.site.delivery.sockets
    for opened in range(1, 4):
        await until(lambda: sockets.opened == opened and socket.is_up())  # noqa: B023 - awaited here
        sockets.cut()
        await until(lambda: not socket.is_up())
    await until(lambda: sockets.opened == 4)
    waits = [later - earlier for earlier, later in zip(sockets.at, sockets.at[1:], strict=False)]
    assert waits[0] >= WAITS_S[1]
    assert waits[1] >= WAITS_S[2]


async def test_f30_too_many_sockets_are_told_and_tried_again_later(
    socket: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.platforms.slack.delivery.SOCKETS", 0)
    starting = asyncio.create_task(socket.start())
    await until(lambda: (ChannelState.CONNECTING, "too_many_websockets") in socket.house.reports)
    monkeypatch.setattr("tests.platforms.slack.delivery.SOCKETS", 10)
    await starting
    assert socket.is_up()
    assert len(socket.space.ledger.called("apps.connections.open")) <= 4


async def test_a_socket_that_falls_silent_is_left_for_another(socket: Rig) -> None:
    await socket.start()
    socket.site.delivery.sockets.hush()
    await until(lambda: socket.site.delivery.sockets.opened == 2, seconds=20)
    await until(socket.is_up)


async def test_pings_count_as_signs_of_life(socket: Rig) -> None:
    await socket.start()
    began = socket.adapter.heard_at()
    await until(lambda: socket.adapter.heard_at() > began, seconds=20)


async def test_a_platform_that_cannot_be_reached_is_tried_again(socket: Rig) -> None:
    socket.site.faults.set(Fault("failed", 1, frozenset({"auth.test"}), status=503))
    await socket.start()
    assert ChannelState.CONNECTING in [state for state, _ in socket.house.reports]
    assert socket.is_up()


async def test_while_it_is_not_connected_an_answer_waits(socket: Rig) -> None:
    with pytest.raises(Exception, match="not connected") as refused:
        await socket.adapter.send(socket.direct(), socket.message("hello"))
    assert getattr(refused.value, "retry_after_s", None)


async def test_nothing_of_a_run_is_left_behind(socket: Rig) -> None:
    before = asyncio.all_tasks()
    await socket.start()
    await socket.adapter.draft(socket.direct(), socket.message("x").id, "It takes ")
    socket.people.say(socket.anna, socket.room, "hello")
    await socket.heard()
    await socket.stop()
    left = {task for task in asyncio.all_tasks() - before if "slack_sdk" in str(task) or "adapters.slack" in str(task)}
    assert left == set()
