"""The operators' channel: what they write there, press, fill in or command becomes a line such as `!snooze 2h` at their case's thread.

Who an operator is, and what a line does, the house decides. Nothing of this channel reaches the agent. What Discord has told somebody as
failed is not done: they will do it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from adapters.admission import Gate, Speaker
from adapters.discord import components, forms, translate
from adapters.discord.commands import DESK_NAMES
from adapters.discord.inbound import Inbound, Marked
from adapters.discord.payloads import Interaction, User, known_ms
from adapters.discord.replies import CHANGE_LATER, MESSAGE_LATER, Replies
from adapters.discord.rooms import Room, Rooms
from bot.errors import Refused
from bot.model import Address, Identity, MessageReceived

COMMAND: Final = 2
COMPONENT: Final = 3
FORM: Final = 5
"""Types of interactions: Discord's documentation, "Receiving and Responding"."""

_ELSEWHERE: Final = "This is for operators, in their channel."
_NO_CHANNEL: Final = "No channel for operators is set up."
_RECEIVED: Final = "Received."
_LINK: Final = "link"
_TOO_OFTEN: Final = "Too many tries. Please wait a minute."

FindRoom = Callable[[Interaction, User], Awaitable[Room]]


class OperatorsRoom:
    """One account's operators' channel. `find_room` tells in time where an interaction happened."""

    def __init__(
        self,
        account: str,
        rooms: Rooms,
        inbound: Inbound,
        replies: Replies,
        gate: Gate,
        find_room: FindRoom,
    ) -> None:
        self._account = account
        self._rooms = rooms
        self._inbound = inbound
        self._replies = replies
        self._gate = gate
        self._find_room = find_room

    def concerns(self, one: Interaction) -> bool:
        """Whether an interaction is for operators alone."""
        if one.type == COMMAND:
            return one.data.name in DESK_NAMES
        if one.type == COMPONENT:
            return components.is_desk(one.data.custom_id)
        return one.type == FORM and forms.is_form(one.data.custom_id)

    async def begin(self, one: Interaction) -> bool:
        """Answers at once. False: there is nothing to take any further."""
        user = one.person
        if user is None or user.bot or not one.room_id:
            return False
        room = await self._find_room(one, user)
        refusal = self._refusal(one, room)
        if refusal:
            await self._replies.tell(one, refusal)
            return False
        command = self._asks(one)
        if command:
            await self._replies.open(one, forms.modal(command, self._address(one, room).thread))
            return False
        if one.type == COMPONENT:
            return await self._replies.defer(one, CHANGE_LATER, is_private=False)
        return await self._replies.defer(one, MESSAGE_LATER, is_private=True)

    async def take(self, one: Interaction, begun: asyncio.Task[bool], marked: Marked) -> None:
        user = one.person
        if not await begun or user is None:
            return
        room = await self._find_room(one, user)
        at, line = self._line(one, room)
        sender: Identity = translate.identity(self._account, user, one.member)
        event = MessageReceived(sender, at, one.id, line, sent_at_ms=known_ms(one.id))
        said = _RECEIVED
        try:
            await self._inbound.receive(event, marked)
        except Refused as refused:
            said = refused.detail
        if one.type != COMPONENT:
            await self._replies.say(one, said)
        elif said != _RECEIVED:
            await self._replies.say(one, said, is_private=True)

    def _refusal(self, one: Interaction, room: Room) -> str:
        """Why it is not taken here; "" where it is. Codes are tried no more often than messages are written, wherever that is."""
        if not self._rooms.operators:
            return _NO_CHANNEL
        if self._rooms.is_desk(room):
            return ""
        if one.type != COMMAND or one.data.name != _LINK or one.person is None:
            return _ELSEWHERE
        is_within = self._gate.paces(Speaker(one.person.id, one.guild_id, _LINK))
        return "" if is_within else _TOO_OFTEN

    def _asks(self, one: Interaction) -> str:
        """The command whose form has to be filled in first."""
        if one.type == COMPONENT:
            command = components.command(one.data.custom_id)
            return command if command in forms.FORMS else ""
        is_open = one.type == COMMAND and not _option(one)
        name = one.data.name
        return name if is_open and name in forms.FORMS and forms.FORMS[name].is_needed else ""

    def _line(self, one: Interaction, room: Room) -> tuple[Address, str]:
        if one.type == FORM:
            sent = forms.sent(one.data.custom_id, one.data.components)
            return self._rooms.desk(sent.thread), sent.line
        if one.type == COMPONENT:
            return self._address(one, room), f"!{components.command(one.data.custom_id)}"
        return self._address(one, room), f"!{one.data.name} {_option(one)}".strip()

    def _address(self, one: Interaction, room: Room) -> Address:
        if self._rooms.is_desk(room) and room.is_thread:
            return self._rooms.desk(room.id)
        return self._rooms.desk(translate.root(one.message) if one.message is not None else "")


def _option(one: Interaction) -> str:
    return next((str(option.value).strip() for option in one.data.options), "")
