"""`frontdesk knowledge gaps`: what people ask and the documents do not answer, and from there to a document."""

import argparse
from collections.abc import Mapping
from typing import Any

from bot.commands.output import say, show_json, show_table, when
from bot.commands.reach import ask, report
from bot.net.control import NotRunning
from bot.text import clean


def run_list(arguments: argparse.Namespace) -> int:
    """Through the daemon what was asked just now is counted, too."""
    asked = {"all": arguments.all}
    try:
        found = ask(arguments.config, "gaps list", asked)
    except NotRunning:
        found, _ = report(arguments.config, "gaps", asked)
    rows = found if isinstance(found, list) else []
    if arguments.json:
        show_json(rows)
        return 0
    cells = [(each["id"][:12], each["count"], when(each["last_ms"]), each["state"], each["question"]) for each in rows]
    show_table(("id", "asked", "last", "state", "question"), cells, "No gaps: what was asked was answered.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    found, _ = report(arguments.config, "gap", {"id": clean(arguments.id)})
    _show(arguments, found)
    return 0


def run_draft(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "gaps draft", {"id": clean(arguments.id)})
    _show(arguments, found)
    if not arguments.json:
        say(f"No agent reads this draft. To add it to the documents: frontdesk knowledge gaps accept {arguments.id}")
    return 0


def run_accept(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "gaps accept", {"id": clean(arguments.id)})
    _told(arguments, found, "Added to the documents as {document}: agents find it within seconds.")
    return 0


def run_close(arguments: argparse.Namespace) -> int:
    found = ask(arguments.config, "gaps close", {"id": clean(arguments.id)})
    _told(arguments, found, "Closed. It is open again when somebody asks it again.")
    return 0


def _told(arguments: argparse.Namespace, found: object, sentence: str) -> None:
    if arguments.json:
        show_json(found)
    else:
        say(sentence.format(document=found["document"] if isinstance(found, dict) else ""))


def _show(arguments: argparse.Namespace, found: object) -> None:
    gap: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if arguments.json:
        show_json(gap)
        return
    say(f"{gap['question']}")
    for other in gap["others"]:
        say(f"  also: {other}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in gap["kinds"].items())
    say(f"  asked {gap['count']} times, last {when(gap['last_ms'])}, {gap['state']}{f' ({kinds})' if kinds else ''}")
    for conversation in gap["conversations"]:
        say(f"  conversation {conversation}")
    if gap["draft"]:
        say("")
        for line in (f"# {gap['draft']['title']}", "", *gap["draft"]["text"].splitlines()):
            say(line)
