"""The audit: an entry that was changed, removed, moved or put in is found."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Refused
from bot.ports import Cursor, Row, Value
from bot.store import audit
from tests.operators.house import House

NOTHING: Mapping[str, Value] = {}
WORDS = st.text(max_size=8)
ENTRIES = st.lists(st.tuples(WORDS, WORDS, WORDS, st.integers(0, 2**52), WORDS), min_size=1, max_size=8)


class Rows:
    """A cursor over a list: what `append` asks and adds."""

    def __init__(self, before: audit.Link = audit.START) -> None:
        self.rows: list[Row] = []
        self._before = before

    def execute(self, sql: str, parameters: Mapping[str, Value] = NOTHING) -> int:
        if sql == audit.ADD:
            names = ("number", "id", "actor", "action", "subject", "detail", "now", "hash")
            self.rows.append(tuple(parameters[name] for name in names))
        return 1

    def fetch(self, sql: str, parameters: Mapping[str, Value] = NOTHING) -> list[Row]:
        assert sql == audit.LAST
        return [(self.rows[-1][0], self.rows[-1][7])] if self.rows else [(self._before.number, self._before.hash)]


def chain(entries: list[tuple[str, str, str, int, str]]) -> list[Row]:
    cursor = Rows()
    for actor, action, subject, now_ms, detail in entries:
        audit.append(cursor, actor, action, subject, now_ms, detail)
    return cursor.rows


@given(ENTRIES)
def test_a_chain_that_nobody_touched_holds(entries: list[tuple[str, str, str, int, str]]) -> None:
    assert audit.verify(chain(entries)) is None


@given(ENTRIES, st.data())
def test_any_changed_value_of_any_entry_is_found(
    entries: list[tuple[str, str, str, int, str]], data: st.DataObject
) -> None:
    rows = chain(entries)
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, 7))
    row = list(rows[at])
    other = st.integers(0, 2**52) if isinstance(row[column], int) else WORDS
    row[column] = data.draw(other.filter(lambda value: value != row[column]))
    rows[at] = tuple(row)
    broken = audit.verify(rows)
    assert broken is not None
    assert broken in (at + 1, at + 2)


@given(ENTRIES, st.data())
def test_a_changed_entry_whose_own_hash_was_made_anew_is_found_by_the_next_one(
    entries: list[tuple[str, str, str, int, str]], data: st.DataObject
) -> None:
    entries = [*entries, ("", "last", "", 1, "")]
    rows = chain(entries)
    at = data.draw(st.integers(0, len(rows) - 2))
    actor, action, subject, now_ms, detail = entries[at]
    changed = chain([*entries[:at], (f"{actor}!", action, subject, now_ms, detail)])
    rows[at] = changed[at]
    assert audit.verify(rows) == at + 2


@given(ENTRIES, st.data())
def test_any_removed_entry_before_the_last_is_found(
    entries: list[tuple[str, str, str, int, str]], data: st.DataObject
) -> None:
    rows = chain([*entries, ("", "last", "", 1, "")])
    at = data.draw(st.integers(0, len(rows) - 2))
    del rows[at]
    assert audit.verify(rows) == at + 1


@given(ENTRIES, st.data(), st.booleans())
def test_any_two_exchanged_entries_are_found_renumbered_or_not(
    entries: list[tuple[str, str, str, int, str]], data: st.DataObject, is_renumbered: bool
) -> None:
    rows = chain([*entries, ("", "last", "", 1, "")])
    a, b = sorted(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True)))
    rows[a], rows[b] = rows[b], rows[a]
    if is_renumbered:
        rows = [(number, *row[1:]) for number, row in enumerate(rows, 1)]
    assert audit.verify(rows) == a + 1


@given(ENTRIES, st.data(), st.booleans())
def test_any_entry_that_was_put_in_is_found_even_with_a_hash_of_its_own(
    entries: list[tuple[str, str, str, int, str]], data: st.DataObject, is_renumbered: bool
) -> None:
    rows = chain([*entries, ("", "last", "", 1, "")])
    at = data.draw(st.integers(0, len(rows) - 1))
    forged = chain([(row[2], row[3], row[4], row[6], row[5]) for row in rows[:at]] + [("x", "forged", "x", 1, "")])
    rows.insert(at, forged[-1])
    if is_renumbered:
        rows = [(number, *row[1:]) for number, row in enumerate(rows, 1)]
    assert audit.verify(rows) is not None


def test_a_chain_that_begins_late_is_found() -> None:
    cursor = Rows(audit.Link(4, ""))
    audit.append(cursor, "x", "forged", "x", 1)
    assert audit.verify(cursor.rows) == 1


# --- in the database -------------------------------------------------------------------------------------------------


def add(cursor: Cursor, count: int) -> None:
    for number in range(count):
        audit.append(cursor, "local:root", "try", f"subject {number}", 1_000 + number, f"détail {number}")


def forge(cursor: Cursor, sql: str) -> None:
    cursor.execute(sql)


async def examined(house: House, noted: str = "") -> audit.Verdict:
    return await audit.examine(house.store.read, noted)


async def test_what_the_store_has_kept_is_whole(house: House) -> None:
    assert (await examined(house)).broken is None
    await house.store.run(add, 12)
    found = await examined(house)
    assert (found.broken, found.entries, found.last.number) == (None, 12, 12)


async def test_a_chain_longer_than_a_page_is_read_to_its_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 5)
    await house.store.run(add, 23)
    assert (await examined(house)).entries == 23
    await house.store.run(forge, "UPDATE audit SET subject = 'other' WHERE number = 17")
    assert (await examined(house)).broken == 17


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE audit SET actor = 'somebody else' WHERE number = 3", 3),
        ("UPDATE audit SET id = 'another' WHERE number = 3", 3),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE number = 12", 12),
        ("UPDATE audit SET hash = '' WHERE number = 1", 1),
        ("UPDATE audit SET number = NULL WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number >= 9", 9),
        ("DELETE FROM audit", 1),
        ("DELETE FROM meta WHERE key = 'audit head'", 1),
        ("INSERT INTO audit (id, actor, action, subject, at_ms, number) VALUES ('x', 'x', 'x', 'x', 1, 13)", 13),
    ],
)
async def test_f81_tampering_with_the_database_is_found(house: House, sql: str, broken: int) -> None:
    await house.store.run(add, 12)
    await house.store.run(forge, sql)
    assert (await examined(house)).broken == broken


async def test_a_chain_made_anew_differs_from_what_was_noted(house: House) -> None:
    await house.store.run(add, 4)
    noted = str((await examined(house)).last)
    await house.store.run(add, 3)
    assert (await examined(house, noted)).broken is None
    await house.store.run(forge, "DELETE FROM audit")
    await house.store.run(forge, "DELETE FROM meta WHERE key = 'audit head'")
    await house.store.run(add, 3)
    await house.store.run(add, 4)
    assert (await examined(house)).broken is None
    assert (await examined(house, noted)).broken == 4


async def test_what_was_noted_wrongly_is_refused_not_passed(house: House) -> None:
    with pytest.raises(Refused, match="NUMBER:HASH"):
        await examined(house, "what was it")


async def test_rows_from_before_the_chain_are_counted_and_harm_nothing(house: House) -> None:
    old = "INSERT INTO audit (id, actor, action, subject, at_ms) VALUES ('old', 'x', 'x', 'x', 1)"
    await house.store.run(forge, old)
    await house.store.run(add, 2)
    found = await examined(house)
    assert (found.broken, found.entries, found.unchained) == (None, 2, 1)


async def test_writers_at_once_make_one_chain(house: House) -> None:
    await asyncio.gather(*(house.store.run(add, 3) for _ in range(40)))
    found = await examined(house)
    assert (found.broken, found.entries) == (None, 120)


async def test_a_unit_that_fails_leaves_no_hole(house: House) -> None:
    def fail(cursor: Cursor) -> None:
        add(cursor, 2)
        raise ValueError

    await house.store.run(add, 1)
    results = await asyncio.gather(
        *(house.store.run(*each) for each in ((add, 1), (fail,), (add, 1))), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    found = await examined(house)
    assert (found.broken, found.entries) == (None, 3)


async def test_an_entry_can_be_found_again_by_the_id_that_was_given(house: House) -> None:
    await house.store.run(lambda cursor: audit.append(cursor, "o1", "consent given", "a1", 5, id_="c1:o1"))
    assert await house.store.read("SELECT subject FROM audit WHERE id = 'c1:o1'") == [("a1",)]
    assert (await examined(house)).broken is None
