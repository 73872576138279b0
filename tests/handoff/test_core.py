"""What stays true where the desk, a turn, a room and the clock meet: given up calls, keys, ended cases, long queues, platforms that are down."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.delivery import May, Part, begin
from bot.errors import Refused, SendRefused, SendUncertain
from bot.handoff import mirror, timing, watching
from bot.handoff.briefing import Suggestion, keep
from bot.handoff.commands import command_of
from bot.handoff.mirror import _OF_ROOM
from bot.handoff.timers import USER
from bot.ids import conversation_id
from bot.model import (
    Address,
    Attachment,
    Author,
    BlobId,
    Button,
    ForgetRequested,
    Identity,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    OutboxState,
    Seq,
)
from bot.operators.operator import Listed, Presence
from bot.ports import Receipt
from bot.store import handoffs, records
from bot.store.records import Inbound
from tests.handoff.kit import OPS, RULES, Office, Page, Room, SendingChannel, World, office

WISH = "I want to talk to a human, please."
FILE = Attachment(BlobId("b1"), "label.pdf", "application/pdf", 10)


async def taken(desk: Office, who: str = "ben") -> None:
    await desk.say(WISH)
    await desk.act(who, "!take")


async def forget(desk: Office) -> None:
    await desk.intake.receive(ForgetRequested(Identity("list", "", "ada"), Address("list", "", "ada")))
    await desk.rest(1)


# --- a command that was committed is carried through -------------------------------------------------------------------


@pytest.mark.parametrize("channel", [SendingChannel, Page])
async def test_a_reply_whose_caller_gave_up_waiting_is_sent_all_the_same(
    tmp_path: Path, channel: Callable[[], SendingChannel]
) -> None:
    """A page that was closed, a command line that was ended: between the commit and what follows it."""
    async with office(World(tmp_path, channels=(channel(), Room()))) as desk:
        await taken(desk)
        ben, id_ = await desk.operator("ben"), desk.id_of()
        committed, go_on = asyncio.Event(), asyncio.Event()
        steps = 0

        async def step() -> None:
            nonlocal steps
            steps += 1
            if steps == 2:  # after the unit of work
                committed.set()
                await go_on.wait()

        desk.store.step = step
        acting = asyncio.create_task(desk.desk.act(ben, id_, command_of("reply", "Hello Ada"), key="k"))
        await committed.wait()
        acting.cancel()
        await asyncio.gather(acting, return_exceptions=True)
        desk.store.step = None
        go_on.set()
        await desk.rest(1)
        assert [text for text in desk.seen() if "Hello Ada" in text] != []


async def test_a_reply_that_was_committed_and_not_passed_on_is_sent_when_it_is_asked_for_again(tmp_path: Path) -> None:
    """The disk failed between the commit and what follows it; the operator presses once more."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        after = desk.desk._after

        async def broken(*given: object, **named: object) -> None:
            raise Refused("broken", "after the commit")

        desk.desk._after = broken  # type: ignore[method-assign]
        with pytest.raises(Refused):
            await desk.act("ben", "!reply Hello Ada", key="k")
        assert "**Ben:** Hello Ada" not in desk.seen()
        desk.desk._after = after  # type: ignore[method-assign]
        assert (await desk.act("ben", "!reply Hello Ada", key="k")).text == "Sent."
        assert desk.seen().count("**Ben:** Hello Ada") == 1


async def test_a_key_of_one_operator_is_none_of_another_nor_of_another_conversation(tmp_path: Path) -> None:
    """Else somebody would be told `Sent.` of what was never sent."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!note one", key="k")
        await desk.act("cleo", "!note two", key="k")
        await desk.say(WISH, chat="eve")
        await desk.act("ben", "!note three", key="k", chat="eve")
        rows = await desk.all(
            "SELECT text FROM messages WHERE author = 'operator' AND conversation_id IN (SELECT id FROM conversations WHERE kind = '')"
        )
        assert sorted(row[0] for row in rows) == ["one", "three", "two"]


# --- files without words -------------------------------------------------------------------------------------------------


async def test_a_file_alone_is_a_reply(tmp_path: Path) -> None:
    """From the room as from elsewhere; without a file there is nothing to send."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.write("ben", "a note")
        rows = await desk.all("SELECT thread FROM room_cards")
        sent = await written_with_file(desk, "!reply", rows[0][0])
        assert sent == "Sent."
        assert desk.user.sent[-1].attachments == (FILE,)
        assert await desk.owner() == "ben"
        with pytest.raises(Refused) as refused:
            await desk.desk.act(await desk.operator("ben"), desk.id_of(), replace(command_of("reply", "x"), text=""))
        assert refused.value.code == "incomplete"


