"""Promises over whatever people, platforms and histories may bring."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent import context
from bot.agent.context import CUT, Past
from bot.ids import conversation_id
from bot.model import Address, Author, Identity, Message, MessageDeleted, MessageId, Seq, Visibility
from bot.ports import ChatRequest, Chunk, Row, Value
from bot.store import records
from tests.pipeline.house import ScriptedModel, core, echo

TEXTS = st.text(max_size=80)


@st.composite
def messages(draw: st.DrawFn, author: Author | None = None) -> list[Message]:
    """A stretch of a conversation; some of it are notes, some was deleted."""
    count = draw(st.integers(0, 8))
    return [
        Message(
            id=MessageId(f"m{number}"),
            seq=Seq(number + 1),
            author=author or draw(st.sampled_from(Author)),
            text=draw(TEXTS),
            at_ms=number,
            visibility=Visibility.PUBLIC if author else draw(st.sampled_from(Visibility)),
            is_deleted=draw(st.integers(0, 9)) == 0,
        )
        for number in range(count)
    ]


def shown(message: Message) -> bool:
    return message.visibility is Visibility.PUBLIC and not message.is_deleted


@settings(max_examples=300, deadline=None)
@given(past=messages(), unhandled=messages(Author.USER), budget=st.integers(20, 400))
def test_a_context_never_exceeds_its_budget(past: list[Message], unhandled: list[Message], budget: int) -> None:
    """However long the history and whatever the user wrote."""
    built = context.build(Past(past), unhandled, budget)
    assert sum(len(entry.text) for entry in built) <= budget


@settings(max_examples=300, deadline=None)
@given(past=messages(), unhandled=messages(Author.USER), newest=TEXTS, budget=st.integers(20, 400))
def test_the_newest_text_of_the_user_is_never_dropped(
    past: list[Message], unhandled: list[Message], newest: str, budget: int
) -> None:
    """It ends what the model reads: whole where it fits, else as much of its beginning as fits, marked as cut."""
    last = Message(MessageId("last"), Seq(99), Author.USER, newest or "?", 99)
    built = context.build(Past(past), [*unhandled, last], budget)
    assert built[-1].author is Author.USER
    if len(last.text) <= budget:
        assert built[-1].text == last.text
    else:
        assert built[-1].text == last.text[: budget - len(CUT)] + CUT


@settings(max_examples=300, deadline=None)
@given(past=messages(), unhandled=messages(Author.USER), budget=st.integers(20, 400))
def test_the_past_is_a_stretch_without_holes(past: list[Message], unhandled: list[Message], budget: int) -> None:
    """What is kept of the history is its newest part, in order, without notes and without what was deleted; and it is as long as fits."""
    asked = context.build(Past(), unhandled, budget)
    built = context.build(Past(past), unhandled, budget)
    kept = [entry.text for entry in built[: len(built) - len(asked)]]
    visible = [message.text for message in past if shown(message)]
    assert list(built[len(kept) :]) == list(asked)
    assert kept == visible[len(visible) - len(kept) :]
    if len(kept) < len(visible):
        left = budget - sum(len(entry.text) for entry in built)
        assert left < len(visible[len(visible) - len(kept) - 1])


@settings(max_examples=200, deadline=None)
@given(first=messages(), second=messages(), budget=st.integers(20, 400), most=st.integers(1, 10))
def test_a_past_that_grew_is_the_past_that_was_read(
    first: list[Message], second: list[Message], budget: int, most: int
) -> None:
    """Carried from turn to turn or read from the store: the model sees the same."""
    grown, whole = Past(first), Past([*first, *second])
    for message in second:
        grown.add(message)
    for past in (grown, whole):
        past.keep_newest(most)
    assert list(grown.within(budget)) == list(whole.within(budget))
    assert len(grown) == min(most, sum(map(shown, [*first, *second])))


@settings(max_examples=25, deadline=None)
@given(
    deliveries=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ada", "bob"])), min_size=1, max_size=25),
    groups=st.integers(1, 5),
    restart_at=st.integers(0, 4),
)
def test_any_interleaving_of_redeliveries_yields_one_message(
    deliveries: list[tuple[int, str]], groups: int, restart_at: int
) -> None:
    """Side by side, one after the other, over a restart: each event is stored once, and answered once."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_redeliver(Path(folder) / "data", deliveries, groups, restart_at))


