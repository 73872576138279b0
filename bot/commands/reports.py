"""What the reading commands tell, as JSON values, from the database alone.

The daemon answers with them over its own store, and a command without a daemon over a read-only connection: `read` is
either, and looks like `Store.read`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.errors import FrontdeskError, Refused
from bot.evals.harvest import CORRECTED
from bot.ports import Row, Value
from bot.store import actions, memory, records
from bot.store import audit as chain

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]
Report = dict[str, Any]  # JSON
LIMIT_MOST = 10_000
RECALLED_CHARS = 160  # of a fact or an earlier case, in a trace

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
        case "corrections":
            return [list(row) for row in await read(CORRECTED, {"limit": _limit(arguments)})]
        case "incidents":
            return await incidents(read, _limit(arguments))
    return await _answer_on_actions(read, command, arguments)


async def _answer_on_actions(read: Read, command: str, arguments: Mapping[str, object]) -> object:
    match command:
        case "consents":
            return await consents(read, arguments.get("now_ms"))
        case "consent":
            return await consent(read, str(arguments.get("id", "")))
        case "queue":
            return await queue(read, _limit(arguments))
        case "queue entry":
            return await queue_entry(read, str(arguments.get("id", "")))
        case "audit":
            conversation, name = (str(arguments.get(each, "")) for each in ("conversation", "action"))
            return await audit(read, conversation, name, _limit(arguments))
        case "audit log":
            action, subject = (str(arguments.get(each, "")) for each in ("action", "conversation"))
            rows = await read(chain.NEWEST, {"action": action, "subject": subject, "limit": _limit(arguments)})
            return [dict(zip(chain.ENTRY, row, strict=True)) for row in rows]
        case "audit verify":
            return await chain.report(read, str(arguments.get("noted", "")))
        case "gaps" | "gap" | "recall":
            return await _of_knowledge(read, command, arguments)
    raise NoSuchReport(f"there is no report {command}. frontdesk --help lists the commands")


async def _of_knowledge(read: Read, command: str, arguments: Mapping[str, object]) -> object:
    """What documents lack, and what was told from them."""
    from bot.gaps import listing
    from bot.knowledge import recalls

    try:
        if command == "gaps":
            return await listing.listed(read, is_all=bool(arguments.get("all")))
        if command == "gap":
            return await listing.shown(read, str(arguments.get("id", "")))
        return await recalls.report(read, arguments)
    except Refused as error:
        raise NoSuchReport(error.detail) from error


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
        "whole": kept.get("whole"),
        "reranked": kept.get("reranked", 0),
        "recalled": await _recalled(read, kept.get("recalled", {})),
        "calls": kept.get("calls", []),
        "attempts": kept.get("attempts", []),
        "stopped": kept.get("stopped", ""),
        "held": kept.get("held", []),
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


async def _recalled(read: Read, kept: Mapping[str, Any]) -> list[Report]:
    """The facts and earlier cases that stood before the model, as they read now; what was forgotten since has no text."""
    told = [
        {"what": what, "id": id_, "text": rows[0][0] if (rows := await read(sql, {"id": id_})) else ""}
        for what, sql in (("fact", memory.FACT_TEXT), ("episode", memory.EPISODE_TEXT))
        for id_ in kept.get(f"{what}s", ())
    ]
    return [{**each, "text": str(each["text"])[:RECALLED_CHARS]} for each in told]


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


# --- actions ---------------------------------------------------------------------------------------------------------


async def consents(read: Read, now_ms: object) -> list[Report]:
    """What operators can agree to at `now_ms`, oldest first, with the whole text of it, and who has agreed to it so far."""
    if not isinstance(now_ms, int):
        raise NoSuchReport("consents are reported for a time, in milliseconds")
    names = ("consent", "kind", "text", "action", "conversation", "created_ms", "expires_ms", "action_id")
    found = _named(names, await read(actions.OPEN_CONSENTS, {"now": now_ms}))
    sql = """
        SELECT action_id, kind, decided_by FROM consents
        WHERE state = 'given' AND action_id IN (SELECT action_id FROM consents WHERE state = 'open') ORDER BY decided_ms, id"""
    agreed: dict[str, list[Report]] = {}
    for action, kind, by in await read(sql, {}):
        agreed.setdefault(action, []).append({"kind": kind, "by": by})
    return [{**each, "agreed": agreed.get(each["action_id"], [])} for each in found]


async def consent(read: Read, id_: str) -> Report:
    """One consent for operators, and how its action stands. `id_` is its id or the beginning of it; one that is open goes before those
    that are decided. `waits_for`: which kinds of consent are still missing."""
    sql = """
        SELECT c.id, c.state, c.decided_by, a.id, a.name, a.state FROM consents c JOIN actions a ON a.id = c.action_id
        WHERE c.kind = 'operator' AND c.id >= :low AND c.id < :high
        ORDER BY c.id <> :low, c.state <> 'open', c.id LIMIT 2"""
    names = ("consent", "state", "decided_by", "action_id", "action", "action_state")
    rows = _named(names, await read(sql, _beginning(id_)))
    found = _one_of(rows, id_, "consent", lambda each: each["state"] == "open")
    missing = await read(
        "SELECT kind FROM consents WHERE action_id = :action AND state = 'open' ORDER BY kind, id",
        {"action": found["action_id"]},
    )
    return {**found, "waits_for": [kind for (kind,) in missing]}


async def queue(read: Read, limit: int) -> list[Report]:
    """What a person has to find out or look at, oldest first. `taken_by`: who has said that they do."""
    names = ("entry", "kind", "subject", "conversation", "detail", "created_ms", "outcome", "taken_by")
    return _named(names, await read(actions.OPEN_QUEUE, {"limit": limit}))


async def queue_entry(read: Read, id_: str) -> Report:
    """One entry of the queue. `id_` is its id or the beginning of it; one that is open goes before those that are decided."""
    sql = """
        SELECT id, kind, subject, conversation_id, outcome, decided_by FROM queue WHERE id >= :low AND id < :high
        ORDER BY id <> :low, outcome NOT IN ('', 'mine'), id LIMIT 2"""
    names = ("entry", "kind", "subject", "conversation", "outcome", "decided_by")
    rows = _named(names, await read(sql, _beginning(id_)))
    return _one_of(rows, id_, "entry", lambda each: each["outcome"] in ("", "mine"))


async def audit(read: Read, conversation: str, name: str, limit: int) -> list[Report]:
    """Every call of every action, newest first; "" for any conversation or action. `decisions`: what people decided about it. What an
    endpoint answered is left out."""
    asked: dict[str, Value] = {"conversation": conversation, "name": name, "limit": limit}
    names = (
        *("action_id", "action", "effect", "state", "arguments", "amount", "conversation", "identity", "tries"),
        *("created_ms", "ended_ms", "result", "detail", "key"),
    )
    found = _named(names, await read(actions.AUDIT, asked))
    chosen = f"SELECT id FROM ({actions.AUDIT})"
    sql = f"""
        SELECT action_id, kind, state, decided_by, account, why, decided_ms FROM consents
        WHERE decided_by <> '' AND action_id IN ({chosen})
        UNION ALL
        SELECT subject, kind, outcome, decided_by, account, why, decided_ms FROM queue
        WHERE kind = 'unknown' AND decided_by <> '' AND subject IN ({chosen})
        ORDER BY 7, 2"""
    decisions: dict[str, list[Report]] = {}
    for action, *row in await read(sql, asked):
        decisions.setdefault(action, []).append(
            dict(zip(("kind", "decision", "by", "account", "why", "at_ms"), row, strict=True))
        )
    return [
        {**{key: each[key] for key in names if key != "result"}, "decisions": decisions.get(each["action_id"], [])}
        for each in found
    ]


def _beginning(id_: str) -> dict[str, Value]:
    """Bounds of the ids that begin so: they are made of hexadecimal digits, and g follows them all."""
    return {"low": id_, "high": f"{id_}g" if id_ else ""}


def _one_of(rows: list[Report], id_: str, kind: str, is_open: Callable[[Report], bool]) -> Report:
    """The first of two, unless the second may be meant as well."""
    if not rows:
        raise NoSuchReport(f'there is no {kind} "{id_}". See: frontdesk {kind if kind == "consent" else "queue"} list')
    if len(rows) > 1 and rows[0][kind] != id_ and is_open(rows[0]) == is_open(rows[1]):
        raise NoSuchReport(f'more than one {kind} begins with "{id_}". Write more of its id')
    return rows[0]


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
