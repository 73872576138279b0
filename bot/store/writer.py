"""The one writing connection and its thread: group commit.

Callers hand over units of work; the thread runs all that wait inside one BEGIN … COMMIT and resolves their futures after the
commit, so that many units share one fsync and one hop between threads. A group runs without savepoints first. If one of its units
raises, everything is rolled back and the group runs again with a savepoint each, so that only the raising unit is undone: units are
repeatable, refusals are rare, and two statements a unit are saved. An error of the database itself (a full disk, a lock, damage) fails
the whole group with StoreUnavailable: nothing of it is stored. From then on the thread tries a write of its own now and then, so that
health recovers even when nobody hands over a unit because of it.

While units come many at a time, a group gathers for a moment first: an fsync, and each page that its units share, costs the same for
fifty of them as for five. With few of them, nobody waits.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter
from typing import Any

from bot.errors import Overloaded, StoreUnavailable
from bot.model import changeable
from bot.ports import Row, Value
from bot.text import pattern

GROUP_MOST = 256  # units in one transaction: bounds how long the first of them waits for the last
TOLD_AT_ONCE = 8  # callers that learn of their commit in one round of the loop: each may go on with a whole turn
GATHER_FROM = 4  # units in a group: after it, the next one gathers
GATHER_UNITS = 16  # so many are enough
GATHER_S = 0.005  # from the beginning of one group: the longest that the next one gathers
LULL_S = 0.0005  # without a unit: nobody seems to have more
PROBE_S = 1.0  # between two writes that find out whether a failed store works again
_NOTHING: dict[str, Value] = {}
_NAME = pattern(r"(?<![:\w]):([a-z_]\w*)")
_UNITS_OWN = frozenset(
    {
        0,  # raised by the Python module, not by SQLite
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)  # what a unit may bring upon itself; everything else befell the database


class SqliteCursor:
    """The `Cursor` port over a SQLite connection. Named parameters are compiled to numbered ones once for each text: SQLite's Python
    module looks names up one by one at every run, which costs as much as a small statement."""

    __slots__ = ("_run",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.cursor().execute  # which returns that cursor, made once

    def execute(self, sql: str, parameters: Mapping[str, Value] = _NOTHING) -> int:
        text, values = _compiled(sql)
        return self._run(text, values(parameters)).rowcount

    def fetch(self, sql: str, parameters: Mapping[str, Value] = _NOTHING) -> list[Row]:
        text, values = _compiled(sql)
        return self._run(text, values(parameters)).fetchall()


Values = Callable[[Mapping[str, Value]], tuple[Value, ...]]


@lru_cache(maxsize=1024)
def _compiled(sql: str) -> tuple[str, Values]:
    """The text with numbered parameters, and what picks their values from the named ones."""
    names = list(dict.fromkeys(_NAME.findall(sql)))
    numbers = {name: f"?{number}" for number, name in enumerate(names, 1)}
    text = _NAME.sub(lambda match: numbers[match[1]], sql)
    if not names:
        return text, lambda _: ()
    if len(names) == 1:
        return text, lambda parameters: (parameters[names[0]],)
    return text, itemgetter(*names)


@changeable
class _Work:
    unit: Callable[..., Any]  # each unit has its own result type; `Writer.run` is typed
    args: tuple[object, ...]
    done: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


@changeable
class _Upkeep:
    """Work on the database file itself, which goes into no transaction."""

    call: Callable[[sqlite3.Connection], None]
    done: "asyncio.Future[Any]"
    result: None = None
    error: BaseException | None = None


class Writer:
    """Runs units of work on a thread of its own, in the order they were handed over."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        waiting_most: int = 20_000,
        observe: Callable[[int, float], None] = lambda units, seconds: None,
        on_health: Callable[[str], None] = lambda state: None,
        now: Callable[[], float] = time.perf_counter,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._waiting_most = waiting_most
        self._now = now
        self._wait = wait
        self._observe = observe
        self._on_health = on_health
        self._queue: queue.SimpleQueue[_Work | _Upkeep | None] = queue.SimpleQueue()
        self._next_upkeep: _Upkeep | None = None  # the thread's: it came behind a group
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._is_closed = False
        self._untold: deque[_Work] = deque()  # the loop's: whose callers do not know yet what became of it
        self._has_failed = False  # the thread's
        self._gathers_until = 0.0  # the thread's
        self._health = "open"  # the loop's: what was last said

    async def open(self) -> None:
        """Connects (and migrates) on the thread; raises what that raised."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            self._is_closed = True
            self._queue.put(None)  # ends the thread, should it have connected for a caller that is gone
            raise

    def hand_over(self, unit: Callable[..., Any], args: tuple[object, ...]) -> "asyncio.Future[Any]":
        """The unit's result, once it is committed. Raises StoreUnavailable or Overloaded, with nothing handed over."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= self._waiting_most:
            raise Overloaded("too many units of work are waiting")
        work = _Work(unit, args, self._loop.create_future())
        self._queue.put(work)
        return work.done

    async def keep_up(self, call: Callable[[sqlite3.Connection], None]) -> None:
        """Runs `call` between two groups, on the thread, outside a transaction. Units that are handed over meanwhile wait. Raises
        StoreUnavailable."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        upkeep = _Upkeep(call, self._loop.create_future())
        self._queue.put(upkeep)
        await upkeep.done

    async def close(self) -> None:
        """Finishes what was handed over, then closes the connection."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def waiting(self) -> int:
        return self._queue.qsize()

    # --- on the thread ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - handed to `open`, which raises it
            self._tell(_settle_opened, self._opened, error)
            return
        self._tell(_settle_opened, self._opened, None)
        try:
            while self._take_group(connection):
                pass
        finally:
            connection.close()

    def _take_group(self, connection: sqlite3.Connection) -> bool:
        first = self._next(connection)
        if isinstance(first, _Upkeep):
            self._keep_up(connection, first)
            return True
        group: list[_Work] = []
        is_last = first is None
        if first is not None:
            group.append(first)
            self._gather()
        while not is_last and len(group) < GROUP_MOST:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if work is None:
                is_last = True
            elif isinstance(work, _Upkeep):
                self._next_upkeep = work
                break
            else:
                group.append(work)
        if group:
            started = self._now()
            self._gathers_until = started + GATHER_S if len(group) >= GATHER_FROM else 0.0
            self._commit(connection, group)
            self._tell(self._finish, group, self._now() - started)
        return not is_last

    def _gather(self) -> None:
        """Lets more units come, as long as they do, if the last group was large and has only just begun."""
        came = -1
        while came < (came := self._queue.qsize()) < GATHER_UNITS and (left_s := self._gathers_until - self._now()) > 0:
            self._wait(min(left_s, LULL_S))

    def _keep_up(self, connection: sqlite3.Connection, upkeep: _Upkeep) -> None:
        try:
            upkeep.call(connection)
        except (sqlite3.Error, OSError, MemoryError) as error:
            _rollback(connection)
            upkeep.error = StoreUnavailable(f"{type(error).__name__}: {error}")
        self._tell(_settle, upkeep)

    def _next(self, connection: sqlite3.Connection) -> _Work | _Upkeep | None:
        if self._next_upkeep is not None:
            upkeep, self._next_upkeep = self._next_upkeep, None
            return upkeep
        while self._has_failed:
            try:
                return self._queue.get(timeout=PROBE_S)
            except queue.Empty:
                self._probe(connection)
        return self._queue.get()

    def _probe(self, connection: sqlite3.Connection) -> None:
        """Commits one page that says what it said before."""
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")
        except (sqlite3.Error, OSError, MemoryError):
            _rollback(connection)
        else:
            self._recover(connection)
            self._tell(self._note_health, None)

    def _recover(self, connection: sqlite3.Connection) -> None:
        """Commits work again. What the failed ones left in the WAL is behind its end: a checkpoint lets it begin anew."""
        self._has_failed = False
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _commit(self, connection: sqlite3.Connection, group: list[_Work]) -> None:
        try:
            if not _attempt(connection, group):
                _attempt_apart(connection, group)
        except (sqlite3.Error, OSError, MemoryError) as error:
            _rollback(connection)
            self._has_failed = True
            for work in group:
                work.error = StoreUnavailable(f"{type(error).__name__}: {error}")
        else:
            if self._has_failed:
                self._recover(connection)

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop has closed: nobody waits any more

    # --- on the loop -----------------------------------------------------------------------------------------------

    def _finish(self, group: list[_Work], seconds: float) -> None:
        self._observe(len(group), seconds)
        failures = (work.error for work in group if isinstance(work.error, StoreUnavailable))
        self._note_health(next(failures, None))
        is_telling = bool(self._untold)
        self._untold.extend(group)
        if not is_telling:
            self._tell_callers()

    def _tell_callers(self) -> None:
        """Tells a few in the order of their units, and the others in the loop's next rounds: what all of a large group do then would hold
        it for long."""
        for _ in range(min(TOLD_AT_ONCE, len(self._untold))):
            _settle(self._untold.popleft())
        if self._untold:
            self._loop.call_soon(self._tell_callers)

    def _note_health(self, failure: StoreUnavailable | None) -> None:
        """Says changes only: a full disk is one line in the log, not one for each group."""
        state = "open" if failure is None else str(failure)
        if state != self._health:
            self._health = state
            self._on_health(state)


