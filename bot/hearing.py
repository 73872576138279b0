"""Voice messages: written down before a turn answers, unless the model that answers can listen to them itself.

Promises: what was written down is kept in the message together with what it cost, so that no rerun pays again; a message that nobody can listen
to is answered plainly, and never as if it had said nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.agent.ears import Ears
from bot.agent.tries import Attempt, Member
from bot.errors import ModelError, Refused, Remedy
from bot.files import Place, is_missing, renewed, settle
from bot.llm.content import ReadBlob, kind
from bot.llm.transcribe import is_heard
from bot.model import Attachment, Message, MessageId, value
from bot.people.masking import masked
from bot.ports import Clock, Cursor, Store
from bot.store.steps import record_attempts

log = logging.getLogger(__name__)

NO_EARS = "Voice messages cannot be listened to here."
NOT_HEARD = "It could not be listened to."
SILENT = "Nothing that is said can be heard in it."

CANNOT_LISTEN = "I cannot listen to voice messages yet. Please write to me instead."
COULD_NOT_LISTEN = "I am sorry, I could not listen to your voice message. Please write to me instead."
HEARD_NOTHING = "I could not hear anything in your voice message. Please send it again, or write to me instead."
_ANSWERS = {NO_EARS: CANNOT_LISTEN, NOT_HEARD: COULD_NOT_LISTEN, SILENT: HEARD_NOTHING}


@value
class Listener:
    """For whom voice messages are listened to: the turn of an agent, whose models have the names `models` in the order in which they are
    asked. `payer` is the identity on whose budget it goes."""

    agent: str
    models: tuple[str, ...]
    turn: str
    conversation: str
    payer: str


@value
class Heard:
    """What came of it: the messages that have changed, the models that were asked (their cost is on record), and with what the turn
    answers where there was nothing else to read than voice messages nobody could listen to; "" elsewhere."""

    messages: dict[MessageId, Message]
    attempts: tuple[Attempt, ...] = ()
    answer: str = ""


class Hearing:
    """Listens to voice messages. One for the process."""

    def __init__(self, store: Store, clock: Clock, read_blob: ReadBlob, ears: Ears) -> None:
        self._store = store
        self._clock = clock
        self._read_blob = read_blob
        self._ears = ears

    async def listen(self, messages: Sequence[Message], listener: Listener, *, is_last_try: bool) -> Heard:
        """Safe to repeat. Raises ModelError when another try may help, unless this is the last; StoreUnavailable or Overloaded when what
        was heard could not be kept."""
        attempts: list[Attempt] = []
        settled: list[tuple[Place, Attachment | None]] = []
        for message in messages:
            for number, attachment in enumerate(message.attachments):
                if self._is_waiting(attachment, listener):
                    place = Place(message.id, number)
                    now = await self._hear(place, attachment, listener, attempts, is_last_try=is_last_try)
                    settled.append((place, now))
        changed = renewed(messages, settled)
        return Heard(changed, tuple(attempts), _answer([changed.get(each.id, each) for each in messages]))

    def _is_waiting(self, attachment: Attachment, listener: Listener) -> bool:
        """Whether it is a voice message that nobody has listened to, and that the models cannot listen to themselves."""
        if not is_unheard(attachment):
            return False
        models = self._ears.members(listener.models)
        asked = models[:1] if self._ears.can_hear(listener.agent) else models
        return not any(_listens(member, attachment) for member in asked)

    async def _hear(
        self, place: Place, was: Attachment, listener: Listener, attempts: list[Attempt], *, is_last_try: bool
    ) -> Attachment | None:
        asked: list[Attempt] = []
        failure: ModelError | None = None
        try:
            now = await self._heard(was, listener, asked)
        except Refused as error:
            now = replace(was, problem=error.detail)
        except ModelError as error:
            log.warning("a voice message could not be listened to: %s", error)
            now = replace(was, problem=NOT_HEARD)
            if error.fault.remedy is Remedy.RETRY and not is_last_try:
                now, failure = was, error
        kept = await self._store.run(keep, place, was, now, listener, asked, self._clock.now_ms())
        attempts.extend(asked)
        if failure is not None:
            raise failure
        return kept

    async def _heard(self, was: Attachment, listener: Listener, asked: list[Attempt]) -> Attachment:
        if not self._ears.can_hear(listener.agent):
            return replace(was, problem=NO_EARS)

        async def read() -> bytes:
            return await self._read_blob(was.blob)

        text = await self._ears.hear(
            listener.agent,
            read,
            was.size_bytes,
            was.media_type,
            asked,
            conversation=listener.conversation,
            payer=listener.payer,
        )
        return replace(was, transcript=masked(text)) if text else replace(was, problem=SILENT)


def is_prepared(message: Message) -> bool:
    """Whether a turn can read it as it is: nothing has to be fetched or listened to before."""
    return not any(is_missing(each) or is_unheard(each) for each in message.attachments)


def is_unheard(attachment: Attachment) -> bool:
    """Whether it is a voice message that is here and that nobody has tried to write down."""
    is_open = bool(attachment.blob) and not (attachment.transcript or attachment.problem)
    return is_open and is_voice(attachment)


def is_voice(attachment: Attachment) -> bool:
    return attachment.media_type.startswith("audio/") or is_heard(attachment.media_type)


def _listens(member: Member, attachment: Attachment) -> bool:
    """Whether a model is given the sound itself. Only the protocol of OpenAI has a place for it."""
    is_fit = kind(attachment.media_type) == "audio" and "audio" in member.reads
    return is_fit and member.settings.provider == "openai"


def _answer(messages: Sequence[Message]) -> str:
    """The plain answer to voice messages that stand alone and could not be listened to; "" where there is anything else to answer."""
    problems = []
    for message in messages:
        if message.text.strip():
            return ""
        for attachment in message.attachments:
            if not (is_voice(attachment) and attachment.problem in _ANSWERS):
                return ""
            problems.append(attachment.problem)
    return _ANSWERS[problems[-1]] if problems else ""


# --- units of work ---------------------------------------------------------------------------------------------------


def keep(
    cursor: Cursor,
    place: Place,
    was: Attachment,
    now: Attachment,
    listener: Listener,
    asked: Sequence[Attempt],
    now_ms: int,
) -> Attachment | None:
    """What was heard, together with what it cost."""
    record_attempts(cursor, listener.payer, asked, listener.turn, now_ms)
    return settle(cursor, place, was, now)
