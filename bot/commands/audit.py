"""`frontdesk audit`: every call of every action: what, for whom, with what outcome, and who agreed; `log`: what people on our side did."""

import argparse
import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bot.commands.output import lasting, say, show_json, show_table, when
from bot.commands.reach import report
from bot.net.control import CommandFailed
from bot.text import clean, visible

# What makes a spreadsheet calculate a cell: https://owasp.org/www-community/attacks/CSV_Injection, with its full-width forms
FORMULA: Final = frozenset("=+-@\t\r\n|%＝＋－＠")
COLUMNS: Final = (
    *("at", "action", "effect", "state", "tries", "took_ms", "identity", "conversation", "amount"),
    *("decisions", "detail", "arguments", "key", "action_id"),
)


def run(arguments: argparse.Namespace) -> int:
    asked = {
        "limit": arguments.limit,
        "conversation": clean(arguments.conversation),
        "action": clean(arguments.action),
    }
    value, _ = report(arguments.config, "audit", asked)
    found = value if isinstance(value, list) else []
    if arguments.csv:
        write_csv(arguments.csv, COLUMNS, map(_record, found))
        say(f"{len(found)} call(s) written to {arguments.csv}")
    elif arguments.json:
        show_json(found)
    else:
        show_table(
            ("when", "action", "effect", "state", "tries", "took", "who", "conversation", "decided", "arguments"),
            map(_row, found),
            "No action has been called.",
        )
    return 0


def run_log(arguments: argparse.Namespace) -> int:
    """Who did what on our side, the newest first."""
    wanted = {"action": clean(arguments.action), "conversation": clean(arguments.conversation)}
    value, _ = report(arguments.config, "audit log", {"limit": arguments.limit, **wanted})
    found = value if isinstance(value, list) else []
    if arguments.json:
        show_json(found)
        return 0
    rows = [
        (when(each["at_ms"]), *(each[name] or "-" for name in ("actor", "action", "subject", "detail")))
        for each in found
    ]
    show_table(("when", "who", "did", "to", "how"), rows, "Nobody has done anything yet.")
    return 0


def _row(call: Mapping[str, Any]) -> tuple[object, ...]:
    took = _took_ms(call)
    return (
        when(call["created_ms"]),
        call["action"],
        call["effect"],
        call["state"],
        call["tries"],
        "-" if took is None else lasting(took),
        call["identity"],
        call["conversation"],
        _decisions(call) or "-",
        call["arguments"],
    )


def _record(call: Mapping[str, Any]) -> tuple[object, ...]:
    took = _took_ms(call)
    return (
        datetime.fromtimestamp(call["created_ms"] / 1000, UTC).isoformat(timespec="milliseconds"),
        *(call[name] for name in ("action", "effect", "state", "tries")),
        "" if took is None else took,
        *(call[name] for name in ("identity", "conversation", "amount")),
        _decisions(call),
        *(call[name] for name in ("detail", "arguments", "key", "action_id")),
    )


def _took_ms(call: Mapping[str, Any]) -> int | None:
    """From the call to its outcome, the wait for people included; None while there is no outcome."""
    return call["ended_ms"] - call["created_ms"] if call["ended_ms"] else None


def _decisions(call: Mapping[str, Any]) -> str:
    return "; ".join(_decision(each) for each in call["decisions"])


def _decision(decision: Mapping[str, Any]) -> str:
    """Names of operators, with the local account that gave it; the person is known by the identity alone."""
    if decision["kind"] == "user":
        return f"{decision['decision']} by the person"
    why = f" ({decision['why']})" if decision["why"] else ""
    return f"{decision['decision']} by {decision['by']} at {decision['account']}{why}"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A new file that only this account can read. Raises CommandFailed; writes over nothing."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(file, "w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, quoting=csv.QUOTE_ALL)
            table.writerows([_cell(each) for each in row] for row in [columns, *rows])
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror}). Name a new file") from error


def _cell(value: object) -> str:
    """The value as text that no spreadsheet calculates and no terminal obeys."""
    text = visible(str(value))
    return f"'{text}" if text[:1] in FORMULA or text.strip()[:1] in FORMULA else text
