"""What holds between a message's arrival and its answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import Fault, ModelError, Refused
from bot.model import (
    Address,
    ButtonPressed,
    CaseEnded,
    FeedbackGiven,
    Identity,
    MessageDeleted,
    MessageEdited,
    MessageId,
    PersonRequested,
)
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from tests.clock import ManualClock
from tests.pipeline.house import Core, DraftingChannel, ListChannel, ScriptedModel, core, echo


async def texts(house: Core) -> list[str]:
    return [message.text for message in house.channel.sent]


async def test_a_message_is_answered_once(tmp_path: Path) -> None:
    """One message, one turn, one reply, everything marked done."""
    async with core(tmp_path / "data") as house:
        accepted = await house.say("hello", "1")
        await house.rest()
        assert (accepted.seq, await texts(house)) == (1, ["You said: hello"])
        assert await house.all("SELECT count(*) FROM inbox WHERE handled_ms IS NULL") == [(0,)]
        assert await house.all("SELECT state FROM outbox") == [("sent",)]
        assert await house.all("SELECT outcome FROM turns") == [("answered",)]


async def test_f21_the_same_event_a_hundred_times_is_one_turn(tmp_path: Path) -> None:
    """Redeliveries at the same moment give the same answer and no second message."""
    async with core(tmp_path / "data") as house:
        accepted = await asyncio.gather(*(house.say("hello", "1") for _ in range(100)))
        await house.rest()
        assert {(a.message, a.seq) for a in accepted} == {(accepted[0].message, 1)}
        assert sum(not a.is_duplicate for a in accepted) == 1
        assert await texts(house) == ["You said: hello"]


async def test_f22_a_duplicate_is_known_however_late(tmp_path: Path) -> None:
    """A message's id comes from its key, so it is not taken twice while the message is kept, also over a new case."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data") as house:
        first = await house.say("hello", "1")
        await house.rest()
        await house.intake.receive(CaseEnded(who, at))
        house.clock.step_wall(90 * 86_400_000)
        again = await house.say("hello", "1")
        await house.rest()
        assert again.is_duplicate
        assert (again.message, again.seq) == (first.message, first.seq)
        assert await texts(house) == ["You said: hello"]
        assert await house.all("SELECT count(*) FROM cases") == [(1,)]
        assert (await house.say("next", "2")).seq == 4


async def test_f22_an_event_older_than_the_keys_is_refused(tmp_path: Path) -> None:
    """What is older than a key lives can no longer be told from a duplicate."""
    async with core(tmp_path / "data") as house:
        with pytest.raises(Refused) as refused:
            await house.say("hello", "1", sent_at_ms=house.clock.now_ms() - 31 * 86_400_000)
        assert refused.value.code == "too_old"


async def test_f25_a_burst_is_one_turn(tmp_path: Path) -> None:
    """Five short messages within the quiet time are read and answered together."""
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        for number in range(5):
            await house.say(f"part {number}", str(number))
            await house.clock.advance(0.4)
        await house.rest(1.0)
        assert await texts(house) == ["You said: part 0 | part 1 | part 2 | part 3 | part 4"]


async def test_a_person_who_never_stops_typing_is_answered_within_the_burst_limit(tmp_path: Path) -> None:
    """Quiet waiting has an end."""
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        for number in range(24):
            await house.say(f"{number}", str(number))
            await house.rest(0.5)
        assert house.channel.sent


async def test_f26_a_message_during_the_model_call_is_the_next_turn(tmp_path: Path) -> None:
    """What arrives while the model speaks is neither lost nor marked done with that turn."""
    gate = asyncio.Event()

    async def slow(request: ChatRequest) -> AsyncIterator[Chunk]:
        if len(model.requests) == 1:
            await gate.wait()
        async for chunk in echo(request):
            yield chunk

    model = ScriptedModel(slow)
    async with core(tmp_path / "data", model=model) as house:
        await house.say("first", "1")
        await model.was_asked.wait()
        await house.say("second", "2")
        gate.set()
        await house.rest()
        assert await texts(house) == ["You said: first", "You said: second"]


