"""How a command reaches what it asks about: through the running daemon, or, for reports, in the data folder itself."""

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from bot.commands import reports
from bot.errors import DataError
from bot.net.control import NotRunning, call, find_socket
from bot.ports import Row, Value

DATABASE = "frontdesk.db"
INDEX = "index.db"
BUSY_S = 5.0


def data_folder(config: Path) -> Path:
    """The data folder that the config names. Raises ConfigError."""
    from bot.config import data_folder as folder_of

    return folder_of(config, os.environ)


def ask(config: Path, command: str, arguments: Mapping[str, object] | None = None) -> object:
    """The running daemon's answer. Raises NotRunning."""
    return call(find_socket(data_folder(config), os.environ), command, arguments or {})


def report(config: Path, command: str, arguments: Mapping[str, object] | None = None) -> tuple[object, bool]:
    """A report, and whether a daemon gave it. Raises NotRunning when there is neither a daemon nor a database."""
    data = data_folder(config)
    try:
        return call(find_socket(data, os.environ), command, arguments or {}), True
    except NotRunning:
        return read_directly(data, command, arguments or {}), False


def read_directly(data: Path, command: str, arguments: Mapping[str, object]) -> object:
    """A report from the database, opened read-only. Raises DataError, or NotRunning where there is none yet."""
    path = data / DATABASE
    if not path.is_file():
        raise NotRunning(f"Frontdesk is not running, and has no database at {path} yet. Start it with: frontdesk serve")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    try:
        return asyncio.run(reports.answer(_reader(connection), command, arguments))
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    finally:
        connection.close()


def _reader(connection: sqlite3.Connection) -> reports.Read:
    async def read(sql: str, parameters: Mapping[str, Value]) -> list[Row]:
        return connection.execute(sql, parameters).fetchall()

    return read


def _unreadable(path: Path, error: sqlite3.Error) -> DataError:
    return DataError(f"{path} cannot be read ({error}). Check its rights; if it is damaged: frontdesk salvage FOLDER.")
