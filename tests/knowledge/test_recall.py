"""Each answer knows the documents that it rests on, as they stood; and when they change, it is known who was told what."""

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.commands import queue as queue_command
from bot.commands import recall
from bot.errors import ConfigError, Overloaded
from bot.knowledge import FolderKnowledge, recalls
from bot.knowledge.index import Edition
from bot.knowledge.versions import Versions
from bot.model import Citation, Found, Passage, PassageId
from bot.net.control import CommandFailed
from bot.store.answers import TOLD, sources_of
from tests.clock import ManualClock
from tests.knowledge.lamps import OTHERS, RETURNS, laid_out, rows, running, say
from tests.store.database import opened, until


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return laid_out(tmp_path)


def versions(place: Path, document: str) -> list[tuple[str, bool]]:
    """By first sight: how the version begins, and whether it stands."""
    sql = f"SELECT version, ended_ms IS NULL FROM document_versions WHERE document = '{document}' ORDER BY first_ms"
    return [(version, bool(stands)) for version, stands in rows(place, sql)]


def asked(place: Path, **given: object) -> argparse.Namespace:
    named = {"document": "returns", "since": "", "before": "", "queue": False, "json": True, **given}
    return argparse.Namespace(config=place / "config.toml", **named)


async def told(place: Path, capsys: pytest.CaptureFixture[str], **given: object) -> dict[str, Any]:
    capsys.readouterr()
    assert await asyncio.to_thread(recall.run, asked(place, **given)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


async def noticed(place: Path, document: str, count: int) -> None:
    await until(lambda: len(versions(place, document)) >= count)


async def test_who_was_told_what_is_known_before_and_after_the_document_changes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through a real daemon: the sentence that cites it, the version, and what has changed since."""
    async with running(place) as (app, channel):
        assert "thirty days" in await say(app, channel, "Within how many days can I send a lamp back?")
        await noticed(place, "docs/returns.md", 1)
        found = await told(place, capsys)
        (one,) = found["told"]
        assert (one["is_current"], one["changed"], one["channel"]) == (True, [], "list")
        assert "thirty days" in one["said"]
        (place / "docs" / "returns.md").write_text(RETURNS.replace("thirty", "fourteen"))
        await noticed(place, "docs/returns.md", 2)
        (one,) = (await told(place, capsys))["told"]
        assert not one["is_current"]
        assert one["changed"] == [
            "- Send a lamp back within thirty days.",
            "+ Send a lamp back within fourteen days.",
        ]
        first, second = versions(place, "docs/returns.md")
        assert (one["version"], first[1], second[1]) == (first[0], False, True)
        assert one["version"] != second[0]
        assert (await told(place, capsys, document="shipping.md"))["told"] == []


async def test_without_a_daemon_the_same_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(place) as (app, channel):
        await say(app, channel, "Within how many days can I send a lamp back?")
        await noticed(place, "docs/returns.md", 1)
        with_daemon = await told(place, capsys)
    without = await told(place, capsys)
    for each in (*with_daemon["versions"], *without["versions"]):
        each.pop("last_ms")
    assert without == with_daemon
    assert await asyncio.to_thread(recall.run, asked(place, json=False)) == 0
    assert "stands still" in capsys.readouterr().out


async def test_a_review_is_queued_once_for_each_conversation_and_nothing_is_sent(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(place) as (app, channel):
        for who in ("ada", "eve"):
            await say(app, channel, "Within how many days can I send a lamp back?", who)
        await noticed(place, "docs/returns.md", 1)
        assert (await told(place, capsys, queue=True))["queued"] == 0  # it stands as it was
        (place / "docs" / "returns.md").write_text(RETURNS.replace("thirty", "fourteen"))
        await noticed(place, "docs/returns.md", 2)
        await say(app, channel, "Within how many days can I send a lamp back?", "zoe")
        sent = len(channel.sent)
        assert (await told(place, capsys, queue=True))["queued"] == 2
        assert (await told(place, capsys, queue=True))["queued"] == 0
        await asyncio.to_thread(queue_command.run_list, argparse.Namespace(config=place / "config.toml", json=True))
        entries = json.loads(capsys.readouterr().out)
        assert [each["kind"] for each in entries] == ["recall", "recall"]
        assert all("+ Send a lamp back within fourteen days." in each["detail"] for each in entries)
        assert len({each["conversation"] for each in entries}) == 2
        assert len(channel.sent) == sent
        ((actor, what),) = rows(place, "SELECT actor, detail FROM audit WHERE action = 'recall queued'")
        assert (actor.startswith("local:"), what) == (True, "2 entries")


async def test_time_and_version_narrow_it_down(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(place) as (app, channel):
        await say(app, channel, "Within how many days can I send a lamp back?")
        await noticed(place, "docs/returns.md", 1)
        (place / "docs" / "returns.md").write_text(RETURNS.replace("thirty", "fourteen"))
        await noticed(place, "docs/returns.md", 2)
        await say(app, channel, "Within how many days can I send a lamp back?", "eve")
        old, new = (version for version, _ in versions(place, "docs/returns.md"))
        assert [each["version"] for each in (await told(place, capsys))["told"]] == [old, new]
        assert [each["version"] for each in (await told(place, capsys, before=new[:8]))["told"]] == [old]
        assert (await told(place, capsys, before=old[:8]))["told"] == []
        assert (await told(place, capsys, since="2099-01-01"))["told"] == []
        assert len((await told(place, capsys, since="1h"))["told"]) == 2
        with pytest.raises(CommandFailed, match="no version beef"):
            await asyncio.to_thread(recall.run, asked(place, before="beef"))
        with pytest.raises(CommandFailed, match="fits more than one document"):
            await asyncio.to_thread(recall.run, asked(place, document="docs/"))
        with pytest.raises(CommandFailed, match="No document is or was called"):
            await asyncio.to_thread(recall.run, asked(place, document="nothing"))
        with pytest.raises(ConfigError, match="is no time"):
            await asyncio.to_thread(recall.run, asked(place, since="yesterday"))


async def test_what_changed_while_nothing_ran_is_noticed_at_the_next_start(place: Path) -> None:
    """Also a document that vanished, one that came back as it was, and an index that was deleted meanwhile."""
    docs = place / "docs"

    async def start() -> None:
        async with running(place) as (app, _):
            library = await app.assembly.knowledge.loaded()
            await library.ready.wait()
            await until(lambda: library._is_told)

    await start()
    (docs / "returns.md").write_text(RETURNS.replace("thirty", "fourteen"))
    (docs / "shipping.md").unlink()
    for file in (place / "data").glob("index.db*"):
        file.unlink()
    await start()
    assert [stands for _, stands in versions(place, "docs/returns.md")] == [False, True]
    assert [stands for _, stands in versions(place, "docs/shipping.md")] == [False]
    (docs / "shipping.md").write_text(OTHERS)
    await start()
    await start()
    first, second = versions(place, "docs/shipping.md")
    assert (first[0], first[1], second[1]) == (second[0], False, True)
    assert len(versions(place, "docs/returns.md")) == 2


async def child(place: Path, point: str, now_ms: int) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.knowledge.recall_child", str(place), point, str(now_ms)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode().strip()


async def test_killed_at_any_step_the_next_start_completes_the_history(place: Path) -> None:
    assert await child(place, "", 1_000) == (0, "2")
    (place / "docs" / "returns.md").write_text(RETURNS.replace("thirty", "fourteen"))
    (place / "docs" / "shipping.md").unlink()
    for number, point in enumerate(f"{side} {unit}" for unit in (1, 2) for side in ("before", "within", "after")):
        folder = place.with_name(f"killed-{number}")
        shutil.copytree(place, folder)
        assert (await child(folder, point, 2_000))[0] == 9
        assert (await child(folder, "", 3_000))[0] == 0
        assert [stands for _, stands in versions(folder, "docs/returns.md")] == [False, True], point
        assert [stands for _, stands in versions(folder, "docs/shipping.md")] == [False], point


async def test_what_the_store_does_not_take_is_told_again(tmp_path: Path) -> None:
    """The history waits for the disk; no document is lost for it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nOne.")
    library, heard = FolderKnowledge(tmp_path / "index.db", [tmp_path / "docs"], ManualClock()), []

    async def hear(documents: Any) -> bool:
        heard.append([each.document for each in documents])
        return len(heard) > 1

    library.on_change = hear
    try:
        for _ in range(3):
            await library.sync()
    finally:
        await library.close()
    assert heard == [["docs/a.md"], ["docs/a.md"]]


async def test_a_store_that_is_busy_is_no_failure(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as store:
        clock = ManualClock()

        history = Versions(store, clock)
        edition = Edition("a.md", "v1", "A", "/a.md", ("p",))

        async def refuse(*_: object) -> Any:
            raise Overloaded("full")

        run, store.run = store.run, refuse  # type: ignore[method-assign, assignment]  # a store that takes nothing
        assert await history.note([edition]) is False
        store.run = run  # type: ignore[method-assign]
        assert await history.note([edition]) is True
        assert await store.read("SELECT document, version FROM document_versions") == [("a.md", "v1")]


def found(*ids: str) -> list[Found]:
    return [Found(Passage(PassageId(each), f"{each}.md", each, f"Text of {each}."), 1.0, 1.0) for each in ids]


def test_an_answer_rests_on_what_it_cites_or_on_all_that_it_had_in_view() -> None:
    cited = sources_of((Citation(2, PassageId("b"), "b"),), found("a", "b"))
    assert [(each.passage, each.number, each.text) for each in cited] == [("b", 2, "Text of b.")]
    assert [(each.passage, each.number) for each in sources_of((), found("a", "b"))] == [("a", 0), ("b", 0)]


def test_what_a_number_stands_behind_is_what_was_told() -> None:
    """As far back as the number before it, or the beginning of its line."""
    text = "Hello Ada.\nThirty days. The label is inside [1]. It is free. [2] Write to us!"
    assert recalls.sentences(text, 1) == "Thirty days. The label is inside [1]."
    assert recalls.sentences(text, 2) == "It is free. [2]"
    assert recalls.sentences("Thirty days. [1]", 1) == "Thirty days. [1]"
    assert recalls.sentences("No mark here.", 0) == "No mark here."


def test_what_stands_nowhere_any_more_is_told_as_gone() -> None:
    one = {"is_current": False, "passage": "p", "title": "Fees", "text": "It costs ten euros."}
    ((gone,), (moved,)) = (
        [each["changed"] for each in recalls.compared([one], now)]
        for now in ([("Other", "zzz qqq xxx")], [("Prices", "It costs ten euros.\n\nAnd more.")])
    )
    assert gone == ["- It costs ten euros."]
    assert moved == ["+ And more."]


async def test_erasing_a_person_takes_what_they_were_told_with_them(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(place) as (app, channel):
        await say(app, channel, "Within how many days can I send a lamp back?")
        await noticed(place, "docs/returns.md", 1)
        assert rows(place, "SELECT count(*) FROM answer_sources") == [(1,)]
        await app.people.answer("root", "user erase", {"user": "list:ada", "reason": "request 1"})
        assert rows(place, "SELECT count(*) FROM answer_sources") == [(0,)]
        assert (await told(place, capsys))["told"] == []


async def test_the_look_ups_go_by_indexes(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as store:
        plan = await store.read(f"EXPLAIN QUERY PLAN {TOLD}", {"document": "d", "since": 0, "limit": 1, "offset": 0})
        steps = [str(row[3]) for row in plan]
        assert not [step for step in steps if step.startswith("SCAN")], steps
