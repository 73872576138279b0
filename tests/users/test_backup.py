"""Who was erased does not come back with a backup, sealed or plain, and nothing plain is ever in one."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.errors import DataError
from bot.people import places
from bot.people.erasing import erase
from bot.people.graves import Graves
from bot.ports import Cursor
from bot.store import keyring, people
from bot.store.backup import backup, restore
from bot.store.folder import BLOBS, DATABASE
from bot.store.keyring import HOUSE, KEYRING
from bot.store.migrations import migrate
from bot.store.sealing import OF_THE_HOUSE, OWNED
from bot.store.sqlite import connect_writer
from bot.store.writer import SqliteCursor
from tests.pipeline.house import Core
from tests.store.kills import dies
from tests.users.house import SECRET, empty_folder, eraser, house
from tests.users.planting import Person, files_with, plant

ADA = Person("ada@example.org", "zanzibar-canary-7731")
EVE = Person("eve@example.org", "quetzal-canary-9942")
# Columns of kept rows that stay when their person goes: ids, states, times and what the house decided.
FRAMES = {
    "cases": {"id", "conversation_id", "outcome", "feedback"},
    "messages": {
        *("id", "conversation_id", "case_id", "author", "visibility", "identity_id", "feedback", "external_id"),
        *("kind", "turn_id", "error", "operator_id", "via", "mentions"),
    },
    "outbox": {"message_id", "conversation_id", "channel", "state", "external_id", "role", "held_for", "receipt"},
    "turns": {"id", "conversation_id", "case_id", "agent", "outcome"},
    "actions": {
        *("id", "reply_id", "call_id", "turn_id", "conversation_id", "case_id", "identity_id", "agent", "name"),
        *("version", "effect", "hash", "key", "object", "state"),
    },
    "consents": {"id", "action_id", "kind", "asked", "hash", "state", "decided_by", "account"},
    "handoffs": {
        *("id", "conversation_id", "case_id", "stage", "origin", "operator", "offered_to", "team", "skill"),
        "language",
    },
}


def rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(data / DATABASE)) as connection:
        return connection.execute(sql).fetchall()


def dangling(data: Path) -> set[tuple[str, str]]:
    """Tables whose rows name a row that is not there, and where it should be."""
    return {(row[0], row[2]) for row in rows(data, "PRAGMA foreign_key_check")}


async def test_nothing_plain_of_anybody_is_in_a_backup(tmp_path: Path) -> None:
    """Not in its database, nor in its files, nor in their names."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with house(data) as found:
        for who in (ADA, EVE):
            await plant(found, data, who)
        await found.store.run(_fit_blobs, data)
        report = await asyncio.to_thread(backup, data, copy, found.clock)
        known = [text for who in (ADA, EVE) for text in (who.canary, who.name, who.conversation, who.identity)]
        for text in (*known, "printer is broken", "smells of smoke", "You said"):
            assert files_with(data, text) != []
            assert files_with(copy, text) == []
    assert report.files.copied == 2
    assert report.files.missing == 0


def _fit_blobs(cursor: Cursor, data: Path) -> None:
    """The planted rows tell the sizes of the planted files."""
    for path in (data / BLOBS).glob("??/*"):
        cursor.execute(
            "UPDATE blobs SET size_bytes = :size WHERE id = :id", {"size": path.stat().st_size, "id": path.name}
        )


