"""What a passage should be: its size, whether neighbours become one result, whether its heading counts. Each row is one switch away from what
is shipped.

Passages of different sizes are compared by what a model gets to read: whether an answer stands in the five results of a search, and how much of
it stands in their first characters, which are the same number for all: smaller passages bring more that is not meant, larger ones less choice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from benchmarks.retrieval.build import build, places
from benchmarks.retrieval.corpora import Corpus, documents
from benchmarks.retrieval.installed import faqs
from benchmarks.retrieval.ranking import only
from bot.knowledge.chunking import MOST_CHARS
from bot.knowledge.embeddings import Embedder
from bot.knowledge.index import IndexReader
from bot.knowledge.joining import MOST_CHARS as MOST_ROOM
from bot.knowledge.joining import MOST_JOINED, Row, joined, parts_of

RESULTS = 5  # of a search, as an agent gets them
ROOM = 3000  # characters that are read of all results
DEPTH = 50
LOSS = 8.0  # points of both shares together by which another shape has to be better to count: over 66 questions less is chance


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents become results."""

    most_chars: int = MOST_CHARS
    most_joined: int = MOST_JOINED
    has_headings: bool = True


SHIPPED = "as shipped"
SHAPES = {
    SHIPPED: Shape(),
    "passages up to 400 characters": Shape(400),
    "passages up to 800 characters": Shape(800),
    "passages up to 2000 characters": Shape(2000),
    "neighbours not joined": Shape(most_joined=1),
    "headings not counted": Shape(has_headings=False),
}
Cut = Callable[[int], Corpus]  # documents in passages of at most so many characters


@dataclass(slots=True)
class Shares:
    """Over questions: of how many an answer is among the results, how much of it within the first characters, and how long the results are."""

    asked: int = 0
    held: int = 0
    read: float = 0.0
    chars: int = 0

    def add(self, answers: frozenset[int], results: Sequence[Row], chars: int) -> None:
        """`answers`: passages by number; a result has the numbers of those it was joined from as its id. `chars`: of the answer where they are
        parts of one, else 0."""
        ends = _ends(results)
        found = [
            (row, end) for row, end in zip(results, ends, strict=True) if answers & set(map(int, parts_of(row.id)))
        ]
        self.asked += 1
        self.held += bool(found)
        if chars:
            read = sum(max(0, len(row.text) - max(0, end - ROOM)) for row, end in found)
            self.read += min(1.0, read / min(chars, ROOM))
        else:
            self.read += any(end <= ROOM for _, end in found)
        self.chars += ends[-1] if ends else 0

    def per_cent(self) -> tuple[float, float]:
        return 100 * self.held / self.asked, 100 * self.read / self.asked


def cuts(*, has_installed: bool) -> Iterator[Cut]:
    """What is cut in sizes: our own documents, and the answers of questions that others have written."""
    yield documents
    if has_installed:
        yield from faqs()


async def compare(place: Path, embedder: Embedder | None, *, has_installed: bool) -> bool:
    """Prints a row for each shape and corpus, and one for all questions together. False: some shape is better than the shipped one."""
    totals = {name: Shares() for name in SHAPES}
    for number, cut in enumerate(cuts(has_installed=has_installed)):
        print(f"\n{'shape of passages':<44}{'found':>8}{'read':>10}{'characters':>11}  {cut(MOST_CHARS).name}")
        for name, shape in SHAPES.items():
            path = place / f"shape-{number}-{shape.most_chars}-{shape.has_headings}.db"
            shares = await _measured(path, shape, cut, embedder, totals[name])
            _print(name, shares)
    print(f"\n{'all of these':<44}{'found':>8}{'read':>10}{'characters':>11}")
    for name, shares in totals.items():
        _print(name, shares)
    best = max(totals, key=lambda name: sum(totals[name].per_cent()))
    is_supported = sum(totals[best].per_cent()) - sum(totals[SHIPPED].per_cent()) <= LOSS
    print(f"best: {best}{'' if is_supported else '  MISSED: what is shipped is no longer supported'}")
    return is_supported


async def _measured(path: Path, shape: Shape, cut: Cut, embedder: Embedder | None, total: Shares) -> Shares:
    corpus = cut(shape.most_chars)
    if not shape.has_headings:
        corpus.documents = {name: [("", text) for _, text in each] for name, each in corpus.documents.items()}
    await build(path, corpus, embedder)
    vectors = await embedder.embed([asked.text for asked in corpus.asked]) if embedder else [None] * len(corpus.asked)
    reader = IndexReader(path, model=embedder.model if embedder else "")
    rows, shares = _rows(corpus), Shares()
    numbers = {place: number for number, place in enumerate(places(corpus), 1)}
    for asked, vector in zip(corpus.asked, vectors, strict=True):
        ranked = reader.ranked(asked.text, DEPTH, vector, only(asked))
        results = joined([(rows[each.number], each) for each in ranked], RESULTS, MOST_ROOM, shape.most_joined)
        answers = frozenset(numbers[place] for place in asked.answers)
        chars = sum(len(rows[number].text) for number in answers) if corpus.has_long_answers else 0
        for each in (shares, total):
            each.add(answers, [row for row, _ in results], chars)
    reader.close()
    return shares


def _rows(corpus: Corpus) -> dict[int, Row]:
    """The passages by their row numbers, which are their ids as well."""
    return {
        number: Row(number, str(number), document, *corpus.documents[document][place], "", "")
        for number, (document, place) in enumerate(places(corpus), 1)
    }


def _ends(results: Sequence[Row]) -> list[int]:
    """How many characters have been read at the end of each result."""
    return list(accumulate(len(row.title) + len(row.text) for row in results))


def _print(name: str, shares: Shares) -> None:
    found, read = shares.per_cent()
    print(f"{name:<44}{found:>8.1f}{read:>10.1f}{shares.chars / shares.asked:>11.0f}", flush=True)
