"""Back to the agent, or to an end: what the model reads of a stretch of people, and where a new case begins."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.handoff.commands import command_of
from bot.model import Address, CaseEnded, Identity
from bot.ports import ChatRequest
from tests.handoff.kit import RULES, World, office

WISH = "I want to talk to a human, please."


def read(request: ChatRequest) -> str:
    return "\n".join(each.text for each in request.messages)


async def test_after_a_return_the_model_reads_one_closed_block_and_the_instruction(tmp_path: Path) -> None:
    """Not the raw stretch: neither a colleague's words as its own nor a promise that seems to last."""
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.say(WISH)
        await desk.act("ben", "!reply It was sent on Monday.")
        await desk.say("Great. Can I return it?")
        await desk.act("ben", "!return explain the form for returns")
        request = desk.model.requests[-1]
        told = read(request)
        assert told.count("It was sent on Monday.") == 1
        assert "That is over and done with" in told
        assert "[Ben of our team asks you, and the user does not read it: explain the form for returns]" in told
        assert request.messages[-1].text == "Great. Can I return it?"
        assert desk.seen()[-2:] == [
            "You are talking to the assistant again.",
            "Answer to: Great. Can I return it?",
        ]


async def test_a_return_without_instruction_answers_what_nobody_has_answered(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello Ada.")
        await desk.say("Can I return it?")
        await desk.say("It is too small.")
        await desk.act("ben", "!return")
        assert desk.seen()[-1] == "Answer to: Can I return it?\n\nIt is too small."


async def test_a_return_with_everything_answered_wakes_nobody(tmp_path: Path) -> None:
    """The next message of the user is answered as usual."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello Ada.")
        await desk.act("ben", "!return")
        assert desk.model.requests == []
        await desk.say("Can I return it?")
        assert desk.seen()[-1] == "Answer to: Can I return it?"


async def test_an_instruction_alone_is_done_although_the_user_asked_nothing(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello Ada.")
        desk.brain.says = "Here is the form."
        await desk.act("ben", "!return send the form")
        assert desk.seen()[-1] == "Here is the form."


async def test_f14_a_return_does_not_ask_for_a_person_again_by_the_words_that_asked_before(tmp_path: Path) -> None:
    """The wish has been fulfilled: handing it to the agent would send it straight back."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!return")
        assert await desk.owner() == "agent"
        assert await desk.all("SELECT count(*) FROM handoffs") == [(1,)]


async def test_f14_a_return_does_not_bring_back_by_what_was_said_to_the_operator(tmp_path: Path) -> None:
    """What the user wrote to a person is no new request of a person."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.say("My invoice is wrong, you useless idiots!")
        await desk.act("ben", "!return")
        assert await desk.owner() == "agent"
        assert desk.seen()[-1].startswith("Answer to: My invoice is wrong")


async def test_f14_a_message_that_no_turn_has_read_yet_is_answered_once_after_a_return(tmp_path: Path) -> None:
    """It waits in its row as it is; the return does not copy it."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello Ada.")
        ben = await desk.operator("ben")
        held = desk.scheduler.wake
        desk.scheduler.wake = lambda *given: None  # type: ignore[method-assign]
        await desk.say("Can I return it?")
        desk.scheduler.wake = held  # type: ignore[method-assign]
        await desk.desk.act(ben, desk.id_of(), command_of("return"))
        desk.scheduler.wake(desk.id_of())
        await desk.rest(1)
        assert [text for text in desk.seen() if text.startswith("Answer to")] == ["Answer to: Can I return it?"]


async def test_the_rows_that_wake_the_agent_are_shown_to_nobody(tmp_path: Path) -> None:
    """Neither in the room nor to the user: the user's words stand there once."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello Ada.")
        await desk.say("Can I return it?")
        await desk.act("ben", "!return")
        shown = [each.text for each in desk.room.thread()]
        assert shown.count("Can I return it?") == 1


async def test_after_a_second_return_each_stretch_is_one_block(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        for number in ("first", "second"):
            await desk.say(f"{WISH} ({number})")
            await desk.act("ben", f"!reply the {number} answer")
            await desk.act("ben", "!return")
        await desk.say("Thank you")
        told = read(desk.model.requests[-1])
        assert told.count("That is over and done with") == 2
        assert (told.count("the first answer"), told.count("the second answer")) == (1, 1)


async def test_a_resolved_case_ends_and_the_next_message_starts_from_its_summary(tmp_path: Path) -> None:
    """The summary, and not what was said."""
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.say(WISH)
        await desk.act("ben", "!reply It was sent on Monday.")
        before = (await desk.found()).case
        await desk.act("ben", "!resolve The parcel was late and has been sent.")
        assert desk.seen()[-1] == "Ben has closed this conversation. Write again whenever you like."
        assert (await desk.found()).case == ""
        await desk.say("Another question")
        assert (await desk.found()).case not in ("", before)
        told = read(desk.model.requests[-1])
        assert "The parcel was late and has been sent." in told
        assert "Monday" not in told
        assert "Where is my parcel?" not in told


async def test_a_resolved_case_leaves_nobody_busy(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!resolve")
        assert (await desk.record()).state.stage == "resolved"


async def test_who_wraps_up_is_done_by_command_or_by_time(tmp_path: Path) -> None:
    rules = replace(RULES, wrap_up_ms=60_000)
    async with office(World(tmp_path, rules=rules)) as desk:
        for chat in ("ada", "bob"):
            await desk.say(WISH, chat=chat)
            await desk.act("ben", "!take", chat=chat)
            await desk.act("ben", "!resolve", chat=chat)
            assert (await desk.record(chat)).state.stage == "wrap-up"
        await desk.act("ben", "!done", chat="ada")
        assert (await desk.record("ada")).state.stage == "resolved"
        await desk.pass_time(61)
        assert (await desk.record("bob")).state.stage == "resolved"


async def test_a_case_that_was_resolved_too_early_is_taken_up_again(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        case = (await desk.found()).case
        await desk.act("ben", "!resolve")
        await desk.act("cleo", "!reopen")
        assert (await desk.found()).case == case
        assert await desk.owner() == "cleo"
        await desk.act("cleo", "!reply One more thing")
        assert desk.seen()[-1] == "**Cleo:** One more thing"


async def test_an_older_case_is_not_reopened_over_a_newer_one(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.act("ben", "!resolve")
        await desk.say("Another question")
        with pytest.raises(Refused) as refused:
            await desk.act("ben", "!reopen")
        assert refused.value.code == "not_now"


async def test_a_user_who_ends_the_case_leaves_nobody_busy(tmp_path: Path) -> None:
    """The operator has nothing left to do there: it counts for nobody any more."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        await desk.pass_time(1)
        record = await desk.record()
        assert (record.state.stage, record.ended_ms > 0) == ("resolved", True)
        assert await desk.owner() == "agent"


async def test_a_user_who_leaves_the_queue_is_out_of_it(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        await desk.pass_time(86_400)
        assert (await desk.record()).state.stage == "abandoned"
        assert len(desk.seen()) == 1
