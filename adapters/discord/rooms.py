"""Where things are said: channels, threads and direct messages, and which address of ours each is.

A question that is asked in a channel is a conversation of its own, at the thread that begins from it: such a thread has the id of the message
it began from, so the question, its edits, and what is said in the thread meet at one address.
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from discord.http import Route

from adapters.discord.calls import (
    THREAD_EXISTS,
    UNKNOWN_CHANNEL,
    CallFailure,
    Rejected,
    Uncertain,
    patiently,
)
from adapters.discord.payloads import DIRECT, GROUPS, TEXTS, Channel, Guild, Malformed, Said
from adapters.discord.wire import Wire
from bot.model import Address, value
from bot.ports import Clock

log = logging.getLogger(__name__)

_MOST: Final = 20_000  # channels that are known at a time
_PLAIN: Final = 0  # the type of a plain channel of a server
_ARCHIVE_MINUTES: Final = 1440
_NAME_CHARS: Final = 60
"""Discord's documentation, "Start Thread from Message": a name has 1 to 100 characters; a list shows fewer."""

_NO_NAME: Final = re.compile(r"<[@#][!&]?[0-9]+>|^> ", re.MULTILINE)  # mentions, and the marks of a quotation

_MARKS: Final = re.compile("[*`~\\\\\u200b]")  # of a card's title, which is Markdown of ours


@value
class Room:
    """`space`: the server, "" for direct messages. `owner`: who began the thread. `person`: the other side of direct messages."""

    id: str
    type: int
    space: str = ""
    parent: str = ""
    owner: str = ""
    person: str = ""

    @property
    def is_direct(self) -> bool:
        return self.type == DIRECT

    @property
    def is_thread(self) -> bool:
        return self.type in GROUPS

    @property
    def gate(self) -> str:
        """The channel that allow-lists name."""
        return self.parent if self.is_thread else self.id


@value
class Place:
    """Where to post: a channel, and the message there that is answered ("" none)."""

    channel: str
    answers: str = ""


