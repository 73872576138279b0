"""`frontdesk trace`: one turn as a person reads it: what it read, what it found, what it did, what it said."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.commands.output import clock, console, lasting, one_line, safe, show_json, show_table, when
from bot.commands.reach import report

if TYPE_CHECKING:
    from rich.console import Console

Report = Mapping[str, Any]  # JSON, as `reports.trace` gives it


def run(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "trace", {"turn": arguments.turn})
    if arguments.json:
        show_json(value)
        return 0
    found: dict[str, Any] = value if isinstance(value, dict) else {}  # JSON
    out = console()
    _show_header(out, found)
    _show_messages(out, found)
    _show_recalled(out, found)
    _show_attempts(out, found)
    _show_passages(out, found)
    _show_reply(out, found)
    _show_timeline(out, found)
    return 0


def _show_header(out: "Console", found: Report) -> None:
    out.print(safe(f"Turn {found['turn']}", "bold"))
    took = lasting(found["ended_ms"] - found["started_ms"])
    first = found.get("first_token_ms")
    out.print(safe(f"  {found['outcome']} by {found['agent']} in {took}, {when(found['started_ms'])}"))
    if found.get("model"):
        word = "" if first is None else f", first word after {lasting(first)}"
        out.print(safe(f"  model {found['model']}, {found['steps']} call(s){word}"))
    out.print(safe(f"  conversation {found['conversation']}, case {found['case'] or '-'}", "dim"))


def _show_messages(out: "Console", found: Report) -> None:
    _title(out, "Read")
    for each in found["messages"]:
        _show_message(out, each)
    if not found["messages"]:
        out.print(safe("  nothing that is still kept", "dim"))


def _show_message(out: "Console", message: Report) -> None:
    who = message["name"] or message["author"]
    note = ", a note" if message["visibility"] == "note" else ""
    out.print(safe(f"  {clock(message['at_ms'])} {who} (#{message['seq']}{note})", "cyan"))
    text = "(deleted by its author)" if message["is_deleted"] else message["text"]
    for line in text.splitlines() or [""]:
        out.print(safe(f"    {line}"))
    for each in message.get("attachments", ()):
        out.print(safe(f"    {_attachment(each)}", "dim"))
    if message["error"]:
        out.print(safe(f"    failed {message['attempts']} time(s): {message['error']}", "yellow"))


def _show_recalled(out: "Console", found: Report) -> None:
    """Which facts and earlier cases stood before the model; what was forgotten since is not told."""
    if not found["recalled"]:
        return
    _title(out, "Remembered")
    rows = [(each["what"], one_line(each["text"]) or "(forgotten)", each["id"]) for each in found["recalled"]]
    show_table(("what", "text", "id"), rows, "")


def _attachment(file: Report) -> str:
    """One file of a message, and what became of it."""
    what = f"file {file['name']} ({file['media_type']}, {file['size_bytes']} bytes)"
    if file["transcript"]:
        return f"{what}, written out: {file['transcript']}"
    return f"{what}: {file['problem']}" if file["problem"] else what


def _show_attempts(out: "Console", found: Report) -> None:
    """Which models were asked, what came of it, and what it cost."""
    if found.get("stopped"):
        out.print(safe(f"  stopped: {found['stopped']}", "yellow"))
    for each in found.get("held", ()):
        why = "claimed what no tool has done" if each["why"] == "claim" else "without a source"
        out.print(safe(f"  held back, {why}: {'; '.join(each['what'])}", "yellow"))
    if not found["attempts"]:
        return
    _title(out, "Models")
    rows = [_attempt_row(each) for each in found["attempts"]]
    show_table(("model", "outcome", "in", "out", "cached", "cost", "queue", "first word", "took", "why"), rows, "")
    cost = sum(each["cost_micros"] for each in found["attempts"])
    if cost:
        out.print(safe(f"  {cost / 1_000_000:.4f} in all"))


def _attempt_row(each: Report) -> tuple[object, ...]:
    took_in, out, cache_read, cache_write = each["usage"]
    first = "" if each["first_ms"] is None else lasting(each["first_ms"])
    cost = f"{each['cost_micros'] / 1_000_000:.4f}" if each["cost_micros"] else ""
    waited = lasting(each["waited_ms"]) if each["waited_ms"] >= 1 else ""
    cached = cache_read + cache_write or ""
    return (
        each["model"],
        each["outcome"],
        took_in,
        out,
        cached,
        cost,
        waited,
        first,
        lasting(each["total_ms"]),
        each["why"],
    )


def _show_passages(out: "Console", found: Report) -> None:
    whole = found.get("whole")
    if not found["passages"] and not whole:
        return
    _title(out, "Read whole" if whole else "Found")
    if whole:
        _show_whole(out, whole, found["attempts"])
    if found.get("reranked"):
        out.print(safe(f"  put in order by a model: {found['reranked']} search(es)"))
    rows = [
        (each.get("number", place), f"{each['score']:.3f}", f"{each['coverage']:.0%}", each["title"], each["id"])
        for place, each in enumerate(found["passages"], 1)
    ]
    show_table(("", "score", "words", "passage", "id"), rows, "")


def _show_whole(out: "Console", whole: Report, attempts: Sequence[Report]) -> None:
    """How much stood before the conversation, and how much of all that the models read came from their caches."""
    usages = [each["usage"] for each in attempts]
    fresh, cache_read, cache_written = (sum(each[place] for each in usages) for place in (0, 2, 3))
    size = f"{whole['passages']} passages, {whole['chars']} characters, about {whole['tokens']} tokens"
    out.print(safe(f"  all that the agent knows: {size}"))
    out.print(safe(f"  tokens from the cache {cache_read}, into it {cache_written}, beside it {fresh}"))
    out.print(safe("  cited:"))


def _show_reply(out: "Console", found: Report) -> None:
    _title(out, "Said")
    if found["reply"] is None:
        out.print(safe("  nothing", "dim"))
    else:
        _show_message(out, found["reply"])


def _show_timeline(out: "Console", found: Report) -> None:
    _title(out, "Timeline")
    for at_ms, what in timeline(found):
        after = at_ms - found["started_ms"]
        out.print(safe(f"  {clock(at_ms)}  {after:+7.0f} ms  {what}"))
    if found["is_acknowledged"]:
        out.print(safe("  the receiver has the answer"))
    for part in found["delivery"]:
        if not part["sent_ms"]:
            state = "held" if part["is_held"] else part["state"]
            why = f": {part['error']}" if part["error"] else ""
            out.print(safe(f"  part {part['part'] + 1} is {state}{why}", "yellow"))


def timeline(found: Report) -> list[tuple[float, str]]:
    """Everything with a time, in order."""
    return sorted(_moments(found), key=lambda moment: moment[0])


def _moments(found: Report) -> Iterator[tuple[float, str]]:
    for message in found["messages"]:
        yield message["at_ms"], f"message #{message['seq']} stored"
    yield found["started_ms"], "turn begins"
    if found.get("first_token_ms") is not None:
        yield found["started_ms"] + found["first_token_ms"], "first word of the answer"
    for call in found["tool_calls"]:
        yield call["started_ms"], f"tool {call['name']} called"
        if call["ended_ms"]:
            yield call["ended_ms"], f"tool {call['name']} {call['state']}"
    yield found["ended_ms"], f"turn ends: {found['outcome']}"
    for part in found["delivery"]:
        if part["sent_ms"]:
            yield part["sent_ms"], f"part {part['part'] + 1} delivered"


def _title(out: "Console", title: str) -> None:
    out.print(safe(f"\n{title}", "bold"))
