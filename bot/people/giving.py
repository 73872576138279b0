"""A copy of what is stored of a person, given to them in their own chat when they ask for it there.

Nobody looks at it first, so it holds what they said and were told, what is remembered, and what they agreed to; what an operator's export
holds besides (notes, briefs, traces, calls of tools) is the team's to give. Its file is durable before the turn ends; its row, its entry in
the audit and the message that carries it are one unit of work with the end of the turn, so that a crash leaves either all of it or a file that
nobody knows. A person has one copy a day, on whichever of their linked channels. A copy is kept for a day and belongs to the account that
asked for it.
"""

import asyncio
import hashlib
import math
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from bot import ids
from bot.channels import Channel, channel_at
from bot.conversations import Conflict
from bot.ending import Ended, Ending, finish
from bot.errors import StoreUnavailable
from bot.files import SET_ATTACHMENTS
from bot.handoff.requests import Ask, Origin
from bot.memory.telling import WORDS, is_private, is_private_row
from bot.model import Attachment, BlobId, Conversation, Identity, value
from bot.people import exporting
from bot.ports import Clock, Cursor, Row, Store, Value
from bot.store import audit, blobs, memory, records
from bot.store.folder import BLOBS, DATABASE

EVERY_MS: Final = 86_400_000
KEPT_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_PLAIN: Final = (
    "format",
    "exported_ms",
    "user",
    "users",
    "identities",
    "conversations",
    "consents",
    "contact_choices",
    "memory",
)
_WITHOUT: Final[Mapping[str, Collection[str]]] = {  # columns that are about the house
    "cases": ("summary",),
    "messages": ("operator_id", "external_id", "kind"),
    "actions": ("facts", "result"),
    "files": ("file",),
}
_ASKER: Final = "SELECT user_id, channel, account, external_id FROM identities WHERE id = :identity"
_LAST: Final = """
    SELECT coalesce(max(at_ms), 0) FROM audit WHERE action = 'user exported' AND at_ms > :since
      AND actor IN (SELECT id FROM identities WHERE user_id = :user)"""
_OLD: Final = f"FROM blobs WHERE media_type = '{blobs.OWN_COPY}' AND created_ms <= :before"
_HAS_OLD: Final = f"SELECT 1 {_OLD} LIMIT 1"
_DROP_OLD: Final = f"""
    DELETE {_OLD} AND NOT EXISTS (
        SELECT 1 FROM holds h JOIN identities l ON l.id = h.identity_id JOIN identities i ON i.user_id = l.user_id
        WHERE i.channel = blobs.channel AND i.account = blobs.account AND i.external_id = blobs.owner)"""


@value
class Words:
    """What is said, in one language. `hour`, `hours`: the wait until the next copy."""

    name: str
    here: str
    again: str
    hour: str
    hours: str
    too_large: str


_WORDS: Final = {
    "en": Words(
        name="my-data.json",
        here="Here is a copy of your data, as a file: what you wrote and were told, what is remembered, and what you agreed to. Our team can give "
        "you whatever else there is. It can be fetched here for a day: keep it where nobody else reads it.",
        again="You have been given a copy of your data within the last day. You can have the next one in {wait}.",
        hour="an hour",
        hours="{} hours",
        too_large="The copy of your data is too large to be sent in this chat. Please ask our team for it.",
    ),
    "de": Words(
        name="meine-daten.json",
        here="Hier ist eine Kopie Ihrer Daten als Datei: was Sie geschrieben haben und was Ihnen gesagt wurde, was gemerkt ist und wozu Sie "
        "zugestimmt haben. Was es sonst noch gibt, kann Ihnen unser Team geben. Sie lässt sich hier einen Tag lang abrufen: Bewahren Sie sie so auf, "
        "dass niemand sonst sie liest.",
        again="Sie haben innerhalb des letzten Tages schon eine Kopie Ihrer Daten bekommen. Die nächste ist in {wait} möglich.",
        hour="einer Stunde",
        hours="{} Stunden",
        too_large="Die Kopie Ihrer Daten ist zu groß, um sie in diesem Chat zu senden. Bitte fragen Sie unser Team danach.",
    ),
}
ASKED: Final = "The user asked for a copy of their data, which is too large for the chat. Give it to them: frontdesk user export {user} FOLDER"


@value
class Given:
    """A copy whose file is durable, and whose row is still to be written."""

    attachment: Attachment
    owner: Identity
    identity: str
    user: str
    sha256: str


@value
class Answered:
    """What comes of the wish: what is said, with the copy, or with somebody to be asked for it."""

    text: str
    given: Given | None = None
    ask: Ask | None = None


class Giving(Ending):
    """A turn that ends with a copy for the person."""

    __slots__ = ("given",)
    given: Given

    @classmethod
    def of(cls, ending: Ending, given: Given) -> "Giving":
        made = cls(*(getattr(ending, each.name) for each in fields(Ending)))
        made.given = given
        return made