async def test_f114_who_was_erased_does_not_come_back_with_an_older_backup(tmp_path: Path) -> None:
    """Everybody else does, and the tombstones bind: what a platform delivers again is not taken."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with house(data) as found:
        for who in (ADA, EVE):
            await plant(found, data, who)
        await found.store.run(_fit_blobs, data)
        await asyncio.to_thread(backup, data, copy, found.clock)
        receipt = await eraser(found, data).run(ADA.identity, "request 12", "local:root")
        sealed = [each for each in receipt.outside if each.where == "backups" and "sealed" in each.what]
        assert ["nobody can read this person" in each.status for each in sealed] == [True]
        clock = found.clock
    back = empty_folder(tmp_path / "back", data)
    report = restore(copy, back, clock)
    assert (report.gone, report.files.copied) == (1, 1)
    for text in (ADA.canary, ADA.name):
        assert files_with(back, text) == []
    assert len(files_with(back, EVE.canary)) == 2
    assert rows(back, "SELECT id FROM identities WHERE external_id LIKE '%@example.org'") == [(EVE.identity,)]
    assert dangling(back) <= dangling(data)
    async with house(back, clock=clock) as found:
        await found.intake.recall()
        again = await found.say(f"Hello {ADA.canary}, the printer is broken", f"{ADA.name}-1", chat=ADA.name)
        assert again.is_duplicate
        with pytest.raises(people.NotDone):
            await found.store.run(people.find, ADA.identity)


async def test_what_an_erasure_keeps_comes_back_under_a_pseudonym(tmp_path: Path) -> None:
    """Actions and costs are the company's, without a word of the person."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with house(data) as found:
        await plant(found, data, ADA)
        await asyncio.to_thread(backup, data, copy, found.clock)
        receipt = await eraser(found, data).run(ADA.identity, "request 12", "local:root")
    restore(copy, empty_folder(tmp_path / "back", data))
    kept = "SELECT identity_id, arguments, facts, result, detail FROM actions"
    assert rows(tmp_path / "back", kept) == rows(data, kept) == [(receipt.pseudonym, "", "", "", "")]
    assert rows(tmp_path / "back", "SELECT DISTINCT payer FROM spend") == [(receipt.pseudonym,)]


