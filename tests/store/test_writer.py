"""Units of work: whole, in order, many in one transaction, and no one else's trouble."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from pathlib import Path

import pytest

from bot.errors import Overloaded, StoreUnavailable
from bot.ports import Cursor
from bot.store.folder import DATABASE, prepare
from bot.store.sqlite import SqliteStore
from bot.store.writer import GATHER_FROM, GATHER_S, GATHER_UNITS, GROUP_MOST, LULL_S, TOLD_AT_ONCE, Writer, _Work
from tests.store.database import note, note_and_raise, note_twice, noted, opened, until

WAIT_S = 10.0


class Gate:
    """A unit that keeps the store's thread until it is opened, so that what is handed over meanwhile is one group."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self.is_reached = threading.Event()

    def __call__(self, cursor: Cursor) -> None:
        self.is_reached.set()
        assert self._is_open.wait(WAIT_S)

    def open(self) -> None:
        self._is_open.set()


async def blocked(store: SqliteStore) -> tuple[Gate, "asyncio.Task[None]"]:
    gate = Gate()
    task = asyncio.create_task(store.run(gate))
    await until(gate.is_reached.is_set)
    return gate, task


async def hand_over(store: SqliteStore, *units: Callable[[Cursor], object]) -> "list[asyncio.Task[object]]":
    tasks = [asyncio.create_task(store.run(unit)) for unit in units]
    await until(lambda: store.waiting() == len(units))
    return tasks


async def test_units_that_wait_share_one_transaction(tmp_path: Path) -> None:
    """Two hundred units handed over while another runs are one group, and one COMMIT."""
    groups: list[int] = []
    async with opened(tmp_path / "data", observe=lambda units, seconds: groups.append(units)) as store:
        statements: list[str] = []

        def trace(cursor: Cursor) -> None:
            cursor._run.__self__.connection.set_trace_callback(statements.append)  # type: ignore[attr-defined]  # the connection

        await store.run(trace)
        gate, first = await blocked(store)
        tasks = await hand_over(store, *(lambda cursor, n=n: note_twice(cursor, str(n)) for n in range(200)))
        gate.open()
        await asyncio.gather(first, *tasks)
        assert groups == [1, 1, 200]
        assert statements.count("COMMIT") == 3


async def test_a_group_is_bounded(tmp_path: Path) -> None:
    """The first of very many units does not wait for the last."""
    groups: list[int] = []
    async with opened(tmp_path / "data", observe=lambda units, seconds: groups.append(units)) as store:
        gate, first = await blocked(store)
        tasks = [asyncio.create_task(store.run(note_twice, str(number))) for number in range(GROUP_MOST + 1)]
        await until(lambda: store.waiting() == GROUP_MOST + 1)
        gate.open()
        await asyncio.gather(first, *tasks)
    assert groups == [1, GROUP_MOST, 1]


async def test_the_loop_goes_round_while_the_callers_of_a_large_group_are_told(tmp_path: Path) -> None:
    """What all of them do next is spread over many rounds, in their order: a timer that is due does not wait for the last."""
    told: list[int] = []
    seen: list[int] = []
    loop = asyncio.get_running_loop()

    async def caller(number: int) -> None:
        await store.run(note_twice, str(number))
        told.append(number)

    def look() -> None:
        seen.append(len(told))
        if len(told) < GROUP_MOST:
            loop.call_soon(look)

    async with opened(tmp_path / "data") as store:
        gate, first = await blocked(store)
        tasks = [asyncio.create_task(caller(number)) for number in range(GROUP_MOST)]
        await until(lambda: store.waiting() == GROUP_MOST)
        look()
        gate.open()
        await asyncio.gather(first, *tasks)
    assert told == list(range(GROUP_MOST))
    assert max(after - before for before, after in pairwise(seen)) <= TOLD_AT_ONCE


class Gathering:
    """A writer whose groups gather in a time of the test's own; `come` says how many units come with each wait."""

    def __init__(self, path: Path, come: Sequence[int] = ()) -> None:
        self.groups: list[int] = []
        self.waits: list[tuple[int, float]] = []  # after how many groups, and for how long
        self._come = list(come)
        self._now = 100.0
        self.writer = Writer(
            lambda: sqlite3.connect(path, isolation_level=None),
            observe=lambda units, seconds: self.groups.append(units),
            now=lambda: self._now,
            wait=self._wait,
        )

    def _wait(self, seconds: float) -> None:
        self.waits.append((len(self.groups), round(seconds, 6)))
        self._now += seconds
        for _ in range(self._come.pop(0) if self._come else 0):
            self._hand_over()

    def _hand_over(self) -> None:
        """As the loop would; from the thread, where no future can be made."""
        work = _Work(nothing, (), asyncio.Future(loop=self.writer._loop))
        self.writer._queue.put(work)

    async def group(self, units: int) -> None:
        """Hands them over so that they are committed together."""
        gate = Gate()
        held = self.writer.hand_over(gate, ())
        await until(gate.is_reached.is_set)
        others = [self.writer.hand_over(nothing, ()) for _ in range(units)]
        gate.open()
        await asyncio.gather(held, *others)


