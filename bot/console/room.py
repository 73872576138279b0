"""What the console's parts share, and what they ask of the house."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bot.config.knowledge_schema import Knowledge
from bot.handoff.control import Acts
from bot.handoff.hours import Hours
from bot.handoff.views import Views
from bot.model import Blob, BlobId, ConversationId, Identity, Passage, PassageId, value
from bot.operators.operator import Operator
from bot.operators.people import Operators
from bot.operators.signing_in import Signing
from bot.ports import Clock, Store

if TYPE_CHECKING:
    from bot.knowledge import FolderKnowledge

CHANNEL = "console"  # of the identity that owns what an operator uploads


class Works(Acts, Protocol):
    """The operators' desk (`bot.handoff.desk.Desk`)."""

    async def typing(self, operator: Operator, conversation: ConversationId) -> None: ...

    async def drop(self, operator: Operator, suggestion: str) -> None:
        """The operator does not want what was proposed."""
        ...


class Keeps(Protocol):
    """The files."""

    async def save(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob: ...

    async def open(self, blob_id: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]: ...

    async def open_any(self, blob_id: BlobId) -> tuple[Blob, AsyncIterator[bytes]]: ...


class Persons(Protocol):
    """What is stored of people (`bot.people.control.UserCommands`)."""

    async def act(self, actor: str, command: str, arguments: Mapping[str, Any]) -> object:
        """What the command `user ...` does. Raises NotDone."""
        ...


class Library(Protocol):
    """What the agents know (`bot.late.LateKnowledge`)."""

    async def loaded(self) -> "FolderKnowledge":
        """Waits until it is loaded."""
        ...


@value
class Settings:
    """What the config says. `public_url`: where operators reach the console, "" for the listener itself. `window_s(channel, account)`: for
    how long after the user's message free text is taken, 0 for always. `canned`: as the page gets them. `knowledge`: what is read; `audiences`: those that agents answer."""

    hours: Hours
    canned: tuple[dict[str, Any], ...] = ()
    public_url: str = ""
    upload_bytes: int = 10_485_760
    window_s: Callable[[str, str], float] = lambda channel, account: 0.0
    knowledge: Knowledge = field(default_factory=Knowledge)
    audiences: tuple[str, ...] = ()


@value
class Room:
    """`settings()`: as they are now. `passage`: a piece of the documents, None where it is gone. `touch(conversation)`: who looks at it is
    told. `data`: the data folder."""

    store: Store
    clock: Clock
    views: Views
    desk: Works
    operators: Operators
    signing: Signing
    blobs: Keeps
    passage: Callable[[PassageId], Awaitable[Passage | None]]
    settings: Callable[[], Settings]
    touch: Callable[[str], None]
    persons: Persons
    library: Library
    data: Path


def uploader(operator: Operator) -> Identity:
    """Whose an operator's uploads are."""
    return Identity(CHANNEL, "", operator.id, verified=True)
