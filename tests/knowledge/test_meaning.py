"""Passages found by what they mean: embeddings kept in step with the index, and searches that never wait for them for long."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.errors import Fault, ModelError
from bot.knowledge import FolderKnowledge
from bot.knowledge.meaning import AGAIN_S, ASK_AGAIN_S, PROBE, WITHIN_S
from bot.knowledge.opening import can_compare
from bot.knowledge.quoting import quote
from bot.knowledge.sources import Root
from bot.model import Found, Passage, PassageId
from bot.tools.search import FAR, as_text
from tests.clock import ManualClock, settle

pytestmark = pytest.mark.skipif(not can_compare(), reason="neither numpy nor sqlite-vec can be used here")

SUBJECTS = ("money refund cash", "parcel delivery van", "staff salary bonus")  # words of one line mean the same


class Thinking:
    """Embeds a text by the subjects of its words; may be away, or never answer."""

    model = "thinking"

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.is_away = False
        self.is_stuck = False

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self.is_away:
            raise ModelError("the embedding server is away", Fault.UNREACHABLE)
        if self.is_stuck:
            await asyncio.get_running_loop().create_future()
        self.embedded += texts
        return [self._vector(text.lower()) for text in texts]

    async def close(self) -> None:
        pass

    def _vector(self, text: str) -> bytes:
        counts = [0.01 + sum(text.count(word) for word in subject.split()) for subject in SUBJECTS]
        length = math.hypot(*counts)
        return struct.pack("<3f", *(count / length for count in counts))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "refund.md").write_text("# Returns\n\nEvery refund takes fourteen days.")
    (folder / "parcel.md").write_text("# Shipping\n\nA van brings each parcel.")
    return folder


@asynccontextmanager
async def running(
    index: Path, folders: Sequence[Path | Root], embedder: Thinking, clock: ManualClock | None = None
) -> AsyncIterator[FolderKnowledge]:
    knowledge = FolderKnowledge(index, folders, clock or ManualClock(), embedder=embedder)
    task = asyncio.ensure_future(knowledge.run())
    try:
        await knowledge.ready.wait()
        yield knowledge
    finally:
        task.cancel()
        await asyncio.wait([task])
        await knowledge.close()


async def whole(knowledge: FolderKnowledge) -> None:
    assert knowledge.meanings is not None
    await asyncio.wait_for(knowledge.meanings.are_whole.wait(), 20)


def titles(found: Sequence[Found]) -> list[str]:
    return [each.passage.title for each in found]


async def test_what_shares_no_word_with_the_question_is_found_by_meaning(tmp_path: Path, docs: Path) -> None:
    """And says how alike it is."""
    async with running(tmp_path / "index.db", [docs], Thinking()) as knowledge:
        await whole(knowledge)
        (found,) = await knowledge.search("cash")
    assert (found.passage.title, found.coverage) == ("Returns", 0.0)
    assert found.likeness == pytest.approx(1.0, abs=0.05)


async def test_without_an_embedder_words_alone_decide(tmp_path: Path, docs: Path) -> None:
    """Nothing changes for who has not installed the extra."""
    knowledge = FolderKnowledge(tmp_path / "index.db", [docs], ManualClock())
    await knowledge.sync()
    assert await knowledge.search("cash") == []
    (found,) = await knowledge.search("refund")
    await knowledge.close()
    assert found.likeness is None


async def test_each_passage_is_embedded_once_also_across_restarts(tmp_path: Path, docs: Path) -> None:
    """What has been embedded is paid for; a changed document costs its own passages alone."""
    first, second = Thinking(), Thinking()
    async with running(tmp_path / "index.db", [docs], first) as knowledge:
        await whole(knowledge)
    assert len(first.embedded) == 1 + 2
    clock = ManualClock()
    async with running(tmp_path / "index.db", [docs], second, clock) as knowledge:
        await whole(knowledge)
        assert second.embedded == [PROBE]
        (docs / "pay.md").write_text("# Pay\n\nA bonus in May.")
        await knowledge.sync()
        await whole(knowledge)
        assert second.embedded == [PROBE, "Pay\nA bonus in May."]


async def test_without_documents_no_model_is_loaded(tmp_path: Path, docs: Path) -> None:
    """It would take memory for nothing; the first document brings it."""
    (docs / "refund.md").unlink()
    (docs / "parcel.md").unlink()
    embedder = Thinking()
    async with running(tmp_path / "index.db", [docs], embedder) as knowledge:
        assert knowledge.meanings is not None
        await asyncio.wait_for(knowledge.meanings.is_settled.wait(), 20)
        assert embedder.embedded == []
        (docs / "pay.md").write_text("# Pay\n\nA bonus in May.")
        await knowledge.sync()
        await whole(knowledge)
    assert embedder.embedded == [PROBE, "Pay\nA bonus in May."]


async def test_a_search_goes_by_words_while_embeddings_are_away_and_by_meaning_again_later(
    tmp_path: Path, docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody notices but the log, which says it once."""
    embedder, clock = Thinking(), ManualClock()
    embedder.is_away = True
    async with running(tmp_path / "index.db", [docs], embedder, clock) as knowledge:
        await settle()
        assert await knowledge.search("cash") == []
        assert titles(await knowledge.search("refund")) == ["Returns"]
        embedder.is_away = False
        for _ in range(3):
            await clock.advance(AGAIN_S)
        await whole(knowledge)
        assert titles(await knowledge.search("cash")) == ["Returns"]
    told = [record.getMessage() for record in caplog.records if "words alone" in record.getMessage()]
    assert told == ["knowledge is searched by words alone: the embedding server is away"]


