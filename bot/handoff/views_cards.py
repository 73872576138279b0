"""What waits for an operator's decision in a conversation: consents, and calls of which nobody knows the outcome."""

import json
from collections.abc import Sequence
from typing import Any, Final

from bot.handoff.views_rows import Json, Read
from bot.ports import Row

_ACTION: Final = "a.id, a.name, a.effect, a.arguments, a.facts, a.amount, a.turn_id, a.detail, a.state"

_CONSENTS: Final = f"""
    SELECT c.id, c.state, c.text, c.decided_by, c.why, c.created_ms, c.expires_ms, c.decided_ms, {_ACTION},
        (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.conversation_id = a.conversation_id AND m.created_ms <= c.created_ms)
    FROM consents c JOIN actions a ON a.id = c.action_id
    WHERE a.conversation_id = :conversation AND c.kind = 'operator' ORDER BY c.created_ms DESC, c.id DESC LIMIT 100"""

_UNKNOWN: Final = f"""
    SELECT q.id, q.outcome, q.detail, q.decided_by, q.why, q.created_ms, 0, q.decided_ms, {_ACTION},
        (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.conversation_id = q.conversation_id AND m.created_ms <= q.created_ms)
    FROM queue q JOIN actions a ON a.id = q.subject
    WHERE q.conversation_id = :conversation AND q.kind = 'unknown' ORDER BY q.created_ms DESC, q.id DESC LIMIT 100"""

_AGREED: Final = """
    SELECT c.action_id, c.kind, c.decided_by FROM consents c JOIN actions a ON a.id = c.action_id
    WHERE a.conversation_id = :conversation AND c.state = 'given' ORDER BY c.decided_ms, c.id"""

OPEN_COUNT: Final = """
    SELECT count(*) FROM consents c JOIN actions a ON a.id = c.action_id
    WHERE c.state = 'open' AND c.kind = 'operator' AND c.expires_ms > :now AND a.state = 'proposed'"""


async def cards_of(read: Read, conversation: str, now_ms: int) -> list[Json]:
    """Every card of a conversation, oldest first. `is_open`: an operator can decide it now."""
    given = {"conversation": conversation}
    consents = await read(_CONSENTS, given)
    unknown = await read(_UNKNOWN, given)
    agreed: dict[str, list[Json]] = {}
    for action, kind, by in await read(_AGREED, given) if consents else ():
        agreed.setdefault(action, []).append({"kind": kind, "by": by})
    cards = [_consent(row, agreed.get(row[8], []), now_ms) for row in consents]
    cards += [_card(row, "unknown", row[1] or "open", is_open=row[1] in ("", "mine")) for row in unknown]
    return sorted(cards, key=lambda card: (card["seq"], card["created_ms"], card["id"]))


def _consent(row: Row, agreed: Sequence[Json], now_ms: int) -> Json:
    state = row[1]
    if state == "open" and row[16] != "proposed":
        state = "void"
    elif state == "open" and row[6] <= now_ms:
        state = "expired"
    return _card(row, "consent", state, is_open=state == "open") | {"agreed": list(agreed)}


def _card(row: Row, kind: str, state: str, *, is_open: bool) -> Json:
    id_, _, text, decided_by, why, created_ms, expires_ms, decided_ms = row[:8]
    action, name, effect, arguments, facts, amount, turn, detail, _ = row[8:17]
    return {
        "id": id_,
        "kind": kind,
        "text": text,
        "state": state,
        "is_open": is_open,
        "action": name,
        "action_id": action,
        "effect": effect,
        "arguments": _object(arguments),
        "facts": _object(facts),
        "amount": amount,
        "detail": detail,
        "turn": turn,
        "decided_by": decided_by,
        "why": why,
        "created_ms": created_ms,
        "expires_ms": expires_ms or None,
        "decided_ms": decided_ms,
        "seq": row[17],
    }


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
