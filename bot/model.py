"""The domain's values: never changed, without I/O, importing nothing of ours.

The words are those of the glossary in `docs/architecture.md`. Times are UTC milliseconds (`*_ms`), ids are opaque strings
made by `bot.ids`.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, NewType, TypeVar, dataclass_transform

ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
IdentityId = NewType("IdentityId", str)
UserId = NewType("UserId", str)
CaseId = NewType("CaseId", str)
TurnId = NewType("TurnId", str)
PassageId = NewType("PassageId", str)
BlobId = NewType("BlobId", str)
Seq = NewType("Seq", int)

T = TypeVar("T")

FEW = 4  # so many of a kind are made without an `__init__` of its own: many kinds have one value, which the start makes


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A dataclass with slots, equal and hashed by its fields, that mypy holds to be frozen. Python does not: a frozen one sets each field
    by a call, and takes six times as long to make, which was a tenth of a turn.

    Python writes and compiles every method of a dataclass while its module is imported, and a start imports hundreds. Here what compares,
    hashes and shows needs no compiling, and `__init__` is written when a few have been made. `__post_init__` is not called."""
    return _equipped(cls, is_hashed=True)


@dataclass_transform(field_specifiers=(field,))
def changeable(cls: type[T]) -> type[T]:
    """The same for what changes: equal by its fields, and not to be hashed."""
    return _equipped(cls, is_hashed=False)


def _equipped(cls: type[T], *, is_hashed: bool) -> type[T]:
    made = dataclass(slots=True, init=False, repr=False, eq=False)(cls)
    for name, method in _methods(made, is_hashed).items():
        if name not in vars(made):
            setattr(made, name, method)
    return made


