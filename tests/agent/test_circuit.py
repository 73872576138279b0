"""A model that fails is left alone, and comes back by one call."""

import pytest

from bot.agent.circuit import Circuit
from bot.errors import Fault
from tests.clock import ManualClock

UNCOUNTED = [Fault.RATE_LIMITED, Fault.TOO_LONG, Fault.REJECTED, Fault.CAPPED]
AT_ONCE = [Fault.KEY, Fault.BALANCE, Fault.NOT_FOUND]


def opened(clock: ManualClock, fault: Fault = Fault.OVERLOADED, jitter: float = 0.0) -> Circuit:
    circuit = Circuit(clock, failures=3, pause_s=30, random=lambda: jitter)
    while circuit.state == "closed":
        circuit.failed(entered(circuit), fault)
    return circuit


def entered(circuit: Circuit) -> int:
    number = circuit.enter()
    assert number is not None
    return number


def test_it_opens_after_failures_in_a_row_only() -> None:
    circuit = Circuit(ManualClock(), failures=3, pause_s=30)
    for _ in range(2):
        assert not circuit.failed(entered(circuit), Fault.SILENT)
    circuit.succeeded(entered(circuit))
    for _ in range(2):
        assert not circuit.failed(entered(circuit), Fault.UNREACHABLE)
    assert circuit.failed(entered(circuit), Fault.OVERLOADED)
    assert circuit.enter() is None
    assert circuit.fault is Fault.OVERLOADED


@pytest.mark.parametrize("fault", UNCOUNTED)
def test_what_says_nothing_of_the_models_health_is_not_counted(fault: Fault) -> None:
    circuit = Circuit(ManualClock(), failures=1, pause_s=30)
    for _ in range(10):
        assert not circuit.failed(entered(circuit), fault)
    assert circuit.state == "closed"


@pytest.mark.parametrize("fault", AT_ONCE)
def test_what_no_repetition_can_mend_opens_it_at_once(fault: Fault) -> None:
    circuit = Circuit(ManualClock(), failures=100, pause_s=30)
    assert circuit.failed(entered(circuit), fault)


async def test_half_open_lets_exactly_one_call_through() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    await clock.advance(29.9)
    assert circuit.enter() is None
    await clock.advance(0.1)
    assert circuit.state == "half-open"
    number = entered(circuit)
    assert [circuit.enter() for _ in range(100)] == [None] * 100
    circuit.succeeded(number)
    assert circuit.state == "closed"
    assert circuit.fault is None
    assert all(circuit.enter() is not None for _ in range(100))


async def test_pauses_double_up_to_four_times_the_first() -> None:
    clock = ManualClock()
    circuit, pauses = opened(clock), []
    for _ in range(6):
        pauses.append(circuit.wait_s())
        await clock.advance(pauses[-1])
        circuit.failed(entered(circuit), Fault.SILENT)
    assert pauses == [30, 60, 120, 120, 120, 120]


async def test_calls_that_began_before_a_success_say_nothing_against_the_model_after_it() -> None:
    """Five slow ones end in silence one after the other, while a quick one has just been answered."""
    circuit = Circuit(ManualClock())
    slow = [entered(circuit) for _ in range(9)]
    circuit.failed(slow[0], Fault.SILENT)
    circuit.succeeded(entered(circuit))
    for number in slow[1:]:
        circuit.failed(number, Fault.SILENT)
    assert circuit.state == "closed"
    for _ in range(5):
        circuit.failed(entered(circuit), Fault.SILENT)
    assert circuit.state == "open"


async def test_a_success_makes_the_next_pause_short_again() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    await clock.advance(30)
    circuit.failed(entered(circuit), Fault.SILENT)
    await clock.advance(60)
    circuit.succeeded(entered(circuit))
    for _ in range(3):
        circuit.failed(entered(circuit), Fault.SILENT)
    assert circuit.wait_s() == 30


def test_pauses_are_spread() -> None:
    waits = {opened(ManualClock(), jitter=jitter).wait_s() for jitter in (0.0, 0.5, 1.0)}
    assert waits == {30, 33.75, 37.5}


@pytest.mark.parametrize("fault", [Fault.KEY, Fault.BALANCE])
def test_a_key_or_a_bill_takes_long_to_mend(fault: Fault) -> None:
    assert opened(ManualClock(), fault).wait_s() == 300


async def test_a_probe_without_a_verdict_leaves_the_next_call_to_try() -> None:
    clock = ManualClock()
    circuit = opened(clock)
    await clock.advance(30)
    circuit.abandoned(entered(circuit))
    circuit.failed(entered(circuit), Fault.RATE_LIMITED)
    assert entered(circuit) is not None
    assert circuit.enter() is None


async def test_late_ends_of_earlier_calls_decide_nothing() -> None:
    """A slow answer that began before the outage says nothing of now; nor does a slow failure."""
    clock = ManualClock()
    circuit = Circuit(clock, failures=1, pause_s=30, random=lambda: 0.0)
    slow, slower, other = (entered(circuit) for _ in range(3))
    circuit.failed(other, Fault.OVERLOADED)
    circuit.succeeded(slow)
    assert circuit.state == "open"
    await clock.advance(30)
    probe = entered(circuit)
    assert not circuit.failed(slower, Fault.OVERLOADED)
    circuit.abandoned(slower)
    assert circuit.enter() is None
    circuit.succeeded(probe)
    assert circuit.state == "closed"
