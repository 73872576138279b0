"""What a source had stays while it cannot be read, and what is gone goes at once."""

import gzip
import sys
from pathlib import Path

import pytest

from bot.knowledge.indexing import Indexer
from bot.knowledge.origins.syncing import SourceReport, sync_source
from bot.knowledge.origins.website import WebsiteOrigin
from bot.knowledge.reading.parsed import Format, Parsed, Unparsed, Unread
from bot.knowledge.reading.room import ReadingRoom
from tests.knowledge.outside import Answering, FastClock, Site, asking, settings, site, texts


class Without(ReadingRoom):
    """Has lost what reads some formats."""

    def __init__(self, *lost: Format) -> None:
        super().__init__()
        self.lost = lost

    def read(self, kind: Format, data: bytes, url: str = "") -> Parsed:
        if kind in self.lost:
            raise Unread("cannot be read yet")
        return super().read(kind, data, url)


async def sync(made: Site, data: Path, *lost: Format, **given: object) -> SourceReport:
    source, clock, room = settings("website", url=f"{made.url}/", **given), FastClock(), Without(*lost)
    try:
        async with asking(clock) as asker:
            return await sync_source(source, WebsiteOrigin(source, asker, room, clock), data, clock)
    finally:
        room.close()


def kept(made: Site, data: Path) -> str:
    return "".join(texts(settings("website", url=made.url), data).values())


async def test_pages_that_come_packed_do_not_take_the_place_of_what_was_kept(tmp_path: Path) -> None:
    async with site() as made:
        made.put("/", "Start", "Ask away.", ("/returns",))
        made.put("/returns", "Returns", "Within thirty days.")
        await sync(made, tmp_path)
        packed = gzip.compress(b"<p>Within sixty days.</p>")
        made.pages["/returns"] = Answering(packed, headers={"Content-Encoding": "gzip"})
        report = await sync(made, tmp_path)
        assert "Within thirty days." in kept(made, tmp_path)
        assert len(report.passed) == 1


async def test_rules_for_robots_that_come_packed_are_not_taken_for_none(tmp_path: Path) -> None:
    async with site() as made:
        made.put("/", "Start", "Ask away.")
        packed = gzip.compress(b"User-agent: *\nDisallow: /")
        made.pages["/robots.txt"] = Answering(packed, "text/plain", headers={"Content-Encoding": "gzip"})
        report = await sync(made, tmp_path)
        assert report.failure
        assert made.asked["/"] == 0


@pytest.mark.parametrize("lost", [Format.PAGE, Format.SITEMAP])
async def test_what_reads_a_format_may_be_missing_and_nothing_is_forgotten_for_it(tmp_path: Path, lost: Format) -> None:
    """A sitemap that cannot be read is not taken for none: pages that only it names would be forgotten."""
    async with site() as made:
        made.put("/", "Start", "Ask away.")
        made.put("/hidden", "Hidden", "Found by the map.")
        listed = f"<urlset><url><loc>{made.url}/</loc></url><url><loc>{made.url}/hidden</loc></url></urlset>"
        made.pages["/sitemap.xml"] = Answering(listed.encode(), "application/xml")
        await sync(made, tmp_path)
        made.put("/hidden", "Hidden", "Another text.")
        report = await sync(made, tmp_path, lost)
        assert report.removed == []
        assert "Found by the map." in kept(made, tmp_path)
        assert report.failure or report.passed


def test_a_reader_that_is_not_installed_is_no_fault_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.knowledge.reading import child, parsed

    monkeypatch.setitem(child._READERS, Format.PDF, ("bot.knowledge.reading.no_such_reader", "documents"))
    with pytest.raises(Unread, match="frontdesk\\[documents\\]"):
        parsed.from_json(child._answer(Format.PDF, b"", "").encode())
    with pytest.raises(Unparsed) as refused:
        parsed.from_json(child._answer(Format.DOCX, b"junk", "").encode())
    assert not isinstance(refused.value, Unread)


async def test_a_page_that_is_gone_goes_although_the_pass_is_cut_short(tmp_path: Path) -> None:
    async with site() as made:
        made.put("/", "Start", "Ask away.", ("/old", "/more"))
        made.put("/old", "Old", "Forty days.")
        made.put("/more", "More", "And more.")
        await sync(made, tmp_path)
        del made.pages["/old"]
        made.put("/more", "More", "And more.", tuple(f"/page-{n}" for n in range(9)))
        for number in range(9):
            made.put(f"/page-{number}", f"Page {number}", "Text.")
        report = await sync(made, tmp_path, documents=4)
        assert report.unfinished
        assert report.removed == [f"{made.url}/old"]
        assert "Forty days." not in kept(made, tmp_path)


async def test_a_start_page_that_is_gone_takes_nothing_away(tmp_path: Path) -> None:
    async with site() as made:
        made.put("/", "Start", "Ask away.", ("/returns",))
        made.put("/returns", "Returns", "Within thirty days.")
        await sync(made, tmp_path)
        del made.pages["/"]
        report = await sync(made, tmp_path)
        assert "there is no such page" in report.failure
        assert report.removed == []
        assert "Ask away." in kept(made, tmp_path)


def test_a_removed_document_is_gone_before_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading may take long, and what was withdrawn must not be quoted meanwhile."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "old.md").write_text("# Old\n\nForty days.")
    indexer = Indexer(tmp_path / "index.db", [docs])
    assert indexer.open()
    indexer.sync()
    (docs / "old.md").unlink()
    (docs / "new.md").write_text("# New\n\nSixty days.")
    seen: list[list[str]] = []
    module = sys.modules["bot.knowledge.indexing"]
    read = module.read_document

    def look(*given: object) -> object:
        writer = indexer._writer
        assert writer is not None
        seen.append([known.name for known in writer.known().values()])
        return read(*given)

    monkeypatch.setattr(module, "read_document", look)
    indexer.sync()
    indexer.close()
    assert seen == [[]]
