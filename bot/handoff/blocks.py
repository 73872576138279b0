"""What the model reads in place of a stretch that is over."""

from typing import Final

from bot.model import CaseId, Conversation
from bot.ports import Cursor, Value
from bot.store import handoffs
from bot.store.handoffs import Record

LINE_CHARS: Final = 300
STRETCH_CHARS: Final = 2400
_SAID = """
    SELECT author, name, text FROM messages
    WHERE conversation_id = :conversation AND seq BETWEEN :first AND :last AND visibility = 'public' AND author IN ('user', 'operator')
      AND is_deleted = 0 AND text <> '' ORDER BY seq"""
_ENDED = """
    SELECT summary FROM cases WHERE conversation_id = :conversation AND summary <> '' ORDER BY opened_ms DESC, first_seq DESC LIMIT 1"""


def add_block(
    cursor: Cursor, conversation: Conversation, id_: str, first: int, last: int, text: str, now_ms: int
) -> None:
    """Stands where the messages from `first` to `last` stood; the same id again replaces its text."""
    values: dict[str, Value] = {"conversation": conversation.id, "case": conversation.case, "id": id_, "text": text}
    cursor.execute(handoffs.ADD_BLOCK, {**values, "first": first, "last": last, "now": now_ms})


def stretch_text(cursor: Cursor, record: Record) -> str:
    """What was said, in short lines: where it is too much, the beginning and the end of it."""
    last = record.last_seq or 2**60
    values: dict[str, Value] = {"conversation": record.conversation, "first": record.first_seq, "last": last}
    lines = [_line(author, name, text) for author, name, text in cursor.fetch(_SAID, values)]
    text = "\n".join(lines)
    if len(text) <= STRETCH_CHARS:
        return text
    half = STRETCH_CHARS // 2
    return f"{text[:half].rsplit(chr(10), 1)[0]}\n…\n{text[-half:].split(chr(10), 1)[-1]}"


def remember_earlier(cursor: Cursor, conversation: Conversation, case: CaseId, seq: int, now_ms: int) -> None:
    """A new case begins with what the last one came to, and without what was said in it."""
    rows = cursor.fetch(_ENDED, {"conversation": conversation.id})
    if rows:
        text = f"[An earlier case of this user has ended; it is over. What it came to:\n{rows[0][0][:STRETCH_CHARS]}]"
        values: dict[str, Value] = {"conversation": conversation.id, "case": case, "id": f"earlier {case}"}
        cursor.execute(handoffs.ADD_BLOCK, {**values, "first": seq, "last": seq - 1, "text": text, "now": now_ms})


def _line(author: str, name: str, text: str) -> str:
    who = "User" if author == "user" else name or "Colleague"
    flat = " ".join(text.split())
    return f"{who}: {flat if len(flat) <= LINE_CHARS else flat[:LINE_CHARS] + ' …'}"
