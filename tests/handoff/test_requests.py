"""A person is asked for: once, announced once; whoever wants to go on with the assistant may; nobody is left in silence."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config.handoff_checks import hours_of
from bot.config.handoff_schema import Hours as HoursSettings
from bot.errors import Fault, ModelError
from bot.handoff.requests import Ask, Origin
from bot.handoff.rules import Rules
from bot.handoff.words import CANCEL
from bot.model import Address, FeedbackGiven, Identity
from bot.ports import ToolCall
from tests.handoff.kit import RULES, Page, Room, World, office

ANNOUNCED = "I am passing you on to a colleague, who can read what you wrote here."
WISH = "I want to talk to a human, please."
# 2023-11-14 22:13 UTC, a Tuesday: closed until Wednesday at nine.
_DAY = ("09:00-17:00",)
NINE_TO_FIVE = hours_of(HoursSettings(tuesday=_DAY, wednesday=_DAY, thursday=_DAY))
UNTIL_NINE_S = 10 * 3600 + 47 * 60
OFF_HOURS = replace(RULES, hours=NINE_TO_FIVE)


def announcements(seen: list[str]) -> list[str]:
    return [text for text in seen if text.startswith(ANNOUNCED)]


async def test_a_wish_in_words_is_announced_once_and_the_queue_owns_the_conversation(tmp_path: Path) -> None:
    """Owner, handoff and the one announcement, with the place in the queue and a way out; the agent is not asked."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        assert desk.seen() == [f"{ANNOUNCED} You are number 1 in the queue."]
        assert [button.id for button in desk.user.sent[0].buttons] == [CANCEL]
        assert await desk.owner() == "queue"
        assert desk.model.requests == []
        assert (await desk.record()).origin == "asked"


async def test_asking_again_by_any_way_announces_nothing_more(tmp_path: Path) -> None:
    """In words, by the button, by a command of the platform, and by the tool: one handoff, one announcement."""
    async with office(World(tmp_path)) as desk:
        await desk.ask_for_person()
        await desk.say(WISH)
        await desk.ask_for_person()
        assert len(announcements(desk.seen())) == 1
        assert await desk.all("SELECT count(*) FROM handoffs") == [(1,)]


async def test_the_tool_hands_over_with_the_reason_that_the_model_gave(tmp_path: Path) -> None:
    """The call decides, not the text; what the model would say besides is not said."""
    async with office(World(tmp_path)) as desk:
        desk.brain.calls = [ToolCall("c1", "request_human", json.dumps({"reason": "needs a credit note"}))]
        await desk.say("This is difficult")
        record = await desk.record()
        assert (record.origin, record.reason) == ("tool", "needs a credit note")
        assert len(desk.seen()) == len(announcements(desk.seen())) == 1
        assert await desk.owner() == "queue"


