"""Slash commands, and what is pressed under our messages.

Discord wants a first answer within 3 seconds and takes further ones for 15 minutes, so everything is deferred at once; the event then
takes its turn among those of its channel, and what became of it is said afterwards.
"""

import asyncio
import logging
import re
from typing import Final

from adapters.admission import Gate
from adapters.discord import components, translate
from adapters.discord.calls import CallFailure, Rejected, patiently
from adapters.discord.inbound import Inbound, Marked
from adapters.discord.operators import COMMAND, COMPONENT, OperatorsRoom
from adapters.discord.payloads import GROUPS, Interaction, Said, User, known_ms
from adapters.discord.posts import said
from adapters.discord.replies import CHANGE_LATER, MESSAGE_LATER, Replies
from adapters.discord.rooms import Room, Rooms
from adapters.discord.text import draft_of, plain
from adapters.discord.wire import Wire
from bot.errors import Refused
from bot.model import (
    Address,
    ButtonPressed,
    CaseEnded,
    Event,
    FeedbackGiven,
    ForgetRequested,
    Identity,
    MessageReceived,
    PassageId,
    PersonRequested,
    Seq,
)
from bot.ports import Host

log = logging.getLogger(__name__)

_LINK: Final = re.compile(r"https?://[^\s<>]{1,200}")
_LOOK_S: Final = 1.0  # of the 3 seconds, to find out where an interaction happened
_ASKING: Final = frozenset({"ask", "human"})
_NOT_HERE: Final = "I do not answer here."
_IN_THREAD: Final = "Use this in the thread of your question, or in direct messages."
_DONE: Final = {
    "human": "A person has been asked for.",
    "done": "Thank you. Your next message begins a new question.",
    "forget": "Your request to be forgotten has been noted.",
}


