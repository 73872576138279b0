"""The library keeps in step with its folders, survives a broken index, and never blocks."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.knowledge import FolderKnowledge, open_index
from bot.ports import Knowledge
from tests.clock import ManualClock


class PollClock(ManualClock):
    """Says when the library has gone to sleep between two polls."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.set()
        await super().sleep(seconds)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nSend it back within thirty days.")
    (folder / "shipping.md").write_text("# Shipping\n\nWe ship to Austria.")
    return folder


@asynccontextmanager
async def opened(index: Path, *folders: Path) -> AsyncIterator[FolderKnowledge]:
    knowledge = FolderKnowledge(index, folders, ManualClock())
    try:
        yield knowledge
    finally:
        await knowledge.close()


@pytest.fixture
async def knowledge(tmp_path: Path, docs: Path) -> AsyncIterator[FolderKnowledge]:
    async with opened(tmp_path / "index.db", docs) as library:
        await library.sync()
        yield library


def overwrite(path: Path) -> None:
    """All but the first page becomes noise, in place."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


async def titles(knowledge: Knowledge, query: str) -> list[str]:
    return [found.passage.title for found in await knowledge.search(query)]


async def test_a_sync_reports_exactly_what_changed(knowledge: FolderKnowledge, docs: Path) -> None:
    """Added, changed and removed documents by name; a second pass over the same folders reports nothing."""
    assert (await knowledge.sync()).is_quiet
    (docs / "returns.md").write_text("# Returns\n\nWithin sixty days, now.")
    (docs / "shipping.md").unlink()
    (docs / "new.md").write_text("# Payment\n\nBy invoice.")
    report = await knowledge.sync()
    assert (report.added, report.changed, report.removed) == (
        ["docs/new.md"],
        ["docs/returns.md"],
        ["docs/shipping.md"],
    )
    assert await titles(knowledge, "sixty days") == ["Returns"]
    assert await titles(knowledge, "thirty") == []
    assert await titles(knowledge, "Austria") == []
    assert (await knowledge.sync()).is_quiet


async def test_a_touched_file_is_not_a_change(knowledge: FolderKnowledge, docs: Path) -> None:
    """A new time with the same content keeps the passages and their ids."""
    before = (await knowledge.search("thirty days"))[0].passage
    os.utime(docs / "returns.md", ns=(1, 1))
    assert (await knowledge.sync()).is_quiet
    assert await knowledge.passage(before.id) == before


async def test_the_index_outlives_the_process(tmp_path: Path, docs: Path, knowledge: FolderKnowledge) -> None:
    """After a restart, nothing is read again."""
    await knowledge.close()
    async with opened(tmp_path / "index.db", docs) as second:
        assert (await second.sync()).is_quiet
        assert await titles(second, "thirty days") == ["Returns"]


async def test_changes_are_found_within_one_poll(tmp_path: Path, docs: Path) -> None:
    """A running daemon notices new and removed documents by itself, every two seconds."""
    clock = PollClock()
    knowledge = FolderKnowledge(tmp_path / "index.db", [docs], clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(knowledge.run())
        await clock.slept.wait()
        assert await titles(knowledge, "Austria") == ["Shipping"]
        (docs / "shipping.md").unlink()
        (docs / "new.md").write_text("# Payment\n\nBy invoice.")
        clock.slept.clear()
        await clock.advance(2.0)
        await clock.slept.wait()
        assert await titles(knowledge, "Austria") == []
        assert await titles(knowledge, "invoice") == ["Payment"]
        running.cancel()
    await knowledge.close()


async def test_a_search_waits_for_the_first_sync(tmp_path: Path, docs: Path) -> None:
    """Right after the start nobody is told that nothing was found."""
    async with opened(tmp_path / "index.db", docs) as knowledge, asyncio.TaskGroup() as tasks:
        search = tasks.create_task(titles(knowledge, "Austria"))
        await asyncio.sleep(0)
        assert not search.done()
        assert not knowledge.ready.is_set()
        await knowledge.sync()
        assert await search == ["Shipping"]


async def test_one_bad_file_stops_nobody(
    knowledge: FolderKnowledge, docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported each time and logged once; when it is mended it is indexed."""
    caplog.set_level(logging.WARNING)
    (docs / "bad.md").write_bytes(b"\xff\xfe\xff")
    (docs / "good.md").write_text("# Payment\n\nBy invoice.")
    for _ in range(3):
        assert (await knowledge.sync()).unreadable == ["docs/bad.md: not UTF-8 text"]
    assert len([record for record in caplog.records if "bad.md" in record.message]) == 1
    assert await titles(knowledge, "invoice") == ["Payment"]
    (docs / "bad.md").write_text("# Mended\n\nCured.")
    assert (await knowledge.sync()).added == ["docs/bad.md"]


