"""Messages of the REST API: listing, posting, editing and deleting them, threads and reactions
(https://docs.discord.com/developers/resources/message and resources/channel)."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import unquote

from aiohttp import web

from tests.platforms.discord import forms, limits
from tests.platforms.discord.files import File
from tests.platforms.discord.gateway import Gateway, is_content_shown
from tests.platforms.discord.limits import Denied, Json
from tests.platforms.discord.things import (
    DIRECT,
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    THREADS,
    Channel,
    Message,
    User,
    guild_of,
    text_of,
)
from tests.platforms.discord.wire import Handler, Parts, answer, nothing, read_body, wake
from tests.platforms.discord.world import World


class Messages:
    """What the bot does with messages. `lists_nonces`: whether a listed message shows the nonce it was made with, which the documentation
    leaves open."""

    def __init__(
        self, world: World, gateway: Gateway, violate: Callable[[str], None], changed: asyncio.Condition
    ) -> None:
        self._world = world
        self._gateway = gateway
        self._violate = violate
        self.lists_nonces = False
        self.nonces: dict[str, Message] = {}
        self.typing: list[tuple[Channel, int]] = []
        self.changed = changed

    def routes(self) -> list[tuple[str, str, Handler]]:
        there = "/channels/{channel}/messages"
        message = there + "/{message}"
        return [
            ("POST", "/channels/{channel}/typing", self._type),
            ("GET", there, self._list),
            ("POST", there, self._create),
            ("GET", message, self._get_message),
            ("PATCH", message, self._edit),
            ("DELETE", message, self._delete),
            ("POST", message + "/threads", self._start_thread),
            ("POST", "/channels/{channel}/threads", self._start_thread),
            ("PUT", "/channels/{channel}/thread-members/@me", self._join_thread),
            ("PUT", message + "/reactions/{emoji}/@me", self._react),
            ("DELETE", message + "/reactions/{emoji}/@me", self._unreact),
        ]

    # --- messages ---------------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        """resources/message#get-channel-messages: the newest first; at most one of around, before and after."""
        channel = self._world.find_channel(request.match_info["channel"])
        try:
            limit = int(request.query.get("limit", "50"))
            before, after, around = (int(request.query.get(name, "0")) for name in ("before", "after", "around"))
        except ValueError:
            raise limits.BAD_ID from None
        if not 1 <= limit <= limits.LISTED_MESSAGES:
            raise limits.bad_form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        there = channel.messages
        if after:
            there = [m for m in there if m.id > after][:limit]
        elif around:
            older = [m for m in there if m.id < around][-(limit // 2) :]
            there = (older + [m for m in there if m.id >= around])[:limit]
        elif before:
            there = [m for m in there if m.id < before]
        return answer([self._listed(message) for message in reversed(there[-limit:])])

    async def _get_message(self, request: web.Request) -> web.Response:
        return answer(self._listed(self._find(request)))

    def _listed(self, message: Message) -> Json:
        data = self._world.json.message(message)
        if self.lists_nonces and message.nonce is not None:
            data["nonce"] = message.nonce
        if not self._gateway.is_content_allowed and not is_content_shown(self._world, message):
            data |= {"content": "", "embeds": [], "attachments": [], "components": []}
        return data

    async def _create(self, request: web.Request) -> web.Response:
        channel = self._world.find_channel(request.match_info["channel"])
        body, parts = await read_body(request)
        forms.check_message(body, has_files=bool(parts))
        if channel.is_locked:
            raise limits.ARCHIVED
        nonce = body.get("nonce")
        if nonce is None or not body.get("enforce_nonce"):
            self._violate("a post without an enforced nonce")
        elif (first := self._first_with(nonce)) is not None:
            return answer(self._world.json.message(first) | {"nonce": nonce})
        text = forms.clean(body.get("content"))
        message = self._world.write(
            channel,
            self._world.bot,
            text,
            nonce=nonce,
            flags=int(body.get("flags") or 0) & (limits.SUPPRESS_EMBEDS | limits.COMPONENTS_V2),
            components=body.get("components") or [],
            embeds=body.get("embeds") or [],
            files=self.take_files(body, parts),
            pinged=forms.pinged(text, body.get("allowed_mentions")),
            answers=self._answered(channel, body),
        )
        if nonce is not None:
            self.nonces[str(nonce)] = message
        self.judge(body, message)
        await wake(self.changed)
        return answer(self._world.json.message(message) | ({} if nonce is None else {"nonce": nonce}))

    def _first_with(self, nonce: object) -> Message | None:
        """The message that this nonce has made lately. One that is deleted since is not made anew: the answer is that it is
        unknown (discord/discord-api-docs#6647, where Discord calls that intended)."""
        first = self.nonces.get(str(nonce))
        if first is None or self._world.now_ms() - first.created_ms > limits.NONCE_WINDOW_S * 1000:
            return None
        if first.is_deleted:
            raise limits.UNKNOWN_MESSAGE
        return first

    def _answered(self, channel: Channel, body: Json) -> Message | None:
        reference = body.get("message_reference")
        if not reference or not reference.get("message_id"):
            return None
        first = channel.everything.get(int(reference["message_id"]))
        if first is not None and not first.is_deleted:
            return first
        if reference.get("fail_if_not_exists", True):
            raise limits.bad_form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
        return None

    def take_files(self, body: Json, parts: Parts) -> list[File]:
        """New files: each part `files[n]`, named and described by the attachment with the id n, if there is one."""
        if len(parts) > limits.FILES:
            raise limits.too_long("attachments", limits.FILES)
        described = {str(item.get("id")): item for item in body.get("attachments") or []}
        files = []
        for part, (name, data) in parts.items():
            number = re.fullmatch(r"files\[(\d+)\]", part)
            about = described.get(number.group(1), {}) if number else {}
            files.append(self._world.files.upload(about.get("filename") or name, data, "", about.get("description")))
        return files

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._find(request)
        body, parts = await read_body(request)
        if message.author is not self._world.bot and set(body) - {"flags"}:
            raise limits.NOT_YOURS
        if message.channel.is_archived:
            raise limits.ARCHIVED
        self.change(message, body, parts)
        await wake(self.changed)
        return answer(self._world.json.message(message))

    def change(self, message: Message, body: Json, parts: Parts) -> None:
        """resources/message#edit-message: what is left out stays; a new content is parsed for mentions with this body's allowed
        mentions alone."""
        forms.check_message(body, has_files=bool(parts), is_edit=True, old=message)
        if "content" in body:
            message.content = forms.clean(body["content"])
        if body.get("flags") is not None:
            kept = message.flags & ~limits.SUPPRESS_EMBEDS
            message.flags = kept | int(body["flags"]) & (limits.SUPPRESS_EMBEDS | limits.COMPONENTS_V2)
        for name in ("components", "embeds"):
            if name in body:
                setattr(message, name, list(body[name] or []))
        if "attachments" in body or parts:
            kept_ids = {str(item.get("id")) for item in body.get("attachments") or []}
            message.files = [file for file in message.files if str(file.id) in kept_ids]
            message.files += self.take_files(body, parts)
            self._world.files.uploads.update({file.id: (message.channel, file) for file in message.files})
        if not (message.content or message.files or message.embeds or message.components):
            raise limits.EMPTY_MESSAGE
        whom = forms.pinged(text_of(message), body.get("allowed_mentions")) if forms.says_something(body) else None
        self._world.rewrite(message, whom)
        self.judge(body, message)

    async def _delete(self, request: web.Request) -> web.Response:
        message = self._find(request)
        if message.author is not self._world.bot:
            raise limits.NOT_IN_DIRECT if message.channel.type == DIRECT else limits.MISSING_PERMISSIONS
        self._world.erase(message)
        await wake(self.changed)
        return nothing()

    def judge(self, body: Json, message: Message) -> None:
        is_quiet = bool(message.flags & limits.SUPPRESS_EMBEDS)
        for wrong in forms.manners(body, text_of(message), is_quiet=is_quiet):
            self._violate(wrong)

    async def _type(self, request: web.Request) -> web.Response:
        channel = self._world.find_channel(request.match_info["channel"])
        self.typing.append((channel, self._world.now_ms()))
        await wake(self.changed)
        return nothing()

    # --- threads and reactions --------------------------------------------------------------------------------------

    async def _start_thread(self, request: web.Request) -> web.Response:
        """resources/channel#start-thread-from-message and #start-thread-without-message."""
        channel = self._world.find_channel(request.match_info["channel"])
        start = self._find(request) if "message" in request.match_info else None
        body, _ = await read_body(request)
        if not 1 <= len(str(body.get("name") or "")) <= limits.THREAD_NAME_CHARS:
            raise limits.bad_length("name", 1, limits.THREAD_NAME_CHARS)
        if body.get("auto_archive_duration") not in (None, *limits.ARCHIVE_MINUTES):
            raise limits.bad_form(
                "auto_archive_duration", "BASE_TYPE_CHOICES", "Value must be one of (60, 1440, 4320, 10080)."
            )
        if channel.guild is None or channel.type in THREADS:
            raise (
                limits.NOT_IN_DIRECT
                if channel.guild is None
                else Denied(400, 50024, "Cannot execute action on this channel type")
            )
        if start is not None and start.thread is not None:
            raise limits.HAS_THREAD_ALREADY
        type_ = PUBLIC_THREAD if start else int(body.get("type") or PRIVATE_THREAD)
        thread = self._world.open_thread(channel, str(body["name"]), self._world.bot, start, type_)
        await wake(self.changed)
        return answer(self._world.json.channel(thread), 201)

    async def _join_thread(self, request: web.Request) -> web.Response:
        thread = self._world.find_channel(request.match_info["channel"])
        if self._world.bot not in thread.members:
            thread.members.append(self._world.bot)
        return nothing()

    async def _react(self, request: web.Request) -> web.Response:
        message, emoji = self._find(request), unquote(request.match_info["emoji"])
        if emoji.isascii():
            raise limits.UNKNOWN_EMOJI
        self.react(message, self._world.bot, emoji)
        await wake(self.changed)
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        self.unreact(self._find(request), self._world.bot, unquote(request.match_info["emoji"]))
        return nothing()

    def react(self, message: Message, user: User, emoji: str) -> None:
        users = message.reactions.setdefault(emoji, [])
        if user not in users:
            users.append(user)
            data = self._reaction(message, user, emoji)
            if message.channel.guild is not None:
                data["member"] = self._world.json.member(message.channel.guild, user) | {"user": user.json()}
            data["message_author_id"] = str(message.author.id)
            self._world.announce("MESSAGE_REACTION_ADD", data, _reaction_intents(message), None)

    def unreact(self, message: Message, user: User, emoji: str) -> None:
        if user in message.reactions.get(emoji, []):
            message.reactions[emoji].remove(user)
            if not message.reactions[emoji]:
                del message.reactions[emoji]
            data = self._reaction(message, user, emoji)
            self._world.announce("MESSAGE_REACTION_REMOVE", data, _reaction_intents(message), None)

    def _reaction(self, message: Message, user: User, emoji: str) -> Json:
        return {
            "user_id": str(user.id),
            "channel_id": str(message.channel.id),
            "message_id": str(message.id),
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
            **guild_of(message.channel),
        }

    def _find(self, request: web.Request) -> Message:
        return self._world.find_message(request.match_info["channel"], request.match_info["message"])


def _reaction_intents(message: Message) -> int:
    return limits.DIRECT_REACTIONS if message.channel.guild is None else limits.GUILD_REACTIONS
