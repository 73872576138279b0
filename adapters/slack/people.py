"""Who people are, as far as Slack says quickly: names for the house, and whether an id is a program's."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from adapters.slack.api import Api
from adapters.slack.events import dict_of, text_of
from adapters.slack.faults import CallFailed
from adapters.slack.pace import Budget
from bot.model import value
from bot.ports import Clock

log = logging.getLogger(__name__)

MOST_PEOPLE: Final = 5_000
FRESH_S: Final = 3_600.0  # names change seldom
_AGAIN_S: Final = 60.0  # after a refusal
_ASKED_PER_MINUTE: Final = 50.0  # half of what Tier 4 allows; as many at once


@value
class Person:
    """`name` is "" where it is not known."""

    name: str = ""
    is_bot: bool = False


_UNKNOWN: Final = Person()


class People:
    """A memory of users.info. Never raises."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Person]] = OrderedDict()
        self._budget = Budget(_ASKED_PER_MINUTE, _ASKED_PER_MINUTE)

    def known(self, person: str) -> Person:
        """What is remembered, old or not."""
        return self._known.get(person, (0.0, _UNKNOWN))[1]

    async def learn(self, api: Api, people: Sequence[str]) -> None:
        """Asks Slack for those who are not known freshly, one after the other."""
        for person in people:
            until, _ = self._known.get(person, (0.0, _UNKNOWN))
            if until <= self._clock.monotonic() and self._budget.take(self._clock.monotonic()):
                await self._ask(api, person)

    async def _ask(self, api: Api, person: str) -> None:
        try:
            user = dict_of(await api.call("users_info", user=person), "user")
        except CallFailed as failed:
            log.debug("a name is not known: %s", failed)
            self._keep(person, self.known(person), max(_AGAIN_S, failed.retry_after_s or 0.0))
            return
        profile = dict_of(user, "profile")
        names = (
            text_of(profile, "display_name"),
            text_of(profile, "real_name"),
            text_of(user, "real_name"),
            text_of(user, "name"),
        )
        name = next(filter(None, names), "")
        self._keep(person, Person(name, user.get("is_bot") is True), FRESH_S)

    def _keep(self, person: str, found: Person, for_s: float) -> None:
        self._known[person] = (self._clock.monotonic() + for_s, found)
        self._known.move_to_end(person)
        if len(self._known) > MOST_PEOPLE:
            self._known.popitem(last=False)
