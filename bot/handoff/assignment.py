"""Whom a waiting conversation is offered to. Pure: the same candidates give the same choice, in whatever order they come."""

from collections.abc import Collection, Sequence
from enum import StrEnum

from bot.model import value


class Way(StrEnum):
    """How conversations find their operator. `claim`: nobody is offered anything; operators take from the queue themselves."""

    CLAIM = "claim"
    ROUND_ROBIN = "round_robin"
    LEAST_LOADED = "least_loaded"


class Presence(StrEnum):
    """Whether an operator takes conversations just now."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


@value
class Candidate:
    """An operator as the choice sees them. `load`: the conversations they hold or are offered; 0 for a time that never was."""

    id: str
    capacity: int
    load: int
    presence: Presence
    teams: frozenset[str] = frozenset()
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    last_assigned_ms: int = 0
    is_previous: bool = False
    seen_ms: int = 0


def choose(
    way: Way,
    candidates: Sequence[Candidate],
    team: str = "",
    skill: str = "",
    language: str = "",
    is_previous_first: bool = True,
    exclude: Collection[str] = (),
) -> Candidate | None:
    """Who is asked next; None leaves the conversation in the queue.

    Only somebody online with room, of the team and with the skill where these are wanted, and not excluded. Among them the
    previous operator comes first, then those who speak the language: a person of another language is better than none. The
    way decides between the rest, and the longest without a new conversation between equals.
    """
    if way is Way.CLAIM:
        return None
    fit = [each for each in candidates if _is_fit(each, team, skill) and each.id not in exclude]
    if is_previous_first:
        fit = [each for each in fit if each.is_previous] or fit
    if language:
        fit = [each for each in fit if _speaks(each, language)] or fit
    return min(fit, key=lambda each: _rank(way, each), default=None)


def _is_fit(one: Candidate, team: str, skill: str) -> bool:
    is_free = one.presence is Presence.ONLINE and one.load < one.capacity
    return is_free and (not team or team in one.teams) and (not skill or skill in one.skills)


def _speaks(one: Candidate, language: str) -> bool:
    """`de` is spoken by who speaks `de-AT`, and the other way round."""
    return language.lower().partition("-")[0] in {each.lower().partition("-")[0] for each in one.languages}


def _rank(way: Way, one: Candidate) -> tuple[float, int, int, str]:
    fullness = one.load / one.capacity if way is Way.LEAST_LOADED else 0.0
    return fullness, one.last_assigned_ms, -one.seen_ms, one.id
