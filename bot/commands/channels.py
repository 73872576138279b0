"""`frontdesk channels`: how each account of each channel stands, what came last, and what waits to go out."""

import argparse
from collections.abc import Mapping
from typing import Any

from bot.commands.output import lasting, one_line, say, show_json, show_table, when
from bot.commands.reach import ask

COLUMNS = ("channel", "state", "last event", "lag", "events", "errors", "to send", "uncertain", "held")


def run(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "channels")
    rows: list[dict[str, Any]] = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if arguments.json:
        show_json({"channels": rows})
        return 0
    show_table(COLUMNS, [_cells(row) for row in rows], "No channel is enabled. See: frontdesk setup slack")
    for row in rows:
        if row.get("detail"):
            say(f"{row['channel']}: {one_line(str(row['detail']))}")
        elif row.get("last_error"):
            say(f"{row['channel']}: its last trouble was: {one_line(str(row['last_error']))}")
    return 0


def _cells(row: Mapping[str, Any]) -> list[str]:
    last_ms = int(row.get("last_event_ms", 0))
    return [
        str(row.get("channel", "")),
        str(row.get("state", "")),
        when(last_ms) if last_ms else "none yet",
        lasting(float(row.get("lag_ms", 0))) if row.get("lag_ms") else "-",
        *(str(row.get(name, 0)) for name in ("events", "errors", "planned", "unknown", "held")),
    ]
