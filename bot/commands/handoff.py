"""`frontdesk handoff`: the conversations that people wait for or have, and what operators do with them, from a terminal."""

import argparse
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from bot.clock import SystemClock
from bot.commands.output import clock, console, cut, lasting, one_line, safe, say, show_json, show_table, when
from bot.commands.reach import ask
from bot.text import clean

WORDS = {"user": "the user", "agent": "the agent", "timer": "time"}
SHORT = 13  # of an id in a table: enough to tell those of one moment apart, and `handoff show` takes a beginning
COLUMNS = ("case", "stage", "who", "channel", "with", "waits", "due", "prio", "about")


def run_list(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "handoff list", {"all": arguments.all})
    rows = found if isinstance(found, list) else []
    if arguments.json:
        show_json(rows)
        return 0
    now = SystemClock().now_ms()
    show_table(COLUMNS, [_row(each, now) for each in rows], "Nobody waits for a person, and nobody is being talked to.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "handoff show", {"case": clean(arguments.case)})
    if arguments.json:
        show_json(found)
        return 0
    shown: dict[str, Any] = found if isinstance(found, dict) else {}  # JSON
    out = console()
    for line, style in _told(shown):
        out.print(safe(line, style))
    return 0


def run_act(arguments: argparse.Namespace) -> int:
    """Every command that does something; `kind` is its name on the other surfaces, `text` what stands behind it."""
    words = getattr(arguments, "text", None) or getattr(arguments, "instruction", None) or ""
    text = " ".join(words) if isinstance(words, list) else words
    asked = {"case": clean(arguments.case), "name": clean(arguments.by), "kind": arguments.kind, "text": clean(text)}
    found = ask(arguments.config, "handoff act", {**asked, "key": uuid.uuid4().hex})
    if arguments.json:
        show_json(found)
        return 0
    told: dict[str, Any] = found if isinstance(found, dict) else {}  # JSON
    for line in [*str(told["text"]).splitlines(), *str(told["warning"]).splitlines()]:
        say(line)
    return 0


def run_watch(arguments: argparse.Namespace) -> int:
    """Until it is interrupted, which is how it ends well."""
    after = ""
    try:
        while True:
            found = ask(arguments.config, "handoff changes", {"after": after, "case": clean(arguments.case)})
            answer: dict[str, Any] = found if isinstance(found, dict) else {}  # JSON
            after = answer["after"]
            for change in answer["changes"]:
                say(_change(change))
    except KeyboardInterrupt:
        return 0


def _row(row: Mapping[str, Any], now_ms: int) -> tuple[object, ...]:
    since, deadline = row["waiting_since_ms"], row["deadline"]
    return (
        row["case"][:SHORT] or row["conversation"][:SHORT],
        row["stage"] or ("agent" if row["is_open"] else "ended"),
        row["user"]["name"] or "-",
        row["channel"],
        row["operator"]["name"] if row["operator"] else "-",
        lasting(now_ms - since) if since else "-",
        _due(deadline, now_ms) if deadline else "-",
        row["priority"] or "",
        cut(row["reason"] or row["line"]),
    )


def _due(deadline: Mapping[str, Any], now_ms: int) -> str:
    left = deadline["due_ms"] - now_ms
    return f"{deadline['kind']} in {lasting(left)}" if left > 0 else f"{deadline['kind']} missed by {lasting(-left)}"


def _told(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    row, context = shown["row"], shown["context"]
    yield f"{one_line(row['user']['name']) or 'Somebody'} on {row['channel']}", "bold"
    holder = row["operator"]["name"] if row["operator"] else row["owner"]
    yield f"  {row['stage'] or 'no handoff'}, with {holder}", ""
    yield f"  case {row['case'] or '-'}, conversation {row['conversation']}", "dim"
    if row["tags"]:
        yield f"  tags: {', '.join(row['tags'])}", ""
    if row["reason"]:
        yield f"  reason: {one_line(row['reason'])}", ""
    for key, value in context["brief"].items():
        yield f"  {key}: {one_line(value if isinstance(value, str) else str(value))}", ""
    if shown["more_before"]:
        yield "  (earlier messages are left out)", "dim"
    for entry in shown["entries"]:
        yield from _entry(entry)
    for card in [*context["consents"], *context["queue"]]:
        yield f"waits for a decision: {card['action']} ({card['kind']} {card['id']})", "yellow"


def _entry(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "log" in entry:
        actor = WORDS.get(entry["actor"], entry["actor_name"])
        detail = f": {one_line(entry['detail'])}" if entry["detail"] else ""
        yield f"{clock(entry['at_ms'])}  {entry['what']} by {actor}{detail}", "dim"
        return
    if entry["card"] is not None:
        return
    note = ", a note" if entry["visibility"] == "note" else ""
    state = f", {entry['delivery']}" if entry["delivery"] else ""
    yield (
        f"{clock(entry['at_ms'])}  {one_line(entry['name']) or entry['author']} (#{entry['seq']}{note}{state})",
        "cyan",
    )
    text = "(deleted by its author)" if entry["is_deleted"] else entry["text"]
    for line in text.splitlines() or [""]:
        yield f"    {line}", ""
    for file in entry["attachments"]:
        yield f"    file {file['name']} ({file['media_type']}, {file['size_bytes']} bytes)", "dim"


def _change(change: Mapping[str, Any]) -> str:
    who = change["user"] or "somebody"
    actor = WORDS.get(change["actor"], change["actor"])
    detail = f" ({one_line(change['detail'])})" if change["detail"] else ""
    what = f"{change['what']} by {actor}{detail}"
    return f"{when(change['at_ms'])}  {change['case'][:SHORT]}  {who} on {change['channel']}: {what}, {change['stage']}"
