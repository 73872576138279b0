"""`python -m benchmarks.retrieval`: what each choice of the ranking is worth, on questions whose answers are known.

Over our own data; with --installed also over Python's docstrings and texts of those of these Debian packages that are there: python3.11-doc,
debian-faq, debian-faq-de (-fr, -it, -nl, -ru), dict-foldoc, wordnet-base. A target that is missed fails the run.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from benchmarks.report import folder
from benchmarks.retrieval import shape, speed
from benchmarks.retrieval.build import Remembering, build
from benchmarks.retrieval.corpora import Asked, Corpus, own
from benchmarks.retrieval.installed import installed
from benchmarks.retrieval.ranking import PlainWords, Rank, Shipped
from bot.knowledge.embeddings import Embedder, LocalEmbedder, is_installed
from bot.knowledge.fusion import LIKENESS
from bot.knowledge.search import TOKENIZER

MOST_LOSS = 2.0  # points of recall@5, recall@10 and MRR that fused ranking may lie below the better of the two
MEASURES = ("recall@5", "recall@10", "MRR")
PLAIN = {
    "all words": PlainWords(),
    "+ stems": PlainWords(TOKENIZER),
    "+ stop words": PlainWords(TOKENIZER, True),
    "+ title x3": PlainWords(TOKENIZER, True, 3.0),
    "+ title x6": PlainWords(TOKENIZER, True, 6.0),
    "+ neighbours x0.3": PlainWords(TOKENIZER, True, 3.0, 0.3),
    "+ neighbours x1": PlainWords(TOKENIZER, True, 3.0, 1.0),
}
WEIGHTS = (0.25, 0.5, 0.6, 0.75, 0.9)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--speed", type=int, metavar="PASSAGES", help="measure speed over so many passages instead")
    parser.add_argument("--words", action="store_true", help="without embeddings: quick")
    parser.add_argument("--installed", action="store_true", help="also over what is installed on this machine")
    parser.add_argument("--shape", action="store_true", help="compare nothing but what a passage should be")
    arguments = parser.parse_args()
    if not arguments.words and not is_installed():
        print("the extra is missing: pip install 'frontdesk[embeddings]'", file=sys.stderr)
        return 2
    if arguments.speed:
        return asyncio.run(speed.measure(arguments.speed))
    return asyncio.run(_table(arguments))


async def _table(arguments: argparse.Namespace) -> int:
    embedder = None if arguments.words else Remembering(LocalEmbedder())
    corpora = chain(own(), installed() if arguments.installed else ())
    try:
        with folder() as place:
            is_met = await shape.compare(place, embedder, has_installed=arguments.installed)
            for corpus in () if arguments.shape else corpora:
                is_met &= await _compare(corpus, place / f"{corpus.name}.db", embedder)
    finally:
        if embedder is not None:
            await embedder.close()
    return 0 if is_met else 1


async def _compare(corpus: Corpus, path: Path, embedder: Embedder | None) -> bool:
    await build(path, corpus, embedder)
    shipped = Shipped(path, corpus, embedder)
    await shipped.embed([asked.text for asked in corpus.asked] + corpus.outside)
    passages = sum(map(len, corpus.documents.values()))
    print(f"\n{corpus.name}: {len(corpus.asked)} questions over {passages} passages")
    print(f"{'':<44}{'first':>8}{'recall@5':>10}{'recall@10':>11}{'MRR':>8}")
    for name, plain in PLAIN.items():
        _row(name, plain.over(corpus), corpus.asked)
    words = _row("words as shipped", shipped.words, corpus.asked)
    return embedder is None or _meaning(shipped, corpus, words)


def _meaning(shipped: Shipped, corpus: Corpus, words: tuple[float, float, float]) -> bool:
    """The rows in which likeness counts. False: as shipped it is worse than one of the two alone."""
    alike = _row("embeddings alone", shipped.embeddings, corpus.asked)
    _row("fused by rank", shipped.by_places, corpus.asked)
    for weight in WEIGHTS:
        _row(f"fused, likeness {weight} for every question", shipped.fused(weight, is_steady=True), corpus.asked)
    fused = _row("fused as shipped", shipped.fused(LIKENESS), corpus.asked)
    if corpus.outside:
        _outside(shipped, corpus)
    gains = [got - max(one, other) for got, one, other in zip(fused, words, alike, strict=True)]
    told = ", ".join(f"{name} {gain:+.1f}" for name, gain in zip(MEASURES, gains, strict=True))
    is_met = min(gains) >= -MOST_LOSS
    print(f"as shipped against the better one: {told}{'' if is_met else '  MISSED'}")
    return is_met


def _row(name: str, rank: Rank, asked: Sequence[Asked]) -> tuple[float, float, float]:
    """Prints one line, in per cent, and returns MEASURES; recall@5: the share of questions of which an answer is among the first five."""
    places = [next((n for n, place in enumerate(rank(one), 1) if place in one.answers), 0) for one in asked]
    first, five, ten = (100 * sum(0 < place <= most for place in places) / len(places) for most in (1, 5, 10))
    reciprocal = 100 * sum(1 / place for place in places if 0 < place <= 10) / len(places)
    print(f"{name:<44}{first:>8.1f}{five:>10.1f}{ten:>11.1f}{reciprocal:>8.1f}", flush=True)
    return five, ten, reciprocal


def _outside(shipped: Shipped, corpus: Corpus) -> None:
    """How well a score tells questions that are answered from those that are not: the area under the ROC curve, in per cent."""
    inside = [shipped.found(one) for one in corpus.asked]
    outside = [shipped.found(Asked(one, frozenset())) for one in corpus.outside]
    for name, score in (
        ("likeness", lambda found: max((each.likeness or 0.0 for each in found), default=0.0)),
        ("words", lambda found: max((each.words for each in found), default=0.0)),
        ("coverage", lambda found: max((each.coverage for each in found), default=0.0)),
    ):
        known, unknown = list(map(score, inside)), list(map(score, outside))
        won = sum((one > other) + 0.5 * (one == other) for one in known for other in unknown)
        print(f"answered or not, told by {name}: AUROC {100 * won / len(known) / len(unknown):.1f}")


if __name__ == "__main__":
    sys.exit(main())