class Copies:
    """Makes copies, one at a time: each is whole in memory while it is made. `data`: the data folder; `channels` are looked at anew each
    time."""

    def __init__(self, store: Store, clock: Clock, data: Path, channels: Mapping[str, Channel]) -> None:
        self._store = store
        self._clock = clock
        self._data = data
        self._channels = channels
        self._one = asyncio.Lock()

    async def keep_house(self) -> None:
        """Looks for old copies beside the writer, which has nearly always none to drop. Raises StoreUnavailable or Overloaded."""
        now = self._clock.now_ms()
        if await self._store.read(_HAS_OLD, {"before": now - KEPT_MS}):
            await self._store.run(drop_old, now)

    async def answer(self, conversation: Conversation, identity: str, language: str) -> Answered:
        """Raises StoreUnavailable."""
        words, now = _WORDS[language], self._clock.now_ms()
        readers = await self._store.read(memory.READERS, {"conversation": conversation.id})
        asker = await self._store.read(_ASKER, {"identity": identity})
        if not asker or not readers or not is_private_row(*readers[0]):
            return Answered(WORDS[language].elsewhere)
        user = str(asker[0][0])
        last = await self._store.read(_LAST, {"user": user, "since": now - EVERY_MS})
        if last[0][0]:
            return Answered(words.again.format(wait=_wait(last[0][0] + EVERY_MS - now, words)))
        channel = self._channels.get(channel_at(conversation.address))
        most = channel.limits.attachment_bytes if channel is not None else 0
        async with self._one:
            given = await asyncio.to_thread(self._made, asker[0], identity, words.name, most, now)
        if given is None:
            return Answered(words.too_large, ask=Ask(Origin.TOOL, ASKED.format(user=user)))
        return Answered(words.here, given)

    def _made(self, asker: Row, identity: str, name: str, most: int, now_ms: int) -> Given | None:
        """None for one with more than `most` bytes. Raises StoreUnavailable. Blocking."""
        user, *place = asker
        try:
            export = exporting.look(self._data / DATABASE, user, now_ms)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"a copy of a person's data cannot be read: {error}") from error
        data = exporting.text(_for_them(export)).encode("utf-8", "replace")
        if len(data) > most:
            return None
        blob = BlobId(ids.new_id(now_ms))
        try:
            blobs.keep(self._data / BLOBS, blob, data)
        except OSError as error:
            raise StoreUnavailable(f"a copy of a person's data cannot be kept: {error}") from error
        attachment = Attachment(blob, name, blobs.OWN_COPY, len(data))
        return Given(attachment, Identity(*place), identity, user, hashlib.sha256(data).hexdigest())


def _for_them(export: exporting.Export) -> exporting.Export:
    """What a person may read of it unseen by anybody, without a folder of files beside it."""
    data = {name: export.data[name] for name in (*_PLAIN, *_WITHOUT)}
    data["messages"] = [each for each in data["messages"] if each["visibility"] == "public"]
    for name, left_out in _WITHOUT.items():
        data[name] = [{key: each for key, each in row.items() if key not in left_out} for row in data[name]]
    return exporting.Export(data, ())


def _wait(wait_ms: int, words: Words) -> str:
    hours = max(1, math.ceil(wait_ms / _HOUR_MS))
    return words.hour if hours == 1 else words.hours.format(hours)


# --- units of work ---------------------------------------------------------------------------------------------------


def finish_giving(cursor: Cursor, ending: Giving) -> Ended:
    """Ends the turn, and gives the copy with its reply; where a person has taken over meanwhile, nothing is given. Raises Conflict where
    another copy has been given meanwhile, the accounts of the person have changed, or others have come to read along."""
    ended, given = finish(cursor, ending), ending.given
    if ended.reply is None:
        return ended
    rows = cursor.fetch(_ASKER, {"identity": given.identity})
    since: dict[str, Value] = {"user": given.user, "since": ending.now_ms - EVERY_MS}
    is_theirs = bool(rows) and rows[0][0] == given.user and is_private(cursor, ending.conversation.id)
    if not is_theirs or cursor.fetch(_LAST, since)[0][0]:
        raise Conflict(
            "the person has been given a copy by another turn, their accounts have changed, or others read along"
        )
    file = given.attachment
    row: dict[str, Value] = {
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size_bytes,
        "sha256": given.sha256,
        "now": ending.now_ms,
    }
    blobs.add(cursor, row | records.blob_key(file.blob, given.owner))
    cursor.execute(SET_ATTACHMENTS, {"id": ended.reply.id, "attachments": records.attachments_text([file])})
    audit.append(cursor, given.identity, "user exported", given.user, ending.now_ms)
    ended.reply = replace(ended.reply, attachments=(file,))
    return ended


def drop_old(cursor: Cursor, now_ms: int) -> int:
    """Copies that have been there for a day; their files go with the next housekeeping. A hold keeps those of its person. Returns how many."""
    return cursor.execute(_DROP_OLD, {"before": now_ms - KEPT_MS})
