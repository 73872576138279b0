"""Users, guilds, channels and messages, and what can be said of a text without knowing any of them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.platforms.discord.files import File
from tests.platforms.discord.limits import DIRECT_MESSAGES, EPHEMERAL, EPOCH_MS, GUILD_MESSAGES, Denied, Json

TEXT, DIRECT, NEWS, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 5, 11, 12  # resources/channel#channel-object-channel-types
THREADS = (10, PUBLIC_THREAD, PRIVATE_THREAD)
DEFAULT, USER_JOIN, THREAD_CREATED, REPLY, COMMAND_ANSWER, THREAD_STARTER = (
    0,
    7,
    18,
    19,
    20,
    21,
)  # resources/message#message-types

_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@everyone|@here")


class Snowflakes:
    """Ids that grow, with the time in them (reference#snowflakes)."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._last = 0

    def next(self) -> int:
        self._last = max((self._now_ms() - EPOCH_MS) << 22, self._last + 1)
        return self._last


@dataclass(eq=False, slots=True)
class User:
    id: int
    name: str
    is_bot: bool = False
    dm: "Channel | None" = None

    def json(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name.lower(),
            "global_name": None if self.is_bot else self.name,
            "discriminator": "0000" if self.is_bot else "0",
            "avatar": None,
            "bot": self.is_bot,
            "public_flags": 0,
        }


@dataclass(eq=False, slots=True)
class Guild:
    """`bot_role` is the role that Discord gives an app's bot in each guild, which people may mention in its stead."""

    id: int
    name: str
    owner: User
    bot_role: int
    members: list[User] = field(default_factory=list)
    has_bot: bool = True


@dataclass(eq=False, slots=True)
class Channel:
    """`refusal`: what the bot is told whenever it reads, writes or edits here. `everything` holds deleted messages too."""

    id: int
    type: int
    name: str = ""
    guild: Guild | None = None
    parent: "Channel | None" = None
    owner: User | None = None
    recipients: list[User] = field(default_factory=list)
    everything: dict[int, "Message"] = field(default_factory=dict)
    members: list[User] = field(default_factory=list)
    is_archived: bool = False
    is_locked: bool = False
    is_deleted: bool = False
    refusal: Denied | None = None

    @property
    def is_thread(self) -> bool:
        return self.type in THREADS

    @property
    def messages(self) -> list["Message"]:
        """What stands here for everybody, oldest first."""
        return [m for _, m in sorted(self.everything.items()) if not m.is_deleted and not m.flags & EPHEMERAL]


@dataclass(eq=False, slots=True)
class Message:
    """`shown` holds each text it has ever had, in order. `forwarded`: what somebody passes on with it. `only_for`: an ephemeral one. `may_ping`: the body's allowed_mentions."""

    id: int
    channel: Channel
    author: User
    content: str
    created_ms: int
    type: int = DEFAULT
    edited_ms: int = 0
    nonce: str | int | None = None
    flags: int = 0
    components: list[Json] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    pings_everyone: bool = False
    answers: "Message | None" = None
    has_reference: bool = False
    webhook_id: int | None = None
    webhook_name: str = ""
    reactions: dict[str, list[User]] = field(default_factory=dict)
    interaction: Json | None = None
    only_for: User | None = None
    thread: Channel | None = None
    is_deleted: bool = False
    forwarded: str = ""
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mentions:
    """Whom a text would ping if nothing held it back."""

    users: tuple[int, ...]
    roles: tuple[int, ...]
    is_everyone: bool

    @staticmethod
    def of(text: str) -> "Mentions":
        return Mentions(
            tuple(map(int, dict.fromkeys(_USER.findall(text)))),
            tuple(map(int, dict.fromkeys(_ROLE.findall(text)))),
            bool(_EVERYONE.search(text)),
        )


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds")


def guild_of(channel: Channel) -> Json:
    return {} if channel.guild is None else {"guild_id": str(channel.guild.id)}


def message_intents(channel: Channel) -> int:
    return DIRECT_MESSAGES if channel.guild is None else GUILD_MESSAGES


def text_of(message: Message) -> str:
    """What a person reads: the content, or the text displays of a message made of components alone."""
    return "\n".join(filter(None, [message.content, *texts_in(message.components)]))


def texts_in(components: Iterable[Json]) -> list[str]:
    found: list[str] = []
    for component in components:
        if component.get("type") == TEXT_DISPLAY:
            found.append(str(component.get("content", "")))
        found += texts_in(children(component))
    return found


TEXT_DISPLAY = 10  # components/reference#text-display


def children(component: Json) -> list[Json]:
    """Of a row, a container, a section or a label (components/reference)."""
    inner = list(component.get("components", []))
    inner += [component[name] for name in ("component", "accessory") if isinstance(component.get(name), dict)]
    return inner


def walk(components: Iterable[Json]) -> list[Json]:
    """All of them, at every depth."""
    found: list[Json] = []
    for component in components:
        found.append(component)
        found += walk(children(component))
    return found
