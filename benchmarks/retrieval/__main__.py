"""`python -m benchmarks.retrieval`: what each choice of the ranking is worth, on questions whose answers are known.

Own data always; the FAQs of python3.11-doc and debian-faq where these Debian packages are installed. A target that is missed fails the run.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import folder
from benchmarks.retrieval import speed
from benchmarks.retrieval.build import build
from benchmarks.retrieval.corpora import Asked, Corpus, corpora
from benchmarks.retrieval.ranking import PlainWords, Rank, Shipped
from bot.knowledge.embeddings import LocalEmbedder, is_installed
from bot.knowledge.fusion import DOCUMENTS, TALKS
from bot.knowledge.search import TOKENIZER

MOST_LOSS = 2.0  # points of recall@5 that fused ranking may lie below the better of the two
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
    arguments = parser.parse_args()
    if not is_installed():
        print("the extra is missing: pip install 'frontdesk[embeddings]'", file=sys.stderr)
        return 2
    if arguments.speed:
        return asyncio.run(speed.measure(arguments.speed))
    return asyncio.run(_table())


async def _table() -> int:
    embedder, is_met = LocalEmbedder(), True
    try:
        with folder() as place:
            for corpus in corpora():
                is_met &= await _compare(corpus, place / f"{corpus.name}.db", embedder)
    finally:
        await embedder.close()
    return 0 if is_met else 1


async def _compare(corpus: Corpus, path: Path, embedder: LocalEmbedder) -> bool:
    await build(path, corpus, embedder)
    shipped = Shipped(path, corpus, embedder)
    await shipped.embed([asked.text for asked in corpus.asked] + corpus.outside)
    passages = sum(map(len, corpus.documents.values()))
    print(f"\n{corpus.name}: {len(corpus.asked)} questions over {passages} passages")
    print(f"{'':<34}{'first':>8}{'recall@5':>10}{'recall@10':>11}{'MRR':>8}")
    for name, plain in PLAIN.items():
        _row(name, plain.over(corpus), corpus.asked)
    words = _row("words as shipped", shipped.words, corpus.asked)
    alike = _row("embeddings alone", shipped.embeddings, corpus.asked)
    _row("fused by rank", shipped.by_places, corpus.asked)
    chosen = TALKS if corpus.is_talk else DOCUMENTS
    at = {weight: _row(_named(weight, chosen), shipped.fused(weight), corpus.asked) for weight in WEIGHTS}
    if corpus.outside:
        _outside(shipped, corpus)
    loss = max(words, alike) - at[chosen]
    print(f"as shipped against the better one: {-loss:+.1f} points{'' if loss <= MOST_LOSS else '  MISSED'}")
    return loss <= MOST_LOSS


def _named(weight: float, chosen: float) -> str:
    return f"fused, likeness {weight}" + (" (as shipped)" if weight == chosen else "")


def _row(name: str, rank: Rank, asked: Sequence[Asked]) -> float:
    """Prints one line, in per cent, and returns recall@5: the share of questions of which an answer is among the first five."""
    places = [next((n for n, place in enumerate(rank(one), 1) if place in one.answers), 0) for one in asked]
    first, five, ten = (100 * sum(0 < place <= most for place in places) / len(places) for most in (1, 5, 10))
    reciprocal = 100 * sum(1 / place for place in places if 0 < place <= 10) / len(places)
    print(f"{name:<34}{first:>8.1f}{five:>10.1f}{ten:>11.1f}{reciprocal:>8.1f}", flush=True)
    return five


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
