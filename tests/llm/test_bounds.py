"""What a server, or many callers at once, may cost us in memory and time."""

import asyncio

import pytest

from bot.agent.limiter import Limiter
from bot.config.schema import ModelLimits
from bot.errors import Fault, ModelError
from bot.llm.anthropic_answer import Answer
from bot.llm.content import COPIES, room_for
from bot.llm.room import Room
from bot.llm.stream import MOST_EVENT_BYTES, Events
from bot.model import Attachment, BlobId
from bot.ports import Headroom, TextDelta
from tests.clock import ManualClock, settle
from tests.llm.calling import user


def test_lines_without_an_end_of_their_event_are_refused() -> None:
    """However many there are, and however short."""
    line = b"data: " + b"x" * 1000 + b"\n"
    with pytest.raises(ModelError) as refused:
        fed(Events(), line, MOST_EVENT_BYTES // 1000 + 2)
    assert refused.value.fault is Fault.MALFORMED
    assert fed(Events(), line + b"\n", 10_000) == 10_000


def fed(events: Events, piece: bytes, times: int) -> int:
    return sum(len(events.feed(piece)) for _ in range(times))


async def test_calls_with_files_wait_for_room_in_their_order() -> None:
    """A call that needs more than there is goes alone; one that is cancelled gives its place back."""
    room, done = Room(100), list[str]()
    gates = {name: asyncio.Event() for name in "abcd"}

    async def call(name: str, count: int) -> None:
        async with room.hold(count):
            done.append(name)
            await gates[name].wait()

    running = {
        name: asyncio.ensure_future(call(name, count)) for name, count in (("a", 60), ("b", 60), ("c", 500), ("d", 10))
    }
    await settle()
    assert done == ["a"]
    running["b"].cancel()
    await settle()
    assert done == ["a"]
    gates["a"].set()
    await settle()
    assert done == ["a", "c"]
    gates["c"].set()
    await settle()
    assert done == ["a", "c", "d"]
    gates["d"].set()
    await asyncio.gather(*running.values(), return_exceptions=True)
    async with room.hold(100):
        pass


def test_only_files_that_are_sent_need_room() -> None:
    files = [Attachment(BlobId(str(n)), "a.png", "image/png", 1_000) for n in range(9)]
    assert room_for([user("look", *files)], lambda file: True) == 5 * 1_000 * COPIES
    assert room_for([user("look", *files)], lambda file: False) == 0


def test_half_a_character_of_a_server_harms_nothing() -> None:
    """It can be stored and sent."""
    answer = Answer("claude")
    answer.take({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    delta = {"type": "text_delta", "text": "half \ud83d of one"}
    (chunk,) = answer.take({"type": "content_block_delta", "index": 0, "delta": delta})
    assert isinstance(chunk, TextDelta)
    assert chunk.text.encode().decode() == "half \ufffd of one"


def test_a_reset_that_is_no_number_of_seconds_blocks_nothing() -> None:
    """Some servers give a moment in its place."""
    clock = ManualClock()
    limiter = Limiter(ModelLimits(), clock)
    limiter.hear(Headroom(requests_left=0, requests_reset_s=1_760_000_000.0))
    assert limiter.blocked_s() == 0
    assert limiter.at_once(10) is not None
