"""Erasing one person leaves nothing of them, and every byte of everybody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.people import places
from bot.ports import ChatRequest, Chunk, Cursor, Finished, TextDelta
from bot.store import audit, people
from tests.pipeline.house import ListChannel, ScriptedModel
from tests.users.house import eraser, house
from tests.users.planting import ALL_TOLD, Person, files_with, plant

CANARY = "zanzibar-canary-7731"
# Columns that hold ids, states, names and hashes of our own making, whichever table they are in.
OURS = {
    "id",
    "logged",  # the id of a line of the log
    "cause",
    "hash",
    "key",
    "kind",
    "state",
    "stage",
    "role",
    "held_for",
    "receipt",
    "channel",
    "account",
    "actor",
    "action",
    "author",
    "visibility",
    "owner",
    "agent",
    "model",
    "version",
    "effect",
    "user_id",
    "identity_id",
    "conversation_id",
    "case_id",
    "message_id",
    "turn_id",
    "reply_id",
    "action_id",
    "handoff_id",
    "operator_id",
    "operator",
    "payer",
    "day",
    "room",
    "card",
    "shown",
    "thread",
    "purpose",
    "subject",
    "offered_to",
    "team",
    "skill",
    "asked",
    "decided_by",
    "choice",
    "outcome",
    "csrf",
    "teams",
    "skills",
    "languages",
    "password",
    "totp",
    "totp_new",
    "media_type",
    "presence",
    "pseudonym",
    "replaced_by",
    "document",
    "passage_id",
    "gap_id",
    "call_id",
    "name",
}


async def test_f114_nothing_of_an_erased_person_is_in_any_byte_of_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        who = Person("ada@example.org", CANARY)
        await plant(found, folder, who)
        assert len(files_with(folder, CANARY)) >= 2
        receipt = await eraser(found, folder).run("list:ada@example.org", "request 12 of March", "local:root")
        for text in (CANARY, "printer is broken", "smells of smoke", "ada@example.org"):
            assert files_with(folder, text) == [], text
        assert receipt.scan is not None
        assert receipt.scan.strings >= 4
        assert receipt.scan.found == []
        assert (receipt.places["messages"] >= 5, receipt.files) == (True, 1)
        verdict = await audit.examine(found.store.read)
        assert verdict.broken is None


async def test_f114_erasing_one_person_never_touches_a_byte_of_another_who_wrote_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        ada, eve = Person("ada@example.org", CANARY), Person("eve@example.org", "quetzal-canary-9942")
        for who in (ada, eve):
            await plant(found, folder, who)
        before = await found.store.run(_rows_with, eve)
        count = len(before)
        receipt = await eraser(found, folder).run(ada.identity, "request 12", "local:root")
        assert await found.store.run(_rows_with, eve) == before
        assert count > 25
        assert files_with(folder, CANARY) == []
        assert receipt.scan is not None
        assert {each.kind for each in receipt.scan.found} <= {"text"}  # what eve wrote, too
        assert all(each.rows for each in receipt.scan.found)


def _rows_with(cursor: Cursor, who: Person) -> list[tuple[str, Any]]:
    """Every row that holds an id or a word of theirs."""
    found = []
    keys = {who.canary, who.conversation, who.identity, who.thread, who.name, who.blob}
    for (table,) in cursor.fetch("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        for row in cursor.fetch(f"SELECT * FROM {table}"):
            found += [(table, row)] if any(key in str(cell) for cell in row for key in keys) else []
    return found


async def test_every_column_that_may_hold_words_is_told_of(tmp_path: Path) -> None:
    async with house(tmp_path / "data") as found:
        rows = await found.all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        assert {str(row[0]) for row in rows} - ALL_TOLD == set()
        for (table,) in rows:
            known = await found.all(f"SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'")
            told = set(places.TEXTS.get(str(table), ()))
            assert {str(row[0]) for row in known} - OURS - told == set(), table
            assert told <= {str(row[0]) for row in known}, table


async def test_what_a_platform_delivers_again_does_not_come_back_and_a_new_message_is_a_fresh_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        who = Person("ada@example.org", CANARY)
        await plant(found, folder, who)
        await eraser(found, folder).run(who.identity, "request 12", "local:root")
        again = await found.say(f"Hello {CANARY}, the printer is broken", "ada@example.org-1", chat=who.name)
        await found.rest()
        assert again.is_duplicate
        assert await found.all("SELECT * FROM messages WHERE text <> ''") == []
        assert files_with(folder, CANARY) == []
        fresh = await found.say("hello, I am new here", "ada@example.org-3", chat=who.name)
        await found.rest()
        assert (fresh.is_duplicate, fresh.seq) == (False, 1)
        assert await found.all("SELECT text FROM messages WHERE author = 'agent'") == [
            ("You said: hello, I am new here",)
        ]


async def test_after_a_restart_redelivered_events_are_still_known(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        await found.say(f"I am {CANARY}", "m1")
        await found.rest()
        await eraser(found, folder).run("list:ada", "request 12", "local:root")
    async with house(folder) as found:
        await found.intake.recall()
        assert (await found.say(f"I am {CANARY}", "m1")).is_duplicate
        await found.rest()
        assert files_with(folder, CANARY) == []


async def test_f114_an_answer_that_is_being_written_is_not_sent(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    channel, may_end = ListChannel(), asyncio.Event()

    async def slowly(request: ChatRequest) -> AsyncIterator[Chunk]:
        yield TextDelta(f"You are {CANARY}")
        await may_end.wait()
        yield Finished()

    async with house(folder, channel=channel, model=ScriptedModel(slowly)) as found:
        await found.say(f"I am {CANARY}", "m1")
        await found.model.was_asked.wait()
        await eraser(found, folder).run("list:ada", "request 12", "local:root")
        may_end.set()
        await found.rest()
        assert [each.text for each in channel.sent if CANARY in each.text] == []
        assert files_with(folder, CANARY) == []


async def test_a_legal_hold_wins_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        await found.say(f"I am {CANARY}", "m1")
        await found.rest()
        user = (await found.store.run(people.find, "list:ada"))[0].user
        await found.store.run(people.hold, user, "court 4 B 17", "local:root", 5)
        with pytest.raises(people.NotDone, match="court 4 B 17"):
            await eraser(found, folder).run("list:ada", "request 12", "local:root")
        assert files_with(folder, CANARY) != []
        await found.store.run(people.release, user, "local:root", 6)
        await eraser(found, folder).run("list:ada", "request 12", "local:root")
        assert files_with(folder, CANARY) == []


async def test_a_reason_that_names_the_person_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path / "data") as found:
        await found.say("hello", "m1", chat="ada@example.org")
        await found.rest()
        with pytest.raises(people.NotDone, match="must not name"):
            await eraser(found, tmp_path / "data").run("list:ada@example.org", "asked by ADA@example.org", "local:root")