async def test_of_a_room_of_several_only_the_erased_speakers_part_is_gone(tmp_path: Path) -> None:
    """What others said stays theirs, and the conversation goes on under the next speaker."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with house(data) as found:
        await _talk_in_a_room(found)
        await asyncio.to_thread(backup, data, copy, found.clock)
        await eraser(found, data).run("list:ada", "request 12", "local:root")
    assert restore(copy, empty_folder(tmp_path / "back", data)).gone == 1
    assert files_with(tmp_path / "back", ADA.canary) == []
    said = "SELECT text FROM messages WHERE author = 'user'"
    assert rows(tmp_path / "back", said) == [("I am eve",)]
    assert rows(tmp_path / "back", "SELECT summary FROM cases") == [("",)]
    held = "SELECT i.external_id FROM conversations c JOIN identities i ON i.id = c.identity_id"
    assert rows(tmp_path / "back", held) == [("eve",)]
    assert rows(tmp_path / "back", "PRAGMA foreign_key_check") == []


async def test_a_room_of_several_comes_back_whole_while_everybody_has_a_key(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with house(data) as found:
        await _talk_in_a_room(found)
        await asyncio.to_thread(backup, data, copy, found.clock)
    restore(copy, empty_folder(tmp_path / "back", data))
    for table in OWNED:
        assert rows(tmp_path / "back", f"SELECT rowid, * FROM {table}") == rows(data, f"SELECT rowid, * FROM {table}")


async def _talk_in_a_room(found: Core) -> None:
    await found.say(f"I am {ADA.canary}", "m1", chat="ada")
    await found.rest()
    await found.say("I am eve", "m2", chat="eve")
    await found.rest()
    await found.store.run(_join)


def _join(cursor: Cursor) -> None:
    """Eve's words move into Ada's conversation, whose summary speaks of both."""
    (one,) = cursor.fetch("SELECT id, case_id FROM conversations WHERE chat = 'ada'")
    (two,) = cursor.fetch("SELECT id FROM conversations WHERE chat = 'eve'")
    where = {"one": one[0], "two": two[0], "case": one[1]}
    cursor.execute(
        "UPDATE messages SET conversation_id = :one, case_id = :case, seq = seq + 10 WHERE conversation_id = :two",
        where,
    )
    for table in ("turns", "tool_calls", "steps", "outbox", "speakers", "incidents"):
        cursor.execute(f"UPDATE {table} SET conversation_id = :one WHERE conversation_id = :two", where)
    cursor.execute("DELETE FROM cases WHERE conversation_id = :two", where)
    cursor.execute("DELETE FROM conversations WHERE id = :two", where)
    cursor.execute("UPDATE cases SET summary = :text", {"text": f"eve and {ADA.canary} talked"})


async def test_who_writes_anew_after_an_erasure_comes_back_with_the_backups_of_since(tmp_path: Path) -> None:
    """Under a new key: the older backup stays dead for them."""
    data = tmp_path / "data"
    async with house(data) as found:
        await found.say(f"I am {ADA.canary}", "m1")
        await found.rest()
        await asyncio.to_thread(backup, data, tmp_path / "old", found.clock)
        await eraser(found, data).run("list:ada", "request 12", "local:root")
        await found.clock.advance(5)
        await found.say("I am new here", "m2")
        await found.rest()
        await asyncio.to_thread(backup, data, tmp_path / "new", found.clock)
    restore(tmp_path / "new", empty_folder(tmp_path / "one", data))
    assert rows(tmp_path / "one", "SELECT text FROM messages WHERE author = 'user'") == [("I am new here",)]
    assert restore(tmp_path / "old", empty_folder(tmp_path / "two", data)).gone == 1
    assert files_with(tmp_path / "two", ADA.canary) == []


@pytest.mark.parametrize("is_new_machine", [True, False])
async def test_a_plain_backup_is_erased_again_as_it_is_restored(tmp_path: Path, is_new_machine: bool) -> None:
    """By the graves of the keyring, or of the folder that was there."""
    data = tmp_path / "data"
    async with house(data) as found:
        for who in (ADA, EVE):
            await plant(found, data, who)
        if is_new_machine:
            await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
    shutil.copytree(data, tmp_path / "plain")
    (tmp_path / "plain" / KEYRING).unlink(missing_ok=True)
    async with house(data) as found:
        await eraser(found, data).run(ADA.identity, "request 12", "local:root")
    back = empty_folder(tmp_path / "back", data) if is_new_machine else data
    assert restore(tmp_path / "plain", back).gone == 1
    assert files_with(back, ADA.canary) == []
    assert files_with(back, EVE.canary) != []


async def test_a_legal_hold_keeps_the_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        await found.say(f"I am {ADA.canary}", "m1")
        await found.rest()
        user = (await found.store.run(people.find, "list:ada"))[0].user
        await found.store.run(people.hold, user, "court 4 B 17", "local:root", 5)
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
        before = (data / KEYRING).read_bytes()
        with pytest.raises(people.NotDone, match="court 4 B 17"):
            await eraser(found, data).run("list:ada", "request 12", "local:root")
    assert (data / KEYRING).read_bytes() == before
    assert restore(tmp_path / "copy", data).gone == 0


async def test_all_linked_accounts_lose_their_keys(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        for name in ("ada", "ada2", "eve"):
            await found.say(f"I am {ADA.canary}" if "ada" in name else "I am eve", f"m-{name}", chat=name)
        await found.rest()
        one, two = [(await found.store.run(people.find, f"list:{name}"))[0].id for name in ("ada", "ada2")]
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
        await found.store.run(people.link, one, two, "local:root", 5)
        await eraser(found, data).run("list:ada2", "request 12", "local:root")
    assert restore(tmp_path / "copy", data).gone == 2
    assert files_with(data, ADA.canary) == []
    assert rows(data, "SELECT text FROM messages WHERE author = 'user'") == [("I am eve",)]


async def test_f114_an_erasure_that_died_before_the_keyring_is_finished_by_the_next_restore(tmp_path: Path) -> None:
    """Its graves stand in the database, and the keyring follows them."""
    data = tmp_path / "data"
    async with house(data) as found:
        await plant(found, data, ADA)
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
    with closing(connect_writer(data / DATABASE)) as connection:
        erase(SqliteCursor(connection), ADA.identity, "request 12", "local:root", Graves(SECRET), found.clock.now_ms())
    assert ADA.identity.encode() in (data / KEYRING).read_bytes()
    assert restore(tmp_path / "copy", data).gone == 1
    assert files_with(data, ADA.canary) == []
    assert ADA.identity.encode() not in (data / KEYRING).read_bytes()


async def test_f114_a_kill_at_any_step_of_destroying_a_key_leaves_it_whole_or_gone(tmp_path: Path) -> None:
    """And what was gone stays gone; everybody else's key is never touched."""
    with keyring.held(tmp_path) as ring:
        ring.mint([HOUSE, "ada", "eve"], 1)
        secret = ring.by_owner()["ada"].secret.hex().encode()
        eve = ring.by_owner()["eve"]
    graves = Graves(SECRET)
    at, died, seen = 0, True, set[bool]()
    while died:
        at += 1
        room = tmp_path / f"{at}"
        room.mkdir()
        shutil.copyfile(tmp_path / KEYRING, room / KEYRING)
        dug = [(graves.hash_of("identity", "ada"), 2)]
        died = await asyncio.to_thread(dies, lambda: keyring.bury(room, dug, graves.hash_of), at)  # noqa: B023 - run before the next round
        with keyring.held(room) as ring:
            assert ring.by_owner()["eve"] == eve
            seen.add("ada" in ring.by_owner())
        keyring.bury(room, dug, graves.hash_of)
        assert secret not in (room / KEYRING).read_bytes()
        assert (room / KEYRING).stat().st_mode & 0o077 == 0
    assert seen == {True, False}


