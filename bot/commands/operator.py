"""`frontdesk operator`: who works here, what they may do, and how they get in; and `frontdesk audit verify`."""

import argparse
import getpass
from collections.abc import Mapping
from typing import Any

from bot.commands.output import say, show_json, show_table, when
from bot.commands.reach import ask, report
from bot.net.control import CommandFailed
from bot.text import clean

COLUMNS = ("name", "role", "teams", "presence", "at once", "linked on")
INVITED = "The invitation, for one use within 24 hours"


def run_list(arguments: argparse.Namespace) -> int:
    value = ask(arguments.config, "operator list")
    if arguments.json:
        show_json(value)
        return 0
    rows = map(_row, value if isinstance(value, list) else [])
    show_table(COLUMNS, rows, "No operators. The first: frontdesk operator add NAME --role admin")
    return 0


def _row(operator: Mapping[str, Any]) -> tuple[object, ...]:
    links = [f"{each['channel']}{':' if each['account'] else ''}{each['account']}" for each in operator["links"]]
    return (
        operator["name"],
        operator["role"],
        ", ".join(operator["teams"]) or "-",
        "disabled" if operator["is_disabled"] else operator["presence"],
        operator["capacity"],
        ", ".join(links) or "-",
    )


def run_add(arguments: argparse.Namespace) -> int:
    asked: dict[str, object] = {"role": clean(arguments.role), "teams": [clean(each) for each in arguments.team]}
    if arguments.capacity is not None:
        asked["capacity"] = arguments.capacity
    found = _ask(arguments, "add", asked)
    say(f"{found['name']} is an operator now: {found['role']}.")
    _say_invited(found)
    say(f"With it, {found['name']} sets a password and a second factor in the console.")
    return 0


def run_invite(arguments: argparse.Namespace) -> int:
    _say_invited(_ask(arguments, "invite"))
    say(
        f"With it, {_name(arguments)} sets a new password and a new second factor in the console. An earlier one is void."
    )
    return 0


def _say_invited(found: Mapping[str, Any]) -> None:
    """The address opens the console's form with the code in it."""
    say(f"{INVITED}: {found['code']}")
    if found.get("address"):
        say(found["address"])


def run_role(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "role", {"role": clean(arguments.role)})
    say(f"{found['name']} is {found['role']} now. Whoever was signed in as {found['name']} signs in again.")
    return 0


def run_link(arguments: argparse.Namespace) -> int:
    say(f"The code, for one use within 10 minutes: {_ask(arguments, 'link')['code']}")
    say(
        f"{_name(arguments)} writes it from the account that is to be theirs, and shows it to nobody. An earlier one is void."
    )
    say("On Slack: /frontdesk link CODE. On Discord: /link CODE.")
    return 0


def run_unlink(arguments: argparse.Namespace) -> int:
    channel = clean(arguments.channel)
    if not _ask(arguments, "unlink", {"channel": channel})["count"]:
        raise CommandFailed(f"{_name(arguments)} is not linked on {channel}. See: frontdesk operator list")
    say(f"{_name(arguments)} is nobody on {channel} from now on.")
    return 0


def run_disable(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "disable")
    say(f"{found['name']} is disabled: sessions have ended, codes and links are worth nothing.")
    return 0


def run_enable(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "enable")
    say(f"{found['name']} is {found['role']} again, and signs in anew.")
    return 0


def run_password(arguments: argparse.Namespace) -> int:
    """Asked for on the terminal: a password in the arguments could be read by every program of the machine."""
    password = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != password:
        raise CommandFailed("the two are not the same. Nothing has changed")
    found = _ask(arguments, "password", {"password": password})
    say(f"The password of {_name(arguments)} is set, and every session has ended.")
    if not found["has_totp"]:
        say(
            f"There is no second factor yet, without which nobody signs in: frontdesk operator invite {_name(arguments)}"
        )
    return 0


def run_sessions(arguments: argparse.Namespace) -> int:
    found = _ask(arguments, "sessions", {"end": arguments.end})
    rows = [tuple(when(each[key]) for key in ("since_ms", "seen_ms", "until_ms")) for each in found["sessions"]]
    show_table(("since", "last seen", "at most until"), rows, f"{_name(arguments)} is not signed in.")
    if arguments.end:
        say(f"{found['ended']} session(s) ended.")
    return 0


def run_audit_verify(arguments: argparse.Namespace) -> int:
    """Fails where an entry does not hold, so that a timer can watch over it."""
    value, _ = report(arguments.config, "audit verify", {"noted": clean(arguments.noted)})
    found: Mapping[str, Any] = value if isinstance(value, dict) else {}
    if arguments.json:
        show_json(found)
        return 0 if found["broken"] is None else 1
    if found["unchained"]:
        say(f"{found['unchained']} older entries are from before there was a chain: nothing can be said of them.")
    if found["broken"] is not None:
        what = "was changed, removed, moved or put in by something other than Frontdesk"
        raise CommandFailed(f"the audit is broken: entry {found['broken']} {what}. Compare it with a backup")
    say(f"The audit is whole: {found['entries']} entries.")
    say(f"Note this elsewhere, for a later --noted: {found['last']}")
    return 0


def _ask(arguments: argparse.Namespace, what: str, more: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    value = ask(arguments.config, f"operator {what}", {"name": _name(arguments), **(more or {})})
    return value if isinstance(value, dict) else {}


def _name(arguments: argparse.Namespace) -> str:
    return clean(arguments.name)
