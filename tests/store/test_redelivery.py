"""Intake on the store: whatever comes twice, in whatever order, is there once."""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.conversations import Conversations
from bot.intake import Intake, Rules
from bot.model import Accepted, Address, Identity, MessageReceived
from bot.scheduler import TurnScheduler
from bot.telemetry.metrics import Metrics
from tests.clock import ManualClock
from tests.store.database import note_and_raise, opened


async def rest(conversation: str) -> float | None:
    """A stage that has nothing to do."""
    return None


deliveries = st.tuples(
    st.sampled_from(["ada", "bob"]),
    st.integers(0, 4),
    st.sampled_from(["take", "take", "take", "leave", "fail"]),  # "leave": the platform closes the connection
)
batches = st.lists(st.lists(deliveries, min_size=1, max_size=12), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(batches)
def test_any_interleaving_of_redeliveries_is_one_message_each(batches: list[list[tuple[str, int, str]]]) -> None:
    """Every answer for one event is the same, every event is one message, and each conversation counts 1, 2, 3 without a hole."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(deliver(Path(folder) / "data", batches))


async def deliver(data: Path, batches: list[list[tuple[str, int, str]]]) -> None:
    async with opened(data) as store:
        rules = Rules(1000, 86_400_000, lambda channel: "main", lambda channel: 0.0)
        clock = ManualClock()
        intake = Intake(store, clock, Conversations(store), TurnScheduler(rest, clock), rules, Metrics(), {})

        async def one(chat: str, number: int, how: str) -> Accepted | None:
            if how == "fail":
                await asyncio.gather(store.run(note_and_raise, "x"), return_exceptions=True)
                return None
            event = MessageReceived(
                Identity("list", "", chat), Address("list", "", chat), str(number), f"text {number}"
            )
            taking = asyncio.create_task(intake.receive(event))
            await asyncio.sleep(0)
            if how == "leave":
                taking.cancel()
            (result,) = await asyncio.gather(taking, return_exceptions=True)
            assert isinstance(result, (Accepted, asyncio.CancelledError))
            return result if isinstance(result, Accepted) else None

        answers = defaultdict(set)
        for batch in batches:
            for (chat, number, _), accepted in zip(
                batch, await asyncio.gather(*(one(*delivery) for delivery in batch)), strict=True
            ):
                if accepted is not None:
                    answers[chat, number].add((accepted.message, accepted.seq))
        expected = {(chat, f"text {number}") for batch in batches for chat, number, how in batch if how != "fail"}
        rows = await store.read(
            "SELECT c.chat, m.text, m.seq, m.id FROM messages m JOIN conversations c ON c.id = m.conversation_id"
        )
        assert sorted((chat, text) for chat, text, *_ in rows) == sorted(expected)
        for chat in {"ada", "bob"}:
            seqs = sorted(row[2] for row in rows if row[0] == chat)
            assert seqs == list(range(1, len(seqs) + 1))
        assert all(len(known) == 1 for known in answers.values())
        assert {known for answer in answers.values() for known in answer} <= {(row[3], row[2]) for row in rows}
