"""An operator who opens the console is online, and offline once the last page has been closed for a while.

Who chose away stays away, and who wrote `!online` in a room stays online without a page. Which presence is the console's own is kept in the
database, so that whoever had a page when the process ended is offline a while after the next start, unless they come back.
"""

import logging
from typing import Final

from bot.errors import Overloaded, StoreUnavailable
from bot.operators.operator import Operator, Presence
from bot.operators.people import Operators
from bot.operators.roles import Right
from bot.ports import Clock

log = logging.getLogger(__name__)

GRACE_S: Final = 60.0  # for a reload, a lost network and a restart of ours
LOOK_S: Final = 5.0


class Presences:
    """Counts pages. `run` never returns; without it nobody is made offline."""

    def __init__(self, operators: Operators, clock: Clock) -> None:
        self._operators = operators
        self._clock = clock
        self._pages: dict[str, int] = {}
        self._left_at: dict[str, float] = {}  # operator's id -> when their last page was closed, by the monotonic clock

    async def arrive(self, operator: Operator) -> None:
        """A page was opened. A store that takes nothing now does not keep anybody out."""
        self._pages[operator.id] = self._pages.get(operator.id, 0) + 1
        self._left_at.pop(operator.id, None)
        if not operator.may(Right.TAKE):
            return
        try:
            await self._operators.come(operator.id)
        except (StoreUnavailable, Overloaded) as error:
            log.warning("%s could not be made online: %s", operator.name, error)

    def leave(self, operator: Operator) -> None:
        """A page was closed."""
        left = self._pages.pop(operator.id, 0) - 1
        if left > 0:
            self._pages[operator.id] = left
        else:
            self._left_at[operator.id] = self._clock.monotonic()

    async def choose(self, operator: Operator, presence: Presence) -> Operator:
        """What an operator says on their page. Raises Refused("disabled")."""
        return await self._operators.set_presence(operator.name, presence, is_by_console=True)

    async def run(self) -> None:
        """Whoever was here before a restart has as long to come back as one who closes a page."""
        is_known = False
        while True:
            try:
                if not is_known:
                    await self._expect()
                    is_known = True
                await self._part()
            except (StoreUnavailable, Overloaded) as error:
                log.warning("who has left the console could not be kept: %s", error)
            await self._clock.sleep(LOOK_S)

    async def _expect(self) -> None:
        now = self._clock.monotonic()
        for id_ in await self._operators.at_console():
            if id_ not in self._pages:
                self._left_at.setdefault(id_, now)

    async def _part(self) -> None:
        over = self._clock.monotonic() - GRACE_S
        for id_, at in [(id_, at) for id_, at in self._left_at.items() if at <= over]:
            if self._left_at.get(id_) != at:  # back, while others were looked after
                continue
            await self._operators.go(id_)
            if self._left_at.get(id_) == at:
                del self._left_at[id_]
