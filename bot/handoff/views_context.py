"""What stands beside a conversation: who this is, what travels with the handoff, earlier cases, timers, the open suggestion. As JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from bot.errors import Refused
from bot.handoff.views_cards import cards_of
from bot.handoff.views_memory import memory_of
from bot.handoff.views_rows import HANDOFF_ID, Around, Json, Read, one_line
from bot.ports import Row
from bot.store import records

CASES: Final = 20
TITLE_CHARS: Final = 80
GONE: Final = "This conversation is not there (any more)."

_USER: Final = """
    SELECT coalesce(nullif(i.name, ''), u.name, ''), coalesce(i.id, ''), c.channel, coalesce(i.is_verified, 0), coalesce(u.language, ''),
        coalesce(i.created_ms, c.created_ms), c.is_blocked, c.case_id, c.is_stopped, coalesce(u.time_zone, ''),
        c.account, (SELECT CASE WHEN m.sent_ms > 0 AND m.sent_ms < m.created_ms THEN m.sent_ms ELSE m.created_ms END FROM messages m
                    WHERE m.conversation_id = c.id AND m.author = 'user' AND m.kind NOT IN ('', 'overheard') ORDER BY m.seq DESC LIMIT 1)
    FROM conversations c LEFT JOIN identities i ON i.id = c.identity_id LEFT JOIN users u ON u.id = i.user_id
    WHERE c.id = :conversation"""

_HANDOFF: Final = f"""
    SELECT h.id, h.case_id, h.brief, h.contact, h.language, h.ended_ms FROM conversations c JOIN handoffs h ON h.id = {HANDOFF_ID}
    WHERE c.id = :conversation"""

_CASES: Final = """
    SELECT s.id, s.opened_ms, s.ended_ms, s.outcome, s.feedback, s.summary,
        coalesce((SELECT m.text FROM messages m WHERE m.conversation_id = s.conversation_id AND m.case_id = s.id AND m.author = 'user'
                  AND m.is_deleted = 0 ORDER BY m.seq LIMIT 1), '')
    FROM cases s WHERE s.conversation_id = :conversation ORDER BY s.first_seq DESC LIMIT :limit"""

_TAGS: Final = "SELECT tag FROM tags WHERE case_id = :case ORDER BY tag"

_WATCHERS: Final = """
    SELECT w.operator, coalesce(o.name, w.operator) FROM watchers w LEFT JOIN operators o ON o.id = w.operator
    WHERE w.conversation_id = :conversation ORDER BY 2"""

_TIMERS: Final = "SELECT kind, since_ms, due_ms, acted_ms FROM timers WHERE handoff_id = :handoff ORDER BY due_ms, kind"

_SUGGESTION: Final = """
    SELECT s.id, s.seq, s.operator, coalesce(o.name, ''), s.text, s.citations, s.created_ms FROM suggestions s
    LEFT JOIN operators o ON o.id = s.operator
    WHERE s.conversation_id = :conversation AND s.outcome = '' AND s.ended_ms IS NULL ORDER BY s.created_ms DESC, s.id DESC LIMIT 1"""


async def context_of(read: Read, conversation: str, now_ms: int, around: Around) -> Json:
    """Raises Refused("no_conversation"): it may be forgotten at any moment. Beside the handoff's timers there is one of kind "window", where the channel has such a thing."""
    given = {"conversation": conversation}
    users = await read(_USER, given)
    if not users:
        raise Refused("no_conversation", GONE)
    user = users[0]
    handoffs = await read(_HANDOFF, given)
    handoff = handoffs[0] if handoffs else ("", "", "", "", "", 0)
    case = user[7] or handoff[1]
    cases = await read(_CASES, {**given, "limit": CASES})
    open_cards = [card for card in await cards_of(read, conversation, now_ms) if card["is_open"]]
    timers = await read(_TIMERS, {"handoff": handoff[0]}) if handoff[0] and handoff[5] is None else []
    return {
        "user": _user(user, handoff),
        "brief": _brief(handoff[2]),
        "cases": [_case(row) for row in cases],
        "tags": [tag for (tag,) in await read(_TAGS, {"case": case})],
        "watchers": [{"id": id_, "name": name} for id_, name in await read(_WATCHERS, given)],
        "consents": [card for card in open_cards if card["kind"] == "consent"],
        "queue": [card for card in open_cards if card["kind"] == "unknown"],
        "timers": [_timer(*row) for row in timers] + _window(user, around),
        "suggestion": _suggestion(await read(_SUGGESTION, given)),
        "memory": await memory_of(read, conversation, user[1], now_ms),
    }


def _user(user: Row, handoff: Row) -> Json:
    name, identity, channel, is_verified, language, since_ms, is_blocked, _, is_stopped, zone = user[:10]
    return {
        "name": name,
        "identity": identity,
        "channel": channel,
        "verified": bool(is_verified),
        "language": handoff[4] or language,
        "time_zone": zone,
        "since_ms": since_ms,
        "contact": handoff[3],
        "is_blocked": bool(is_blocked),
        "is_stopped": bool(is_stopped),
    }


def _timer(kind: str, since_ms: int, due_ms: int, acted_ms: int | None) -> Json:
    return {"kind": kind, "since_ms": since_ms, "due_ms": due_ms, "acted_ms": acted_ms}


def _window(user: Row, around: Around) -> list[Json]:
    wrote_ms, lasts_ms = user[11], around.window_ms(user[2], user[10])
    return [_timer("window", wrote_ms, wrote_ms + lasts_ms, None)] if wrote_ms and lasts_ms else []


def _case(row: Row) -> Json:
    id_, opened_ms, ended_ms, outcome, feedback, summary, text = row
    return {
        "id": id_,
        "opened_ms": opened_ms,
        "ended_ms": ended_ms,
        "title": one_line(text, "", TITLE_CHARS),
        "outcome": outcome,
        "feedback": feedback,
        "summary": summary,
    }


def _brief(text: str) -> Mapping[str, object]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _suggestion(rows: Sequence[Row]) -> Json | None:
    if not rows:
        return None
    id_, seq, operator, name, text, citations, created_ms = rows[0]
    shown = [asdict(each) for each in records.citations_of(citations)]
    return {
        "id": id_,
        "seq": seq,
        "operator": {"id": operator, "name": name},
        "text": text,
        "citations": shown,
        "created_ms": created_ms,
    }
