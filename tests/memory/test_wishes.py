"""A user sees what is remembered of them and has it forgotten, in plain words, on any channel."""

from pathlib import Path

import pytest

from bot.memory.wishes import Wish, wanted
from bot.model import Address, ForgetRequested, Identity
from bot.store import memory
from tests.memory.house import Remembering, remembering
from tests.memory.test_memory import calling, noting, saying

SHOW = [
    "What do you know about me?",
    "what do you remember about me",
    "What have you saved about me?",
    "Please tell me what you know about me",
    "what data do you have on me?",
    "Hi, what do you know about me?",
    "Was weißt du über mich?",
    "was weisst du ueber mich",
    "Was wissen Sie über mich?",
    "Was hast du über mich gespeichert?",
    "Was hast du dir über mich gemerkt?",
    "Welche Daten haben Sie über mich gespeichert?",
    "Zeig mir, was du über mich weißt",
]
OTHERS = [
    "What do you know about melons?",
    "What do you know about me losing my order?",
    "forget it",
    "Forget my last question, how do I pay?",
    "I forgot everything",
    "Delete order 2",
    "delete my account",
    "forget everything and tell me a joke",
    "Was weißt du über Meerschweinchen?",
    "vergiss nicht, mir zu schreiben",
    "Lösche meine Bestellung 2",
    "delete all",
    "Delete everything",
    "remove this",
    "Lösche alles",
    "2",
    "",
]


@pytest.mark.parametrize("text", SHOW)
def test_a_question_for_what_is_known_is_understood(text: str) -> None:
    """English and German."""
    found = wanted(text)
    assert found is not None
    assert found.wish is Wish.SHOW


@pytest.mark.parametrize("text", OTHERS)
def test_anything_else_is_for_the_agent(text: str) -> None:
    """However near it sounds."""
    assert wanted(text) is None


@pytest.mark.parametrize(
    ("text", "wish", "numbers"),
    [
        ("forget 2", Wish.FORGET_NUMBERS, (2,)),
        ("Please forget number 2.", Wish.FORGET_NUMBERS, (2,)),
        ("forget 1, 3 and 4", Wish.FORGET_NUMBERS, (1, 3, 4)),
        ("Vergiss Nr. 2", Wish.FORGET_NUMBERS, (2,)),
        ("Vergiss bitte 2", Wish.FORGET_NUMBERS, (2,)),
        ("lösche 1 und 2", Wish.FORGET_NUMBERS, (1, 2)),
        ("forget that", Wish.FORGET_LAST, ()),
        ("Please don't remember that!", Wish.FORGET_LAST, ()),
        ("vergiss das wieder", Wish.FORGET_LAST, ()),
        ("forget everything", Wish.FORGET_ALL, ()),
        ("Forget everything you know about me, please", Wish.FORGET_ALL, ()),
        ("forget me", Wish.FORGET_ALL, ()),
        ("Vergiss alles!", Wish.FORGET_ALL, ()),
        ("Bitte vergessen Sie alles, was Sie über mich wissen.", Wish.FORGET_ALL, ()),
        ("Lösche meine Daten", Wish.FORGET_ALL, ()),
    ],
)
def test_a_wish_to_forget_is_understood(text: str, wish: Wish, numbers: tuple[int, ...]) -> None:
    """One thing, several, the last, all."""
    found = wanted(text)
    assert found is not None
    assert (found.wish, found.numbers) == (wish, numbers)


async def filled(desk: Remembering) -> None:
    """A name, a product and one ended case."""
    desk.house.model.script = noting("name", "Ada")
    await desk.say("I am Ada")
    desk.house.model.script = noting("product", "Roadster 3", "bicycle")
    await desk.say("I ride a Roadster 3")
    desk.house.model.script = saying("All right.")
    await desk.end()


async def test_what_is_known_is_listed_with_numbers_and_one_is_forgotten(tmp_path: Path) -> None:
    """No model is asked for either."""
    async with remembering(tmp_path) as desk:
        await filled(desk)
        asked = len(desk.house.model.requests)
        await desk.say("What do you know about me?")
        listed = desk.sent[-1].splitlines()
        assert listed[1].startswith("1. name: Ada (you said so on 2023-11-14)")
        assert listed[2].startswith("2. product (bicycle): Roadster 3")
        assert listed[3].startswith("3. Case of 2023-11-14: The user wrote: I am Ada")
        await desk.say("forget 2")
        assert desk.sent[-1] == "Done: I have forgotten number 2."
        await desk.say("vergiss 3")
        assert desk.sent[-1] == "Erledigt: Nummer 3 habe ich vergessen."
        assert len(desk.house.model.requests) == asked
        await desk.say("Was weißt du über mich?")
        assert "Ada" in desk.sent[-1]
        assert "Roadster" not in desk.sent[-1]
        assert "Anliegen" not in desk.sent[-1]


async def test_what_was_forgotten_does_not_come_back(tmp_path: Path) -> None:
    """Neither by the tool nor by the job, from the message that it came from."""
    async with remembering(tmp_path, script=noting("name", "Ada")) as desk:
        await desk.say("I am Ada")
        await desk.say("forget that")
        assert desk.sent[-1] == "Done: I have forgotten what I noted last."
        again = noting("name", "Ada")
        desk.house.model.script = again
        await desk.say("Hm")
        assert again.results == ["Not noted: the user has asked for this to be forgotten."]
        assert await desk.house.all("SELECT value FROM facts") == [("",)]


