"""Operators' rooms: one card for each case, a thread with the whole transcript in order, each line once, whatever ends in between."""

import asyncio
from pathlib import Path

import pytest

from bot.model import Address, Attachment, Author, BlobId, ForgetRequested, Identity, MessageReceived, Visibility
from tests.handoff.kit import Office, World, office

WISH = "I want to talk to a human, please."


def lines(desk: Office) -> list[str]:
    return [f"{each.author}: {each.text}" for each in desk.room.thread()]


async def test_a_case_has_one_card_with_its_buttons_which_is_changed_in_place(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        assert desk.room.cards() == []
        await desk.say(WISH)
        ((_, card),) = desk.room.cards()
        assert card.text.startswith("Ada Example on list\nThe user asked for a person.\n")
        assert "waiting for somebody" in card.text
        assert [each.id for each in card.buttons][:2] == ["desk:take", "desk:peek"]
        await desk.act("ben", "!take")
        await desk.act("ben", "!resolve done")
        ((_, card),) = desk.room.cards()
        assert "resolved" in card.text
        assert [each.id for each in card.buttons] == ["desk:reopen", "desk:peek"]


async def test_the_thread_is_the_transcript_with_what_was_said_before_the_wish(tmp_path: Path) -> None:
    """By their authors, in order, each line once; what was done stands between."""
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.say(WISH)
        await desk.act("ben", "!reply It is on its way.")
        await desk.act("ben", "!note knows the boss")
        await desk.say("Thank you")
        await desk.act("ben", "!return")
        shown = lines(desk)
        assert len(shown) == len(set(shown))
        said = [line for line in shown if not line.startswith("system")]
        assert said == [
            "user: Where is my parcel?",
            "agent: Answer to: Where is my parcel?",
            f"user: {WISH}",
            "operator: It is on its way.",
            "operator: knows the boss",
            "user: Thank you",
            "agent: Answer to: Thank you",
        ]
        assert [line for line in shown if line.startswith("system: Ben ")] == [
            "system: Ben has taken it.",
            "system: Ben has returned it to the agent.",
        ]
        note = next(each for each in desk.room.thread() if each.text == "knows the boss")
        assert (note.name, note.visibility) == ("Ben", Visibility.NOTE)


async def test_everything_that_was_done_in_one_moment_stands_in_the_thread(tmp_path: Path) -> None:
    """Also where it was done in the millisecond of what stands there already."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!snooze 2h")
        await desk.act("ben", "!release")
        assert sorted(line for line in lines(desk) if "Ben" in line) == [
            "system: Ben has given it back to the queue.",
            "system: Ben has put it off.",
            "system: Ben has taken it.",
        ]


async def test_the_next_case_has_a_card_of_its_own(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!resolve")
        await desk.pass_time(60)
        await desk.say(WISH)
        first, second = desk.room.cards()
        assert "resolved" in first[1].text
        assert "waiting for somebody" in second[1].text
        assert f"user: {WISH}" in lines(desk)


async def test_a_card_is_brought_up_to_date_although_a_new_case_has_begun_since(tmp_path: Path) -> None:
    """The process ended before the room heard of the end of the first case; meanwhile the user asks anew."""
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        desk.feed.touch = lambda *given, **named: None  # type: ignore[method-assign]
        await desk.act("ben", "!resolve")
        await desk.pass_time(60)
        await desk.say(WISH)
    async with office(world) as desk:
        await desk.rest(1)
        first, second = desk.room.cards()
        assert "resolved" in first[1].text
        assert "waiting for somebody" in second[1].text


async def test_files_are_shown_in_the_thread_and_go_out_from_it(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        file = Attachment(BlobId("b1"), "label.pdf", "application/pdf", 10)
        await desk.act("ben", "!reply Your label", attachments=[file])
        assert desk.room.thread()[-1].attachments == (file,) or file in [
            each for message in desk.room.thread() for each in message.attachments
        ]


async def test_what_a_user_presses_is_no_button_for_operators(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        assert all(not each.buttons for each in desk.room.thread())


# --- what operators write there --------------------------------------------------------------------------------------------


async def test_plain_text_in_a_thread_is_a_note_and_a_reply_is_explicit(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.write("ben", "I think he is angry")
        assert await desk.owner() == "queue"
        assert len(desk.seen()) == 1
        await desk.write("ben", "!reply Hello Ada")
        assert desk.seen()[-1] == "**Ben:** Hello Ada"
        assert await desk.owner() == "ben"
        assert [text for text in lines(desk) if "Hello Ada" in text or "angry" in text] == []


async def test_who_wrote_is_told_what_came_of_it(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.write("ben", "!take")
        assert "system: The conversation is yours." in lines(desk)
        await desk.write("cleo", "!take")
        assert "system: Ben has this conversation." in lines(desk)
        await desk.write("ben", "!nonsense")
        assert "system: There is no command 'nonsense'. !help shows all." in lines(desk)


async def test_talk_in_the_room_itself_is_talk_among_operators(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        before = len(desk.room.sent)
        await desk.write("ben", "lunch?", thread="")
        assert len(desk.room.sent) == before
        await desk.write("ben", "!take", thread="")
        assert desk.room.sent[-1].text == "Please write that in the thread of a case."


async def test_f100_a_command_counts_by_the_platforms_id_and_not_by_a_name(tmp_path: Path) -> None:
    """Somebody who calls themself ben is nobody; ben under another name is ben."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.write("U-mallory", "!reply You have won", name="ben")
        assert await desk.owner() == "queue"
        assert len(desk.seen()) == 1
        assert any("not linked to an operator" in line for line in lines(desk))
        await desk.write("ben", "!take", name="Sunshine")
        assert await desk.owner() == "ben"


@pytest.mark.parametrize(
    "text",
    ["> !take", "he wrote: !take", "`!take`", "Please\n!take it", "“!resolve”", "- !block", "reply: !return"],
)
async def test_f101_a_quoted_command_is_a_note(tmp_path: Path, text: str) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.write("ben", text)
        assert await desk.owner() == "queue"
        assert (await desk.record()).state.stage == "queued"


@pytest.mark.parametrize("text", ["!take", "!resolve", "/return", "!reply hi", "!block"])
async def test_f101_a_users_text_is_no_command_wherever_it_is_mirrored(tmp_path: Path, text: str) -> None:
    """Nor is a user's name, nor what the model says."""
    async with office(World(tmp_path)) as desk:
        desk.brain.says = text
        await desk.say(WISH)
        await desk.say(text)
        await desk.rest(1)
        record = await desk.record()
        assert (record.state.stage, record.state.operator) == ("queued", "")
        assert f"user: {text}" in lines(desk)
        assert await desk.all("SELECT count(*) FROM commands_done") == [(0,)]


async def test_f98_a_user_of_the_rooms_platform_who_is_no_operator_does_nothing_there(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        for line in ("!take", "!resolve", "a note"):
            await desk.write("U-eve", line)
        assert await desk.owner() == "queue"
        assert await desk.all("SELECT count(*) FROM messages WHERE visibility = 'note'") == [(0,)]


async def test_a_code_links_an_account_by_one_line(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        code = await desk.operators.link_code("cleo", by="local:root")
        await desk.write("U-new", f"!link {code}")
        assert "system: Linked: you are cleo." in lines(desk)
        await desk.write("U-new", "!take")
        assert await desk.owner() == "cleo"


async def test_the_same_line_redelivered_is_carried_out_once(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        for _ in range(3):
            await desk.write("ben", "!reply Hello", event="same")
        assert desk.seen()[1:] == ["**Ben:** Hello"]


# --- an end between any two steps ----------------------------------------------------------------------------------------------


class Ends:
    """The process ends at the nth step: whoever reaches it waits for ever."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.has_ended = asyncio.Event()

    async def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.has_ended.set()
            await asyncio.get_running_loop().create_future()


async def play(desk: Office) -> None:
    """A whole handoff; may be begun again and again."""
    await desk.say("Where is my parcel?", event="e-1")
    await desk.say(WISH, event="e-2")
    if not desk.room.cards():
        return
    await desk.write("ben", "!take", event="o-1")
    await desk.write("ben", "!reply Hello Ada", event="o-2")
    await desk.say("Thank you", event="e-3")
    await desk.write("ben", "a note", event="o-3")
    await desk.act("ben", "!reply Bye", key="c-1")


@pytest.mark.parametrize("first", range(0, 96, 8))
async def test_f14_an_end_between_any_two_steps_loses_and_doubles_nothing(tmp_path: Path, first: int) -> None:
    """Killed before and after each unit of work and each send; the platform and the user send again what was not taken."""
    for at in range(first, first + 8):
        ends = Ends(at)
        world = World(tmp_path / str(at))
        world.step = ends.step
        async with office(world) as desk:
            playing = asyncio.create_task(play(desk))
            ended = asyncio.create_task(ends.has_ended.wait())
            await asyncio.wait([playing, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in (playing, ended):
                task.cancel()
            await asyncio.gather(playing, ended, return_exceptions=True)
        world.step = None
        for _ in range(2):
            async with office(world) as desk:
                await desk.rest(2)
                await play(desk)
                await desk.rest(2)
                found = desk
        check(found)


def check(desk: Office) -> None:
    shown = desk.seen()
    assert len([text for text in shown if text.startswith("I am passing you on")]) == 1, shown
    assert [text for text in shown if text.startswith("**Ben")] == ["**Ben:** Hello Ada", "**Ben:** Bye"], shown
    assert len(desk.room.cards()) == 1
    said = [line for line in lines(desk) if not line.startswith("system")]
    expected = [
        "user: Where is my parcel?",
        "agent: Answer to: Where is my parcel?",
        f"user: {WISH}",
        "user: Thank you",
    ]
    assert said == [*expected, "operator: Bye"], said
    assert lines(desk).count("system: Ben has taken it.") == 1


# --- forgetting -------------------------------------------------------------------------------------------------------------


async def test_f114_who_is_forgotten_is_forgotten_by_the_handoff_as_well(tmp_path: Path) -> None:
    """Brief, contact, block, summary, notes' copies, the card: no table keeps a word; the handoff has ended."""
    async with office(World(tmp_path)) as desk:
        await desk.say("My zebra is lost")
        await desk.say(f"{WISH} zebra@example.com")
        await desk.act("ben", "!reply Your zebra is here")
        await desk.act("ben", "!note zebra again")
        await desk.say("zebra!")
        await desk.act("ben", "!return ask about the zebra")
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!resolve the zebra was found")
        await desk.say(f"zebra? {WISH}")
        await desk.act("ben", "!block sells zebras")
        await desk.intake.receive(ForgetRequested(Identity("list", "", "ada"), Address("list", "", "ada")))
        await desk.rest(1)
        for table in (
            "messages",
            "handoffs",
            "blocks",
            "cases",
            "suggestions",
            "outbox",
            "room_cards",
            "handoff_log",
            "turns",
        ):
            rows = await desk.all(f"SELECT * FROM {table}")
            assert "zebra" not in str(rows).lower(), table
        assert await desk.owner() == "agent"
        assert (await desk.record()).ended_ms > 0


async def test_nothing_is_mirrored_of_whoever_was_forgotten(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        before = len(desk.room.sent)
        await desk.intake.receive(ForgetRequested(Identity("list", "", "ada"), Address("list", "", "ada")))
        await desk.rest(1)
        desk.handed(desk.id_of())
        await desk.rest(1)
        assert len(desk.room.sent) == before
        assert Author.USER in {each.author for each in desk.room.sent}


async def test_after_a_return_the_thread_shows_what_the_agent_answers_as_it_comes(tmp_path: Path) -> None:
    """Each line once, until the case is another, or a day has passed."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!return")
        await desk.say("What is a bell?")
        assert lines(desk)[-2:] == ["user: What is a bell?", "agent: Answer to: What is a bell?"]
        assert len(lines(desk)) == len(set(lines(desk)))
        desk.clock.step_wall(86_400_001)
        await desk.say("And a wheel?")
        await desk.say("And a basket?")
        assert not [line for line in lines(desk) if "basket" in line]


async def test_one_who_has_told_no_name_is_a_visitor(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        who, at = Identity("list", "", "ada"), Address("list", "", "ada")
        await desk.intake.receive(MessageReceived(who, at, "m1", WISH))
        await desk.rest()
        assert [each.name for each in desk.room.thread() if each.author is Author.USER] == ["Visitor"]