def _methods(made: Any, is_hashed: bool) -> dict[str, Callable[..., Any] | None]:  # Any: mypy sees no dataclass here
    compared = [each.name for each in fields(made) if each.compare]
    key = attrgetter(*compared) if compared else _nothing
    few = iter(range(FEW))

    def begin(self: object, *given: Any, **named: Any) -> None:
        if next(few, None) is None or not _is_filled(self, given, named):
            made.__init__ = _init_of(made)
            made.__init__(self, *given, **named)

    def is_equal(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(key(self))

    return {"__init__": begin, "__eq__": is_equal, "__hash__": hashed if is_hashed else None, "__repr__": _shown}


def _is_filled(made: Any, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Sets the fields, as an `__init__` would; False where these arguments do not fit: `__init__` tells why."""
    in_order, left = iter(given), named.copy()
    for each in fields(made):
        if not each.kw_only and (first := next(in_order, MISSING)) is not MISSING:
            setattr(made, each.name, first)
        elif each.name in left:
            setattr(made, each.name, left.pop(each.name))
        elif each.default is not MISSING:
            setattr(made, each.name, each.default)
        elif each.default_factory is not MISSING:
            setattr(made, each.name, each.default_factory())
        else:
            return False
    return not left and next(in_order, MISSING) is MISSING


def _init_of(made: Any) -> Callable[..., None]:
    """The `__init__` that `dataclass` writes, taken from a class with the same fields."""
    alike = [
        (each.name, each.type, field(default=each.default, default_factory=each.default_factory, kw_only=each.kw_only))
        for each in fields(made)
    ]
    twin: Any = make_dataclass(made.__name__, alike, namespace={"__doc__": made.__doc__}, repr=False, eq=False)
    written: Callable[..., None] = twin.__init__
    return written


def _nothing(_: object) -> None:
    """What a value without fields is compared by."""


def _shown(self: Any) -> str:
    told = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({told})"


class Author(StrEnum):
    """Who wrote a message."""

    USER = "user"
    AGENT = "agent"
    OPERATOR = "operator"
    SYSTEM = "system"


class Visibility(StrEnum):
    """Who may read a message: everyone in the conversation, or operators only."""

    PUBLIC = "public"
    NOTE = "note"


class OutboxState(StrEnum):
    """Where one part of an outbound message stands. `unknown`: it may or may not have arrived."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    DEAD = "dead"


class ToolCallState(StrEnum):
    """What is known of one tool call. `proposed`: somebody has to agree first; the ledger of actions tells what became of it."""

    INTENDED = "intended"
    PROPOSED = "proposed"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    UNKNOWN = "unknown"


AGENT_OWNER = "agent"
QUEUE_OWNER = "queue"
ROOM = "room"


@value
class Identity:
    """One person's account on one channel. `verified` is true when the channel vouches for more than a browser."""

    channel: str
    account: str
    external_id: str
    name: str = ""
    verified: bool = False


@value
class Address:
    """Where to send: a chat (and thread) on one account of a channel."""

    channel: str
    account: str
    chat: str
    thread: str = ""


@value
class Attachment:
    """A file of a message, kept as a blob; `media_type` was found from its content, never taken from the sender. `source`: the file
    is still with the platform, which knows it by this, and there is no blob yet. `problem`: it could not be had, in plain words.
    `transcript`: what is said in it, as a model heard it."""

    blob: BlobId
    name: str
    media_type: str
    size_bytes: int
    source: str = ""
    problem: str = ""
    transcript: str = ""


@value
class Citation:
    """A link from `[number]` in an answer to a passage."""

    number: int
    passage: PassageId
    title: str
    url: str = ""


@value
class Button:
    """A choice offered under a message. `code`: on a channel without buttons, only these digits choose it."""

    id: str
    label: str
    code: str = ""


PERSON_BUTTON = Button("person", "Talk to a person")


@value
class Message:
    """One entry of a conversation, in the order of `seq`."""

    id: MessageId
    seq: Seq
    author: Author
    text: str
    at_ms: int
    visibility: Visibility = Visibility.PUBLIC
    name: str = ""
    case: CaseId = CaseId("")
    attachments: tuple[Attachment, ...] = ()
    citations: tuple[Citation, ...] = ()
    buttons: tuple[Button, ...] = ()
    feedback: str = ""  # "", "up" or "down"
    is_edited: bool = False
    is_deleted: bool = False
    part: int = 0  # which part of the message this is, while it is being sent: (id, part) is the key of one send
    is_last_part: bool = True
    replaces: str = ""  # the platform's id of the draft that this part is shown in place of, while it is being sent
    mentions: tuple[
        str, ...
    ] = ()  # in an operators' room: the platform's ids of those who are called, while it is being sent

    def placed(self, seq: Seq, visibility: Visibility) -> "Message":
        """A message that has just been written, in its place."""
        return Message(
            self.id,
            seq,
            self.author,
            self.text,
            self.at_ms,
            visibility,
            self.name,
            self.case,
            self.attachments,
            self.citations,
            self.buttons,
        )


@value
class Conversation:
    """Everything said at one address. `owner` is "agent", "queue" or an operator's id; `version` counts its changes."""

    id: ConversationId
    address: Address
    agent: str
    owner: str
    version: int
    last_seq: Seq
    case: CaseId  # "" when the last case has ended: the next message opens a new one
    identity: IdentityId  # the first speaker
    is_person_wanted: bool = False
    is_stopped: bool = False  # the person does not want to be written to, or an operator has blocked them
    kind: str = ""  # "room": an operators' room, or one of its threads

    def advanced(self, last_seq: Seq) -> "Conversation":
        """The same with more messages."""
        return Conversation(
            self.id,
            self.address,
            self.agent,
            self.owner,
            self.version,
            last_seq,
            self.case,
            self.identity,
            self.is_person_wanted,
            self.is_stopped,
            self.kind,
        )


@value
class Transcript:
    """A stretch of a conversation, oldest first, with the conversation as it stands (None before its first message). `owner_name`: of the
    operator who has it."""

    conversation: Conversation | None
    messages: tuple[Message, ...]
    has_earlier: bool = False
    owner_name: str = ""


# --- events: anything an adapter reports -------------------------------------------------------------------------


@value
class RemoteFile:
    """A file that the platform keeps: `source` is what the adapter needs to open it. The rest is what the platform says of it, and
    not believed."""

    source: str
    name: str = ""
    media_type: str = ""
    size_bytes: int = 0


@value
class Heard:
    """Something a person said at an address before the agent was addressed there: read as context, answered by nobody."""

    sender: Identity
    external_id: str
    text: str
    sent_at_ms: int = 0


@value
class MessageReceived:
    """A person wrote. `external_id` dedupes at its address; `sent_at_ms` is the platform's time (0: unknown). `attachments` are
    blobs already, `files` are still to be fetched: a platform is not kept waiting for a download. `before`: what was said there
    earlier, oldest first; what is known already is not stored again. `is_shared`: others read along there, or may."""

    sender: Identity
    at: Address
    external_id: str
    text: str
    attachments: tuple[BlobId, ...] = ()
    sent_at_ms: int = 0
    files: tuple[RemoteFile, ...] = ()
    before: tuple[Heard, ...] = ()
    is_shared: bool = False


@value
class MessageEdited:
    """A person changed an earlier message, named by its external id. The latest `edited_at_ms` wins."""

    sender: Identity
    at: Address
    external_id: str
    text: str
    edited_at_ms: int


@value
class MessageDeleted:
    """A person withdrew an earlier message: its text is never shown to a model again."""

    sender: Identity
    at: Address
    external_id: str
    deleted_at_ms: int


@value
class ButtonPressed:
    """A person chose a button of a message. Each button of a message counts once, whatever the press is called."""

    sender: Identity
    at: Address
    external_id: str
    message: MessageId
    button: str


@value
class FeedbackGiven:
    """A verdict ("up" or "down") on one message or one case; the latest counts. `external_id` names the message as the platform does,
    by any part of it, where the adapter knows no other name for it."""

    sender: Identity
    at: Address
    value: str
    message: MessageId | None = None
    case: CaseId | None = None
    external_id: str = ""


@value
class Delivered:
    """The receiver holds everything at this address up to and including `seq`."""

    at: Address
    seq: Seq


@value
class CaseEnded:
    """The person ended the case: the next message opens a new one."""

    sender: Identity
    at: Address


@value
class TypingSeen:
    """The person is typing: transient, never stored; a turn that waits for quiet waits a little longer."""

    at: Address


@value
class PersonRequested:
    """The person asked for a person by a command. `external_id` dedupes as that of a message does."""

    sender: Identity
    at: Address
    external_id: str


class ContactChoice(StrEnum):
    """What a person says about being written to."""

    STOP = "stop"
    START = "start"
    HELP = "help"


@value
class ContactChosen:
    """The person said, by a word that the channel sets aside for it, whether they want to be written to. Kept on record."""

    sender: Identity
    at: Address
    external_id: str
    choice: ContactChoice
    text: str


@value
class ForgetRequested:
    """The person wants what they said to be forgotten."""

    sender: Identity
    at: Address


@value
class DraftPosted:
    """The platform shows the draft of a message under this id."""

    at: Address
    message: MessageId
    external_id: str


class DeliveryStatus(StrEnum):
    """What a platform says of one part it took, in the order in which it happens."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


@value
class DeliveryReported:
    """The platform reports on one part of a message: late, repeated and in any order. `detail` says why it failed.
    `is_window_closed`: because the person has not written for too long."""

    at: Address
    message: MessageId
    part: int
    external_id: str
    status: DeliveryStatus
    detail: str = ""
    is_window_closed: bool = False


Event = (
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | ButtonPressed
    | FeedbackGiven
    | Delivered
    | CaseEnded
    | TypingSeen
    | PersonRequested
    | ContactChosen
    | ForgetRequested
    | DraftPosted
    | DeliveryReported
)


@value
class Bookmark:
    """Where an adapter stands with its platform (a session, a sequence number), kept together with the event that brought it there."""

    name: str
    value: str


@value
class CaseSummary:
    """One case of a person. `title` begins its first message; `ended_ms` 0: it is open; `feedback`: "", "up" or "down"."""

    id: CaseId
    at: Address
    title: str
    opened_ms: int
    ended_ms: int = 0
    feedback: str = ""


@value
class Recent:
    """An address where something was said of late. `heard_ms`: the platform's time of the newest message from there."""

    at: Address
    heard_ms: int
    external_id: str


@value
class Accepted:
    """What became of an event. `message` and `seq` name the message it made or repeated; `case` the case it belongs to."""

    message: MessageId = MessageId("")
    seq: Seq = Seq(0)
    case: CaseId = CaseId("")
    is_duplicate: bool = False


# --- knowledge -----------------------------------------------------------------------------------------------------


@value
class Passage:
    """A piece of a knowledge document. `title` is its heading path, `url` where a person can read the document."""

    id: PassageId
    document: str
    title: str
    text: str
    url: str = ""


@value
class Found:
    """A passage that a search found. `score` is higher for better; `coverage` (0 to 1) is the share of the query's
    informative words that the passage holds; `likeness` how alike they are in meaning, the cosine of their embeddings; None: not compared."""

    passage: Passage
    score: float
    coverage: float
    likeness: float | None = None


@value
class Blob:
    """A stored file. `name` is what the sender called it, cleaned, for display only."""

    id: BlobId
    name: str
    media_type: str
    size_bytes: int
