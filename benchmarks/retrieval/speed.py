"""Speed over many passages, as SQLite and numpy leave it and as the daemon has it. The vectors are made up: only their number matters here.

Floors, in the same run: a bare FTS5 query of the same words, and one product of all embeddings with the question's. Searches run in a thread
beside a loop that only counts how late it is, as in the daemon.
"""

import asyncio
import random
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.report import Report, folder
from benchmarks.retrieval.build import entries
from benchmarks.retrieval.corpora import Corpus
from bot.knowledge.embeddings import LocalEmbedder
from bot.knowledge.index import CANDIDATES, IndexReader, IndexWriter, match_expression
from bot.knowledge.indexing import Indexer
from bot.knowledge.search import WordSearch
from bot.knowledge.vectors import SqliteVectors

T = TypeVar("T")
A = TypeVar("A")

PER_DOCUMENT = 20
BATCH = 50  # documents in one transaction
NUMBERS = 384  # of a vector of the local model
QUESTIONS = 200
ROUNDS = 5  # of each question the quickest counts: other programs share the machine
TICK_S = 0.001
AT_ONCE = 4  # people who search
DOCUMENTS = 1000
TARGET_WORDS_MS, TARGET_FUSED_MS, TARGET_DELAY_MS, TARGET_RATE = 20, 60, 20, 2000
_BARE = """
SELECT rowid FROM passage_words WHERE passage_words MATCH ? AND rank MATCH 'bm25(3.0, 1.0, 0.3)' ORDER BY rank LIMIT 50
"""


async def measure(passages: int) -> int:
    """Returns 1 when a target is missed."""
    report, chance = Report(), random.Random(3)
    vocabulary = [_word(chance) for _ in range(30_000)]
    with folder() as place:
        path = place / "index.db"
        began = time.perf_counter()
        _fill(path, passages, vocabulary, chance)
        rate = passages / (time.perf_counter() - began)
        report.add(f"indexing {passages} passages", rate, "1/s", f"at least {TARGET_RATE}", is_met=rate >= TARGET_RATE)
        embedder = LocalEmbedder()
        _make_up_vectors(path, embedder.model, chance)
        questions = [_text(vocabulary, chance, 8) for _ in range(QUESTIONS)]
        vectors, embedding = await _embedded(embedder, questions)
        await _search(report, path, embedder.model, list(zip(questions, vectors, strict=True)), embedding)
        await _beside(report, path, embedder, questions)
        await embedder.close()
        await _while_indexing(report, place, vocabulary, chance)
        _inside(report, path, embedder.model, vectors[:3])
    return 0 if all(row["met"] is not False for row in report.rows) else 1


async def _embedded(embedder: LocalEmbedder, questions: Sequence[str]) -> tuple[list[bytes], list[float]]:
    """Each question by itself, as the daemon asks, and the milliseconds of the quickest round."""
    vectors, least = await embedder.embed(questions), [float("inf")] * len(questions)
    for _ in range(ROUNDS):
        for number, question in enumerate(questions):
            began = time.perf_counter()
            await embedder.embed([question])
            least[number] = min(least[number], 1000 * (time.perf_counter() - began))
    return vectors, least


async def _search(
    report: Report, path: Path, model: str, asked: Sequence[tuple[str, bytes]], embedding: Sequence[float]
) -> None:
    thread, before = ThreadPoolExecutor(1), _resident_mb()
    reader = await _in(thread, lambda: IndexReader(path, model=model))
    async with _watching(report, "the first search, which reads all embeddings"):
        await _in(thread, lambda: reader.search(asked[0][0], 5, vector=asked[0][1]))
    report.add("memory of a reader with all embeddings", _resident_mb() - before, "MB")
    floors = await _in(thread, lambda: _Floors(path, asked))
    bare, late_bare = await _timed(thread, floors.words, len(asked))
    words, late_words = await _timed(thread, lambda n: reader.search(asked[n][0], 5), len(asked))
    product, late_product = await _timed(thread, floors.product, len(asked))
    fused, late_fused = await _timed(thread, lambda n: reader.search(asked[n][0], 5, vector=asked[n][1]), len(asked))
    _add(report, "floor: a bare FTS5 query", bare, late_bare)
    _add(report, "search by words", words, late_words, TARGET_WORDS_MS, bare)
    _add(report, "floor: one product with all embeddings", product, late_product)
    both = [one + other for one, other in zip(bare, product, strict=True)]
    _add(report, f"search by both ({reader.likeness()}), embedded before", fused, late_fused, floor=both)
    report.add("embedding the question, p50", _percentile(embedding, 0.5), "ms")
    report.add("embedding the question, p95", _percentile(embedding, 0.95), "ms")
    whole = _percentile([one + other for one, other in zip(embedding, fused, strict=True)], 0.95)
    target = f"at most {TARGET_FUSED_MS}"
    report.add("search by both with embedding, p95", whole, "ms", target, is_met=whole <= TARGET_FUSED_MS)
    await _in(thread, reader.close)
    await _in(thread, floors.close)
    thread.shutdown()


