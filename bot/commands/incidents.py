"""`frontdesk incidents`: what somebody should look at."""

import argparse

from bot.commands.output import show_json, show_table, when
from bot.commands.reach import report


def run(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "incidents", {"limit": arguments.limit})
    if arguments.json:
        show_json(value)
        return 0
    rows = [
        (when(each["updated_ms"]), each["kind"], each["count"], each["conversation"] or "-", each["detail"])
        for each in (value if isinstance(value, list) else [])
    ]
    show_table(("last seen", "kind", "times", "conversation", "detail"), rows, "No incidents.")
    return 0
