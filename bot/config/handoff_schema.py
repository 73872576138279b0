"""The typed sections of the config that say how conversations pass to people: `[handoff]` and `[operators]`."""

from typing import Annotated, Literal

from pydantic import Field

from bot.config.schema import Seconds, Section

Wait = Annotated[float, Field(ge=0, le=31_622_400, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
Label = Annotated[str, Field(min_length=1, max_length=64)]
Trigger = Literal["anger", "failures", "feedback", "unknown", "topic", "budget", "models", "error"]
Day = tuple[Annotated[str, Field(pattern=r"^\d\d:\d\d-\d\d:\d\d$")], ...]


class Person(Section):
    """Somebody behind the agents. The name is what they decide and answer under. `capacity`: conversations at once."""

    name: Name
    role: Literal["viewer", "agent", "approver", "admin", "auditor"]
    teams: tuple[Label, ...] = ()
    skills: tuple[Label, ...] = ()
    languages: tuple[Label, ...] = ()
    capacity: Annotated[int, Field(ge=1, le=1000)] = 5


class Operators(Section):
    """The people behind the agents."""

    people: tuple[Person, ...] = ()

    def approvers(self) -> list[str]:
        return [each.name for each in self.people if each.role in ("approver", "admin")]


class Canned(Section):
    """A reply that operators send by its name. `{user}`, `{operator}` and `{case}` in it are filled in. No `channels`: on all."""

    name: Name
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    channels: tuple[str, ...] = ()


class Hours(Section):
    """When people are there, in the time of `zone`: intervals such as "09:00-12:30", several a day. Where no day is named, always."""

    zone: str = "UTC"
    monday: Day = ()
    tuesday: Day = ()
    wednesday: Day = ()
    thursday: Day = ()
    friday: Day = ()
    saturday: Day = ()
    sunday: Day = ()
    holidays: tuple[Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")], ...] = ()


class Handoff(Section):
    """When a person is asked, who is, and what happens when nobody is quick enough. Seconds are business time, 0: never; `offer_s`,
    `wrap_up_s` and `user_silent_s` are plain time."""

    triggers: tuple[Trigger, ...] = ("anger", "failures", "feedback", "unknown", "topic", "budget", "models", "error")
    after_failures: Annotated[int, Field(ge=1, le=20)] = 2
    topics: dict[str, tuple[Label, ...]] = Field(default={})
    assignment: Literal["claim", "round_robin", "least_loaded"] = "claim"
    is_previous_first: bool = True
    offer_s: Seconds = 60
    first_reply_s: Wait = 300
    next_reply_s: Wait = 600
    resolve_s: Wait = 86_400
    operator_silent_s: Wait = 1800
    queue_timeout_s: Wait = 14_400
    user_silent_s: Wait = 86_400
    wrap_up_s: Wait = 0
    plain_text: Literal["note", "reply"] = "note"
    hours: Hours = Hours()
    canned: tuple[Canned, ...] = ()