async def _beside(report: Report, path: Path, embedder: LocalEmbedder, questions: Sequence[str]) -> None:
    """How late the loop comes while several people search at once, as the daemon searches: one thread for the index, one for the model."""
    thread = ThreadPoolExecutor(1)
    reader = await _in(thread, lambda: IndexReader(path, model=embedder.model))

    async def search(question: str, *, is_embedded: bool) -> None:
        vector = (await embedder.embed([question]))[0] if is_embedded else None
        await _in(thread, lambda: reader.search(question, 5, vector=vector))

    async def ask(number: int, *, is_embedded: bool) -> None:
        for question in questions[number::AT_ONCE]:
            await search(question, is_embedded=is_embedded)

    await search(questions[0], is_embedded=True)
    for name, is_embedded in (("by words", False), ("by both", True)):
        async with _watching(report, f"{AT_ONCE} searches {name} at once"), asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(ask(number, is_embedded=is_embedded))
    await _in(thread, reader.close)
    thread.shutdown()


async def _while_indexing(report: Report, place: Path, vocabulary: list[str], chance: random.Random) -> None:
    """The same while a folder of documents is read, cut and written, as the daemon does it in a thread."""
    documents = place / "documents"
    documents.mkdir()
    for number in range(DOCUMENTS):
        sections = (
            f"## {_text(vocabulary, chance, 5)}\n\n{_text(vocabulary, chance, 90)}" for _ in range(PER_DOCUMENT)
        )
        (documents / f"{number}.md").write_text("\n\n".join(sections))
    indexer, thread = Indexer(place / "written.db", [documents]), ThreadPoolExecutor(1)
    await _in(thread, indexer.open)
    passages, began = DOCUMENTS * PER_DOCUMENT, time.perf_counter()
    async with _watching(report, f"indexing {passages} passages from files"):
        await _in(thread, indexer.sync)
    report.add(f"indexing {passages} passages from files", passages / (time.perf_counter() - began), "1/s")
    await _in(thread, indexer.close)
    thread.shutdown()


@asynccontextmanager
async def _watching(report: Report, what: str) -> AsyncIterator[None]:
    """Reports how late the loop came."""
    has_ended = asyncio.Event()
    watch = asyncio.create_task(_delays(has_ended))
    yield
    has_ended.set()
    delays = [1000 * delay for delay in await watch]
    p99 = _percentile(delays, 0.99)
    target = f"at most {TARGET_DELAY_MS}"
    report.add(f"{what}: the loop's delay, p99", p99, "ms", target, is_met=p99 <= TARGET_DELAY_MS)
    report.add(f"{what}: the loop's delay, longest", max(delays), "ms")


def _inside(report: Report, path: Path, model: str, vectors: Sequence[bytes]) -> None:
    """The same nearest by sqlite-vec, where this Python's SQLite loads extensions."""
    connection = sqlite3.connect(path)
    try:
        inside = SqliteVectors(connection, model)
        took = [_took(lambda vector: inside.nearest(vector, CANDIDATES), vector) for vector in vectors]
        report.add("the nearest by sqlite-vec, where numpy is missing", min(took), "ms")
    except ImportError as error:
        print(f"sqlite-vec: not measured, {error}")
    finally:
        connection.close()


