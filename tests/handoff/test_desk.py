"""What operators may do, and what becomes of it: for the user, for colleagues, for the agent's running turn."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.handoff.commands import TAKES, Kind, command_of
from bot.handoff.orders import RIGHTS
from bot.model import Attachment, Author, BlobId
from bot.operators.roles import Right, Role, may
from tests.clock import settle
from tests.handoff.kit import RULES, Office, Page, Room, SendingChannel, Step, World, office

WISH = "I want to talk to a human, please."
BY_ROLE = {Role.VIEWER: "vera", Role.AGENT: "ben", Role.APPROVER: "paul", Role.ADMIN: "adam", Role.AUDITOR: "axel"}
GIVEN = {Kind.TRANSFER: "cleo", Kind.SNOOZE: "2h", Kind.PRIORITY: "high", Kind.CANNED: "hello", Kind.LINK: "CODE"}
LOOKS = {Kind.PEEK, Kind.SUMMARISE, Kind.HELP, Kind.WATCH, Kind.UNWATCH, Kind.LINK, Kind.ONLINE, Kind.AWAY}
CHANGES = sorted(set(Kind) - LOOKS)
DENIED = [(kind, role) for kind in CHANGES for role in Role if not may(role, RIGHTS.get(kind, Right.TAKE))]


async def taken(desk: Office, who: str = "ben") -> None:
    await desk.say(WISH)
    await desk.act(who, "!take")


# --- whose it is -----------------------------------------------------------------------------------------------------


async def test_f109_of_two_who_claim_at_once_one_has_it_and_the_other_is_told_who(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        came = await asyncio.gather(
            desk.act("ben", "!take"), desk.act("cleo", "!take"), desk.act("dora", "!take"), return_exceptions=True
        )
        refused = [each for each in came if isinstance(each, Refused)]
        winner = await desk.owner()
        assert len(refused) == 2
        assert {each.detail for each in refused} == {f"{winner.capitalize()} has this conversation."}


async def test_any_public_reply_takes_the_conversation(tmp_path: Path) -> None:
    """Also one that nobody has asked for: the agent is silent from then on."""
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.act("ben", "!reply I am looking into it.")
        assert await desk.owner() == "ben"
        assert desk.seen()[-1] == "**Ben:** I am looking into it."
        asked = len(desk.model.requests)
        await desk.say("Thank you")
        assert len(desk.model.requests) == asked


async def test_f109_nobody_writes_into_a_conversation_of_somebody_else(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        for line in ("!reply hello", "!snooze 2h", "!return", "!resolve", "!transfer dora", "!release"):
            with pytest.raises(Refused) as refused:
                await desk.act("cleo", line)
            assert refused.value.code == "taken"
        assert await desk.owner() == "ben"
        assert len(desk.seen()) == 1


async def test_replies_are_shown_once_and_in_order(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        for number in range(5):
            await desk.act("ben", f"!reply {number}")
        assert desk.seen()[1:] == [f"**Ben:** {number}" for number in range(5)]


async def test_a_note_never_reaches_the_user(tmp_path: Path) -> None:
    """Nor does it take the conversation."""
    world = World(tmp_path, channels=(Page(), Room()))
    async with office(world) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!note knows the boss")
        assert await desk.owner() == "queue"
        assert all("boss" not in text for text in desk.seen())
        assert await desk.all("SELECT visibility, author FROM messages WHERE text = 'knows the boss' AND conversation_id = :id", {"id": desk.id_of()}) == [("note", "operator")]  # fmt: skip


# --- the agent's turn meanwhile ----------------------------------------------------------------------------------------


async def test_f110_a_draft_in_flight_becomes_a_note_when_an_operator_takes_over(tmp_path: Path) -> None:
    """It is never sent: the user reads the person alone."""
    world = World(tmp_path)
    gate = asyncio.Event()
    world.brain.gates = [gate]
    async with office(world) as desk:
        desk.is_held = True
        await desk.say("Where is my parcel?")
        await desk.act("ben", "!reply I am looking into it.")
        desk.is_held = False
        gate.set()
        await desk.rest(1)
        assert desk.seen() == ["**Ben:** I am looking into it."]
        assert not [each for each in desk.user.sent if each.author is Author.AGENT]


async def test_f110_what_was_committed_but_not_sent_when_a_person_takes_over_is_not_sent(tmp_path: Path) -> None:
    """The check stands at the moment of sending: an answer that waits behind a slow send is dropped."""
    async with office(World(tmp_path)) as desk:
        await desk.say("hello")
        gate, desk.user.step = gated()
        first = asyncio.create_task(desk.say("one"))
        await gate.arrived.wait()
        second = asyncio.create_task(desk.say("two"))
        await gate.until(lambda: len(desk.model.requests) == 3)
        await desk.desk.act(await desk.operator("ben"), desk.id_of(), command_of("take"))
        gate.go_on.set()
        await asyncio.gather(first, second)
        await desk.rest(1)
        assert desk.seen() == ["Answer to: hello", "Answer to: one"]


class Gate:
    """Holds whoever comes first, once."""

    def __init__(self) -> None:
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()

    async def step(self) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            await self.go_on.wait()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_so():
                await settle(1)
        await settle(200)


def gated() -> tuple[Gate, Step]:
    gate = Gate()
    return gate, gate.step


async def test_f110_a_running_model_call_is_cut_when_an_operator_takes_over(tmp_path: Path) -> None:
    """Nobody waits for an answer that nobody may give: the turn ends although its model never does."""
    world = World(tmp_path)
    world.brain.gates = [asyncio.Event()]
    async with office(world) as desk:
        desk.is_held = True
        await desk.say("Where is my parcel?")
        await desk.act("ben", "!take")
        desk.is_held = False
        await desk.rest(1)
        assert not desk.scheduler.running()
        assert await desk.owner() == "ben"
        assert desk.seen() == []
        assert await desk.all("SELECT count(*) FROM messages WHERE author = 'user' AND handled_ms IS NULL AND via = ''") == [(0,)]  # fmt: skip


# --- the window, files, prepared replies -----------------------------------------------------------------------------------


async def test_f109_a_reply_outside_the_window_is_held_and_the_operator_is_warned(tmp_path: Path) -> None:
    """Free text cannot be sent: it waits until the person writes again."""
    world = World(tmp_path, channels=(SendingChannel("list", window_s=86_400.0), Room()))
    async with office(world) as desk:
        await taken(desk)
        desk.clock.step_wall(25 * 3_600_000)
        told = await desk.act("ben", "!reply Are you still there?")
        assert "has not written for 24 hours" in told.warning
        assert len(desk.seen()) == 1
        await desk.say("yes")
        assert desk.seen()[-1] == "**Ben:** Are you still there?"


async def test_a_file_of_an_operator_reaches_the_user(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        file = Attachment(BlobId("b1"), "label.pdf", "application/pdf", 10)
        await desk.act("ben", "!reply Your label", attachments=[file])
        assert desk.user.sent[-1].attachments == (file,)


async def test_a_prepared_reply_is_filled_in(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        case = (await desk.found()).case[:8]
        await desk.act("ben", "!canned hello")
        assert desk.seen()[-1] == f"**Ben:** Hello Ada Example, Ben here, case {case}."
        with pytest.raises(Refused) as refused:
            await desk.act("ben", "!canned page")
        assert refused.value.code == "no_canned"


async def test_a_proposed_reply_that_is_sent_is_recorded_as_accepted_or_edited(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.say("Where is my parcel?")
        for sent, outcome in ((None, "accepted"), ("Something else", "edited")):
            proposed = await desk.act("ben", "!suggest")
            await desk.act("ben", f"!reply {sent or proposed.text}", suggestion=proposed.suggestion)
            rows = await desk.all("SELECT outcome FROM suggestions WHERE id = :id", {"id": proposed.suggestion})
            assert rows == [(outcome,)]
            await desk.say("And now?")
        assert not [each for each in desk.user.sent if each.author is Author.AGENT]


# --- once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["!reply hello", "!note hello", "!take", "!return go on", "!resolve done", "!tag vip"])
async def test_the_same_key_again_does_nothing_and_answers_the_same(tmp_path: Path, line: str) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        first = await desk.act("ben", line, key="k1")
        before = await desk.all("SELECT count(*), (SELECT count(*) FROM handoff_log) FROM messages WHERE via = ''")
        seen = desk.seen()
        again = await desk.act("ben", line, key="k1")
        after = await desk.all("SELECT count(*), (SELECT count(*) FROM handoff_log) FROM messages WHERE via = ''")
        assert (again, after, desk.seen()) == (first, before, seen)


# --- rights ------------------------------------------------------------------------------------------------------------


def test_every_command_that_changes_something_needs_more_than_to_see() -> None:
    assert [kind for kind in CHANGES if RIGHTS.get(kind, Right.TAKE) is Right.SEE] == []


@pytest.mark.parametrize(("kind", "role"), DENIED)
async def test_a_role_may_what_its_table_says_and_nothing_else(tmp_path: Path, kind: Kind, role: Role) -> None:
    """Whoever may not is told so, and nothing has changed, wherever the conversation stands."""
    who = BY_ROLE[role]
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.pass_time(1)
        before = await settled(desk)
        operator = await desk.operator(who)
        command = command_of(kind.value, GIVEN.get(kind, "x" if kind in TAKES else ""))
        with pytest.raises(Refused) as refused:
            await desk.desk.act(operator, desk.id_of(), command)
        await desk.rest()
        assert refused.value.code in ("not_allowed", "no_consent", "no_action", "not_found"), refused.value
        assert await state(desk) == before


async def settled(desk: Office) -> list[object]:
    """The state in which nothing that was begun before changes anything any more."""
    before = await state(desk)
    while True:
        await desk.rest()
        after = await state(desk)
        if after == before:
            return after
        before = after


async def state(desk: Office) -> list[object]:
    tables = ("conversations", "handoffs", "handoff_log", "timers", "tags", "blocks", "suggestions", "cases")
    rows: list[object] = [await desk.all(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    return [*rows, await desk.all("SELECT count(*) FROM messages"), desk.seen()]


async def test_a_disabled_operator_may_nothing_from_that_moment(tmp_path: Path) -> None:
    """Also with what was loaded of them before."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        ben = await desk.operator("ben")
        await desk.operators.disable("ben", by="local:root")
        with pytest.raises(Refused) as refused:
            await desk.desk.act(ben, desk.id_of(), command_of("reply", "hello"))
        assert refused.value.code == "not_allowed"


