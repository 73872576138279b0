"""The audit: who did what, in a chain in which every entry vouches for all before it.

Entries are only ever added. They hold pseudonyms (ids of operators and identities, `local:ACCOUNT`) and no names or texts of people,
so that nothing has to be erased from them. An entry that is changed, removed, moved or put in is found by `verify`. Whoever can write
the database could make the whole chain anew: against that, note the last number and hash elsewhere and have them looked for.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from bot import ids
from bot.errors import Refused
from bot.model import value
from bot.ports import Cursor, Row, Value
from bot.store import records

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]

LAST: Final = "SELECT number, hash FROM audit WHERE number = (SELECT max(number) FROM audit)"

ADD: Final = """
    INSERT INTO audit (id, actor, action, subject, at_ms, detail, hash, number)
    VALUES (:id, :actor, :action, :subject, :now, :detail, :hash, :number)"""

ROWS: Final = """
    SELECT number, id, actor, action, subject, detail, at_ms, hash FROM audit
    WHERE number > :after ORDER BY number LIMIT :limit"""

NEWEST: Final = """
    SELECT a.number, a.at_ms, coalesce(o.name, a.actor), a.action, a.subject, a.detail
    FROM audit a LEFT JOIN operators o ON o.id = a.actor
    WHERE (:action = '' OR a.action = :action) AND (:subject = '' OR a.subject = :subject)
    ORDER BY a.at_ms DESC, a.number DESC LIMIT :limit"""
ENTRY: Final = ("number", "at_ms", "actor", "action", "subject", "detail")

HASH_OF: Final = "SELECT hash FROM audit WHERE number = :number"

UNCHAINED: Final = "SELECT count(*) FROM audit WHERE number IS NULL"

HEAD: Final = "audit head"  # in meta: where the chain ends, so that its last entries cannot be dropped unseen
PAGE: Final = 5_000


@value
class Link:
    """An entry's number and hash: where the chain stands."""

    number: int = 0
    hash: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


START: Final = Link()


@value
class Verdict:
    """`entries` hang together up to `last`. `broken`: the first number that does not hold, None when all do. `unchained`: entries from
    before there was a chain."""

    entries: int
    last: Link
    broken: int | None
    unchained: int


def append(
    cursor: Cursor, actor: str, action: str, subject: str, now_ms: int, detail: str = "", *, id_: str = ""
) -> None:
    """Adds the next entry. `id_` is for those who look for theirs again; without one it is derived."""
    rows = cursor.fetch(LAST)
    before = Link(*rows[0]) if rows else START
    number = before.number + 1
    id_ = id_ or ids.derived_id("audit", str(before))
    hash_ = _hash(before, (number, id_, actor, action, subject, detail, now_ms))
    entry: dict[str, Value] = {"id": id_, "actor": actor, "action": action, "subject": subject, "detail": detail}
    cursor.execute(ADD, {**entry, "now": now_ms, "hash": hash_, "number": number})
    cursor.execute(records.SET_META, {"key": HEAD, "value": str(Link(number, hash_))})


def verify(rows: Iterable[Row], after: Link = START) -> int | None:
    """The first number that does not follow from what is before it. `rows` are those of ROWS, in order, from the one behind `after`."""
    for *entry, hash_ in rows:
        if entry[0] != after.number + 1 or hash_ != _hash(after, entry):
            return after.number + 1
        after = Link(entry[0], hash_)
    return None


async def examine(read: Read, noted: str = "") -> Verdict:
    """The whole chain, while others may add to it. `noted`: a NUMBER:HASH from an earlier time, which has to be in it still. Raises
    Refused for one that reads otherwise."""
    wanted = [await _head(read), _noted(noted)]
    last, broken = START, None
    while broken is None and (rows := await read(ROWS, {"after": last.number, "limit": PAGE})):
        broken = verify(rows, last)
        sound = rows if broken is None else rows[: broken - last.number - 1]
        last = Link(sound[-1][0], sound[-1][7]) if sound else last
    if broken is None:
        broken = await _missed(read, wanted, last)
    unchained = (await read(UNCHAINED, {}))[0][0]
    return Verdict(entries=last.number, last=last, broken=broken, unchained=int(unchained))


async def report(read: Read, noted: str = "") -> dict[str, Any]:
    """`examine` for a command, as JSON."""
    found = await examine(read, noted)
    return {
        "entries": found.entries,
        "last": str(found.last),
        "broken": found.broken,
        "unchained": found.unchained,
    }


async def _missed(read: Read, wanted: Iterable[Link], last: Link) -> int | None:
    """A sound chain that is not the one it was: an entry that was known is another or gone, or some stand behind the last."""
    for link in wanted:
        if link.number and await read(HASH_OF, {"number": link.number}) != [(link.hash,)]:
            return min(link.number, last.number + 1)
    head = await _head(read)
    return head.number + 1 if last.number > head.number else None


async def _head(read: Read) -> Link:
    rows = await read(records.GET_META, {"key": HEAD})
    return _link(rows[0][0]) or START if rows else START


def _noted(text: str) -> Link:
    found = _link(text) if text else START
    if found is None:
        raise Refused("bad_note", "What was noted reads NUMBER:HASH, as an earlier verification printed it.")
    return found


def _link(text: str) -> Link | None:
    number, _, hash_ = text.partition(":")
    return Link(int(number), hash_) if re.fullmatch("[0-9]{1,18}", number) else None


def _hash(before: Link, entry: Iterable[object]) -> str:
    """Over canonical JSON: ASCII, no spaces, one order."""
    return hashlib.sha256(json.dumps([before.hash, *entry], separators=(",", ":")).encode()).hexdigest()
