"""What the console's parts share, and what they ask of the house."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bot.handoff.control import Acts
from bot.handoff.hours import Hours
from bot.handoff.views import Views
from bot.model import Blob, BlobId, ConversationId, Identity, Passage, PassageId
from bot.operators.operator import Operator
from bot.operators.people import Operators
from bot.operators.signing_in import Signing
from bot.ports import Clock, Store

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


@dataclass(frozen=True, slots=True)
class Settings:
    """What the config says. `public_url`: where operators reach the console, "" for the listener itself. `window_s(channel, account)`: for
    how long after the user's message free text is taken, 0 for always. `canned`: as the page gets them."""

    hours: Hours
    canned: tuple[dict[str, Any], ...] = ()
    public_url: str = ""
    upload_bytes: int = 10_485_760
    window_s: Callable[[str, str], float] = lambda channel, account: 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """`settings()`: as they are now. `passage`: a piece of the documents, None where it is gone."""

    store: Store
    clock: Clock
    views: Views
    desk: Works
    operators: Operators
    signing: Signing
    blobs: Keeps
    passage: Callable[[PassageId], Awaitable[Passage | None]]
    settings: Callable[[], Settings]


def uploader(operator: Operator) -> Identity:
    """Whose an operator's uploads are."""
    return Identity(CHANNEL, "", operator.id, verified=True)
