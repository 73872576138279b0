"""Erasing a person: the unit of work that leaves nothing of them in the database, and counts what it took.

It comes after `bot.forgetting`, which has ended what ran and withdrawn what was shown. Conversations in which nobody else has spoken go whole.
Where others have, only what is the person's goes, with what was done and written for it; what others said stays theirs. Kept are, under
pseudonyms: who did what and when (the audit), which actions were carried out and for what amount, and what models cost.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import field
from typing import Final

from bot import ids
from bot.model import changeable
from bot.people import places
from bot.people.graves import Graves
from bot.ports import Cursor, Value
from bot.store import audit, gaps, memory, people
from bot.store.people import CHAT_CHARS, Known

_SPOKEN: Final = """
    SELECT s.conversation_id, NOT EXISTS (
        SELECT 1 FROM speakers o JOIN identities i ON i.id = o.identity_id
        WHERE o.conversation_id = s.conversation_id AND i.user_id <> :user), c.kind
    FROM speakers s JOIN conversations c ON c.id = s.conversation_id JOIN identities p ON p.id = s.identity_id
    WHERE p.user_id = :user GROUP BY s.conversation_id, c.kind"""
_OPENED: Final = """
    SELECT c.id FROM conversations c WHERE c.kind = '' AND c.identity_id IN (SELECT id FROM identities WHERE user_id = :user)
      AND NOT EXISTS (SELECT 1 FROM speakers s WHERE s.conversation_id = c.id)"""
_ALL_MESSAGES: Final = "SELECT id, kind FROM messages WHERE conversation_id = :conversation"
_OWN_MESSAGES: Final = "SELECT id, kind, case_id, seq, turn_id FROM messages WHERE conversation_id = :conversation AND identity_id = :identity"
_NEXT_SPEAKER: Final = """
    UPDATE conversations SET identity_id = (SELECT min(s.identity_id) FROM speakers s WHERE s.conversation_id = :conversation
        AND s.identity_id NOT IN (SELECT id FROM identities WHERE user_id = :user))
    WHERE id = :conversation AND identity_id IN (SELECT id FROM identities WHERE user_id = :user)"""
_MIRRORS: Final = "SELECT thread, card, room FROM room_cards WHERE conversation_id = :conversation"
_MIRRORS_OF_CASE: Final = "SELECT thread, card, room FROM room_cards WHERE case_id = :case"
_BLANK_COPY: Final = """
    UPDATE messages SET text = '', name = '', attachments = '', buttons = '', is_deleted = 1 WHERE id = :id"""
_BLANK_SENT: Final = """
    UPDATE outbox SET text = '', error = '', state = CASE WHEN state IN ('planned', 'unknown') THEN 'dead' ELSE state END
    WHERE message_id = :id"""
_OF_CASES: Final = (
    ("tags", "DELETE FROM tags WHERE case_id IN (SELECT id FROM cases WHERE conversation_id = :conversation)"),
    (
        "timers",
        "DELETE FROM timers WHERE handoff_id IN (SELECT id FROM handoffs WHERE conversation_id = :conversation)",
    ),
    ("queue", "DELETE FROM queue WHERE conversation_id = :conversation AND kind <> 'unknown'"),
)
_OF_SHARED_CASE: Final = (
    "UPDATE cases SET summary = '' WHERE id = :case AND summary <> ''",
    "UPDATE handoffs SET reason = '', brief = '', contact = '' WHERE case_id = :case AND (reason <> '' OR brief <> '' OR contact <> '')",
    "DELETE FROM blocks WHERE conversation_id = :conversation",
    "DELETE FROM suggestions WHERE conversation_id = :conversation",
    "UPDATE room_cards SET shown = 'forgotten' WHERE case_id = :case",
)
_ACTIONS: Final = (
    (
        "consents",
        "UPDATE consents SET asked = CASE WHEN asked = '' THEN '' ELSE :pseudonym END, text = '', why = '', decided_by = "
        "CASE WHEN decided_by = :identity THEN :pseudonym ELSE decided_by END WHERE action_id IN (SELECT id FROM actions WHERE identity_id = :identity)",
    ),
    (
        "actions",
        "UPDATE actions SET identity_id = :pseudonym, arguments = '', facts = '', result = '', detail = '', awaits_telling = 0 "
        "WHERE identity_id = :identity",
    ),
)
_SPENT: Final = (
    "day, payer, model, calls, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_micros"
)
_BLOBS: Final = "SELECT id FROM blobs WHERE channel = :channel AND account = :account AND owner = :external"
_DROP_BLOBS: Final = "DELETE FROM blobs WHERE channel = :channel AND account = :account AND owner = :external"
_BOOKMARKS: Final = """
    DELETE FROM bookmarks WHERE channel = :channel AND account = :account AND (name LIKE :like ESCAPE '!' OR value LIKE :like ESCAPE '!')"""
_PLACE: Final = "SELECT channel, account, chat FROM conversations WHERE id = :conversation"
_ADD: Final = """
    INSERT INTO erasures (id, pseudonym, actor, reason, at_ms) VALUES (:id, :pseudonym, :actor, :reason, :now)"""


@changeable
class Erased:
    """What the unit of work did: rows by table, the files to be removed, the conversations that have changed or are gone."""

    id: str
    pseudonym: str
    places: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@changeable
class _Work:
    cursor: Cursor
    user: str
    graves: Graves
    now_ms: int
    done: Erased

    def run(self, place: str, sql: str, values: dict[str, Value]) -> None:
        count = self.cursor.execute(sql, values)
        if count > 0:
            self.done.places[place] += count


def erase(cursor: Cursor, user: str, reason: str, actor: str, graves: Graves, now_ms: int) -> Erased:
    """Raises NotDone where the law wants it kept."""
    people.refuse_held(cursor, user)
    known = people.identities_of(cursor, user)
    pseudonym = f"erased:{graves.hash_of('user', user)}"
    done = Erased(ids.new_id(now_ms), pseudonym)
    work = _Work(cursor, user, graves, now_ms, done)
    done.places["memory"] += memory.forget(cursor, user, now_ms)
    done.places["gaps"] += gaps.forget(cursor, user)
    spoken = cursor.fetch(_SPOKEN, {"user": user})
    for conversation, is_alone, kind in spoken:
        if is_alone and not kind:
            _whole(work, conversation)
        else:
            _part(work, conversation, known)
        done.changed.append(conversation)
    for (conversation,) in cursor.fetch(_OPENED, {"user": user}):
        _whole(work, conversation)
    for each in known:
        _identity(work, each)
    work.run("users", "DELETE FROM users WHERE id = :user", {"user": user})
    cursor.execute(_ADD, {"id": done.id, "pseudonym": pseudonym, "actor": actor, "reason": reason, "now": now_ms})
    audit.append(cursor, actor, "user erased", user, now_ms, pseudonym)
    done.places = Counter({place: count for place, count in done.places.items() if count})
    return done


def sweep(cursor: Cursor, conversations: Sequence[str]) -> None:
    """What a turn that ran has written between the erasure and its own end, of conversations that are gone."""
    for conversation in conversations:
        at: dict[str, Value] = {"conversation": conversation}
        if not cursor.fetch(_PLACE, at):
            for place in places.OF_CONVERSATION:
                cursor.execute(f"DELETE FROM {place} WHERE conversation_id = :conversation", at)


def _whole(work: _Work, conversation: str) -> None:
    """A conversation in which nobody else has spoken."""
    at: dict[str, Value] = {"conversation": conversation}
    for id_, kind in work.cursor.fetch(_ALL_MESSAGES, at):
        _bury(work, id_, is_from_outside=kind != "")
    _uncopy(work, work.cursor.fetch(_MIRRORS, at))
    for place, sql in _OF_CASES:
        work.run(place, sql, at)
    for place in places.OF_CONVERSATION:
        work.run(place, f"DELETE FROM {place} WHERE conversation_id = :conversation", at)
    channel, account, chat = work.cursor.fetch(_PLACE, at)[0]
    if len(chat) >= CHAT_CHARS:
        like = "%" + chat.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        work.run("bookmarks", _BOOKMARKS, {"channel": channel, "account": account, "like": like})
    work.run("speakers", "DELETE FROM speakers WHERE conversation_id = :conversation", at)
    work.run("conversations", "DELETE FROM conversations WHERE id = :conversation", at)


def _part(work: _Work, conversation: str, known: Sequence[Known]) -> None:
    """Their part of a conversation with others."""
    at: dict[str, Value] = {"conversation": conversation}
    cases = set()
    for each in known:
        for id_, kind, case, _, turn in work.cursor.fetch(_OWN_MESSAGES, {**at, "identity": each.id}):
            cases.add(case)
            _bury(work, id_, is_from_outside=kind != "")
            _drop_message(work, id_, turn)
    work.cursor.execute(_NEXT_SPEAKER, {**at, "user": work.user})
    for case in cases - {""}:
        _uncopy(work, work.cursor.fetch(_MIRRORS_OF_CASE, {"case": case}))
        for sql in _OF_SHARED_CASE:
            work.run(sql.split()[1 if sql.startswith("UPDATE") else 2], sql, {**at, "case": case})


def _bury(work: _Work, message: str, *, is_from_outside: bool) -> None:
    work.run("early_changes", "DELETE FROM early_changes WHERE message_id = :id", {"id": message})
    if is_from_outside:
        work.graves.add(work.cursor, message, work.now_ms)


def _drop_message(work: _Work, message: str, turn: str) -> None:
    reply = ids.derived_id("reply", message)
    work.run("steps", "DELETE FROM steps WHERE reply_id = :reply", {"reply": reply})
    work.run("tool_calls", "DELETE FROM tool_calls WHERE reply_id = :reply", {"reply": reply})
    if turn:
        work.run("turns", "UPDATE turns SET trace = '{}' WHERE id = :turn AND trace <> '{}'", {"turn": turn})
    for subject in (message, reply):
        work.run("incidents", "DELETE FROM incidents WHERE subject = :subject", {"subject": subject})
    work.run("messages", "DELETE FROM messages WHERE id = :id", {"id": message})


def _uncopy(work: _Work, rows: Sequence[tuple[str, str, str]]) -> None:
    """What operators' rooms showed of it."""
    for thread, card, _ in rows:
        found = [card]
        if thread:
            found += [row[0] for row in work.cursor.fetch(_ALL_MESSAGES, {"conversation": thread})]
            work.done.changed.append(thread)
        for id_ in found:
            work.run("room messages", _BLANK_COPY, {"id": id_})
            work.cursor.execute(_BLANK_SENT, {"id": id_})


