"""What Discord sends, as far as it is read: typed, tolerant of what is missing, null, new, or an id as a number.

Field names and meanings: Discord's documentation, resources "Message", "Channel", "Guild", "Interaction", "Application".
"""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

EPOCH_MS: Final = 1_420_070_400_000
"""The first second of 2015, from which ids count time (Discord's documentation, "Snowflakes")."""

GROUPS: Final = frozenset({10, 11, 12})
"""Channel types that are threads."""

TEXTS: Final = frozenset({0, 5})
"""Channel types in whose messages a thread can begin: text and announcements."""

DIRECT: Final = 1
SPOKEN: Final = frozenset({0, 19})
"""Message types that a person writes: plain, and a reply."""


_FIRST_BOT_MS: Final = 1_451_606_400_000
"""The beginning of 2016: Discord has ids of bots' conversations only from then on. An id that says otherwise holds no time."""


def _text_id(raw: object) -> object:
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw


Id = Annotated[str, BeforeValidator(_text_id), Field(pattern=r"^[0-9]{1,25}$")]


class Payload(BaseModel, extra="ignore"):
    """A null is as good as a missing field."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, raw: object) -> object:
        return {key: item for key, item in raw.items() if item is not None} if isinstance(raw, dict) else raw


class User(Payload):
    id: Id
    username: str = ""
    global_name: str = ""
    bot: bool = False
    system: bool = False


class Member(Payload):
    nick: str = ""
    user: User | None = None


class File(Payload):
    id: Id
    filename: str = ""
    content_type: str = ""
    size: int = 0
    url: str = ""


class Reference(Payload):
    message_id: Id = "0"
    channel_id: Id = "0"
    type: int = 0


class Forwarded(Payload):
    content: str = ""


class Snapshot(Payload):
    message: Forwarded = Forwarded()


class Said(Payload):
    """A message, as an event or as an answer. `edited_timestamp` "": never edited. Of an event only `id` and `channel_id` are certain, of an answer only `id`."""

    id: Id
    channel_id: Id = ""
    guild_id: Id = ""
    type: int = 0
    timestamp: str = ""
    author: User | None = None
    member: Member | None = None
    content: str | None = None
    edited_timestamp: str = ""
    mentions: list[User] = []
    mention_roles: list[Id] = []
    mention_everyone: bool = False
    attachments: list[File] = []
    embeds: list[dict[str, Any]] = []
    sticker_items: list[dict[str, Any]] = []
    components: list[dict[str, Any]] = []
    message_snapshots: list[Snapshot] = []
    poll: dict[str, Any] = {}
    activity: dict[str, Any] = {}
    message_reference: Reference | None = None
    referenced_message: "Said | None" = None
    webhook_id: Id = ""
    nonce: str | int = ""
    flags: int = 0

    @property
    def sent_ms(self) -> int:
        """UTC milliseconds; 0: unknown."""
        return known_ms(self.id) or time_ms(self.timestamp)

    @property
    def is_bare(self) -> bool:
        """Nothing at all is in it, which nobody can send: its content is kept from us."""
        extras = (self.embeds, self.sticker_items, self.components, self.message_snapshots, self.poll, self.activity)
        return not self.content and not self.attachments and not any(extras)


class Removed(Payload):
    id: Id = "0"
    ids: list[Id] = []
    channel_id: Id
    guild_id: Id = ""


class Emoji(Payload):
    name: str = ""


class Reaction(Payload):
    user_id: Id
    channel_id: Id
    message_id: Id
    guild_id: Id = ""
    member: Member | None = None
    emoji: Emoji
    message_author_id: Id = ""


class Typing(Payload):
    channel_id: Id
    user_id: Id
    guild_id: Id = ""


class Channel(Payload):
    id: Id
    type: int = 0
    guild_id: Id = ""
    parent_id: Id = ""
    owner_id: Id = ""
    recipients: list[User] = []
    last_message_id: Id = "0"


class Tags(Payload):
    bot_id: Id = ""


class Role(Payload):
    id: Id
    tags: Tags | None = None


class Guild(Payload):
    id: Id
    unavailable: bool = False
    channels: list[Channel] = []
    threads: list[Channel] = []
    roles: list[Role] = []


class Option(Payload):
    name: str
    value: str | int | float | bool = ""


class Chosen(Payload):
    """What was asked for: a command by `name`, a component or a form by `custom_id`."""

    name: str = ""
    options: list[Option] = []
    custom_id: str = ""
    values: list[str] = []
    components: list[dict[str, Any]] = []  # of a form that was sent off; `forms` reads them


class Interaction(Payload):
    id: Id
    type: int
    token: str
    application_id: Id = ""
    data: Chosen = Chosen()
    guild_id: Id = ""
    channel_id: Id = ""
    channel: Channel | None = None
    member: Member | None = None
    user: User | None = None
    message: Said | None = None

    @property
    def room_id(self) -> str:
        return self.channel_id or (self.channel.id if self.channel else "")

    @property
    def person(self) -> User | None:
        return self.user or (self.member.user if self.member else None)


class Application(Payload):
    id: Id
    flags: int = 0


class Start(Payload):
    """`remaining` identifies are left, and more come in `reset_after` milliseconds."""

    remaining: int = 1
    reset_after: int = 0


class Gateway(Payload):
    url: str
    session_start_limit: Start = Start()


class Ready(Payload):
    session_id: str
    resume_gateway_url: str = ""
    user: User | None = None
    application: Application | None = None
    guilds: list[Guild] = []


Malformed = ValidationError


def sent_ms(id_: str) -> int:
    """The time that a Discord id holds, in UTC milliseconds."""
    return (int(id_) >> 22) + EPOCH_MS


def known_ms(id_: str) -> int:
    """The same; 0 for an id that holds none."""
    ms = sent_ms(id_)
    return ms if ms >= _FIRST_BOT_MS else 0


def id_at(ms: int) -> str:
    """The smallest id of that time."""
    return str(max(0, ms - EPOCH_MS) << 22)


def time_ms(stamp: str) -> int:
    """ISO 8601 as UTC milliseconds; 0 for what is none."""
    try:
        return round(datetime.fromisoformat(stamp).timestamp() * 1000)
    except ValueError:
        return 0
