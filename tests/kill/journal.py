"""What a kill may not undo of a turn with a model: what stood on disk, what a tool did, what it cost.

A turn is known by the first word that it answers, a step by how many lie before it. Of each step one request was the last; its answer is
the one that was committed. Promised is:

- Once a step, or the answer, stood on disk, no request for it comes any more, from this life or a later one.
- Once a call has an outcome on disk, or the model has been told it, its tool does not run for it again.
- `spend` holds, for each payer and to the token, the sum over the requests whose step or answer was committed, each once, and no other;
  so do the traces.
- Not in `spend` is only a request whose life was killed before its step or answer was committed: at most one for each step and life. A
  clean stop leaves none.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bot.ids import derived_id
from tests.kill.brain import INPUT, MODEL, PRICES, Asked
from tests.kill.judge import Verdict, words_in

Place = tuple[str, int]  # a turn, and the number of a step


@dataclass(frozen=True, slots=True)
class Standing:
    """What was on disk when a life had ended: steps, queries of calls with an outcome, and words that are answered."""

    is_clean: bool
    steps: frozenset[Place] = frozenset()
    queries: frozenset[str] = frozenset()
    handled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Run:
    """A tool has run, in this life, for this query."""

    life: int
    query: str


def read_standing(database: Path, *, is_clean: bool) -> Standing:
    """An empty one while the first start has not made the tables."""
    if not database.exists():
        return Standing(is_clean)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'spend'").fetchall():
            return Standing(is_clean)
        turns = {derived_id("reply", id_): text for id_, text in connection.execute(_WORDS)}
        steps = frozenset((turns[reply], step - 1) for reply, step in connection.execute(_STEPS))
        queries = frozenset(json.loads(arguments)["query"] for (arguments,) in connection.execute(_SETTLED))
        return Standing(is_clean, steps, queries, frozenset(text for (text,) in connection.execute(_HANDLED)))


_WORDS = "SELECT id, text FROM messages WHERE author = 'user'"
_STEPS = "SELECT reply_id, step FROM steps"
_SETTLED = "SELECT arguments FROM tool_calls WHERE state != 'intended'"
_HANDLED = "SELECT text FROM messages WHERE author = 'user' AND handled_ms IS NOT NULL"


def read_runs(path: Path) -> list[Run]:
    """What the tool has noted, each run when it began."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Run(int(life), query) for life, _, query in (line.partition(" ") for line in lines)]


def judge_journal(asked: Sequence[Asked], runs: Sequence[Run], lives: Mapping[int, Standing], verdict: Verdict) -> None:
    """`lives` by their numbers, from 1."""
    stood = list(_before(lives))
    ordered = in_order(asked)
    verdict.doubled.update(_asked_again(ordered, stood))
    verdict.doubled.update(_run_again(ordered, runs, stood))


def in_order(asked: Iterable[Asked]) -> list[Asked]:
    """A request of a life that has just been killed may arrive after the first of the next."""
    return sorted(asked, key=lambda each: (each.life, each.serial))


def _before(lives: Mapping[int, Standing]) -> Iterator[Standing]:
    """At each place what stood on disk when the life of that number began."""
    before = Standing(is_clean=True)
    yield before
    for number in range(1, len(lives) + 1):
        yield before
        before = lives[number]


def _asked_again(ordered: Sequence[Asked], stood: Sequence[Standing]) -> Iterator[str]:
    reached: dict[str, int] = {}
    seen: set[tuple[Place, int]] = set()
    for each in ordered:
        place = (each.turn, each.step)
        before = stood[each.life]
        if place in before.steps:
            yield f"step {each.step} of {each.turn} was asked for in life {each.life}, and stood on disk before"
        if each.turn in before.handled:
            yield f"{each.turn} was answered, and asked about again in life {each.life}"
        if each.step < reached.setdefault(each.turn, each.step):
            yield f"step {each.step} of {each.turn} was asked for in life {each.life}, after step {reached[each.turn]}"
        if (place, each.life) in seen:
            yield f"step {each.step} of {each.turn} was asked for twice in life {each.life}"
        reached[each.turn] = max(reached[each.turn], each.step)
        seen.add((place, each.life))


