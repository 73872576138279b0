"""While a person is awaited or has the conversation: what the user writes is taken note of, whole and once, and answered by nobody else."""

from pathlib import Path

import pytest

from bot.agent.loop import Answer, Held
from bot.agent.router import Attempt
from bot.handoff.handing import fallen
from bot.handoff.requests import Origin
from bot.model import Address, Identity, MessageDeleted
from tests.handoff.kit import World, office, useless

WISH = "I want to talk to a human, please."


async def test_what_the_user_writes_to_a_person_is_heard_once_and_starts_the_wait_for_a_reply(tmp_path: Path) -> None:
    """From the first message that nobody has replied to."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello")
        assert (await desk.record()).heard_ms == 0
        await desk.pass_time(10)
        await desk.say("one")
        first = (await desk.record()).heard_ms
        await desk.pass_time(10)
        await desk.say("two")
        assert (await desk.record()).heard_ms == first == desk.clock.now_ms() - 10_000
        await desk.act("ben", "!reply Yes")
        assert (await desk.record()).heard_ms == 0
        outcomes = await desk.all(
            "SELECT outcome FROM turns WHERE conversation_id = :id ORDER BY rowid", {"id": desk.id_of()}
        )
        assert [row[0] for row in outcomes] == ["handed over", "heard", "heard"]


async def test_what_was_deleted_before_anybody_heard_it_wakes_nobody(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!reply Hello")
        wake, desk.scheduler.wake = desk.scheduler.wake, lambda *given: None  # type: ignore[method-assign]
        await desk.say("oops", event="oops")
        who, at = Identity("list", "", "ada"), Address("list", "", "ada")
        await desk.intake.receive(MessageDeleted(who, at, "oops", desk.clock.now_ms()))
        desk.scheduler.wake = wake  # type: ignore[method-assign]
        desk.scheduler.wake(desk.id_of())
        await desk.rest(1)
        assert (await desk.record()).state.stage == "waiting"


async def test_f14_what_was_written_in_the_moment_of_a_claim_is_heard_by_who_claimed(tmp_path: Path) -> None:
    """The turn that read it for the queue ends without a word, and the next tells the operator's clock."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        wake, desk.scheduler.wake = desk.scheduler.wake, lambda *given: None  # type: ignore[method-assign]
        await desk.say("Are you there?")
        await desk.act("ben", "!take")
        desk.scheduler.wake = wake  # type: ignore[method-assign]
        desk.scheduler.wake(desk.id_of())
        await desk.rest(1)
        record = await desk.record()
        assert (record.state.stage, record.heard_ms > 0) == ("active", True)
        assert len(desk.seen()) == 1


async def test_two_questions_in_a_row_without_an_answer_bring_a_person(tmp_path: Path) -> None:
    """The first does not."""
    world = World(tmp_path)
    world.model.script = useless
    async with office(world) as desk:
        await desk.say("Where is Atlantis?")
        assert await desk.all("SELECT count(*) FROM handoffs") == [(0,)]
        await desk.say("And El Dorado?")
        assert (await desk.record()).origin == "failures"


@pytest.mark.parametrize(
    ("answer", "attempts", "origin"),
    [
        (Answer(text="", is_uncertain=True), (), Origin.UNKNOWN),
        (Answer(text="", is_held=True, held=[Held("source", ("5 EUR",))]), (), Origin.ERROR),
        (Answer(text="", stopped="the cost of this turn"), (), Origin.BUDGET),
        (Answer(text="", stopped="too many tokens"), (), Origin.BUDGET),
        (Answer(text="", is_last_resort=True, is_answered=False), (), Origin.MODELS),
        (Answer(text="", is_last_resort=True), (), None),
        (Answer(text=""), (), None),
    ],
)
def test_what_went_wrong_in_a_run_asks_for_a_person(
    answer: Answer, attempts: tuple[Attempt, ...], origin: Origin | None
) -> None:
    """A quotation of the documents is an answer; silence, a spent budget and an outcome that nobody knows are not."""
    ask = fallen(answer, attempts)
    assert (ask.origin if ask is not None else None) == origin
