"""What a workspace holds: people, rooms, posts, files, views. Nothing here speaks a protocol; everything a person would see is read from here."""

import itertools
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.ports import Clock
from tests.platforms.slack import blockkit

Json = dict[str, Any]  # Slack's payloads are untyped JSON by nature


@dataclass
class Person:
    """Someone with a user id: a human, an app's bot user, or a program that posts with a human's token."""

    id: str
    name: str
    is_bot: bool = False
    bot_id: str = ""
    timezone: str = "Europe/Berlin"
    locale: str = "en-US"


@dataclass
class Room:
    """A direct chat with the app (`im`) or a channel."""

    id: str
    kind: str  # "im", "channel" or "group"
    name: str
    members: set[str]
    is_archived: bool = False
    is_shared: bool = False  # with another workspace

    @property
    def channel_type(self) -> str:
        return self.kind

    @property
    def person(self) -> str:
        """Of a direct chat: the human in it."""
        return self.name if self.kind == "im" else ""


@dataclass
class Stream:
    """A post that is, or was, written by chat.startStream and its sisters."""

    opened: float
    mode: str = ""  # "markdown_text" or "chunks", once known
    text: str = ""
    plan: str = ""
    tasks: dict[str, Json] = field(default_factory=dict)
    blocks: list[Json] = field(default_factory=list)
    is_open: bool = True
    is_stopped_by_person: bool = False


@dataclass
class File:
    """A file on the platform. `is_uploaded`: its bytes have arrived."""

    id: str
    name: str
    size: int
    user: str
    media_type: str = "application/octet-stream"
    title: str = ""
    data: bytes = b""
    is_uploaded: bool = False
    is_shared: bool = False
    shares: dict[str, list[str]] = field(default_factory=dict)  # room -> timestamps of the messages it is in


@dataclass
class Post:
    """One message. `shown` is every text it has ever shown, the latest last. `only_for`: an ephemeral message of that person."""

    room: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str = ""
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    bot_id: str = ""
    app_id: str = ""
    subtype: str = ""
    client_msg_id: str = ""
    metadata: Json | None = None
    files: list[File] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited_by: str = ""
    edited_ts: str = ""
    stream: Stream | None = None
    only_for: str = ""
    is_deleted: bool = False
    shown: list[str] = field(default_factory=list)

    def text_shown(self) -> str:
        """What a person reads: the blocks where there are any, else the text; of a stream what has come so far, then its blocks."""
        blocks = blockkit.text_of(self.blocks)
        if self.stream is None:
            return blocks if self.blocks else self.text
        return "\n".join(part for part in (self.stream.text, blockkit.text_of(self.stream.blocks), blocks) if part)

    def all_blocks(self) -> list[Json]:
        return [*(self.stream.blocks if self.stream else []), *self.blocks]


@dataclass
class View:
    """A modal that is open before a person, or their home tab."""

    id: str
    person: str
    body: Json
    hash: str
    is_open: bool = True
    errors: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One call of the Web API, as it came and how it was answered ("" for a success)."""

    method: str
    args: Json
    at: float
    error: str = ""


class Ledger:
    """What happened in one workspace. `violations`: every rule of Slack's, or of ours about mentions and unfurls, that was broken."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.missed: list[str] = []  # deliveries that were not acknowledged in time; each is tried again
        self.unthreaded: list[
            str
        ] = []  # room:thread of posts that went into the room itself because the thread was gone
        self.lost: list[str] = []  # events that nobody was there for, or that were given up
        self.statuses: list[tuple[str, str]] = []  # (room:thread, status): each as it was set, "" for cleared
        self.titles: dict[str, str] = {}  # room:thread -> title
        self.prompts: dict[str, list[Json]] = {}  # room:thread -> suggested prompts
        self.shown: list[
            tuple[str, str, str]
        ] = []  # (room, ts, text): every text that a post of the app has shown, in order

    def break_rule(self, text: str) -> None:
        self.violations.append(text)

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]


ALL_SCOPES = frozenset(
    [
        "app_mentions:read",
        "assistant:write",
        "channels:history",
        "channels:read",
        "chat:write",
        "chat:write.public",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "mpim:history",
        "reactions:read",
        "reactions:write",
        "team:read",
        "users:read",
        "users:read.email",
    ]
)

ALL_EVENTS = frozenset(
    [
        "app_home_opened",
        "app_mention",
        "app_uninstalled",
        "assistant_thread_context_changed",
        "assistant_thread_started",
        "file_shared",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
        "reaction_added",
        "reaction_removed",
        "tokens_revoked",
    ]
)


