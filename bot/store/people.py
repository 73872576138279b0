"""The SQL of users as people: identities and their user, codes that link them, legal holds.

A user is what several identities share by `identities.user_id`; an identity that is linked to nothing is a user of its own, under its own
id. All other rows point at identities, so that linking and unlinking move nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bot.errors import FrontdeskError
from bot.model import value
from bot.ports import Cursor, Row, Value
from bot.store import audit

CHAT_CHARS: Final = 6  # a shorter name of a chat may be part of anything
_COLUMNS: Final = "i.id, i.channel, i.account, i.external_id, i.user_id, i.name, i.is_verified, i.created_ms"
IDENTITIES_OF_USER: Final = f"SELECT {_COLUMNS} FROM identities i WHERE i.user_id = :user ORDER BY i.created_ms, i.id"
CONVERSATION_OF_MESSAGE: Final = "SELECT conversation_id FROM messages WHERE id = :id"
IDENTITY_BY_ID: Final = f"SELECT {_COLUMNS} FROM identities i WHERE i.id = :id"
USERS: Final = """
    SELECT i.user_id, max(i.name), count(*), min(i.created_ms),
           (SELECT count(*) FROM holds h JOIN identities o ON o.id = h.identity_id WHERE o.user_id = i.user_id),
           (SELECT coalesce(max(m.created_ms), 0) FROM messages m JOIN identities o ON o.id = m.identity_id WHERE o.user_id = i.user_id)
    FROM identities i WHERE i.external_id <> 'house' GROUP BY i.user_id ORDER BY 6 DESC, 4 DESC, 1 LIMIT :limit"""
_USER_OF: Final = "SELECT user_id FROM identities WHERE id = :id"
_WANTED: Final = """
    SELECT DISTINCT user_id FROM identities
    WHERE id = :wanted OR user_id = :wanted
       OR (external_id = :external AND channel = :channel AND (account = :account OR :account = '') AND external_id <> '')"""
_LINK: Final = "UPDATE identities SET user_id = :user WHERE user_id = :other"
_ADD_USER: Final = "INSERT INTO users (id, name, created_ms) VALUES (:user, '', :now) ON CONFLICT (id) DO NOTHING"
_PART: Final = "UPDATE identities SET user_id = id WHERE id = :id"

_ADD_CODE: Final = """
    INSERT INTO link_codes (hash, identity_id, message_id, expires_ms) VALUES (:hash, :identity, :message, :expires)"""
_CODE: Final = "SELECT identity_id, message_id, expires_ms FROM link_codes WHERE hash = :hash"
_CODES_OF: Final = "SELECT message_id FROM link_codes WHERE identity_id = :identity"
_CODES_OVER: Final = "SELECT message_id FROM link_codes WHERE expires_ms <= :now"
_DROP_CODES_OF: Final = "DELETE FROM link_codes WHERE identity_id = :identity"
_DROP_CODES_OVER: Final = "DELETE FROM link_codes WHERE expires_ms <= :now"
_COVER: Final = """
    UPDATE messages SET text = :text, changed_ms = CASE WHEN changed_ms < :now THEN :now ELSE changed_ms + 1 END WHERE id = :id"""

_HOLD: Final = """
    INSERT INTO holds (identity_id, reason, actor, since_ms) VALUES (:identity, :reason, :actor, :now)
    ON CONFLICT (identity_id) DO UPDATE SET reason = excluded.reason, actor = excluded.actor"""
HOLDS_OF_USER: Final = """
    SELECT h.identity_id, h.reason, h.actor, h.since_ms, h.asked_ms, h.put_away
    FROM holds h JOIN identities i ON i.id = h.identity_id WHERE i.user_id = :user ORDER BY h.since_ms, h.identity_id"""
IS_SEALED: Final = """
    SELECT 1 FROM holds h JOIN identities i ON i.id = h.identity_id WHERE i.user_id = :user AND h.asked_ms IS NOT NULL LIMIT 1"""
_RELEASE: Final = "DELETE FROM holds WHERE identity_id IN (SELECT id FROM identities WHERE user_id = :user)"
CODE_IS_OVER: Final = "The code that stood here is no longer valid."


class NotDone(FrontdeskError):
    """What an operator wants of a user cannot be done. The text says why, and what to do."""


@value
class Known:
    """An identity as it is stored."""

    id: str
    channel: str
    account: str
    external_id: str
    user: str
    name: str
    is_verified: bool
    created_ms: int

    @property
    def shown(self) -> str:
        """For operators: channel:external id, as commands take it."""
        place = f"{self.channel}.{self.account}" if self.account else self.channel
        return f"{place}:{self.external_id}"


@value
class Hold:
    """That something must be kept. `asked_ms`: when the person asked to be forgotten all the same, 0 for never."""

    identity: str
    reason: str
    actor: str
    since_ms: int
    asked_ms: int = 0
    put_away: str = ""


def known_of(row: Row) -> Known:
    return Known(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), row[7])


def hold_of(row: Row) -> Hold:
    return Hold(row[0], row[1], row[2], row[3], row[4] or 0, row[5])


def user_of(cursor: Cursor, identity: str) -> str:
    """The identity's user; its own id for one that is not stored (yet)."""
    rows = cursor.fetch(_USER_OF, {"id": identity})
    return str(rows[0][0]) if rows else identity