def test_a_line_that_was_cut_off_is_no_key_and_none_is_lost(tmp_path: Path) -> None:
    """Neither an append nor a destruction that was cut off leaves anything that reads as a key."""
    with keyring.held(tmp_path) as ring:
        ring.mint([HOUSE, "ada", "eve"], 1)
        ada, size = ring.by_owner()["ada"], ring.size
    whole = (tmp_path / KEYRING).read_bytes()
    half = whole[: ada.place] + b"-" * 20 + whole[ada.place + 20 :] + b"key 0123"
    (tmp_path / KEYRING).write_bytes(half)
    with keyring.held(tmp_path) as ring:
        assert set(ring.by_owner()) == {HOUSE, "eve"}
        assert ring.size == size
        ring.mint(["bob"], 2)
    with keyring.held(tmp_path) as ring:
        assert set(ring.by_owner()) == {HOUSE, "eve", "bob"}
    assert ada.secret.hex().encode() not in (tmp_path / KEYRING).read_bytes()


async def test_a_backup_that_runs_while_somebody_is_erased_has_them_or_not_and_never_gives_them_back(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        for round_ in range(4):
            name = f"ada{round_}"
            await found.say(f"I am {ADA.canary}", f"m{round_}", chat=name)
            await found.rest()
            copying = asyncio.create_task(asyncio.to_thread(backup, data, tmp_path / name, found.clock))
            await eraser(found, data).run(f"list:{name}", "request 12", "local:root")
            await copying
            await found.clock.advance(5)
    for round_ in range(4):
        restore(tmp_path / f"ada{round_}", empty_folder(tmp_path / f"back{round_}", data))
        assert files_with(tmp_path / f"back{round_}", ADA.canary) == []


def test_every_column_is_told_of_as_a_persons_or_the_houses(tmp_path: Path) -> None:
    """A table that is in no list cannot be added, nor a column to a row that is kept in part."""
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as connection:
        migrate(connection, tmp_path / DATABASE)
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == set(OWNED) | OF_THE_HOUSE
        assert not set(OWNED) & OF_THE_HOUSE
        for table, place in OWNED.items():
            connection.execute(f"CREATE TEMP TABLE {table}_all AS SELECT * FROM {table}")
            if place.words is not None:
                told = connection.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'")
                assert {row[0] for row in told} - set(place.words) == FRAMES[table], table
    assert {*places.OF_CONVERSATION, *places.OF_IDENTITY} <= set(OWNED)


async def test_a_copy_of_a_backups_database_is_refused_by_a_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
    with pytest.raises(DataError, match="another program"):
        connect_writer(tmp_path / "copy" / DATABASE)
