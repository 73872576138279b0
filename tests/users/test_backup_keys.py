"""A keyring is never lost by being read, and a backup stays one that can be restored, whoever comes and goes."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.errors import DataError
from bot.ids import identity_id
from bot.people.graves import Graves
from bot.store import keyring, people
from bot.store.backup import backup, restore
from bot.store.folder import DATABASE
from bot.store.keyring import HOUSE, KEYRING, Keyring
from tests.store.database import fill, noted
from tests.users.house import SECRET, empty_folder, eraser, house
from tests.users.planting import files_with
from tests.users.test_backup import ADA, rows


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"key ", b"key  "),
        lambda text: text.replace(b"key ", b"key2 ", 1),
        lambda text: text.replace(b"house", b"house more", 1),
    ],
)
def test_a_keyring_that_was_changed_by_a_copy_is_refused_and_stays_as_it_is(tmp_path: Path, change: object) -> None:
    assert callable(change)
    with keyring.held(tmp_path) as ring:
        ring.mint([HOUSE, "ada", "eve"], 1)
    changed = change((tmp_path / KEYRING).read_bytes())
    (tmp_path / KEYRING).write_bytes(changed)
    with pytest.raises(DataError, match=r"line 1 is no key.*newest copy"), keyring.held(tmp_path):
        pass
    assert (tmp_path / KEYRING).read_bytes() == changed


def test_a_copy_without_its_last_line_end_has_every_key(tmp_path: Path) -> None:
    with keyring.held(tmp_path) as ring:
        ring.mint([HOUSE, "ada", "eve"], 1)
    whole = (tmp_path / KEYRING).read_bytes()
    (tmp_path / KEYRING).write_bytes(whole.removesuffix(b"\n"))
    with keyring.held(tmp_path) as ring:
        assert set(ring.by_owner()) == {HOUSE, "ada", "eve"}
    assert (tmp_path / KEYRING).read_bytes() == whole


def test_a_destruction_that_was_cut_off_at_any_byte_is_finished(tmp_path: Path) -> None:
    with keyring.held(tmp_path) as ring:
        ring.mint([HOUSE, "ada", "eve"], 1)
        ada = ring.by_owner()["ada"]
    whole = (tmp_path / KEYRING).read_bytes()
    for cut in range(1, ada.length):
        for line in (
            b"-" * cut + whole[ada.place + cut : ada.place + ada.length],
            whole[ada.place : ada.place + cut] + b"-" * (ada.length - cut),
        ):
            (tmp_path / KEYRING).write_bytes(whole[: ada.place] + line + whole[ada.place + ada.length :])
            with keyring.held(tmp_path) as ring:
                assert set(ring.by_owner()) == {HOUSE, "eve"}
            assert (tmp_path / KEYRING).read_bytes().count(b"-") == ada.length


async def test_a_backup_is_restored_after_somebody_came_back_on_the_day_of_their_erasure_and_was_erased_again(
    tmp_path: Path,
) -> None:
    """What they cost that day is added up under the one pseudonym."""
    data = tmp_path / "data"
    async with house(data) as found:
        await found.say(f"I am {ADA.canary}", "m1")
        await found.rest()
        await found.store.run(lambda cursor: cursor.execute(*_spent(ids(data))))
        await eraser(found, data).run("list:ada", "request 12", "local:root")
        await found.clock.advance(5)
        await found.say(f"I am {ADA.canary} again", "m2")
        await found.rest()
        await found.store.run(lambda cursor: cursor.execute(*_spent(ids(data))))
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
        await found.clock.advance(5)
        await eraser(found, data).run("list:ada", "request 13", "local:root")
    back = empty_folder(tmp_path / "back", data)
    assert restore(tmp_path / "copy", back).gone == 1
    assert files_with(back, ADA.canary) == []
    spent = rows(back, "SELECT payer, cost_micros FROM spend WHERE day = '2026-01-01'")
    assert spent == rows(data, "SELECT payer, cost_micros FROM spend WHERE day = '2026-01-01'")
    assert spent == [(f"erased:{Graves(SECRET).hash_of('user', identity_id('list', '', 'ada'))}", 10)]


def ids(data: Path) -> str:
    return str(rows(data, "SELECT id FROM identities WHERE external_id = 'ada'")[0][0])


def _spent(identity: str) -> tuple[str, dict[str, str]]:
    return "INSERT INTO spend VALUES ('2026-01-01', :identity, 'm', 1, 0, 1, 1, 0, 0, 5)", {"identity": identity}


@pytest.mark.parametrize("is_plain", [True, False])
async def test_whoever_was_unlinked_before_the_erasure_of_the_other_comes_back(tmp_path: Path, is_plain: bool) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        for name in ("ada", "eve"):
            await found.say(f"I am {ADA.canary}" if name == "ada" else "I am eve", f"m-{name}", chat=name)
        await found.rest()
        one, two = [(await found.store.run(people.find, f"list:{name}"))[0].id for name in ("ada", "eve")]
        await found.store.run(people.link, one, two, "local:root", 5)
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
        if is_plain:
            shutil.rmtree(tmp_path / "copy")
    if is_plain:
        shutil.copytree(data, tmp_path / "copy")
        (tmp_path / "copy" / KEYRING).unlink()
    async with house(data, clock=found.clock) as again:
        await again.store.run(people.unlink, one, "local:root", 6)
        await eraser(again, data).run("list:ada", "request 12", "local:root")
    assert restore(tmp_path / "copy", data).gone == 1
    assert files_with(data, ADA.canary) == []
    assert rows(data, "SELECT text FROM messages WHERE author = 'user'") == [("I am eve",)]


async def test_a_backup_that_begins_during_a_restore_can_be_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are in the keyring that is there afterwards."""
    data = tmp_path / "data"
    names = await fill(data, 3)
    backup(data, tmp_path / "first")
    done: list[object] = []

    def second() -> None:
        done.append(backup(data, tmp_path / "second"))

    beside = threading.Thread(target=second)
    settle = keyring.Keyring.copy_to

    def copy_to(self: Keyring, target: Path) -> None:
        settle(self, target)
        if beside.ident is not None:
            return
        with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as connection:
            connection.execute(
                "INSERT INTO identities (id, channel, account, external_id, user_id, name, created_ms) "
                "VALUES ('new', 'list', '', 'new', 'new', 'New', 5)"
            )
        beside.start()
        beside.join(0.5)

    monkeypatch.setattr(keyring.Keyring, "copy_to", copy_to)
    restore(tmp_path / "first", data)
    beside.join()
    assert len(done) == 1
    restore(tmp_path / "second", empty_folder(tmp_path / "back", data))
    assert noted(tmp_path / "back") == names
    assert rows(tmp_path / "back", "SELECT name FROM identities WHERE id = 'new'") == [("New",)]


