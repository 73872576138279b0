"""What binds a restored database: graves from after the backup, and the absence of whoever's key is gone.

Rows of such people are not there at all; what others' rows held of them is mended as an erasure leaves it. Who is in the database all the
same though they were erased since (an unsealed backup, or one of before the grave) is erased again. All of it works on a copy that nobody
uses yet, so it may be cut off and begun anew.
"""

import sqlite3
from pathlib import Path
from typing import Final

from bot.people import places
from bot.people.erasing import erase, pay
from bot.people.graves import Graves
from bot.ports import Cursor
from bot.store import people
from bot.store.blobs import path_of
from bot.store.folder import BLOBS
from bot.store.keyring import Keyring
from bot.store.writer import SqliteCursor

GRAVES_KEY: Final = "erasure.key"  # what ids of the erased are hashed with
GRAVES_SINCE: Final = 9  # the schema that has them
ERASED: Final = "erased:"
_GRAVES: Final = (
    "SELECT hash, erased_ms FROM tombstones UNION ALL SELECT substr(pseudonym, 8), max(at_ms) FROM erasures GROUP BY 1"
)
_ADD_GRAVE: Final = """
    INSERT INTO tombstones (hash, erased_ms) VALUES (:hash, :at)
    ON CONFLICT (hash) DO UPDATE SET erased_ms = excluded.erased_ms WHERE tombstones.erased_ms < excluded.erased_ms"""
_PEOPLE: Final = "SELECT id, user_id, created_ms FROM identities"
_LEFT: Final = "identity_id NOT IN (SELECT id FROM identities)"
_STILL: Final = """
    SELECT min(s.identity_id) FROM speakers s JOIN identities i ON i.id = s.identity_id WHERE s.conversation_id = conversations.id"""
_MENDS: Final = (
    f"UPDATE conversations SET identity_id = ({_STILL}) WHERE kind = '' AND {_LEFT} AND ({_STILL}) IS NOT NULL",
    "INSERT INTO users (id, name, created_ms) SELECT user_id, '', min(created_ms) FROM identities "
    "WHERE user_id NOT IN (SELECT id FROM users) GROUP BY user_id",
    "UPDATE outbox SET state = 'dead' WHERE text = '' AND state IN ('planned', 'sending', 'unknown') "
    "AND message_id IN (SELECT id FROM messages WHERE is_deleted = 1)",
    "UPDATE room_cards SET shown = 'forgotten' WHERE card IN (SELECT id FROM messages WHERE is_deleted = 1)",
    "UPDATE gaps SET state = 'open' WHERE state = 'drafted' AND id NOT IN (SELECT gap_id FROM gap_drafts)",
)
_ORPHANS: Final = f"SELECT id FROM conversations WHERE kind = '' AND {_LEFT}"
_NAMED: Final = (("actions", "identity_id"), ("consents", "asked"), ("consents", "decided_by"))


def graves_of(folder: Path) -> Graves | None:
    """None where nothing was ever hashed."""
    path = folder / GRAVES_KEY
    return Graves(path.read_bytes()) if path.is_file() else None


def settle(connection: sqlite3.Connection, data: Path, ring: Keyring) -> None:
    """Brings the keyring up to what `data` knows of erasures: one that was cut off between database and keyring is finished here."""
    graves = graves_of(data)
    if graves is not None:
        ring.bury(connection.execute(_GRAVES).fetchall(), graves.hash_of)


def bind(connection: sqlite3.Connection, folder: Path, ring: Keyring, *, is_lacking: bool, now_ms: int) -> int:
    """`connection`: the database that is to be used in `folder`, at the latest schema. `is_lacking`: rows were left out of it. Returns how
    many people were erased again."""
    graves = graves_of(folder) or Graves(b"")
    cursor = SqliteCursor(connection)
    connection.execute("BEGIN")
    for hash_, at_ms in ring.graves.items():
        cursor.execute(_ADD_GRAVE, {"hash": hash_, "at": at_ms})
    if is_lacking:
        _mend(cursor, graves)
    files: list[str] = []
    buried = _buried(cursor, ring, graves)
    for each in buried:
        files += _erase_again(cursor, each, graves, now_ms)
    connection.execute("COMMIT")
    if buried:
        connection.execute("VACUUM")
    for blob in files:
        path_of(folder / BLOBS, blob).unlink(missing_ok=True)
    return len(buried)


def _buried(cursor: Cursor, ring: Keyring, graves: Graves) -> list[str]:
    """Identities that were erased after they had begun. The grave of a user counts where the identity of that id has none of the same time, as
    it was before identities had graves: elsewhere whoever was linked to them at the time of the backup may not have been erased."""

    def dug_ms(kind: str, id_: str) -> int:
        return ring.graves.get(graves.hash_of(kind, id_), -1)

    found = []
    for identity, user, began_ms in cursor.fetch(_PEOPLE):
        of_user = dug_ms("user", user)
        if max(dug_ms("identity", identity), -1 if dug_ms("identity", user) == of_user else of_user) >= began_ms:
            found.append(str(identity))
    return found


def _erase_again(cursor: Cursor, identity: str, graves: Graves, now_ms: int) -> list[str]:
    """Alone: whom it was linked to then may not have been erased since. A hold of then was over when it was."""
    user = people.user_of(cursor, identity)
    people.release(cursor, user, "restore", now_ms)
    people.unlink(cursor, user, "restore", now_ms)
    return erase(cursor, identity, "restored from a backup", "restore", graves, now_ms).files


def _mend(cursor: Cursor, graves: Graves) -> None:
    for sql in _MENDS:
        cursor.execute(sql)
    for (conversation,) in cursor.fetch(_ORPHANS):
        at = {"conversation": conversation}
        for place in (*places.OF_CONVERSATION, "speakers"):
            cursor.execute(f"DELETE FROM {place} WHERE conversation_id = :conversation", at)
        cursor.execute("DELETE FROM conversations WHERE id = :conversation", at)
    known = {row[0] for row in cursor.fetch("SELECT id FROM identities")}
    for (payer,) in cursor.fetch("SELECT DISTINCT payer FROM spend"):
        if payer not in known and _is_id(payer):
            pay(cursor, payer, ERASED + graves.hash_of("user", payer))
    for table, column in _NAMED:
        for (name,) in cursor.fetch(f"SELECT DISTINCT {column} FROM {table}"):
            if name not in known and _is_id(name):
                values = {"name": name, "pseudonym": ERASED + graves.hash_of("user", name)}
                cursor.execute(f"UPDATE {table} SET {column} = :pseudonym WHERE {column} = :name", values)


def _is_id(text: str) -> bool:
    """Whether it may be an identity's, as `bot.ids` derives them."""
    return len(text) == 32 and not set(text) - set("0123456789abcdef")
