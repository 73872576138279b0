"""`frontdesk queue`: calls of which nobody knows what became of them, and answers that were held back."""

import argparse
from collections.abc import Mapping
from typing import Any

from bot.commands.output import say, show_json, show_table, when
from bot.commands.reach import ask, report
from bot.commands.reports import LIMIT_MOST
from bot.text import clean


def run_list(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "queue", {"limit": LIMIT_MOST})
    if arguments.json:
        show_json(value)
        return 0
    rows = [
        (
            each["entry"],
            each["kind"],
            when(each["created_ms"]),
            each["taken_by"] or "-",
            each["conversation"],
            each["detail"],
        )
        for each in (value if isinstance(value, list) else [])
    ]
    show_table(("id", "kind", "since", "taken by", "conversation", "what"), rows, "Nothing waits for a person.")
    return 0


def run_happened(arguments: argparse.Namespace) -> int:
    entry = _decide(arguments, "happened", clean(arguments.why))
    say(_noted(arguments.by, entry, "it was carried out"))
    return 0


def run_did_not(arguments: argparse.Namespace) -> int:
    entry = _decide(arguments, "did-not", clean(arguments.why))
    say(_noted(arguments.by, entry, "it was not carried out"))
    return 0


def run_mine(arguments: argparse.Namespace) -> int:
    entry = _decide(arguments, "mine", "")
    say(f"Taken, as {arguments.by}. When you know: frontdesk queue happened {entry['entry']}, or did-not.")
    return 0


def _noted(name: str, entry: Mapping[str, Any], what: str) -> str:
    if entry["kind"] == "unknown":
        return f"Noted, as {name}: {what}. The agent tells the person."
    return f"Noted, as {name}: it is looked after."


def _decide(arguments: argparse.Namespace, decision: str, why: str) -> Mapping[str, Any]:
    value, _ = report(arguments.config, "queue entry", {"id": clean(arguments.id)})
    entry: Mapping[str, Any] = value if isinstance(value, dict) else {}
    ask(arguments.config, f"queue {decision}", {"id": entry["entry"], "name": clean(arguments.by), "why": why})
    return entry
