"""The ways to rank that are compared, each a function from a question to passages, best first."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.retrieval.build import ROOT, places
from benchmarks.retrieval.corpora import Asked, Corpus
from bot.knowledge.embeddings import Embedder
from bot.knowledge.fusion import Fused, Weighing
from bot.knowledge.index import IndexReader, Only
from bot.knowledge.search import match_expression
from bot.knowledge.words import informative_words, split_words

DEPTH = 50
Place = tuple[str, int]
Rank = Callable[[Asked], list[Place]]


@dataclass(frozen=True, slots=True)
class PlainWords:
    """BM25 as FTS5 has it: any of the words, without coverage, synonyms or mended slips."""

    tokenizer: str = "unicode61"
    has_stop_words: bool = False
    title: float = 1.0
    around: float = 0.0

    def over(self, corpus: Corpus) -> Rank:
        connection = sqlite3.connect(":memory:")
        connection.execute(
            f"CREATE VIRTUAL TABLE words USING fts5 (title, text, around, document UNINDEXED, tokenize = '{self.tokenizer}')"
        )
        for name, passages in corpus.documents.items():
            texts = ["", *(text for _, text in passages), ""]
            rows = [(title, text, f"{texts[n]} {texts[n + 2]}", name) for n, (title, text) in enumerate(passages)]
            connection.executemany("INSERT INTO words VALUES (?, ?, ?, ?)", rows)
        where = places(corpus)

        def rank(asked: Asked) -> list[Place]:
            words = (
                informative_words(asked.text) if self.has_stop_words else list(dict.fromkeys(split_words(asked.text)))
            )
            found = connection.execute(
                f"""SELECT rowid FROM words WHERE words MATCH ? AND (? = '' OR document = ?)
                ORDER BY bm25(words, {self.title}, 1.0, {self.around}) LIMIT {DEPTH}""",
                (
                    f"{{title text{' around' if self.around else ''}}} : ({match_expression(words)})",
                    asked.within,
                    asked.within,
                ),
            )
            return [where[number - 1] for (number,) in found]

        return rank


class Steady(Weighing):
    """Whatever is typical, likeness counts the same."""

    def where(self, typical: float) -> float:
        return self.likeness


class Shipped:
    """The index of the daemon, with what each question's vector is; without an embedder, by words alone."""

    def __init__(self, path: Path, corpus: Corpus, embedder: Embedder | None) -> None:
        self._path = path
        self._places = places(corpus)
        self._embedder = embedder
        self._vectors: dict[str, bytes] = {}
        self._model = embedder.model if embedder else ""
        self._reader = IndexReader(path, model=self._model)
        self._first = self._first_number()

    async def embed(self, questions: Sequence[str]) -> None:
        if self._embedder is not None:
            self._vectors = dict(zip(questions, await self._embedder.embed(questions), strict=True))

    def words(self, asked: Asked) -> list[Place]:
        return self._order(self._reader.ranked(asked.text, DEPTH, None, only(asked)))

    def embeddings(self, asked: Asked) -> list[Place]:
        near = [each for each in self.found(asked) if each.likeness is not None]
        return self._order(sorted(near, key=lambda each: -(each.likeness or 0.0)))

    def fused(self, likeness: float, *, is_steady: bool = False) -> Rank:
        """`is_steady`: the weight is the same for every question."""
        weighing = Steady(likeness) if is_steady else Weighing(likeness)
        reader = IndexReader(self._path, model=self._model, weighing=weighing)

        def rank(asked: Asked) -> list[Place]:
            return self._order(reader.ranked(asked.text, DEPTH, self._vectors[asked.text], only(asked)))

        return rank

    def by_places(self, asked: Asked) -> list[Place]:
        """Reciprocal ranks of both lists, evenly: https://doi.org/10.1145/1571941.1572114"""
        scores: dict[Place, float] = {}
        for order in (self.words(asked), self.embeddings(asked)[:DEPTH]):
            for rank, place in enumerate(order):
                scores[place] = scores.get(place, 0.0) + 1 / (60 + rank)
        return sorted(scores, key=lambda place: -scores[place])

    def found(self, asked: Asked) -> list[Fused]:
        return self._reader.ranked(asked.text, 4 * DEPTH, self._vectors[asked.text], only(asked))

    def _order(self, ranked: Sequence[Fused]) -> list[Place]:
        return [self._places[each.number - self._first] for each in ranked]

    def _first_number(self) -> int:
        connection = sqlite3.connect(self._path)
        (first,) = connection.execute("SELECT min(number) FROM passages").fetchone()
        connection.close()
        return int(first)


def only(asked: Asked) -> Only:
    """Where the question is looked for."""
    return Only([ROOT / asked.within]) if asked.within else Only()
