"""From a person's message to the one event that it is, and into the house."""

import logging
import re
from typing import Final

from adapters.admission import Gate, Speaker
from adapters.rendering import chosen, coded
from adapters.whatsapp import Account
from adapters.whatsapp.inbound import Inbound, contact_choice, verdict
from adapters.whatsapp.memory import Memory, Offer
from bot.errors import Refused
from bot.model import (
    Address,
    Author,
    Bookmark,
    Button,
    ButtonPressed,
    ContactChosen,
    Event,
    FeedbackGiven,
    Identity,
    Message,
    MessageId,
    MessageReceived,
    Seq,
    Visibility,
)
from bot.ports import Host

CHANNEL: Final = "whatsapp"
UNREADABLE: Final = (
    "This kind of message cannot be read here. Please write it as text, or send a picture or a document."
)
_LOOK_BACK: Final = 50  # messages in which a button is looked for
_CODE: Final = re.compile("[0-9]{6}")
_SECOND_MS: Final = 1_000  # Twilio's lists tell time in whole seconds
_READ: Final = "read"  # the bookmark of what was no message
_MOST_READ: Final = 100  # Sids in it

log = logging.getLogger(__name__)


class Reading:
    """One account's."""

    def __init__(self, settings: Account, account: str, host: Host, memory: Memory) -> None:
        self._settings = settings
        self._account = account
        self._host = host
        self._memory = memory
        self._gate = Gate(settings.allow, host.clock, host.limits.messages_per_minute)
        self._read: list[str] | None = None

    def address(self, chat: str) -> Address:
        return Address(CHANNEL, self._account, chat)

    async def take(self, inbound: Inbound, *, is_paced: bool = True) -> str:
        """Returns after the commit, with what is to be said to the person at once ("" for nothing). Safe to repeat.

        Raises StoreUnavailable or Overloaded: nothing is stored, and the platform has to repeat it."""
        speaker = Speaker(inbound.number, is_direct=True, is_own=inbound.sender == self._settings.sender)
        if (
            not inbound.sid
            or not self._gate.admits(speaker)
            or (is_paced and not self._is_within_pace(inbound, speaker))
        ):
            return ""
        self._memory.done.set(inbound.sid, True)
        try:
            notice = await self._hand_over(inbound)
        except BaseException:
            self._memory.done.drop(inbound.sid)
            raise
        self._memory.heard.set(inbound.sender, inbound.sid)
        return notice

    async def is_known(self, sid: str) -> bool:
        """Whether this was certainly taken, and read as something that the house does not dedupe as a message."""
        return sid in self._memory.done or sid in await self._events_read()

    def _is_within_pace(self, inbound: Inbound, speaker: Speaker) -> bool:
        """Asked once for a message, however often it is delivered."""
        is_within = self._memory.paced.get(inbound.sid)
        if is_within is None:
            is_within = self._gate.paces(speaker)
            self._memory.paced.set(inbound.sid, is_within)
            if not is_within:
                log.warning("a person writes too fast; message %s is not answered", inbound.sid)
        return is_within

    async def _hand_over(self, inbound: Inbound) -> str:
        sender = Identity(CHANNEL, self._account, inbound.number, inbound.name, verified=True)
        at = self.address(inbound.sender)
        special = await self._special(inbound, sender, at)
        if special is not None:
            try:
                await self._host.receive(special, await self._bookmark(inbound.sid))
            except Refused as refused:
                log.info("%s is read as a message: %s", type(special).__name__, refused.code)
            else:
                return ""
        if inbound.is_empty:
            return UNREADABLE
        message = MessageReceived(
            sender, at, inbound.sid, inbound.text, files=inbound.files, sent_at_ms=inbound.sent_at_ms
        )
        try:
            await self._host.receive(message)
        except Refused as refused:
            return refused.detail
        return ""

    async def _special(self, inbound: Inbound, sender: Identity, at: Address) -> Event | None:
        """What it is when it is not a message."""
        pressed = await self._pressed(inbound, at)
        if pressed is not None:
            return ButtonPressed(sender, at, inbound.sid, *pressed)
        choice = contact_choice(inbound, inbound.is_yes and await self._is_stopped(at))
        if choice is not None:
            return ContactChosen(sender, at, inbound.sid, choice, inbound.text)
        value = verdict(inbound)
        return await self._judged(inbound, sender, at, value) if value else None

    async def _is_stopped(self, at: Address) -> bool:
        conversation = (await self._host.history(at, Seq(0), 1)).conversation
        return conversation is not None and conversation.is_stopped

    # --- buttons ---------------------------------------------------------------------------------------------------

    async def _pressed(self, inbound: Inbound, at: Address) -> tuple[MessageId, str] | None:
        if inbound.button:
            return await self._tapped(inbound, at)
        if inbound.files or not inbound.text.strip():
            return None
        offer = await self._offer(at)
        is_later = not inbound.sent_at_ms or inbound.sent_at_ms + _SECOND_MS > offer.at_ms  # of a gap, it may be older
        button = chosen(inbound.text, offer.buttons) if offer.buttons and is_later else None
        return (offer.message, button.id) if button else await self._coded(inbound, at)

    async def _coded(self, inbound: Inbound, at: Address) -> tuple[MessageId, str] | None:
        """A code counts whatever was said since it was given."""
        if not _CODE.fullmatch(inbound.text.strip()):
            return None
        for message in reversed(await self._messages(at)):
            if button := coded(inbound.text, message.buttons):
                return message.id, button.id
        return None

    async def _tapped(self, inbound: Inbound, at: Address) -> tuple[MessageId, str] | None:
        """The newest button with that label, in the message that was answered where that is known."""
        key = self._memory.letters.key(inbound.reply_to)
        for message in reversed(await self._messages(at)):
            button = _labelled(message.buttons, inbound.button)
            if button and (key is None or key[0] == message.id):
                return message.id, button.id
        return None

    async def _offer(self, at: Address) -> Offer:
        known = self._memory.offers.get(at.chat)
        if known is None:
            newest = next((each for each in reversed(await self._messages(at)) if each.author is not Author.USER), None)
            known = Offer(newest.id, newest.buttons, newest.at_ms) if newest else Offer(MessageId(""))
            self._memory.offers.set(at.chat, known)
        return known

    # --- verdicts --------------------------------------------------------------------------------------------------

    async def _judged(self, inbound: Inbound, sender: Identity, at: Address, value: str) -> FeedbackGiven | None:
        """On the message that was answered; where none was, on the newest answer."""
        if inbound.reply_to:
            key = self._memory.letters.key(inbound.reply_to)
            return FeedbackGiven(sender, at, value, key[0] if key else None, external_id=inbound.reply_to)
        for message in reversed(await self._messages(at)):
            if message.author is Author.AGENT:
                return FeedbackGiven(sender, at, value, message.id)
        return None

    async def _messages(self, at: Address) -> list[Message]:
        transcript = await self._host.history(at, Seq(0), _LOOK_BACK)
        return [each for each in transcript.messages if each.visibility is Visibility.PUBLIC]

    # --- what was read as no message -------------------------------------------------------------------------------

    async def _events_read(self) -> list[str]:
        if self._read is None:
            self._read = (await self._host.bookmarks()).get(_READ, "").split()
        return self._read

    async def _bookmark(self, sid: str) -> Bookmark:
        """Kept with the event: when the list of messages is gone through after a gap, it is not read as something else."""
        read = [each for each in await self._events_read() if each != sid]
        self._read = [*read, sid][-_MOST_READ:]
        return Bookmark(_READ, " ".join(self._read))


def _labelled(buttons: tuple[Button, ...], label: str) -> Button | None:
    return next((button for button in buttons if button.label == label), None)
