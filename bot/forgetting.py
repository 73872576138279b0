"""Forgetting what a person said, when they ask for it. What was counted stays; what was said does not.

Blanked is what this person said, and what was answered in the turns that read it; of conversations in which nobody else spoke,
everything. The rows stay, without text: their ids go on refusing what the platform may deliver again.
"""

from collections.abc import Sequence

from bot.model import ConversationId, IdentityId
from bot.ports import Cursor, Value
from bot.store import records

_CONVERSATIONS = """
    SELECT DISTINCT m.conversation_id, NOT EXISTS (
        SELECT 1 FROM messages o WHERE o.conversation_id = m.conversation_id AND o.identity_id NOT IN ('', :identity))
    FROM messages m WHERE m.identity_id = :identity"""

_TURNS = "SELECT DISTINCT turn_id FROM messages WHERE identity_id = :identity AND turn_id <> ''"

_BLANK = """
    UPDATE messages SET text = '', name = '', attachments = '', citations = '', buttons = '', raw_hash = '', is_deleted = 1,
                        changed_ms = CASE WHEN changed_ms < :now THEN :now ELSE changed_ms + 1 END"""

_BLANK_OWN = f"{_BLANK} WHERE identity_id = :identity"
_BLANK_REPLIES = f"""{_BLANK}
    WHERE conversation_id = (SELECT conversation_id FROM turns WHERE id = :turn) AND turn_id = :turn AND identity_id = ''"""
_BLANK_ALONE = f"{_BLANK} WHERE conversation_id = :conversation"

_BLANK_OUTBOX = """
    UPDATE outbox SET text = '', error = '', state = CASE WHEN state = 'planned' AND role = '' THEN 'dead' ELSE state END
    WHERE conversation_id = :conversation AND message_id IN (
        SELECT id FROM messages WHERE conversation_id = :conversation AND is_deleted = 1)"""

_BLANK_TURN = (
    "UPDATE turns SET trace = '{}' WHERE id = :turn",
    "UPDATE steps SET text = '', reasoning = '[]', attempts = '[]' WHERE turn_id = :turn",
    "UPDATE tool_calls SET arguments = '', result = '' WHERE turn_id = :turn",
)

_END_STEPS = "UPDATE steps SET ended_ms = coalesce(ended_ms, :now) WHERE conversation_id = :conversation"

_END_CASES = """
    UPDATE cases SET ended_ms = :now, outcome = 'forgotten' WHERE conversation_id = :conversation AND ended_ms IS NULL"""

_DROP_BLOBS = """
    DELETE FROM blobs WHERE EXISTS (
        SELECT 1 FROM identities i WHERE i.id = :identity AND i.channel = blobs.channel AND i.account = blobs.account
          AND i.external_id = blobs.owner)"""

_DROP_NAMES = (
    "UPDATE users SET name = '' WHERE id = (SELECT user_id FROM identities WHERE id = :identity)",
    "UPDATE identities SET name = '' WHERE id = :identity",
)


def forget(cursor: Cursor, identity: IdentityId, now_ms: int, audit: str) -> Sequence[ConversationId]:
    """Returns the conversations that have changed."""
    who: dict[str, Value] = {"identity": identity}
    found = cursor.fetch(_CONVERSATIONS, who)
    turns = cursor.fetch(_TURNS, who)
    cursor.execute(_BLANK_OWN, {**who, "now": now_ms})
    for (turn,) in turns:
        cursor.execute(_BLANK_REPLIES, {"turn": turn, "now": now_ms})
        for blank in _BLANK_TURN:
            cursor.execute(blank, {"turn": turn})
    for conversation, is_alone in found:
        _leave(cursor, conversation, now_ms, is_alone=bool(is_alone))
    cursor.execute(_DROP_BLOBS, who)
    for drop in _DROP_NAMES:
        cursor.execute(drop, who)
    entry: dict[str, Value] = {"id": audit, "actor": identity, "action": "forget", "subject": identity, "now": now_ms}
    cursor.execute(records.ADD_AUDIT, entry)
    return [ConversationId(row[0]) for row in found]


def _leave(cursor: Cursor, conversation: str, now_ms: int, *, is_alone: bool) -> None:
    """What is left of one conversation: nothing that was said, where the person was alone there."""
    at: dict[str, Value] = {"conversation": conversation, "now": now_ms}
    if is_alone:
        cursor.execute(_BLANK_ALONE, at)
        cursor.execute(_END_CASES, at)
        cursor.execute(records.SET_CASE, {"id": conversation, "case": ""})
    cursor.execute(_END_STEPS, at)
    cursor.execute(_BLANK_OUTBOX, {"conversation": conversation})