def _identity(work: _Work, who: Known) -> None:
    mine: dict[str, Value] = {"identity": who.id, "pseudonym": work.done.pseudonym}
    for place, sql in _ACTIONS:
        work.run(place, sql, mine)
    work.done.places["spend"] += pay(work.cursor, who.id, work.done.pseudonym)
    held: dict[str, Value] = {"channel": who.channel, "account": who.account, "external": who.external_id}
    work.done.files += [row[0] for row in work.cursor.fetch(_BLOBS, held)]
    work.run("blobs", _DROP_BLOBS, held)
    for place in places.OF_IDENTITY:
        work.run(place, f"DELETE FROM {place} WHERE identity_id = :identity", {"identity": who.id})
    work.run("identities", "DELETE FROM identities WHERE id = :identity", {"identity": who.id})
    work.graves.add_identity(work.cursor, who.id, work.now_ms)
    work.run("users", "DELETE FROM users WHERE id = :identity", {"identity": who.id})


def pay(cursor: Cursor, identity: str, pseudonym: str) -> int:
    """What an identity cost stays under the pseudonym; what stands there for the same day is added up. Returns how many rows there were."""
    sums = _SPENT.split(", ")[3:]
    sql = f"""
        INSERT INTO spend ({_SPENT}) SELECT day, :pseudonym, model, {", ".join(sums)} FROM spend WHERE payer = :identity
        ON CONFLICT (day, payer, model) DO UPDATE SET {", ".join(f"{each} = spend.{each} + excluded.{each}" for each in sums)}"""
    cursor.execute(sql, {"pseudonym": pseudonym, "identity": identity})
    return cursor.execute("DELETE FROM spend WHERE payer = :identity", {"identity": identity})