async def test_a_keyring_that_went_on_elsewhere_is_refused(tmp_path: Path) -> None:
    """It lacks keys of people who were never erased, though it is as long as the right one."""
    data = tmp_path / "data"
    async with house(data) as found:
        await found.say("I am ada", "m1")
        await found.rest()
        await asyncio.to_thread(backup, data, tmp_path / "first", found.clock)
        before = (data / KEYRING).read_bytes()
        await found.say("I am eve", "m2", chat="eve")
        await found.rest()
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / KEYRING).write_bytes(before)
    with keyring.held(tmp_path / "other") as ring:
        ring.mint(["0" * 32, "1" * 32], 5)
    with pytest.raises(DataError, match=r"went on without.*newest"):
        restore(tmp_path / "copy", tmp_path / "other")
    assert restore(tmp_path / "copy", data).gone == 0


async def test_an_erasure_goes_on_without_the_keyring_and_says_what_is_to_be_done(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with house(data) as found:
        await found.say(f"I am {ADA.canary}", "m1")
        await found.rest()
        await asyncio.to_thread(backup, data, tmp_path / "copy", found.clock)
        good = (data / KEYRING).read_bytes()
        (data / KEYRING).write_bytes(good.replace(b"\n", b"\r\n"))
        receipt = await eraser(found, data).run("list:ada", "request 12", "local:root")
        (sealed,) = [each for each in receipt.outside if "sealed" in each.what]
        assert "could not be destroyed" in sealed.status
        assert "Then run frontdesk backup" in sealed.status
        assert receipt.scan is not None
        assert files_with(data, ADA.canary) == []
        (data / KEYRING).write_bytes(good)
        await asyncio.to_thread(backup, data, tmp_path / "next", found.clock)
    assert restore(tmp_path / "copy", empty_folder(tmp_path / "back", data)).gone == 1


async def test_a_backup_says_that_its_keyring_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(tmp_path / "data", 1)
    config = tmp_path / "config.toml"
    config.write_text(f'[data]\npath = "{tmp_path / "data"}"\n')
    said = []
    for name in ("one", "two"):
        assert await asyncio.to_thread(main, ["backup", "--config", str(config), str(tmp_path / name)]) == 0
        said.append(capsys.readouterr().out)
    assert ["was made now" in each for each in said] == [True, False]
    assert all("Keep the newest copy of that file" in each for each in said)
