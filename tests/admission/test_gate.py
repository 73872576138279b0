"""The gate admits whom the config names and nobody else, and stops loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters import admission
from adapters.admission import Allow, Gate, Speaker
from tests.clock import ManualClock

ANN = Speaker("U1", "T1", "C1")


def gate(allow: Allow | None = None, per_minute: int = 3, clock: ManualClock | None = None) -> Gate:
    return Gate(allow or Allow(), clock or ManualClock(), per_minute)


def test_without_lists_everyone_is_admitted() -> None:
    """In rooms and directly."""
    assert gate().admits(ANN)
    assert gate().admits(Speaker("U2", is_direct=True))


@pytest.mark.parametrize(
    "speaker",
    [
        Speaker("U1", "T1", "C1", is_bot=True),
        Speaker("U1", "T1", "C1", is_own=True),
        Speaker("", "T1", "C1"),
        Speaker("U1", "T1", "D1", is_direct=True, is_bot=True),
        Speaker("U1", "T1", "D1", is_direct=True, is_own=True),
    ],
)
@pytest.mark.parametrize("allow", [Allow(), Allow(people=["U1"], spaces=["T1"], rooms=["C1"])])
def test_f27_programs_and_our_own_echo_are_never_admitted(speaker: Speaker, allow: Allow) -> None:
    """Not even when they are listed."""
    assert not gate(allow).admits(speaker)


@pytest.mark.parametrize(
    ("allow", "speaker", "is_admitted"),
    [
        (Allow(people=["U1"]), Speaker("U1", "T1", "C1"), True),
        (Allow(people=["U1"]), Speaker("U2", "T1", "C1"), False),
        (Allow(people=["U1"]), Speaker("U2", "T1", "D1", is_direct=True), False),
        (Allow(rooms=["C1"]), Speaker("U1", "T1", "C1"), True),
        (Allow(rooms=["C1"]), Speaker("U1", "T1", "C2"), False),
        (Allow(rooms=["C1"]), Speaker("U1", "T1"), False),
        (Allow(rooms=["C1"]), Speaker("U1", "T1", "D1", is_direct=True), True),
        (Allow(spaces=["T1"]), Speaker("U1", "T1", "C1"), True),
        (Allow(spaces=["T1"]), Speaker("U1", "T2", "C1"), False),
        (Allow(spaces=["T1"]), Speaker("U1", "", "C1"), False),
        (Allow(spaces=["T1"]), Speaker("U1", "T1", "D1", is_direct=True), True),
        (Allow(spaces=["T1"]), Speaker("U1", "T2", "D1", is_direct=True), False),
        (Allow(spaces=["T1"]), Speaker("U1", "", "D1", is_direct=True), False),
        (Allow(spaces=["T1"], people=["U1"]), Speaker("U1", "", "D1", is_direct=True), True),
        (Allow(spaces=["T1"], people=["U1"]), Speaker("U1", "T2", "D1", is_direct=True), False),
        (Allow(spaces=["T1"], people=["U1"], rooms=["C1"]), Speaker("U1", "T1", "C1"), True),
        (Allow(spaces=["T1"], people=["U1"], rooms=["C1"]), Speaker("U1", "T1", "C2"), False),
        (Allow(is_direct=False), Speaker("U1", "T1", "D1", is_direct=True), False),
        (Allow(is_direct=False, people=["U1"]), Speaker("U1", "", "D1", is_direct=True), False),
        (Allow(is_direct=False), Speaker("U1", "T1", "C1"), True),
    ],
)
def test_the_lists_decide(allow: Allow, speaker: Speaker, is_admitted: bool) -> None:
    """Every list that is not empty must be passed; direct messages have a switch of their own."""
    assert gate(allow).admits(speaker) is is_admitted


near = st.sampled_from(["U1", "u1", "U1 ", " U1", "U11", "U", "*", "@U1", "U1", "", "U1\n"])


@given(near, near, near)
def test_ids_are_compared_exactly(person: str, space: str, room: str) -> None:
    """No case folding, no trimming, no patterns, no look-alikes."""
    allow = Allow(people=["U1"], spaces=["U1"], rooms=["U1"])
    assert gate(allow).admits(Speaker(person, space, room)) is (person == space == room == "U1")


@pytest.mark.parametrize("key", ["people", "rooms", "spaces"])
def test_the_config_is_strict(key: str) -> None:
    """An empty id would match what has none, a number may have lost digits, and a misspelt key would let everyone pass."""
    for bad in ([""], [123456789012345678], "U1"):
        with pytest.raises(ValidationError):
            Allow.model_validate({key: bad})
    with pytest.raises(ValidationError):
        Allow.model_validate({key + "s": ["U1"]})


async def test_f27_the_pace_is_a_sliding_minute() -> None:
    """No 60 seconds hold more than the pace; then there is room again."""
    clock = ManualClock()
    guard = gate(per_minute=2, clock=clock)
    assert guard.paces(ANN)
    await clock.advance(40)
    assert guard.paces(ANN)
    assert not guard.paces(ANN)
    await clock.advance(59)
    assert not guard.paces(ANN)
    await clock.advance(60)
    assert guard.paces(ANN)


async def test_f27_a_loop_stays_stopped_while_it_goes_on() -> None:
    """What comes faster than the pace is not answered again until it slows down."""
    clock = ManualClock()
    guard = gate(per_minute=3, clock=clock)
    answered = 0
    for _ in range(600):
        answered += guard.paces(ANN)
        await clock.advance(1)
    assert answered == 3
    await clock.advance(60)
    assert guard.paces(ANN)


def test_the_pace_is_of_one_person_in_one_room() -> None:
    """Others, and other rooms, are not slowed down; how the platform flags the person makes no difference."""
    guard = gate(per_minute=1)
    assert guard.paces(ANN)
    for other in (Speaker("U2", "T1", "C1"), Speaker("U1", "T1", "C2"), Speaker("U1", "T2", "C1")):
        assert guard.paces(other)
    assert not guard.paces(Speaker("U1", "T1", "C1", is_direct=True))


def test_a_jump_of_the_wall_clock_changes_no_pace() -> None:
    """Pace is measured on time that never goes back."""
    clock = ManualClock()
    guard = gate(per_minute=1, clock=clock)
    assert guard.paces(ANN)
    clock.step_wall(3_600_000)
    assert not guard.paces(ANN)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who spoke longest ago is forgotten first."""
    monkeypatch.setattr(admission, "_MOST_REMEMBERED", 3)
    guard = gate(per_minute=1)
    names = ["a", "b", "c", "a", "d"]
    for name in names:
        guard.paces(Speaker(name))
    known = {name for name in "acd" if not guard.paces(Speaker(name))}
    assert known == {"a", "c", "d"}
    assert guard.paces(Speaker("b"))


def test_f29_asking_uses_nothing_up() -> None:
    """Every type of event asks, so the answer for a speaker is always the same."""
    guard = gate(Allow(people=["U1"]), per_minute=1)
    assert all(guard.admits(ANN) for _ in range(10))
    assert not any(guard.admits(Speaker("U2", "T1", "C1")) for _ in range(10))
    assert guard.paces(ANN)


def test_a_pace_of_nothing_is_refused() -> None:
    """A gate that never lets anything pass is a mistake."""
    with pytest.raises(ValueError, match="at least one"):
        gate(per_minute=0)