def nothing(cursor: Cursor) -> None:
    cursor.fetch("SELECT 1")


@asynccontextmanager
async def gathering(path: Path, come: Sequence[int] = ()) -> AsyncIterator[Gathering]:
    one = Gathering(path, come)
    await one.writer.open()
    try:
        yield one
    finally:
        await one.writer.close()


async def test_a_group_gathers_after_a_large_one_and_after_no_other(tmp_path: Path) -> None:
    """Where units are few, nobody waits; a lull ends the waiting."""
    async with gathering(tmp_path / "units.db") as one:
        await one.group(GATHER_FROM - 1)
        assert (one.groups, one.waits) == ([1, GATHER_FROM - 1], [])
        await one.group(GATHER_FROM)
        assert (one.groups[2:], one.waits) == ([1, GATHER_FROM], [])
        await one.group(1)
        assert (one.groups[4:], one.waits) == ([1, 1], [(4, LULL_S)])


async def test_a_group_gathers_as_long_as_units_come_and_not_longer_than_a_moment(tmp_path: Path) -> None:
    """However many callers there are, the first of them does not wait for all."""
    steps = round(GATHER_S / LULL_S)
    async with gathering(tmp_path / "units.db", [1] * (steps * 2)) as one:
        await one.group(GATHER_FROM)
        await one.writer.hand_over(nothing, ())
        assert one.groups == [1, GATHER_FROM, steps + 1]
        assert len(one.waits) == steps


async def test_a_group_that_has_enough_gathers_no_more(tmp_path: Path) -> None:
    async with gathering(tmp_path / "units.db", [1, GATHER_UNITS, 1]) as one:
        await one.group(GATHER_FROM)
        await one.writer.hand_over(nothing, ())
        assert one.groups == [1, GATHER_FROM, 1 + 1 + GATHER_UNITS]
        assert len(one.waits) == 2


async def test_units_keep_their_order(tmp_path: Path) -> None:
    """They run in the order in which they were handed over, across groups."""
    data = tmp_path / "data"
    names = [str(number) for number in range(600)]
    async with opened(data) as store:
        assert await asyncio.gather(*(store.run(note_twice, name) for name in names)) == names
    assert noted(data) == names


async def test_a_raising_unit_undoes_only_itself(tmp_path: Path) -> None:
    """Its caller gets the error; what shared the transaction is stored, whole."""
    data = tmp_path / "data"
    async with opened(data) as store:
        units = [note_and_raise if number % 3 == 1 else note_twice for number in range(9)]
        work = (store.run(unit, str(number)) for number, unit in enumerate(units))
        results = await asyncio.gather(*work, return_exceptions=True)
        assert [isinstance(result, ValueError) for result in results] == [unit is note_and_raise for unit in units]
    assert noted(data) == ["0", "2", "3", "5", "6", "8"]


async def test_a_faulty_statement_is_no_trouble_of_the_neighbours(tmp_path: Path) -> None:
    """A unit whose SQL is wrong fails alone, with SQLite's own words, and the store stays healthy."""
    data, states = tmp_path / "data", list[str]()
    async with opened(data, on_health=states.append) as store:
        work = (store.run(note_twice, "1"), store.run(lambda cursor: cursor.execute("SELECT * FROM nowhere")))
        results = await asyncio.gather(*work, store.run(note_twice, "2"), return_exceptions=True)
        assert str(results[1]) == "no such table: nowhere"
    assert (noted(data), states) == (["1", "2"], [])


async def test_a_broken_rule_is_the_units_own(tmp_path: Path) -> None:
    """What a table forbids is told to the unit that tried it, and undone."""
    data = tmp_path / "data"
    async with opened(data) as store:
        await store.run(note_twice, "1")
        with pytest.raises(sqlite3.IntegrityError):
            await store.run(note_twice, "1")
    assert noted(data) == ["1"]


async def test_units_run_again_when_a_neighbour_raises(tmp_path: Path) -> None:
    """A unit may run twice, and counts once: its rows are those of one run, its result is that of the last."""
    data, runs = tmp_path / "data", list[str]()

    def counted(cursor: Cursor) -> int:
        runs.append(note_twice(cursor, "1"))
        return len(runs)

    async with opened(data) as store:
        gate, first = await blocked(store)
        good, bad = await hand_over(store, counted, lambda cursor: note_and_raise(cursor, "2"))
        gate.open()
        await first
        with pytest.raises(ValueError, match="2"):
            await bad
        assert await good == len(runs) == 2
    assert noted(data) == ["1"]


