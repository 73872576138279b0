"""What each role may do: one table, and nothing beyond it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from bot.errors import Refused


class Role(StrEnum):
    VIEWER = "viewer"
    AGENT = "agent"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Right(StrEnum):
    SEE = "see"  # conversations, the queue, who is there
    TAKE = "take"  # claim, release, snooze, resolve, reopen
    REPLY = "reply"  # write to the person
    NOTE = "note"  # write for colleagues
    TRANSFER = "transfer"  # give a conversation to a colleague or a team
    BLOCK = "block"  # stop listening to a person
    CORRECT_MEMORY = "correct_memory"  # have a wrong fact about a person forgotten
    DECIDE_UNKNOWN = "decide_unknown"  # say what became of a call whose outcome nobody knows
    DECIDE_CONSENT = "decide_consent"  # agree to an action
    RELEASE_OUTBOX = "release_outbox"  # send or give up what was held after a restore
    EXPORT = "export"  # all that is stored of a person
    ERASE = "erase"
    MANAGE_KNOWLEDGE = "manage_knowledge"
    MANAGE_OPERATORS = "manage_operators"
    SEE_AUDIT = "see_audit"


_SEES: Final = frozenset({Right.SEE})
_WORKS: Final = _SEES | {
    Right.TAKE,
    Right.REPLY,
    Right.NOTE,
    Right.TRANSFER,
    Right.BLOCK,
    Right.CORRECT_MEMORY,
    Right.DECIDE_UNKNOWN,
}

RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.VIEWER: _SEES,
    Role.AGENT: _WORKS,
    Role.APPROVER: _WORKS | {Right.DECIDE_CONSENT},
    Role.ADMIN: frozenset(Right),
    Role.AUDITOR: _SEES | {Right.SEE_AUDIT},
}


def may(role: str, right: Right) -> bool:
    """A role that is not in the table may do nothing."""
    return role in RIGHTS and right in RIGHTS[Role(role)]


def denied(right: Right) -> Refused:
    """Says who could do it."""
    return Refused("not_allowed", f"Your account may not do that: it takes the role {' or '.join(roles_with(right))}.")


def roles_with(right: Right) -> list[str]:
    """For a sentence that says who could do it."""
    return [role.value for role, rights in RIGHTS.items() if right in rights]
