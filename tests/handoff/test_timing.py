"""What time does to a handoff: each thing once, whoever is silent."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.operators.operator import Listed
from bot.store import handoffs
from tests.handoff.kit import RULES, Office, World, office

WISH = "I want to talk to a human, please."
OFFERING = replace(RULES, assignment="round_robin")


async def missed(desk: Office) -> list[str]:
    rows = await desk.all("SELECT what FROM handoff_log WHERE what LIKE 'missed%' ORDER BY at_ms, id")
    return [row[0] for row in rows]


async def test_f109_a_silent_operator_loses_the_conversation_to_the_queue(tmp_path: Path) -> None:
    """The user is not told of it; somebody else takes it."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello")
        await desk.say("Hello?")
        await desk.pass_time(1799)
        assert await desk.owner() == "ben"
        await desk.pass_time(2)
        assert await desk.owner() == "queue"
        assert len(desk.seen()) == 2
        with pytest.raises(Refused):
            await desk.act("ben", "!snooze 1h", chat="nobody")
        await desk.act("cleo", "!take")
        assert await desk.owner() == "cleo"


async def test_an_operator_who_waits_for_the_user_is_not_silent(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Which order?")
        await desk.pass_time(7200)
        assert await desk.owner() == "ben"


async def test_nobody_comes_in_time_and_the_agent_apologises_once(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.pass_time(14_401)
        await desk.pass_time(14_401)
        assert await desk.owner() == "agent"
        assert [
            text for text in desk.seen() if text.startswith("I am sorry: nobody could come in time.")
        ] == desk.seen()[1:]
        assert len(desk.seen()) == 2
        await desk.say("Where is my parcel?")
        assert desk.seen()[-1] == "Answer to: Where is my parcel?"


async def test_a_silent_user_is_said_goodbye_to_once(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Which order?")
        for _ in range(3):
            await desk.pass_time(86_401)
        assert desk.seen()[2:] == [
            "I am closing this conversation, as we have not heard from you for a while. Write again whenever you like."
        ]
        assert (await desk.record()).state.stage == "resolved"
        assert (await desk.found()).case == ""


async def test_each_missed_promise_is_recorded_once(tmp_path: Path) -> None:
    """However often the clock is looked at, and however the conversation goes on."""
    async with office(
        World(tmp_path, rules=replace(RULES, queue_timeout_ms=0, operator_silent_ms=0, user_silent_ms=0))
    ) as desk:
        await desk.say(WISH)
        for _ in range(3):
            await desk.pass_time(301)
        assert await missed(desk) == ["missed first reply"]
        await desk.act("ben", "!reply Hello")
        await desk.say("Hello?")
        for _ in range(3):
            await desk.pass_time(601)
        assert await missed(desk) == ["missed first reply", "missed next reply"]
        for _ in range(3):
            await desk.pass_time(86_401)
            await desk.act("ben", "!reply Still at it")
            await desk.say("Good")
        assert (await missed(desk)).count("missed resolve") == 1
        assert desk.metrics.missed.of("resolve").value == 1


async def test_a_first_reply_that_was_missed_is_not_missed_again_by_the_next_operator(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=replace(RULES, queue_timeout_ms=0))) as desk:
        await desk.say(WISH)
        await desk.pass_time(301)
        await desk.act("ben", "!take")
        await desk.act("ben", "!release")
        await desk.pass_time(301)
        assert await missed(desk) == ["missed first reply"]


async def test_a_missed_promise_puts_it_before_others(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.pass_time(301)
        assert (await desk.record()).priority == 1


async def test_a_reply_in_time_keeps_the_promise(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.pass_time(299)
        await desk.act("ben", "!reply Hello")
        await desk.pass_time(600)
        assert await missed(desk) == []


async def test_a_transfer_begins_a_new_wait(tmp_path: Path) -> None:
    """The hours since it first stood in the queue do not count against the colleague."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Which order?")
        await desk.pass_time(18_000)
        await desk.act("ben", "!transfer @cleo")
        await desk.pass_time(30)
        assert (await desk.record()).state.offered_to == (await desk.operator("cleo")).id
        assert await desk.owner() == "queue"


async def test_an_offer_that_is_declined_or_runs_out_goes_to_the_next(tmp_path: Path) -> None:
    """Each is asked once; whoever takes it has it."""
    async with office(World(tmp_path, rules=OFFERING)) as desk:
        await desk.online("ben", "cleo", "dora", "vera")
        await desk.say(WISH)
        asked: list[str] = []
        names = {each.id: each.name for each in await desk.operators.all()}
        await desk.pass_time(0)
        asked.append(names[(await desk.record()).state.offered_to])
        await desk.act(asked[-1], "!decline")
        await desk.pass_time(0)
        asked.append(names[(await desk.record()).state.offered_to])
        await desk.pass_time(61)
        asked.append(names[(await desk.record()).state.offered_to])
        assert sorted(asked) == ["ben", "cleo", "dora"]
        await desk.act(asked[-1], "!take")
        assert await desk.owner() == asked[-1]
        assert len(desk.seen()) == 1


async def test_who_is_full_or_away_is_not_asked(tmp_path: Path) -> None:
    people = (Listed("ben", "agent", capacity=1), Listed("cleo", "agent"))
    async with office(World(tmp_path, rules=OFFERING, people=people)) as desk:
        await desk.online("ben")
        await desk.say(WISH, chat="ada")
        await desk.pass_time(1)
        await desk.act("ben", "!take", chat="ada")
        await desk.say(WISH, chat="bob")
        await desk.pass_time(1)
        assert (await desk.record("bob")).state.stage == "queued"
        await desk.online("cleo")
        await desk.pass_time(1)
        assert (await desk.record("bob")).state.offered_to == (await desk.operator("cleo")).id


async def test_who_had_them_last_is_asked_first(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=OFFERING)) as desk:
        await desk.online("ben", "cleo", "dora")
        await desk.say(WISH)
        await desk.act("dora", "!take")
        await desk.act("dora", "!resolve")
        await desk.pass_time(1)
        await desk.say(WISH)
        await desk.pass_time(1)
        assert (await desk.record()).state.offered_to == (await desk.operator("dora")).id


async def test_f109_a_timer_that_is_due_while_the_process_was_gone_acts_once_at_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
    world.clock.step_wall(14_401_000)
    for _ in range(2):
        async with office(world) as desk:
            await desk.pass_time(0)
            assert await desk.owner() == "agent"
            assert len(desk.seen()) == 2


async def test_nothing_is_due_of_a_handoff_that_has_ended(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!return")
        assert await desk.all(handoffs.DUE_TIMERS, {"now": desk.clock.now_ms() * 2, "limit": 9}) == []


# --- another config ------------------------------------------------------------------------------------------------------


async def test_a_shorter_time_holds_for_what_waits_already(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
        world.rules = replace(RULES, queue_timeout_ms=600_000)
        await desk.desk.rearm()
        await desk.pass_time(599)
        assert await desk.owner() == "queue"
        await desk.pass_time(2)
        assert await desk.owner() == "agent"


async def test_a_longer_time_holds_from_the_first_start_with_it(tmp_path: Path) -> None:
    """Even where the old time has passed while nobody was there."""
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
    world.rules = replace(RULES, queue_timeout_ms=7 * 86_400_000)
    world.clock.step_wall(14_401_000)
    async with office(world) as desk:
        await desk.pass_time(1)
        assert await desk.owner() == "queue"
        await desk.pass_time(7 * 86_400)
        assert await desk.owner() == "agent"


async def test_another_config_misses_no_promise_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
        await desk.pass_time(301)
        world.rules = replace(RULES, first_reply_ms=200_000)
        await desk.desk.rearm()
        await desk.pass_time(301)
        assert await missed(desk) == ["missed first reply"]
