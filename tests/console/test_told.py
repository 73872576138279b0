"""Notices and presence when something comes between: a store that fails, two who come and go in one moment, a name that only begins alike."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.console.presence import GRACE_S, LOOK_S, Presences
from bot.errors import DataError, StoreUnavailable
from bot.handoff import watching
from bot.handoff.notice import Notice
from bot.model import Author
from bot.operators.operator import Operator, Presence
from bot.operators.people import Operators
from bot.ports import Cursor
from tests.console.desk import Desk, Page
from tests.operators.house import BY, House, housed


async def noted(desk: Desk, talk: str, text: str, note: str = "note-1") -> list[str]:
    """A note of Ben's. Returns the names of those whom it calls."""
    writer = await desk.house.operators.named("ben")
    now = desk.clock.now_ms()
    await desk.house.store.run(lambda cursor: watching.name_in_note(cursor, text, writer, talk, "case", note, now))
    rows = await desk.house.store.read(
        "SELECT o.name FROM notices n JOIN operators o ON o.id = n.operator WHERE n.cause = :note ORDER BY o.name",
        {"note": note},
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("@ann", ["ann"]),
        ("@ANN.", ["ann"]),
        ("ask @ann.lee-w.", ["ann.lee-w"]),
        ("@ann.lee-w, @ann: look", ["ann", "ann.lee-w"]),
        ("@annä is a colleague elsewhere", []),
        ("@annß @ann\N{CYRILLIC SMALL LETTER A} @\N{KELVIN SIGN}arl", []),
        ("@anna @ann2 @ann_", ["ann"]),
        (f"@{'x' * 64}y", []),
        ("@all @here @everyone <@ann> ann@ann.example @@ann", ["ann"]),
        ("@tail.", ["tail."]),
    ],
)
async def test_f100_a_note_calls_whom_it_names_in_full_and_nobody_else(
    desk: Desk, text: str, called: list[str]
) -> None:
    """Letters of other alphabets belong to a name: whoever is called so is somebody else."""
    for name in ("ann", "ann.lee-w", "ben", "karl", "tail", "tail.", "x" * 64):
        await desk.house.add(name)
    talk = await desk.people.talk("Zoe")
    assert await noted(desk, talk, text) == called


async def test_one_note_calls_no_more_than_ten(desk: Desk) -> None:
    names = [f"op{number}" for number in range(15)]
    for name in ["ben", *names]:
        await desk.house.add(name)
    talk = await desk.people.talk("Zoe")
    assert len(await noted(desk, talk, " ".join(f"@{name}" for name in names))) == watching.NAMED_MOST


async def test_whose_account_is_shut_before_the_room_shows_it_is_called_no_more(desk: Desk) -> None:
    """The link to the platform stays for the day the account is enabled again; no room calls them until then."""
    for name in ("ann", "ben"):
        await desk.house.add(name)
    talk = await desk.people.talk("Zoe")
    assert await noted(desk, talk, "@ann") == ["ann"]

    def placed(cursor: Cursor) -> list[Notice]:
        return watching.to_place(cursor, talk, "case", 0, 0)

    assert len(await desk.house.store.run(placed)) == 1
    await desk.house.operators.disable("ann", by=BY)
    assert await desk.house.store.run(placed) == []


async def test_what_happened_before_a_long_pause_still_reaches_a_console(desk: Desk) -> None:
    """The process ended between a message and the notice of it, and came back hours later."""
    ann = await desk.house.add("ann")
    talk = await desk.people.talk("Zoe")
    await desk.house.store.run(watching.watch, talk, ann.id)
    await desk.people.say(talk, "Hello?", Author.USER)
    await desk.clock.advance(4 * 3600)
    told = await desk.house.store.run(watching.tell, talk, desk.clock.now_ms())
    assert [each.text for each in told.notices] == ["The user has written."]
    page = await desk.signed_in("ann")
    await page.connect()
    assert (await page.frame("notice"))["conversation"] == talk


async def test_a_console_that_comes_while_the_store_fails_is_told_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "ben"):
        await desk.house.add(name)
    talk = await desk.people.talk("Zoe")
    await noted(desk, talk, "@ann")
    await desk.house.store.run(watching.tell, talk, desk.clock.now_ms())
    real, failures = desk.views.notices, iter((True,))

    async def failing(operator: str, since_ms: int) -> list[Notice]:
        if next(failures, False):
            raise StoreUnavailable("the disk is full")
        return await real(operator, since_ms)

    monkeypatch.setattr(desk.views, "notices", failing)
    page = await desk.signed_in("ann")
    await page.connect()
    assert (await page.frame("notice"))["text"] == "Ben names you in a note."


# --- presence --------------------------------------------------------------------------------------------------------


class Slow(Operators):
    """Somebody comes back while the first of several is being made offline."""

    def __init__(self, house: House) -> None:
        super().__init__(house.store, house.clock)
        self.gone: list[str] = []
        self.meanwhile: Any = None

    async def go(self, id_: str) -> None:
        self.gone.append(id_)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        await super().go(id_)


async def test_who_comes_back_while_another_leaves_stays_online(tmp_path: Path) -> None:
    async with housed(tmp_path / "data") as house:
        ann, ben = await house.add("ann"), await house.add("ben")
        people = Slow(house)
        presences = Presences(people, house.clock)
        for each in (ann, ben):
            await presences.arrive(each)
            presences.leave(each)
        people.meanwhile = lambda: presences.arrive(ben)
        running = asyncio.create_task(presences.run())
        try:
            while not people.gone:
                await house.clock.advance(GRACE_S + LOOK_S)
            for _ in range(5):
                await house.clock.advance(LOOK_S)
                await house.store.run(lambda cursor: None)
        finally:
            running.cancel()
            await asyncio.wait([running])
        assert people.gone == [ann.id]
        assert (await house.operators.named("ben")).presence is Presence.ONLINE


async def test_a_page_that_could_not_be_opened_leaves_nobody_online(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as closed, whatever kept it from opening."""
    ann = await desk.house.add("ann")
    await desk.house.operators.come(ann.id)
    page: Page = await desk.signed_in("ann")
    come = desk.house.operators.come
    failures = iter((True,))

    async def failing(id_: str) -> None:
        if next(failures, False):
            raise DataError("the database is damaged")
        await come(id_)

    monkeypatch.setattr(desk.house.operators, "come", failing)
    assert await page.connect() != 101
    await page.connect()
    assert page.ws is not None
    await page.ws.close()
    found: Operator = ann
    for _ in range(200):
        await desk.clock.advance(LOOK_S)
        await desk.house.store.run(lambda cursor: None)
        found = await desk.house.operators.named("ann")
        if found.presence is Presence.OFFLINE:
            break
    assert found.presence is Presence.OFFLINE
