"""One order out of two: what the words of a question say for a passage, and how alike it is in meaning. Pure.

Both scores keep their own scale, so that a question whose words are nowhere is decided by likeness alone, and one whose every word is held
mostly by words: the best score by words is worth as much as the share of the question that any passage holds. Where a question is alike
with everything, as in a language that the model was not made for, or in a list of things all of one kind, likeness tells passages apart
badly and counts less. The measure of every choice here is `python -m benchmarks.retrieval`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.knowledge.search import Hit
from bot.model import value

LIKENESS = 0.75  # what likeness counts, of 1; the rest is words
NO_LIKENESS = 0.1  # a cosine up to here is chance, and says nothing
CROWDED_FROM, CROWDED = 0.27, 0.4  # from a typical cosine of so much likeness counts less; from the second on least
LEAST_SHARE = 0.4  # ... which is this share of its weight
LEAST_LIKENESS = (
    0.2  # below it, likeness alone makes no result; every question that our documents answer finds something above it
)


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much likeness counts beside words, 0 to 1."""

    likeness: float = LIKENESS

    def __post_init__(self) -> None:
        if not 0 <= self.likeness <= 1:
            raise ValueError("the weight of likeness lies between 0 and 1")

    def where(self, typical: float) -> float:
        """The weight for a question whose cosine with any passage is typically so much."""
        crowded = min(1.0, max(0.0, (typical - CROWDED_FROM) / (CROWDED - CROWDED_FROM)))
        return self.likeness * (1 - (1 - LEAST_SHARE) * crowded)


@value
class Fused:
    """A passage by its row number. `words` and `likeness` are what spoke for it: BM25 with coverage, and the cosine; None: it is not
    embedded, or nothing was compared."""

    number: int
    score: float
    coverage: float
    words: float
    likeness: float | None


def fuse(hits: Sequence[Hit], near: Mapping[int, float], weighing: Weighing, typical: float = 0.0) -> list[Fused]:
    """The best first. `near`: passages with their cosines; `typical`: the question's cosine with passages in general. Without any, words
    alone decide, by their own scores."""
    if not near:
        return sorted((Fused(hit.number, hit.score, hit.coverage, hit.score, None) for hit in hits), key=_place)
    by_number = {hit.number: hit for hit in hits}
    most = max((hit.score for hit in hits), default=0.0) or 1.0
    trust = max((hit.coverage for hit in hits), default=0.0)
    nearest, weight = max(0.0, *near.values()), weighing.where(typical)
    fused = []
    for number in by_number.keys() | near.keys():
        hit, cosine = by_number.get(number, Hit(number, 0.0, 0.0)), near.get(number)
        said = hit.score / most
        alike = max(0.0, cosine) if cosine is not None else nearest * said  # not embedded yet: no worse for it
        if hit.score or alike >= LEAST_LIKENESS:
            score = weight * max(0.0, alike - NO_LIKENESS) + (1 - weight) * trust * said
            fused.append(Fused(number, score, hit.coverage, hit.score, cosine))
    return sorted(fused, key=_place)


def _place(fused: Fused) -> tuple[float, int]:
    return -fused.score, fused.number
