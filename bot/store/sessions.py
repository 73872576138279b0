"""Sign-in in the database: passwords, second factors, sessions; the SQL, and units of work.

What was checked outside a unit is compared with what the unit finds, so that a password that was changed meanwhile lets nobody in."""

from typing import Final

from bot.model import value
from bot.operators.codes import INVITE
from bot.operators.operator import Operator
from bot.ports import Cursor, Row, Value
from bot.store import audit
from bot.store import operators as stored

IDLE_MS: Final = 30 * 60_000
MOST_MS: Final = 12 * 60 * 60_000
ELEVATED_MS: Final = 10 * 60_000  # how long a proof counts for what needs one
KEPT_MS: Final = 7 * 24 * 60 * 60_000  # rows of sessions that are over

CREDENTIALS: Final = """
    SELECT id, password, totp, totp_new, totp_step FROM operators WHERE name = :name AND is_disabled = 0 AND is_absent = 0"""
_CREDENTIALS_OF: Final = """
    SELECT id, password, totp, totp_new, totp_step FROM operators WHERE id = :id AND is_disabled = 0 AND is_absent = 0"""

INVITED: Final = """
    SELECT o.id, o.password, o.totp, o.totp_new, o.totp_step FROM operator_codes c JOIN operators o ON o.id = c.operator_id
    WHERE c.hash = :hash AND c.purpose = :purpose AND c.used_ms IS NULL AND c.expires_ms > :now
      AND o.is_disabled = 0 AND o.is_absent = 0"""

_USE_STEP: Final = "UPDATE operators SET totp_step = :step WHERE id = :id AND totp_step < :step"
_SET_HASH: Final = "UPDATE operators SET password = :password WHERE id = :id"
_SET_SEED: Final = "UPDATE operators SET totp_new = :seed WHERE id = :id"
_CONFIRM: Final = (
    "UPDATE operators SET totp = totp_new, totp_new = '', totp_step = :step WHERE id = :id AND totp_new = :seed"
)

_ADD: Final = """
    INSERT INTO operator_sessions (hash, operator_id, csrf, created_ms, seen_ms, expires_ms)
    VALUES (:hash, :operator, :csrf, :now, :now, :until)"""
_OPEN: Final = """
    s.ended_ms IS NULL AND s.expires_ms > :now AND s.seen_ms > :now - :idle AND o.is_disabled = 0 AND o.is_absent = 0"""
SESSION: Final = f"""
    SELECT {stored.COLUMNS}, s.csrf, s.seen_ms, s.expires_ms, s.elevated_ms
    FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE s.hash = :hash AND {_OPEN}"""
SESSIONS: Final = f"""
    SELECT s.created_ms, s.seen_ms, s.expires_ms
    FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE o.name = :name AND {_OPEN} ORDER BY s.created_ms, s.hash"""
_SEEN: Final = "UPDATE operator_sessions SET seen_ms = :now WHERE hash = :hash AND ended_ms IS NULL AND seen_ms < :now"
_ELEVATE: Final = (
    "UPDATE operator_sessions SET elevated_ms = :now WHERE hash = :hash AND operator_id = :id AND ended_ms IS NULL"
)
_END: Final = "UPDATE operator_sessions SET ended_ms = :now WHERE hash = :hash AND ended_ms IS NULL"
_OWNER: Final = "SELECT operator_id FROM operator_sessions WHERE hash = :hash"
_PRUNE: Final = "DELETE FROM operator_sessions WHERE expires_ms < :before"


@value
class Credentials:
    """What an enabled operator signs in with. `totp` and `totp_new` are seeds."""

    id: str = ""
    password: str = ""
    totp: str = ""
    totp_new: str = ""
    totp_step: int = 0


@value
class Signed:
    """Who holds a session. `is_elevated`: they proved anew who they are, a short while ago."""

    operator: Operator
    csrf: str
    seen_ms: int
    expires_ms: int
    is_elevated: bool


def credentials_of(rows: list[Row]) -> Credentials:
    return Credentials(*rows[0]) if rows else Credentials()


def open_at(now_ms: int) -> dict[str, Value]:
    """The parameters of SESSION and SESSIONS beside `hash` and `name`."""
    return {"now": now_ms, "idle": IDLE_MS}


