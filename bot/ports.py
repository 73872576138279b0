"""The places where there are real alternatives: channels, models, storage, knowledge, time.

An adapter module (`adapters/NAME`) exports, importable without the platform's SDK:

- `Settings`, a pydantic model of `[channels.NAME]`;
- `accounts(settings)`: the settings of each account that is to run, by its name; `""` is the one that `[channels.NAME]` itself names;
- `create(settings, host, account) -> Adapter`: one account's adapter; opens nothing yet;
- `guide(settings, public_url) -> str`: what to click and paste on the platform, for `frontdesk setup NAME`;
- `check(settings, outside) -> Sequence[Finding]`, awaited: asks the platform whether each account is set up as it must be.

Channels that need no platform (the web) lack the last two. Abilities beyond the base contract are separate small protocols.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from bot.model import (
    Accepted,
    Address,
    Attachment,
    Author,
    Blob,
    BlobId,
    Bookmark,
    Button,
    CaseId,
    CaseSummary,
    Event,
    Found,
    Identity,
    Message,
    MessageId,
    Passage,
    PassageId,
    Recent,
    Seq,
    Transcript,
    changeable,
    value,
)

if TYPE_CHECKING:
    from aiohttp import BaseConnector, web

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
    (`Delivered`), so messages are simply sent again until it does and need no `sending` row. `window_s`: a message may be sent only so
    long after the person's last one (0: always)."""

    text_chars: int
    attachment_bytes: int = 0
    max_age_s: float = 600.0
    is_deduped: bool = False
    window_s: float = 0.0


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


class ProgressState(StrEnum):
    """How far the agent is with one thing it does."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@value
class Progress:
    """One thing the agent does, as a person is told of it; a later one with the same `id` replaces it."""

    id: str
    title: str
    state: ProgressState


@value
class Finding:
    """One thing that was checked on a platform: whether it is as it must be, and if not, what to do."""

    what: str
    is_well: bool
    mend: str = ""


@value
class Fetched:
    """An answer from outside, while it is read. `media_type` is what the other side says."""

    url: str
    media_type: str
    size_bytes: int  # 0: unknown
    data: AsyncIterator[bytes]


class Adapter(Protocol):
    """One account of a channel: translates, and decides nothing."""

    name: str
    account: str
    limits: Limits

    def routes(self) -> Sequence[Route]: ...

    async def run(self) -> None:
        """Runs until cancelled and reconnects by itself, telling `Host.report` how it stands. A raise is a failure that the supervisor
        answers by running it anew, with backoff; a ChannelFault ends it until its settings change. Each run begins with nothing
        of the run before but what is known of messages being sent."""
        ...

    async def send(self, to: Address, message: Message) -> Receipt:
        """Hands one message, or one part of it, to the platform. (`id`, `part`) is the same at every try of the same send, so
        that a key for the platform can be made from it. Buttons, citations and attachments come with the last part alone. With
        `replaces` the part takes the place of a draft that is shown under that id, however often it is told so. Raises
        SendRefused (nothing arrived; with `retry_after_s` for a rate limit, WindowClosed where the platform says so) or
        SendUncertain."""
        ...


@runtime_checkable
class Drafts(Protocol):
    """Can show an answer while it is being written. Where the receiver does not dedupe (`Limits.is_deduped`) a durable row stands before
    the first call; the adapter reports `DraftPosted` once the platform shows the draft, and makes the platform's key of it from
    (`message`, part 0), as `send` would. `send` of part 0 then shows the final text in its place."""

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        """Shows `text` as the next piece of the draft. Returns at once, whatever the platform does; what is shown follows as the
        platform's limits allow. Best effort: never raises for a receiver that is gone."""
        ...

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        """Takes away what was shown of the draft; `shown_as` is the platform's id of it, where a run before this one has shown it."""
        ...


