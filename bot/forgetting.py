"""Forgetting what a person said, when they ask for it. What was counted stays; what was said does not.

Blanked is everything this person said, and, in every case in which they spoke, what the agent, an operator or the house said; and of the
actions that they asked for, all but ids, states and amounts. What others said stays theirs. The rows stay, without text: their ids go on refusing what the platform may deliver again.
"""

from collections.abc import Sequence

from bot import ids
from bot.handoff.leaving import user_left
from bot.handoff.machine import Happening
from bot.model import ConversationId, IdentityId
from bot.ports import Cursor, Value
from bot.store import actions, audit, gaps, handoffs, memory, records

_CONVERSATIONS = """
    SELECT s.conversation_id, NOT EXISTS (
        SELECT 1 FROM speakers o WHERE o.conversation_id = s.conversation_id AND o.identity_id <> :identity)
    FROM speakers s WHERE s.identity_id = :identity"""

_MESSAGES = """
    SELECT m.id, m.turn_id, m.author FROM messages m
    WHERE m.conversation_id = :conversation AND m.identity_id IN ('', :identity) AND m.case_id IN (
        SELECT o.case_id FROM messages o WHERE o.conversation_id = :conversation AND o.identity_id = :identity)"""

_BLANK = """
    UPDATE messages SET text = '', name = '', attachments = '', citations = '', buttons = '', raw_hash = '', error = '', is_deleted = 1,
                        changed_ms = CASE WHEN changed_ms < :now THEN :now ELSE changed_ms + 1 END
    WHERE id = :id"""

_BLANK_TURN = "UPDATE turns SET trace = '{}' WHERE id = :turn"

_BLANK_WORK = (
    "UPDATE steps SET text = '', reasoning = '[]', attempts = '[]', ended_ms = coalesce(ended_ms, :now) WHERE reply_id = :reply",
    "UPDATE tool_calls SET arguments = '', result = '', ended_ms = coalesce(ended_ms, :now) WHERE reply_id = :reply",
)

# What stands there as a draft is taken away; what has not left is not sent; what is on its way is settled without its text.
_WITHDRAW = """
    UPDATE outbox SET role = 'withdraw', state = 'planned', text = '', error = '', is_held = 0
    WHERE message_id = :id AND role = 'final' AND state IN ('planned', 'unknown') AND external_id <> ''"""

_CLEAR = """
    UPDATE outbox SET text = '', error = '', is_held = 0, state = CASE WHEN state IN ('planned', 'unknown') THEN 'dead' ELSE state END
    WHERE message_id = :id AND role NOT IN ('draft', 'withdraw')"""

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


def forget(cursor: Cursor, identity: IdentityId, now_ms: int) -> Sequence[ConversationId]:
    """Returns the conversations that have changed."""
    who: dict[str, Value] = {"identity": identity}
    found = cursor.fetch(_CONVERSATIONS, who)
    for conversation, is_alone in found:
        turns = set()
        for message, turn, author in cursor.fetch(_MESSAGES, {**who, "conversation": conversation}):
            _blank(cursor, message, is_said=author == "user", now_ms=now_ms)
            turns.add(turn)
        for turn in turns - {""}:
            cursor.execute(_BLANK_TURN, {"turn": turn})
        if is_alone:
            user_left(cursor, conversation, Happening.FORGOTTEN, now_ms)
            handoffs.forget(cursor, conversation, now_ms)
            cursor.execute(_END_CASES, {"conversation": conversation, "now": now_ms})
            cursor.execute(records.SET_CASE, {"id": conversation, "case": ""})
    actions.forget(cursor, identity, [row[0] for row in found], now_ms)
    memory.forget_of(cursor, identity, now_ms)
    gaps.forget_of(cursor, identity)
    cursor.execute(_DROP_BLOBS, who)
    for drop in _DROP_NAMES:
        cursor.execute(drop, who)
    audit.append(cursor, identity, "forget", identity, now_ms)
    return [ConversationId(row[0]) for row in found]


def _blank(cursor: Cursor, message: str, *, is_said: bool, now_ms: int) -> None:
    """One message, what was to be sent of it, and, where a person said it, what the agent did to answer."""
    cursor.execute(_BLANK, {"id": message, "now": now_ms})
    cursor.execute(_WITHDRAW, {"id": message})
    cursor.execute(_CLEAR, {"id": message})
    if is_said:
        cursor.execute(records.DROP_EARLY_CHANGE, {"id": message})
        for blank in _BLANK_WORK:
            cursor.execute(blank, {"reply": ids.derived_id("reply", message), "now": now_ms})
