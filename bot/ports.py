"""The places where there are real alternatives: channels, models, storage, knowledge, time.

An adapter module (`adapters/NAME`) exports `Settings` (a pydantic model, importable without the platform's SDK) and
`create(settings, host) -> Adapter`. Abilities beyond the base contract are separate small protocols.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from bot.model import (
    Accepted,
    Address,
    Attachment,
    Author,
    Blob,
    BlobId,
    CaseId,
    Event,
    Found,
    Identity,
    Message,
    MessageId,
    Passage,
    PassageId,
    Seq,
    Transcript,
    value,
)

if TYPE_CHECKING:
    from aiohttp import web

T = TypeVar("T")


# --- time ----------------------------------------------------------------------------------------------------------


class Timer(Protocol):
    """A call that has been put off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time enters only here, so that tests move it."""

    def now_ms(self) -> int:
        """UTC wall time in milliseconds. May jump; never used for deadlines."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer: ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Cancels its body after `seconds` and raises TimeoutError, like `asyncio.timeout`."""
        ...


# --- channels ------------------------------------------------------------------------------------------------------


@value
class Limits:
    """What a channel can carry. `is_deduped`: the receiver dedupes by our message id and acknowledges by `seq`
    (`Delivered`), so messages are simply sent again until it does and need no `sending` row."""

    text_chars: int
    attachment_bytes: int = 0
    max_age_s: float = 600.0
    is_deduped: bool = False


@value
class Route:
    """One public HTTP route of a channel."""

    method: str
    path: str
    handler: "Callable[[web.Request], Awaitable[web.StreamResponse]]"


@value
class Receipt:
    """The platform took a message, under this id of its own ("" where it has none)."""

    external_id: str = ""


class Adapter(Protocol):
    """One channel: translates, and decides nothing."""

    name: str
    limits: Limits

    def routes(self) -> Sequence[Route]: ...

    async def run(self) -> None:
        """Runs until cancelled and reconnects by itself; a raise is a failure that the supervisor answers with backoff."""
        ...

    async def send(self, to: Address, message: Message) -> Receipt:
        """Hands one message, or one part of it, to the platform; (`id`, `part`) is the same at every try of the same send, so
        that a key for the platform can be made from it. Raises SendRefused or SendUncertain."""
        ...


@runtime_checkable
class Drafts(Protocol):
    """Can show an answer while it is being written."""

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        """Shows `text` as the next piece of the draft. Best effort: never raises for a receiver that is gone."""
        ...

    async def withdraw(self, to: Address, message: MessageId) -> None: ...


@runtime_checkable
class Typing(Protocol):
    """Can show that the agent is at work."""

    async def typing(self, to: Address) -> None: ...


@runtime_checkable
class Splits(Protocol):
    """Sends long messages as several parts, which together are the text."""

    def split(self, text: str) -> Sequence[str]: ...


@runtime_checkable
class Reconciles(Protocol):
    """Can find out whether an uncertain send happened."""

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        """The receipt if it arrived, None if it certainly did not. Raises SendUncertain when it cannot tell yet."""
        ...


@runtime_checkable
class ShowsCase(Protocol):
    """Can show that a case has ended, so that the person may say whether it solved the problem."""

    async def case_ended(self, to: Address, case: CaseId) -> None: ...


@value
class HostLimits:
    """The caps of the config's `[limits]` that adapters keep."""

    message_chars: int = 16_000
    frame_bytes: int = 131_072
    upload_bytes: int = 10_485_760
    uploads_per_message: int = 5
    messages_per_minute: int = 30
    frames_per_minute: int = 600
    connections_per_visitor: int = 10
    hello_s: float = 10.0
    history_messages: int = 200


