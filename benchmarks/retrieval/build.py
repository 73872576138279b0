"""A corpus as an index file, with the embeddings of its passages."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.retrieval.corpora import Corpus
from bot.knowledge.embeddings import Embedder
from bot.knowledge.index import Entry, IndexWriter, Known
from bot.knowledge.vectors import Vector
from bot.model import PassageId

ROOT = Path("/corpus")  # where the documents are said to lie: nothing is read from there


class Remembering:
    """An embedder that is asked for no text twice in a run."""

    def __init__(self, embedder: Embedder) -> None:
        self.model = embedder.model
        self._embedder = embedder
        self._known: dict[str, Vector] = {}

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, await self._embedder.embed(new), strict=True))
        return [self._known[text] for text in texts]

    async def close(self) -> None:
        await self._embedder.close()


def entries(corpus: Corpus) -> list[Entry]:
    """The documents as the library would hand them over."""
    return [
        Entry(
            Known(str(ROOT / name), name, 0, 0, "0"),
            name,
            name,
            "",
            tuple((_id(name, place), title, text) for place, (title, text) in enumerate(passages)),
            is_talk=corpus.is_talk,
        )
        for name, passages in corpus.documents.items()
    ]


def _id(document: str, place: int) -> PassageId:
    return PassageId(hashlib.sha256(f"{document}\0{place}".encode()).hexdigest()[:16])


async def build(path: Path, corpus: Corpus, embedder: Embedder | None) -> None:
    """Writes the index; embeddings that are there already stay."""
    writer = IndexWriter(path)
    try:
        writer.apply(sorted(writer.known()), (), entries(corpus))
        while embedder is not None and (missing := writer.missing(embedder.model, 256)):
            vectors = await _embedded(embedder, [text for _, text in missing])
            writer.keep(embedder.model, list(zip((hash_ for hash_, _ in missing), vectors, strict=True)))
    finally:
        writer.close()


async def _embedded(embedder: Embedder, texts: Sequence[str]) -> list[bytes]:
    """In the order of their lengths, so that a batch holds little padding."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = await embedder.embed([texts[place] for place in order])
    return [vector for _, vector in sorted(zip(order, vectors, strict=True))]


def places(corpus: Corpus) -> list[tuple[str, int]]:
    """The passages in the order of their row numbers, which begin at 1."""
    return [(name, place) for name, passages in corpus.documents.items() for place in range(len(passages))]
