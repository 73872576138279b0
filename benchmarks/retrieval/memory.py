"""`python -m benchmarks.retrieval.memory`: what memory puts before a model, and how long that takes.

Over one user with several hundred earlier cases: in what share of the questions the case that each is about stands in the request, without
memory, by recency alone, and as shipped; what recency is worth where ten cases tell of the same and the newest is meant; then the time of one
recall, with the reading of a real store, against the floor of reading the rows alone. A target that is missed fails the run.
"""

import asyncio
import statistics
import sys
import time
import tomllib
from pathlib import Path
from random import Random

from benchmarks.report import folder
from bot.ids import derived_id
from bot.memory.recall import DAY_MS, RECENCY, Limits, ranked, recalled
from bot.memory.stems import stems
from bot.model import ConversationId, Identity, IdentityId
from bot.ports import Cursor, Value
from bot.store import memory, records
from bot.store.folder import prepare
from bot.store.memory import Episode
from bot.store.sqlite import SqliteStore

CASES = 400
WORDS = 60
NOW_MS = 1_750_000_000_000
MOST_MS = 10.0  # of one recall, p99
ALIKE = 10
RECENCIES = {"without recency": 0.0, "as shipped": RECENCY, "recency x0.6": 0.6, "recency x1": 1.0}
LEAST = 0.9  # share of the questions
OTHERS = (
    "pedal saddle chain gear bell basket mirror frame fork stem rim spoke hub crank grip rack stand lock pump glove"
)


def data() -> list[tuple[str, list[str]]]:
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["case"]
    return [(row["text"], row["asked"]) for row in rows]


def episodes() -> list[Episode]:
    """Those of the data, spread over three years among others made of the same words and ordinary ones."""
    random = Random(7)
    texts = [text for text, _ in data()]
    words = OTHERS.split() * 8 + " ".join(texts).split()
    texts += ["The user wrote: " + " ".join(random.choices(words, k=WORDS)) + "." for _ in range(CASES - len(texts))]
    random.shuffle(texts)
    return [
        Episode(derived_id("episode", str(n)), str(n), text, tuple(stems(text)), (), NOW_MS - n * 3 * DAY_MS)
        for n, text in enumerate(texts)
    ]


def share(cases: list[Episode], limits: Limits, *, is_asked: bool) -> float:
    """Of the questions, how many have their case before the model."""
    hits = [
        text in recalled([], cases, asked if is_asked else "", NOW_MS, limits).text
        for text, questions in data()
        for asked in questions
    ]
    return sum(hits) / len(hits)


def newest_meant(recency: float) -> float:
    """The share of the questions for which the newest of ten cases of the same is shown. The others came before it, each a week apart, and each
    is told with a few other words, so that chance decides which fits best."""
    random, hits = Random(7), []
    for text, questions in data():
        told = [f"{text} {' '.join(random.choices(OTHERS.split(), k=random.randrange(12)))}" for _ in range(ALIKE)]
        alike = [
            Episode(derived_id("episode", str(n)), str(n), each, tuple(stems(each)), (), NOW_MS - (n + 3) * 7 * DAY_MS)
            for n, each in enumerate(told)
        ]
        hits += [alike[0] in ranked(alike, asked, NOW_MS, recency)[: Limits().episodes] for asked in questions]
    return sum(hits) / len(hits)


def fill(cursor: Cursor, cases: list[Episode]) -> None:
    who = Identity("c", "", "e")
    records.add_identity(cursor, IdentityId("i"), "u", who, ConversationId("v"), 1)
    for each in cases:
        row: dict[str, Value] = {"id": each.id, "case": each.case, "text": each.text, "words": " ".join(each.words)}
        made: dict[str, Value] = {"identity": "i", "conversation": "v", "messages": "[]", "model": "", "now": 1}
        cursor.execute(memory.ADD_EPISODE, {**row, **made, "ended": each.ended_ms})


async def timed(place: Path, cases: list[Episode]) -> list[tuple[float, float, float]]:
    """Of each recall, milliseconds of the loop's own work, of all (two questions to the store, and the entry), and of the questions alone."""
    prepare(place)
    store = await SqliteStore.open(place)
    took = []
    try:
        await store.run(fill, cases)
        asked = [question for _, questions in data() for question in questions] * 10
        for question in asked:
            began, worked = time.perf_counter(), time.thread_time()
            facts = [memory.fact_of(row) for row in await store.read(memory.FACTS, {"identity": "i", "now": NOW_MS})]
            rows = await store.read(memory.EPISODES, {"identity": "i", "limit": CASES})
            recalled(facts, [memory.episode_of(row) for row in rows], question, NOW_MS, Limits())
            ended, work = time.perf_counter(), time.thread_time() - worked
            await store.read(memory.FACTS, {"identity": "i", "now": NOW_MS})
            await store.read(memory.EPISODES, {"identity": "i", "limit": CASES})
            took.append((work * 1000, (ended - began) * 1000, (time.perf_counter() - ended) * 1000))
    finally:
        await store.close()
    return took


def main() -> int:
    cases = episodes()
    questions = sum(len(asked) for _, asked in data())
    newest = share(cases, Limits(), is_asked=False)
    shipped = share(cases, Limits(), is_asked=True)
    print(f"{questions} questions over {CASES} earlier cases: the right one is before the model in")
    print(
        f"  without memory   {0:6.1%}\n  the newest alone {newest:6.1%}\n  as shipped       {shipped:6.1%}  (at least {LEAST:.0%})"
    )
    print("what being new counts: the right one before the model, and the newest of ten that tell of the same")
    for name, recency in RECENCIES.items():
        shown = share(cases, Limits(recency=recency), is_asked=True)
        print(f"  {name:<17}{shown:6.1%} {newest_meant(recency):6.1%}")
    with folder() as place:
        took = asyncio.run(timed(place, cases))
    work, whole, floor = (sorted(each[n] for each in took) for n in (0, 1, 2))
    p99 = work[int(len(work) * 0.99)]
    print(
        f"one recall, work of the loop: median {statistics.median(work):.2f} ms, p99 {p99:.2f} ms  (at most {MOST_MS:g} ms)"
    )
    print(
        f"one recall, with the store:   median {statistics.median(whole):.2f} ms, p99 {whole[int(len(whole) * 0.99)]:.2f} ms"
    )
    print(
        f"floor, the two questions:     median {statistics.median(floor):.2f} ms, p99 {floor[int(len(floor) * 0.99)]:.2f} ms"
    )
    return 0 if shipped >= LEAST and p99 <= MOST_MS else 1


if __name__ == "__main__":
    sys.exit(main())