class _Floors:
    """What the parts cost by themselves."""

    def __init__(self, path: Path, asked: Sequence[tuple[str, bytes]]) -> None:
        import numpy

        self._connection = sqlite3.connect(path)
        search = WordSearch(self._connection)
        found = [search.question(text) for text, _ in asked]
        self._expressions = [match_expression([""]) if each is None else each.expression for each in found]
        search.close()
        self._asked = [numpy.frombuffer(vector, "<f4") for _, vector in asked]
        rows = [row[0] for row in self._connection.execute("SELECT vector FROM embeddings")]
        self._table = numpy.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1)

    def words(self, number: int) -> object:
        return self._connection.execute(_BARE, (self._expressions[number],)).fetchall()

    def product(self, number: int) -> object:
        import numpy

        return numpy.argpartition(-(self._table @ self._asked[number]), CANDIDATES)

    def close(self) -> None:
        self._connection.close()


async def _timed(thread: ThreadPoolExecutor, call: Callable[[int], object], count: int) -> tuple[list[float], float]:
    """Of each question the quickest round in milliseconds, and how late the loop came at most, in the best round, in milliseconds."""
    least, delays = [float("inf")] * count, []
    for _ in range(ROUNDS):
        has_ended = asyncio.Event()
        watch = asyncio.create_task(_delays(has_ended))
        for number in range(count):
            least[number] = min(least[number], await _in(thread, partial(_took, call, number)))
        has_ended.set()
        delays.append(1000 * max(await watch))
    return least, min(delays)


async def _delays(has_ended: asyncio.Event) -> list[float]:
    """How late the loop came, each time, in seconds."""
    delays = []
    while not has_ended.is_set():
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        delays.append(time.perf_counter() - began - TICK_S)
    return delays


async def _in(thread: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, call)


def _took(call: Callable[[A], object], argument: A) -> float:
    began = time.perf_counter()
    call(argument)
    return 1000 * (time.perf_counter() - began)


def _fill(path: Path, passages: int, vocabulary: list[str], chance: random.Random) -> None:
    writer = IndexWriter(path)
    for start in range(0, passages, PER_DOCUMENT * BATCH):
        corpus = Corpus("speed")
        for document in range(start // PER_DOCUMENT, start // PER_DOCUMENT + BATCH):
            texts = [(_text(vocabulary, chance, 5), _text(vocabulary, chance, 90)) for _ in range(PER_DOCUMENT)]
            corpus.documents[f"{document}.md"] = texts
        writer.apply((), (), entries(corpus))
    writer.close()


def _make_up_vectors(path: Path, model: str, chance: random.Random) -> None:
    import numpy

    source = numpy.random.default_rng(3)
    writer = IndexWriter(path)
    while missing := writer.missing(model, 10_000):
        vectors = source.standard_normal((len(missing), NUMBERS), "f4")
        vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
        writer.keep(model, [(hash_, row.tobytes()) for (hash_, _), row in zip(missing, vectors, strict=True)])
    writer.close()


def _word(chance: random.Random) -> str:
    return "".join(chance.choice("bcdfglmnprst") + chance.choice("aeiou") for _ in range(chance.randint(2, 4)))


def _text(vocabulary: list[str], chance: random.Random, words: int) -> str:
    """Words as frequent as in a language: the n-th about 1/n as often as the first."""
    return " ".join(vocabulary[int(len(vocabulary) ** chance.random()) - 1] for _ in range(words))


def _resident_mb() -> float:
    """Of this process, now. Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _add(
    report: Report, name: str, took: list[float], late_ms: float, most_ms: int = 0, floor: Sequence[float] = ()
) -> None:
    """Median and p95, the p95 as a multiple of the floor's, and how late the loop came meanwhile."""
    p50, p95 = _percentile(took, 0.5), _percentile(took, 0.95)
    report.add(f"{name}, p50", p50, "ms")
    target, is_met = (f"at most {most_ms}", p95 <= most_ms) if most_ms else ("", None)
    report.add(f"{name}, p95", p95, "ms", target, is_met=is_met)
    if floor:
        report.add(f"{name}, p95 against its floor", p95 / _percentile(floor, 0.95), "times")
    report.add(f"{name}, the loop's largest delay meanwhile", late_ms, "ms")


def _percentile(took: Sequence[float], share: float) -> float:
    return sorted(took)[int(len(took) * share)]
