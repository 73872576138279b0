"""Races between turns, delivery, what platforms report and what people want, on channels like chat platforms."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.accepting import SOLVED_ASK
from bot.errors import SendRefused, SendUncertain, WindowClosed
from bot.model import (
    Address,
    ContactChoice,
    ContactChosen,
    DeliveryReported,
    DeliveryStatus,
    ForgetRequested,
    Heard,
    Message,
    MessageEdited,
    MessageId,
    MessageReceived,
)
from bot.ports import ChatRequest, Chunk, Finished, Receipt, TextDelta
from tests.pipeline.house import Core, ScriptedModel, core
from tests.pipeline.test_chats import ADA, AT, BOB, HOUR_MS, Chat, Sketching, say, slowly

ROOM = Address("chat", "", "room")
DAY_S = 86_400.0


async def rests(house: Core, times: int = 4, seconds: float = 1.0) -> None:
    for _ in range(times):
        await house.rest(seconds)


# 1
async def test_a_question_that_was_overheard_before_its_own_event_came_is_answered(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        before = (Heard(BOB, "b", "@desk what is my balance?", 5),)
        await house.intake.receive(MessageReceived(ADA, ROOM, "a", "@desk opening hours?", before=before))
        await rests(house)
        await house.intake.receive(MessageReceived(BOB, ROOM, "b", "@desk what is my balance?"))
        await rests(house)
        assert len(model.requests) == 2


# 1b
async def test_a_message_that_names_itself_as_said_before_is_answered(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        await house.intake.receive(
            MessageReceived(ADA, ROOM, "a", "@desk help", before=(Heard(ADA, "a", "@desk help", 5),))
        )
        await rests(house)
        assert len(model.requests) == 1


# 2
async def test_f33_a_late_sent_report_does_not_lose_a_message_that_waits_for_the_window(tmp_path: Path) -> None:
    chat = Chat(window_s=DAY_S)
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house, 1)
        reply = chat.sent[0].id
        chat.board.clear()  # it never arrived
        await house.intake.receive(
            DeliveryReported(AT, reply, 0, "p1", DeliveryStatus.FAILED, "63016", is_window_closed=True)
        )
        await house.intake.receive(DeliveryReported(AT, reply, 0, "p1", DeliveryStatus.SENT))
        await say(house, "are you there?", "2")
        await rests(house)
        assert list(chat.board.values()) == ["You said: hello", "You said: are you there?"]


# 2b
async def test_f33_a_repeated_failure_report_of_the_first_try_does_not_send_the_second_twice(tmp_path: Path) -> None:
    chat = Chat(window_s=DAY_S)
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house, 1)
        reply = chat.sent[0].id
        failed = DeliveryReported(AT, reply, 0, "p1", DeliveryStatus.FAILED, "63016", is_window_closed=True)
        await house.intake.receive(failed)

        async def repeated(message: Message) -> None:
            if message.id == reply:
                chat.on_send = None
                await house.intake.receive(failed)

        chat.on_send = repeated
        await say(house, "are you there?", "2")
        await rests(house)
        await say(house, "and now?", "3")
        await rests(house)
        assert [message.text for message in chat.sent].count(
            "You said: hello"
        ) == 2  # the one that failed, and one more


# 3
async def test_f12_a_report_that_comes_while_the_request_still_hangs_settles_it(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:

        async def arrived_but_cut(message: Message) -> None:
            chat.sent.append(message)
            await house.intake.receive(DeliveryReported(AT, message.id, 0, "SM1", DeliveryStatus.DELIVERED))
            raise SendUncertain("cut off")

        chat.on_send = arrived_but_cut
        await say(house, "hello", "1")
        await rests(house)
        assert await house.all("SELECT state, is_held, external_id FROM outbox") == [("sent", 0, "SM1")]


class Looking(Chat):
    """Can be asked what it has; while it looks, something may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        self.looked += 1
        assert self.house is not None
        await self.house.intake.receive(DeliveryReported(AT, message.id, 0, "SM1", DeliveryStatus.SENT))
        return None  # the list of the platform lags behind its callback


