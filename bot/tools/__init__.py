"""What an agent can do besides talking."""

from dataclasses import field
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from bot.model import Button, Found, value


@value
class Caller:
    """On whose behalf a turn calls. `identity`: the one person who speaks in it, "" where several do.
    `vouched`: the id of the person as somebody on this machine gives it, where there is no turn."""

    conversation: str
    case: str
    identity: str
    reply: str
    turn: str
    agent: str
    vouched: str = ""


@value
class Output:
    """What a tool gave: the text that the model reads, the passages in it, and whether the user has asked for a person. `is_waiting`:
    somebody has to agree first; the person who is asked is shown `card` and `buttons`. `deed`: what was done, in words that an answer may
    use of it."""

    text: str
    found: tuple[Found, ...] = ()
    is_person_wished: bool = False
    is_error: bool = False
    is_unusable: bool = False
    is_uncertain: bool = False
    is_waiting: bool = False
    card: str = ""
    buttons: tuple[Button, ...] = field(default=())
    deed: str = ""


class Tool(Protocol):
    """One built-in tool. `arguments` is the pydantic model that a call's arguments must pass, and that the model is shown. `is_read`: it
    leaves no effect, so that a call whose outcome is not known may simply be made again. `title`: what the person is told while it runs;
    "": nothing."""

    name: str
    title: str
    description: str
    is_read: bool

    @property
    def arguments(self) -> type[BaseModel]: ...

    async def run(self, arguments: Any, first_number: int) -> Output:  # an instance of `self.arguments`
        """`first_number` is the citation number of the first passage found. Raises only for faults of ours."""
        ...


@runtime_checkable
class Personal(Protocol):
    """A built-in tool that works for the one person who speaks, and for nobody where several do."""

    async def run_for(self, arguments: Any, caller: Caller) -> Output:  # an instance of `self.arguments`
        """Takes the place of `run`. Raises only for faults of ours."""
        ...
