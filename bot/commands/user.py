"""`frontdesk user`: what is stored of a person, given to them, kept by law, or erased."""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.commands.output import say, show_json, show_table, when
from bot.commands.reach import ask, data_folder
from bot.errors import DataError
from bot.net.control import CommandFailed, call, find_socket
from bot.text import clean

COLUMNS = ("user", "name", "accounts", "last heard", "held")
ERASE_S = 3600.0  # all data is written anew and searched


def run_list(arguments: argparse.Namespace) -> int:
    value = ask(arguments.config, "user list", {"limit": arguments.limit})
    if arguments.json:
        show_json(value)
        return 0
    rows = [
        (
            each["user"],
            each["name"] or "-",
            ", ".join(each["accounts"]),
            when(each["last_ms"]),
            "yes" if each["held"] else "-",
        )
        for each in (value if isinstance(value, list) else [])
    ]
    show_table(COLUMNS, rows, "Nobody has written yet.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "show")
    if arguments.json:
        show_json(found)
        return 0
    say(f"User {found['user']}")
    for each in found["identities"]:
        say(
            f"  {each['account']}  {each['name']}  identity {each['identity']}{'' if each['verified'] else ', not vouched for'}"
        )
    say("  " + ", ".join(f"{count} {name}" for name, count in found["counts"].items()))
    for each in found["holds"]:
        asked = f"; asked to be forgotten on {when(each['asked_ms'])}" if each["asked_ms"] else ""
        say(f"  kept by law since {when(each['since_ms'])}: {each['reason']}{asked}")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """The daemon resolves the user and puts the export on record; the files are written by whoever called."""
    from bot.people.exporting import FILE, exported, write
    from bot.store.folder import BLOBS, DATABASE
    from bot.store.sqlite import read_only
    from bot.store.writer import SqliteCursor

    folder: Path = arguments.folder.expanduser().absolute()
    data = data_folder(arguments.config)
    if folder.is_relative_to(data.absolute()) or (folder.exists() and any(folder.iterdir())):
        raise DataError(f"{folder} is in use. Name a new or empty folder outside of {data}.")
    user = _ask(arguments, "export")["user"]
    connection = read_only(data / DATABASE)
    try:
        connection.execute("BEGIN")
        export = exported(SqliteCursor(connection), user, time.time_ns() // 1_000_000)
    finally:
        connection.close()
    os.umask(0o077)
    try:
        missing = write(export, data / BLOBS, folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}). Name another.") from error
    say(
        f"Exported to {folder}: {FILE} with {len(export.data['messages'])} messages, and {len(export.files) - missing} files."
    )
    if missing:
        say(f"{missing} files are no longer there.")
    say("It holds everything of this person. Give it to nobody else, and delete it when it has been handed over.")
    return 0


def run_erase(arguments: argparse.Namespace) -> int:
    asked = {"user": clean(arguments.user), "reason": clean(arguments.reason)}
    socket = find_socket(data_folder(arguments.config), os.environ)
    value = call(socket, "user erase", asked, ERASE_S)
    found: Mapping[str, Any] = value if isinstance(value, dict) else {}
    if arguments.json:
        show_json(found)
        return 0 if not _left_over(found) else 1
    say(f"Erased. On record as {found['pseudonym']}, erasure {found['erasure']}.")
    say(
        "  "
        + ", ".join(f"{count} of {place}" for place, count in found["places"].items())
        + f", {found['files']} files"
    )
    if found["not_withdrawn"]:
        say(f"  {found['not_withdrawn']} drafts could not be taken away from their platform")
    for each in found["outside"]:
        say(f"  outside, {each['where']} ({each['what']}): {each['status']}")
    scan = found["scan"]
    say(f"  {scan['bytes']} bytes of the data folder were searched for {scan['strings']} strings of this person")
    for each in scan["found"]:
        where = ", ".join(f"{count} in {column}" for column, count in each["rows"].items())
        say(
            f"  one of them ({each['kind']}) is in {each['file']}: "
            + (f"in rows of others ({where})" if where else "left over")
        )
    if _left_over(found):
        raise CommandFailed("something of the person is left over. Run frontdesk backup, and report this")
    return 0


def run_hold(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "hold", {"reason": clean(arguments.reason)})
    say(
        f"Everything of user {found['user']} is kept, whoever wants it erased, until: frontdesk user release {found['user']}"
    )
    return 0


def run_release(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "release")
    if not found["holds"]:
        raise CommandFailed("nothing of this user was held")
    say("Nothing of this user is held any more.")
    if found["forgotten"]:
        say("They had asked to be forgotten meanwhile, and are now. frontdesk user erase removes the rest.")
    return 0


def run_link(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "link", {"other": clean(arguments.other)})
    accounts = ", ".join(each["account"] for each in found["identities"])
    say(f"One user {'from now on' if found['is_new'] else 'already'}: {accounts}")
    return 0


def run_unlink(arguments: argparse.Namespace) -> int:
    count = _ask(arguments, "unlink")["users"]
    if not count:
        raise CommandFailed("this user has one account only, so there is nothing to unlink")
    say(f"They are {count} users again.")
    return 0


def _left_over(found: Mapping[str, Any]) -> bool:
    return any(not each["rows"] for each in found["scan"]["found"])


def _ask(arguments: argparse.Namespace, what: str, more: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    value = ask(arguments.config, f"user {what}", {"user": clean(arguments.user), **(more or {})})
    return value if isinstance(value, dict) else {}