async def test_the_history_of_a_fact_goes_with_it(tmp_path: Path) -> None:
    """All that it took the place of."""
    async with remembering(tmp_path) as desk:
        for name in ("Ada", "Adele", "Adelheid"):
            desk.house.model.script = noting("name", name)
            await desk.say(f"I am {name}")
        await desk.say("What do you know about me?")
        await desk.say("forget 1")
        assert await desk.house.all("SELECT DISTINCT value FROM facts") == [("",)]


async def test_forget_everything_forgets_and_says_so_once(tmp_path: Path) -> None:
    """Messages, facts and episodes, as the command of the channel does."""
    async with remembering(tmp_path) as desk:
        await filled(desk)
        await desk.say("Forget everything")
        assert desk.sent[-1].startswith("Done: I have forgotten everything")
        assert sum(text.startswith("Done:") for text in desk.sent) == 1
        for table in ("facts", "episodes", "memory_lists"):
            assert await desk.rows(table) == []
        assert await desk.house.all("SELECT text FROM messages WHERE author = 'user' AND text <> ''") == []
        await desk.keeper.round()
        assert await desk.rows("episodes") == []
        await desk.say("Hello")
        assert desk.shown == ""


async def test_forget_me_of_a_channel_empties_memory_of_all_linked_identities(tmp_path: Path) -> None:
    """A user is one person, however many accounts they write from."""
    async with remembering(tmp_path) as desk:
        await filled(desk)
        link = "UPDATE identities SET user_id = (SELECT user_id FROM identities WHERE external_id = 'ada') WHERE external_id = 'phone'"
        await desk.say("Hello", person="phone")
        await desk.house.store.run(lambda cursor: cursor.execute(link))
        who = Identity("list", "", "phone")
        await desk.house.intake.receive(ForgetRequested(who, Address("list", "", "phone")))
        assert await desk.rows("facts") == []
        assert await desk.rows("episodes") == []


async def test_forgetting_one_person_touches_nothing_of_another(tmp_path: Path) -> None:
    """Even where both said the same in one room."""
    async with remembering(tmp_path) as desk:
        for person in ("ada", "bob"):
            desk.house.model.script = noting("plan", "Gold")
            await desk.say("My plan is Gold", person=person, chat="room", is_shared=True)
        await desk.end("ada", "room")
        before = await desk.rows("facts") + await desk.rows("episodes")
        assert len(before) == 4
        users = {row[0]: row[1] for row in await desk.house.all("SELECT external_id, user_id FROM identities")}
        exported = await desk.house.store.run(memory.exported, users["bob"])
        await desk.house.store.run(memory.forget, users["ada"], 1)
        assert await desk.house.store.run(memory.exported, users["bob"]) == exported
        assert len(exported) == 2
        assert await desk.house.store.run(memory.exported, users["ada"]) == []


async def test_in_a_room_nothing_is_listed(tmp_path: Path) -> None:
    """Others would read it."""
    async with remembering(tmp_path) as desk:
        await filled(desk)
        await desk.say("What do you know about me?", chat="lobby", is_shared=True)
        assert desk.sent[-1] == "Others read along here. Ask me that in a direct message."
        await desk.say("Was weißt du über mich?", chat="lobby", is_shared=True)
        assert desk.sent[-1].startswith("Hier lesen andere mit.")


async def test_a_number_means_what_the_list_showed(tmp_path: Path) -> None:
    """What came in since does not move it, and without a list a number is for the agent."""
    async with remembering(tmp_path) as desk:
        desk.house.model.script = saying("Which two?")
        await desk.say("forget 2")
        assert desk.sent[-1] == "Which two?"
        await filled(desk)
        await desk.say("What do you know about me?")
        desk.house.model.script = noting("plan", "Gold")
        await desk.say("My plan is Gold")
        await desk.say("forget 1")
        await desk.say("forget 2")
        rows = await desk.house.all("SELECT kind FROM facts WHERE value <> ''")
        assert rows == [("plan",)]
        await desk.say("forget 9")
        assert desk.sent[-1].startswith("There is no number 9")


async def test_a_model_can_show_the_list(tmp_path: Path) -> None:
    """By the tool, with the same numbers."""
    async with remembering(tmp_path) as desk:
        await filled(desk)
        model = calling(("about_me", {}))
        desk.house.model.script = model
        await desk.say("I wonder, and I mean it, what is it that you have of mine in your head?")
        assert model.results[0].startswith("This is what I remember of you:\n1. name: Ada")
        await desk.say("forget 1")
        assert desk.sent[-1] == "Done: I have forgotten number 1."


async def test_a_wish_beside_other_words_is_left_to_the_agent(tmp_path: Path) -> None:
    """Of a burst nothing goes unanswered."""
    async with remembering(tmp_path) as desk:
        await desk.say("What do you know about me? And where is my order?")
        assert desk.sent[-1].startswith("You said: What do you know")