async def written_with_file(desk: Office, text: str, thread: str) -> str:
    """Ben writes this in the thread, with a file."""
    room = records.conversation_of((await desk.all(records.CONVERSATION_BY_ID, {"id": thread}))[0])
    rows = await desk.all("SELECT id FROM identities WHERE external_id = 'U-ben'")
    message = Message(MessageId("o-file"), Seq(99), Author.OPERATOR, text, 0, attachments=(FILE,))
    told = await desk.handing.commanded(room, [Inbound(message, identity=rows[0][0])])
    await desk.rest()
    return told


# --- after the end of a case ----------------------------------------------------------------------------------------------


WRAPPING = replace(RULES, wrap_up_ms=3_600_000)


async def test_a_new_case_can_be_taken_while_the_last_one_is_being_wrapped_up(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=WRAPPING)) as desk:
        await taken(desk)
        await desk.act("ben", "!resolve")
        await desk.pass_time(10)
        await desk.say("Where is my parcel?")
        await desk.act("cleo", "!reply On its way")
        assert await desk.owner() == "cleo"
        assert desk.seen()[-1] == "**Cleo:** On its way"
        stages = await desk.all("SELECT stage FROM handoffs ORDER BY asked_ms")
        assert stages == [("resolved",), ("waiting",)]


async def test_who_asks_for_a_person_again_while_the_last_case_is_being_wrapped_up_gets_one(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=WRAPPING)) as desk:
        await taken(desk)
        await desk.act("ben", "!resolve")
        await desk.pass_time(10)
        asked = len(desk.model.requests)
        await desk.say(WISH)
        assert await desk.owner() == "queue"
        assert len(desk.model.requests) == asked


async def test_f109_the_thread_of_an_ended_case_does_nothing_to_a_newer_one(tmp_path: Path) -> None:
    """What is written in the wrong window is neither sent nor done, and its writer is told where to go."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!resolve")
        old = desk.room.cards()[0][0]
        await desk.pass_time(60)
        await taken(desk)
        seen = desk.seen()
        for line in ("!resolve", "!reply Hello", "!return", "!release"):
            await desk.write("ben", line, thread=old)
            assert desk.room.thread(old)[-1].text.startswith("This case has ended, and the user has begun a newer one")
        assert (await desk.owner(), desk.seen()) == ("ben", seen)
        await desk.write("ben", "!reply Hello")
        assert desk.seen()[-1] == "**Ben:** Hello"


# --- whose it is -----------------------------------------------------------------------------------------------------------


async def test_what_an_operator_had_who_may_not_reply_any_more_can_be_taken(tmp_path: Path) -> None:
    """By one person, and by nobody while its operator may."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        with pytest.raises(Refused):
            await desk.act("cleo", "!take")
        await desk.operators.disable("ben", by="local:root")
        await desk.act("cleo", "!take")
        assert await desk.owner() == "cleo"
        with pytest.raises(Refused):
            await desk.act("dora", "!take")


