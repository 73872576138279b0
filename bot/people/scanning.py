"""Looking for what is left of a person: their strings, over all bytes of the data folder."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bot.model import value
from bot.people import places
from bot.people.receipt import Found, Scan
from bot.ports import Cursor
from bot.store import people
from bot.store.folder import INDEX, LOCK
from bot.text import pattern

CHUNK_BYTES: Final = 262_144
STRINGS_MOST: Final = 1_000
NAME_CHARS: Final = 4  # a shorter one stands in too many words
TEXT_CHARS: Final = 12
DOCUMENTS: Final = "the company's own documents"
KNOWLEDGE: Final = "knowledge/"  # where they lie
_MAIL: Final = pattern(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_NUMBER: Final = pattern(r"(?<!\w)\+?\d[\d ()/-]{6,20}\d(?!\w)")
_SAID: Final = """
    SELECT DISTINCT m.text FROM messages m JOIN identities i ON i.id = m.identity_id
    WHERE i.user_id = :user AND m.author = 'user' AND m.text <> '' ORDER BY length(m.text) DESC LIMIT :limit"""
_NAMES: Final = "SELECT name FROM users WHERE id = :user UNION SELECT name FROM blobs WHERE owner = :external AND channel = :channel"


@value
class Sought:
    """A string of the person, and what it is: the only thing that a receipt says of it."""

    kind: str
    text: str


def strings_of(cursor: Cursor, user: str) -> Sequence[Sought]:
    """What the person would be found by: their ids and names outside, what they wrote, and the addresses and numbers in it."""
    found: dict[str, str] = {}
    for who in people.identities_of(cursor, user):
        found.setdefault(who.external_id.removeprefix("id:"), "external id")
        named = {"user": user, "external": who.external_id, "channel": who.channel}
        for name in (who.name, *(row[0] for row in cursor.fetch(_NAMES, named))):
            found.setdefault(name, "name")
    for (text,) in cursor.fetch(_SAID, {"user": user, "limit": STRINGS_MOST}):
        for kind, part in (
            *(("address", each) for each in _MAIL.findall(text)),
            *(("number", each) for each in _NUMBER.findall(text)),
        ):
            found.setdefault(part, kind)
        found.setdefault(text.split("\n")[0][:400], "text")
    return [Sought(kind, text) for text, kind in found.items() if len(text) >= _least(kind)][:STRINGS_MOST]


def scan(data: Path, sought: Sequence[Sought]) -> list[tuple[Sought, str]]:
    """Which strings stand in which files. Reads every byte of the folder: for a thread of its own."""
    found = []
    for path in files_of(data):
        found += [(each, path.relative_to(data).as_posix()) for each in _in_file(path, sought)]
    return found


def files_of(data: Path) -> list[Path]:
    """The lock holds the number of a process and nothing else, and cannot be read while others hold it."""
    return sorted(path for path in data.rglob("*") if path.is_file() and path.name != LOCK)


def size_of(data: Path) -> int:
    """What has gone meanwhile counts for nothing."""
    size = 0
    for path in files_of(data):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def rows_with(cursor: Cursor, text: str) -> dict[str, int]:
    """The columns that hold it, with the number of their rows. After an erasure, these are other people's."""
    pattern = "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
    found = {}
    for table, columns in places.TEXTS.items():
        for column in columns:
            sql = f"SELECT count(*) FROM {table} WHERE {column} LIKE :like ESCAPE '!'"
            if count := cursor.fetch(sql, {"like": pattern})[0][0]:
                found[f"{table}.{column}"] = int(count)
    return found


def told(cursor: Cursor, hits: Iterable[tuple[Sought, str]], strings: int, bytes_read: int) -> Scan:
    """The scan's part of a receipt."""
    found = []
    for each, file in hits:
        rows = {DOCUMENTS: 1} if file.startswith((INDEX, KNOWLEDGE)) else rows_with(cursor, each.text)
        found.append(Found(each.kind, file, rows))
    return Scan(strings, bytes_read, found)


def _least(kind: str) -> int:
    return {"text": TEXT_CHARS, "number": 8, "address": 6}.get(kind, NAME_CHARS)


def _forms(text: str) -> set[bytes]:
    """As it is, and as JSON writes it, with other letters as they are or as numbers."""
    return {text.encode(), *(json.dumps(text, ensure_ascii=each)[1:-1].encode() for each in (True, False))}


def _in_file(path: Path, sought: Sequence[Sought]) -> list[Sought]:
    wanted = [(each, _forms(each.text)) for each in sought]
    overlap = max((len(form) for _, forms in wanted for form in forms), default=1)
    found: dict[str, Sought] = {}
    try:
        with path.open("rb") as file:
            tail = b""
            while chunk := file.read(CHUNK_BYTES):
                piece = tail + chunk
                for each, forms in wanted:
                    if each.text not in found and any(form in piece for form in forms):
                        found[each.text] = each
                tail = piece[-overlap:]
    except FileNotFoundError:  # it has gone meanwhile
        return []
    return list(found.values())
