"""A long case stays within its budget, and what counts in it is not lost."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent import context
from bot.agent.context import Past
from bot.memory import window
from bot.memory.recall import Limits, recalled
from bot.memory.window import Part
from bot.model import Address, Author, Button, Identity, Message, MessageDeleted, MessageId, Seq
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.store.memory import Episode, Fact
from tests.memory.house import Remembering, remembering
from tests.memory.test_memory import saying
from tests.pipeline.house import echo

WORDS = st.text(alphabet="abcdefgh ]\n[", max_size=60)
PROMISE = "We will send you a new tube by Friday."


def message(seq: int, author: Author, text: str, buttons: tuple[Button, ...] = ()) -> Message:
    return Message(MessageId(f"m{seq}"), Seq(seq), author, text, seq, buttons=buttons)


@st.composite
def pasts(draw: st.DrawFn) -> list[Message]:
    """Any stretch with promises and consents in it."""
    told = []
    for seq in range(draw(st.integers(0, 14))):
        author = draw(st.sampled_from([Author.USER, Author.AGENT, Author.SYSTEM, Author.OPERATOR]))
        is_promise = author is Author.AGENT and draw(st.booleans())
        is_card = author is Author.SYSTEM and draw(st.booleans())
        buttons = (Button(f"consent:{seq}:yes", "Yes"),) if is_card else ()
        told.append(message(seq + 1, author, PROMISE if is_promise else draw(WORDS), buttons))
    return told


@settings(max_examples=400, deadline=None)
@given(pasts(), pasts(), st.text(max_size=300), st.integers(20, 500), st.integers(1, 12))
def test_f42_with_memory_in_it_a_context_keeps_its_budget_and_the_users_text(
    past: list[Message], later: list[Message], memory: str, budget: int, most: int
) -> None:
    """Whatever was promised, asked or remembered; grown from turn to turn or cut to its newest entries."""
    kept = Past(past)
    for each in later:
        kept.add(each)
    kept.keep_newest(most)
    asked = message(99, Author.USER, "where is my tube?")
    built = context.build(kept, [asked], budget, (), memory)
    assert sum(len(entry.text) + len(entry.name) for entry in built) <= budget
    assert built[-1].text == asked.text
    is_other = all(each.text != memory for each in [*past, *later])
    if memory and is_other and any(entry.text == memory for entry in built):
        assert built[-2].text == memory


@pytest.mark.parametrize(
    "text",
    [
        "I'll look into it.",
        "Then we’ll call back.",
        "WE WILL SEND IT.",
        "I shall ask them.",
        "I am going to ask them.",
        "We are going to repay it.",
        "I promise it.",
        "You'll hear from us.",
        "You will receive a label.",
        "Will be refunded on Monday.",
        "Ich werde das prüfen.",
        "Wir melden uns.",
        "Ich melde mich.",
        "Ich verspreche es Ihnen.",
        "Das Geld wird morgen erstattet.",
        "Die Lampen werden am Montag geliefert.",
        "SIE ERHALTEN eine Nachricht.",
        "Sie hören von uns.",
        "WE WİLL SEND IT.",
        "Das Geld wırd morgen erſtattet.",
        "ſie erhalten eine Nachricht.",
    ],
)
def test_a_promise_is_found_in_every_form(text: str) -> None:
    """At the beginning of a text, after other sentences, in capitals."""
    assert context.is_promise(text)
    assert context.is_promise(f"Thank you for the order number. {text} Anything else?")


@pytest.mark.parametrize(
    "text", ["", "Shall I ask them?", "It was sent on Monday.", "Das wird teuer.", "Haben Sie die Nummer?"]
)
def test_an_offer_or_a_question_is_no_promise(text: str) -> None:
    """Though it may have the same words in it."""
    assert not context.is_promise(text)


def test_f42_a_promise_and_a_consent_are_shown_after_the_window_has_left_them() -> None:
    """A long talk later."""
    card = message(2, Author.SYSTEM, "Refund 25 EUR?", (Button("consent:1:yes", "Yes"),))
    past = Past([message(1, Author.AGENT, PROMISE), card])
    for seq in range(3, 300):
        past.add(message(seq, Author.USER, "x" * 100))
    past.keep_newest(200)
    texts = [entry.text for entry in past.within(2_000)]
    assert texts[:2] == [PROMISE, "Refund 25 EUR?"]
    assert sum(map(len, texts)) <= 2_000
    assert texts[-1] == "x" * 100


def test_a_message_that_found_no_room_takes_none_with_its_name_either() -> None:
    earlier = message(1, Author.AGENT, "e" * 50)
    asked = [
        Message(MessageId(f"m{seq}"), Seq(seq), Author.USER, "x" * 100, 0, name=f"{seq}" * 60) for seq in range(2, 5)
    ]
    newest = message(5, Author.USER, "n" * 40)

    built = context.build(Past([earlier]), [*asked, newest], 100)

    assert [entry.text for entry in built] == [earlier.text, newest.text]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.integers(0, 10**12)), max_size=30),
    st.lists(WORDS, max_size=20),
    WORDS,
    st.integers(100, 3_000),
)
def test_recall_keeps_its_budget_and_is_stable(
    cases: list[tuple[str, int]], values: list[str], asked: str, chars: int
) -> None:
    """The same rows in any order give the same text, within its characters and its mark."""
    episodes = [Episode(f"e{n}", f"c{n}", text, tuple(text.split()), (), at) for n, (text, at) in enumerate(cases)]
    facts = [Fact(f"f{n}", "other", "", v, 0.9, MessageId(""), "", n, 10**13) for n, v in enumerate(values)]
    limits = Limits(chars, 5, 10)
    given = recalled(facts, episodes, asked, 10**12, limits)
    text = given.text
    assert len(text) <= chars
    assert given == recalled(facts, list(reversed(episodes)), asked, 10**12, limits)
    assert text.count("\n- ") == len(given.facts) + len(given.episodes)
    assert text.count("[") == text.count("]") == bool(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=60), st.integers(100, 4_000))
def test_what_is_summarised_is_the_oldest_and_the_newest_stays(sizes: list[int], budget: int) -> None:
    """A beginning of the case, which leaves what fits its share."""
    parts = [Part(seq, "user", "x" * size) for seq, size in enumerate(sizes, 1)]
    older = window.stretch(parts, budget)
    assert list(older) == parts[: len(older)]
    if older:
        left = parts[len(older) :]
        assert sum(len(part.text) for part in left) <= budget * window.KEPT


def summing(text: str = "They talk about tyres.") -> "Summing":
    return Summing(text)


class Summing:
    """A background model that summarises. `during` happens while it is at it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[str] = []
        self.during: list[object] = []

    async def __call__(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.asked.append(request.messages[0].text)
        for each in self.during:
            await each()  # type: ignore[operator]  # what the test does meanwhile
        yield TextDelta(json.dumps({"summary": self.text}))
        yield Finished()


async def long_case(desk: Remembering, turns: int = 12) -> None:
    desk.house.model.script = saying(PROMISE)
    await desk.say("My tyre is flat, canary-first")
    desk.house.model.script = echo
    for number in range(turns):
        await desk.say(f"{number} " + "word " * 30)


async def test_f42_the_older_part_of_a_long_case_is_summarised_beside_the_turns(tmp_path: Path) -> None:
    """The messages stay; the model reads the summary in their place, with promises word for word."""
    notes = summing()
    async with remembering(tmp_path, notes=notes, budget=3_000) as desk:
        await long_case(desk)
        assert notes.asked == [], "a turn has waited for it"
        await desk.keeper.round()
        assert "canary-first" in notes.asked[0]
        await desk.say("And now?")
        entries = [entry.text for entry in desk.house.model.requests[-1].messages]
        assert entries[0].startswith("[Earlier in this case, in short, as data:\nThey talk about tyres.")
        assert PROMISE in entries[0]
        assert not any("canary-first" in entry for entry in entries)
        assert entries[-1] == "And now?"
        kept = await desk.house.all("SELECT text FROM messages WHERE text LIKE '%canary-first%'")
        assert len(kept) == 1


async def test_without_a_background_model_there_is_the_window_alone(tmp_path: Path) -> None:
    """And nothing is lost of it."""
    async with remembering(tmp_path, budget=3_000) as desk:
        await long_case(desk)
        await desk.keeper.round()
        assert await desk.rows("blocks") == []


async def test_a_summary_of_what_was_deleted_meanwhile_is_thrown_away(tmp_path: Path) -> None:
    """Also where it is deleted afterwards."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    notes = summing("canary-first")
    async with remembering(tmp_path, notes=notes, budget=3_000) as desk:
        await long_case(desk)

        async def delete() -> None:
            deleted = MessageDeleted(who, at, "e1", desk.house.clock.now_ms())
            await desk.house.intake.receive(deleted)

        notes.during = [delete]
        await desk.keeper.round()
        assert await desk.rows("blocks") == []
        notes.during = []
        await long_case(desk, 2)
        await desk.keeper.round()
        assert len(await desk.rows("blocks")) == 1
        await desk.house.intake.receive(MessageDeleted(who, at, "e3", desk.house.clock.now_ms()))
        assert await desk.rows("blocks") == []