async def test_who_hands_it_to_somebody_who_is_not_there_is_told(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        told = await desk.act("ben", "!transfer @cleo")
        assert told.warning.startswith("Cleo is not online. In 60 seconds it goes back to the queue.")
        await desk.act("dora", "!take")
        await desk.online("cleo")
        assert (await desk.act("dora", "!transfer @cleo")).warning == ""


# --- time -------------------------------------------------------------------------------------------------------------------


async def test_a_user_who_has_just_written_is_not_told_to_have_been_silent(tmp_path: Path) -> None:
    """The message is stored; the turn that takes note of it has not run yet."""
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.act("ben", "!reply Anything else?")
        desk.turns.run = None  # type: ignore[method-assign,assignment]
        desk.scheduler.wake = lambda *given: None  # type: ignore[method-assign]
        await desk.say("Yes, one thing")
        await desk.pass_time(RULES.user_silent_ms / 1000 + 1)
        assert await desk.owner() == "ben"
        assert (await desk.record()).state.stage == "waiting"
        assert await desk.all("SELECT acted_ms FROM timers WHERE kind = :kind", {"kind": USER}) == [(None,)]


async def test_an_erased_handoff_stops_no_other_timer(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.desk._due("gone", USER, 1)
        assert await desk.all("SELECT count(*) FROM handoff_log") == [(0,)]


# --- a long queue ---------------------------------------------------------------------------------------------------------------


async def test_while_nobody_is_there_a_long_queue_costs_no_unit_of_work(tmp_path: Path) -> None:
    world = World(
        tmp_path, rules=replace(RULES, assignment="least_loaded"), people=(Listed("ben", "agent", capacity=2),)
    )
    async with office(world) as desk:
        for number in range(5):
            await desk.say(WISH, chat=f"c{number}")
        units: list[str] = []
        run = desk.store.run

        async def counted(unit: Callable[..., Any], /, *args: object) -> Any:
            units.append(getattr(unit, "__name__", ""))
            return await run(unit, *args)

        desk.store.run = counted  # type: ignore[method-assign]
        await desk.desk.tick()
        assert units == []
        await desk.operators.set_presence("ben", Presence.ONLINE)
        units.clear()
        await desk.desk.tick()
        assert units.count("assign") == 2
        units.clear()
        await desk.desk.tick()
        assert "assign" not in units


async def test_one_whom_nobody_may_have_holds_up_nobody_behind_them(tmp_path: Path) -> None:
    """The first has been declined by all who are there; there is one free place."""
    people = (Listed("ben", "agent", capacity=1),)
    async with office(World(tmp_path, rules=replace(RULES, assignment="least_loaded"), people=people)) as desk:
        await desk.say(WISH, chat="first")
        await desk.online("ben")
        await desk.desk.tick()
        await desk.act("ben", "!decline", chat="first")
        await desk.say(WISH, chat="second")
        await desk.desk.tick()
        await desk.rest()
        assert (await desk.record("first")).state.stage == "queued"
        assert (await desk.record("second")).state.stage == "offered"


async def test_the_queue_is_read_by_its_index(tmp_path: Path) -> None:
    """Ended handoffs, of which there are ever more, are not looked through."""
    async with office(World(tmp_path)) as desk:
        for sql, values in (
            (handoffs.QUEUE, {}),
            (handoffs.IS_QUEUED, {}),
            (handoffs.DUE_TIMERS, {"now": 1, "limit": 1}),
            (timing._ASKED_SINCE, {"conversation": "", "handoff": "", "since": 0}),
            (timing._UNREAD, {"conversation": ""}),
        ):
            plan = str(await desk.all(f"EXPLAIN QUERY PLAN {sql}", values))
            assert "USING INDEX" in plan or "USING COVERING INDEX" in plan, sql


async def test_what_every_turn_and_every_change_asks_is_found_by_an_index(tmp_path: Path) -> None:
    """No step goes through a whole table, however much is kept."""
    place = {"conversation": "", "case": "", "after": 0, "limit": 1}
    asked = (
        (records.CONVERSATION_BY_ID, {"id": ""}),
        (records.OWNER_AND_LAST_SEQ, {"id": ""}),
        (records.MESSAGES_NEWEST, place),
        (records.MESSAGES_OF_CASE, {**place, "before": 1}),
        (records.OPEN_OUTBOX, place),
        (handoffs.OPEN_HANDOFF, place),
        (handoffs.LATEST_HANDOFF, place),
        (handoffs.TIMERS_OF, {"handoff": ""}),
        (handoffs.BLOCKS_OF_CASE, place),
        (mirror._CARD, {"case": "", "room": ""}),
        (mirror._NEW, place),
        (mirror._CALLED, {"operator": "", "channel": "", "account": ""}),
        (watching._WATCHERS, place),
        (watching._SAID, place),
        (watching._DONE, {**place, "after": ""}),
        (watching._TO_RING, place),
        (watching._TO_PLACE, {**place, "since": 0}),
        (watching._OF_OPERATOR, {"operator": "", "since": 0}),
        ("SELECT id FROM conversations WHERE identity_id = :id", {"id": ""}),
    )
    async with office(World(tmp_path)) as desk:
        for sql, values in asked:
            steps = [row[3] for row in await desk.all(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert not [step for step in steps if step.startswith("SCAN ") and "CONSTANT" not in step], (sql, steps)


# --- forgetting ----------------------------------------------------------------------------------------------------------------


async def test_f114_a_summary_that_comes_after_the_user_was_forgotten_is_not_kept(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(f"My zebra is lost. {WISH}")
        record = await desk.record()

        async def summarised(*given: object) -> str:
            await forget(desk)
            return "They have lost a zebra."

        desk.briefing._summarised = summarised  # type: ignore[method-assign,assignment]
        await desk.briefing._improve(record)
        assert "zebra" not in str(await desk.all("SELECT * FROM handoffs"))


async def test_f114_a_proposal_that_comes_after_the_user_was_forgotten_is_not_kept(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.say("My zebra is lost")
        seq = (await desk.found()).last_seq
        await forget(desk)
        proposed = Suggestion("s1", "Your zebra is here")
        assert not await desk.store.run(keep, desk.id_of(), seq, "ben", proposed, (), 1)
        assert await desk.all("SELECT * FROM suggestions") == []


# --- rooms -----------------------------------------------------------------------------------------------------------------------


class Down(Room):
    """Its platform takes nothing for a while: it refuses, cuts every request off, or cannot even be asked."""

    is_down = False
    how = "refuses"

    async def send(self, to: Address, message: Message) -> Receipt:
        if self.is_down and self.how == "refuses":
            raise SendRefused("down", is_retryable=True)
        if self.is_down:
            raise SendUncertain("cut off")
        return await super().send(to, message)

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        if self.is_down and self.how == "silent":
            raise SendUncertain("cut off")
        return await super().find(to, message, attempted_at_ms)


@pytest.mark.parametrize("how", ["refuses", "cuts off", "silent"])
async def test_a_room_whose_platform_is_down_for_an_hour_shows_everything_afterwards(tmp_path: Path, how: str) -> None:
    room = Down()
    room.how = how
    async with office(World(tmp_path, channels=(SendingChannel(), room))) as desk:
        room.is_down = True
        await desk.say(WISH)
        for _ in range(70):
            desk.clock.step_wall(60_000)
            await desk.rest(60)
        room.is_down = False
        for _ in range(3):
            await desk.rest(60)
        assert len(room.cards()) == 1
        assert WISH in [each.text for each in room.thread()]


async def test_a_channel_that_becomes_a_room_is_one_although_somebody_has_talked_to_the_agent_there(
    tmp_path: Path,
) -> None:
    async with office(World(tmp_path)) as desk:
        rules, desk.intake._rules = desk.intake._rules, replace(desk.intake._rules, is_room=lambda at: False)
        who = Identity("ops", "", "U-ben", "ben")
        await desk.intake.receive(MessageReceived(who, OPS, "first", "Where is my parcel?"))
        await desk.rest()
        assert len(desk.model.requests) == 1
        desk.intake._rules = rules
        await desk.write("ben", "!take", thread="")
        assert desk.room.sent[-1].text == "Please write that in the thread of a case."
        assert len(desk.model.requests) == 1
        assert await desk.all("SELECT kind FROM conversations WHERE id = :id", {"id": conversation_id(OPS)}) == [
            ("room",)
        ]


async def test_a_card_that_arrives_looks_after_no_card_that_is_still_on_its_way(tmp_path: Path) -> None:
    """Else a thousand cards that wait for a slow platform are looked at a thousand times."""
    room = Down()
    async with office(World(tmp_path, channels=(SendingChannel(), room))) as desk:
        room.is_down = True
        for number in range(3):
            await desk.say(WISH, chat=f"c{number}")
        assert await desk.all(_OF_ROOM, {"room": conversation_id(OPS)}) == []
        assert await desk.all("SELECT count(*) FROM room_cards") == [(3,)]


async def test_what_somebody_writes_who_gets_no_messages_is_shown_in_the_room(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.store.run(
            lambda cursor: cursor.execute("UPDATE conversations SET is_stopped = 1 WHERE kind = ''", {})
        )
        desk.conversations.forget(desk.id_of())
        await desk.say("I have changed my mind")
        assert "I have changed my mind" in [each.text for each in desk.room.thread()]


# --- nobody is left without a word -------------------------------------------------------------------------------------------


async def test_a_wish_that_begins_nothing_is_answered_with_a_word(tmp_path: Path) -> None:
    """Another handoff began off hours between the look and the commit."""
    async with office(World(tmp_path)) as desk:
        before = desk.handing.before

        async def other(*given: Any) -> Any:
            early = await before(*given)
            desk.world.rules = replace(desk.world.rules)
            desk.desk.is_staffed = False  # the last operator was removed just now
            return early

        desk.handing.before = other  # type: ignore[method-assign,assignment]
        await desk.say(WISH)
        assert len(desk.seen()) == 1
        assert await desk.all("SELECT count(*) FROM handoffs") == [(0,)]


async def test_what_a_user_changes_or_takes_back_is_told_in_the_room_once(tmp_path: Path) -> None:
    """The person there answers to what stands there."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        await desk.say("Send it to Bonn", event="e-1")
        for number, text in enumerate(("Send it to Berlin", "Send it to Bonn"), 1):
            await desk.intake.receive(MessageEdited(who, at, "e-1", text, desk.clock.now_ms() + number))
            await shows(desk, f"✎ {text}")
        await desk.intake.receive(MessageDeleted(who, at, "e-1", desk.clock.now_ms() + 3))
        await shows(desk, "The user has deleted a message above.")
        before = len(desk.room.sent)
        desk.handed(desk.id_of())
        await desk.rest(1)
        assert len(desk.room.sent) == before


async def shows(desk: Office, text: str) -> None:
    """The thread ends with this line, in a moment."""
    for _ in range(20):
        await desk.rest(1)
        if desk.room.thread()[-1].text == text:
            return
    assert desk.room.thread()[-1].text == text


class Closed(Room):
    """The bot has not been let into the channel."""

    is_closed = True

    async def send(self, to: Address, message: Message) -> Receipt:
        if self.is_closed:
            raise SendRefused("not in the channel", is_retryable=False)
        return await super().send(to, message)


async def test_a_room_that_would_not_take_a_card_has_it_after_the_next_start(tmp_path: Path) -> None:
    """Of what is still open: the operators let the bot in and start again."""
    room = Closed()
    world = World(tmp_path, channels=(SendingChannel(), room))
    async with office(world) as desk:
        await desk.say(WISH, chat="eve")
        await desk.act("ben", "!resolve", chat="eve")
        await desk.say(WISH)
        assert room.sent == []
    room.is_closed = False
    async with office(world) as desk:
        for _ in range(20):
            await desk.rest(1)
            if room.cards() and WISH in [each.text for each in room.thread()]:
                break
        assert len(room.cards()) == 1
        assert WISH in [each.text for each in room.thread()]


async def test_f110_a_question_for_consent_that_waits_to_be_sent_is_not_asked_when_a_person_has_taken_over(
    tmp_path: Path,
) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        asks = Message(MessageId("m"), Seq(9), Author.SYSTEM, "Shall I?", 0, buttons=(Button("consent:a1:yes", "Yes"),))
        says = replace(asks, buttons=())
        for message, may in ((asks, May.TAKEN_OVER), (says, May.GONE)):
            part = Part(message, 0, OutboxState.PLANNED, 0, 0, 0)
            assert await desk.store.run(begin, desk.id_of(), part, desk.clock.now_ms()) is may


async def test_a_closed_case_waits_for_no_team(tmp_path: Path) -> None:
    async with office(World(tmp_path, rules=WRAPPING)) as desk:
        await taken(desk)
        await desk.act("ben", "!resolve")
        with pytest.raises(Refused):
            await desk.act("ben", "!transfer billing")
        assert (await desk.record()).team == ""
