"""Voice messages are written down once, paid once, and never taken for silence."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.agent.context import Past, build
from bot.agent.ears import Ears
from bot.agent.router import Router
from bot.agent.sizes import kinds_of
from bot.agent.spending import Spending
from bot.config.schema import Model, Prices
from bot.errors import Fault, ModelError
from bot.hearing import (
    CANNOT_LISTEN,
    COULD_NOT_LISTEN,
    HEARD_NOTHING,
    NO_EARS,
    NOT_HEARD,
    SILENT,
    Heard,
    Hearing,
    Listener,
    is_prepared,
)
from bot.llm.clients import Clients
from bot.llm.content import note
from bot.llm.transcribe import Transcriber
from bot.model import Attachment, BlobId, Message, MessageId
from bot.net.perimeter import Perimeter
from bot.ports import Cursor
from bot.telemetry.metrics import Metrics
from tests.agent.models import Scripted
from tests.clock import ManualClock
from tests.files.desk import ANN, OGG, Desk, desk, pieces, remote
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Counts, Received, Reply

M = MessageId("m")
WAV = b"RIFF\x10\x00\x00\x00WAVEfmt " + b"speech" * 60
Settings = Mapping[str, Mapping[str, Any]]
HEARS: Settings = {"chat": {"reads": ("text", "audio")}}


class Room:
    """A desk with somebody who listens. The agent `main` answers with the models `chat` and `spare`, and whatever is in `chain` is asked
    what was said; each of these has a server of its own."""

    def __init__(
        self, house: Desk, clients: Clients, servers: Sequence[OpenAIServer], settings: Settings, budget: float
    ) -> None:
        self.house, self.servers = house, servers
        clock = house.clock
        models = {name: _model("http://127.0.0.1:1", settings.get(name, {})) for name in ("chat", "spare")}
        for number, server in enumerate(servers):
            models[f"ears{number}"] = _model(server.base_url, settings.get(f"ears{number}", {}))
        self.spending = Spending(
            clock, {name: each.prices for name, each in models.items()}, per_person=budget, per_day=0.0
        )
        chat = {name: Scripted(name, clock) for name in models}
        self.router = Router(chat, models, clock, Metrics(), spending=self.spending, circuit_failures=2)
        self.ears = Ears(self.router)
        self.transcribers = {
            name: Transcriber(name, each, clients, clock) for name, each in models.items() if name.startswith("ears")
        }
        self.ears.take(self.transcribers, {"main": tuple(self.transcribers)})
        self.hearing = Hearing(house.store, clock, house.blobs.read, self.ears)

    async def say(self, id_: str, *sounds: bytes, text: str = "", more: Sequence[Attachment] = ()) -> Message:
        """A message with voice messages of the person, which were fetched."""
        kept = []
        for data in sounds:
            blob = await self.house.blobs.save(pieces(data), "voice", ANN)
            kept.append(Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes))
        return await self.house.receive(id_, *kept, *more, text=text)

    async def listen(self, *messages: Message, is_last_try: bool = False, agent: str = "main") -> Heard:
        listener = Listener(agent, ("chat", "gone", "spare"), "turn", "c", "ann")
        return await self.hearing.listen(messages, listener, is_last_try=is_last_try)

    def asked(self) -> list[int]:
        """How often each server was asked."""
        return [len(server.ledger) for server in self.servers]

    async def spent(self) -> dict[str, tuple[int, int, int]]:
        """What is on record for the person, by model: calls, failed calls, cost."""
        rows = await self.house.store.read("SELECT model, calls, failed, cost_micros FROM spend WHERE payer = 'ann'")
        return {row[0]: row[1:] for row in rows}


def _model(url: str, settings: Mapping[str, Any]) -> Model:
    given = {"provider": "openai", "model": "m", "base_url": url, "api_key": SecretStr("sk-test-0123456789abcdef")}
    return Model(**{**given, **settings})


@asynccontextmanager
async def room(
    data: Path, *replies: Reply, settings: Settings | None = None, budget: float = 0.0
) -> AsyncIterator[Room]:
    """With a server for each of the replies, which it always gives."""
    servers = [OpenAIServer(lambda _, reply=reply: reply) for reply in replies]  # type: ignore[misc]  # mypy sees no default here
    clients = Clients(Perimeter(None))
    for server in servers:
        await server.start()
    try:
        async with desk(data, ManualClock()) as house:
            yield Room(house, clients, servers, settings or {}, budget)
    finally:
        await clients.close()
        for server in servers:
            await server.close()


async def test_what_was_said_stands_in_the_message_with_its_cost(tmp_path: Path) -> None:
    prices = {"ears0": {"prices": Prices(input=2, output=10)}}
    async with room(tmp_path, Reply("When do you open?", counts=Counts(100, 5)), settings=prices) as house:
        heard = await house.listen(await house.say("m", OGG))
        row = await house.house.message("m")
        assert heard.messages == {M: row}
        assert (row.attachments[0].transcript, row.attachments[0].problem, heard.answer) == (
            "When do you open?",
            "",
            "",
        )
        assert await house.spent() == {"ears0": (1, 0, 250)}
        (attempt,) = heard.attempts
        assert (attempt.model, attempt.outcome, attempt.cost_micros) == ("ears0", "answered", 250)
        assert house.spending.today()["ears0"].cost_micros == 250


async def test_a_rerun_neither_asks_nor_pays_again(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("Hello.")) as house:
        await house.listen(await house.say("m", OGG))
        assert await house.listen(await house.house.message("m")) == Heard({})
        assert house.asked() == [1]
        assert (await house.spent())["ears0"][0] == 1


async def test_the_model_reads_it_as_the_persons_words(tmp_path: Path) -> None:
    """Within its budget, and with a note that a machine wrote it down."""
    async with room(tmp_path, Reply("It is broken, and it cost 40 euros.")) as house:
        heard = await house.listen(await house.say("m", OGG, text="My lamp:"))
    message = heard.messages[M]
    (entry,) = build(Past(), [message], 1_000)
    assert entry.text == "My lamp:\n\nIt is broken, and it cost 40 euros."
    assert build(Past([message]), [], 1_000) == (entry,)
    assert len(build(Past(), [message], 20)[0].text) <= 20
    assert "written out here by a machine" in note(entry.attachments[0])
    assert kinds_of((entry,)) == frozenset(), "no model has to hear it any more"


async def test_several_voice_messages_are_each_heard(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("Yes.")) as house:
        heard = await house.listen(await house.say("m", OGG, WAV), await house.say("n", OGG))
    told = [each.transcript for message in heard.messages.values() for each in message.attachments]
    assert told == ["Yes."] * 3


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500])
async def test_when_one_model_fails_the_next_is_asked(tmp_path: Path, status: int) -> None:
    async with room(tmp_path, Reply(status=status), Reply("Hello.")) as house:
        heard = await house.listen(await house.say("m", OGG))
        assert heard.messages[M].attachments[0].transcript == "Hello."
        assert [each.model for each in heard.attempts] == ["ears0", "ears1"]
        assert await house.spent() == {"ears0": (1, 1, 0), "ears1": (1, 0, 0)}


async def test_a_failure_that_may_pass_is_tried_again_later(tmp_path: Path) -> None:
    """What was heard by then is kept, and what was asked is on record."""
    replies = [Reply("First."), Reply(status=503), Reply("Second.")]
    async with room(tmp_path, Reply()) as house:
        house.servers[0].script = lambda _: replies.pop(0)
        message = await house.say("m", OGG, OGG)
        with pytest.raises(ModelError) as caught:
            await house.listen(message)
        assert caught.value.fault is Fault.OVERLOADED
        row = await house.house.message("m")
        assert [each.transcript for each in row.attachments] == ["First.", ""]
        assert await house.spent() == {"ears0": (2, 1, 0)}
        heard = await house.listen(row)
        assert [each.transcript for each in heard.messages[M].attachments] == ["First.", "Second."]


async def test_after_the_last_try_the_person_is_told(tmp_path: Path) -> None:
    async with room(tmp_path, Reply(status=503)) as house:
        heard = await house.listen(await house.say("m", OGG), is_last_try=True)
        assert heard.answer == COULD_NOT_LISTEN
        assert heard.messages[M].attachments[0].problem == NOT_HEARD
        assert heard.messages[M] == await house.house.message("m")


async def test_a_failure_that_will_not_pass_is_not_tried_again(tmp_path: Path) -> None:
    """Nobody waits for a key that is refused; operators hear of it."""
    async with room(tmp_path, Reply(status=401)) as house:
        assert (await house.listen(await house.say("m", OGG))).answer == COULD_NOT_LISTEN
        incidents = await house.house.store.read("SELECT kind, subject FROM incidents")
        assert incidents == [("model", "ears0")]


async def test_without_anybody_who_listens_the_person_is_asked_to_write(tmp_path: Path) -> None:
    async with room(tmp_path) as house:
        heard = await house.listen(await house.say("m", OGG))
        assert heard.answer == CANNOT_LISTEN
        assert heard.messages[M].attachments[0].problem == NO_EARS
        assert (await house.listen(heard.messages[M])).answer == CANNOT_LISTEN, "a rerun says the same"


@pytest.mark.parametrize("text", ["Where is my order?", ""])
async def test_what_else_was_sent_is_answered_all_the_same(tmp_path: Path, text: str) -> None:
    """Words or another file: the model answers them, and knows that there was more."""
    picture = Attachment(BlobId("b"), "lamp.png", "image/png", 9)
    async with room(tmp_path) as house:
        heard = await house.listen(await house.say("m", OGG, text=text, more=() if text else (picture,)))
        assert heard.answer == ""
        apart = await house.listen(await house.say("n", OGG), await house.say("o", text=text or "Hi"))
        assert apart.answer == ""
    assert "could not be read: Voice messages" in note(heard.messages[M].attachments[0])


async def test_nothing_to_hear_is_said_and_not_asked_again(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("  ")) as house:
        heard = await house.listen(await house.say("m", OGG))
        assert (heard.answer, heard.messages[M].attachments[0].problem) == (HEARD_NOTHING, SILENT)
        await house.listen(await house.house.message("m"))
        assert house.asked() == [1]


async def test_messages_without_a_voice_are_left_alone(tmp_path: Path) -> None:
    files = (
        Attachment(BlobId("b"), "lamp.png", "image/png", 9),
        Attachment(BlobId(""), "x", "audio/ogg", 9, "far", problem="It is gone."),
    )
    async with room(tmp_path, Reply()) as house:
        assert await house.listen(await house.say("m", text="Hi"), await house.say("n", more=files)) == Heard({})
        assert await house.listen() == Heard({})
        assert house.asked() == [0]


async def test_a_model_that_listens_gets_the_sound_itself(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("Hi."), settings=HEARS) as house:
        message = await house.say("m", WAV)
        assert await house.listen(message) == Heard({})
        (entry,) = build(Past(), [message], 1_000)
        assert kinds_of((entry,)) == {"audio"}
        heard = await house.listen(await house.say("n", OGG))
        assert heard.messages[MessageId("n")].attachments[0].transcript == "Hi.", "it takes WAV and MP3 alone"


async def test_only_the_model_that_is_asked_first_listens_for_the_others(tmp_path: Path) -> None:
    """Where nobody transcribes, any model of the chain will do."""
    second = {"spare": {"reads": ("text", "audio")}}
    async with room(tmp_path / "a", Reply("Hi."), settings=second) as house:
        heard = await house.listen(await house.say("m", WAV))
        assert heard.messages[M].attachments[0].transcript == "Hi."
    async with room(tmp_path / "b", settings=second) as house:
        assert await house.listen(await house.say("m", WAV)) == Heard({})


async def test_what_has_to_be_done_before_a_turn_reads_it_can_be_told(tmp_path: Path) -> None:
    """So that a message which arrives while a turn runs is left to the next."""
    async with room(tmp_path, Reply("Hi.")) as house:
        message = await house.say("m", OGG)
        assert not is_prepared(message)
        assert is_prepared((await house.listen(message)).messages[M])
        assert not is_prepared(await house.house.receive("n", remote("far")))
        assert is_prepared(await house.say("o", text="Hi", more=[Attachment(BlobId("b"), "x", "image/png", 1)]))


async def test_each_agent_has_its_own_ears(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("First."), Reply("Second.")) as house:
        house.ears.take(house.transcribers, {"main": ("ears0",), "other": ("ears1", "unknown"), "deaf": ("unknown",)})
        heard = await house.listen(await house.say("m", OGG), agent="other")
        assert heard.messages[M].attachments[0].transcript == "Second."
        for agent in ("deaf", "nobody"):
            assert (await house.listen(await house.say(agent, OGG), agent=agent)).answer == CANNOT_LISTEN
        assert house.asked() == [0, 1]


async def test_a_used_up_budget_pays_for_nothing_more(tmp_path: Path) -> None:
    prices = {"ears0": {"prices": Prices(input=1_000_000)}}
    async with room(tmp_path, Reply("Hi.", counts=Counts(2, 0)), settings=prices, budget=1.0) as house:
        await house.listen(await house.say("m", OGG))
        heard = await house.listen(await house.say("n", OGG), is_last_try=True)
        assert [each.outcome for each in heard.attempts] == ["passed over"]
        assert house.asked() == [1]


async def test_a_model_that_keeps_failing_is_left_alone(tmp_path: Path) -> None:
    async with room(tmp_path, Reply(status=500), Reply("Hi.")) as house:
        for number in range(4):
            await house.listen(await house.say(f"m{number}", OGG))
        assert house.asked() == [2, 4]


async def test_no_more_calls_run_at_once_than_the_model_takes(tmp_path: Path) -> None:
    most = 0

    def answer(_: Received) -> Reply:
        nonlocal most
        most = max(most, house.servers[0].open)
        return Reply("Hi.")

    limits = {"ears0": {"limits": {"calls_at_once": 1}}}
    async with room(tmp_path, Reply(), settings=limits) as house:
        house.servers[0].script = answer
        messages = [await house.say(f"m{number}", OGG) for number in range(5)]
        await asyncio.gather(*map(house.listen, messages))
        assert house.asked() == [5]
    assert most == 1


async def test_a_turn_that_is_ended_leaves_the_model_free(tmp_path: Path) -> None:
    limits = {"ears0": {"limits": {"calls_at_once": 1}}}
    async with room(tmp_path, Reply(is_mute=True), settings=limits) as house:
        message = await house.say("m", OGG)
        task = asyncio.ensure_future(house.listen(message))
        await house.servers[0].silence()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert house.router.members["ears0"].limiter.running == 0
        house.servers[0].script = lambda _: Reply("Hi.")
        assert (await house.listen(message)).messages[M].attachments[0].transcript == "Hi."


async def test_a_message_that_is_withdrawn_meanwhile_keeps_no_words(tmp_path: Path) -> None:
    """It has cost something all the same."""
    async with room(tmp_path, Reply("A secret.")) as house:
        message = await house.say("m", OGG)
        await house.house.delete("m")
        heard = await house.listen(message)
        assert (heard.messages[M].attachments, heard.answer) == ((), "")
        assert (await house.house.message("m")).attachments == ()
        assert (await house.spent())["ears0"][0] == 1


async def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    lost = Attachment(BlobId("0198-lost"), "voice", "audio/ogg", 9)
    async with room(tmp_path, Reply()) as house:
        heard = await house.listen(await house.say("m", more=(lost,)))
        assert "not there" in heard.messages[M].attachments[0].problem
        assert house.asked() == [0]


async def test_the_words_and_their_cost_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    async with room(tmp_path, Reply("Hi.")) as house:
        message = await house.say("m", OGG)
        await house.house.store.run(_break)
        with pytest.raises(sqlite3.IntegrityError):
            await house.listen(message)
        assert await house.house.message("m") == message


def _break(cursor: Cursor) -> None:
    """From now on no cost can be put on record."""
    cursor.execute("CREATE TRIGGER no_spend BEFORE INSERT ON spend BEGIN SELECT RAISE(ABORT, 'no'); END")