class Interactions:
    """One account's interactions."""

    def __init__(
        self, host: Host, account: str, replies: Replies, wire: Wire, rooms: Rooms, gate: Gate, inbound: Inbound
    ) -> None:
        self._host = host
        self._account = account
        self._replies = replies
        self._wire = wire
        self._rooms = rooms
        self._gate = gate
        self._inbound = inbound
        self._operators = OperatorsRoom(account, rooms, inbound, replies, gate, self._room)

    async def begin(self, one: Interaction) -> bool:
        """Defers, at once. False: it is not taken any further, for it came too late, or from somebody who is not answered here."""
        if self._operators.concerns(one):
            return await self._operators.begin(one)
        user = one.person
        if user is None or not one.room_id or one.type not in (COMMAND, COMPONENT):
            return False
        room = await self._room(one, user)
        if self._rooms.is_desk(room) and not _is_source(one):
            await self._replies.tell(one, _NOT_HERE)
            return False
        is_admitted = self._gate.admits(self._inbound.speaker(user.id, room, one.guild_id, is_bot=user.bot))
        kind, is_private = _first_answer(one, is_public=is_admitted and self._is_public(one, room))
        is_there = await self._replies.defer(one, kind, is_private=is_private)
        if is_there and not is_admitted:
            await self._replies.say(one, _NOT_HERE, is_private=kind == CHANGE_LATER)
        return is_admitted and (is_there or one.type == COMPONENT)

    async def take(self, one: Interaction, begun: asyncio.Task[bool], marked: Marked) -> None:
        if self._operators.concerns(one):
            await self._operators.take(one, begun, marked)
            return
        user = one.person
        if not await begun or user is None:
            return
        room = await self._room(one, user)
        sender = translate.identity(self._account, user, one.member)
        try:
            if one.type == COMMAND:
                await self._command(one, room, sender, marked)
            else:
                await self._press(one, room, sender, marked)
        except Refused as refused:
            await self._replies.say(one, refused.detail, is_private=one.type == COMPONENT)

    # --- commands --------------------------------------------------------------------------------------------------

    async def _command(self, one: Interaction, room: Room, sender: Identity, marked: Marked) -> None:
        name = one.data.name
        if name == "ask" and not self._gate.paces(self._inbound.speaker(sender.external_id, room, one.guild_id)):
            await self._replies.say(one, "You are writing faster than I can read. Please wait a moment.")
            return
        if name == "done" and self._rooms.begins_threads(room):
            await self._replies.say(one, _IN_THREAD)
            return
        at = await self._address(one, room)
        event, echo = _event(one, sender, at, is_shared=not room.is_direct)
        if event is None:
            return
        self._inbound.remember([at])
        accepted = await self._inbound.receive(event, marked)
        await self._replies.say(one, echo)
        if self._begins(one, room) and not accepted.is_duplicate:
            await self._rooms.begin_soon(at, translate.option(one, "question") or "A person is asked for")

    async def _address(self, one: Interaction, room: Room) -> Address:
        """In a channel the thread begins from what Discord shows as our answer to the command."""
        if not self._begins(one, room):
            return self._rooms.address(room, "")
        try:
            shown = said(
                await patiently(self._host.clock, lambda: self._wire.request(self._replies.original("GET", one)))
            )
        except Rejected as rejected:
            log.info("a command is answered in the channel itself: %s", rejected)
            return self._rooms.address(room, "")
        return self._rooms.address(room, shown.id)

    def _begins(self, one: Interaction, room: Room) -> bool:
        return one.data.name in _ASKING and self._rooms.begins_threads(room)

    def _is_public(self, one: Interaction, room: Room) -> bool:
        return one.type == COMMAND and (one.data.name == "ask" or self._begins(one, room))

    # --- what is pressed -------------------------------------------------------------------------------------------

    async def _press(self, one: Interaction, room: Room, sender: Identity, marked: Marked) -> None:
        pressed = components.pressed(one.data.custom_id)
        if pressed is None or one.message is None:
            return
        if pressed.kind == "s":
            await self._passage(one)
            return
        at = await self._inbound.address_of(room, one.message.id, _answered(one.message))
        if pressed.kind == "f":
            await self._inbound.receive(
                FeedbackGiven(sender, at, pressed.detail, pressed.message, external_id=one.message.id), marked
            )
            await self._replies.say(one, "Thank you for telling us.", is_private=True)
            return
        button = await self._button(at, pressed)
        id_ = f"press:{pressed.message}:{button}"  # each button of a message counts once, however often it is pressed
        await self._inbound.receive(ButtonPressed(sender, at, id_, pressed.message, button), marked)

    async def _button(self, at: Address, pressed: components.Pressed) -> str:
        if not pressed.detail.startswith("#"):
            return pressed.detail
        transcript = await self._host.history(at, Seq(0))
        buttons = next((message.buttons for message in transcript.messages if message.id == pressed.message), ())
        button = components.named(pressed.detail, buttons)
        if not button:
            raise Refused("no_message", "That button is no longer there.")
        return button

    async def _passage(self, one: Interaction) -> None:
        if not one.data.values:
            return
        passage = await self._host.passage(PassageId(one.data.values[0]))
        is_link = _LINK.fullmatch(passage.url) is not None
        text = draft_of(f"**{passage.title}**\n\n{passage.text}")
        await self._replies.say(one, f"{text}\n<{passage.url}>" if is_link else text, is_private=True)

    # --- answers ---------------------------------------------------------------------------------------------------

    async def _room(self, one: Interaction, user: User) -> Room:
        """Where it happened; taken for a plain channel where Discord does not tell in time."""
        if one.channel is not None and self._rooms.known(one.room_id) is None and not one.guild_id:
            self._rooms.learn([one.channel])
        operators = self._rooms.operators
        if operators and one.channel and one.channel.type in GROUPS and one.channel.parent_id == operators:
            self._rooms.learn([one.channel], one.guild_id)
        try:
            async with self._host.clock.timeout(_LOOK_S):
                return await self._rooms.room(one.room_id, is_direct=not one.guild_id, person=user.id)
        except (CallFailure, TimeoutError) as failure:
            log.warning("where an interaction happened is not known: %s", failure)
            return Room(one.room_id, 0, one.guild_id)


def _first_answer(one: Interaction, *, is_public: bool) -> tuple[int, bool]:
    """The type of the first answer, and whether only the person sees it."""
    if one.type == COMPONENT:
        return CHANGE_LATER, False
    return MESSAGE_LATER, not is_public


def _is_source(one: Interaction) -> bool:
    pressed = components.pressed(one.data.custom_id)
    return pressed is not None and pressed.kind == "s"


def _event(one: Interaction, sender: Identity, at: Address, *, is_shared: bool) -> tuple[Event | None, str]:
    """What a command asks of the house, and what is shown for it."""
    done = _DONE.get(one.data.name, "")
    match one.data.name:
        case "ask":
            question = translate.option(one, "question")
            asked = MessageReceived(sender, at, one.id, question, sent_at_ms=known_ms(one.id), is_shared=is_shared)
            return asked, _quoted(question)
        case "human":
            return PersonRequested(sender, at, one.id), done
        case "done":
            return CaseEnded(sender, at), done
        case "forget":
            return ForgetRequested(sender, at), done
    return None, ""


def _quoted(question: str) -> str:
    return "\n".join(f"> {line}" for line in plain(question[:1_500]).split("\n"))[:2_000] or "> …"


def _answered(message: Said) -> str:
    return message.message_reference.message_id if message.message_reference else ""
