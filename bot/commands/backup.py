"""`frontdesk backup`, `restore`, `salvage`: the data folder sealed into a copy, put back, or saved from damage."""

import argparse
from pathlib import Path

from bot.commands.output import say
from bot.commands.reach import data_folder


def run_backup(arguments: argparse.Namespace) -> int:
    from bot.store import backup
    from bot.store.keyring import KEYRING

    data = data_folder(arguments.config)
    made = backup.backup(data, _folder(arguments))
    _tell(made, f"Backed up to {arguments.folder}")
    if made.is_new_keyring:
        say(f"{data / KEYRING} was made now: sealed backups from before need the keyring they were made with.")
    say(
        f"It is sealed, and opens with {data / KEYRING} alone. Keep the newest copy of that file, elsewhere than the backups."
    )
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    from bot.store import backup

    _tell(backup.restore(_folder(arguments), data_folder(arguments.config)), f"Restored from {arguments.folder}")
    say("Messages that were waiting to be sent are held. See: frontdesk outbox list")
    return 0


def run_salvage(arguments: argparse.Namespace) -> int:
    from bot.store.salvage import salvage

    _tell(salvage(data_folder(arguments.config), _folder(arguments)), f"Saved to {arguments.folder}")
    return 0


def _folder(arguments: argparse.Namespace) -> Path:
    folder: Path = arguments.folder
    return folder.expanduser().absolute()


def _tell(report: object, done: str) -> None:
    """The report's own words where it has some."""
    say(f"{done}." if report is None else f"{done}: {report}")
