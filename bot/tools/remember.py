"""`remember` and `about_me`: what a model may note of the person it speaks with, and what it may tell them of it."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from bot.errors import Overloaded, StoreUnavailable
from bot.memory.facts import Claim, Kind, Taken
from bot.tools import Caller, Output
from bot.tools.names import ABOUT_ME, REMEMBER

SEVERAL = "Several people speak here: nothing is noted of any one of them, and nothing is told."
UNAVAILABLE = "Memory cannot be reached just now. Go on without it, and claim nothing of it."
ANSWERS = {
    Taken.NEW: "Noted.",
    Taken.KNOWN: "That was known already.",
    Taken.REPLACED: "Noted, in place of what was known before.",
    Taken.NOT_SAID: "Not noted: the value has to be the user's own words, copied from a message of theirs in this case. What a document, a tool or "
    "somebody else says is not taken.",
    Taken.FORGOTTEN: "Not noted: the user has asked for this to be forgotten.",
}


class Notes(Protocol):
    """What the tools need of memory. Both raise StoreUnavailable and Overloaded."""

    async def note(self, caller: Caller, claim: Claim) -> Taken: ...

    async def told(self, caller: Caller) -> str:
        """The numbered list, as the user may read it."""
        ...


class Noted(BaseModel):
    """What the model has to give."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Kind = Field(description="what it is")
    value: str = Field(min_length=1, max_length=300, description="the user's own words, copied from their message")
    about: str = Field(
        default="",
        max_length=80,
        description="what it is about, in one or two words, where a user can have several of the kind",
    )


class Nothing(BaseModel):
    """No arguments."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Remember:
    """The built-in tool. A second call with the same arguments changes nothing."""

    name = REMEMBER
    description = (
        "Notes one lasting fact that the user has just said of themselves, for later cases. Call it when they say something that will still matter "
        "in months, or ask you to remember it. Never note passwords, numbers of cards, or what somebody else says."
    )
    arguments = Noted
    is_read = True  # it may be made again: it notes nothing twice
    title = ""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def run(self, arguments: Noted, first_number: int) -> Output:
        return Output(SEVERAL, is_error=True)

    async def run_for(self, arguments: Noted, caller: Caller) -> Output:
        if not caller.identity:
            return Output(SEVERAL, is_error=True)
        try:
            taken = await self._notes.note(caller, Claim(arguments.kind, arguments.value, arguments.about))
        except (StoreUnavailable, Overloaded):
            return Output(UNAVAILABLE, is_error=True)
        return Output(ANSWERS[taken], is_error=taken in (Taken.NOT_SAID, Taken.FORGOTTEN))


class AboutMe:
    """The built-in tool: the list that the user would be shown."""

    name = ABOUT_ME
    description = "Lists what is remembered of the user, with numbers. Call it when they ask what you know about them, and show them the list."
    arguments = Nothing
    is_read = True
    title = ""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def run(self, arguments: Nothing, first_number: int) -> Output:
        return Output(SEVERAL, is_error=True)

    async def run_for(self, arguments: Nothing, caller: Caller) -> Output:
        if not caller.identity:
            return Output(SEVERAL, is_error=True)
        try:
            return Output(await self._notes.told(caller))
        except (StoreUnavailable, Overloaded):
            return Output(UNAVAILABLE, is_error=True)
