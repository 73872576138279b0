"""Who writes when: waves of people, some of whom write on without waiting, and some in the half hour in which no model works."""

import asyncio
import random
from dataclasses import dataclass, field

from tests.chaos.house import MAIL, PAGE, TURN_S, House

DOWN_S = 1800.0
A_SECOND = 1.2  # conversations that begin, on average
WAVE_S, CREST_S = 20.0, 4.0  # every other one of them begins in the first seconds of a wave
RUSH, RUSH_EVERY = 4, 20  # so many times as many come in one wave of so many
DOWN_SHARE = 0.15  # of the conversations begin while nothing works
RETURN_SHARE = 0.03  # ... so many in the seconds in which it works again
LATER_SHARE = 0.07  # ... and so many while circuits may still be open
PAUSE_S = 400.0  # the longest pause of a circuit, and a rest
CRESTS = 8  # in which those come
QUESTIONS = (
    "How long does shipping take?",
    "Can I return something?",
    "When does the refund arrive?",
    "How do I reset a forgotten password?",
    "Where is my tracking number?",
    "Do you sell gift cards?",
)


@dataclass(frozen=True, slots=True)
class Person:
    """Begins at `at` seconds and writes `texts`; a hasty one writes the next after so many seconds, without waiting."""

    number: int
    at: float
    channel: str
    texts: tuple[str, ...]
    haste_s: float | None = None

    @property
    def chat(self) -> str:
        return f"chat-{self.number}"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a person, as it was taken in."""

    mark: str
    chat: str
    text: str
    at: float
    is_hasty: bool = False


@dataclass(slots=True)
class Plan:
    """Everybody, and when nothing works: from and until, in seconds from the beginning."""

    people: list[Person]
    down: tuple[float, float]


@dataclass(slots=True)
class Crowd:
    """What everybody said."""

    said: list[Said] = field(default_factory=list)
    unanswered: int = 0


def plan(count: int, dice: random.Random) -> Plan:
    """The same for the same dice."""
    during, at_return, later = round(count * DOWN_SHARE), round(count * RETURN_SHARE), round(count * LATER_SHARE)
    before = (count - during - at_return - later) // 2
    after = count - during - at_return - later - before
    moments = _waves(before, 0.0, dice)
    start = moments[-1] + WAVE_S
    end = start + DOWN_S
    moments += _spread(during, start + 1, end - 5, dice)
    moments += _spread(at_return, end - 2, end + 5, dice)
    moments += sorted(end + PAUSE_S / CRESTS * (n % CRESTS + dice.uniform(0.2, 0.21)) for n in range(later))
    moments += _waves(after, end + PAUSE_S, dice)
    people = [_person(n, at, dice, is_down=start <= at < end) for n, at in enumerate(moments)]
    return Plan(people, (start, end))


def _spread(count: int, start: float, end: float, dice: random.Random) -> list[float]:
    return sorted(dice.uniform(start, end) for _ in range(count))


def _waves(count: int, start: float, dice: random.Random) -> list[float]:
    moments: list[float] = []
    for wave in range(count):
        begin = start + wave * WAVE_S
        size = round(A_SECOND * WAVE_S) * (1 if wave % RUSH_EVERY else RUSH)
        size = min(size, count - len(moments))
        moments += [begin + dice.uniform(0, CREST_S if n % 2 else WAVE_S) for n in range(size)]
        if len(moments) == count:
            break
    return sorted(moments)


def _person(number: int, at: float, dice: random.Random, *, is_down: bool) -> Person:
    """Whoever meets the outage asks again, to see what is said twice."""
    count = 2 if is_down else dice.choices([1, 2, 3], [70, 25, 5])[0]
    texts = tuple(f"{dice.choice(QUESTIONS)} (q{number}x{n})" for n in range(count))
    haste = dice.uniform(0.1, 4.0) if count > 1 and not is_down and dice.random() < 0.3 else None
    return Person(number, at, dice.choice([MAIL, PAGE]), texts, haste)


async def converse(at: House, people: list[Person], crowd: Crowd) -> None:
    """Returns when everybody has been answered, or has given up."""
    began = at.clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for person in people:
            await at.clock.sleep(max(0.0, began + person.at - at.clock.monotonic()))
            tasks.create_task(_write(at, person, crowd))


async def _write(at: House, person: Person, crowd: Crowd) -> None:
    outlet = at.outlets[person.channel]
    for n, text in enumerate(person.texts):
        mark = f"q{person.number}x{n}"
        is_last = n == len(person.texts) - 1
        crowd.said.append(Said(mark, person.chat, text, at.clock.monotonic(), person.haste_s is not None))
        coming = outlet.next(person.chat, 3 * TURN_S)
        await at.core.say(text, mark, person.chat, channel=person.channel)
        if person.haste_s is not None and not is_last:
            coming.cancel()
            await at.clock.sleep(person.haste_s)
        elif not await coming:
            crowd.unanswered += 1