async def test_a_cancelled_caller_undoes_and_wedges_nothing(tmp_path: Path) -> None:
    """Work that was handed over is done whether or not somebody still waits for it, and the next goes on."""
    data = tmp_path / "data"
    async with opened(data) as store:
        gate, first = await blocked(store)
        waiting = await hand_over(store, *(lambda cursor, n=n: note_twice(cursor, str(n)) for n in range(4)))
        gone = [first, *waiting[::2]]
        for task in gone:
            task.cancel()
        results = await asyncio.gather(*gone, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        gate.open()
        await store.run(note_twice, "last")
    assert noted(data) == ["0", "1", "2", "3", "last"]


async def test_too_much_work_is_refused(tmp_path: Path) -> None:
    """Beyond the bound nothing is taken in; what was taken before is done."""
    data = tmp_path / "data"
    async with opened(data, waiting_most=3) as store:
        gate, first = await blocked(store)
        tasks = await hand_over(store, *(lambda cursor, n=n: note_twice(cursor, str(n)) for n in range(3)))
        with pytest.raises(Overloaded) as refused:
            await store.run(note_twice, "3")
        assert refused.value.retry_after_s > 0
        gate.open()
        await asyncio.gather(first, *tasks)
        await store.run(note_twice, "4")
    assert noted(data) == ["0", "1", "2", "4"]


async def test_close_finishes_what_was_handed_over(tmp_path: Path) -> None:
    """Nothing that was taken in is dropped by a stop; afterwards units and readers are refused."""
    data = tmp_path / "data"
    async with opened(data) as store:
        gate, first = await blocked(store)
        names = [str(number) for number in range(GROUP_MOST * 2)]
        tasks = [asyncio.create_task(store.run(note_twice, name)) for name in names]
        await until(lambda: store.waiting() == len(names))
        closing_ = asyncio.create_task(store.close())
        gate.open()
        await asyncio.gather(closing_, first, *tasks)
        with pytest.raises(StoreUnavailable):
            await store.run(note_twice, "late")
        with pytest.raises(StoreUnavailable):
            await store.read("SELECT 1")
    assert not (data / f"{DATABASE}-wal").exists()
    assert noted(data) == names


async def test_a_reader_never_sees_half_a_unit(tmp_path: Path) -> None:
    """Between the two rows of a unit there is nothing to see, however often one looks."""
    async with opened(tmp_path / "data") as store:

        async def write(lane: int) -> None:
            for number in range(150):
                unit = note_and_raise if number % 10 == 9 else note_twice
                await asyncio.gather(store.run(unit, f"{lane}.{number}"), return_exceptions=True)

        async def look() -> int:
            looks = most = 0
            while most < 4 * 135:
                ((notes, halves),) = await store.read(
                    "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM meta WHERE key LIKE 'note %')"
                )
                assert notes == halves
                assert notes >= most
                looks, most = looks + 1, notes
            return looks

        async with asyncio.timeout(WAIT_S):
            looks, *_ = await asyncio.gather(look(), *(write(lane) for lane in range(4)))
        assert looks is not None
        assert looks > 10


async def test_what_run_returned_is_read_at_once(tmp_path: Path) -> None:
    """A reader sees every unit whose caller has its result."""
    async with opened(tmp_path / "data") as store:
        for number in range(50):
            name = await store.run(note_twice, str(number))
            assert await store.read("SELECT id FROM audit WHERE id = :id", {"id": name}) == [(name,)]


async def test_a_failure_is_said_once_and_its_end_without_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for health before handing over work would wait forever if health waited for work."""
    monkeypatch.setattr("bot.store.sqlite.BUSY_S", 0.05)
    monkeypatch.setattr("bot.store.writer.PROBE_S", 0.01)
    data, states = tmp_path / "data", list[str]()
    async with opened(data, on_health=states.append) as store:
        with closing(sqlite3.connect(data / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="locked"):
                    await store.run(note_twice, "1")
            other.execute("ROLLBACK")
        await until(lambda: len(states) == 2)
        assert states == ["OperationalError: database is locked", "open"]
        await store.run(note_twice, "1")
    assert noted(data) == ["1"]


async def test_a_reader_of_a_damaged_page_is_told_so(tmp_path: Path) -> None:
    """Damage below a running store is an error of ours for readers and for units, and the units' neighbours may try again."""
    data = tmp_path / "data"
    async with opened(data) as store:
        await asyncio.gather(*(store.run(note_twice, f"{number}", 2000) for number in range(40)))
        (root,) = (await store.read("SELECT rootpage FROM sqlite_master WHERE name = 'audit'"))[0]
    with (data / DATABASE).open("r+b") as file:
        intact = file.read()
    async with opened(data) as store:
        with (data / DATABASE).open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(StoreUnavailable, match="malformed"):
            await store.read("SELECT sum(length(action)) FROM audit")
        with pytest.raises(StoreUnavailable, match="malformed"):
            await store.run(lambda cursor: note(cursor, "new"))
        (data / DATABASE).write_bytes(intact)


async def test_a_caller_that_goes_while_the_store_opens_leaves_no_thread(tmp_path: Path) -> None:
    """A start that is cancelled holds no connection."""
    prepare(tmp_path / "data")
    gate, is_reached = threading.Event(), threading.Event()
    made: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        is_reached.set()
        gate.wait(WAIT_S)
        made.append(sqlite3.connect(":memory:", isolation_level=None))
        return made[0]

    writer = Writer(connect)
    opening = asyncio.create_task(writer.open())
    await until(is_reached.is_set)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    gate.set()
    await until(lambda: not writer._thread.is_alive())
    assert made