def _run_again(ordered: Sequence[Asked], runs: Sequence[Run], stood: Sequence[Standing]) -> Iterator[str]:
    told = {(each.turn, step): each.life for each in reversed(ordered) for step in range(each.step)}  # first told when
    for run, count in Counter(runs).items():
        turn, step = place_of(run.query)
        if count > 1:
            yield f"the tool ran {count} times in life {run.life} for {run.query!r}"
        if run.query in stood[run.life].queries:
            yield f"the tool ran again in life {run.life}, and its outcome stood on disk: {run.query!r}"
        elif told.get((turn, step), run.life) < run.life:
            yield f"the tool ran again in life {run.life}, and its outcome had been told: {run.query!r}"


def place_of(query: str) -> Place:
    """The turn and step that a query of the brain's belongs to."""
    turn = words_in(query)[0]
    return turn, int(query.rpartition(turn)[2].split()[0])


# --- money -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Books:
    """What the database says of cost. `payers`: of each word; `spent`: the sums of each payer and model, as `_sums` orders them;
    `traced`: how often a request stands in the traces, by its serial."""

    payers: Mapping[str, str]
    spent: Mapping[tuple[str, str], tuple[int, ...]]
    traced: Counter[int]


def read_books(database: Path) -> Books:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        attempts = [
            attempt
            for (trace,) in connection.execute("SELECT trace FROM turns")
            for attempt in json.loads(trace).get("attempts", ())
        ]
        return Books(
            dict(connection.execute(_PAYERS)),
            {row[:2]: row[2:] for row in connection.execute(_SPENT)},
            Counter(attempt["usage"][0] - INPUT for attempt in attempts),
        )


_PAYERS = """
    SELECT m.text, c.identity_id FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.author = 'user'"""
_SPENT = """
    SELECT payer, model, sum(calls), sum(failed), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),
        sum(cache_write_tokens), sum(cost_micros) FROM spend GROUP BY payer, model"""


def judge_spend(asked: Sequence[Asked], books: Books, lives: Mapping[int, Standing], verdict: Verdict) -> int:
    """Returns how many requests are in no row, because a kill came first."""
    last = {(each.turn, each.step): each for each in in_order(asked)}
    for each in asked:
        is_committed = last[each.turn, each.step] is each
        if is_committed and not each.received.is_whole:
            verdict.other.add(f"step {each.step} of {each.turn} was committed, and its answer was not whole")
        if not is_committed and lives[each.life].is_clean:
            verdict.other.add(f"step {each.step} of {each.turn} was asked for in vain in life {each.life}")
        if books.traced[each.serial] != is_committed:
            verdict.other.add(
                f"step {each.step} of {each.turn} is traced {books.traced[each.serial]} times: {each.serial}"
            )
    due: defaultdict[tuple[str, str], list[Asked]] = defaultdict(list)
    for each in last.values():
        due[books.payers[each.turn], MODEL].append(each)
    for key in due.keys() | books.spent.keys():
        if books.spent.get(key) != _sums(due[key]):
            names = "calls, failed, input, output, cache read, cache write, cost"
            verdict.other.add(f"spend of {key}: {books.spent.get(key)}, and it is due {_sums(due[key])} ({names})")
    return len(asked) - len(last)


def _sums(asked: Iterable[Asked]) -> tuple[int, ...]:
    rows = [
        (1, 0, each.counts.input, each.counts.output, each.counts.cache_read, each.counts.cache_write, _cost(each))
        for each in asked
    ]
    return tuple(map(sum, zip(*rows, strict=True)))


def _cost(asked: Asked) -> int:
    counts = asked.counts
    return round(
        counts.input * PRICES["input"]
        + counts.output * PRICES["output"]
        + counts.cache_read * PRICES["cache_read"]
        + counts.cache_write * PRICES["cache_write"]
    )
