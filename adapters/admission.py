"""The one gate before everything that comes in from a platform: who may speak to the agent here, and how often.

Every kind of event passes it, not only messages: who may not write may not press, edit, react or join either. It compares the
platform's immutable ids, exactly as they stand in the config, and never names, which people choose themselves. It says only yes
or no; the adapter acknowledges what it does not admit and does nothing else with it.
"""

from collections import OrderedDict, deque
from typing import Annotated, Final

from pydantic import BaseModel, StringConstraints

from bot.model import value
from bot.ports import Clock

Id = Annotated[str, StringConstraints(min_length=1)]

_MINUTE_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000  # speakers whose pace is known at a time


class Allow(BaseModel, extra="forbid"):
    """`[channels.NAME.allow]`: who is answered. An empty list lets everyone pass; what stands in several lists must pass them all.
    `is_direct`: whether direct messages are answered."""

    spaces: list[Id] = []
    rooms: list[Id] = []
    people: list[Id] = []
    is_direct: bool = True


@value
class Speaker:
    """Who did something, and where, in the platform's ids. `space`: the workspace, server or business number; "" where there is none.
    `is_bot`: a program, as far as the platform says so. `is_own`: we ourselves."""

    person: str
    space: str = ""
    room: str = ""
    is_direct: bool = False
    is_bot: bool = False
    is_own: bool = False


class Gate:
    """One account's gate. It keeps nothing on disk and never waits."""

    def __init__(self, allow: Allow, clock: Clock, per_minute: int) -> None:
        if per_minute < 1:
            raise ValueError("a gate lets at least one message a minute pass")
        self._spaces = frozenset(allow.spaces)
        self._rooms = frozenset(allow.rooms)
        self._people = frozenset(allow.people)
        self._is_direct = allow.is_direct
        self._clock = clock
        self._per_minute = per_minute
        self._times: OrderedDict[Speaker, deque[float]] = OrderedDict()

    def admits(self, speaker: Speaker) -> bool:
        """Whether this speaker may act here at all. Changes nothing; to be asked for every type of event.

        Never admitted: programs, ourselves, and somebody without an id. Direct messages are no room of the list: `rooms` says nothing
        of them, `is_direct` does. Where `spaces` are listed and the platform names no space for a direct message, only those who are
        named in `people` may write one.
        """
        if speaker.is_own or speaker.is_bot or not speaker.person:
            return False
        if self._people and speaker.person not in self._people:
            return False
        if not speaker.is_direct:
            return self._has_space(speaker) and (not self._rooms or speaker.room in self._rooms)
        is_named = bool(self._people) and not speaker.space
        return self._is_direct and (is_named or self._has_space(speaker))

    def paces(self, speaker: Speaker) -> bool:
        """Whether this message is within the pace: at most `per_minute` in any 60 seconds from one person in one room.

        To be asked once for each message that was admitted. What is beyond the pace counts too, so a loop with a program that does not
        say it is one stays stopped for as long as it goes on. Remembers the 10,000 who spoke last; whoever is forgotten begins anew.
        """
        now = self._clock.monotonic()
        key = Speaker(speaker.person, speaker.space, speaker.room)
        times = self._times.setdefault(key, deque(maxlen=self._per_minute))
        self._times.move_to_end(key)
        if len(self._times) > _MOST_REMEMBERED:
            self._times.popitem(last=False)
        is_within = len(times) < self._per_minute or now - times[0] >= _MINUTE_S
        times.append(now)
        return is_within

    def _has_space(self, speaker: Speaker) -> bool:
        return not self._spaces or speaker.space in self._spaces