@runtime_checkable
class ShowsProgress(Protocol):
    """Can show what the agent is doing. Best effort, and as quick as `Drafts.draft`; where drafts are announced, so is this."""

    async def progress(self, to: Address, message: MessageId, step: Progress) -> None: ...


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
    """Can find out whether an uncertain send, or the first post of a draft, happened."""

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        """The receipt if it arrived, None if it certainly did not. Raises SendUncertain when it cannot tell yet, and SendRefused with
        `retry_after_s` when a rate limit puts the question off, which then does not count."""
        ...


@runtime_checkable
class OpensFiles(Protocol):
    """Can read a file that a person has sent (`RemoteFile.source`), as often as it is asked."""

    def open_file(self, source: str) -> AbstractAsyncContextManager["Fetched"]:
        """Raises FetchError, or Refused with a plain sentence for what will never be readable."""
        ...


@runtime_checkable
class SendsTemplates(Protocol):
    """Can tell a person who has not written for too long that a message waits, by a form that the platform has approved. Only offered
    where one is configured."""

    def has_template(self) -> bool: ...

    async def send_template(self, to: Address, message: Message) -> Receipt:
        """Raises like `send`."""
        ...


@runtime_checkable
class Listens(Protocol):
    """Holds a connection on which something is heard at least every `silence_s` seconds while it is well: heartbeats count."""

    silence_s: float

    def heard_at(self) -> float:
        """`Clock.monotonic` of the last sign of life; of the start of `run` before the first."""
        ...


@runtime_checkable
class ShowsCase(Protocol):
    """Can show that a case has ended, so that the person may say whether it solved the problem."""

    async def case_ended(self, to: Address, case: CaseId) -> None: ...


@runtime_checkable
class ShowsOwner(Protocol):
    """Can show who answers from now on. Best effort, and never waits. `owner` is "agent", "queue" or "operator"."""

    async def owner_changed(self, to: Address, owner: str, name: str) -> None: ...

    async def queued(self, to: Address, position: int, wait_s: int | None) -> None:
        """The place in the queue for a person, and the expected wait, where there are figures for one."""
        ...

    async def typing_as(self, to: Address, name: str) -> None:
        """A person is typing."""
        ...


@runtime_checkable
class HasRoom(Protocol):
    """Can carry an operators' room: a chat in which only operators are, with a thread for each card that is posted there. What a person
    writes there comes in as messages at those addresses: thread "" for the room, else the platform's id of the card."""

    @property
    def room(self) -> Address | None: ...


class ChannelState(StrEnum):
    """How a channel stands. The adapter reports the first two."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"  # failed; it is tried again
    STOPPED = "stopped"  # a person has to change something first


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


class Outside(Protocol):
    """The way out: all that a check of a platform needs of the house."""

    clock: Clock

    def fetch(
        self, url: str, headers: Mapping[str, str] | None = None, *, trusted: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        """Reads a URL of the platform. Only public addresses, and those of the `trusted` URLs' origins (what the config names), are
        connected to; at most three redirects, and `headers` go to no other origin than the first. Raises FetchError, also while the
        data is read, and when it is more than `upload_bytes`."""
        ...

    def connector(self) -> "BaseConnector":
        """For a platform's SDK: connections that keep to `[network] allow`. The caller closes it."""
        ...