class Host(Protocol):
    """All that an adapter may ask of the house."""

    clock: Clock
    limits: HostLimits

    async def receive(self, event: Event) -> Accepted:
        """Returns after commit; acknowledge to the platform only then. Safe to repeat.

        Raises Refused (never acceptable), Overloaded or StoreUnavailable (nothing stored; repeat later). Never waits
        for a model. `Delivered` and `TypingSeen` are taken without waiting for a commit.
        """
        ...

    async def history(self, at: Address, after: Seq, limit: int = 200) -> Transcript:
        """The public messages with a higher `seq`, oldest first: the first `limit` of them, or the newest `limit` when
        `after` is 0. `has_earlier` says that older ones were left out."""
        ...

    async def passage(self, passage: PassageId) -> Passage:
        """Raises Refused("no_passage") for one that does not (any longer) exist."""
        ...

    async def save_blob(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        """Stores a file whose type is checked by content. Raises Refused("bad_type" | "too_large" | "empty")."""
        ...

    async def open_blob(self, blob: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        """Raises Refused("no_blob") unless `reader` may read it: its owner, and nobody else."""
        ...

    def secret(self, name: str) -> bytes:
        """A random key of this installation (made on first use, kept in the data folder), e.g. for visitors' tokens."""
        ...


# --- models --------------------------------------------------------------------------------------------------------


@value
class ToolSpec:
    """A tool as a model sees it. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON Schema is untyped JSON by nature


@value
class ToolCall:
    """A complete call that a model asked for. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@value
class ToolResult:
    """What a call gave. `text` is what the model reads; `found` are the passages in it, numbered from `first_number`.
    `is_unusable`: the call itself was wrong (unknown tool, bad arguments), nothing was run. `is_uncertain`: nobody
    knows whether its effect was carried out. `is_person_wished`: the user has asked for
    a person, which is to be put on record."""

    call: str
    text: str
    is_error: bool = False
    found: tuple[Found, ...] = ()
    first_number: int = 1
    is_unusable: bool = False
    is_person_wished: bool = False
    is_uncertain: bool = False


@value
class Reasoning:
    """What a model thought before it called a tool, as it wants it back with that call's result: JSON of its own. Only the model of
    that name is given it back, and no user ever sees it."""

    model: str
    data: str


@value
class ChatMessage:
    """One entry of what a model reads: text by an author, the calls it made, or the results of those calls."""

    author: Author
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    reasoning: tuple[Reasoning, ...] = ()


@value
class ChatRequest:
    """One call of a model. `conversation` only tells calls apart; it carries no rights. With a `schema` (JSON Schema) the answer is
    one JSON value that should follow it; the caller validates. `has_tools_off`: the calls in the messages are history, and the model
    may make no more."""

    instructions: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    conversation: str = ""
    schema: Mapping[str, Any] | None = None
    has_tools_off: bool = False


@value
class TextDelta:
    """The next piece of visible text. `[n]` in it cites passage n of the turn."""

    text: str


@value
class Usage:
    """What a call has used so far, as its server says; the latest counts, and a call that fails later has still used it. Tokens that
    were read from or written to the prompt cache are not in `input_tokens`; thoughts are in `output_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@value
class Headroom:
    """What a server says of its limits, in the headers of an answer. None: it did not say. `*_limit` are per minute; `*_left` may be
    used until `*_reset_s` seconds from now."""

    requests_limit: int | None = None
    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


@value
class Finished:
    """The end of a model call. `reason`: "stop", "tools", "length" or "refusal". `is_offering_person`: the answer offers
    a person, so that a button can stand under it. `is_person_wished`: the user has asked for one, which is to be put on record."""

    reason: str = "stop"
    is_offering_person: bool = False
    is_person_wished: bool = False
    is_answered: bool = True


Chunk = TextDelta | ToolCall | Reasoning | Usage | Headroom | Finished


class ChatModel(Protocol):
    """Something that answers. `stream` yields text and complete tool calls, in between what it learns of usage and limits, then
    exactly one Finished.

    Raises ModelError, and nothing else. Makes one try: whether to try again is decided by the caller alone. Closing the iterator
    abandons the call."""

    name: str

    def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]: ...


# --- knowledge -----------------------------------------------------------------------------------------------------


class Knowledge(Protocol):
    """What the company knows."""

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        """The best passages first; empty when nothing fits. `within`: only of these files and folders (none: all). Never blocks
        the loop."""
        ...

    async def passage(self, passage: PassageId) -> Passage | None: ...


# --- storage -------------------------------------------------------------------------------------------------------

Value = str | int | float | bytes | None
Row = tuple[Any, ...]  # a row's columns are typed where a record is built from it


class Cursor(Protocol):
    """What a unit of work sees: named parameters (`:name`), and nothing that could commit."""

    def execute(self, sql: str, parameters: Mapping[str, Value] = ...) -> int:
        """Runs one statement and returns the number of rows it changed."""
        ...

    def fetch(self, sql: str, parameters: Mapping[str, Value] = ...) -> list[Row]: ...


class Store(Protocol):
    """Units of work go in whole; readers never see half of one."""

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        """Runs `unit(cursor, *args)` and returns its result after the commit.

        The unit may run twice, so it reads, decides and writes only through the cursor. What it raises is raised here
        and rolls back it alone. Raises StoreUnavailable when nothing was committed, Overloaded when too many wait.
        Cancelling the caller does not undo a unit that has been handed over."""
        ...

    async def read(self, query: str, parameters: Mapping[str, Value] = ...) -> list[Row]:
        """Reads committed rows on a connection that never writes."""
        ...


# --- scheduling ----------------------------------------------------------------------------------------------------


class Scheduler(Protocol):
    """Runs one turn per conversation at a time, many conversations side by side, in the order they were woken."""

    def wake(self, conversation: str, quiet_s: float = 0.0) -> None:
        """There is work: run a turn once nothing has come for `quiet_s`."""
        ...

    def wait_longer(self, conversation: str, quiet_s: float) -> None:
        """The person is still typing: begin the quiet time of a waiting turn anew."""
        ...


@dataclass(slots=True)
class Health:
    """What `/readyz` and the metrics say of the parts; written by their supervisors."""

    channels: dict[str, str] = field(default_factory=dict)  # name -> "up", or what is wrong
    store: str = "closed"  # "open", or what is wrong
    intake: str = "closed"
