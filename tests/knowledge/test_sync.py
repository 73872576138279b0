"""A source's folder ends where its origin is, whatever happens on the way, and answers follow."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bot.config.knowledge_schema import place_of
from bot.errors import DataError
from bot.knowledge import FolderKnowledge
from bot.knowledge.origins.keeper import SourceKeeper
from bot.knowledge.origins.kept import KeptFolder, State, file_name, read_state
from bot.knowledge.origins.origin import Mark
from bot.knowledge.origins.syncing import FIRST_WAIT_S, SourceReport, state_after
from bot.knowledge.sources import Document, SourceFile, read_document
from tests.clock import ManualClock
from tests.knowledge.outside import Answering, around, asking, marks, settings, site, texts
from tests.knowledge.sync_child import STATES, HeldOrigin, sync

ROOT = Path(__file__).parents[2]
SOURCE = settings("website", url="https://a.example/")


def said(data: Path) -> dict[str, str]:
    """What the kept files say, without when they were read."""
    lines = {name: text.split("\n") for name, text in texts(SOURCE, data).items()}
    return {name: "\n".join(line for line in each if not line.startswith("fetched_ms")) for name, each in lines.items()}


async def test_each_document_says_what_it_is(tmp_path: Path) -> None:
    """Source, id, title, address, version and time stand in front of its text, where the library reads them."""
    source = settings("website", url="https://a.example/", language="de", audience="staff")
    from bot.clock import SystemClock
    from bot.knowledge.origins.syncing import sync_source

    await sync_source(source, HeldOrigin({"https://a.example/x": "Thirty days."}), tmp_path, SystemClock())
    ((name, text),) = texts(source, tmp_path).items()
    for line in ("source: source", "id: https://a.example/x"):
        assert f"\n{line}\n" in text
    assert "\nversion: " in text
    assert "\nfetched_ms: 1" in text
    document = read_document(SourceFile(str(place_of(source, tmp_path) / name), name, name, 0, 0))
    assert isinstance(document, Document)
    assert (document.title, document.url) == ("Title of https://a.example/x", "https://a.example/x")
    assert (document.language, document.audience) == ("", ""), "the config's word may change, and is not kept here"


async def test_syncing_twice_changes_nothing(tmp_path: Path) -> None:
    """Not even a file's time."""
    await sync(tmp_path, STATES["before"])
    folder = place_of(SOURCE, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".state.json"}
    report = await sync(tmp_path, STATES["before"])
    assert (report.is_quiet, report.same) == (True, 3)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".state.json"} == before


KEYS = st.sampled_from(["a", "https://x.example/?q=1", "../../etc/passwd", "ä/ö", "x" * 5_000, "con", "a\u202eb\n"])
HELD = st.dictionaries(KEYS, st.sampled_from(["One.", "Two.", "# A\n\n---\nb", None]), max_size=5)


@examples(max_examples=40, deadline=None)
@given(st.lists(HELD, min_size=1, max_size=5))
def test_any_order_of_changes_ends_where_a_fresh_build_does(
    tmp_path_factory: pytest.TempPathFactory, states: list[Mapping[str, str | None]]
) -> None:
    """And no name of a document leads out of the folder (row 66)."""
    data, fresh = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("fresh")
    for each in states:
        asyncio.run(sync(data, each))
    asyncio.run(sync(fresh, states[-1]))
    assert said(data) == said(fresh)
    assert marks(SOURCE, data) == marks(SOURCE, fresh)
    assert sorted(path.name for path in data.iterdir()) == ["knowledge"]
    assert all(len(name) < 120 for name in said(data))


async def test_the_index_follows_and_what_is_gone_is_not_found(tmp_path: Path) -> None:
    """The library reads the folder like any other; the index may be thrown away without a request going out."""
    await sync(tmp_path, STATES["before"])
    folder = place_of(SOURCE, tmp_path)
    knowledge = FolderKnowledge(tmp_path / "index.db", [folder], ManualClock())
    try:
        await knowledge.sync()
        assert [found.passage.url for found in await knowledge.search("goes")] == [""]
        await sync(tmp_path, STATES["after"])
        report = await knowledge.sync()
        assert [len(each) for each in (report.added, report.changed, report.removed)] == [1, 1, 1]
        assert not await knowledge.search("goes")
        assert [found.passage.text for found in await knowledge.search("comes")] == ["Comes."]
    finally:
        await knowledge.close()
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    again = FolderKnowledge(tmp_path / "index.db", [folder], ManualClock())
    try:
        assert len((await again.sync()).added) == 3
    finally:
        await again.close()


def test_a_kill_at_any_step_leaves_old_or_new(in_memory: Path) -> None:
    """At every touch of the disk: each document is whole, and the next sync ends where one that was never killed does."""
    asyncio.run(sync(in_memory / "old", STATES["before"]))
    asyncio.run(sync(in_memory / "new", STATES["after"]))
    old, new = said(in_memory / "old"), said(in_memory / "new")
    for step in range(200):
        data = in_memory / f"data{step}"
        asyncio.run(sync(data, STATES["before"]))
        words = [sys.executable, "-m", "tests.knowledge.sync_child", str(data), "after", str(step)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True)
        assert done.returncode in (0, -9), done.stderr.decode()
        for name, text in said(data).items():
            assert text in (old.get(name), new.get(name)), (step, name)
        asyncio.run(sync(data, STATES["after"]))
        assert said(data) == new, step
        left = [path.name for path in place_of(SOURCE, data).rglob(".draft*")]
        assert left == [], step
        if done.returncode == 0:
            assert step > 20, "the steps were not counted"
            return
    raise AssertionError("the sync never came to its end")


