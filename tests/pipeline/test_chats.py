"""What holds on channels like chat platforms: drafts with rows of their own, windows, wishes, context, verdicts, reports."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.accepting import CHOICE_REPLIES, SOLVED_ASK
from bot.delivery import HOLE_NOTICE, SEND_S
from bot.errors import Refused, SendRefused, SendUncertain, WindowClosed
from bot.model import (
    PERSON_BUTTON,
    Accepted,
    Address,
    Author,
    Bookmark,
    ButtonPressed,
    CaseEnded,
    ContactChoice,
    ContactChosen,
    DeliveryReported,
    DeliveryStatus,
    DraftPosted,
    FeedbackGiven,
    ForgetRequested,
    Heard,
    Identity,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageId,
    MessageReceived,
    PersonRequested,
    RemoteFile,
)
from bot.ports import ChatRequest, Chunk, Finished, Limits, Progress, Receipt, TextDelta
from tests.pipeline.house import Core, ListChannel, ScriptedModel, core

HOUR_MS = 3_600_000
ADA, BOB = Identity("chat", "", "ada", "Ada"), Identity("chat", "", "bob", "Bob")
AT = Address("chat", "", "ada")


class Chat(ListChannel):
    """A platform: `board` is what a person sees, by the platform's ids."""

    def __init__(self, *, window_s: float = 0.0, template: bool = False) -> None:
        super().__init__("chat")
        self.limits = Limits(text_chars=10_000, max_age_s=36_000.0, window_s=window_s)
        self.board: dict[str, str] = {}
        self.keys: dict[str, str] = {}  # of a message -> the platform's id
        self.lost: set[str] = set()  # ways in which answers get lost: "send", "draft"
        self.refusals: list[Exception] = []
        self.forms: list[str] = []
        self.events: list[DraftPosted] = []
        self.is_draft_reported = True
        self.house: Core | None = None
        self._template = template
        self._ids = itertools.count(1)
        self.windows: list[Message] = []

    async def send(self, to: Address, message: Message) -> Receipt:
        if self.refusals:
            raise self.refusals.pop(0)
        await super().send(to, message)
        shown = message.replaces or self._post(f"{message.id}/{message.part}" if message.part else message.id)
        self.board[shown] = message.text
        if "send" in self.lost:
            self.lost.discard("send")
            raise SendUncertain("cut off")
        return Receipt(shown)

    def has_template(self) -> bool:
        return self._template

    async def send_template(self, to: Address, message: Message) -> Receipt:
        self.forms.append(message.text)
        return Receipt("form")

    def _post(self, key: str) -> str:
        shown = f"p{next(self._ids)}"
        self.keys[key] = shown
        self.board[shown] = ""
        return shown


class Sketching(Chat):
    """One that shows drafts, and can be asked what it has."""

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        shown = self.keys.get(message)
        if shown is None:
            shown = self._post(message)
            if self.is_draft_reported and self.house is not None:
                await self.house.intake.receive(DraftPosted(to, message, shown))
        self.board[shown] += text

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        self.board.pop(shown_as or self.keys.get(message, ""), None)

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        shown = self.keys.get(message.id)
        return Receipt(shown) if shown else None


async def slowly(request: ChatRequest) -> AsyncIterator[Chunk]:
    yield TextDelta("Let me ")
    yield TextDelta("see.")
    yield Finished()


async def say(house: Core, text: str, number: str, who: Identity = ADA, at: Address = AT) -> Accepted:
    return await house.intake.receive(MessageReceived(who, at, number, text))


async def roles(house: Core) -> list[tuple[object, ...]]:
    return await house.all("SELECT role, state, external_id FROM outbox ORDER BY seq, part")


async def test_an_answer_takes_the_place_of_its_draft(tmp_path: Path) -> None:
    chat = Sketching()
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
        await house.rest()
        assert chat.board == {"p1": "Let me see."}
        assert await roles(house) == [("final", "sent", "p1")]
        assert [message.replaces for message in chat.sent] == ["p1"]


async def test_a_draft_has_a_durable_row_before_it_is_shown(tmp_path: Path) -> None:
    rows: list[list[tuple[object, ...]]] = []

    class Watched(Sketching):
        async def draft(self, to: Address, message: MessageId, text: str) -> None:
            assert self.house is not None
            rows.append(await roles(self.house))
            await super().draft(to, message, text)

    chat = Watched()
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
    assert rows[0] == [("draft", "sending", "")]


