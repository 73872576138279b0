"""Operators in the database: the SQL, and units of work that read and change them.

A unit that shuts somebody out ends their sessions in the same unit, so that no moment lies between.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bot.operators.operator import Listed, Operator, Presence, column, operator_id, words
from bot.ports import Cursor, Row, Value
from bot.store import audit

COLUMNS: Final = """o.id, o.name, o.role, o.teams, o.skills, o.languages, o.capacity, o.presence, o.is_disabled, o.is_absent,
    o.seen_ms"""

ALL: Final = f"SELECT {COLUMNS} FROM operators o ORDER BY o.name"
BY_ID: Final = f"SELECT {COLUMNS} FROM operators o WHERE o.id = :id"
BY_NAME: Final = f"SELECT {COLUMNS} FROM operators o WHERE o.name = :name"
BY_IDENTITY: Final = f"""
    SELECT {COLUMNS} FROM operator_links l JOIN operators o ON o.id = l.operator_id
    WHERE l.channel = :channel AND l.account = :account AND l.external_id = :external AND o.is_disabled = 0 AND o.is_absent = 0"""

LINKS: Final = (
    "SELECT operator_id, channel, account, external_id, name FROM operator_links ORDER BY channel, account, external_id"
)

_ADD: Final = """
    INSERT INTO operators (id, name, role, teams, skills, languages, capacity, is_from_config, created_ms)
    VALUES (:id, :name, :role, :teams, :skills, :languages, :capacity, :from_config, :now) ON CONFLICT DO NOTHING"""

_DESCRIBE: Final = """
    UPDATE operators SET role = :role, teams = :teams, skills = :skills, languages = :languages, capacity = :capacity, is_absent = 0
    WHERE id = :id AND (role <> :role OR teams <> :teams OR skills <> :skills OR languages <> :languages OR capacity <> :capacity
        OR is_absent <> 0)"""

_PRESENT: Final = "SELECT id, name FROM operators WHERE is_from_config = 1 AND is_absent = 0 ORDER BY name"
_LEAVE: Final = "UPDATE operators SET is_absent = 1, presence = 'offline' WHERE id = :id"

_SET_ROLE: Final = "UPDATE operators SET role = :role WHERE id = :id AND role <> :role"
_DISABLE: Final = "UPDATE operators SET is_disabled = 1, presence = 'offline' WHERE id = :id AND is_disabled = 0"
_ENABLE: Final = "UPDATE operators SET is_disabled = 0 WHERE id = :id AND is_disabled = 1"
_SET_PRESENCE: Final = """
    UPDATE operators SET presence = :presence, seen_ms = :now WHERE id = :id AND is_disabled = 0 AND is_absent = 0"""

_LINK: Final = """
    INSERT INTO operator_links (channel, account, external_id, operator_id, name, linked_ms)
    VALUES (:channel, :account, :external, :operator, :name, :now)
    ON CONFLICT (channel, account, external_id)
    DO UPDATE SET operator_id = excluded.operator_id, name = excluded.name, linked_ms = excluded.linked_ms"""
_UNLINK: Final = "DELETE FROM operator_links WHERE operator_id = :operator AND channel = :channel"

_DROP_CODES: Final = (
    "DELETE FROM operator_codes WHERE operator_id = :operator AND (purpose = :purpose OR :purpose = '')"
)
_ADD_CODE: Final = (
    "INSERT INTO operator_codes (hash, operator_id, purpose, expires_ms) VALUES (:hash, :operator, :purpose, :until)"
)
CODE: Final = """
    SELECT operator_id FROM operator_codes WHERE hash = :hash AND purpose = :purpose AND used_ms IS NULL AND expires_ms > :now"""
_USE_CODE: Final = """
    UPDATE operator_codes SET used_ms = :now
    WHERE hash = :hash AND purpose = :purpose AND used_ms IS NULL AND expires_ms > :now"""

_END_SESSIONS: Final = "UPDATE operator_sessions SET ended_ms = :now WHERE operator_id = :operator AND ended_ms IS NULL"


def operator_of(row: Row) -> Operator:
    return Operator(
        id=row[0],
        name=row[1],
        role=row[2],
        teams=words(row[3]),
        skills=words(row[4]),
        languages=words(row[5]),
        capacity=row[6],
        presence=Presence(row[7]),
        is_disabled=bool(row[8] or row[9]),
        seen_ms=row[10],
    )


# --- reading ---------------------------------------------------------------------------------------------------------


def operators(cursor: Cursor) -> list[Operator]:
    """Everybody, the disabled too, by name."""
    return [operator_of(row) for row in cursor.fetch(ALL)]


def operator_by_id(cursor: Cursor, id_: str) -> Operator | None:
    """Also one who is disabled."""
    return _first(cursor.fetch(BY_ID, {"id": id_}))


def operator_of_identity(cursor: Cursor, channel: str, account: str, external_id: str) -> Operator | None:
    """Who that person on the platform is; nobody, where the operator is disabled. `external_id` is the platform's id that never
    changes: names say nothing."""
    return _first(cursor.fetch(BY_IDENTITY, {"channel": channel, "account": account, "external": external_id}))


def _first(rows: Sequence[Row]) -> Operator | None:
    return operator_of(rows[0]) if rows else None


# --- changing --------------------------------------------------------------------------------------------------------


def add(cursor: Cursor, who: Listed, by: str, now_ms: int, *, is_from_config: bool = False) -> Operator | None:
    """None where there is one of that name already."""
    values = {**_described(who), "name": who.name, "from_config": int(is_from_config), "now": now_ms}
    if not cursor.execute(_ADD, values):
        return None
    audit.append(cursor, by, "operator added", operator_id(who.name), now_ms, who.role)
    return operator_by_id(cursor, operator_id(who.name))


def sync(cursor: Cursor, people: Sequence[Listed], now_ms: int) -> None:
    """Makes the operators those of the config: what it says of a person holds, and whoever it alone knew and names no longer is out.
    Somebody whom an admin has disabled stays so."""
    for who in people:
        if add(cursor, who, CONFIG, now_ms, is_from_config=True) is None:
            _describe(cursor, who, now_ms)
    named = {who.name for who in people}
    for id_, name in cursor.fetch(_PRESENT):
        if name not in named:
            cursor.execute(_LEAVE, {"id": id_})
            _shut_out(cursor, id_, now_ms)
            audit.append(cursor, CONFIG, "operator disabled", id_, now_ms)


CONFIG: Final = "config"  # the actor of what follows from it


def set_role(cursor: Cursor, id_: str, role: str, by: str, now_ms: int) -> bool:
    if not cursor.execute(_SET_ROLE, {"id": id_, "role": role}):
        return False
    end_sessions(cursor, id_, now_ms)
    audit.append(cursor, by, "operator role", id_, now_ms, role)
    return True


def disable(cursor: Cursor, id_: str, by: str, now_ms: int) -> bool:
    """Sessions end and codes are void; the links stay, for the day the account is enabled again, and nobody is found by them until
    then."""
    if not cursor.execute(_DISABLE, {"id": id_}):
        return False
    _shut_out(cursor, id_, now_ms)
    audit.append(cursor, by, "operator disabled", id_, now_ms)
    return True


def enable(cursor: Cursor, id_: str, by: str, now_ms: int) -> bool:
    if not cursor.execute(_ENABLE, {"id": id_}):
        return False
    audit.append(cursor, by, "operator enabled", id_, now_ms)
    return True


def set_presence(cursor: Cursor, id_: str, presence: Presence, now_ms: int) -> bool:
    """False for one who is disabled, or not there."""
    return bool(cursor.execute(_SET_PRESENCE, {"id": id_, "presence": presence.value, "now": now_ms}))


def end_sessions(cursor: Cursor, id_: str, now_ms: int) -> int:
    """How many were open."""
    return cursor.execute(_END_SESSIONS, {"operator": id_, "now": now_ms})


def _shut_out(cursor: Cursor, id_: str, now_ms: int) -> None:
    end_sessions(cursor, id_, now_ms)
    cursor.execute(_DROP_CODES, {"operator": id_, "purpose": ""})


def _describe(cursor: Cursor, who: Listed, now_ms: int) -> None:
    before = operator_by_id(cursor, operator_id(who.name))
    if not cursor.execute(_DESCRIBE, _described(who)):
        return
    if before is None or before.role != who.role:
        end_sessions(cursor, operator_id(who.name), now_ms)
    audit.append(cursor, CONFIG, "operator described", operator_id(who.name), now_ms, who.role)


def _described(who: Listed) -> Mapping[str, Value]:
    lists = {"teams": column(who.teams), "skills": column(who.skills), "languages": column(who.languages)}
    return {"id": operator_id(who.name), "role": who.role, "capacity": who.capacity, **lists}


# --- codes and links -------------------------------------------------------------------------------------------------


def add_code(cursor: Cursor, id_: str, purpose: str, hash_: str, by: str, now_ms: int, until_ms: int) -> None:
    """A new code; an earlier one for the same purpose is void."""
    cursor.execute(_DROP_CODES, {"operator": id_, "purpose": purpose})
    cursor.execute(_ADD_CODE, {"hash": hash_, "operator": id_, "purpose": purpose, "until": until_ms})
    audit.append(cursor, by, f"operator {purpose} code", id_, now_ms)


def operator_of_code(cursor: Cursor, purpose: str, hash_: str, now_ms: int) -> Operator | None:
    """Whose code it is, if it can still be used."""
    rows = cursor.fetch(CODE, {"hash": hash_, "purpose": purpose, "now": now_ms})
    found = operator_by_id(cursor, rows[0][0]) if rows else None
    return found if found is not None and not found.is_disabled else None


def use_code(cursor: Cursor, purpose: str, hash_: str, now_ms: int) -> Operator | None:
    """The same, and it cannot be used again: of several who try at once, one is told."""
    found = operator_of_code(cursor, purpose, hash_, now_ms)
    if found is None or not cursor.execute(_USE_CODE, {"hash": hash_, "purpose": purpose, "now": now_ms}):
        return None
    return found


def link(
    cursor: Cursor, operator: str, channel: str, account: str, external_id: str, name: str, identity: str, now_ms: int
) -> None:
    """That person on the platform is this operator, and no other. `name` is for people to read."""
    where: dict[str, Value] = {"channel": channel, "account": account, "external": external_id}
    cursor.execute(_LINK, {**where, "operator": operator, "name": name, "now": now_ms})
    audit.append(cursor, operator, "operator linked", identity, now_ms, channel)


def unlink(cursor: Cursor, operator: str, channel: str, by: str, now_ms: int) -> int:
    """How many persons on that channel are no operator any more."""
    count = cursor.execute(_UNLINK, {"operator": operator, "channel": channel})
    if count:
        audit.append(cursor, by, "operator unlinked", operator, now_ms, channel)
    return count
