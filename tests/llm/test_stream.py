"""How long a stream is waited for, and how its bytes become events."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Fault, ModelError
from bot.llm.stream import MOST_EVENT_BYTES, Events, Patience
from tests.clock import ManualClock

STREAM = (
    'event: a\ndata: {"x": "ä"}\n\n: nothing\n\ndata: one\ndata: two\n\nevent: b\r\ndata:3\r\n\r\nid: 7\n\n'.encode()
)
EVENTS = [(b"a", '{"x": "ä"}'.encode()), (b"", b"one\ntwo"), (b"b", b"3")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    events = Events()
    places = [0, *sorted(cuts), len(STREAM)]
    seen = [event for n, at in enumerate(places[1:]) for event in events.feed(STREAM[places[n] : at])]
    assert seen == EVENTS


def test_an_event_without_its_end_is_none() -> None:
    events = Events()
    assert events.feed(b"data: half\n") == []
    assert events.feed(b"data: another") == []


def test_an_endless_event_is_refused() -> None:
    """A server cannot fill the memory."""
    events = Events()
    assert events.feed(b"x" * MOST_EVENT_BYTES) == []
    with pytest.raises(ModelError) as caught:
        events.feed(b"x")
    assert caught.value.fault is Fault.MALFORMED


async def test_the_first_token_has_its_time() -> None:
    clock = ManualClock()
    assert await _silent_after(clock, Patience(clock, 20, 5)) == 20


async def test_after_a_token_the_time_between_tokens_counts() -> None:
    clock = ManualClock()
    patience = Patience(clock, 20, 5)
    patience.progress()
    assert await _silent_after(clock, patience) == 5


async def test_waiting_adds_up_until_something_comes() -> None:
    """Pieces that bring neither a token nor a sign of life give no more time."""
    clock = ManualClock()
    patience = Patience(clock, 20, 5)
    await _wait(clock, patience, 12)
    assert await _silent_after(clock, patience) == 8


async def test_a_ping_gives_time_but_not_for_ever() -> None:
    clock = ManualClock()
    patience = Patience(clock, 20, 15)
    await _wait(clock, patience, 19)
    patience.sign()
    await _wait(clock, patience, 14)
    patience.sign()
    assert await _silent_after(clock, patience) == 2


async def test_pings_after_a_token_are_bounded_too() -> None:
    clock = ManualClock()
    patience = Patience(clock, 20, 15)
    patience.progress()
    for _ in range(3):
        await _wait(clock, patience, 10)
        patience.sign()
    assert await _silent_after(clock, patience) == 5


async def test_a_flood_of_pieces_without_a_token_uses_the_time_up() -> None:
    """However close they come, and also after the answer's end."""
    clock = ManualClock()
    for patience in (Patience(clock, 0.01, 0.01), Patience(clock, 20, 5)):
        patience.last(0.02)
        with pytest.raises(ModelError, match="silent"):
            await _flood(clock, patience, 100)


async def test_what_the_reader_takes_for_itself_does_not_count() -> None:
    """A slow page is no fault of the model's."""
    clock = ManualClock()
    patience = Patience(clock, 20, 5)
    await clock.advance(100)
    assert await _silent_after(clock, patience) == 20


async def _wait(clock: ManualClock, patience: Patience, seconds: float) -> None:
    """Something comes after so many seconds."""
    waiting = asyncio.ensure_future(patience.wait(clock.sleep(seconds)))
    await clock.advance(seconds)
    await waiting


async def _flood(clock: ManualClock, patience: Patience, pieces: int) -> None:
    for _ in range(pieces):
        await _wait(clock, patience, 0.0005)
        patience.sign()


async def _silent_after(clock: ManualClock, patience: Patience) -> float:
    """How many seconds of waiting end in SILENT."""
    began = clock.monotonic()
    waiting = asyncio.ensure_future(patience.wait(asyncio.Event().wait()))
    while not waiting.done():
        await clock.advance(1)
    with pytest.raises(ModelError) as caught:
        await waiting
    assert caught.value.fault is Fault.SILENT
    return round(clock.monotonic() - began)
