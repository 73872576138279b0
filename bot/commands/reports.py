"""What the reading commands tell, as JSON values, from the database alone.

The daemon answers with them over its own store, and a command without a daemon over a read-only connection: `read` is
either, and looks like `Store.read`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.errors import FrontdeskError
from bot.ports import Row, Value
from bot.store import records

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]
Report = dict[str, Any]  # JSON
LIMIT_MOST = 10_000

_WAITING = "handled_ms IS NULL AND dead_ms IS NULL"
_OPEN = "state IN ('planned', 'sending', 'unknown')"


class NoSuchReport(FrontdeskError):
    """The command is not a report, or its arguments are wrong."""


async def answer(read: Read, command: str, arguments: Mapping[str, object]) -> object:
    """The report named `command`. Raises NoSuchReport; changes nothing and is safe to repeat."""
    match command:
        case "status":
            return await status(read)
        case "turns":
            return await turns(read, _limit(arguments))
        case "trace":
            return await trace(read, str(arguments.get("turn", "")))
        case "outbox":
            return await outbox(read, _limit(arguments))
        case "incidents":
            return await incidents(read, _limit(arguments))
    raise NoSuchReport(f"there is no report {command}. frontdesk --help lists the commands")


async def status(read: Read) -> Report:
    """How much is stored and how much waits."""
    queries = {
        "conversations": "SELECT COUNT(*) FROM conversations",
        "waiting_in": f"SELECT COUNT(*) FROM inbox WHERE {_WAITING}",
        "dead_in": "SELECT COUNT(*) FROM incidents WHERE kind = 'dead letter'",
        "waiting_out": f"SELECT COUNT(*) FROM outbox WHERE {_OPEN} AND is_held = 0",
        "unknown_out": "SELECT COUNT(*) FROM outbox WHERE state = 'unknown' AND is_held = 0",
        "held_out": f"SELECT COUNT(*) FROM outbox WHERE is_held = 1 AND {_OPEN}",
        "dead_out": "SELECT COUNT(*) FROM outbox WHERE state = 'dead'",
        "incidents": "SELECT COUNT(*) FROM incidents",
        "persons_wanted": "SELECT COUNT(*) FROM conversations WHERE is_person_wanted = 1",
    }
    return {name: (await read(sql, {}))[0][0] for name, sql in queries.items()}


async def turns(read: Read, limit: int) -> list[Report]:
    """The latest turns, newest first (a turn's id begins with its time)."""
    sql = """
        SELECT t.id, t.conversation_id, c.channel, t.agent, t.outcome, t.started_ms, t.ended_ms
        FROM turns t LEFT JOIN conversations c ON c.id = t.conversation_id ORDER BY t.id DESC LIMIT :limit"""
    names = ("turn", "conversation", "channel", "agent", "outcome", "started_ms", "ended_ms")
    return _named(names, await read(sql, {"limit": limit}))


async def outbox(read: Read, limit: int) -> list[Report]:
    """Messages not sent yet or held, oldest first; then those given up."""
    sql = f"""
        SELECT o.message_id, o.part, o.conversation_id, o.channel, o.state, o.is_held, o.attempts, o.due_ms, o.error,
               COALESCE(o.text, m.text)
        FROM outbox o LEFT JOIN messages m ON m.id = o.message_id
        WHERE o.{_OPEN} OR o.state = 'dead' ORDER BY o.state = 'dead', o.due_ms, o.message_id, o.part LIMIT :limit"""
    names = (
        *("message", "part", "conversation", "channel", "state", "is_held"),
        *("attempts", "due_ms", "error", "text"),
    )
    found = _named(names, await read(sql, {"limit": limit}))
    return [{**each, "is_held": bool(each["is_held"])} for each in found]


async def incidents(read: Read, limit: int) -> list[Report]:
    """What somebody should look at, newest first."""
    sql = """
        SELECT id, kind, subject, conversation_id, detail, count, created_ms, updated_ms
        FROM incidents ORDER BY updated_ms DESC, id DESC LIMIT :limit"""
    names = ("incident", "kind", "subject", "conversation", "detail", "count", "created_ms", "updated_ms")
    return _named(names, await read(sql, {"limit": limit}))


async def trace(read: Read, turn: str) -> Report:
    """Everything recorded of one turn. `turn` is its id, the beginning of its id, or "last"."""
    found = await _find_turn(read, turn)
    kept = _json(found.pop("trace"))
    read_ids = [str(each) for each in kept.get("messages", [])]
    messages = [message for each in read_ids for message in await _messages(read, each)]
    replies = await _messages(read, str(kept.get("reply", "")))
    return {
        **found,
        "model": kept.get("model", ""),
        "steps": kept.get("steps", 0),
        "first_token_ms": kept.get("first_token_ms"),
        "messages": messages,
        "passages": kept.get("passages", []),
        "calls": kept.get("calls", []),
        "attempts": kept.get("attempts", []),
        "stopped": kept.get("stopped", ""),
        "reply": replies[0] if replies else None,
        "is_acknowledged": bool(replies) and await _is_acknowledged(read, found["conversation"], replies[0]["seq"]),
        "delivery": await _deliveries(read, str(kept.get("reply", ""))),
        "tool_calls": await _tool_calls(read, found["turn"], str(kept.get("reply", ""))),
    }


async def _find_turn(read: Read, turn: str) -> Report:
    columns = "id, conversation_id, case_id, agent, outcome, started_ms, ended_ms, trace"
    names = ("turn", "conversation", "case", "agent", "outcome", "started_ms", "ended_ms", "trace")
    if turn == "last":
        rows = await read(f"SELECT {columns} FROM turns ORDER BY id DESC LIMIT 1", {})
    else:
        sql = f"SELECT {columns} FROM turns WHERE id >= :low AND id < :high ORDER BY id LIMIT 2"
        # ids are made of hexadecimal digits, and g follows them all
        rows = await read(sql, {"low": turn, "high": turn + "g"}) if turn else []
    if not rows:
        raise NoSuchReport(f'there is no turn "{turn}". frontdesk turns lists the latest')
    if len(rows) > 1 and rows[0][0] != turn:
        raise NoSuchReport(f'more than one turn begins with "{turn}". Write more of its id')
    return _named(names, rows)[0]


async def _messages(read: Read, message: str) -> list[Report]:
    sql = """
        SELECT id, seq, author, name, visibility, text, created_ms, is_deleted, attempts, error, attachments
        FROM messages WHERE id = :message"""
    names = (
        *("message", "seq", "author", "name", "visibility", "text", "at_ms", "is_deleted", "attempts", "error"),
        "attachments",
    )
    found = _named(names, await read(sql, {"message": message}))
    return [
        {**each, "is_deleted": bool(each["is_deleted"]), "attachments": _attachments(each["attachments"])}
        for each in found
    ]


def _attachments(text: str) -> list[Report]:
    """Without where they came from: such an address may be the right to read them."""
    names = ("name", "media_type", "size_bytes", "problem", "transcript")
    return [{name: getattr(each, name) for name in names} for each in records.attachments_of(text)]


async def _is_acknowledged(read: Read, conversation: str, seq: int) -> bool:
    """On a channel that acknowledges: the receiver has said that it holds the message."""
    rows = await read(
        "SELECT delivered_seq FROM conversations WHERE id = :conversation", {"conversation": conversation}
    )
    return bool(rows) and rows[0][0] >= seq


async def _deliveries(read: Read, message: str) -> list[Report]:
    sql = """
        SELECT part, state, is_held, attempts, attempted_ms, sent_ms, error
        FROM outbox WHERE message_id = :message ORDER BY part"""
    names = ("part", "state", "is_held", "attempts", "attempted_ms", "sent_ms", "error")
    found = _named(names, await read(sql, {"message": message}))
    return [{**each, "is_held": bool(each["is_held"])} for each in found]


async def _tool_calls(read: Read, turn: str, reply: str) -> list[Report]:
    """Of this run of the turn and of those before it that wrote towards the same reply."""
    sql = """
        SELECT step, name, arguments, state, result, started_ms, ended_ms, turn_id
        FROM tool_calls WHERE reply_id = :reply OR turn_id = :turn ORDER BY step, place"""
    names = ("step", "name", "arguments", "state", "result", "started_ms", "ended_ms", "run")
    return _named(names, await read(sql, {"reply": reply, "turn": turn}))


def _named(names: tuple[str, ...], rows: list[Row]) -> list[Report]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def _json(text: str) -> Report:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _limit(arguments: Mapping[str, object]) -> int:
    limit = arguments.get("limit", 100)
    if not isinstance(limit, int) or not 1 <= limit <= LIMIT_MOST:
        raise NoSuchReport(f"the limit is a whole number from 1 to {LIMIT_MOST}")
    return limit