async def test_a_document_that_becomes_unreadable_is_not_quoted_any_more(
    knowledge: FolderKnowledge, docs: Path
) -> None:
    """What can no longer be checked is not repeated."""
    (docs / "shipping.md").write_bytes(b"caf\xe9")
    report = await knowledge.sync()
    assert report.removed == ["docs/shipping.md"]
    assert await titles(knowledge, "Austria") == []


@pytest.mark.parametrize("damage", ["garbage", "torn", "other version", "foreign"])
async def test_an_unusable_index_is_built_anew(
    tmp_path: Path, docs: Path, knowledge: FolderKnowledge, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The index is derived: whatever happened to it, the next start answers again, and the log says so."""
    path = tmp_path / "index.db"
    await knowledge.close()
    data = path.read_bytes()
    match damage:
        case "garbage":
            path.write_bytes(b"not a database at all" * 500)
        case "torn":
            path.write_bytes(data[:4096] + b"\x00" * (len(data) - 4096))
        case "other version":
            path.write_bytes(data[:60] + (99).to_bytes(4, "big") + data[64:])
        case _:
            path.write_bytes(b"")
    async with opened(path, docs) as second:
        await second.sync()
        assert await titles(second, "thirty days") == ["Returns"]
    assert "building the search index anew" in caplog.text


async def test_an_index_damaged_while_open_is_rebuilt_by_the_search_that_notices(
    tmp_path: Path, docs: Path, knowledge: FolderKnowledge
) -> None:
    """Nobody has to restart anything."""
    path = tmp_path / "index.db"
    for n in range(50):
        (docs / f"more{n}.md").write_text(f"# More {n}\n\n" + "many words " * 50)
    await knowledge.sync()
    await knowledge.close()
    async with opened(path, docs) as second:
        await second.sync()
        overwrite(path)
        assert await titles(second, "thirty days") == ["Returns"]


async def test_an_index_deleted_while_open_comes_back(tmp_path: Path, docs: Path, knowledge: FolderKnowledge) -> None:
    """Deleting it is allowed at any time; searches go on, and the file is there again after the next poll."""
    assert await titles(knowledge, "thirty days") == ["Returns"]
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert len((await knowledge.sync()).added) == 2
    assert await titles(knowledge, "thirty days") == ["Returns"]
    view = open_index(tmp_path / "index.db")
    assert len(view.documents()) == 2
    view.close()


async def test_searches_go_on_while_documents_change(knowledge: FolderKnowledge, docs: Path) -> None:
    """A reader sees each document before or after its change, never neither."""

    async def change() -> None:
        for n in range(15):
            (docs / "returns.md").write_text(f"# Returns\n\nSend it back within thirty days, revision {n}." + " " * n)
            await knowledge.sync()

    async with asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(change())
        while not changing.done():
            assert await titles(knowledge, "thirty days") == ["Returns"]


async def test_the_loop_is_never_blocked(tmp_path: Path, docs: Path) -> None:
    """While many documents are indexed, the loop keeps turning."""
    for n in range(300):
        (docs / f"{n}.md").write_text("\n\n".join(f"## Section {m}\n\n{'words and more ' * 40}" for m in range(20)))
    async with opened(tmp_path / "index.db", docs) as knowledge, asyncio.TaskGroup() as tasks:
        syncing = tasks.create_task(knowledge.sync())
        turns = 0
        while not syncing.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 20


async def test_a_library_without_folders_knows_nothing(tmp_path: Path) -> None:
    """No documents is a fine state, not an error."""
    async with opened(tmp_path / "index.db") as knowledge:
        assert (await knowledge.sync()).is_quiet
        assert await titles(knowledge, "anything") == []


async def test_a_data_folder_that_cannot_be_used_is_said_plainly(tmp_path: Path, docs: Path) -> None:
    """The failure is ours by name, and the next sync may succeed."""
    async with opened(tmp_path / "data" / "index.db", docs) as knowledge:
        with pytest.raises(DataError, match="cannot be written"):
            await knowledge.sync()
        (tmp_path / "data").mkdir()
        assert len((await knowledge.sync()).added) == 2


async def test_the_command_line_reads_the_index_without_a_daemon(
    tmp_path: Path, docs: Path, knowledge: FolderKnowledge
) -> None:
    """Listing and searching work with and without the daemon, and change nothing."""
    view = open_index(tmp_path / "index.db")
    (returns, shipping) = view.documents()
    assert (returns.name, returns.title, returns.passages) == ("docs/returns.md", "Returns", 1)
    assert await knowledge.list_documents() == [returns, shipping]
    view.close()
    await knowledge.close()
    view = open_index(tmp_path / "index.db")
    assert view.search("thirty days", 5)[0].passage.title == "Returns"
    view.close()


def test_a_missing_or_foreign_index_is_an_error_with_a_mend(tmp_path: Path) -> None:
    """The command line says what to do."""
    with pytest.raises(DataError, match="frontdesk serve"):
        open_index(tmp_path / "index.db")
    (tmp_path / "index.db").write_bytes(b"something else" * 100)
    with pytest.raises(DataError, match="frontdesk serve"):
        open_index(tmp_path / "index.db")
