"""What is remembered of the one a conversation is with, as operators see it. Nothing of it where others read along."""

from collections import defaultdict
from typing import Final

from bot.handoff.views_rows import Json, Read
from bot.memory.telling import is_private_row
from bot.ports import Row
from bot.store import memory

EPISODES: Final = 20
_OF_USER: Final = "IN (SELECT o.id FROM identities i JOIN identities o ON o.user_id = i.user_id WHERE i.id = :identity)"

# What holds, and what something else has taken the place of.
_FACTS: Final = f"""
    SELECT f.id, f.kind, f.about, f.value, f.confidence, f.message_id, coalesce(m.seq, 0), f.conversation_id, f.created_ms, f.expires_ms,
        coalesce(f.ended_ms, 0), f.replaced_by
    FROM facts f LEFT JOIN messages m ON m.id = f.message_id
    WHERE f.identity_id {_OF_USER} AND f.value <> '' AND ((f.ended_ms IS NULL AND f.expires_ms > :now) OR f.replaced_by <> '')
    ORDER BY f.created_ms, f.id"""

_EPISODES: Final = f"""
    SELECT id, case_id, conversation_id, text, ended_ms FROM episodes
    WHERE identity_id {_OF_USER} AND text <> '' ORDER BY ended_ms DESC, id LIMIT :limit"""

_ACCOUNTS: Final = f"""
    SELECT id, channel, account, name, is_verified FROM identities WHERE id {_OF_USER} ORDER BY created_ms, id"""


async def memory_of(read: Read, conversation: str, identity: str, now_ms: int) -> Json:
    """{is_private, facts, episodes, accounts}: empty lists where others read along."""
    readers = await read(memory.READERS, {"conversation": conversation})
    is_private = bool(readers) and is_private_row(*readers[0])
    if not is_private or not identity:
        return {"is_private": is_private, "facts": [], "episodes": [], "accounts": []}
    who = {"identity": identity}
    return {
        "is_private": True,
        "facts": _facts(await read(_FACTS, {**who, "now": now_ms})),
        "episodes": [_episode(row) for row in await read(_EPISODES, {**who, "limit": EPISODES})],
        "accounts": [_account(row, identity) for row in await read(_ACCOUNTS, who)],
    }


def _facts(rows: list[Row]) -> list[Json]:
    """Those that hold, each with the values that it and its predecessors took the place of, the latest first."""
    replaced: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        replaced[row[11]].append(row)
    return [_fact(row, replaced) for row in rows if not row[10]]


def _fact(row: Row, replaced: dict[str, list[Row]]) -> Json:
    before, waiting = [], [row[0]]
    while waiting:
        for earlier in replaced.pop(waiting.pop(), ()):
            before.append({"value": earlier[3], "since_ms": earlier[8], "until_ms": earlier[10]})
            waiting.append(earlier[0])
    names = ("id", "kind", "about", "value", "confidence", "message", "seq", "conversation", "since_ms", "expires_ms")
    return {**dict(zip(names, row[:10], strict=True)), "before": before}


def _episode(row: Row) -> Json:
    return dict(zip(("id", "case", "conversation", "text", "ended_ms"), row, strict=True))


def _account(row: Row, here: str) -> Json:
    id_, channel, account, name, is_verified = row
    return {
        "identity": id_,
        "channel": channel,
        "account": account,
        "name": name,
        "is_verified": bool(is_verified),
        "is_here": id_ == here,
    }
