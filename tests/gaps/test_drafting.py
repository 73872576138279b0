"""A draft is written from what colleagues answered, without whoever asked, and nobody reads it before a person has accepted it."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import DataError, Refused
from bot.gaps import drafting
from bot.gaps.drafting import without_person
from bot.knowledge import FolderKnowledge
from bot.model import Author, ConversationId
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.store.folder import INDEX
from tests.gaps.kit import BY, Asking, asking, text_of
from tests.pipeline.house import ScriptedModel

QUESTION = "Do you deliver pianos to Iceland? I am Ada Lind, ada@example.org"


async def answered(desk: Asking) -> tuple[str, ConversationId]:
    """A gap that a colleague has answered."""
    talk = await desk.unanswered("Ada Lind", QUESTION)
    await desk.people.say(talk, "Dear Ada, yes: by ship, in six weeks. Call +49 30 1234567.", Author.OPERATOR)
    await desk.people.say(talk, "She sounds cross.", Author.OPERATOR, is_note=True)
    (gap,) = await desk.listed()
    return gap["id"], talk


def writing(**made: str) -> ScriptedModel:
    async def write(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta(json.dumps(made))
        yield Finished()

    return ScriptedModel(write)


async def test_without_a_model_the_colleagues_words_are_the_draft(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        id_, _ = await answered(desk)
        drafted = await desk.gaps.drafting.draft(id_[:8], BY)
        draft = drafted["draft"]
        assert drafted["state"] == "drafted"
        assert (draft["title"].startswith("Do you deliver pianos to Iceland?"), draft["model"]) == (True, "")
        assert "yes: by ship, in six weeks" in draft["text"]
        assert not [word for word in ("Ada", "Lind", "ada@", "1234567", "cross") if word in json.dumps(draft)]


async def test_a_model_writes_from_what_has_no_person_in_it(tmp_path: Path) -> None:
    model = writing(title="Pianos to Iceland", text="By ship, in six weeks.")
    async with asking(tmp_path / "data", model) as desk:
        id_, _ = await answered(desk)
        draft = (await desk.gaps.drafting.draft(id_, BY))["draft"]
        assert (draft["title"], draft["text"], draft["model"]) == (
            "Pianos to Iceland",
            "By ship, in six weeks.",
            model.name,
        )
        said = text_of(model.requests[0])
        assert "A colleague: Dear [name], yes: by ship" in said
        assert not [word for word in ("Ada", "Lind", "ada@", "1234567", "cross") if word in said]


async def test_a_model_that_writes_nonsense_costs_no_draft(tmp_path: Path) -> None:
    async with asking(tmp_path / "data", writing(nonsense="x")) as desk:
        id_, _ = await answered(desk)
        draft = (await desk.gaps.drafting.draft(id_, BY))["draft"]
        assert ("by ship" in draft["text"], draft["model"]) == (True, "")


async def test_what_nobody_has_answered_is_a_question_with_a_place_for_the_answer(tmp_path: Path) -> None:
    model = writing(title="Made up", text="Made up.")
    async with asking(tmp_path / "data", model) as desk:
        await desk.unanswered("Ada", "Do you deliver pianos to Iceland?")
        (gap,) = await desk.listed()
        draft = (await desk.gaps.drafting.draft(gap["id"], BY))["draft"]
        assert draft["text"].startswith("TO CHECK: nobody has answered this yet.")
        assert model.requests == []  # a model would have to make it up


async def test_no_agent_reads_a_draft_and_every_agent_what_was_accepted(tmp_path: Path) -> None:
    """Accepting writes one file among the uploads; the gap is closed, and who did it stands in the audit."""
    data = tmp_path / "data"
    async with asking(data) as desk:
        id_, _ = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        library = FolderKnowledge(data / INDEX, [data / "knowledge"], desk.house.clock)
        (data / "knowledge").mkdir(exist_ok=True)
        try:
            await library.sync()
            assert await library.search("piano Iceland ship") == []
            done = await desk.gaps.drafting.accept(id_, "op-ann", "Pianos to Iceland", "By ship, in six weeks.")
            assert (done["state"], done["draft"]) == ("closed", None)
            await library.sync()
            (found,) = await library.search("piano Iceland ship")
        finally:
            await library.close()
        assert found.passage.document.endswith(done["document"])
        (file,) = (data / "knowledge" / "uploads").iterdir()
        assert file.read_text() == "# Pianos to Iceland\n\nBy ship, in six weeks.\n"
        assert [row[:2] for row in await desk.house.audited() if row[1].startswith("gap")] == [
            (BY, "gap drafted"),
            ("op-ann", "gap accepted"),
        ]
        assert await desk.gaps.drafting.accept(id_, BY) == done  # once more changes nothing


async def test_killed_between_the_file_and_the_row_the_same_file_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    async with asking(data) as desk:
        id_, _ = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        with monkeypatch.context() as patched:
            patched.setattr(drafting, "close", _die)
            with pytest.raises(InterruptedError):
                await desk.gaps.drafting.accept(id_, BY, "One title")
        await desk.gaps.drafting.accept(id_, BY, "Another title")
        (file,) = (data / "knowledge" / "uploads").iterdir()
        assert file.read_text().startswith("# Another title\n")


def _die(*_: object) -> None:
    raise InterruptedError


async def test_a_later_draft_never_overwrites_an_accepted_document(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with asking(data) as desk:
        id_, _ = await answered(desk)
        for text in ("First.", "Second."):
            await desk.gaps.drafting.draft(id_, BY)
            await desk.gaps.drafting.accept(id_, BY, "Pianos", text)
        files = sorted(path.read_text() for path in (data / "knowledge" / "uploads").iterdir())
        assert files == ["# Pianos\n\nFirst.\n", "# Pianos\n\nSecond.\n"]


async def test_what_is_erased_while_a_model_writes_leaves_no_draft(tmp_path: Path) -> None:
    desks: list[Asking] = []

    async def write(request: ChatRequest) -> AsyncIterator[Chunk]:
        await desks[0].store.run(lambda cursor: cursor.execute("UPDATE messages SET text = '', is_deleted = 1"))
        yield TextDelta(json.dumps({"title": "Pianos", "text": "By ship."}))
        yield Finished()

    async with asking(tmp_path / "data", ScriptedModel(write)) as desk:
        desks.append(desk)
        id_, _ = await answered(desk)
        with pytest.raises(Refused, match="erased meanwhile"):
            await desk.gaps.drafting.draft(id_, BY)
        assert await desk.store.read("SELECT * FROM gap_drafts") == []
        with pytest.raises(Refused, match="nothing to write from"):
            await desk.gaps.drafting.draft(id_, BY)


async def test_what_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with asking(tmp_path / "data") as desk:
        id_, _ = await answered(desk)
        for what, words in (
            (desk.gaps.drafting.draft("beef", BY), "There is no gap"),
            (desk.gaps.drafting.accept(id_, BY), "has no draft yet"),
            (desk.gaps.drafting.close("", BY), "There is no gap"),
        ):
            with pytest.raises(Refused, match=words):
                await what


async def test_a_folder_that_takes_no_file_is_told_and_the_draft_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with asking(data) as desk:
        id_, _ = await answered(desk)
        await desk.gaps.drafting.draft(id_, BY)
        os.makedirs(data / "knowledge", exist_ok=True)
        (data / "knowledge" / "uploads").write_text("a file where the folder should be")
        with pytest.raises(DataError, match="cannot be written"):
            await desk.gaps.drafting.accept(id_, BY)
        assert (await desk.gaps.shown(id_))["draft"] is not None


def test_names_addresses_numbers_and_secrets_are_taken_out() -> None:
    text = "Ada Lind (ada@example.org, +49 30 1234567) pays with 4111 1111 1111 1111, adamant in 14 days"
    found = without_person(text, ["Ada Lind", "x"])
    assert found == "[name] ([address], [number]) pays with [card number removed, ends in 1111], adamant in 14 days"
