"""Numbered migrations, and the checks that come before them."""

import sqlite3
from importlib.resources import files
from pathlib import Path

from bot.errors import DataError

APPLICATION_ID = 0x46524E54  # "FRNT", in the database header: tells our files from others


def latest() -> int:
    """The schema that this program writes."""
    return max(_numbers())


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the database to the latest schema, each step in a transaction of its own.

    Raises DataError for a foreign, newer or damaged file, and never starts anew over one."""
    version = check(connection, path)
    for number in range(version + 1, latest() + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(number):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The database's schema, 0 for a new one. Changes nothing. Raises DataError for a foreign or newer one."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise DataError(f"{path} is a database of another program. Move it away, or set another [data] path.")
    if version > latest():
        raise DataError(
            f"{path} was written by a newer Frontdesk (schema {version}; this one knows {latest()}). "
            "Install that version again, or restore a backup made before the upgrade."
        )
    return version


def _numbers() -> list[int]:
    return [int(entry.name[:4]) for entry in files(__name__).iterdir() if entry.name.endswith(".sql")]


def _statements(number: int) -> list[str]:
    text = files(__name__).joinpath(f"{number:04}.sql").read_text(encoding="utf-8")
    lines = [line.split("--", 1)[0].rstrip() for line in text.splitlines()]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]
