"""The one writing connection and its thread: group commit.

Callers hand over units of work; the thread runs all that wait inside one BEGIN … COMMIT and resolves their futures after the
commit, so that many units share one fsync and one hop between threads. A group runs without savepoints first. If one of its units
raises, everything is rolled back and the group runs again with a savepoint each, so that only the raising unit is undone: units are
repeatable, refusals are rare, and two statements a unit are saved. An error that ends the transaction itself (a full disk does)
fails the whole group with StoreUnavailable: nothing of it is stored.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import Overloaded, StoreUnavailable
from bot.ports import Row, Value

GROUP_MOST = 256  # units in one transaction: bounds how long the first of them waits for the last
_NOTHING: dict[str, Value] = {}


class SqliteCursor:
    """The `Cursor` port over a SQLite connection."""

    __slots__ = ("_run",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def execute(self, sql: str, parameters: Mapping[str, Value] = _NOTHING) -> int:
        return self._run(sql, parameters).rowcount

    def fetch(self, sql: str, parameters: Mapping[str, Value] = _NOTHING) -> list[Row]:
        return self._run(sql, parameters).fetchall()


@dataclass(slots=True)
class _Work:
    unit: Callable[..., Any]  # each unit has its own result type; `Writer.run` is typed
    args: tuple[object, ...]
    done: "asyncio.Future[Any]"
    result: Any = None
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
    ) -> None:
        self._connect = connect
        self._waiting_most = waiting_most
        self._observe = observe
        self._on_health = on_health
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._is_closed = False
        self._is_healthy = True

    async def open(self) -> None:
        """Connects (and migrates) on the thread; raises what that raised."""
        self._thread.start()
        await self._opened

    async def run(self, unit: Callable[..., Any], args: tuple[object, ...]) -> Any:
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= self._waiting_most:
            raise Overloaded("too many units of work are waiting")
        work = _Work(unit, args, self._loop.create_future())
        self._queue.put(work)
        return await work.done

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
        first = self._queue.get()
        group: list[_Work] = []
        is_last = first is None
        if first is not None:
            group.append(first)
        while not is_last and len(group) < GROUP_MOST:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            if work is None:
                is_last = True
            else:
                group.append(work)
        if group:
            started = time.perf_counter()
            self._commit(connection, group)
            self._tell(self._finish, group, time.perf_counter() - started)
        return not is_last

    def _commit(self, connection: sqlite3.Connection, group: list[_Work]) -> None:
        try:
            if not _attempt(connection, group):
                _attempt_apart(connection, group)
        except (sqlite3.Error, OSError) as error:
            _rollback(connection)
            for work in group:
                work.error = StoreUnavailable(f"{type(error).__name__}: {error}")

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop has closed: nobody waits any more

    # --- on the loop -----------------------------------------------------------------------------------------------

    def _finish(self, group: list[_Work], seconds: float) -> None:
        failure: StoreUnavailable | None = None
        for work in group:
            if isinstance(work.error, StoreUnavailable):
                failure = work.error
            if work.done.done():
                continue
            if work.error is None:
                work.done.set_result(work.result)
            else:
                work.done.set_exception(work.error)
        self._observe(len(group), seconds)
        self._note_health(failure)

    def _note_health(self, failure: StoreUnavailable | None) -> None:
        if failure is not None:
            self._is_healthy = False
            self._on_health(str(failure))
        elif not self._is_healthy:
            self._is_healthy = True
            self._on_health("open")


def _settle_opened(opened: "asyncio.Future[None]", error: BaseException | None) -> None:
    if opened.done():
        return
    if error is None:
        opened.set_result(None)
    else:
        opened.set_exception(error)


def _attempt(connection: sqlite3.Connection, group: list[_Work]) -> bool:
    """The whole group in one transaction; False, with nothing done, when a unit raised something of its own."""
    cursor = SqliteCursor(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for work in group:
            work.result = work.unit(cursor, *work.args)
    except sqlite3.OperationalError:
        raise
    except BaseException:  # noqa: BLE001 - found again, and kept, when the units run apart
        _rollback(connection)
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
        except sqlite3.OperationalError:
            raise
        except BaseException as error:  # noqa: BLE001 - the caller's, who gets it from its future
            work.error = error
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
    connection.execute("COMMIT")


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite has rolled back by itself
