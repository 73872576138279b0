"""What is counted: events that are handled, and requests that may leave."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.calls import Limited, Rates
from adapters.discord.payloads import id_at, sent_ms, time_ms
from adapters.discord.session import Session, Track, bookmark, read
from adapters.discord.text import LIMIT, clipped, parts, units
from tests.clock import ManualClock, settle


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_a_stand_never_claims_what_is_open_in_any_order(order: list[int], done: int) -> None:
    track = Track(Session("s", "u", 0, 0))
    for seq in range(1, 9):
        track.arrived(seq * 3, seq)  # numbers may have holes
    handled = set(order[:done])
    for seq in order[:done]:
        track.handled(seq * 3)
    stand = track.stand(99)
    whole = next((seq for seq in range(1, 9) if seq not in handled), 9)
    assert stand.seq == (whole - 1) * 3
    assert stand.at_ms == (whole if whole < 9 else 99)


def test_a_stand_may_count_the_one_event_that_is_stored_with_it() -> None:
    track = Track(Session("s", "u", 10, 0))
    for seq in (11, 12, 13):
        track.arrived(seq, seq)
    track.handled(12)
    assert track.stand(99, 11) == Session("s", "u", 12, 13)
    assert track.stand(99, 13) == Session("s", "u", 10, 11)


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", '{"id": 1, "url": "", "seq": "x", "at_ms": 1}'])
def test_a_bookmark_that_cannot_be_read_is_none(text: str) -> None:
    assert read(text) == Session()


def test_a_bookmark_is_read_as_it_was_written() -> None:
    session = Session("s", "wss://x", 7, 8)
    assert read(bookmark(session).value) == session


async def test_requests_of_one_channel_wait_for_its_limit_and_those_of_others_do_not() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    async with rates.turn("POST", "1") as told:
        told.headers({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "2.5"}, clock.monotonic())
    left: list[str] = []

    async def ask(channel: str) -> None:
        async with rates.turn("POST", channel):
            left.append(channel)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask("1"))
        tasks.create_task(ask("2"))
        await settle()
        assert left == ["2"]
        await clock.advance(2.4)
        assert left == ["2"]
        await clock.advance(0.2)
    assert left == ["2", "1"]


async def test_kinds_of_requests_that_share_a_bucket_share_its_limit() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    for kind in ("POST", "PATCH"):
        async with rates.turn(kind, "1") as told:
            headers = {"X-RateLimit-Bucket": "b", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset-After": "1"}
            told.headers(headers, clock.monotonic())
    async with rates.turn("POST", "1") as told:
        told.limited(60.0, clock.monotonic(), is_global=False)
    for kind in ("POST", "PATCH"):
        with pytest.raises(Limited):
            async with rates.turn(kind, "1"):
                pass


async def test_the_limit_of_all_requests_stops_all_and_is_told_with_its_time() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    async with rates.turn("POST", "1") as told:
        told.limited(20.0, clock.monotonic(), is_global=True)
    with pytest.raises(Limited) as limited:
        async with rates.turn("GET", "2"):
            pass
    assert limited.value.retry_after_s == pytest.approx(20.0)


async def test_all_requests_together_stay_below_fifty_a_second() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    left: list[float] = []

    async def ask(channel: int) -> None:
        async with rates.turn("POST", str(channel)):
            left.append(clock.monotonic())

    async with asyncio.TaskGroup() as tasks:
        for channel in range(150):
            tasks.create_task(ask(channel))
        await clock.advance(10)
    assert max(sum(start <= at < start + 1.0 for at in left) for start in left) <= 50


async def test_answers_to_interactions_do_not_wait_for_other_requests() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    rates.close(100.0)
    async with rates.turn("POST", "1", is_free=True):
        pass
    assert clock.monotonic() == 1000.0


@given(st.text(max_size=6_000))
def test_f61_parts_are_the_text_and_none_is_too_long(text: str) -> None:
    cut = parts(text)
    assert "".join(cut) == text
    assert all(units(part) <= LIMIT for part in cut)


@given(st.text(alphabet="aé😀", min_size=0, max_size=2_500))
def test_what_is_clipped_fits(text: str) -> None:
    assert units(clipped(text)) <= LIMIT
    assert clipped(text) == text or clipped(text).endswith("…")


@given(st.integers(1_420_070_400_001, 4_000_000_000_000))
def test_the_time_in_an_id_is_read_as_it_was_written(ms: int) -> None:
    assert sent_ms(id_at(ms)) == ms


def test_a_stamp_that_is_none_is_no_time() -> None:
    assert time_ms("2023-11-14T22:13:20.000000+00:00") == 1_700_000_000_000
    assert time_ms("yesterday") == time_ms("") == 0
