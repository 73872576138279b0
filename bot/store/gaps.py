"""The SQL of gaps: what was asked and is not answered by the documents. Words stay in the messages; rows point at them."""

from typing import Final

from bot.model import IdentityId
from bot.ports import Cursor

_OF_USER: Final = "IN (SELECT id FROM identities WHERE user_id = :user)"
_THEIRS: Final = f"""
    gap_id IN (SELECT a.gap_id FROM gap_asks a WHERE a.identity_id {_OF_USER} OR a.conversation_id IN (
        SELECT s.conversation_id FROM speakers s WHERE s.identity_id {_OF_USER}))"""
_REOPEN: Final = f"""
    UPDATE gaps SET state = 'open' WHERE state = 'drafted' AND id IN (SELECT gap_id FROM gap_drafts WHERE {_THEIRS})"""
_DROP_DRAFTS: Final = f"DELETE FROM gap_drafts WHERE {_THEIRS}"
_DROP_ASKS: Final = f"DELETE FROM gap_asks WHERE identity_id {_OF_USER}"


def forget(cursor: Cursor, user: str) -> int:
    """No draft is left that was written from a conversation with this user, and no pointer to what they asked: counts stay. Returns how many
    rows went."""
    who = {"user": user}
    cursor.execute(_REOPEN, who)
    return cursor.execute(_DROP_DRAFTS, who) + cursor.execute(_DROP_ASKS, who)


def forget_of(cursor: Cursor, identity: IdentityId) -> int:
    """The same, of the user that an identity belongs to."""
    rows = cursor.fetch("SELECT user_id FROM identities WHERE id = :id", {"id": identity})
    return sum(forget(cursor, row[0]) for row in rows)
