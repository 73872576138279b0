"""An operator, as the rest of the program sees one: no password, no secret."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from bot import ids
from bot.model import value
from bot.operators.roles import Right, may
from bot.text import pattern

CAPACITY: Final = 5  # conversations at once, where nothing else is said
CAPACITY_MOST: Final = 1000
NAME: Final = pattern(r"[a-z][a-z0-9._-]{0,63}")  # as in [[operators.people]]


class Presence(StrEnum):
    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


@value
class Operator:
    """`is_disabled`: an admin has shut the account, or the config names the person no longer. `seen_ms`: when presence was last set."""

    id: str
    name: str
    role: str
    teams: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    capacity: int = CAPACITY
    presence: Presence = Presence.OFFLINE
    is_disabled: bool = False
    seen_ms: int = 0

    def may(self, right: Right) -> bool:
        return not self.is_disabled and may(self.role, right)


@value
class Listed:
    """A person as the config or a command describes them."""

    name: str
    role: str
    teams: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    capacity: int = CAPACITY


def operator_id(name: str) -> str:
    """One name, one id, always: a name that was used is never given to somebody else."""
    return ids.derived_id("operator", name)


def words(text: str) -> tuple[str, ...]:
    """A JSON list of a column."""
    found: Any = json.loads(text)
    return tuple(str(each) for each in found)


def column(words: Sequence[str]) -> str:
    return json.dumps(list(words))