async def test_f24_shuffled_messages_are_read_in_the_order_they_were_written(tmp_path: Path) -> None:
    """Within a turn the platform's time orders what the model reads."""
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        now = house.clock.now_ms()
        for number in (3, 1, 4, 0, 2):
            await house.say(f"{number}", str(number), sent_at_ms=now + number)
        await house.rest(1.0)
        assert await texts(house) == ["You said: 0 | 1 | 2 | 3 | 4"]


async def test_f16_a_poison_message_becomes_a_dead_letter_and_others_flow(tmp_path: Path) -> None:
    """Three failures, one plain sentence, one incident; the conversation and its neighbours go on."""

    async def poisoned(request: ChatRequest) -> AsyncIterator[Chunk]:
        if "poison" in request.messages[-1].text:
            raise ValueError("secret detail of ours")
        async for chunk in echo(request):
            yield chunk

    model = ScriptedModel(poisoned)
    async with core(tmp_path / "data", model=model) as house:
        await house.say("poison", "1")
        await house.say("fine", "2", chat="bob")
        await house.rest()
        assert await texts(house) == ["You said: fine"]
        for seconds in (1.0, 5.0, 5.0):
            await house.rest(seconds)
        assert len([r for r in model.requests if "poison" in r.messages[-1].text]) == 3
        assert "went wrong on our side" in (await texts(house))[-1]
        assert not any("secret detail" in text for text in await texts(house))
        assert await house.all("SELECT kind, count FROM incidents") == [("dead letter", 1)]
        await house.say("and now?", "3")
        await house.rest()
        assert (await texts(house))[-1] == "You said: and now?"


async def test_a_failed_draft_is_withdrawn_before_the_next_try(tmp_path: Path) -> None:
    """A page never shows the start of one try followed by another."""

    async def breaks(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("half an ans")
        if len(model.requests) == 1:
            raise ModelError("cut", Fault.UNREACHABLE)
        yield TextDelta("wer")
        yield Finished()

    model, channel = ScriptedModel(breaks), DraftingChannel()
    async with core(tmp_path / "data", model=model, channel=channel) as house:
        await house.say("hello", "1")
        await house.rest()
        await house.rest(1.0)
        assert [text for _, text in channel.drafts] == ["half an ans", "<withdrawn>", "half an ans", "wer"]
        assert len({message for message, _ in channel.drafts}) == 1
        assert channel.sent[0].id == channel.drafts[0][0]
        assert channel.sent[0].text == "half an answer"


async def test_a_late_draft_becomes_a_note(tmp_path: Path) -> None:
    """The agent never speaks once a person owns the conversation: what it had in hand is kept for operators only."""
    gate = asyncio.Event()

    async def slow(request: ChatRequest) -> AsyncIterator[Chunk]:
        await gate.wait()
        async for chunk in echo(request):
            yield chunk

    async with core(tmp_path / "data", model=ScriptedModel(slow)) as house:
        await house.say("hello", "1")
        await house.model.was_asked.wait()
        take_over = "UPDATE conversations SET owner = 'operator-1', version = version + 1"
        await house.store.run(lambda cursor: cursor.execute(take_over))
        gate.set()
        await house.rest()
        assert house.channel.sent == []
        assert await house.all("SELECT visibility FROM messages WHERE author = 'agent'") == [("note",)]
        await house.say("are you there?", "2")
        await house.rest()
        assert house.channel.sent == []
        assert await house.all("SELECT outcome FROM turns ORDER BY id") == [("answered",), ("heard",)]


async def test_unhandled_messages_are_answered_after_a_restart(tmp_path: Path) -> None:
    """f03: what was acknowledged and not handled when the process ended is handled by the next."""

    async def never(request: ChatRequest) -> AsyncIterator[Chunk]:
        await asyncio.get_running_loop().create_future()
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(never)) as house:
        await house.say("hello", "1")
        await house.model.was_asked.wait()
    async with core(tmp_path / "data") as house:
        await house.rest()
        assert await texts(house) == ["You said: hello"]


