"""The SQL of memory: facts and episodes of a user, whichever of their identities they are of.

Functions that take a `Cursor` are pieces of units of work.
"""

import json
from typing import Any

from bot.model import IdentityId, MessageId, value
from bot.ports import Cursor, Row

_OF_USER = "IN (SELECT id FROM identities WHERE user_id = :user)"
_OF_IDENTITY = "IN (SELECT o.id FROM identities i JOIN identities o ON o.user_id = i.user_id WHERE i.id = :identity)"
_FACT = "id, kind, about, value, confidence, message_id, conversation_id, created_ms, expires_ms"

# Who reads along: the conversation's kind, whether its channel says that others do, and how many people have spoken there.
READERS = """
    SELECT c.kind, c.is_shared, (SELECT count(DISTINCT i.user_id) FROM speakers s JOIN identities i ON i.id = s.identity_id
                                 WHERE s.conversation_id = c.id)
    FROM conversations c WHERE c.id = :conversation"""

FACTS = f"""
    SELECT {_FACT} FROM facts WHERE identity_id {_OF_IDENTITY} AND ended_ms IS NULL AND expires_ms > :now
    ORDER BY created_ms, id"""

EPISODES = f"""
    SELECT id, case_id, text, words, messages, ended_ms FROM episodes
    WHERE identity_id {_OF_IDENTITY} AND text <> '' ORDER BY ended_ms DESC, id LIMIT :limit"""

FACT_TEXT = "SELECT value FROM facts WHERE id = :id"

EPISODE_TEXT = "SELECT text FROM episodes WHERE id = :id"

SET_SHARED = "UPDATE conversations SET is_shared = 1 WHERE id = :id AND is_shared = 0"

ADD_FACT = """
    INSERT INTO facts (id, identity_id, kind, about, value, confidence, message_id, conversation_id, created_ms, expires_ms)
    VALUES (:id, :identity, :kind, :about, :value, :confidence, :message, :conversation, :now, :expires)"""

END_FACT = "UPDATE facts SET ended_ms = :now, replaced_by = :by WHERE id = :id AND ended_ms IS NULL"

RENEW_FACT = "UPDATE facts SET expires_ms = :expires, confidence = :confidence WHERE id = :id"

_FORGET_FACT = """
    UPDATE facts SET value = '', about = '', replaced_by = '', ended_ms = coalesce(ended_ms, :now) WHERE id = :id"""

FORGET_EPISODE = """
    UPDATE episodes SET text = '', words = '', messages = '[]', forgotten_ms = :now WHERE id = :id"""

IS_FORGOTTEN = "SELECT 1 FROM facts WHERE message_id = :message AND kind = :kind AND value = '' LIMIT 1"

NEWEST_FACT = f"""
    SELECT {_FACT} FROM facts
    WHERE identity_id = :identity AND conversation_id = :conversation AND ended_ms IS NULL AND created_ms >= :since
    ORDER BY created_ms DESC, id DESC LIMIT 1"""

PRUNE_FACTS = "DELETE FROM facts WHERE expires_ms <= :now"

OWN_WORDS = """
    SELECT id, text FROM messages
    WHERE conversation_id = :conversation AND case_id = :case AND identity_id = :identity AND author = 'user' AND kind = 'message'
      AND is_deleted = 0 AND visibility = 'public' ORDER BY seq DESC"""

KEEP_LIST = """
    INSERT INTO memory_lists (conversation_id, identity_id, items, created_ms) VALUES (:conversation, :identity, :items, :now)
    ON CONFLICT (conversation_id) DO UPDATE
        SET identity_id = excluded.identity_id, items = excluded.items, created_ms = excluded.created_ms"""

LIST = """
    SELECT items FROM memory_lists WHERE conversation_id = :conversation AND identity_id = :identity AND created_ms >= :since"""

# --- ended cases ---------------------------------------------------------------------------------------------------

TO_REMEMBER = """
    SELECT s.id, s.conversation_id, c.agent, s.ended_ms, s.outcome, s.feedback, c.kind FROM cases s
    JOIN conversations c ON c.id = s.conversation_id
    WHERE s.ended_ms IS NOT NULL AND s.remembered_ms IS NULL AND s.ended_ms >= :since ORDER BY s.ended_ms LIMIT :limit"""

REMEMBERED = "UPDATE cases SET remembered_ms = :now WHERE id = :case AND ended_ms IS NOT NULL AND remembered_ms IS NULL"

SAID = """
    SELECT id, seq, author, identity_id, text, kind FROM messages
    WHERE conversation_id = :conversation AND case_id = :case AND visibility = 'public' AND is_deleted = 0 AND text <> ''
      AND author IN ('user', 'agent', 'operator') ORDER BY seq LIMIT :limit"""

# Differs as soon as anything that was said there has changed.
STATE = """
    SELECT count(*), coalesce(max(seq), 0), coalesce(sum(changed_ms), 0), coalesce(sum(is_deleted), 0) FROM messages
    WHERE conversation_id = :conversation AND case_id = :case AND seq <= :last"""

DEEDS = (
    "SELECT identity_id, name, state FROM actions WHERE case_id = :case AND effect <> 'read' AND state = 'succeeded'"
)

ADD_EPISODE = """
    INSERT INTO episodes (id, identity_id, conversation_id, case_id, text, words, messages, model, ended_ms, created_ms)
    VALUES (:id, :identity, :conversation, :case, :text, :words, :messages, :model, :ended, :now)
    ON CONFLICT (case_id, identity_id) DO NOTHING"""


