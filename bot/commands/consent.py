"""`frontdesk consent`: what waits for an operator's agreement, and the decisions on it."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from bot.clock import SystemClock
from bot.commands.output import console, safe, say, show_json, when
from bot.commands.reach import ask, report
from bot.net.control import CommandFailed
from bot.text import clean, visible

MARK = "  | "
WORDS = {"user": "the person", "operator": "one more operator"}


def run_list(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "consents", {"now_ms": SystemClock().now_ms()})
    if arguments.json:
        show_json(value)
        return 0
    found = value if isinstance(value, list) else []
    if not found:
        say("Nothing waits for agreement.")
    out = console()
    for each in found:
        for line, style in _lines(each, out.width if out.is_terminal else 0):
            out.print(safe(line, style))
    return 0


def _lines(waiting: Mapping[str, Any], width: int) -> Iterator[tuple[str, str]]:
    """One consent, whole. Every line of what is to be agreed to has its mark, so that none of them passes for one of ours; a terminal
    so many cells wide must not break a line without it. `width` is 0 where nothing is broken."""
    yield f"{waiting['consent']}  {waiting['action']}", "bold"
    yield f"  conversation {waiting['conversation']}", "dim"
    yield f"  since {when(waiting['created_ms'])}, until {when(waiting['expires_ms'])}", ""
    agreed = [each["by"] if each["kind"] == "operator" else WORDS["user"] for each in waiting["agreed"]]
    if agreed:
        yield f"  agreed so far: {', '.join(agreed)}", ""
    for line in waiting["text"].split("\n"):
        for piece in _broken(visible(line), width - len(MARK)) if width else [visible(line)]:
            yield f"{MARK}{piece}", ""
    yield "", ""


def _broken(line: str, cells: int) -> list[str]:
    """The line in pieces that are at most so wide; nothing is lost between them."""
    from rich.cells import cell_len

    pieces = [""]
    for letter in line:
        if cell_len(pieces[-1] + letter) > max(cells, 2):
            pieces.append("")
        pieces[-1] += letter
    return pieces


def run_approve(arguments: argparse.Namespace) -> int:
    found = _decide(arguments, "approve", "")
    match found["state"], found["waits_for"]:
        case "given", []:
            say(f"Agreed, as {arguments.by}. {found['action']} is carried out now, and the agent tells of it.")
        case "given", missing:
            names = " and ".join(WORDS[kind] for kind in missing)
            say(f"Agreed, as {arguments.by}. Nothing is done before {names} agrees, too.")
        case _:
            raise CommandFailed("it can no longer be agreed to: its time is over, or it was changed. Nothing is done")
    return 0


def run_refuse(arguments: argparse.Namespace) -> int:
    found = _decide(arguments, "refuse", clean(arguments.why))
    how = f"Refused, as {arguments.by}" if found["state"] == "refused" else "Its time was over already"
    say(f"{how}. {found['action']} is not carried out, and the agent says so.")
    return 0


def _decide(arguments: argparse.Namespace, decision: str, why: str) -> Mapping[str, Any]:
    """How the consent stands after the decision."""
    id_ = _found(arguments, clean(arguments.id))["consent"]
    ask(arguments.config, f"consent {decision}", {"id": id_, "name": clean(arguments.by), "why": why})
    return _found(arguments, id_)


def _found(arguments: argparse.Namespace, id_: str) -> Mapping[str, Any]:
    value, _ = report(arguments.config, "consent", {"id": id_})
    return value if isinstance(value, dict) else {}
