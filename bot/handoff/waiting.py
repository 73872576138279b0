"""Where somebody stands in the queue and how long it may take, from real figures only. Pure."""

import math
from collections.abc import Iterable, Sequence

from bot.model import value

FEWEST_FIGURES = 3  # fewer say nothing about the next one
_QUANTILE = 0.75
_STEPS_MIN = (1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60)
_MOST_HOURS = 8  # beyond a working day a figure helps nobody


@value
class Waiting:
    """One conversation in the queue. A higher `priority` goes first."""

    id: str
    priority: int
    queued_ms: int


def position(queue: Iterable[Waiting], conversation: str) -> int | None:
    """The place in the queue, from 1; None for one that is not in it. The longest waiting of a priority goes first, then the smaller id."""
    ordered = sorted(queue, key=lambda one: (-one.priority, one.queued_ms, one.id))
    return next((place for place, one in enumerate(ordered, 1) if one.id == conversation), None)


def expected_wait_s(
    place: int, recent_waits_s: Sequence[float], recent_handling_s: Sequence[float], places_online: int
) -> int | None:
    """Seconds until the one at that place is taken; None where there is too little to say anything honest.

    `recent_waits_s`: how long the lately taken ones waited; `recent_handling_s`: how long lately finished ones were with an
    operator; `places_online`: how many conversations the operators now online hold at once, all together.

    The method: with every place taken, one falls free each (handling / places) seconds, so the nth waits n times that; and
    nobody is taken faster than people have lately reacted. The larger of the two is said. Each figure is the upper quartile
    of its list, so that about three in four wait no longer than told. Without figures on handling the waits alone speak, and
    only for those who would be next.
    """
    if places_online <= 0 or place <= 0:
        return None
    reaction, handling = _upper(recent_waits_s), _upper(recent_handling_s)
    if handling is None:
        return math.ceil(reaction) if reaction is not None and place <= places_online else None
    return math.ceil(max(place * handling / places_online, reaction or 0.0))


def wait_words(seconds: float | None, language: str = "en") -> str:
    """ "about 5 minutes", rounded up to a step that claims no more than is known; "" for None. German for `de`, otherwise English."""
    if seconds is None:
        return ""
    is_german = language.lower().startswith("de")
    minutes = next((step for step in _STEPS_MIN if seconds <= step * 60), None)
    if minutes is not None and minutes < 60:
        return _counted(
            minutes, ("etwa {} Minuten", "etwa eine Minute") if is_german else ("about {} minutes", "about a minute")
        )
    hours = max(1, math.ceil(seconds / 3600)) if math.isfinite(seconds) else _MOST_HOURS + 1
    if hours > _MOST_HOURS:
        return f"mehr als {_MOST_HOURS} Stunden" if is_german else f"more than {_MOST_HOURS} hours"
    return _counted(
        hours, ("etwa {} Stunden", "etwa eine Stunde") if is_german else ("about {} hours", "about an hour")
    )


def _counted(number: int, forms: tuple[str, str]) -> str:
    many, one = forms
    return one if number == 1 else many.format(number)


def _upper(figures: Sequence[float]) -> float | None:
    """The smallest figure that three in four do not exceed; None for too few."""
    if len(figures) < FEWEST_FIGURES:
        return None
    return sorted(figures)[math.ceil(len(figures) * _QUANTILE) - 1]
