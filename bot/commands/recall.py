"""`frontdesk knowledge recall`: who was told what from a document, and what of it stands no longer."""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.commands.output import console, safe, say, show_json, when
from bot.commands.reach import INDEX, ask, data_folder, report
from bot.errors import ConfigError, DataError, Problem

UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def run(arguments: argparse.Namespace) -> int:
    asked = {"document": arguments.document, "since_ms": _since(arguments.since), "before": arguments.before}
    found, _ = report(arguments.config, "recall", asked)
    if not isinstance(found, dict):
        raise DataError("the daemon is of another version than this command. Restart it.")
    told = _compared(arguments, found)
    queued = ask(arguments.config, "recall queue", asked) if arguments.queue else None
    if arguments.json:
        show_json({**found, "told": told, **({"queued": queued["queued"]} if isinstance(queued, dict) else {})})
        return 0
    _show(found, told)
    if isinstance(queued, dict):
        say(f"{queued['queued']} new in the operators' queue. See: frontdesk queue list")
    return 0


def _compared(arguments: argparse.Namespace, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With what has changed, as far as the index can be read."""
    from bot.gaps.gaps import passages_of
    from bot.knowledge import recalls

    try:
        now = passages_of(data_folder(arguments.config) / INDEX, found["document"])
    except DataError as error:
        sys.stderr.write(f"frontdesk: what it says now is not shown: {error}\n")
        return [{**each, "changed": []} for each in found["told"]]
    return recalls.compared(found["told"], now)


def _show(found: Mapping[str, Any], told: list[dict[str, Any]]) -> None:
    out = console()
    out.print(safe(found["document"], "bold"))
    for each in found["versions"]:
        until = "is current" if each["ended_ms"] is None else f"gone by {when(each['ended_ms'])}"
        say(f"  version {each['version'][:12]}  since {when(each['first_ms'])}, {until}")
    if not told:
        say("Nobody was answered from it in that time.")
    if found.get("is_more"):
        last = datetime.fromtimestamp(told[-1]["at_ms"] / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") if told else ""
        say(
            f"These are the oldest; there are more. Go on with: --since {last}"
            if last
            else "There are more: narrow it."
        )
    for each in told:
        state = "stands still" if each["is_current"] else "stands no longer"
        out.print(safe(f"{when(each['at_ms'])}  {each['name'] or each['who'] or 'unknown'}  {each['channel']}", "bold"))
        say(f"  conversation {each['conversation']}, version {each['version'][:12] or 'unknown'}, {state}")
        say(f"  told: {each['said']}")
        for line in each["changed"]:
            say(f"    {line}")


def _since(text: str) -> int:
    """Milliseconds of a day or time (UTC), or of so long ago: 2026-12-24, 2026-12-24T18:00, 7d, 12h. Raises ConfigError."""
    if not text:
        return 0
    if text[-1] in UNITS and text[:-1].isdecimal() and len(text) < 6:
        then = datetime.now(UTC) - timedelta(**{UNITS[text[-1]]: int(text[:-1])})
        return round(then.timestamp() * 1000)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        mend = "Write a day or time such as 2026-12-24 or 2026-12-24T18:00 (UTC), or how long ago: 7d, 12h."
        raise ConfigError([Problem("--since", f"{text!r} is no time", mend)]) from None
    return round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)
