"""`frontdesk status`: is it running, and is anything waiting?"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from bot.commands.output import lasting, say, show_json
from bot.commands.reach import report

RUNNING, STOPPED = 0, 3


def run(arguments: argparse.Namespace) -> int:
    value, is_running = report(arguments.config, "status")
    found: dict[str, Any] = value if isinstance(value, dict) else {}  # JSON
    if arguments.json:
        show_json({"is_running": is_running, **found})
    else:
        for line in lines(found, is_running):
            say(line)
    return RUNNING if is_running else STOPPED


def lines(found: Mapping[str, Any], is_running: bool) -> Iterator[str]:
    yield headline(found) if is_running else "Frontdesk is not running. Start it with: frontdesk serve"
    for name, state in _mapping(found.get("channels")).items():
        yield f"  channel {name}: {state}"
    yield f"  waiting: {found.get('waiting_in', 0)} to answer, {found.get('waiting_out', 0)} to send"
    if found.get("held_out"):
        yield f"  held: {found['held_out']} to send. See: frontdesk outbox list"
    if found.get("unknown_out"):
        yield f"  uncertain: {found['unknown_out']} may or may not have arrived. See: frontdesk outbox list"
    if found.get("dead_in") or found.get("dead_out"):
        yield f"  given up: {found.get('dead_in', 0)} unanswered, {found.get('dead_out', 0)} unsent. See: frontdesk incidents"
    if found.get("persons_wanted"):
        yield f"  a person is wanted in {found['persons_wanted']} conversation(s)"
    yield f"  incidents: {found.get('incidents', 0)}. conversations: {found.get('conversations', 0)}"


def headline(found: Mapping[str, Any]) -> str:
    uptime = lasting(float(found.get("uptime_s", 0)) * 1000)
    return f"Frontdesk {found.get('version', '')} is running for {uptime} (process {found.get('pid', '?')})"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
