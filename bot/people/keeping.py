"""What the law wants kept: a legal hold wins over every wish to forget, visibly, and what is held is then used for nothing.

Who asks to be forgotten while a hold stands is told so. Their open cases end, and what later cases and the memory of them would have begun
with is put away. When the hold is over, they are forgotten as they asked.
"""

import json
from collections.abc import Sequence
from typing import Final

from bot import ids
from bot.accepting import say
from bot.forgetting import forget
from bot.model import AGENT_OWNER, Conversation, ConversationId, IdentityId, MessageId
from bot.ports import Cursor, Value
from bot.store import audit, memory, people, records

HELD: Final = (
    "The law wants us to keep what you wrote, for now. It is not used for anything any more, and it is deleted when the law allows it. "
    "Then nothing has to be done by you."
)
_SUMMARIES: Final = """
    SELECT s.id, s.summary FROM cases s WHERE s.conversation_id = :conversation AND s.summary <> '' ORDER BY s.opened_ms, s.id"""
_DROP_SUMMARIES: Final = "UPDATE cases SET summary = '' WHERE conversation_id = :conversation"
_SEAL: Final = "UPDATE holds SET asked_ms = coalesce(asked_ms, :now), put_away = :text WHERE identity_id = :identity"
_OWN: Final = """
    SELECT s.conversation_id FROM speakers s WHERE s.identity_id = :identity AND NOT EXISTS (
        SELECT 1 FROM speakers o WHERE o.conversation_id = s.conversation_id AND o.identity_id <> :identity)"""
_END: Final = "UPDATE cases SET ended_ms = :now, outcome = 'held' WHERE id = :case AND ended_ms IS NULL"


def forget_unless_held(cursor: Cursor, identity: IdentityId, now_ms: int) -> Sequence[ConversationId]:
    """A person's own wish, for all identities that are linked to this one. Returns the conversations that have changed."""
    user = people.user_of(cursor, identity)
    known = [each.id for each in people.identities_of(cursor, user)] or [identity]
    held = {each.identity: each for each in people.holds_of(cursor, user)}
    if held:
        if len(held) < len(known):  # linked since: it is one person
            first = next(iter(held.values()))
            people.hold(cursor, user, first.reason, first.actor, now_ms)
        return [found for each in known for found in _seal(cursor, each, held.get(each), now_ms)]
    memory.forget(cursor, user, now_ms)
    for each in known:
        people.drop_codes(cursor, each, now_ms)
    return [found for each in known for found in forget(cursor, IdentityId(each), now_ms)]


def release(cursor: Cursor, user: str, actor: str, now_ms: int) -> tuple[int, Sequence[ConversationId]]:
    """Ends the holds of a user; whoever asked to be forgotten meanwhile is. Returns how many there were, and the conversations that have
    changed."""
    held = people.release(cursor, user, actor, now_ms)
    if not any(each.asked_ms for each in held):
        return len(held), ()
    known = people.identities_of(cursor, user)
    memory.forget(cursor, user, now_ms)
    return len(held), [found for each in known for found in forget(cursor, IdentityId(each.id), now_ms)]


def _seal(cursor: Cursor, identity: str, hold: people.Hold | None, now_ms: int) -> list[ConversationId]:
    before = json.loads(hold.put_away) if hold is not None and hold.put_away else {"summaries": {}, "memory": []}
    changed = []
    for (id_,) in cursor.fetch(_OWN, {"identity": identity}):
        before["summaries"] |= dict(cursor.fetch(_SUMMARIES, {"conversation": id_}))
        cursor.execute(_DROP_SUMMARIES, {"conversation": id_})
        found = records.conversation_of(cursor.fetch(records.CONVERSATION_BY_ID, {"id": id_})[0])
        if not found.kind:
            _close(cursor, found, now_ms)
            changed.append(found.id)
    before["memory"] += memory.exported(cursor, people.user_of(cursor, identity))
    memory.forget(cursor, people.user_of(cursor, identity), now_ms)
    values: dict[str, Value] = {"identity": identity, "now": now_ms, "text": json.dumps(before, ensure_ascii=False)}
    cursor.execute(_SEAL, values)
    audit.append(cursor, identity, "forget refused", identity, now_ms, "held")
    return changed


def _close(cursor: Cursor, found: Conversation, now_ms: int) -> None:
    """Says why, and lets the next message begin anew; what a person of ours is busy with goes on."""
    say(cursor, found, HELD, MessageId(ids.derived_id("held", found.id, str(now_ms))), found.case, now_ms)
    if found.owner == AGENT_OWNER and found.case:
        cursor.execute(_END, {"case": found.case, "now": now_ms})
        cursor.execute(records.SET_CASE, {"id": found.id, "case": ""})