async def test_f16_a_message_that_ends_the_process_is_buried_at_the_third_end(tmp_path: Path) -> None:
    """Crashes are counted at recovery; only the suspect pays, what waited beside it is answered."""

    async def deadly(request: ChatRequest) -> AsyncIterator[Chunk]:
        if "deadly" in request.messages[-1].text:
            await asyncio.get_running_loop().create_future()  # stands for the end of the process
        async for chunk in echo(request):
            yield chunk

    channel = ListChannel()
    for start in range(4):
        async with core(tmp_path / "data", model=ScriptedModel(deadly), channel=channel) as house:
            if start == 0:
                await house.say("deadly", "1")
            await house.rest()
            if start == 1:
                await house.say("innocent", "2", chat="bob")
                await house.rest()
    said = [message.text for message in channel.sent]
    assert "You said: innocent" in said
    assert sum("went wrong on our side" in text for text in said) == 1


async def test_f23_the_latest_edit_wins_and_deleted_text_never_reaches_the_model(tmp_path: Path) -> None:
    """Edits and deletions count in platform time, also when they come before their message."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        await house.intake.receive(MessageEdited(who, at, "1", "edited twice", edited_at_ms=20))
        await house.intake.receive(MessageEdited(who, at, "1", "edited once", edited_at_ms=10))
        await house.say("original", "1")
        await house.say("secret", "2")
        await house.intake.receive(MessageDeleted(who, at, "2", deleted_at_ms=30))
        await house.intake.receive(MessageDeleted(who, at, "3", deleted_at_ms=30))
        await house.say("also secret", "3")
        await house.rest(1.0)
        assert await texts(house) == ["You said: edited twice"]


async def test_a_case_that_ended_is_a_context_boundary(tmp_path: Path) -> None:
    """The next message opens a new case, whose turn does not read the old one; the verdict belongs to the old case."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data") as house:
        old = await house.say("old question", "1")
        await house.rest()
        ended = await house.intake.receive(CaseEnded(who, at))
        assert ended.case == old.case
        await house.intake.receive(FeedbackGiven(who, at, "up", case=ended.case))
        new = await house.say("new question", "2")
        await house.rest()
        assert new.case != old.case
        assert [entry.text for entry in house.model.requests[-1].messages] == ["new question"]
        assert await house.all("SELECT feedback, outcome FROM cases ORDER BY first_seq") == [
            ("up", "ended by the user"),
            ("", ""),
        ]


async def test_an_idle_case_ends_by_itself(tmp_path: Path) -> None:
    """After `case_idle_s` without a turn the next message is a new case."""
    async with core(tmp_path / "data") as house:
        old = await house.say("question", "1")
        await house.rest()
        house.clock.step_wall(2 * 86_400_000)
        assert (await house.say("question", "2")).case != old.case


async def test_f54_a_clock_that_jumps_loses_nothing(tmp_path: Path) -> None:
    """Back an hour or on ten years: messages are taken, answered and kept in order."""
    async with core(tmp_path / "data") as house:
        for number, jump_ms in enumerate((0, -3_600_000, 10 * 365 * 86_400_000)):
            house.clock.step_wall(jump_ms)
            accepted = await house.say(f"{number}", str(number))
            assert accepted.seq == 2 * number + 1
            await house.rest()
        assert await texts(house) == ["You said: 0", "You said: 1", "You said: 2"]