@pytest.mark.parametrize("is_reported", [True, False])
async def test_f12_a_rerun_after_a_crash_completes_the_draft_that_stands_there(
    tmp_path: Path, is_reported: bool
) -> None:
    """Whether or not the platform's id of the draft was stored: nothing is posted twice, and nothing half remains."""
    chat = Sketching()
    chat.is_draft_reported = is_reported

    async def for_ever(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        await asyncio.get_running_loop().create_future()

    async with core(tmp_path / "data", model=ScriptedModel(for_ever), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
        assert chat.board == {"p1": "Let me "}
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat, clock=house.clock) as house:
        chat.house = house
        await house.rest(1.0)
        await house.rest(1.0)
        assert chat.board == {"p1": "Let me see."}


async def test_an_edit_in_a_drafts_place_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    chat = Sketching()
    chat.lost = {"send"}
    async with core(tmp_path / "data", model=ScriptedModel(slowly), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        for _ in range(4):
            await house.rest(1.0)
        assert chat.board == {"p1": "Let me see."}
        assert await roles(house) == [("final", "sent", "p1")]


@pytest.mark.parametrize("is_reported", [True, False])
async def test_the_draft_of_an_answer_that_comes_too_late_is_taken_away(tmp_path: Path, is_reported: bool) -> None:
    """A person took over while it was written: what was shown goes, and the answer is a note."""
    chat = Sketching()
    chat.is_draft_reported = is_reported

    async def taken_over(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        await house.store.run(
            lambda cursor: cursor.execute("UPDATE conversations SET owner = 'op-1', version = version + 1")
        )
        yield TextDelta("see.")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(taken_over), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        for _ in range(3):
            await house.rest(1.0)
        assert chat.board == {}
        assert chat.sent == []
        assert await house.all("SELECT visibility, text FROM messages WHERE author = 'agent'") == [
            ("note", "Let me see.")
        ]


async def test_f23_the_draft_of_an_answer_to_a_deleted_message_is_taken_away(tmp_path: Path) -> None:
    chat = Sketching()

    async def deleted(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta("Let me ")
        deleting.set()
        await asyncio.get_running_loop().create_future()

    deleting = asyncio.Event()
    async with core(tmp_path / "data", model=ScriptedModel(deleted), channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest()
        await deleting.wait()
        await house.intake.receive(MessageDeleted(ADA, AT, "1", 5))
        for _ in range(3):
            await house.rest(1.0)
        assert chat.board == {}


async def test_a_rate_limit_is_no_try(tmp_path: Path) -> None:
    """Any number of waits that the platform asks for use up none of the tries."""
    chat = Sketching()
    chat.refusals = [SendRefused("slow down", is_retryable=True, retry_after_s=2.0)] * 20
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        for _ in range(60):
            await house.rest(1.0)
        assert list(chat.board.values()) == ["You said: hello"]


# --- the window ------------------------------------------------------------------------------------------------------


async def answer_after(house: Core, hours: float) -> None:
    """The model is slow, or the platform was down: the answer is ready so much later."""
    house.clock.step_wall(round(hours * HOUR_MS))


@pytest.mark.parametrize("template", [False, True])
async def test_f113_nothing_is_sent_outside_the_window(tmp_path: Path, template: bool) -> None:
    """It is held, the operators are told; where there is a form it tells the person, once; and what was held goes out when they write."""
    chat = Chat(window_s=86_400.0, template=template)

    async def late(request: ChatRequest) -> AsyncIterator[Chunk]:
        if len(model.requests) == 1:
            house.clock.step_wall(25 * HOUR_MS)
        yield TextDelta(f"Answer {len(model.requests)}.")
        yield Finished()

    model = ScriptedModel(late)
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        await say(house, "hello", "1")
        for _ in range(4):
            await house.rest(1.0)
        assert chat.board == {}
        assert chat.forms == (["Answer 1."] if template else [])
        assert await house.all("SELECT kind FROM incidents") == [("window closed",)]
        assert await house.all("SELECT state, is_held, held_for FROM outbox WHERE role = ''") == [
            ("planned", 1, "window")
        ]
        await say(house, "are you there?", "2")
        for _ in range(4):
            await house.rest(1.0)
        assert list(chat.board.values()) == ["Answer 1.", "Answer 2."]


async def test_f113_a_window_that_the_platform_sees_closed_holds_too(tmp_path: Path) -> None:
    """Its word counts more than our clock."""
    chat = Chat(window_s=86_400.0)
    chat.refusals = [WindowClosed("63016")]
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        await house.rest(1.0)
        assert chat.board == {}
        await say(house, "again", "2")
        for _ in range(3):
            await house.rest(1.0)
        assert list(chat.board.values()) == ["You said: hello", "You said: again"]


async def test_f113_a_message_that_failed_later_for_the_window_is_held(tmp_path: Path) -> None:
    chat = Chat(window_s=86_400.0)
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        reply = chat.sent[0].id
        failed = DeliveryReported(AT, reply, 0, "p1", DeliveryStatus.FAILED, "63016", is_window_closed=True)
        await house.intake.receive(failed)
        await house.intake.receive(failed)
        assert await house.all("SELECT state, is_held, held_for, external_id FROM outbox") == [
            ("planned", 1, "window", "p1")
        ]


# --- what people want ------------------------------------------------------------------------------------------------


async def test_a_stop_is_honoured_at_once_and_kept(tmp_path: Path) -> None:
    """One confirmation, then nothing: no answer is asked for, and none is sent, until they write START."""
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        chat.house = house
        stop = ContactChosen(ADA, AT, "1", ContactChoice.STOP, "Stop")
        await house.intake.receive(stop)
        await house.intake.receive(stop)
        await say(house, "hello?", "2")
        for _ in range(3):
            await house.rest(1.0)
        assert list(chat.board.values()) == [CHOICE_REPLIES[ContactChoice.STOP]]
        assert model.requests == []
        await house.intake.receive(ContactChosen(ADA, AT, "3", ContactChoice.START, "START"))
        await say(house, "hello!", "4")
        for _ in range(3):
            await house.rest(1.0)
        assert list(chat.board.values())[1:] == [CHOICE_REPLIES[ContactChoice.START], "You said: hello!"]
        assert await house.all("SELECT choice, word FROM contact_choices ORDER BY at_ms, message_id") == [
            ("stop", "Stop"),
            ("start", "START"),
        ] or await house.all("SELECT count(*) FROM contact_choices") == [(2,)]


async def test_an_answer_that_is_ready_after_a_stop_is_not_sent(tmp_path: Path) -> None:
    chat = Chat()

    async def stopped(request: ChatRequest) -> AsyncIterator[Chunk]:
        await house.intake.receive(ContactChosen(ADA, AT, "2", ContactChoice.STOP, "STOP"))
        yield TextDelta("Too late.")
        yield Finished()

    async with core(tmp_path / "data", model=ScriptedModel(stopped), channel=chat) as house:
        await say(house, "hello", "1")
        for _ in range(3):
            await house.rest(1.0)
        assert list(chat.board.values()) == [CHOICE_REPLIES[ContactChoice.STOP]]


async def test_help_is_answered_without_a_model(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        await house.intake.receive(ContactChosen(ADA, AT, "1", ContactChoice.HELP, "help"))
        await house.rest(1.0)
        assert list(chat.board.values()) == [CHOICE_REPLIES[ContactChoice.HELP]]
        assert model.requests == []


async def test_a_person_can_be_asked_for_by_a_command(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await house.intake.receive(PersonRequested(ADA, AT, "command-1"))
        await house.rest(1.0)
        assert await house.all("SELECT is_person_wanted FROM conversations") == [(1,)]
        assert await house.all("SELECT text FROM messages WHERE author = 'user'") == [(PERSON_BUTTON.label,)]


async def test_whether_a_case_was_solved_is_asked_and_kept(tmp_path: Path) -> None:
    """The press is a verdict and no message: nothing is answered."""
    chat, model = Chat(), ScriptedModel()
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        chat.house = house
        await say(house, "hello", "1")
        await house.rest(1.0)
        await house.intake.receive(CaseEnded(ADA, AT))
        await house.intake.receive(CaseEnded(ADA, AT))
        await house.rest(1.0)
        question = chat.sent[-1]
        assert (question.text, [button.id for button in question.buttons]) == (SOLVED_ASK, ["solved", "unsolved"])
        await house.intake.receive(ButtonPressed(ADA, AT, "press-1", question.id, "unsolved"))
        await house.rest(1.0)
        assert await house.all("SELECT outcome, feedback FROM cases") == [("ended by the user", "down")]
        assert len(model.requests) == 1
        assert len(chat.sent) == 2


async def test_an_idle_case_ends_and_is_asked_about_once(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        assert await house.intake.end_idle_cases() == 0
        house.clock.step_wall(25 * HOUR_MS)
        assert await house.intake.end_idle_cases() == 1
        assert await house.intake.end_idle_cases() == 0
        await house.rest(1.0)
        assert [message.text for message in chat.sent] == ["You said: hello", SOLVED_ASK]
        assert await house.all("SELECT outcome FROM cases") == [("idle",)]


async def test_a_verdict_may_name_the_message_as_the_platform_does(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        await house.intake.receive(FeedbackGiven(ADA, AT, "up", external_id="p1"))
        assert await house.all("SELECT feedback FROM messages WHERE author = 'agent'") == [("up",)]
        with pytest.raises(Refused):
            await house.intake.receive(FeedbackGiven(ADA, AT, "up", external_id="p77"))


async def test_buttons_and_sources_come_with_the_last_part_alone(tmp_path: Path) -> None:
    class Split(Chat):
        def split(self, text: str) -> list[str]:
            return [text[:8], text[8:]]

    chat = Split()
    async with core(tmp_path / "data", channel=chat) as house:
        await house.intake.receive(PersonRequested(ADA, AT, "1"))
        await house.rest(1.0)
        first = chat.sent[0]
        await house.intake.receive(CaseEnded(ADA, AT))
        assert [message.part for message in chat.sent] == [0, 1]
        assert not first.buttons


# --- what was said before --------------------------------------------------------------------------------------------


async def test_what_was_said_before_is_context_and_answered_by_nobody(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    before = (Heard(BOB, "a", "The printer is on fire", 5), Heard(ADA, "b", "Oh no", 6))
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        chat.house = house
        for _ in range(2):  # the same event again changes nothing
            await house.intake.receive(MessageReceived(ADA, AT, "c", "@desk what now?", before=before))
        await house.rest(1.0)
        assert [entry.text for entry in model.requests[0].messages] == [
            "Bob: The printer is on fire",
            "Ada: Oh no",
            "Ada: @desk what now?",
        ]
        assert len(model.requests) == 1
        longer = (*before, Heard(BOB, "d", "It is out", 8))
        await house.intake.receive(MessageReceived(BOB, AT, "e", "@desk thanks", before=longer))
        await house.rest(1.0)
        told = [entry.text for entry in model.requests[1].messages if entry.author is Author.USER]
        assert [text.partition(": ")[2] for text in told] == [
            "The printer is on fire",
            "Oh no",
            "@desk what now?",
            "It is out",
            "@desk thanks",
        ]


async def test_f23_what_was_said_before_can_be_changed_and_deleted(tmp_path: Path) -> None:
    chat, model = Chat(), ScriptedModel()
    before = (Heard(BOB, "a", "secret", 5), Heard(BOB, "b", "wrong", 5), Heard(BOB, "z", "gone before", 5))
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        chat.house = house
        await house.intake.receive(MessageDeleted(BOB, AT, "z", 6))
        await house.intake.receive(MessageReceived(ADA, AT, "c", "one", before=before))
        await house.rest(1.0)
        await house.intake.receive(MessageDeleted(BOB, AT, "a", 7))
        await house.intake.receive(MessageEdited(BOB, AT, "b", "right", 7))
        await say(house, "two", "d")
        await house.rest(1.0)
        told = [entry.text for entry in model.requests[-1].messages if entry.author is Author.USER]
        assert told == ["Bob: right", "Ada: one", "Ada: two"]


async def test_files_of_a_message_need_no_download_before_it_is_taken(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        files = (RemoteFile("https://files.test/1", "../plan\u202e.pdf", "application/pdf", 77),)
        await house.intake.receive(MessageReceived(ADA, AT, "1", "", files=files))
        stored = await house.all("SELECT attachments FROM messages WHERE author = 'user'")
        assert "https://files.test/1" in str(stored)
        assert "../" not in str(stored)


# --- bookmarks, reports, forgetting ----------------------------------------------------------------------------------


async def test_a_bookmark_is_kept_with_its_event_or_not_at_all(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        said = MessageReceived(ADA, AT, "1", "hello")
        await house.intake.receive(said, Bookmark("seq", "7"))
        await house.intake.receive(said, Bookmark("seq", "8"))
        with pytest.raises(Refused):
            await house.intake.receive(FeedbackGiven(ADA, AT, "up", external_id="no such thing"), Bookmark("seq", "9"))
        assert await house.all("SELECT channel, name, value FROM bookmarks") == [("chat", "seq", "8")]


@pytest.mark.parametrize(
    "order", list(itertools.permutations([DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ]))
)
async def test_f33_reports_in_any_order_never_go_back(tmp_path: Path, order: tuple[DeliveryStatus, ...]) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        reply = chat.sent[0].id
        for status in (*order, *order):
            await house.intake.receive(DeliveryReported(AT, reply, 0, "p1", status))
        assert await house.all("SELECT state, receipt, external_id FROM outbox") == [("sent", "read", "p1")]


async def test_f12_a_report_proves_that_a_lost_answer_was_an_arrival(tmp_path: Path) -> None:
    """It carries our own id: what was uncertain is settled without asking."""
    chat = Chat()
    chat.lost = {"send"}
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest()
        await house.intake.receive(DeliveryReported(AT, chat.sent[0].id, 0, "p1", DeliveryStatus.SENT))
        await house.rest(SEND_S)
        assert await house.all("SELECT state, external_id FROM outbox") == [("sent", "p1")]
        assert len(chat.sent) == 1


async def test_a_message_that_could_not_be_delivered_after_all_is_an_incident(tmp_path: Path) -> None:
    class Split(Chat):
        def split(self, text: str) -> list[str]:
            return [text[:5], text[5:]]

    chat = Split()
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        failed = DeliveryReported(AT, chat.sent[0].id, 1, "p2", DeliveryStatus.FAILED, "63024: no such person")
        await house.intake.receive(failed)
        for _ in range(2):
            await house.rest(1.0)
        assert await house.all("SELECT kind FROM incidents") == [("undelivered",)]
        assert list(chat.board.values())[-1] == HOLE_NOTICE


async def test_a_report_for_another_chat_changes_nothing(tmp_path: Path) -> None:
    chat = Chat()
    async with core(tmp_path / "data", channel=chat) as house:
        await say(house, "hello", "1")
        await house.rest(1.0)
        elsewhere = Address("chat", "", "eve")
        await house.intake.receive(DeliveryReported(elsewhere, chat.sent[0].id, 0, "p1", DeliveryStatus.FAILED, "x"))
        assert await house.all("SELECT state, receipt FROM outbox") == [("sent", "")]


async def test_a_person_can_have_forgotten_what_they_said(tmp_path: Path) -> None:
    """Nothing of it is left in any table, others keep what is theirs, and a message that is delivered again does not bring it back."""
    chat, model = Chat(), ScriptedModel()
    room = Address("chat", "", "room")
    async with core(tmp_path / "data", model=model, channel=chat) as house:
        chat.house = house
        await say(house, "my number is 4711", "1")
        await say(house, "4711 in a room", "2", at=room)
        await say(house, "bob was here", "3", who=BOB, at=room)
        await house.rest(1.0)
        await house.intake.receive(ForgetRequested(ADA, AT))
        await say(house, "my number is 4711", "1")
        await house.rest(1.0)
        everything = []
        for (table,) in await house.all("SELECT name FROM sqlite_master WHERE type = 'table'"):
            everything += await house.all(f"SELECT * FROM {table}")
        assert [row for row in everything if "my number" in str(row) or "in a room'" in str(row)] == []
        assert [row for row in everything if "Ada" in str(row)] == []
        assert any("bob was here" in str(row) for row in everything)
        await say(house, "what do you know?", "4")
        await house.rest(1.0)
        assert "4711" not in str(model.requests[-1].messages)


class Working(Sketching):
    """Shows what the agent does."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Progress] = []

    async def progress(self, to: Address, message: MessageId, step: Progress) -> None:
        self.steps.append(step)