async def test_a_viewer_who_is_online_shortens_nobodys_wait(tmp_path: Path) -> None:
    """Only who may reply counts as somebody who could come."""
    async with office(World(tmp_path)) as desk:
        for number in range(5):
            await desk.say(WISH, chat=f"early {number}")
            await desk.pass_time(120)
            await desk.act("ben", "!take", chat=f"early {number}")
            await desk.pass_time(300)
            await desk.act("ben", "!resolve", chat=f"early {number}")
        await desk.online("vera", "axel")
        await desk.say(WISH)
        assert "It should take" not in desk.seen()[0]


# --- the rest ----------------------------------------------------------------------------------------------------------


async def test_to_a_person_and_to_a_team(tmp_path: Path) -> None:
    """The person is offered it and takes it; the team's people are asked first among those who wait."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        assert (await desk.act("ben", "!transfer @cleo")).text == "Offered to Cleo."
        assert await desk.owner() == "queue"
        await desk.act("cleo", "!take")
        assert await desk.owner() == "cleo"
        await desk.act("cleo", "!transfer billing")
        record = await desk.record()
        assert (record.team, record.state.stage) == ("billing", "queued")


async def test_tags_and_priority_are_kept(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!tag VIP")
        await desk.act("ben", "!tag parcel")
        await desk.act("ben", "!untag vip")
        await desk.act("ben", "!priority urgent")
        assert await desk.all("SELECT tag FROM tags") == [("parcel",)]
        assert (await desk.record()).priority == 2


async def test_who_is_blocked_is_neither_answered_nor_written_to(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!block rude")
        seen, asked = desk.seen(), len(desk.model.requests)
        await desk.say("You!")
        await desk.say(WISH)
        with pytest.raises(Refused):
            await desk.act("ben", "!reply hello")
        assert (desk.seen(), len(desk.model.requests)) == (seen, asked)
        assert await desk.owner() == "agent"
        await desk.act("ben", "!unblock")
        await desk.say("Sorry. Where is my parcel?")
        assert desk.seen()[-1] == "Answer to: Sorry. Where is my parcel?"


async def test_a_whisper_reaches_the_agent_and_not_the_user(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.act("ben", "!whisper offer a voucher")
        assert await desk.owner() == "agent"
        await desk.say("And now?")
        read = " ".join(each.text for each in desk.model.requests[-1].messages)
        assert "[Ben of our team asks you, and the user does not read it: offer a voucher]" in read
        assert all("voucher" not in text for text in desk.seen())


async def test_snoozed_it_comes_back_when_the_time_has_come(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=replace(RULES, operator_silent_ms=0))) as desk:
        await taken(desk)
        await desk.act("ben", "!snooze 2h")
        await desk.pass_time(7000)
        assert (await desk.record()).state.stage == "snoozed"
        await desk.pass_time(300)
        assert (await desk.record()).state.stage == "active"
        assert await desk.owner() == "ben"


async def test_snoozed_it_comes_back_when_the_user_writes(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!snooze 2h")
        await desk.say("One more thing")
        record = await desk.record()
        assert (record.state.stage, record.heard_ms > 0) == ("active", True)
        assert desk.model.requests == []


async def test_peek_and_summary_change_nothing(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        before = await state(desk)
        assert "Where is my parcel?" in (await desk.act("vera", "!peek")).text
        assert "Where is my parcel?" in (await desk.act("vera", "!summarise")).text
        assert await state(desk) == before
