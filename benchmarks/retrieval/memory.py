"""`python -m benchmarks.retrieval.memory`: what memory puts before a model, and how long that takes.

Over one user with several hundred earlier cases: in what share of the questions the case that each is about stands in the request, without
memory, by recency alone, and as shipped; then the time of one recall, with the reading of a real store. A target that is missed fails the run.
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
from bot.memory.recall import DAY_MS, Limits, recalled
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


def fill(cursor: Cursor, cases: list[Episode]) -> None:
    who = Identity("c", "", "e")
    records.add_identity(cursor, IdentityId("i"), "u", who, ConversationId("v"), 1)
    for each in cases:
        row: dict[str, Value] = {"id": each.id, "case": each.case, "text": each.text, "words": " ".join(each.words)}
        made: dict[str, Value] = {"identity": "i", "conversation": "v", "messages": "[]", "model": "", "now": 1}
        cursor.execute(memory.ADD_EPISODE, {**row, **made, "ended": each.ended_ms})


async def timed(place: Path, cases: list[Episode]) -> list[tuple[float, float]]:
    """Of each recall, milliseconds of the loop's own work and of all: two questions to the store, and the entry."""
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
            took.append(((time.thread_time() - worked) * 1000, (time.perf_counter() - began) * 1000))
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
    with folder() as place:
        took = asyncio.run(timed(place, cases))
    work, whole = (sorted(each[n] for each in took) for n in (0, 1))
    p99 = work[int(len(work) * 0.99)]
    print(
        f"one recall, work of the loop: median {statistics.median(work):.2f} ms, p99 {p99:.2f} ms  (at most {MOST_MS:g} ms)"
    )
    print(
        f"one recall, with the store:   median {statistics.median(whole):.2f} ms, p99 {whole[int(len(whole) * 0.99)]:.2f} ms"
    )
    return 0 if shipped >= LEAST and p99 <= MOST_MS else 1


if __name__ == "__main__":
    sys.exit(main())