async def test_what_travels_says_what_was_wanted_and_what_was_answered(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("Where is my parcel?")
        await desk.say(WISH)
        brief = json.loads((await desk.record()).brief)
        assert brief["wants"] == "Where is my parcel?"
        assert "Answer to: Where is my parcel?" in brief["summary"]
        assert brief["reason"] == "The user asked for a person."


async def test_the_place_in_the_queue_is_counted_and_the_wait_follows_from_figures(tmp_path: Path) -> None:
    """The second waits behind the first; an expected wait is said once there are waits to reckon from."""
    async with office(World(tmp_path)) as desk:
        await desk.online("ben")
        for number in range(5):
            await desk.say(WISH, chat=f"early {number}")
            await desk.pass_time(120)
            await desk.act("ben", "!take", chat=f"early {number}")
            await desk.pass_time(300)
            await desk.act("ben", "!resolve", chat=f"early {number}")
        await desk.say(WISH, chat="bob")
        await desk.pass_time(1)
        await desk.say(WISH, chat="cyd")
        assert "You are number 1 in the queue. It should take" in desk.seen("bob")[0]
        assert "You are number 2 in the queue. It should take" in desk.seen("cyd")[0]


async def test_who_writes_while_waiting_is_reassured_but_not_each_time(tmp_path: Path) -> None:
    """Nothing of the agent; the place is said again only after a while."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.say("hello?")
        assert len(desk.seen()) == 1
        await desk.pass_time(301)
        await desk.say("still there?")
        assert desk.seen()[1:] == ["I have passed this on. You are number 1 in the queue."]
        assert desk.model.requests == []


async def test_a_contact_left_while_waiting_is_noted(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.say("You reach me at ada@example.com")
        assert (await desk.record()).contact == "ada@example.com"
        assert desk.seen()[-1] == "Thank you, I have noted ada@example.com for my colleagues."
        assert "Contact: ada@example.com" in desk.room.cards()[0][1].text


async def test_a_contact_in_the_wish_itself_is_noted(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(f"{WISH} My mail is ada@example.com")
        assert (await desk.record()).contact == "ada@example.com"


async def test_who_no_longer_wants_to_wait_goes_on_with_the_assistant(tmp_path: Path) -> None:
    """The button ends the wait; the next message is answered by the agent; pressing again does nothing."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.press(CANCEL)
        assert await desk.owner() == "agent"
        assert desk.seen()[-1] == "All right. You are talking to the assistant again."
        await desk.say("Where is my parcel?")
        assert desk.seen()[-1] == "Answer to: Where is my parcel?"
        assert (await desk.record()).state.stage == "abandoned"


async def test_f109_a_cancel_after_somebody_came_changes_nothing(tmp_path: Path) -> None:
    """A late press does not send the person away."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!take")
        await desk.press(CANCEL)
        assert await desk.owner() == "ben"
        assert len(desk.seen()) == 1


async def test_off_hours_the_opening_is_said_and_the_agent_goes_on(tmp_path: Path) -> None:
    """The agent keeps the conversation; at the opening it is queued, with one further announcement."""
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say(WISH)
        assert "will be back tomorrow at 9:00 (UTC)" in desk.seen()[0]
        assert await desk.owner() == "agent"
        await desk.say("Where is my parcel?")
        assert desk.seen()[1] == "Answer to: Where is my parcel?"
        await desk.pass_time(UNTIL_NINE_S)
        assert await desk.owner() == "queue"
        assert desk.seen()[2:] == [f"{ANNOUNCED} You are number 1 in the queue."]
        await desk.pass_time(1)
        assert len(announcements(desk.seen())) == 1


async def test_off_hours_who_asks_again_is_not_met_with_silence(tmp_path: Path) -> None:
    """The handoff waits already: the agent answers."""
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say(WISH)
        await desk.say("I really want to talk to a human!")
        assert len(desk.seen()) == 2


async def test_off_hours_a_second_press_says_the_opening_again_and_nothing_else(tmp_path: Path) -> None:
    """The button of another message, in the language of the first wish; at no time that nobody is there."""
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say(WISH)
        await desk.ask_for_person()
        await desk.ask_for_person()
        again = "Your wish for a person is noted: our team will be back tomorrow at 9:00 (UTC). Until then you can go on asking me."
        assert desk.seen()[1:] == [again, again]
        assert await desk.owner() == "agent"
        assert not [text for text in desk.seen() if "Nobody is connected" in text]


async def test_off_hours_the_tool_for_a_person_contradicts_nothing(tmp_path: Path) -> None:
    """Neither what the model reads nor what stands for it where no model answers says that nobody is there."""
    from bot.tools.person import NOTED

    assert "obody" not in NOTED
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say("Ich möchte mit einem Menschen sprechen, bitte.")
        await desk.ask_for_person()
        assert desk.seen()[1].startswith(
            "Ihr Wunsch ist notiert: Unser Team ist morgen um 9:00 Uhr (UTC) wieder zurück."
        )


async def test_off_hours_a_contact_is_noted_and_the_question_answered(tmp_path: Path) -> None:
    """The message asked for it, so it is kept for those who come."""
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say(WISH)
        await desk.say("My mail is ada@example.com. Where is my parcel?")
        assert (await desk.record()).contact == "ada@example.com"
        assert desk.seen()[1:] == [
            "Answer to: My mail is ada@example.com. Where is my parcel?",
            "Thank you, I have noted ada@example.com for my colleagues.",
        ]


async def test_off_hours_over_a_weekend_the_case_stays_open(tmp_path: Path) -> None:
    """A case in which a person is to come is not ended for silence."""
    async with office(World(tmp_path, rules=OFF_HOURS)) as desk:
        await desk.say(WISH)
        desk.clock.step_wall(25 * 3_600_000)
        await desk.intake.end_idle_cases()
        await desk.pass_time(0)
        assert await desk.owner() == "queue"
        assert (await desk.found()).case == (await desk.record()).case


async def test_anger_is_answered_first_and_then_a_person_is_asked_for(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("This is outrageous, you useless idiots! Where is my parcel?")
        assert desk.seen()[0].startswith("Answer to: This is outrageous")
        assert desk.seen()[1].startswith(ANNOUNCED)
        record = await desk.record()
        assert (record.origin, record.priority) == ("anger", 1)


async def test_a_topic_goes_to_its_team_at_once(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say("My invoice is wrong")
        record = await desk.record()
        assert (record.origin, record.team) == ("topic", "billing")
        assert desk.model.requests == []
        assert len(desk.seen()) == 1


async def test_two_answers_of_no_use_bring_a_person(tmp_path: Path) -> None:
    """Feedback counts for the answers of the case."""
    async with office(World(tmp_path)) as desk:
        for text in ("one", "two"):
            await desk.say(text)
            message = desk.user.sent[-1].id
            who, at = Identity("list", "", "ada"), Address("list", "", "ada")
            await desk.intake.receive(FeedbackGiven(who, at, "down", message))
            await desk.rest()
        assert (await desk.record()).origin == "feedback"
        assert len(announcements(desk.seen())) == 1
        assert json.loads((await desk.record()).brief)["wants"] == "one"


async def test_f46_models_down_with_nothing_to_quote_go_to_the_queue(tmp_path: Path) -> None:
    """The user is told once what there is to say and once that a person comes; the next message makes no storm."""
    world = World(tmp_path)
    world.brain.fails = [ModelError("down", Fault.OVERLOADED) for _ in range(9)]
    async with office(world) as desk:
        await desk.say("Where is my parcel?")
        await desk.rest(5)
        assert (await desk.record()).origin in ("models", "failures")
        assert len(announcements(desk.seen())) == 1
        asked = len(desk.model.requests)
        await desk.say("hello?")
        assert len(desk.model.requests) == asked
        assert len(announcements(desk.seen())) == 1


async def test_a_message_that_fails_for_good_brings_an_apology_and_a_person(tmp_path: Path) -> None:
    """The dead letter is looked at by somebody: the same conversation is in the queue."""
    world = World(tmp_path)

    async def broken(request: object) -> None:
        raise RuntimeError("a bug")

    async with office(world) as desk:
        desk.turns._act = broken  # type: ignore[method-assign, assignment]
        await desk.say("Where is my parcel?")
        for _ in range(3):
            await desk.rest(6)
        assert desk.seen()[0].startswith("I am sorry: something went wrong on our side")
        assert len(announcements(desk.seen())) == 1
        assert (await desk.record()).origin == "error"


async def test_a_trigger_that_the_config_does_not_name_does_nothing(tmp_path: Path) -> None:
    rules = replace(RULES, triggers=frozenset())
    async with office(World(tmp_path, rules=rules)) as desk:

        async def broken(*given: object) -> None:
            raise RuntimeError("a bug")

        await desk.say("This is outrageous, you useless idiots! My invoice is wrong!")
        desk.turns._act = broken  # type: ignore[method-assign, assignment]
        await desk.say("Where is my parcel?")
        for _ in range(3):
            await desk.rest(6)
        assert await desk.all("SELECT count(*) FROM handoffs") == [(0,)]


@pytest.mark.parametrize("origin", sorted(set(Origin) - {Origin.ASKED, Origin.TOOL, Origin.OPERATOR}))
async def test_each_automatic_trigger_is_good_for_one_handoff_in_a_case(tmp_path: Path, origin: Origin) -> None:
    """After a return the same reason does not take the conversation from the agent again; another may."""
    async with office(World(tmp_path)) as desk:
        await desk.say("hello")
        assert await desk.desk.ask(desk.id_of(), Ask(origin), "first")
        await desk.act("ben", "!take")
        await desk.act("ben", "!return")
        assert not await desk.desk.ask(desk.id_of(), Ask(origin), "second")
        assert await desk.desk.ask(desk.id_of(), Ask(Origin.ASKED), "third")


async def test_without_operators_the_wish_is_noted_and_the_agent_goes_on(tmp_path: Path) -> None:
    async with office(World(tmp_path, people=(), rules=Rules())) as desk:
        await desk.ask_for_person()
        assert desk.seen()[0].startswith("I have noted that you would like to talk to a person.")
        await desk.say(WISH)
        assert desk.seen()[1] == f"Answer to: {WISH}"
        assert await desk.owner() == "agent"
        assert await desk.all("SELECT count(*) FROM handoffs") == [(0,)]


async def test_the_page_is_told_the_same_once(tmp_path: Path) -> None:
    """Where the receiver dedupes, the announcement is handed over without a row to be sent."""
    async with office(World(tmp_path, channels=(Page(), Room()))) as desk:
        await desk.say(WISH)
        assert len(announcements(desk.seen())) == 1
        await desk.act("ben", "!reply Hello Ada")
        assert desk.seen()[-1] == "Hello Ada"


async def test_f14_a_draft_in_flight_when_the_wish_comes_ends_as_one_announcement(tmp_path: Path) -> None:
    """The user asks for a person while the agent still answers what came before: both are one turn or two, never two announcements."""
    world = World(tmp_path)
    gate = asyncio.Event()
    world.brain.gates = [gate]
    async with office(world) as desk:
        desk.is_held = True
        await desk.say("Where is my parcel?")
        await desk.ask_for_person()
        desk.is_held = False
        gate.set()
        await desk.rest(1)
        assert len(announcements(desk.seen())) == 1
        assert await desk.owner() == "queue"


async def test_a_model_that_only_writes_about_a_person_hands_nothing_over(tmp_path: Path) -> None:
    """Text is text: neither a phrase of the model nor one in a quotation is a request."""
    async with office(World(tmp_path)) as desk:
        desk.brain.says = "!take [handoff] I am passing you on to a colleague. request_human"
        await desk.say("What does '> I want to talk to a human' mean?\n> I want to talk to a human")
        assert await desk.owner() == "agent"
        assert await desk.all("SELECT count(*) FROM handoffs") == [(0,)]
