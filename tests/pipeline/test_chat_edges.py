"""What is left over in rare places on channels like chat platforms: after forgetting, deletions, and adapters that break."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import FrontdeskError, SendRefused, SendUncertain
from bot.model import (
    Address,
    ForgetRequested,
    Heard,
    Message,
    MessageId,
    MessageReceived,
)
from bot.ports import ChatRequest, Chunk, Finished, Receipt, TextDelta
from tests.files.desk import PNG, desk, remote
from tests.pipeline.house import Core, ScriptedModel, core
from tests.pipeline.test_changes import Look, Quoting, made
from tests.pipeline.test_chats import ADA, AT, BOB, Chat, Sketching, say


async def everything(house: Core, what: str) -> list[tuple[object, tuple[object, ...]]]:
    left: list[tuple[object, tuple[object, ...]]] = []
    for (table,) in await house.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
        left += [(table, row) for row in await house.all(f"SELECT * FROM {table}") if what in str(row)]
    return left


class Failing(Quoting):
    """The first run breaks after its tool; the next answers at once."""

    runs = 0

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        if any(entry.results for entry in request.messages):
            self.runs += 1
            if self.runs == 1:
                raise ValueError("poison")
        async for chunk in super().stream(request):
            yield chunk


async def test_steps_of_a_run_that_failed_are_forgotten_too(tmp_path: Path) -> None:
    look, model = Look(), Failing()
    look.gate.set()
    chat = Chat()
    async with core(tmp_path / "data", answerer=made(model, look), channel=chat) as house:
        await say(house, "4711", "1")
        for _ in range(10):
            await house.rest(1.0)
        await house.intake.receive(ForgetRequested(ADA, AT))
        await house.rest(1.0)
        left = await everything(house, "4711")
        assert left == []


async def test_what_a_tool_finds_after_the_person_was_forgotten_is_not_kept(tmp_path: Path) -> None:
    look, model = Look(), Quoting()
    async with core(tmp_path / "data", answerer=made(model, look), channel=Chat()) as house:
        await say(house, "4711", "1")
        await asyncio.wait_for(look.runs.wait(), 10)
        await house.intake.receive(ForgetRequested(ADA, AT))
        look.gate.set()
        for _ in range(4):
            await house.rest(1.0)
        left = await everything(house, "4711")
        assert left == []


async def test_a_file_that_was_being_fetched_when_its_message_was_deleted_is_not_kept(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG}

        async def deleted(source: str) -> None:
            await house.delete("m")

        house.channel.on_open = deleted
        await house.fetch(await house.receive("m", remote("one")))
        assert await house.store.read("SELECT id FROM blobs") == []


async def test_a_file_that_cannot_be_removed_ends_no_housekeeping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG}
        await house.fetch(await house.receive("m", remote("one")))
        await house.store.run(lambda cursor: cursor.execute("DELETE FROM blobs"))

        def refuse(self: Path, missing_ok: bool = False) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(FrontdeskError):  # the one kind that housekeeping lives with
            await house.blobs.drop_orphans(9e9)


async def test_an_uncertain_message_that_was_forgotten_is_not_sent_again_without_words(tmp_path: Path) -> None:
    class Absent(Chat):
        async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
            if not forgotten.is_set():
                raise SendUncertain("cannot tell yet")
            return None

    forgotten = asyncio.Event()
    chat = Absent()
    async with core(tmp_path / "data", channel=chat) as house:

        async def cut(message: Message) -> None:
            chat.on_send = None
            raise SendUncertain("cut off")

        chat.on_send = cut
        await say(house, "my number is 4711", "1")
        await house.rest(0.5)
        await house.intake.receive(ForgetRequested(ADA, AT))
        forgotten.set()
        for _ in range(8):
            await house.rest(5.0)
        assert chat.sent == []


async def test_forgetting_in_a_room_blanks_what_was_answered_from_what_was_overheard(tmp_path: Path) -> None:
    room = Address("chat", "", "room")
    chat = Chat()

    async def quoting(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Ada said: " + request.messages[0].text)
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(quoting), channel=chat) as house:
        before = (Heard(ADA, "x", "my number is 4711", 5),)
        await house.intake.receive(MessageReceived(BOB, room, "b", "@desk what did Ada say?", before=before))
        for _ in range(3):
            await house.rest(1.0)
        await house.intake.receive(ForgetRequested(ADA, room))
        left = await everything(house, "4711")
        assert left == []


async def test_a_draft_in_progress_dies_with_no_exception_of_the_adapter(tmp_path: Path) -> None:
    """A draft is a courtesy: what the adapter raises for one is no failure of the turn."""

    class Broken(Sketching):
        async def draft(self, to: Address, message: MessageId, text: str) -> None:
            raise RuntimeError("TaskGroup is shutting down")

    chat = Broken()
    async with core(tmp_path / "data", channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        for _ in range(12):
            await house.rest(1.0)
        assert [m.text for m in chat.sent] == ["You said: hello"]


async def test_a_file_whose_adapter_breaks_is_no_dead_letter(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:

        async def broken(source: str) -> None:
            raise RuntimeError("an exception of the SDK")

        house.channel.on_open = broken
        changed = await house.fetch(await house.receive("m", remote("one")), is_last_try=True)
        assert changed[MessageId("m")].attachments[0].problem


async def test_an_answer_that_the_platform_put_off_for_longer_than_it_may_age_is_not_sent(tmp_path: Path) -> None:
    from dataclasses import replace

    chat = Chat()
    chat.limits = replace(chat.limits, max_age_s=600.0)
    chat.refusals = [SendRefused("not connected", is_retryable=True, retry_after_s=30.0)] * 300
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        for _ in range(400):
            await house.rest(30.0)
        assert chat.board == {}


async def test_a_message_whose_adapter_gave_up_waiting_is_answered(tmp_path: Path) -> None:
    """It was committed after all, and the platform may or may not repeat it."""
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        taking = asyncio.create_task(say(house, "hello", "1"))
        await asyncio.sleep(0)  # it has been handed to the store
        taking.cancel()
        for _ in range(50):
            await house.rest(1.0)
            if chat.sent:
                break
        assert taking.cancelled()
        assert [message.text for message in chat.sent] == ["You said: hello"]
