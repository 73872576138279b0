"""The adapter stays within Slack's limits by itself: however many write at once, it is hardly ever told to wait, and never calls early."""

import asyncio

import pytest

from adapters.slack.pace import POST, TIER_3, Budget, Queues
from bot.errors import SendUncertain
from bot.model import Address, MessageId
from tests.platforms.slack.faults import POSTS, Fault
from tests.slack.rig import Rig
from tests.store.database import until


def test_a_budget_gives_what_a_minute_allows_and_no_more() -> None:
    budget = Budget(30, 10)
    assert [budget.take(5.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [budget.take(9.0) for _ in range(3)] == [True, True, False]


def test_those_who_wait_for_a_limit_are_told_times_of_their_own() -> None:
    queues = Queues()
    queues.limited("chat_update", "", 10.0)
    told = [queues.wait_s("chat_update", "", 8.0) for _ in range(3)]
    step_s = 60 / TIER_3
    assert told == pytest.approx([2.0, 2.0 + step_s, 2.0 + 2 * step_s], abs=0.1)
    assert queues.wait_s("chat_update", "", 10.0) == 0.0
    assert queues.wait_s("chat_update", "", 10.0 + step_s) == 0.0


def test_a_channel_that_is_full_holds_no_other_channel_up() -> None:
    queues = Queues()
    queues.limited(POST, "C1", 10.0)
    assert queues.wait_s(POST, "C1", 8.0) >= 2.0
    assert queues.wait_s(POST, "C2", 8.0) == 0.0


async def test_a_hundred_answers_at_once_break_no_rule_of_slacks(rig: Rig) -> None:
    rooms = [rig.space.direct(rig.space.add_person(f"P{number}")) for number in range(100)]

    async def answer(number: int, room: str) -> None:
        to, message = Address("slack", "", room), rig.message(f"answer {number}", id=MessageId(f"q{number}"))
        await rig.adapter.draft(to, message.id, message.text)
        await asyncio.sleep(0)
        await rig.adapter.send(to, message)

    await asyncio.gather(*(answer(number, room.id) for number, room in enumerate(rooms)))
    assert [len(rig.ours(room.id)) for room in rooms] == [1] * 100
    assert rig.space.ledger.violations == []
    assert not [call for call in rig.space.ledger.calls if call.error]


async def test_whether_a_draft_was_shown_is_known_without_asking_slack(rig: Rig) -> None:
    message = rig.message("The answer")
    await rig.adapter.draft(rig.direct(), message.id, message.text)
    await until(lambda: bool(rig.ours()))
    found = await rig.adapter.find(rig.direct(), message, rig.server.clock.now_ms())
    assert found is not None
    assert found.external_id.endswith(rig.ours()[0].ts)
    assert not rig.space.ledger.called("conversations.history")


async def test_a_draft_that_slack_refused_is_known_to_be_absent_at_once(rig: Rig) -> None:
    rig.site.faults.set(Fault("limited", 1, frozenset({"chat.postMessage"}), seconds=60))
    message = rig.message("The answer")
    await rig.adapter.draft(rig.direct(), message.id, message.text)
    await until(lambda: bool(rig.space.ledger.called("chat.postMessage")))
    assert await rig.adapter.find(rig.direct(), message, rig.server.clock.now_ms()) is None


async def test_a_post_that_may_have_arrived_is_looked_for_though_its_draft_never_was_shown(rig: Rig) -> None:
    message = rig.message("The answer")
    await rig.adapter.draft(rig.direct(), message.id, " ")
    rig.site.faults.set(Fault("lost", 1, POSTS))
    with pytest.raises(SendUncertain):
        await rig.adapter.send(rig.direct(), message)
    found = await rig.adapter.find(rig.direct(), message, rig.server.clock.now_ms())
    assert found is not None
    assert found.external_id.endswith(rig.ours()[0].ts)