class Workspace:
    """One workspace with one app installed in it, which is the app under test. Ids are those of Slack's forms (T, A, U, B, C, D, F)."""

    def __init__(self, name: str, clock: Clock, base_url: Callable[[], str]) -> None:
        self.name = name
        self.clock = clock
        self._base_url = base_url
        self._count = itertools.count(1)
        self._last_us = 0
        self.id = self.new_id("T")
        self.app_id = self.new_id("A")
        self.bot_token = f"xoxb-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-{self.app_id}-{secrets.token_hex(12)}"
        self.signing_secret = secrets.token_hex(16)
        self.verification_token = secrets.token_hex(12)
        self.scopes: set[str] = set(ALL_SCOPES)
        self.app_scopes: set[str] = {"connections:write"}  # of the app-level token
        self.subscriptions: set[str] = set(ALL_EVENTS)
        self.commands: set[str] = {"/frontdesk"}
        self.shortcuts: set[str] = set()  # callback ids
        self.is_interactive = True
        self.is_agent = True  # the app has the Assistant view
        self.has_messages_tab = True  # people may write to the app directly
        self.ledger = Ledger()
        self.people: dict[str, Person] = {}
        self.rooms: dict[str, Room] = {}
        self.posts: dict[str, dict[str, Post]] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.triggers: dict[str, tuple[float, str]] = {}  # trigger id -> (when issued, whose)
        self.spent_triggers: set[str] = set()
        self.response_urls: dict[str, ResponseUrl] = {}
        self.assistant_threads: set[tuple[str, str]] = set()
        self.stream_refusal = ""  # an error code: chat.startStream is refused with it
        self.new_socket_url: Callable[[], str] = lambda: ""  # for apps.connections.open
        self.emit: Callable[[Json, str], None] = lambda event, name: (
            None
        )  # delivers an event to whom has subscribed to its name
        self.bot = self.add_person("Frontdesk", is_bot=True)

    @property
    def base_url(self) -> str:
        return self._base_url()

    # --- ids and time ----------------------------------------------------------------------------------------------

    def new_id(self, kind: str) -> str:
        return f"{kind}0{next(self._count):04d}{secrets.token_hex(3).upper()}"

    def new_ts(self) -> str:
        """A message's timestamp: seconds and microseconds, unique and growing within the workspace."""
        self._last_us = max(self._last_us + 1, self.clock.now_ms() * 1000)
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    # --- what is there ---------------------------------------------------------------------------------------------

    def add_person(self, name: str, *, is_bot: bool = False) -> Person:
        person = Person(self.new_id("U"), name, is_bot, self.new_id("B") if is_bot else "")
        self.people[person.id] = person
        return person

    def add_channel(self, name: str, *members: Person, has_bot: bool = True, is_private: bool = False) -> Room:
        inside = {member.id for member in members} | ({self.bot.id} if has_bot else set())
        room = Room(self.new_id("C"), "group" if is_private else "channel", name, inside)
        self.rooms[room.id], self.posts[room.id] = room, {}
        return room

    def direct(self, person: Person) -> Room:
        """The direct chat of that person with the app; opened when there is none."""
        for room in self.rooms.values():
            if room.person == person.id:
                return room
        room = Room(self.new_id("D"), "im", person.id, {person.id, self.bot.id})
        self.rooms[room.id], self.posts[room.id] = room, {}
        return room

    def all_posts(self, room: str) -> Iterator[Post]:
        """The messages of a room in the order of their timestamps, without what was deleted and what only one person sees."""
        for _, post in sorted(self.posts[room].items()):
            if not post.is_deleted and not post.only_for:
                yield post

    def find_post(self, room: str, ts: str) -> Post | None:
        post = self.posts.get(room, {}).get(ts)
        return None if post is None or post.is_deleted else post

    def replies_to(self, room: str, root: str) -> list[Post]:
        return [post for post in self.all_posts(room) if post.thread_ts == root and post.ts != root]

    def put(self, post: Post) -> Post:
        self.posts[post.room][post.ts] = post
        for file in post.files:
            file.shares.setdefault(post.room, []).append(post.ts)
        self.note_shown(post)
        return post

    def note_shown(self, post: Post) -> None:
        """Writes down what the post shows now, if that is new."""
        text = post.text_shown()
        if post.shown and post.shown[-1] == text:
            return
        post.shown.append(text)
        if post.app_id == self.app_id and text:
            self.ledger.shown.append((post.room, post.ts, text))

    def set_status(self, room: str, thread: str, status: str) -> None:
        self.ledger.statuses.append((f"{room}:{thread}", status))

    def status_of(self, room: str, thread: str) -> str:
        return next((status for at, status in reversed(self.ledger.statuses) if at == f"{room}:{thread}"), "")

    def new_trigger(self, person: str) -> str:
        trigger = f"{next(self._count)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}"
        self.triggers[trigger] = (self.clock.monotonic(), person)
        return trigger

    def new_response_url(self, room: str, person: str, post: Post | None, thread: str = "") -> str:
        key = secrets.token_hex(12)
        self.response_urls[key] = ResponseUrl(room, person, post, thread, self.clock.monotonic())
        return f"{self.base_url}/actions/{self.id}/{key}"

    # --- as JSON ---------------------------------------------------------------------------------------------------

    def person_json(self, person: Person) -> Json:
        return {
            "id": person.id,
            "team_id": self.id,
            "name": person.name.lower().replace(" ", "."),
            "deleted": False,
            "real_name": person.name,
            "tz": person.timezone,
            "tz_label": person.timezone,
            "tz_offset": 3600,
            "locale": person.locale,
            "profile": {"real_name": person.name, "display_name": person.name, "team": self.id},
            "is_bot": person.is_bot,
            "is_app_user": False,
            "is_admin": False,
            "is_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "updated": 1_700_000_000,
        }

    def room_json(self, room: Room) -> Json:
        body: Json = {
            "id": room.id,
            "created": 1_700_000_000,
            "is_im": room.kind == "im",
            "is_channel": room.kind == "channel",
            "is_group": room.kind == "group",
            "is_mpim": False,
            "is_private": room.kind != "channel",
            "is_archived": room.is_archived,
            "is_ext_shared": room.is_shared,
            "context_team_id": self.id,
        }
        if room.kind == "im":
            return body | {"user": room.person, "is_user_deleted": False, "priority": 0}
        return body | {"name": room.name, "is_member": self.bot.id in room.members, "num_members": len(room.members)}

    def file_json(self, file: File) -> Json:
        url = f"{self.base_url}/files-pri/{self.id}-{file.id}/{file.name}"
        return {
            "id": file.id,
            "created": 1_700_000_000,
            "name": file.name,
            "title": file.title or file.name,
            "mimetype": file.media_type,
            "shares": {
                kind: {
                    room: [{"ts": ts} for ts in at]
                    for room, at in file.shares.items()
                    if self._share_kind(room) == kind
                }
                for kind in ("public", "private")
                if any(self._share_kind(room) == kind for room in file.shares)
            },
            "filetype": file.name.rpartition(".")[2] or "binary",
            "size": file.size,
            "user": file.user,
            "mode": "hosted",
            "is_external": False,
            "file_access": "visible",
            "url_private": url,
            "url_private_download": f"{self.base_url}/files-pri/{self.id}-{file.id}/download/{file.name}",
            "permalink": f"https://{self.name}.slack.com/files/{file.user}/{file.id}/{file.name}",
        }

    def _share_kind(self, room: str) -> str:
        return "public" if self.rooms[room].kind == "channel" else "private"

    def post_json(self, post: Post, *, has_metadata: bool = False) -> Json:
        """A message as history and events carry it."""
        body: Json = {"type": "message", "ts": post.ts, "text": post.stream.text if post.stream else post.text}
        if post.user:
            body |= {"user": post.user, "team": self.id}
        for key in ("subtype", "bot_id", "app_id", "client_msg_id", "thread_ts", "attachments"):
            if content := getattr(post, key):
                body[key] = content
        if blocks := post.all_blocks():
            body["blocks"] = blocks
        if post.files:
            body["files"] = [self.file_json(file) for file in post.files]
            body["upload"] = True
        if post.edited_ts:
            body["edited"] = {"user": post.edited_by, "ts": post.edited_ts}
        if post.metadata and has_metadata:
            body["metadata"] = post.metadata
        if post.reactions:
            body["reactions"] = [{"name": n, "users": u, "count": len(u)} for n, u in post.reactions.items() if u]
        if post.app_id:
            body["bot_profile"] = {"id": post.bot_id, "app_id": post.app_id, "name": self.bot.name, "team_id": self.id}
        return body | self._thread_json(post)

    def _thread_json(self, post: Post) -> Json:
        if post.thread_ts and post.thread_ts != post.ts:
            root = self.posts[post.room].get(post.thread_ts)
            return {"parent_user_id": root.user} if root else {}
        replies = self.replies_to(post.room, post.ts)
        if not replies:
            return {}
        return {
            "thread_ts": post.ts,
            "reply_count": len(replies),
            "reply_users": sorted({reply.user for reply in replies}),
            "latest_reply": replies[-1].ts,
        }

    def own_post(self, room: str, text: str, **more: Any) -> Post:  # Any: the fields of a Post
        """A message by the app under test, not yet put anywhere."""
        return Post(room, self.new_ts(), self.bot.id, text, bot_id=self.bot.bot_id, app_id=self.app_id, **more)

    def new_client_id(self) -> str:
        return str(uuid.uuid4())


@dataclass
class ResponseUrl:
    """Where an app may answer an interaction: five times within 30 minutes.

    https://docs.slack.dev/interactivity/handling-user-interaction#message_responses"""

    room: str
    person: str
    post: Post | None
    thread: str
    issued: float
    uses: int = 0
