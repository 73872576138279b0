"""Whose each row is, and so which keys it is sealed with in a backup.

What one person has is sealed with the key of that identity; what is made of several people's words, with all of their keys together; what
belongs to nobody, with the key of the house. Nothing is plain but the schema. A row that others need keeps its frame under the house's key,
and its words are sealed apart. A table that is not told of here cannot be added: a test compares the lists with the schema.
"""

import re
import sqlite3
from collections.abc import Mapping
from typing import Final

from bot import ids
from bot.model import value
from bot.ports import Value
from bot.store.keyring import HOUSE
from bot.store.people import CHAT_CHARS

Owners = tuple[str, ...]
NOBODY: Final[Owners] = (HOUSE,)


@value
class Place:
    """How the rows of a table lead to an identity: SQL of the row `t`, of which the first that is known counts. `stays`: the row of a
    conversation of several is the house's. `words`: what is left of these columns without the keys of their owners, where the row itself
    is kept: `always`, or where it is of several people."""

    refs: tuple[str, ...]
    join: str = ""
    stays: bool = False
    words: Mapping[str, Value] | None = None
    always: bool = False


_TALK: Final = ("t.conversation_id",)
_OWN: Final = ("t.identity_id",)
_SAID: Final = "'thread:' || t.conversation_id"
OWNED: Final[Mapping[str, Place]] = {
    "users": Place(("t.id",)),
    "identities": Place(("t.id",)),
    "conversations": Place(("t.id",), stays=True),
    "cases": Place(_TALK, words={"summary": ""}),
    "messages": Place(
        (_SAID, "'card:' || t.id", "t.identity_id", "'turn:' || t.turn_id", *_TALK),
        stays=True,
        words={
            "text": "",
            "name": "",
            "attachments": "",
            "citations": "",
            "buttons": "",
            "raw_hash": "",
            "is_deleted": 1,
        },
    ),
    "outbox": Place(
        (_SAID, "'card:' || t.message_id", "m.identity_id", "'turn:' || m.turn_id", *_TALK),
        join="LEFT JOIN messages m ON m.id = t.message_id",
        stays=True,
        words={"text": "", "error": ""},
    ),
    "turns": Place(_TALK, words={"trace": "{}"}),
    "tool_calls": Place(("'turn:' || t.turn_id", *_TALK)),
    "steps": Place(("'turn:' || t.turn_id", *_TALK)),
    "blobs": Place(("identity_of(t.channel, t.account, t.owner)",)),
    "incidents": Place(_TALK),
    "bookmarks": Place(("talk_in(t.channel, t.account, t.name || ' ' || t.value)",)),
    "contact_choices": Place(_OWN),
    "speakers": Place(_OWN),
    "actions": Place(
        (*_OWN, *_TALK),
        words={"arguments": "", "facts": "", "result": "", "detail": "", "awaits_telling": 0},
        always=True,
    ),
    "consents": Place(
        ("a.identity_id", "a.conversation_id"),
        join="LEFT JOIN actions a ON a.id = t.action_id",
        words={"text": "", "why": ""},
        always=True,
    ),
    "queue": Place(_TALK),
    "handoffs": Place(_TALK, words={"reason": "", "brief": "", "contact": ""}),
    "handoff_log": Place(_TALK),
    "timers": Place(("h.conversation_id",), join="LEFT JOIN handoffs h ON h.id = t.handoff_id", stays=True),
    "blocks": Place(_TALK),
    "room_cards": Place(_TALK, stays=True),
    "tags": Place(("c.conversation_id",), join="LEFT JOIN cases c ON c.id = t.case_id", stays=True),
    "watchers": Place(_TALK, stays=True),
    "suggestions": Place(_TALK),
    "episodes": Place(_OWN),
    "facts": Place(_OWN),
    "memory_lists": Place(_OWN),
    "link_codes": Place(_OWN),
    "holds": Place(_OWN),
    "answer_sources": Place(_TALK, stays=True),
    "gap_asks": Place(_OWN),
    "gap_drafts": Place(("'gap:' || t.gap_id",)),
    "notices": Place(_TALK, stays=True),
    "early_changes": Place(
        ("m.identity_id", "m.conversation_id"), join="LEFT JOIN messages m ON m.id = t.message_id", stays=True
    ),
}
# What is no person's, or stays when a person goes: sealed with the key of the house.
OF_THE_HOUSE: Final = frozenset(
    {
        *("meta", "audit", "spend", "commands_done", "tombstones", "erasures"),
        *("operators", "operator_links", "operator_codes", "operator_sessions", "sign_in_failures"),
        *("document_versions", "cited_passages", "gaps"),
    }
)
_SPEAKERS: Final = """
    SELECT c.id, coalesce(s.identity_id, c.identity_id) FROM conversations c LEFT JOIN speakers s ON s.conversation_id = c.id
    WHERE c.kind = '' ORDER BY 1, 2"""