def signed_of(row: Row, now_ms: int) -> Signed:
    csrf, seen_ms, expires_ms, elevated_ms = row[11:]
    return Signed(stored.operator_of(row[:11]), csrf, seen_ms, expires_ms, 0 <= now_ms - elevated_ms < ELEVATED_MS)


# --- units of work ---------------------------------------------------------------------------------------------------


def enter(cursor: Cursor, checked: Credentials, step: int, hash_: str, csrf: str, now_ms: int) -> bool:
    """Opens a session, unless what was checked is no longer so, or the code's time step was used."""
    if not _use_step(cursor, checked, step):
        return False
    cursor.execute(_PRUNE, {"before": now_ms - KEPT_MS})
    until = now_ms + MOST_MS
    cursor.execute(_ADD, {"hash": hash_, "operator": checked.id, "csrf": csrf, "now": now_ms, "until": until})
    audit.append(cursor, checked.id, "sign in", checked.id, now_ms)
    return True


def elevate(cursor: Cursor, checked: Credentials, step: int, hash_: str, now_ms: int) -> bool:
    """Only the session of the very operator who was checked."""
    if not _use_step(cursor, checked, step):
        return False
    if not cursor.execute(_ELEVATE, {"hash": hash_, "id": checked.id, "now": now_ms}):
        return False
    audit.append(cursor, checked.id, "sign in again", checked.id, now_ms)
    return True


def note_refused(cursor: Cursor, operator: str, now_ms: int) -> None:
    """Whether there is such an operator or not, so that both take as long."""
    audit.append(cursor, operator or "unknown", "sign in refused", operator, now_ms)


def see(cursor: Cursor, hash_: str, now_ms: int) -> None:
    cursor.execute(_SEEN, {"hash": hash_, "now": now_ms})


def end(cursor: Cursor, hash_: str, now_ms: int) -> None:
    if cursor.execute(_END, {"hash": hash_, "now": now_ms}):
        operator = cursor.fetch(_OWNER, {"hash": hash_})[0][0]
        audit.append(cursor, operator, "sign out", operator, now_ms)


def end_all(cursor: Cursor, id_: str, by: str, now_ms: int) -> int:
    count = stored.end_sessions(cursor, id_, now_ms)
    if count:
        audit.append(cursor, by, "sessions ended", id_, now_ms)
    return count


def set_password(cursor: Cursor, id_: str, password: str, by: str, now_ms: int) -> None:
    cursor.execute(_SET_HASH, {"id": id_, "password": password})
    stored.end_sessions(cursor, id_, now_ms)
    audit.append(cursor, by, "password set", id_, now_ms)


def set_seed(cursor: Cursor, id_: str, seed: str) -> None:
    """Waits for its first code; until then the second factor is the one of before."""
    cursor.execute(_SET_SEED, {"id": id_, "seed": seed})


def confirm(cursor: Cursor, id_: str, seed: str, step: int, by: str, now_ms: int) -> bool:
    """The seed that waited is the second factor from now on. False where another waits now."""
    if not cursor.execute(_CONFIRM, {"id": id_, "seed": seed, "step": step}):
        return False
    stored.end_sessions(cursor, id_, now_ms)
    audit.append(cursor, by, "second factor set", id_, now_ms)
    return True


def begin_invited(cursor: Cursor, hash_: str, password: str, seed: str, now_ms: int) -> Operator | None:
    """Password and waiting second factor of the one who was invited; the code is used up only by `finish_invited`."""
    found = stored.operator_of_code(cursor, INVITE, hash_, now_ms)
    if found is not None:
        set_password(cursor, found.id, password, found.id, now_ms)
        set_seed(cursor, found.id, seed)
    return found


def finish_invited(cursor: Cursor, hash_: str, seed: str, step: int, now_ms: int) -> Operator | None:
    """None, and nothing changed, for a code that cannot be used and for a seed that no longer waits."""
    found = stored.operator_of_code(cursor, INVITE, hash_, now_ms)
    if found is None or not confirm(cursor, found.id, seed, step, found.id, now_ms):
        return None
    return stored.use_code(cursor, INVITE, hash_, now_ms)


def _use_step(cursor: Cursor, checked: Credentials, step: int) -> bool:
    now = credentials_of(cursor.fetch(_CREDENTIALS_OF, {"id": checked.id}))
    if (now.password, now.totp) != (checked.password, checked.totp):
        return False
    return bool(cursor.execute(_USE_STEP, {"id": checked.id, "step": step}))
