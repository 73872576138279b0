"""What people sent beside their words: fetched from the platform after the message is safe, and before a turn answers it.

Promises: a file that was fetched is not fetched again, whoever runs the turn anew; one that cannot be had says so in plain words, in its
message; what is on its way to one conversation never fills the room of all.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bot.channels import Channel, channel_at
from bot.errors import FetchError, FrontdeskError, Refused
from bot.model import Address, Attachment, Identity, Message, MessageId, value
from bot.net.fetch import TooLarge
from bot.ports import Clock, Cursor, OpensFiles, Store
from bot.store import records
from bot.store.blobs import Blobs

log = logging.getLogger(__name__)

AT_ONCE = 4  # of one turn
ALL_AT_ONCE = 32  # of all turns
FETCH_S = 30.0  # for one file, from opening it until it is kept

TOO_LARGE = "The file is too large."
UNREADABLE = "It could not be fetched from where it was sent."

SENDER = """
    SELECT i.channel, i.account, i.external_id, i.name, i.is_verified
    FROM messages m JOIN identities i ON i.id = m.identity_id WHERE m.id = :id"""

ATTACHMENTS = "SELECT attachments FROM messages WHERE id = :id AND is_deleted = 0"

DROP_BLOB = "DELETE FROM blobs WHERE id = :id"

SET_ATTACHMENTS = "UPDATE messages SET attachments = :attachments WHERE id = :id"


@value
class Place:
    """Where a file stands: in which message, and as which of its attachments."""

    message: MessageId
    number: int


def is_missing(attachment: Attachment) -> bool:
    """Whether it is still with the platform, and nobody has given it up."""
    return not attachment.blob and bool(attachment.source) and not attachment.problem


class Files:
    """`channels` are looked at anew each time, by `channel_at`."""

    def __init__(self, store: Store, clock: Clock, blobs: Blobs, channels: Mapping[str, Channel]) -> None:
        self._store = store
        self._clock = clock
        self._blobs = blobs
        self._channels = channels
        self._room = asyncio.Semaphore(ALL_AT_ONCE)

    async def fetch_missing(
        self, at: Address, messages: Sequence[Message], *, is_last_try: bool
    ) -> dict[MessageId, Message]:
        """Fetches what is missing of these messages and returns those that have changed, as their rows stand now. Safe to repeat.

        Raises FetchError when another try may still get a file, unless this is the last; StoreUnavailable or Overloaded when one could not
        be kept. What was fetched by then stays."""
        missing = [
            (message, number)
            for message in messages
            for number, attachment in enumerate(message.attachments)
            if is_missing(attachment)
        ]
        if not missing:
            return {}
        channel = self._channels.get(channel_at(at))
        opens = channel.files if channel is not None else None
        senders = {message.id: await self._sender(message.id) for message, _ in missing}
        turn = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            fetching = [
                tasks.create_task(
                    self._fetch(opens, message, number, senders[message.id], turn, is_last_try=is_last_try)
                )
                for message, number in missing
            ]
        done = [task.result() for task in fetching]
        if failures := [each for each in done if isinstance(each, FrontdeskError)]:
            raise failures[0]
        return renewed(messages, (each for each in done if not isinstance(each, FrontdeskError)))

    async def _fetch(
        self,
        opens: OpensFiles | None,
        message: Message,
        number: int,
        owner: Identity | None,
        turn: asyncio.Semaphore,
        *,
        is_last_try: bool,
    ) -> tuple[Place, Attachment | None] | FrontdeskError:
        """What the row holds in its place now, None for nothing; or why the turn must come again. Raises nothing that belongs to the tree
        of errors, so that the files beside it are fetched all the same."""
        was = message.attachments[number]
        try:
            async with turn, self._room:
                now = await self._kept(opens, was, owner)
        except Refused as error:
            now = replace(was, problem=error.detail)
        except FetchError as error:
            if error.is_retryable and not is_last_try:
                return error
            log.warning("a file of a message could not be fetched: %s", error)
            now = replace(was, problem=TOO_LARGE if isinstance(error, TooLarge) else UNREADABLE)
        except FrontdeskError as error:
            return error
        except Exception as error:  # the adapter's boundary: what it was not meant to raise costs its file alone
            log.exception("a file of a message could not be opened")
            if not is_last_try:
                return FetchError(type(error).__name__, is_retryable=True)
            now = replace(was, problem=UNREADABLE)
        place = Place(message.id, number)
        try:
            return place, await self._store.run(settle, place, was, now)
        except FrontdeskError as error:
            return error

    async def _kept(self, opens: OpensFiles | None, was: Attachment, owner: Identity | None) -> Attachment:
        if opens is None or owner is None:
            raise FetchError("its channel does not run, or cannot open files", is_retryable=False)
        try:
            async with self._clock.timeout(FETCH_S), opens.open_file(was.source) as fetched:
                blob = await self._blobs.save(fetched.data, was.name, owner)
        except TimeoutError as error:
            raise FetchError(f"it took more than {FETCH_S:g} s", is_retryable=True) from error
        return Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes)

    async def _sender(self, message: MessageId) -> Identity | None:
        rows = await self._store.read(SENDER, {"id": message})
        if not rows:
            return None
        channel, account, external_id, name, is_verified = rows[0]
        return Identity(channel, account, external_id, name, bool(is_verified))


def renewed(
    messages: Sequence[Message], settled: Iterable[tuple[Place, Attachment | None]]
) -> dict[MessageId, Message]:
    """The messages with what was settled in place of what they had; one of which nothing is kept any more has lost its files."""
    changes: defaultdict[MessageId, dict[int, Attachment | None]] = defaultdict(dict)
    for place, attachment in settled:
        changes[place.message][place.number] = attachment
    return {
        message.id: replace(message, attachments=_with(message.attachments, changes[message.id]))
        for message in messages
        if message.id in changes
    }


def _with(attachments: Sequence[Attachment], changes: Mapping[int, Attachment | None]) -> tuple[Attachment, ...]:
    now = (changes.get(number, attachment) for number, attachment in enumerate(attachments))
    return () if None in changes.values() else tuple(each for each in now if each is not None)


# --- units of work ---------------------------------------------------------------------------------------------------


def settle(cursor: Cursor, place: Place, was: Attachment, now: Attachment) -> Attachment | None:
    """Writes what became of a file into its message's row, if the row still says what was read there. Returns what it says in the end;
    None when the message was withdrawn."""
    rows = cursor.fetch(ATTACHMENTS, {"id": place.message})
    kept = list(records.attachments_of(rows[0][0])) if rows else []
    if place.number >= len(kept):
        cursor.execute(DROP_BLOB, {"id": now.blob})  # its file goes with the next housekeeping
        return None
    if kept[place.number] == was:
        kept[place.number] = now
        cursor.execute(SET_ATTACHMENTS, {"id": place.message, "attachments": records.attachments_text(kept)})
    return kept[place.number]
