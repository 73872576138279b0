"""What the suite for all adapters asks of a platform. A driver is one platform with one bot, one person and one other person on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as a person sees it now. `id` is the platform's own; `is_ours`: the bot wrote it. `text` is what is shown, formatting
    and all, as the platform would take it; `buttons` are the labels that can be pressed."""

    id: str
    is_ours: bool
    text: str
    buttons: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    is_edited: bool = False


class Platform(Protocol):
    """A driver. Everything that a person does returns once the platform has it; whether Frontdesk has it shows in `seen`. What the
    platform has nothing like raises NotImplementedError, before it does anything."""

    name: str
    can_edit: bool  # the platform lets a person edit and delete what they wrote
    can_stream: bool  # the bot can show an answer while it is written

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def config(self) -> Mapping[str, Any]:
        """`[channels.NAME]` for Frontdesk, secrets included, pointing here. Stays the same over restarts of Frontdesk."""
        ...

    def attach(self, public_port: int) -> None:
        """Frontdesk listens there now: webhooks go to it. Called at each start."""
        ...

    async def wait_ready(self) -> None:
        """Returns once the bot would receive what is said (at once for webhooks)."""
        ...

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        """The person writes to the bot directly, where it always answers. Returns the platform's id of the message."""
        ...

    async def edit(self, id_: str, text: str) -> None: ...

    async def delete(self, id_: str) -> None: ...

    async def press(self, seen: Seen, label: str) -> None:
        """The person presses a button (or answers with its number, where there are no buttons)."""
        ...

    async def rate(self, seen: Seen, value: str) -> None:
        """The person gives a verdict, "up" or "down", on one message of the bot, in the way of the platform."""
        ...

    async def repeat(self, id_: str) -> None:
        """The platform delivers the event of that message once more, as after an acknowledgement that was lost."""
        ...

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        """The person writes these one after the other, in different milliseconds, and the platform delivers their events backwards."""
        ...

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        """The chat of that person with the bot, oldest first, as it stands now: what was deleted is gone, what was edited is new."""
        ...

    def was_shown(self) -> Sequence[str]:
        """Every text that the bot's messages have ever shown in the person's chat, in order: each step of a stream is one."""
        ...

    def violations(self) -> Sequence[str]:
        """Every rule of the platform that Frontdesk has broken: a limit, a deadline, a missing acknowledgement, a forbidden call."""
        ...

    # --- faults ----------------------------------------------------------------------------------------------------

    def lose_answers(self, count: int) -> None:
        """The next `count` posts of the bot are carried out, and the answer to the request is lost: the connection is cut."""
        ...

    def limit_rate(self, count: int, seconds: float) -> None:
        """The next `count` posts of the bot are refused by the platform's rate limit, with its own hint to wait so long."""
        ...

    def refuse_token(self, is_refused: bool) -> None:
        """From now on the platform refuses the bot's credentials, or takes them again."""
        ...

    async def cut(self) -> None:
        """Cuts the connection on which events come, where there is one; what is said meanwhile is kept or lost as the platform does."""
        ...