# 3b
async def test_f12_a_report_that_comes_during_the_lookup_is_not_overwritten_by_it(tmp_path: Path) -> None:
    chat = Looking()
    chat.lost = {"send"}
    async with core(tmp_path / "data", channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await rests(house, 6)
        assert len(chat.sent) == 1


# 4
async def test_a_failing_withdrawal_stops_nobody_else(tmp_path: Path) -> None:
    class Broken(Sketching):
        async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
            raise RuntimeError("a bug of the adapter, or an exception of its SDK")

    chat = Broken()
    shown = asyncio.Event()

    async def deleted(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        shown.set()
        await asyncio.get_running_loop().create_future()

    from bot.model import MessageDeleted

    async with core(tmp_path / "data", model=ScriptedModel(deleted), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
        await shown.wait()
        await house.intake.receive(MessageDeleted(ADA, AT, "1", 5))
        await rests(house, 3)


# 4b
async def test_a_failing_typing_sign_stops_nobody(tmp_path: Path) -> None:
    class Broken(Chat):
        async def typing(self, to: Address) -> None:
            raise RuntimeError("a bug of the adapter, or an exception of its SDK")

    async def long(request: ChatRequest) -> AsyncIterator[Chunk]:
        await house.clock.sleep(2.0)
        yield TextDelta("There.")
        yield Finished()

    chat = Broken()
    async with core(tmp_path / "data", model=ScriptedModel(long), channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house, 4)
        assert list(chat.board.values()) == ["There."]


# 6
@pytest.mark.parametrize("template", [False, True])
async def test_f113_nobody_is_asked_about_a_case_outside_the_window(tmp_path: Path, template: bool) -> None:
    chat = Chat(window_s=DAY_S, template=template)
    async with core(tmp_path / "data", channel=chat) as house:  # its cases end after 86,400 s, as by default
        await say(house, "hello", "1")
        await rests(house, 1)
        house.clock.step_wall(25 * HOUR_MS)
        assert await house.intake.end_idle_cases() == 1
        await rests(house)
        assert chat.forms == []
        assert await house.all("SELECT kind FROM incidents") == []
        await say(house, "another question", "2")
        await rests(house)
        assert SOLVED_ASK not in [message.text for message in chat.sent]


# 8a
async def test_what_a_person_had_forgotten_is_not_sent_as_an_empty_text(tmp_path: Path) -> None:
    chat = Sketching()
    chat.refusals = [SendRefused("busy", is_retryable=True)]
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "my number is 4711", "1")
        await house.rest()
        await house.rest()
        await house.intake.receive(ForgetRequested(ADA, AT))
        await rests(house)
        assert "" not in [message.text for message in chat.sent]


# 8b
@pytest.mark.parametrize("where", ["early_changes", "messages.error"])
async def test_nothing_that_was_forgotten_is_left_in_any_table(tmp_path: Path, where: str) -> None:
    chat = Chat()
    calls = 0

    async def poisoned(request: ChatRequest) -> AsyncIterator[Chunk]:
        nonlocal calls
        calls += 1
        if where == "messages.error" and calls == 1:
            raise ValueError(f"cannot read {request.messages[-1].text!r}")
        yield TextDelta("ok")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(poisoned), channel=chat) as house:
        if where == "early_changes":
            await house.intake.receive(MessageEdited(ADA, AT, "1", "my number is 4711", 5))
        await say(house, "my number is 4711", "1")
        await rests(house, 8)
        await house.intake.receive(ForgetRequested(ADA, AT))
        await rests(house, 2)
        left = []
        for (table,) in await house.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
            left += [(table, row) for row in await house.all(f"SELECT * FROM {table}") if "4711" in str(row)]
        assert left == []


# 8c
async def test_what_was_forgotten_is_not_left_in_the_file(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        for number in range(30):
            await say(house, f"secret-4711 number {number} " * 60, str(number))
            await rests(house, 1)
        await house.intake.receive(ForgetRequested(ADA, AT))
        await rests(house, 2)
    assert b"secret-4711" not in (tmp_path / "data" / "frontdesk.db").read_bytes()


# 9
async def test_a_draft_whose_answer_is_refused_for_good_does_not_stay_half(tmp_path: Path) -> None:
    chat = Sketching()
    chat.refusals = [SendRefused("invalid_blocks", is_retryable=False)]

    async def halting(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Your order will not ")
        yield TextDelta("be late.")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(halting), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await rests(house, 5)
        assert chat.board == {}


# 9b
async def test_a_draft_that_stands_when_the_person_says_stop_is_taken_away(tmp_path: Path) -> None:
    chat = Sketching()

    async def stopped(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        await house.intake.receive(ContactChosen(ADA, AT, "2", ContactChoice.STOP, "STOP"))
        yield TextDelta("tell you more and more.")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(stopped), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await rests(house, 4)
        assert not any("Let me" in text for text in chat.board.values())


class Away(Sketching):
    """Not connected for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.away = 0
        self.asked = 0

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        self.asked += 1
        if self.asked <= self.away:
            raise SendRefused("not connected", is_retryable=True, retry_after_s=5.0)
        await super().withdraw(to, message, shown_as)


async def take_over(house: Core) -> None:
    await house.store.run(
        lambda cursor: cursor.execute("UPDATE conversations SET owner = 'op-1', version = version + 1")
    )


# 10
async def test_a_draft_is_taken_away_however_long_the_platform_puts_it_off(tmp_path: Path) -> None:
    chat = Away()
    chat.away = 30

    async def taken_over(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        await take_over(house)
        yield TextDelta("see.")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(taken_over), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await rests(house, 60, 5.0)
        assert chat.board == {}


# 10b
async def test_a_withdrawal_that_waits_holds_no_answer_back(tmp_path: Path) -> None:
    chat = Away()
    chat.away = 5
    asked = 0

    async def deleted(request: ChatRequest) -> AsyncIterator[Chunk]:
        nonlocal asked
        asked += 1
        yield TextDelta(f"Answer {asked}.")
        if asked == 1:
            shown.set()
            await asyncio.get_running_loop().create_future()
        yield Finished()

    from bot.model import MessageDeleted

    shown = asyncio.Event()
    async with core(tmp_path / "data", model=ScriptedModel(deleted), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
        await shown.wait()
        await house.intake.receive(MessageDeleted(ADA, AT, "1", 5))
        await rests(house, 2, 0.1)
        await say(house, "other question", "2")
        began = house.clock.monotonic()
        while not chat.sent and house.clock.monotonic() - began < 120:
            await house.rest(1.0)
        waited = house.clock.monotonic() - began
        assert waited <= 2


# 11
async def test_the_draft_of_a_dead_letter_is_taken_away_after_a_takeover(tmp_path: Path) -> None:
    chat = Sketching()
    calls = 0

    async def failing(request: ChatRequest) -> AsyncIterator[Chunk]:
        nonlocal calls
        calls += 1
        yield TextDelta("Let me ")
        if calls == 3:
            await take_over(house)
        raise ValueError("poison")

    async with core(tmp_path / "data", model=ScriptedModel(failing), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await rests(house, 40, 1.0)
        assert chat.board == {}


# 12
async def test_f53_what_a_restore_holds_is_not_released_by_the_person(tmp_path: Path) -> None:
    chat = Chat(window_s=DAY_S)
    chat.refusals = [WindowClosed("63016")]
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house, 2)
        await house.store.run(lambda cursor: cursor.execute("INSERT INTO meta (key, value) VALUES ('backup_ms', '1')"))
    async with core(tmp_path / "data", channel=chat, clock=house.clock) as house:
        assert await house.all("SELECT is_held, error FROM outbox") == [(1, "restored from a backup")]
        await say(house, "are you there?", "2")
        await rests(house)
        assert "You said: hello" not in [message.text for message in chat.sent]


# 13
async def test_f113_an_older_message_that_comes_late_does_not_close_the_window(tmp_path: Path) -> None:
    chat = Chat(window_s=DAY_S)
    async with core(tmp_path / "data", channel=chat, quiet_s=1.0) as house:
        now = house.clock.now_ms()
        await house.intake.receive(MessageReceived(ADA, AT, "new", "are you there?", sent_at_ms=now))
        await house.intake.receive(
            MessageReceived(ADA, AT, "old", "hello", sent_at_ms=now - 30 * HOUR_MS)
        )  # after a gap
        await rests(house)
        assert len(chat.sent) == 1


# 14
async def test_the_one_who_asks_pays_and_not_the_one_who_was_overheard(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await house.intake.receive(MessageReceived(ADA, ROOM, "a", "@desk hi", before=(Heard(BOB, "b", "lunch?", 5),)))
        await rests(house, 1)
        assert await house.all(
            "SELECT i.external_id FROM conversations c JOIN identities i ON i.id = c.identity_id"
        ) == [("ada",)]


# 19
async def test_f110_an_answer_that_waits_is_not_sent_after_a_takeover(tmp_path: Path) -> None:
    chat = Chat()
    chat.refusals = [SendRefused("slow down", is_retryable=True, retry_after_s=30.0)]
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house, 2)
        await take_over(house)
        await rests(house, 10, 10.0)
        assert chat.board == {}


# 18
async def test_what_was_forgotten_is_told_to_no_model_though_the_adapter_gave_up_waiting(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        await say(house, "my number is 4711", "1", at=ROOM)
        await say(house, "bob was here", "b", who=BOB, at=ROOM)
        await rests(house, 2)
        forgetting = asyncio.create_task(house.intake.receive(ForgetRequested(ADA, AT)))
        await asyncio.sleep(0)
        forgetting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forgetting
        await house.store.run(lambda cursor: None)  # comes after what was handed over
        await rests(house, 2)
        assert "4711" not in str(await house.all("SELECT text FROM messages"))
        await say(house, "what do you know?", "2", who=BOB, at=ROOM)
        await rests(house, 2)
        assert "4711" not in str(model.requests[-1].messages)


# 22
async def test_an_answer_whose_draft_was_not_reported_yet_is_sent_where_nobody_can_look_it_up(tmp_path: Path) -> None:
    class Plain(Chat):
        async def draft(self, to: Address, message: MessageId, text: str) -> None:
            """Shows nothing yet: its first edit is due in a second."""

        async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
            """Nothing was shown."""

    chat = Plain()
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        await say(house, "hello", "1")
        await rests(house)
        assert list(chat.board.values()) == ["Let me see."]
