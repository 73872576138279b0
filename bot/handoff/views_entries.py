"""A conversation as operators read it: one stream of messages, notes, log lines and cards, as JSON.

Pages tile the stream: every line belongs to the page of the message behind which it happened.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bot.handoff.views_cards import cards_of
from bot.handoff.views_rows import Json, Read
from bot.model import Message, value
from bot.ports import Row, Value
from bot.store import records

PAGE: Final = 60  # messages

_MESSAGE: Final = """
    m.id, m.seq, m.author, m.text, m.created_ms, m.visibility, m.name, m.case_id, m.attachments, m.citations, m.buttons, m.feedback,
    m.changed_ms, m.is_deleted, m.turn_id, coalesce(o.name, '')"""

_NEWEST: Final = f"""
    SELECT {_MESSAGE} FROM messages m LEFT JOIN operators o ON o.id = m.operator_id
    WHERE m.conversation_id = :conversation AND (:before = 0 OR m.seq < :before) ORDER BY m.seq DESC LIMIT :limit"""

_LOG: Final = """
    SELECT l.id, l.seq, l.at_ms, l.actor, coalesce(o.name, ''), l.what, l.detail FROM handoff_log l
    LEFT JOIN operators o ON o.id = l.actor
    WHERE l.conversation_id = :conversation AND l.seq >= :low AND (:before = 0 OR l.seq < :before) ORDER BY l.at_ms, l.id"""

_SENT: Final = """
    SELECT message_id, state, is_held, receipt FROM outbox
    WHERE conversation_id = :conversation AND seq >= :low AND seq <= :high AND role IN ('', 'final', 'choice')"""

_DELIVERED: Final = "SELECT delivered_seq FROM conversations WHERE id = :conversation"

_WORST: Final = ("failed", "unknown", "held", "planned", "sending", "sent", "delivered", "read")


@value
class Stream:
    """A stretch of a conversation, oldest first. `has_earlier`: older messages were left out."""

    entries: tuple[Json, ...]
    has_earlier: bool


async def entries_of(read: Read, conversation: str, now_ms: int, before: int = 0, limit: int = PAGE) -> Stream:
    """The newest messages before `before` (0: of all), with what happened between and behind them."""
    given: dict[str, Value] = {"conversation": conversation, "before": before, "limit": limit + 1}
    rows = await read(_NEWEST, given)
    has_earlier = len(rows) > limit
    rows = rows[:limit][::-1]
    low = rows[0][1] if has_earlier else 0
    logged = await read(_LOG, {"conversation": conversation, "low": low, "before": before})
    cards = [
        card
        for card in await cards_of(read, conversation, now_ms)
        if card["seq"] >= low and (not before or card["seq"] < before)
    ]
    delivery = await _deliveries(read, conversation, rows)
    found = [_entry(row, delivery) for row in rows]
    found += [_line(row) for row in logged]
    found += [_placed(card) for card in cards]
    return Stream(tuple(sorted(found, key=_place)), has_earlier)


def _place(entry: Json) -> tuple[int, bool, int, str]:
    """Messages by their number, and behind each what happened before the next, in time."""
    is_behind = "log" in entry or entry["card"] is not None
    return entry["seq"], is_behind, entry["at_ms"], entry["id"]


def _entry(row: Row, delivery: Mapping[str, str]) -> Json:
    message = records.message_of(row[:14])
    turn, operator = row[14:]
    is_gone = message.is_deleted
    return {
        "seq": message.seq,
        "id": message.id,
        "author": message.author.value,
        "name": message.name or operator,
        "text": "" if is_gone else message.text,
        "at_ms": message.at_ms,
        "visibility": message.visibility.value,
        "case": message.case,
        "attachments": [] if is_gone else _files(message),
        "citations": [
            {"number": each.number, "title": each.title, "url": each.url, "passage": each.passage}
            for each in message.citations
        ],
        "buttons": [each.label for each in message.buttons],
        "feedback": message.feedback,
        "turn": turn,
        "delivery": delivery.get(message.id, ""),
        "is_edited": message.is_edited,
        "is_deleted": is_gone,
        "card": None,
    }


def _files(message: Message) -> list[Json]:
    names = ("blob", "name", "media_type", "size_bytes", "transcript", "problem")
    return [{name: getattr(each, name) for name in names} for each in message.attachments]


def _line(row: Row) -> Json:
    id_, seq, at_ms, actor, actor_name, what, detail = row
    return {
        "log": id_,
        "id": id_,
        "seq": seq,
        "at_ms": at_ms,
        "actor": actor,
        "actor_name": actor_name or actor,
        "what": what,
        "detail": detail,
        "turn": "",
    }


def _placed(card: Json) -> Json:
    nothing: Json = {"attachments": [], "citations": [], "buttons": [], "feedback": "", "delivery": ""}
    return {
        "seq": card["seq"],
        "id": card["id"],
        "author": "system",
        "name": "",
        "text": card["text"],
        "at_ms": card["created_ms"],
        "visibility": "note",
        "case": "",
        "turn": card["turn"],
        "is_edited": False,
        "is_deleted": False,
        "card": card,
    } | nothing


async def _deliveries(read: Read, conversation: str, rows: Sequence[Row]) -> dict[str, str]:
    """How far each message of ours has come: the part that is farthest behind says it for all."""
    ours = {row[0]: row[1] for row in rows if row[2] != "user" and row[5] == "public"}
    if not ours:
        return {}
    low, high = min(ours.values()), max(ours.values())
    states: dict[str, list[str]] = {}
    for message, *part in await read(_SENT, {"conversation": conversation, "low": low, "high": high}):
        states.setdefault(message, []).append(_state(*part))
    known = await read(_DELIVERED, {"conversation": conversation})
    delivered = known[0][0] if known else 0  # it has been forgotten meanwhile
    found = {message: min(parts, key=_WORST.index) for message, parts in states.items()}
    for message, seq in ours.items():
        found.setdefault(message, "delivered" if seq <= delivered else "planned")
    return found


def _state(state: str, is_held: int, receipt: str) -> str:
    if state == "dead" or receipt == "failed":
        return "failed"
    if is_held:
        return "held"
    return receipt if state == "sent" and receipt in ("delivered", "read") else state
