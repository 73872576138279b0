"""Everybody is answered once, in time, and every call is paid for once, whatever a provider does."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest

from tests.chaos.clock import LeapingClock, LeapingLoop
from tests.chaos.house import MAIL, PAGE, leaping_loop
from tests.chaos.judge import Evidence, Stored, judge
from tests.chaos.plants import PLANTS
from tests.chaos.providers import FAULTS, Entry, Mood
from tests.chaos.run import run

CONVERSATIONS = 300
DOWN = (1000.0, 2800.0)
OPENING = (1050.0, 1050.2, 1051.0, 1052.0, 1055.0)
MEGABYTE = 1_000_000

T = TypeVar("T")


def test_300_conversations_survive_every_failure_of_their_providers() -> None:
    """f34-f39, f41, f46: three calls of ten fail, in every way there is, and for half an hour nothing works at all."""
    report = run(CONVERSATIONS, seed=20)
    assert report.verdict.lines() == []
    assert report.unanswered == 0
    moods = Counter(entry.mood for provider in report.providers.values() for entry in provider.entries)
    assert set(FAULTS) <= set(moods)
    assert moods[Mood.DOWN] > 0
    assert moods[Mood.LOOP] > 0
    assert report.outcomes["answered"] > report.outcomes["quoted"] > 0
    assert report.clock_s > 1800


@pytest.mark.parametrize(
    ("plant", "kind", "conversations"),
    [
        ("retries-are-counted-in-two-places", "books", 40),
        ("answers-are-delivered-twice", "doubled", 40),
        ("some-answers-are-never-sent", "lost", 60),
        ("failed-calls-cost-nothing", "books", 40),
        ("memory-forgets-what-was-spent", "books", 40),
        ("no-limit-is-known", "limits", 300),
        ("the-latest-is-served-first", "unfair", 150),
        ("open-circuits-are-asked", "storm", 60),
        ("the-outage-is-told-each-time", "told", 60),
        ("deadlines-are-forgotten", "late", 300),
    ],
)
def test_a_planted_bug_is_caught(plant: str, kind: str, conversations: int) -> None:
    """The proof can fail: each mistake is reported, by its kind."""
    assert run(conversations, seed=5, fault=plant).verdict.found[kind]


def test_every_plant_is_tried() -> None:
    """None is left out of the test above."""
    marks = test_a_planted_bug_is_caught.pytestmark  # type: ignore[attr-defined]  # pytest sets it
    assert {case[0] for case in marks[0].args[1]} == set(PLANTS)


# --- the clock ---------------------------------------------------------------------------------------------------------


def leaping(use: Callable[[LeapingClock], Coroutine[None, None, list[T]]]) -> list[T]:
    """What `use` gives on a loop that leaps."""
    clock = LeapingClock()

    async def used() -> list[T]:
        leaping_loop().is_leaping = True
        return await use(clock)

    with asyncio.Runner(loop_factory=lambda: LeapingLoop(clock)) as runner:
        return runner.run(used())


def test_hours_take_no_time_and_their_moments_keep_their_order() -> None:
    """Each moment sees all that came of the one before."""

    async def wait(clock: LeapingClock) -> list[float]:
        moments: list[float] = []
        begun = clock.monotonic()

        async def note(seconds: float) -> None:
            await clock.sleep(seconds)
            for _ in range(100):
                await asyncio.sleep(0)
            moments.append(clock.monotonic() - begun)

        async with asyncio.TaskGroup() as tasks:
            for seconds in (7200.0, 1.0, 60.0, 60.001):
                tasks.create_task(note(seconds))
        return [round(each, 6) for each in moments]

    assert leaping(wait) == [1.0, 60.0, 60.001, 7200.0]


def test_the_clock_does_not_run_ahead_of_threads_and_sockets() -> None:
    """A thread at work, and a megabyte on its way there and back, come to their end before the next moment does."""

    async def work(clock: LeapingClock) -> list[str]:
        order: list[str] = []
        clock.call_later(0.000_001, lambda: order.append("the next moment"))
        await asyncio.to_thread(sum, range(500_000))
        order.append("a thread")

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(MEGABYTE))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x" * MEGABYTE)
            await reader.readexactly(MEGABYTE)
            order.append("a socket")
            writer.close()
            await writer.wait_closed()
        await clock.sleep(1)
        return order

    assert leaping(work) == ["a thread", "a socket", "the next moment"]


# --- the judge ---------------------------------------------------------------------------------------------------------


def verdict_on(*entries: Entry) -> set[str]:
    """What a provider's books alone are found guilty of."""
    stored = Stored([], {}, [], {}, Counter(), 0)
    evidence = Evidence([], {MAIL: [], PAGE: []}, stored, {}, {"claude": list(entries)}, [], DOWN)
    return set(judge(evidence).found) - {"books"}


def probes(*moments: float) -> list[Entry]:
    return [Entry(at, 1, Mood.DOWN, ended=at) for at in moments]


def answers(*spans: tuple[float, float]) -> list[Entry]:
    """Calls after the return, each from and until."""
    return [Entry(DOWN[1] + at, 1, Mood.ANSWER, is_good=True, ended=DOWN[1] + until) for at, until in spans]


def test_the_judge_allows_one_call_a_pause_and_twice_as_many_with_each_answer() -> None:
    """Five failures and then probes thirty seconds apart; after the return one, two and four calls at once."""
    back = answers((0, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6))
    assert verdict_on(*probes(*OPENING, 1130, 1200), *back) == set()


def test_the_judge_finds_storms() -> None:
    """A probe too soon, two calls before the first answer, and a provider that nobody comes back to."""
    probed, back = probes(*OPENING, 1200), answers((0, 1), (1, 2))
    assert verdict_on(*probes(*OPENING, 1130, 1159), *back) == {"storm"}
    assert verdict_on(*probed, *answers((0, 1), (0.5, 2))) == {"storm"}
    assert verdict_on(*probed, *answers((0, 1), (1, 5), (2, 5), (2, 5))) == {"storm"}
    assert verdict_on(*back) == verdict_on(*probed) == {"outage"}