def _settle_opened(opened: "asyncio.Future[None]", error: BaseException | None) -> None:
    if opened.done():
        return
    if error is None:
        opened.set_result(None)
    else:
        opened.set_exception(error)


def _settle(work: _Work | _Upkeep) -> None:
    if work.done.done():
        return
    if work.error is None:
        work.done.set_result(work.result)
    else:
        work.done.set_exception(work.error)


def _attempt(connection: sqlite3.Connection, group: list[_Work]) -> bool:
    """The whole group in one transaction; False, with nothing done, when a unit raised something of its own."""
    cursor = SqliteCursor(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for work in group:
            work.result = work.unit(cursor, *work.args)
    except BaseException as error:
        if _is_the_databases(error):
            raise
        _rollback(connection)  # the error is found again, and kept, when the units run apart
        return False
    connection.execute("COMMIT")
    return True


def _attempt_apart(connection: sqlite3.Connection, group: list[_Work]) -> None:
    """Each unit under its own savepoint; what one raises is its own result."""
    cursor = SqliteCursor(connection)
    connection.execute("BEGIN IMMEDIATE")
    for work in group:
        connection.execute("SAVEPOINT unit")
        try:
            work.result = work.unit(cursor, *work.args)
        except BaseException as error:
            if _is_the_databases(error):
                raise
            work.error = error  # the caller's, who gets it from its future
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
    connection.execute("COMMIT")


def _is_the_databases(error: BaseException) -> bool:
    """Not the unit's own mistake: the whole group is lost, and may be repeated."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNITS_OWN


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite has rolled back by itself