class Host(Outside, Protocol):
    """All that one account's adapter may ask of the house."""

    limits: HostLimits

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        """Returns after commit, the bookmark with it; acknowledge to the platform only then. Safe to repeat.

        Raises Refused (never acceptable), Overloaded or StoreUnavailable (nothing stored; repeat later). Never waits
        for a model or a download. `Delivered` and `TypingSeen` are taken without waiting for a commit.
        """
        ...

    def report(self, state: ChannelState, detail: str = "") -> None:
        """How the connection to the platform stands: shown to operators."""
        ...

    async def keep(self, bookmark: Bookmark) -> None:
        """Stores a bookmark by itself. Raises like `receive`."""
        ...

    async def bookmarks(self) -> Mapping[str, str]:
        """The latest value of each bookmark of this account."""
        ...

    async def recent(self, since_ms: int, limit: int = 200) -> Sequence[Recent]:
        """Where something was said on this account since then, the newest first: where to look after a gap."""
        ...

    async def has_receipt(self, at: Address, external_id: str) -> bool:
        """Whether the platform's id is known already as that of something which was sent there: messages that read alike are told apart
        by it, when one is looked for whose own id never came."""
        ...

    async def cases(self, person: Identity, limit: int = 10) -> Sequence[CaseSummary]:
        """The person's cases, the newest first."""
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

    async def open_attachment(self, message: MessageId, blob: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        """A file of a message that goes out on this account. Raises Refused("no_blob")."""
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
    a person, which is to be put on record. `is_waiting`: somebody has to agree first, and is shown `card` and `buttons`, if it is the
    person who speaks. `deed`: what was done, in words that an answer may use of it."""

    call: str
    text: str
    is_error: bool = False
    found: tuple[Found, ...] = ()
    first_number: int = 1
    is_unusable: bool = False
    is_person_wished: bool = False
    is_uncertain: bool = False
    is_waiting: bool = False
    card: str = ""
    buttons: tuple[Button, ...] = ()
    deed: str = ""


@value
class Reasoning:
    """What a model thought before it called a tool, as it wants it back with that call's result: JSON of its own. Only the model of
    that name is given it back, and no user ever sees it."""

    model: str
    data: str


@value
class ChatMessage:
    """One entry of what a model reads: text by an author, the calls it made, or the results of those calls. `name`: who wrote it, where
    several people speak. `is_knowledge`: the text of a `Whole`, which stands first, and is the same from turn to turn."""

    author: Author
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    reasoning: tuple[Reasoning, ...] = ()
    name: str = ""
    is_knowledge: bool = False


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
        """The best passages first, of documents that the asker may use; empty when nothing fits. `within`: only of these files and
        folders (none: all). Never blocks the loop."""
        ...

    async def passage(self, passage: PassageId) -> Passage | None: ...


@value
class Whole:
    """All that an agent may quote, in one text where passage n of `found` is marked [n]. Equal passages make an equal text, to the byte.
    `tokens`: about how many it is."""

    text: str
    found: tuple[Found, ...]
    tokens: int


class Shelf(Protocol):
    """What one agent knows, where it is little enough for a model to read whole."""

    async def whole(self, within_s: float) -> Whole | None:
        """As it is now; None: the agent is to search. Reads again only after documents have changed. Raises nothing."""
        ...

    def note_too_long(self, whole: Whole) -> None:
        """A model has refused a request with this: what is as long is not given any more."""
        ...


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


@changeable
class Vitals:
    """How one account of a channel stands, and what came from it."""

    state: ChannelState = ChannelState.CONNECTING
    detail: str = ""  # what is wrong, and what to do
    since_ms: int = 0
    events: int = 0
    last_event_ms: int = 0
    lag_ms: int = 0  # of the last event: from the platform's time to ours
    errors: int = 0
    last_error: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.detail}" if self.detail else self.state.value

    def shown(self) -> str:
        """For everyone: what a network says of its hosts is for operators."""
        return str(self) if self.state is ChannelState.STOPPED else self.state.value

    def become(self, state: ChannelState, now_ms: int, detail: str = "") -> None:
        if state is not self.state or not self.since_ms:
            self.since_ms = now_ms
        self.state, self.detail = state, detail

    def failed(self, error: str) -> None:
        self.errors += 1
        self.last_error = error


@changeable
class Health:
    """What `/readyz` and the metrics say of the parts; written by their supervisors."""

    channels: dict[str, Vitals] = field(default_factory=dict)
    store: str = "closed"  # "open", or what is wrong
    intake: str = "closed"