def known(cursor: Cursor, identity: str) -> Known:
    """An identity that is stored."""
    return known_of(cursor.fetch(IDENTITY_BY_ID, {"id": identity})[0])


def identities_of(cursor: Cursor, user: str) -> Sequence[Known]:
    return [known_of(row) for row in cursor.fetch(IDENTITIES_OF_USER, {"user": user})]


def find(cursor: Cursor, wanted: str) -> Sequence[Known]:
    """Who is meant by the id of a user or an identity, or by `channel:external id` (`channel.account:external id`): all identities of that
    user. Raises NotDone for nobody, or several users."""
    place, _, external = wanted.partition(":")
    channel, _, account = place.partition(".")
    named: dict[str, Value] = {"wanted": wanted, "external": external, "channel": channel, "account": account}
    users = [row[0] for row in cursor.fetch(_WANTED, named)]
    if not users:
        raise NotDone(f'there is no user "{wanted}". frontdesk user list shows them')
    if len(users) > 1:
        raise NotDone(f'"{wanted}" may be one of {len(users)} users. Write {channel}.ACCOUNT:{external}, or an id')
    return identities_of(cursor, users[0])


# --- linking ---------------------------------------------------------------------------------------------------------


def link(cursor: Cursor, identity: str, other: str, actor: str, now_ms: int) -> bool:
    """`other`, and what is linked to it, is `identity`'s user from now on. False where they are one already."""
    user, was = user_of(cursor, identity), user_of(cursor, other)
    if user == was:
        return False
    cursor.execute(_ADD_USER, {"user": user, "now": now_ms})
    cursor.execute(_LINK, {"user": user, "other": was})
    audit.append(cursor, actor, "user linked", other, now_ms, user)
    return True


def unlink(cursor: Cursor, user: str, actor: str, now_ms: int) -> int:
    """Every identity of the user is one of its own again. Returns how many there are now, 0 where there was but one."""
    known = identities_of(cursor, user)
    if len(known) < 2:
        return 0
    for each in known:
        cursor.execute(_ADD_USER, {"user": each.id, "now": now_ms})
        cursor.execute(_PART, {"id": each.id})
        audit.append(cursor, actor, "user unlinked", each.id, now_ms, user)
    return len(known)


def add_code(cursor: Cursor, hash_: str, identity: str, message: str, expires_ms: int, now_ms: int) -> None:
    """A new code makes the earlier ones of this identity worth nothing."""
    drop_codes(cursor, identity, now_ms)
    cursor.execute(_ADD_CODE, {"hash": hash_, "identity": identity, "message": message, "expires": expires_ms})


def owner_of_code(cursor: Cursor, hash_: str, now_ms: int) -> str:
    """The identity that was given this code; "" for none that is still valid."""
    rows = cursor.fetch(_CODE, {"hash": hash_})
    return str(rows[0][0]) if rows and rows[0][2] > now_ms else ""


def message_of_code(cursor: Cursor, hash_: str) -> str:
    """The message that shows the code."""
    rows = cursor.fetch(_CODE, {"hash": hash_})
    return str(rows[0][1]) if rows else ""


def drop_codes(cursor: Cursor, identity: str, now_ms: int) -> None:
    for (message,) in cursor.fetch(_CODES_OF, {"identity": identity}):
        cursor.execute(_COVER, {"id": message, "text": CODE_IS_OVER, "now": now_ms})
    cursor.execute(_DROP_CODES_OF, {"identity": identity})


def drop_codes_over(cursor: Cursor, now_ms: int) -> Sequence[str]:
    """Codes whose time is over are nowhere to be read. Returns the messages that showed them."""
    covered = [row[0] for row in cursor.fetch(_CODES_OVER, {"now": now_ms})]
    for message in covered:
        cursor.execute(_COVER, {"id": message, "text": CODE_IS_OVER, "now": now_ms})
    if covered:
        cursor.execute(_DROP_CODES_OVER, {"now": now_ms})
    return covered


# --- legal holds -----------------------------------------------------------------------------------------------------


def hold(cursor: Cursor, user: str, reason: str, actor: str, now_ms: int) -> None:
    """Everything of this user is kept until `release`, on each of the identities that are linked now."""
    for each in identities_of(cursor, user):
        cursor.execute(_HOLD, {"identity": each.id, "reason": reason, "actor": actor, "now": now_ms})
        audit.append(cursor, actor, "user held", each.id, now_ms)


def release(cursor: Cursor, user: str, actor: str, now_ms: int) -> Sequence[Hold]:
    """Returns the holds that there were."""
    found = holds_of(cursor, user)
    cursor.execute(_RELEASE, {"user": user})
    for each in found:
        audit.append(cursor, actor, "user released", each.identity, now_ms)
    return found


def holds_of(cursor: Cursor, user: str) -> Sequence[Hold]:
    return [hold_of(row) for row in cursor.fetch(HOLDS_OF_USER, {"user": user})]


def refuse_held(cursor: Cursor, user: str) -> None:
    """Raises NotDone, with the reason, where something of this user must be kept."""
    held = holds_of(cursor, user)
    if held:
        since = datetime.fromtimestamp(held[0].since_ms / 1000, UTC).strftime("%Y-%m-%d")
        raise NotDone(
            f"it must be kept by law since {since}: {held[0].reason}. To end that: frontdesk user release USER"
        )