async def _redeliver(folder: Path, deliveries: list[tuple[int, str]], groups: int, restart_at: int) -> None:
    """Delivers group by group, each at the same moment; the process ends before group `restart_at`."""
    size = -(-len(deliveries) // groups)
    waves = [deliveries[at : at + size] for at in range(0, len(deliveries), size)]
    answers: dict[tuple[int, str], set[tuple[str, int]]] = {}
    fresh: Counter[tuple[int, str]] = Counter()
    said: list[str] = []
    for part in (waves[:restart_at], waves[restart_at:]):
        async with core(folder) as house:
            for wave in part:
                accepted = await asyncio.gather(*(house.say(f"event {n}", f"{chat}:{n}", chat) for n, chat in wave))
                for delivery, one in zip(wave, accepted, strict=True):
                    answers.setdefault(delivery, set()).add((one.message, one.seq))
                    fresh[delivery] += not one.is_duplicate
            await house.rest()
            said += [text for message in house.channel.sent for text in message.text.partition(": ")[2].split(" | ")]
            kept = await house.all("SELECT external_id FROM messages WHERE author = 'user' ORDER BY 1")
    assert all(len(same) == 1 for same in answers.values())
    assert set(fresh.values()) == {1}
    assert kept == sorted((f"{chat}:{n}",) for n, chat in set(deliveries))
    assert sorted(said) == sorted(f"event {n}" for n, _ in set(deliveries))


async def test_a_model_reads_the_same_after_a_restart(tmp_path: Path) -> None:
    """f26: an answer that was written while the next message came stands before that message, for the next process, too."""
    gate = asyncio.Event()

    async def slow(request: ChatRequest) -> AsyncIterator[Chunk]:
        if len(model.requests) > 1:
            await asyncio.get_running_loop().create_future()  # the process ends in the second turn
        await gate.wait()
        async for chunk in echo(request):
            yield chunk

    model = ScriptedModel(slow)
    async with core(tmp_path / "data", model=model) as house:
        await house.say("first", "1")
        await _requests(model, 1)
        await house.say("second", "2")
        gate.set()
        await _requests(model, 2)
    read = [entry.text for entry in model.requests[1].messages]
    assert read == ["first", "You said: first", "second"]
    async with core(tmp_path / "data") as house:
        await house.rest()
        assert [entry.text for entry in house.model.requests[0].messages] == read
        assert house.channel.sent[-1].text == "You said: second"


async def _requests(model: ScriptedModel, count: int) -> None:
    while len(model.requests) < count:  # noqa: ASYNC110 - the store's thread works in real time
        await asyncio.sleep(0.001)


async def test_f23_a_deletion_while_a_conversation_is_read_is_not_missed(tmp_path: Path) -> None:
    """What was read just before is read again, so that deleted text never reaches the model."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")
    async with core(tmp_path / "data", quiet_s=1.0) as house:
        await house.say("secret", "1")
        await house.say("hello", "2")
        house.conversations.forget(conversation_id(at))
        real, events = house.store.read, [MessageDeleted(who, at, "1", deleted_at_ms=house.clock.now_ms())]

        async def read(query: str, parameters: Mapping[str, Value]) -> list[Row]:
            rows = await real(query, parameters)
            if query == records.UNHANDLED and events:
                await house.intake.receive(events.pop())
            return rows

        setattr(house.store, "read", read)  # noqa: B010 - mypy forbids the assignment
        await house.rest(1.0)
        assert not events
        assert [message.text for message in house.channel.sent] == ["You said: hello"]