@value
class Fact:
    """One thing that a user said of themselves. `message`: where they said it."""

    id: str
    kind: str
    about: str
    value: str
    confidence: float
    message: MessageId
    conversation: str
    created_ms: int
    expires_ms: int


@value
class Episode:
    """What came of one case. `words` are the stems of its text."""

    id: str
    case: str
    text: str
    words: tuple[str, ...]
    messages: tuple[str, ...]
    ended_ms: int


def fact_of(row: Row) -> Fact:
    return Fact(row[0], row[1], row[2], row[3], row[4], MessageId(row[5]), row[6], row[7], row[8])


def episode_of(row: Row) -> Episode:
    return Episode(row[0], row[1], row[2], tuple(row[3].split()), tuple(json.loads(row[4])), row[5])


def forget_fact(cursor: Cursor, id_: str, now_ms: int) -> None:
    """It goes with everything that it took the place of; that it was there stays, so that it is not taken from the same message again."""
    waiting = [id_]
    while waiting:
        each = waiting.pop()
        waiting += [row[0] for row in cursor.fetch("SELECT id FROM facts WHERE replaced_by = :id", {"id": each})]
        cursor.execute(_FORGET_FACT, {"id": each, "now": now_ms})


_FORGET = (
    f"DELETE FROM facts WHERE identity_id {_OF_USER}",
    f"DELETE FROM episodes WHERE identity_id {_OF_USER}",
    f"DELETE FROM memory_lists WHERE identity_id {_OF_USER}",
    f"""DELETE FROM blocks WHERE id LIKE 'summary %' AND conversation_id IN (
            SELECT conversation_id FROM speakers WHERE identity_id {_OF_USER})""",
)


# Ended cases of conversations in which nobody else has spoken; those of others are theirs to remember.
_LEAVE_OUT = f"""
    UPDATE cases SET remembered_ms = :now
    WHERE remembered_ms IS NULL AND ended_ms IS NOT NULL
      AND EXISTS (SELECT 1 FROM speakers s WHERE s.conversation_id = cases.conversation_id AND s.identity_id {_OF_USER})
      AND NOT EXISTS (SELECT 1 FROM speakers s WHERE s.conversation_id = cases.conversation_id AND s.identity_id NOT {_OF_USER})"""


def forget(cursor: Cursor, user: str, now_ms: int) -> int:
    """Nothing is remembered of this user any more. Returns how many rows went. What they said, and the cases, are not touched: an ended case
    whose texts stay is not remembered again."""
    cursor.execute(_LEAVE_OUT, {"user": user, "now": now_ms})
    return sum(cursor.execute(statement, {"user": user}) for statement in _FORGET)


def forget_of(cursor: Cursor, identity: IdentityId, now_ms: int) -> int:
    """The same, of the user that an identity belongs to."""
    return sum(
        forget(cursor, row[0], now_ms)
        for row in cursor.fetch("SELECT user_id FROM identities WHERE id = :id", {"id": identity})
    )


def exported(cursor: Cursor, user: str) -> list[dict[str, Any]]:
    """Everything that is remembered of a user, as JSON: facts with those that they took the place of, then episodes."""
    facts = cursor.fetch(
        f"""SELECT {_FACT}, coalesce(ended_ms, 0), replaced_by, identity_id FROM facts
            WHERE identity_id {_OF_USER} AND value <> '' ORDER BY created_ms, id""",
        {"user": user},
    )
    episodes = cursor.fetch(
        f"""SELECT id, case_id, conversation_id, text, messages, model, ended_ms, created_ms, identity_id FROM episodes
            WHERE identity_id {_OF_USER} AND text <> '' ORDER BY ended_ms, id""",
        {"user": user},
    )
    names = ("id", "kind", "about", "value", "confidence", "message", "conversation", "created_ms", "expires_ms")
    told = [
        {"type": "fact", **dict(zip((*names, "ended_ms", "replaced_by", "identity"), row, strict=True))}
        for row in facts
    ]
    names = ("id", "case", "conversation", "text", "messages", "model", "ended_ms", "created_ms", "identity")
    made = [{"type": "episode", **dict(zip(names, row, strict=True))} for row in episodes]
    return [*told, *({**each, "messages": json.loads(each["messages"])} for each in made)]


_CHANGED = (
    "DELETE FROM facts WHERE message_id = :id AND value <> ''",
    """UPDATE cases SET remembered_ms = NULL WHERE id = (SELECT case_id FROM messages WHERE id = :id)
       AND EXISTS (SELECT 1 FROM episodes e WHERE e.case_id = cases.id AND e.forgotten_ms IS NULL)""",
    """DELETE FROM episodes WHERE case_id = (SELECT case_id FROM messages WHERE id = :id) AND forgotten_ms IS NULL""",
    """DELETE FROM blocks WHERE id LIKE 'summary %' AND EXISTS (
           SELECT 1 FROM messages m WHERE m.id = :id AND m.conversation_id = blocks.conversation_id
             AND m.seq BETWEEN blocks.first_seq AND blocks.last_seq)""",
)


def changed(cursor: Cursor, message: MessageId) -> None:
    """A message was edited or deleted: what was made of it goes, and what came of its case is written anew."""
    for statement in _CHANGED:
        cursor.execute(statement, {"id": message})
