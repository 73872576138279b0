"""What travels with a handoff: why, what the user wants, what was tried, what is open, and where to read more."""

import json
from typing import Any, Final

from bot.ports import Cursor, Value

TEXT_CHARS: Final = 400
TRIED_MOST: Final = 12
_CASE = """
    SELECT author, text, turn_id FROM messages
    WHERE conversation_id = :conversation AND case_id = :case AND visibility = 'public' AND is_deleted = 0 AND text <> ''
    ORDER BY seq DESC LIMIT 40"""
_TURNS = """
    SELECT id, outcome, trace FROM turns WHERE conversation_id = :conversation AND case_id = :case ORDER BY started_ms DESC LIMIT 10"""
_OPEN_ACTIONS = """
    SELECT name, state FROM actions WHERE conversation_id = :conversation AND state IN ('proposed', 'approved', 'intended', 'unknown')
    ORDER BY created_ms"""


def brief_of(cursor: Cursor, conversation: str, case: str, reason: str) -> str:
    """JSON: reason, summary (a paragraph), wants, last, tried, promises, outcomes, turns. Made of the rows alone; a model may put a better
    summary in its place later."""
    key: dict[str, Value] = {"conversation": conversation, "case": case}
    said = [(author, text) for author, text, _ in reversed(cursor.fetch(_CASE, key))]
    turns = cursor.fetch(_TURNS, key)
    wants = next((_short(text) for author, text in said if author == "user"), "")
    last = next((_short(text) for author, text in reversed(said) if author == "user"), "")
    found: dict[str, Any] = {
        "reason": reason,
        "summary": _summary(said, wants, last),
        "wants": wants,
        "last": last,
        "tried": _tried(turns),
        "promises": [f"{name}: {state}" for name, state in cursor.fetch(_OPEN_ACTIONS, key)],
        "outcomes": [outcome for _, outcome, _ in reversed(turns)],
        "turns": [turn for turn, _, _ in reversed(turns)],
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _summary(said: list[tuple[str, str]], wants: str, last: str) -> str:
    answers = [text for author, text in said if author == "agent"]
    parts = [f"The user asked: “{wants}”." if wants else "The user has not written anything yet."]
    if answers:
        times = "once" if len(answers) == 1 else f"{len(answers)} times"
        parts.append(f"The assistant answered {times}, the last time: “{_short(answers[-1])}”.")
    if last and last != wants:
        parts.append(f"The user's last words: “{last}”.")
    return " ".join(parts)


def _tried(turns: list[tuple[Any, ...]]) -> list[str]:
    tried: list[str] = []
    for _, _, trace in reversed(turns):
        kept: dict[str, Any] = json.loads(trace or "{}")
        for call in kept.get("calls", ()):
            failed = " (failed)" if call.get("is_error") else ""
            tried.append(f"{call.get('name')} {_short(str(call.get('arguments', '')), 160)}{failed}")
    return tried[-TRIED_MOST:]


def _short(text: str, most: int = TEXT_CHARS) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"
