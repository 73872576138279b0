"""What people do on Discord becomes events of the house: messages, edits, deletions, verdicts.

Each method takes one event as the gateway sent it, now or after a gap, and returns when the house has it. Nothing is asked of a cache that
a new process would not have.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import Final, TypeVar

from adapters.admission import Gate, Speaker
from adapters.discord import translate
from adapters.discord.calls import CallFailure, Rejected, patiently
from adapters.discord.echoes import Echoes
from adapters.discord.faults import CONTENT, MAY_READ, no_content
from adapters.discord.payloads import (
    DIRECT,
    SPOKEN,
    Application,
    Reaction,
    Removed,
    Said,
    Typing,
    User,
    time_ms,
)
from adapters.discord.posts import Posts, said
from adapters.discord.rooms import Place, Room, Rooms
from adapters.discord.text import plain
from adapters.discord.wire import Wire
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import (
    Accepted,
    Address,
    Bookmark,
    Event,
    FeedbackGiven,
    Heard,
    Identity,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    TypingSeen,
)
from bot.ports import ChannelState, Host

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")
Marked = Callable[[], Bookmark | None]
Spawn = Callable[[Coroutine[None, None, None]], object]

_WAITS_S: Final = (0.2, 1.0, 3.0, 10.0)
_EARLIER: Final = 50  # messages of a thread that are read when we are addressed in it
_MOST: Final = 20_000  # messages whose authors, and addresses that, are remembered
_ASK_AGAIN_S: Final = 60.0


class Inbound:
    """One account's way in. `gate` is asked for every event; `places` for those whose author Discord does not name."""

    def __init__(
        self,
        host: Host,
        account: str,
        wire: Wire,
        rooms: Rooms,
        posts: Posts,
        echoes: Echoes,
        gate: Gate,
        places: Gate,
        spawn: Spawn,
    ) -> None:
        self._host = host
        self._account = account
        self._wire = wire
        self._rooms = rooms
        self._posts = posts
        self._echoes = echoes
        self._gate = gate
        self._places = places
        self._spawn = spawn
        self._authors: OrderedDict[str, Identity] = OrderedDict()
        self._edits: OrderedDict[str, str] = OrderedDict()
        self._urls: OrderedDict[str, str] = OrderedDict()
        self._spoken: OrderedDict[Address, None] = OrderedDict()
        self._asked_at = -_ASK_AGAIN_S

    def remember(self, addresses: Iterable[Address]) -> None:
        """Where we are in a conversation: edits and deletions there are told."""
        for address in addresses:
            _keep(self._spoken, address, None)

    def url_of(self, source: str) -> str:
        """Where Discord said that a file is, when its message came; "" where that is not known (any more)."""
        return self._urls.get(source, "")

    async def receive(self, event: Event, marked: Marked) -> Accepted:
        """Hands an event over until it is stored. Raises Refused."""
        tried = 0
        while True:
            try:
                return await self._host.receive(event, marked())
            except Overloaded as failure:
                wait_s = failure.retry_after_s
            except StoreUnavailable:
                wait_s = _WAITS_S[min(tried, len(_WAITS_S) - 1)]
            tried += 1
            await self._host.clock.sleep(wait_s)

    # --- messages --------------------------------------------------------------------------------------------------

    async def message(self, one: Said, marked: Marked) -> None:
        user = one.author
        if user is None or one.type not in SPOKEN:
            return
        if user.id == self._rooms.me:
            if one.nonce:
                self._echoes.told(str(one.nonce), one.id)
            return
        room = await self._room(one.channel_id, one.guild_id, user.id)
        is_program = user.bot or user.system or bool(one.webhook_id)
        if self._rooms.is_desk(room):
            if not is_program:
                await self._take_line(one, room, marked)
            return
        if not self._gate.admits(self.speaker(user.id, room, one.guild_id, is_bot=is_program)):
            return
        if one.is_bare:
            await self._check_content()
            return
        if not translate.is_addressed(one, room, self._rooms.me, self._rooms.roles):
            return
        if self._gate.paces(self.speaker(user.id, room, one.guild_id)):
            await self._take(one, room, marked)

    async def _take(self, one: Said, room: Room, marked: Marked) -> None:
        at = self._rooms.address(room, one.id)
        event = await self._event(one, room, at)
        _keep(self._authors, one.id, event.sender)
        for file, attachment in zip(event.files, one.attachments, strict=False):
            _keep(self._urls, file.source, attachment.url)
        self.remember([at])
        begins = at.thread == one.id and self._rooms.begins_threads(room)
        try:
            accepted = await self.receive(event, marked)
        except Refused as refused:
            self._spawn(self._tell(Place(room.id, "" if room.is_direct else one.id), one.id, refused.detail))
            return
        if begins and not accepted.is_duplicate:
            self._spawn(self._rooms.begin_soon(at, event.text))

    async def _take_line(self, one: Said, room: Room, marked: Marked) -> None:
        """What an operator writes: always taken, whoever they are; the house knows."""
        if one.is_bare:
            await self._check_content()
            return
        assert one.author is not None  # noqa: S101 - looked at before
        sender = translate.identity(self._account, one.author, one.member)
        text = translate.line_of(one, self._rooms.me, self._rooms.roles)
        files = translate.files_of(one, self._host.limits.uploads_per_message)
        at = self._rooms.desk(room.id if room.is_thread else translate.card_of(one, self._rooms.me))
        for file, attachment in zip(files, one.attachments, strict=False):
            _keep(self._urls, file.source, attachment.url)
        try:
            await self.receive(MessageReceived(sender, at, one.id, text, (), one.sent_ms, files), marked)
        except Refused as refused:
            self._spawn(self._tell(Place(room.id, one.id), one.id, refused.detail))

    async def _event(self, one: Said, room: Room, at: Address) -> MessageReceived:
        assert one.author is not None  # noqa: S101 - looked at before
        sender = translate.identity(self._account, one.author, one.member)
        text = translate.text_of(one, self._rooms.me, self._rooms.roles)
        files = translate.files_of(one, self._host.limits.uploads_per_message)
        before = await self._before(one, room)
        return MessageReceived(sender, at, one.id, text, (), one.sent_ms, files, before, not room.is_direct)

    async def _before(self, one: Said, room: Room) -> tuple[Heard, ...]:
        """What was said in a thread that is not ours before we were addressed in it, or the message that was answered by addressing us."""
        earlier = [one.referenced_message] if one.referenced_message is not None else []
        if room.is_thread and room.owner != self._rooms.me:
            try:
                page = await patiently(
                    self._host.clock, lambda: self._wire.logs_from(room.id, _EARLIER, before=one.id), tries=2
                )
                found = [said(raw) for raw in page]
                earlier = [
                    message.referenced_message or message for message in found
                ]  # a thread begins with a reference
            except CallFailure as failure:
                log.info("what was said before in a thread is not known: %s", failure)
        elif room.is_direct or room.is_thread:
            return ()
        told = {
            message.id: translate.heard(self._account, message, self._rooms.me, self._rooms.roles)
            for message in earlier
        }
        return tuple(heard for _, heard in sorted(told.items(), key=lambda item: int(item[0])) if heard is not None)

    async def edited(self, one: Said, marked: Marked) -> None:
        """A changed text. Discord sends the same when it has looked up a link, and for pins: those change no text."""
        if not one.edited_timestamp or one.content is None or self._edits.get(one.id) == one.edited_timestamp:
            return
        if one.author is None:
            one = await self._with_author(one)
        user = one.author
        if user is None or user.id == self._rooms.me or one.type not in SPOKEN:
            return
        room = await self._room(one.channel_id, one.guild_id, user.id)
        at = self._rooms.address(room, one.id)
        is_program = user.bot or bool(one.webhook_id)
        if (
            self._rooms.is_desk(room)
            or not self._is_ours(room, at)
            or not self._gate.admits(self.speaker(user.id, room, one.guild_id, is_bot=is_program))
        ):
            return
        _keep(self._edits, one.id, one.edited_timestamp)
        sender = translate.identity(self._account, user, one.member)
        text = translate.text_of(one, self._rooms.me, self._rooms.roles)
        await self._receive_quietly(
            MessageEdited(sender, at, one.id, text, time_ms(one.edited_timestamp) or self._host.clock.now_ms()), marked
        )

    async def _with_author(self, one: Said) -> Said:
        known = self._authors.get(one.id)
        if known is not None:
            return one.model_copy(update={"author": User(id=known.external_id, username=known.name)})
        whole = said(await self._wire.get_message(one.channel_id, one.id))
        return whole.model_copy(update={"channel_id": one.channel_id, "guild_id": one.guild_id})

    async def removed(self, removed: Removed, marked: Marked) -> None:
        ids = [one for one in (removed.ids or [removed.id]) if not self._echoes.is_ours(one)]
        if not ids:
            return
        try:
            room = await self._rooms.room(removed.channel_id)
        except Rejected:  # the whole channel is gone: a thread of a question is known by its address all the same
            if removed.guild_id:
                return
            room = Room(removed.channel_id, DIRECT)
        if self._rooms.is_desk(room):
            return
        for id_ in ids:
            at = self._rooms.address(room, id_)
            sender = self._authors.get(id_) or Identity("discord", self._account, room.person)
            speaker = self.speaker(sender.external_id or "0", room, removed.guild_id)
            gate = self._gate if sender.external_id else self._places
            if self._is_ours(room, at) and gate.admits(speaker):
                now_ms = self._host.clock.now_ms()
                await self._receive_quietly(MessageDeleted(sender, at, id_, now_ms), marked)

    async def reacted(self, reaction: Reaction, marked: Marked) -> None:
        value = translate.verdict(reaction.emoji.name)
        author = reaction.message_author_id or (self._rooms.me if self._echoes.is_ours(reaction.message_id) else "")
        if not value or author not in ("", self._rooms.me):
            return
        room = await self._room(reaction.channel_id, reaction.guild_id, reaction.user_id)
        if self._rooms.is_desk(room):
            return
        is_program = reaction.member is not None and reaction.member.user is not None and reaction.member.user.bot
        if not self._gate.admits(self.speaker(reaction.user_id, room, reaction.guild_id, is_bot=is_program)):
            return
        at = await self.address_of(room, reaction.message_id)
        sender = Identity("discord", self._account, reaction.user_id, verified=True)
        await self._receive_quietly(FeedbackGiven(sender, at, value, external_id=reaction.message_id), marked)

    async def typing(self, typing: Typing) -> None:
        room = self._rooms.known(typing.channel_id)
        if room is None or typing.guild_id:
            return
        if self._gate.admits(self.speaker(typing.user_id, room, "")):
            await self._receive_quietly(TypingSeen(self._rooms.address(room, "")), lambda: None)

    # --- what all of them need -------------------------------------------------------------------------------------

    async def _room(self, channel: str, space: str, person: str) -> Room:
        return await self._rooms.room(channel, is_direct=not space, person=person, space=space)

    def speaker(self, person: str, room: Room, space: str, *, is_bot: bool = False) -> Speaker:
        return Speaker(
            person,
            space or room.space,
            "" if room.is_direct else room.gate,
            is_direct=room.is_direct,
            is_bot=is_bot,
            is_own=person == self._rooms.me,
        )

    async def address_of(self, room: Room, ours: str, answers: str = "") -> Address:
        """The conversation of a message of ours. In a channel itself it is that of the question which it answers."""
        if not self._rooms.begins_threads(room):
            return self._rooms.address(room, ours)
        if not answers:
            answers = await self._answered(room, ours)
        return self._rooms.address(room, answers)

    async def _answered(self, room: Room, ours: str) -> str:
        """The question to which a message of ours in a channel is the reply; that message itself where Discord names none."""
        try:
            message = said(await patiently(self._host.clock, lambda: self._wire.get_message(room.id, ours)))
        except Rejected as rejected:
            log.info("what a message of ours answers is not known: %s", rejected)
            return ours
        return message.message_reference.message_id if message.message_reference else ours

    async def _tell(self, place: Place, about: str, sentence: str) -> None:
        try:
            await self._posts.tell(place, about, plain(sentence))
        except CallFailure as failure:
            log.info("a person was not told why a message was refused: %s", failure)

    def _is_ours(self, room: Room, at: Address) -> bool:
        return room.is_direct or at in self._spoken or (bool(at.thread) and self._is_own_thread(at.thread))

    def _is_own_thread(self, thread: str) -> bool:
        room = self._rooms.known(thread)
        return room is not None and room.owner == self._rooms.me

    async def _receive_quietly(self, event: Event, marked: Marked) -> None:
        try:
            await self.receive(event, marked)
        except Refused as refused:
            log.debug("not taken: %s", refused)

    async def _check_content(self) -> None:
        """A message without anything in it came: raises ChannelFault where that is because of how the bot is set up."""
        now = self._host.clock.monotonic()
        if now - self._asked_at < _ASK_AGAIN_S:
            return
        self._asked_at = now
        try:
            application = Application.model_validate(await patiently(self._host.clock, self._wire.application_info))
        except Rejected as rejected:
            log.info("how the bot is set up could not be asked: %s", rejected)
        else:
            if not application.flags & CONTENT:
                raise no_content()
        self._host.report(ChannelState.UP, f"a message came without its text; it was not answered. {MAY_READ}")


def _keep(table: OrderedDict[K, V], key: K, item: V) -> None:
    table[key] = item
    table.move_to_end(key)
    if len(table) > _MOST:
        table.popitem(last=False)
