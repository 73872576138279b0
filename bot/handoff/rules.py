"""What handoffs need of the config, in the form that units of work are given it."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from bot.config.handoff_checks import hours_of
from bot.config.handoff_schema import Handoff as HandoffSettings
from bot.config.handoff_schema import Person
from bot.handoff.hours import ALWAYS, Hours
from bot.model import value


@value
class Rules:
    """Times in milliseconds, 0: never. Those of a service promise count in business time; `offer_ms`, `user_silent_ms` and `wrap_up_ms` do
    not. `is_staffed`: there are operators at all."""

    is_staffed: bool = False
    hours: Hours = ALWAYS
    triggers: frozenset[str] = frozenset()
    after_failures: int = 2
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assignment: str = "claim"
    is_previous_first: bool = True
    offer_ms: int = 60_000
    first_reply_ms: int = 300_000
    next_reply_ms: int = 600_000
    resolve_ms: int = 86_400_000
    operator_silent_ms: int = 1_800_000
    queue_timeout_ms: int = 14_400_000
    user_silent_ms: int = 86_400_000
    wrap_up_ms: int = 0
    reassure_ms: int = 300_000
    is_plain_reply: bool = False
    teams: frozenset[str] = frozenset()


UNSTAFFED = Rules()


def rules_of(handoff: HandoffSettings, people: Sequence[Person]) -> Rules:
    """As the config has them; whether anybody is there at all is not its business."""

    def ms(seconds: float) -> int:
        return round(seconds * 1000)

    return Rules(
        hours=hours_of(handoff.hours),
        triggers=frozenset(handoff.triggers),
        after_failures=handoff.after_failures,
        topics=handoff.topics,
        assignment=handoff.assignment,
        is_previous_first=handoff.is_previous_first,
        offer_ms=ms(handoff.offer_s),
        first_reply_ms=ms(handoff.first_reply_s),
        next_reply_ms=ms(handoff.next_reply_s),
        resolve_ms=ms(handoff.resolve_s),
        operator_silent_ms=ms(handoff.operator_silent_s),
        queue_timeout_ms=ms(handoff.queue_timeout_s),
        user_silent_ms=ms(handoff.user_silent_s),
        wrap_up_ms=ms(handoff.wrap_up_s),
        is_plain_reply=handoff.plain_text == "reply",
        teams=frozenset(team for person in people for team in person.teams),
    )