async def test_a_question_waits_only_so_long_for_its_embedding(tmp_path: Path, docs: Path) -> None:
    """Then words alone answer, and the next questions do not wait at all for a while."""
    embedder, clock = Thinking(), ManualClock()
    async with running(tmp_path / "index.db", [docs], embedder, clock) as knowledge:
        await whole(knowledge)
        embedder.is_stuck = True
        search = asyncio.ensure_future(knowledge.search("refund"))
        await clock.advance(WITHIN_S / 2)
        assert not search.done()
        await clock.advance(WITHIN_S)
        (found,) = await search
        assert found.likeness is None
        assert titles(await knowledge.search("refund")) == ["Returns"]
        embedder.is_stuck = False
        await clock.advance(ASK_AGAIN_S)
        assert titles(await knowledge.search("cash")) == ["Returns"]


async def test_a_removed_document_is_not_found_by_meaning(tmp_path: Path, docs: Path) -> None:
    """Its embedding leads nowhere from the same moment on."""
    async with running(tmp_path / "index.db", [docs], Thinking()) as knowledge:
        await whole(knowledge)
        (docs / "refund.md").unlink()
        await knowledge.sync()
        assert "Returns" not in titles(await knowledge.search("cash"))


async def test_documents_for_an_audience_are_found_only_by_who_names_it(tmp_path: Path, docs: Path) -> None:
    """By words and by meaning alike; for nobody by default."""
    (docs / "pay.md").write_text("---\naudience: staff\n---\n# Pay\n\nThe salary comes with a bonus in May.")
    async with running(tmp_path / "index.db", [docs], Thinking()) as knowledge:
        await whole(knowledge)
        for question in ("bonus in May", "salary"):
            assert "Pay" not in titles(await knowledge.search(question))
            assert "Pay" not in titles(await knowledge.search(question, audiences=("partners",)))
            assert "Pay" in titles(await knowledge.search(question, audiences=("partners", "staff")))
            assert "Pay" in titles(await knowledge.search(question, audiences=None))


async def test_a_language_is_searched_with_what_is_in_none_in_particular(tmp_path: Path, docs: Path) -> None:
    (docs / "de.md").write_text("---\nlanguage: de-AT\n---\n# Rückgabe\n\nEin refund dauert zwei Wochen.")
    knowledge = FolderKnowledge(tmp_path / "index.db", [docs], ManualClock())
    await knowledge.sync()
    assert sorted(titles(await knowledge.search("refund"))) == ["Returns", "Rückgabe"]
    assert sorted(titles(await knowledge.search("refund", language="de"))) == ["Returns", "Rückgabe"]
    assert titles(await knowledge.search("refund", language="en")) == ["Returns"]
    await knowledge.close()


async def test_a_source_s_audience_holds_at_once_when_the_config_changes(tmp_path: Path, docs: Path) -> None:
    """Also for documents that have not changed, and for those that lie in a folder for everyone too."""
    (docs / "inner").mkdir()
    (docs / "inner" / "pay.md").write_text("# Pay\n\nThe salary comes in May.")
    inner = Root(docs / "inner", audience="staff")
    orders: list[tuple[list[Path | Root], list[str]]] = [([docs], ["Pay"]), ([inner, docs], []), ([docs], ["Pay"])]
    for folders, expected in orders:
        knowledge = FolderKnowledge(tmp_path / "index.db", folders, ManualClock())
        await knowledge.sync()
        assert titles(await knowledge.search("salary")) == expected
        await knowledge.close()


def found(text: str, coverage: float, likeness: float | None) -> Found:
    return Found(Passage(PassageId("p"), "d.md", "Returns", text, ""), 1.0, coverage, likeness)


def test_a_question_about_something_else_is_not_answered_for_a_few_shared_words() -> None:
    """What embeddings say counts beside words, and only where it is known."""
    text, question = "The opening of the parcel is free of charge.", "Is the opening ceremony free?"
    assert quote(question, [found(text, 0.6, None)])
    assert quote(question, [found(text, 0.6, 0.5)])
    assert not quote(question, [found(text, 0.6, 0.1)])
    assert quote(question, [found(text, 1.0, 0.1)])


@pytest.mark.parametrize(
    ("coverage", "likeness", "is_far"), [(0.5, None, False), (0.5, 0.1, True), (0.5, 0.5, False), (1.0, 0.1, False)]
)
def test_a_model_is_told_when_nothing_is_close(coverage: float, likeness: float | None, is_far: bool) -> None:
    """So that it says that it did not find it, instead of making something of what is there."""
    assert (FAR in as_text([found("Text.", coverage, likeness)], 1)) is is_far
