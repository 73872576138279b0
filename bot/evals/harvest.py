"""From what operators corrected to cases of an evaluation: each suggested reply that was changed before it was sent."""

import json
from collections.abc import Iterable
from typing import Final

from bot.model import value

CORRECTED: Final = """
    SELECT s.id, s.text, s.sent, s.ended_ms, (
        SELECT m.text FROM messages m WHERE m.conversation_id = s.conversation_id AND m.author = 'user' AND m.visibility = 'public'
          AND m.is_deleted = 0 AND m.seq <= s.seq ORDER BY m.seq DESC LIMIT 1)
    FROM suggestions s WHERE s.outcome = 'edited' AND s.text <> '' AND s.sent <> '' ORDER BY s.ended_ms, s.id LIMIT :limit"""


@value
class Correction:
    """What was asked, what the agent proposed, and what a person sent instead."""

    id: str
    question: str
    proposed: str
    sent: str


def file_of(corrections: Iterable[Correction]) -> str:
    """A file of cases: what a judge looks for is what the person wrote."""
    return "\n".join(map(_case, corrections))


def _case(one: Correction) -> str:
    wanted = f"says in substance what a colleague wrote, and nothing that contradicts it: {one.sent}"
    lines = [
        "[[case]]",
        f"name = {_text(f'corrected {one.id[-12:]}')}",
        f"question = {_text(one.question)}",
        f"must_ask_judge = {_text(wanted)}",
        'tags = ["corrected"]',
    ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for the one that TOML wants for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
