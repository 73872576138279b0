"""What one turn reads of a conversation, and what it is to do with it: decided from committed rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto

from bot.conversations import Reading, Working
from bot.ending import reply_id
from bot.handoff.orders import RETURNED
from bot.handoff.words import CANCEL
from bot.model import AGENT_OWNER, PERSON_BUTTON, ROOM, CaseId, Message, MessageId, TurnId, Visibility
from bot.preparing import is_prepared
from bot.store.records import Inbound
from bot.tools import Caller
from bot.tools.consent import is_decision

_ALONE = frozenset({PERSON_BUTTON.id, CANCEL, RETURNED})


class Action(Enum):
    """What a turn does with what it read."""

    ANSWER = auto()
    NOTE_WISH = auto()  # the person asked for a person by the button
    HEAR = auto()  # a person is awaited, or has the conversation
    COMMAND = auto()  # it was written in an operators' room
    RECORD = auto()  # nothing to say: the person wants no messages, or everything was deleted


def route(batch: "Batch") -> Action:
    """Decides, from committed rows alone."""
    conversation = batch.conversation
    if conversation.kind == ROOM:
        return Action.COMMAND
    if conversation.is_stopped:
        return Action.RECORD
    if conversation.owner != AGENT_OWNER or CANCEL in batch.pressed:
        return Action.HEAR
    if PERSON_BUTTON.id in batch.pressed:
        return Action.NOTE_WISH
    return Action.RECORD if batch.is_deleted else Action.ANSWER


class Batch:
    """The unhandled messages of one turn: all of them, growing while it runs; or, before the last try, the first alone.

    `conversation` is as the turn found it: its owner and version are what the turn may act on, whatever arrives meanwhile. What is said of
    the messages `read` is of those that the turn covers now."""

    read: list[Inbound]
    last: Inbound
    case: CaseId  # the one that the turn belongs to; "" before there is one
    pressed: set[str]  # the buttons; "" for what was written
    has_files: bool
    is_deleted: bool  # all of it
    changed: int  # the sum of the rows' changed_ms

    def __init__(self, turn: TurnId, started_ms: int, working: Working, tries: int, reading: Reading) -> None:
        unhandled = working.unhandled
        self.turn = turn
        self.started_ms = started_ms
        self.working = working
        self.reading = reading
        self.conversation = working.conversation
        self.first = unhandled[0]
        self.is_last_try = self._is_alone = self.first.attempts >= tries - 1
        self.reply_id = reply_id(self.first.message.id)
        for inbound in unhandled:
            self._is_alone |= inbound.attempts >= tries - 1
        self.read = []
        self._take()

    def renew(self, messages: Mapping[MessageId, Message]) -> None:
        """What has been fetched and written down of the messages stands in them now."""
        unhandled = self.working.unhandled
        for place, inbound in enumerate(unhandled):
            if (message := messages.get(inbound.message.id)) is not None:
                unhandled[place] = replace(inbound, message=message)
        self._take()

    def joined(self) -> Sequence[Message]:
        """What a model is to be asked now. Raises Conflict when a message was changed: a rerun reads it as it is."""
        self.reading.asking()
        if len(self.read) != len(self.working.unhandled):
            self._take()
        if len(self.read) == 1:
            return (_shown(self.last),)
        return [_shown(i) for i in sorted(self.read, key=lambda i: (i.sent_ms or i.message.at_ms, i.message.seq))]

    def _take(self) -> None:
        """What has arrived since the turn began is left to the next where files have to be fetched first, and where it decides on an action,
        which is carried out when a turn begins."""
        self.read = self.working.unhandled[:1] if self._is_alone else self._prepared()
        self.last = self.read[-1]
        self.case = self.last.message.case or self.conversation.case
        self.pressed, self.has_files, self.is_deleted, self.changed = set(), False, True, 0
        for inbound in self.read:
            self.pressed.add(inbound.button)
            self.has_files |= bool(inbound.message.attachments)
            self.is_deleted &= inbound.message.is_deleted
            self.changed += inbound.changed_ms

    def _prepared(self) -> list[Inbound]:
        unhandled, covered = self.working.unhandled, len(self.read)
        if len(unhandled) in (1, covered):
            return unhandled[:]
        alone = unhandled[0].button if unhandled[0].button in _ALONE else ""  # which is noted by a turn of its own
        for place, each in enumerate(unhandled):
            if (each.button if each.button in _ALONE else "") != alone:
                return unhandled[:place]
            if covered and place >= covered and (is_decision(each.button) or not is_prepared(each.message)):
                return unhandled[:place]
        return unhandled[:]

    def caller(self) -> Caller:
        """On whose behalf the turn calls now: with every message that joins it, this may change."""
        speakers = {inbound.identity for inbound in self.read}
        speaker = speakers.pop() if len(speakers) == 1 else ""
        return Caller(self.conversation.id, self.case, speaker, self.reply_id, self.turn, self.conversation.agent)


def _shown(inbound: Inbound) -> Message:
    """As a model reads it: what wakes the agent after a return is no note to it."""
    message = inbound.message
    return replace(message, visibility=Visibility.PUBLIC) if inbound.button == RETURNED else message
