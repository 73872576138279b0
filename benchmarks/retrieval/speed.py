"""Speed over many passages: indexing, and search with and without likeness. The vectors are made up: only their number matters here."""

import random
import time
from pathlib import Path

from benchmarks.report import Report, folder
from benchmarks.retrieval.build import entries
from benchmarks.retrieval.corpora import Corpus
from bot.knowledge.embeddings import LocalEmbedder
from bot.knowledge.index import IndexReader, IndexWriter

PER_DOCUMENT = 20
BATCH = 50  # documents in one transaction
NUMBERS = 384  # of a vector of the local model
QUESTIONS = 200
TRIES = 3  # of each question the quickest counts: other programs share the machine
TARGET_WORDS_MS, TARGET_FUSED_MS, TARGET_RATE = 20, 60, 2000


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
        reader = IndexReader(path, model=embedder.model)
        words: list[float] = []
        fused: list[float] = []
        for one in questions:
            times: list[tuple[float, float]] = []
            for _ in range(TRIES):
                began = time.perf_counter()
                reader.search(one, 5)
                between = time.perf_counter()
                (vector,) = await embedder.embed([one])
                reader.search(one, 5, vector=vector)
                times.append((between - began, time.perf_counter() - between))
            words.append(1000 * min(took for took, _ in times))
            fused.append(1000 * min(took for _, took in times))
        _add(report, "words", TARGET_WORDS_MS, words)
        _add(report, f"both ({reader.likeness()}), with the question's embedding", TARGET_FUSED_MS, fused)
        reader.close()
        await embedder.close()
    return 0 if all(row["met"] is not False for row in report.rows) else 1


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


def _add(report: Report, name: str, most_ms: int, took: list[float]) -> None:
    p95 = sorted(took)[int(len(took) * 0.95)]
    report.add(f"search by {name}, p95", p95, "ms", f"at most {most_ms}", is_met=p95 <= most_ms)