_CARDS: Final = "SELECT thread, card, conversation_id FROM room_cards"
_CHATS: Final = f"SELECT channel, account, chat, id FROM conversations WHERE kind = '' AND length(chat) >= {CHAT_CHARS}"
_TURNS: Final = """
    SELECT DISTINCT turn_id, identity_id FROM messages WHERE conversation_id = ? AND turn_id <> '' AND identity_id <> '' ORDER BY 1, 2"""
_ASKED: Final = """
    SELECT gap_id, identity_id FROM gap_asks UNION
    SELECT a.gap_id, s.identity_id FROM gap_asks a JOIN speakers s ON s.conversation_id = a.conversation_id"""
_BETWEEN: Final = re.compile(r"[\s\"',;\[\]{}]+")


# --- whose it is -----------------------------------------------------------------------------------------------------


class Ownership:
    """Who the rows of one database belong to, by what leads to a person in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.people = [row[0] for row in connection.execute("SELECT id FROM identities ORDER BY rowid")]
        self._known: dict[str, Owners] = {each: (each,) for each in self.people}
        talks: dict[str, list[str]] = {}
        for talk, identity in connection.execute(_SPEAKERS):
            talks.setdefault(talk, []).append(identity)
        for talk, speakers in talks.items():
            self._known[talk] = tuple(each for each in speakers if each in self._known) or NOBODY
        self._groups = {talk for talk in talks if len(self._known[talk]) > 1}
        for talk in self._groups:
            self._add_turns(connection, talk)
        for thread, card, talk in connection.execute(_CARDS):
            for ref in (f"thread:{thread}", f"card:{card}"):
                before = self._known.get(ref, ())
                self._known[ref] = tuple(sorted({*before, *self._known.get(talk, NOBODY)} - {HOUSE})) or NOBODY
        if _has_gaps(connection):
            for gap, identity in connection.execute(_ASKED):
                self._add(f"gap:{gap}", identity)
        self._chats = {(row[0], row[1], row[2]): str(row[3]) for row in connection.execute(_CHATS)}
        connection.create_function("identity_of", 3, ids.identity_id, deterministic=True)
        connection.create_function("talk_in", 3, self._talk_in)

    def of(self, place: Place, refs: tuple[str | None, ...]) -> tuple[Owners, bool]:
        """The owners of a row, and whether its frame is kept for others."""
        for ref in refs:
            if ref and ref in self._known:
                if place.stays and ref in self._groups:
                    return NOBODY, False
                owners = self._known[ref]
                is_copy = ref.startswith(("thread:", "card:"))
                return owners, place.words is not None and (place.always or is_copy or ref in self._groups)
        return NOBODY, False

    def _add_turns(self, connection: sqlite3.Connection, talk: str) -> None:
        for turn, identity in connection.execute(_TURNS, [talk]):
            self._add(f"turn:{turn}", identity)

    def _add(self, ref: str, identity: str) -> None:
        if identity in self._known:
            self._known[ref] = tuple(sorted({*self._known.get(ref, ()), identity}))

    def _talk_in(self, channel: str, account: str, text: str) -> str:
        return next(
            (found for part in _BETWEEN.split(text) if (found := self._chats.get((channel, account, part)))), ""
        )


def _has_gaps(connection: sqlite3.Connection) -> bool:
    """A backup before an upgrade is of a schema without them."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'gap_asks'").fetchone())
