"""An operator has a wrong fact forgotten, as its user could by saying so."""

from collections.abc import Sequence
from typing import Final

from bot.errors import Refused
from bot.memory.telling import is_private
from bot.ports import Cursor
from bot.store import audit, memory, people

_FACT: Final = """
    SELECT f.kind, f.identity_id, c.user_id FROM facts f JOIN identities c ON c.id = f.identity_id
    WHERE f.id = :fact AND f.value <> '' AND f.ended_ms IS NULL AND c.user_id = (
        SELECT i.user_id FROM conversations v JOIN identities i ON i.id = v.identity_id WHERE v.id = :conversation)"""
_CONVERSATIONS: Final = """
    SELECT v.id FROM conversations v JOIN identities i ON i.id = v.identity_id WHERE i.user_id = :user AND v.kind = ''"""


def correct(cursor: Cursor, operator: str, conversation: str, fact: str, now_ms: int) -> Sequence[str]:
    """A unit of work: the fact goes with what it took the place of, and is not taken from the same message again. Returns the conversations
    of its user, which show it. Raises Refused where it is not theirs or others read along, NotDone where the law wants it kept."""
    if not is_private(cursor, conversation):
        raise Refused("not_here", "Others read along here: open a conversation with this person alone.")
    rows = cursor.fetch(_FACT, {"fact": fact, "conversation": conversation})
    if not rows:
        raise Refused("no_fact", "This is not remembered (any more).")
    kind, identity, user = rows[0]
    people.refuse_held(cursor, user)
    memory.forget_fact(cursor, fact, now_ms)
    audit.append(cursor, operator, "fact forgotten", identity, now_ms, kind)
    return [row[0] for row in cursor.fetch(_CONVERSATIONS, {"user": user})]
