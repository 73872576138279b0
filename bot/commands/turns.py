"""`frontdesk turns`: the latest turns, newest first."""

import argparse

from bot.commands.output import lasting, show_json, show_table, when
from bot.commands.reach import report


def run(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "turns", {"limit": arguments.limit})
    if arguments.json:
        show_json(value)
        return 0
    rows = [
        (
            each["turn"],
            when(each["started_ms"]),
            lasting(each["ended_ms"] - each["started_ms"]),
            each["channel"] or "-",
            each["agent"],
            each["outcome"],
        )
        for each in (value if isinstance(value, list) else [])
    ]
    empty = "No turns yet. Write to the agent; then frontdesk trace last shows what it did."
    show_table(("turn", "started", "took", "channel", "agent", "outcome"), rows, empty)
    return 0