async def test_a_sync_that_was_cut_off_does_not_read_again(tmp_path: Path) -> None:
    """What was kept before the cut is known afterwards."""

    class Cut(HeldOrigin):
        async def changes(self, kept: Mapping[str, Mark]):  # type: ignore[no-untyped-def]
            async for number_step in super().changes(kept):
                yield number_step
                if len(self.read) == 2:
                    raise asyncio.CancelledError

    from bot.clock import SystemClock
    from bot.knowledge.origins.syncing import sync_source

    with pytest.raises(asyncio.CancelledError):
        await sync_source(SOURCE, Cut(STATES["before"]), tmp_path, SystemClock())
    rest = HeldOrigin(STATES["before"])
    await sync_source(SOURCE, rest, tmp_path, SystemClock())
    assert rest.read == ["gone"]


async def test_damaged_notes_and_documents_are_read_again(tmp_path: Path) -> None:
    """A note that says nothing, a document that somebody changed or removed."""
    await sync(tmp_path, STATES["before"])
    before, folder = said(tmp_path), place_of(SOURCE, tmp_path)
    names = sorted(before)
    (folder / names[0]).write_text("changed by hand")
    (folder / names[1]).unlink()
    (folder / ".notes" / f"{names[2][:-3]}.json").write_bytes(b"{")
    await sync(tmp_path, STATES["before"])
    assert said(tmp_path) == before


async def test_what_people_put_there_stays(tmp_path: Path) -> None:
    """Only files of our own making are tidied away."""
    await sync(tmp_path, STATES["before"])
    (place_of(SOURCE, tmp_path) / "notes.md").write_text("mine")
    await sync(tmp_path, STATES["after"])
    assert (place_of(SOURCE, tmp_path) / "notes.md").read_text() == "mine"


async def test_two_processes_do_not_sync_one_source(tmp_path: Path) -> None:
    kept = KeptFolder(place_of(SOURCE, tmp_path), SOURCE)
    kept.open()
    try:
        with pytest.raises(DataError, match="another process"):
            await sync(tmp_path, {})
    finally:
        kept.close()


def test_names_are_of_our_own_making() -> None:
    """Row 66: whatever the key, a short name of plain letters."""
    for key in ("../../etc/passwd", "https://x.example/" + "é" * 9_000, "\0", "\ud800", "-rf", ".."):
        name = file_name(key)
        assert len(name) < 90
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert not name.startswith((".", "-"))
        assert name.count(".") == 1


def test_a_failing_source_is_tried_less_and_less_often() -> None:
    """Soon at first, never later than it would be read anyway, and not before a server's own wish."""
    waits, state = [], State()
    for _ in range(12):
        state = state_after(SourceReport("s", failure="x"), state, SOURCE, 0, 0.0)
        waits.append(state.next_ms / 1000)
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == SOURCE.every_s
    assert state_after(SourceReport("s", failure="x"), State(), SOURCE, 0, 9_000.0).next_ms == 9_000_000
    assert state_after(SourceReport("s"), state, SOURCE, 5, 0.0) == State(5, 5 + round(SOURCE.every_s * 1000))


async def test_sources_are_synced_by_the_clock(tmp_path: Path) -> None:
    """At the start, then every `every_s`; a failure keeps everything, is tried again, and is named with its mend."""

    class Waiting(ManualClock):
        """Says when and how long the keeper rests; moves exactly to the ends of its rests, so that no request is in the way."""

        def __init__(self) -> None:
            super().__init__()
            self.rest_s = 0.0
            self.rested = asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            self.rest_s = seconds
            self.rested.set()
            await super().sleep(seconds)

        async def pass_by(self, seconds: float) -> None:
            end = self.monotonic() + seconds
            while self.monotonic() < end:
                self.rested.clear()
                await self.advance(self.rest_s)
                await asyncio.wait_for(self.rested.wait(), 20)

    clock = Waiting()
    async with site() as made, asking(clock) as asker:
        made.put("/", "Home", "Welcome.")
        source = settings("website", url=f"{made.url}/", every_s=600.0)
        keeper = SourceKeeper([source], around(tmp_path, asker, clock))
        running = asyncio.create_task(keeper.run())
        try:
            await asyncio.wait_for(clock.rested.wait(), 20)
            assert (len(texts(source, tmp_path)), made.asked["/"]) == (1, 1)
            await clock.pass_by(700)
            assert made.asked["/"] == 2
            made.pages["/"] = Answering(status=500)
            await clock.pass_by(700)
            state = keeper.states()["source"]
            assert (state.failures > 0, "answered 500" in state.failure, bool(state.mend)) == (True, True, True)
            assert len(texts(source, tmp_path)) == 1
            made.put("/", "Home", "Welcome back.")
            await clock.pass_by(700)
            assert keeper.states()["source"].failure == ""
            assert "Welcome back." in "".join(texts(source, tmp_path).values())
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await keeper.close()


async def test_a_source_s_state_survives_a_restart(tmp_path: Path) -> None:
    """It stands beside the documents, and one that cannot be read is as if it never was."""
    await sync(tmp_path, STATES["before"])
    folder = place_of(SOURCE, tmp_path)
    assert read_state(folder).read_ms > 0
    (folder / ".state.json").write_text(json.dumps({"read_ms": 1, "unknown": 2}))
    assert read_state(folder) == State()
    assert os.listdir(folder)
