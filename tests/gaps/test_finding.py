"""What people ask and no document answers is noticed, counted once, and forgotten with whoever asked."""

from pathlib import Path

import pytest

from bot.gaps.finding import SIGNS, alike, words_of
from bot.model import Author
from bot.store import gaps as rows
from tests.gaps.kit import Asking, asking


async def test_questions_alike_are_one_gap_with_a_count(tmp_path: Path) -> None:
    """In other words, in another order; those asked most come first."""
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Eve", "Is there a museum discount for groups?")
        first = await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        second = await desk.unanswered("Zoe", "delivering a piano to iceland, possible?")
        pianos, museum = await desk.listed()
        assert (pianos["count"], pianos["state"], museum["count"]) == (2, "open", 1)
        assert pianos["kinds"] == {"unanswered": 2}
        assert pianos["conversations"] == [second, first]
        assert pianos["question"] == "delivering a piano to iceland, possible?"
        assert pianos["others"] == ["Do you deliver pianos to Iceland?"]


async def test_a_second_round_counts_nothing_twice(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        before = await desk.listed()
        assert await desk.gaps.finding.round() == 0
        assert await desk.listed() == before


async def test_what_was_not_searched_for_is_no_gap(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada", "Hello there, good morning", searched=False)
        assert await desk.listed() == []


async def test_a_thumb_down_and_a_correction_show_the_same_gap(tmp_path: Path) -> None:
    """Each sign is kept; the question counts once. An accepted suggestion and a thumb up show none."""
    async with asking(tmp_path / "data") as desk:
        talk = await desk.people.talk("Ada", text="How much is the express fee?")
        await desk.people.say(talk, "Ten.", Author.AGENT)
        good = await desk.people.talk("Eve", text="Where is the shop?")
        await desk.people.say(good, "Here.", Author.AGENT)
        await desk.rate(good, "up")
        await desk.corrected(good, "accepted")
        assert await desk.listed() == []
        await desk.rate(talk, "down")
        await desk.corrected(talk, "edited")
        (gap,) = await desk.listed()
        assert (gap["count"], gap["kinds"]) == (1, {"disliked": 1, "corrected": 1})
        assert gap["question"] == "How much is the express fee?"


async def test_a_handoff_after_failures_shows_one(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        talk = await desk.people.talk("Ada", text="Can I pay with gold coins?")
        record = await desk.people.ask(talk)
        assert await desk.listed() == []  # who asks for a person shows no gap
        sql = "UPDATE handoffs SET origin = 'failures', asked_ms = :now WHERE id = :id"
        values = {"id": record.id, "now": desk.people.now_ms + 1}
        await desk.store.run(lambda cursor: cursor.execute(sql, values))
        (gap,) = await desk.listed()
        assert gap["kinds"] == {"handed over": 1}


async def test_operators_rooms_show_none(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        await desk.store.run(lambda cursor: cursor.execute("UPDATE conversations SET kind = 'room'"))
        assert await desk.listed() == []


async def test_a_closed_gap_that_is_asked_again_is_open_again(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        (gap,) = await desk.listed()
        await desk.gaps.drafting.close(gap["id"], "local:root")
        assert await desk.listed() == []
        assert [each["state"] for each in await desk.listed(is_all=True)] == ["closed"]
        await desk.house.clock.advance(7200)
        desk.people.now_ms = desk.house.clock.now_ms()
        await desk.unanswered("Zoe", "Do you deliver pianos to Iceland?")
        (again,) = await desk.listed()
        assert (again["id"], again["count"]) == (gap["id"], 2)


async def test_of_whoever_is_erased_the_count_stays_and_no_word(tmp_path: Path) -> None:
    """Words stand in messages alone; a draft that was written from them goes, and the gap is open again."""
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        (gap,) = await desk.listed()
        await desk.gaps.drafting.draft(gap["id"], "local:root")
        ((user, text),) = await desk.store.read(
            "SELECT i.user_id, m.text FROM identities i, messages m WHERE m.seq = 1"
        )
        assert text == "Do you deliver pianos to Iceland?"
        assert await desk.store.run(rows.forget, user) >= 1
        await _blank(desk)
        (left,) = await desk.listed()
        assert (left["count"], left["state"], left["question"]) == (1, "open", "(erased)")
        assert await desk.store.read("SELECT * FROM gap_drafts") == []


async def _blank(desk: Asking) -> None:
    """What erasure does with messages."""
    await desk.store.run(lambda cursor: cursor.execute("UPDATE messages SET text = '', is_deleted = 1"))


def test_likeness_goes_by_what_a_question_says() -> None:
    one = words_of("How can I cancel my subscription?")
    assert alike(one, words_of("cancelling the subscription, please")) == 1.0
    assert alike(one, words_of("Do you deliver to Iceland?")) == 0.0
    assert alike(words_of("?!"), words_of("?!")) == 0.0


@pytest.mark.parametrize("kind", SIGNS)
async def test_no_round_reads_all_messages(tmp_path: Path, kind: str) -> None:
    """Housekeeping goes by indexes, whatever has been said before."""
    async with asking(tmp_path / "data") as desk:
        plan = await desk.store.read(f"EXPLAIN QUERY PLAN {SIGNS[kind]}", {"since": 0, "limit": 1})
        steps = [str(row[3]) for row in plan]
        assert not [step for step in steps if step.startswith(("SCAN m", "SCAN t", "SCAN q", "SCAN c"))], steps
        assert not [step for step in steps if step.startswith("SCAN")], steps