async def test_the_button_for_a_person_notes_the_wish_once(tmp_path: Path) -> None:
    """The wish is on record, the user is told honestly, and a second click changes nothing."""

    async def offers(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("I do not know.")
        yield Finished(is_offering_person=True, is_answered=False)

    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data", model=ScriptedModel(offers)) as house:
        await house.say("hm?", "1")
        await house.rest()
        reply = house.channel.sent[0]
        pressed = ButtonPressed(who, at, f"press:{reply.id}:person", reply.id, reply.buttons[0].id)
        await house.intake.receive(pressed)
        assert (await house.intake.receive(pressed)).is_duplicate
        await house.rest()
        assert "noted that you would like to talk to a person" in (await texts(house))[-1]
        assert await house.all("SELECT is_person_wanted FROM conversations") == [(1,)]
        with pytest.raises(Refused):
            await house.intake.receive(ButtonPressed(who, at, "x", MessageId("nothing"), "person"))


async def test_one_user_cannot_rate_or_press_in_anothers_conversation(tmp_path: Path) -> None:
    """f85: a message id from another conversation is as good as none."""
    async with core(tmp_path / "data") as house:
        await house.say("hello", "1")
        await house.rest()
        reply = house.channel.sent[0]
        eve, at = Identity("list", "", "eve"), Address("list", "", "eve")
        with pytest.raises(Refused):
            await house.intake.receive(FeedbackGiven(eve, at, "down", message=reply.id))
        assert await house.all("SELECT feedback FROM messages WHERE author = 'agent'") == [("",)]


async def test_f57_too_long_and_empty_messages_are_refused_with_a_sentence(tmp_path: Path) -> None:
    """Nothing is stored of what cannot be taken; only-emoji is a message like any other."""
    async with core(tmp_path / "data") as house:
        for text, code in (("x" * 16_001, "too_long"), ("", "empty"), (" \n\t", "empty")):
            with pytest.raises(Refused) as refused:
                await house.say(text, code)
            assert refused.value.code == code
        assert await house.all("SELECT count(*) FROM messages") == [(0,)]
        await house.say("🎉", "emoji")
        await house.rest()
        assert await texts(house) == ["You said: 🎉"]


async def test_f58_unfit_characters_are_replaced_and_the_raw_text_is_hashed(tmp_path: Path) -> None:
    """NUL, lone surrogates and byte-order marks cannot break the store or a terminal."""
    async with core(tmp_path / "data") as house:
        await house.say("\ufeffa\x00b\ud800c\r\nd", "1")
        rows = await house.all("SELECT text, length(raw_hash) FROM messages")
        assert rows == [("a\ufffdb\ufffdc\nd", 64)]


async def test_nothing_is_read_from_the_store_for_an_active_conversation(tmp_path: Path) -> None:
    """A turn of a conversation that is being worked on reads nothing it has been told."""
    reads = 0
    async with core(tmp_path / "data", channel=DraftingChannel()) as house:
        await house.say("one", "1")
        await house.rest()
        real = house.store.read

        async def counted(*args: object) -> list[tuple[object, ...]]:
            nonlocal reads
            reads += 1
            return await real(*args)  # type: ignore[arg-type]  # passed on as it came

        setattr(house.store, "read", counted)  # noqa: B010 - mypy forbids the assignment
        await house.say("two", "2")
        await house.rest()
        assert (await texts(house))[-1] == "You said: two"
        assert reads == 0


async def test_a_turn_commits_only_what_it_read(tmp_path: Path) -> None:
    """When the rows differ from the copy in memory, nothing is done and they are read again."""
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        await house.say("one", "1")
        steal = "UPDATE messages SET handled_ms = 1 WHERE external_id = '1'"
        await house.store.run(lambda cursor: cursor.execute(steal))
        await house.rest(1.0)
        assert house.channel.sent == []


async def test_many_conversations_run_side_by_side(tmp_path: Path) -> None:
    """A slow answer to one delays none of the others."""
    gate = asyncio.Event()

    async def slow_for_one(request: ChatRequest) -> AsyncIterator[Chunk]:
        if request.messages[-1].text == "slow":
            await gate.wait()
        async for chunk in echo(request):
            yield chunk

    async with core(tmp_path / "data", model=ScriptedModel(slow_for_one), clock=ManualClock()) as house:
        await house.say("slow", "s", chat="slow")
        await asyncio.gather(*(house.say("quick", str(n), chat=f"c{n}") for n in range(200)))
        for _ in range(500):
            await asyncio.sleep(0.005)
            if len(house.channel.sent) == 200:
                break
        assert len(house.channel.sent) == 200
        gate.set()
        await house.rest()
        assert len(house.channel.sent) == 201


async def test_an_answer_that_takes_too_long_is_ended_and_tried_again(tmp_path: Path) -> None:
    """A model that hangs costs its own turn only, and not for ever; meanwhile the person sees that somebody is at work."""

    async def hangs_once(request: ChatRequest) -> AsyncIterator[Chunk]:
        if len(model.requests) == 1:
            await asyncio.get_running_loop().create_future()
        async for chunk in echo(request):
            yield chunk

    model = ScriptedModel(hangs_once)
    async with core(tmp_path / "data", model=model) as house:
        await house.say("hello", "1")
        await model.was_asked.wait()
        await house.rest(66.0)
        await house.rest(1.0)
        assert await texts(house) == ["You said: hello"]
        assert await house.all("SELECT attempts, error FROM inbox") == [(1, "TimeoutError: no answer within 60.0 s")]


async def test_a_wish_for_a_person_in_words_is_on_record_too(tmp_path: Path) -> None:
    """When the answer says that the wish was noted, it was."""

    async def notes(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("I have noted it.")
        yield Finished(is_person_wished=True)

    async with core(tmp_path / "data", model=ScriptedModel(notes)) as house:
        await house.say("a person please", "1")
        await house.rest()
        assert await house.all("SELECT is_person_wanted FROM conversations") == [(1,)]
        assert await house.all("SELECT count(*) FROM cases WHERE person_wanted_ms IS NOT NULL") == [(1,)]


async def test_f18_a_turn_that_runs_out_of_memory_costs_itself_only(tmp_path: Path) -> None:
    """MemoryError is a failure like any other: tried again, and others are answered meanwhile."""

    async def hungry_once(request: ChatRequest) -> AsyncIterator[Chunk]:
        if request.messages[-1].text == "large" and model.requests.count(request) == 1:
            raise MemoryError
        async for chunk in echo(request):
            yield chunk

    model = ScriptedModel(hungry_once)
    async with core(tmp_path / "data", model=model) as house:
        await house.say("large", "1")
        await house.say("small", "2", chat="bob")
        await house.rest()
        assert await texts(house) == ["You said: small"]
        await house.rest(1.0)
        assert await texts(house) == ["You said: small", "You said: large"]


async def test_f110_a_takeover_holds_although_the_user_writes_on(tmp_path: Path) -> None:
    """Owner and version are those that the turn began with: what arrives meanwhile does not bring the right to speak back, and what
    could be seen of the draft is taken back."""
    gate = asyncio.Event()

    async def slow(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("I will ")
        await gate.wait()
        async for chunk in echo(request):
            yield chunk

    model, channel = ScriptedModel(slow), DraftingChannel()
    async with core(tmp_path / "data", model=model, channel=channel) as house:
        await house.say("hello", "1")
        await model.was_asked.wait()
        take_over = "UPDATE conversations SET owner = 'operator-1', version = version + 1"
        await house.store.run(lambda cursor: cursor.execute(take_over))
        await house.say("are you there?", "2")
        gate.set()
        await house.rest()
        assert channel.sent == []
        assert channel.drafts[-1][1] == "<withdrawn>"
        assert await house.all("SELECT visibility FROM messages WHERE author = 'agent'") == [("note",)]
        assert await house.all("SELECT outcome FROM turns ORDER BY id") == [("answered",), ("heard",)]


async def test_a_question_beside_the_wish_for_a_person_is_answered(tmp_path: Path) -> None:
    """Both within the quiet time, in either order: the wish is noted, and the question is not swallowed by it."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        await house.say("before", "1")
        await house.intake.receive(PersonRequested(who, at, "2"))
        await house.say("after", "3")
        await house.rest(1.5)
        await house.rest(1.5)
        assert [text for text in await texts(house) if text.startswith("You said")] == [
            "You said: before",
            "You said: after",
        ]
        assert await house.all("SELECT is_person_wanted FROM conversations") == [(1,)]