class Rooms:
    """What is known of the channels of one bot. `me`: its user id; `roles`: the roles that stand for it in its servers; `operators`: the
    channel where operators work, "" for none."""

    def __init__(
        self, wire: Wire, clock: Clock, me: str, account: str, *, has_threads: bool, operators: str = ""
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._account = account
        self._has_threads = has_threads
        self.me = me
        self.operators = operators
        self.roles: set[str] = set()
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()  # questions that cannot have a thread
        self._opening: dict[str, asyncio.Lock] = {}

    def learn(self, channels: Iterable[Channel], space: str = "") -> None:
        for channel in channels:
            person = channel.recipients[0].id if channel.recipients else ""
            self._keep(
                Room(channel.id, channel.type, channel.guild_id or space, channel.parent_id, channel.owner_id, person)
            )

    def learn_guild(self, guild: Guild) -> None:
        self.learn([*guild.channels, *guild.threads], guild.id)
        self.roles |= {role.id for role in guild.roles if role.tags is not None and role.tags.bot_id == self.me}

    def forget(self, id_: str) -> None:
        self._rooms.pop(id_, None)

    def known(self, id_: str) -> Room | None:
        return self._rooms.get(id_)

    async def room(self, id_: str, *, is_direct: bool = False, person: str = "", space: str = "") -> Room:
        """Where Discord does not tell: a plain channel of the server `space`, or, where that is "" or operators may work there, a
        CallFailure."""
        room = self._rooms.get(id_)
        if room is None and is_direct and person:
            room = self._keep(Room(id_, DIRECT, person=person))
        if room is None:
            room = await self._ask(id_, space)
        return room

    async def _ask(self, id_: str, space: str) -> Room:
        try:
            self.learn([_channel(await patiently(self._clock, lambda: self._wire.get_channel(id_)))])
        except CallFailure as failure:
            if not space or self._may_be_desk(space, failure):
                raise
            log.info("what channel %s is could not be asked: %s", id_, failure)
            return Room(id_, _PLAIN, space)  # asked again the next time
        return self._rooms[id_]

    def _may_be_desk(self, space: str, failure: CallFailure) -> bool:
        """What operators say never passes for a question: an unknown place in their server may be a thread of theirs."""
        desk = self._rooms.get(self.operators)
        is_near = bool(self.operators) and (desk is None or desk.space == space)
        return is_near and not isinstance(failure, Rejected)

    def address(self, room: Room, message: str) -> Address:
        """Where a message of this room belongs; "" for no message: the room itself."""
        if room.is_thread:
            return Address("discord", self._account, room.parent, room.id)
        if room.is_direct or not self.begins_threads(room):
            return Address("discord", self._account, room.id)
        return Address("discord", self._account, room.id, message)

    def begins_threads(self, room: Room) -> bool:
        return self._has_threads and room.type in TEXTS and room.id != self.operators

    def is_desk(self, room: Room) -> bool:
        """Whether operators work there: in their channel, or in one of its threads."""
        return bool(self.operators) and not room.is_direct and room.gate == self.operators

    def desk(self, thread: str = "") -> Address:
        """The operators' channel, or the thread of a card in it."""
        return Address("discord", self._account, self.operators, thread)

    def has_thread(self, message: str) -> bool:
        room = self._rooms.get(message)
        return room is not None and room.is_thread

    # --- threads ---------------------------------------------------------------------------------------------------

    async def place(self, to: Address, text: str = "") -> Place:
        """Where to post for this address; a thread that is not there yet is begun, named after `text`, the question. Raises
        CallFailure."""
        if not to.thread or self.has_thread(to.thread):
            return Place(to.thread or to.chat)
        if to.thread in self._closed:
            return Place(to.chat, to.thread)
        async with self._opening.setdefault(to.thread, asyncio.Lock()):
            try:
                is_open = self.has_thread(to.thread) or await self._is_there(to) or await self._begin(to, text)
            finally:
                self._opening.pop(to.thread, None)
        return Place(to.thread) if is_open else Place(to.chat, to.thread)

    async def _is_there(self, to: Address) -> bool:
        try:
            raw = await self._wire.get_channel(to.thread)
        except Rejected as rejected:
            if rejected.status == 401:
                raise
            return False
        try:
            self.learn([Channel.model_validate(raw)])
        except Malformed:
            return False
        return self.has_thread(to.thread)

    async def _words(self, to: Address) -> str:
        try:
            words = Said.model_validate(await self._wire.get_message(to.chat, to.thread)).content or ""
        except (CallFailure, Malformed):
            return ""
        return _MARKS.sub("", words) if to.chat == self.operators else words

    async def _begin(self, to: Address, text: str) -> bool:
        name = text or await self._words(to)
        route = Route(
            "POST", "/channels/{channel_id}/messages/{message_id}/threads", channel_id=to.chat, message_id=to.thread
        )
        body = {"name": title(name), "auto_archive_duration": _ARCHIVE_MINUTES}
        try:
            made = await self._wire.request(route, json=body)
        except (Rejected, Uncertain) as failure:
            is_there = isinstance(failure, Uncertain) or failure.code == THREAD_EXISTS
            if is_there and await self._is_there(to):
                return True
            log.warning("no thread can begin in channel %s: %s", to.chat, failure)
            self._closed[to.thread] = None
            if len(self._closed) > _MOST:
                self._closed.popitem(last=False)
            return False
        self.learn([_channel(made)])
        return True

    async def reopened(self, to: Address) -> Place:
        """Where to post after the thread turned out to be archived, or gone: in it, in a new one, or where that may not be, in answer to the
        message it began from. Raises CallFailure."""
        route = Route("PATCH", "/channels/{channel_id}", channel_id=to.thread)
        try:
            await self._wire.request(route, json={"archived": False})
        except Rejected as rejected:
            if rejected.code == UNKNOWN_CHANNEL:
                self.forget(to.thread)
                return await self.place(to)
            log.warning("the thread %s cannot be opened again: %s", to.thread, rejected)
            return Place(to.chat, to.thread)
        return Place(to.thread)

    async def begin_soon(self, to: Address, text: str) -> None:
        """Begins the thread of a question before there is an answer; where that fails, the answer tries again."""
        try:
            await self.place(to, text)
        except CallFailure as failure:
            log.info("the thread of a question begins later: %s", failure)

    def _keep(self, room: Room) -> Room:
        old = self._rooms.get(room.id)
        if old is not None:
            room = Room(
                room.id,
                room.type,
                room.space or old.space,
                room.parent or old.parent,
                room.owner or old.owner,
                room.person or old.person,
            )
        self._rooms[room.id] = room
        self._rooms.move_to_end(room.id)
        if len(self._rooms) > _MOST:
            self._rooms.popitem(last=False)
        return room


def _channel(raw: object) -> Channel:
    """Raises Uncertain for an answer that is no channel."""
    try:
        return Channel.model_validate(raw)
    except Malformed as error:
        raise Uncertain("Discord's answer is no channel") from error


def title(text: str) -> str:
    """The name of a thread: the question's first words."""
    line = " ".join(_NO_NAME.sub("", text).split())
    if len(line) <= _NAME_CHARS:
        return line or "Question"
    return line[:_NAME_CHARS].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"
