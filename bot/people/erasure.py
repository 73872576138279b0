"""Erasing a person, from the first step to the receipt, while everybody else is answered.

First what `bot.forgetting` does at once: running turns end, queued sends are withdrawn. Then every row, the files, the free pages and the
log of the database. Then every byte of the data folder is searched for what was known of the person, and the receipt says what was found.
Each step may be repeated: an erasure that was cut short is begun anew with the same command as long as the person is known, and after
that there is nothing left but files, which housekeeping removes.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from bot.conversations import Conversations
from bot.delivery import Delivery
from bot.errors import DataError
from bot.model import ConversationId, IdentityId, changeable
from bot.people import scanning
from bot.people.erasing import erase, sweep
from bot.people.graves import Graves
from bot.people.keeping import forget_unless_held
from bot.people.receipt import Outside, Receipt, Scan
from bot.people.scanning import Sought
from bot.ports import Clock, Cursor, Store
from bot.store import keyring, people
from bot.store.blobs import path_of
from bot.store.folder import BLOBS

WITHDRAW_S: Final = 5.0  # for what is shown on a platform to be taken away there
LOOK_S: Final = 0.1
_SENT: Final = """
    SELECT c.channel, c.kind, count(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE c.id IN (SELECT s.conversation_id FROM speakers s JOIN identities i ON i.id = s.identity_id WHERE i.user_id = :user)
       OR c.id IN (SELECT r.thread FROM room_cards r JOIN speakers s ON s.conversation_id = r.conversation_id
                   JOIN identities i ON i.id = s.identity_id WHERE i.user_id = :user)
    GROUP BY c.channel, c.kind ORDER BY c.channel, c.kind"""
_MODELS: Final = """
    SELECT DISTINCT p.model FROM spend p JOIN identities i ON i.id = p.payer WHERE i.user_id = :user ORDER BY p.model"""
_WAITING: Final = """
    SELECT count(*) FROM outbox o WHERE o.role = 'withdraw' AND o.state = 'planned' AND o.conversation_id IN (
        SELECT s.conversation_id FROM speakers s JOIN identities i ON i.id = s.identity_id WHERE i.user_id = :user)"""
_FILES: Final = """
    SELECT b.id FROM blobs b JOIN identities i ON i.channel = b.channel AND i.account = b.account AND i.external_id = b.owner
    WHERE i.user_id = :user"""
_KEEP: Final = "UPDATE erasures SET receipt = :receipt WHERE id = :id"
PLATFORM: Final = "the platform keeps its own copy: delete it there, or ask for it"
ROOM: Final = "copies in the operators' room stay on the platform: delete them there"
MODEL: Final = "was sent what was said; kept for as long as the contract with its provider says"
PLAIN: Final = (
    "plain backups, of earlier versions, hold the person still: delete them. A restore of one here erases again"
)
SEALED: Final = "nobody can read this person in them any more: the key is destroyed. Delete older copies of backup.keys"
NOT_DESTROYED: Final = "the key could not be destroyed, so they hold the person still. {error} Then run frontdesk backup: it destroys the key"
_DUG: Final = "SELECT hash, erased_ms FROM tombstones WHERE erased_ms >= :since"


class Scrubbed(Store, Protocol):
    """A store that can leave no trace of what was deleted in its files."""

    async def scrub(self) -> None: ...


@changeable
class _Look:
    user: str
    sought: Sequence[Sought]
    outside: list[Outside]
    files: list[str]  # before the first step takes their rows


class Erasure:
    """`models`: which models are asked over the network, by name. `touch`: who looks at a conversation is told."""

    def __init__(
        self,
        store: Scrubbed,
        clock: Clock,
        data: Path,
        conversations: Conversations,
        delivery: Delivery,
        graves: Graves,
        touch: Callable[[str], None] = lambda conversation: None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._data = data
        self._conversations = conversations
        self._delivery = delivery
        self._graves = graves
        self._touch = touch
        self._models = dict(models or {})

    async def run(self, wanted: str, reason: str, actor: str) -> Receipt:
        """Raises NotDone for an unknown or held person, or a reason that names them; StoreUnavailable where the files could not be
        cleaned, in which case the rows are gone all the same."""
        look = await self._store.run(_look, wanted, reason, self._models)
        await self._forget(look.user)
        waits = await self._withdrawn(look.user)
        self._graves.opened()
        now = self._clock.now_ms()
        done = await self._store.run(erase, look.user, reason, actor, self._graves, now)
        self._tell(done.changed)
        await self._store.run(sweep, done.changed)
        self._tell(done.changed)
        sealed = await self._destroy_keys(now)
        files = await asyncio.to_thread(_remove, self._data / BLOBS, [*look.files, *done.files])
        await self._store.scrub()
        receipt = Receipt(done.id, done.pseudonym, now, done.places, files, waits, [*look.outside, *sealed])
        receipt = replace(receipt, scan=await self._scan(look.sought))
        await self._store.run(_keep, receipt)
        return receipt

    async def _forget(self, user: str) -> None:
        """What the person's own wish does, for all that is linked: their turns end, and what they would have been sent is not."""
        found = await self._store.run(people.identities_of, user)
        self._tell(await self._store.run(forget_unless_held, IdentityId(found[0].id), self._clock.now_ms()))
        await self._delivery.take_up()

    async def _withdrawn(self, user: str) -> int:
        """Waits for the platforms to take away what they show of answers that will not come. Returns how many they have not."""
        until = self._clock.monotonic() + WITHDRAW_S
        while (left := (await self._store.read(_WAITING, {"user": user}))[0][0]) and self._clock.monotonic() < until:
            await self._clock.sleep(LOOK_S)
        return int(left)

    async def _destroy_keys(self, since_ms: int) -> Sequence[Outside]:
        """What an interruption before this leaves to do is done by the next backup or restore. A keyring that cannot be used keeps nothing else
        from being erased."""
        graves = [(row[0], row[1]) for row in await self._store.read(_DUG, {"since": since_ms})]
        try:
            began_ms = await asyncio.to_thread(keyring.bury, self._data, graves, self._graves.hash_of)
        except DataError as error:
            return [Outside("backups", "sealed ones", NOT_DESTROYED.format(error=error))]
        if began_ms is None:
            return ()
        day = datetime.fromtimestamp(began_ms / 1000, UTC).strftime("%Y-%m-%d")
        return [Outside("backups", f"sealed ones, since {day}", SEALED)]

    def _tell(self, conversations: Sequence[str]) -> None:
        for conversation in conversations:
            self._conversations.changed(ConversationId(conversation))
            self._touch(conversation)

    async def _scan(self, sought: Sequence[Sought]) -> Scan:
        hits = await asyncio.to_thread(scanning.scan, self._data, sought)
        size = await asyncio.to_thread(scanning.size_of, self._data)
        return await self._store.run(scanning.told, hits, len(sought), size)


def _look(cursor: Cursor, wanted: str, reason: str, models: Mapping[str, str]) -> _Look:
    user = people.find(cursor, wanted)[0].user
    people.refuse_held(cursor, user)
    sought = scanning.strings_of(cursor, user)
    if any(each.text.lower() in reason.lower() for each in sought if each.kind != "text"):
        raise people.NotDone(
            "the reason is kept, so it must not name the person: write what was asked for, and a number of yours",
        )
    outside = [
        Outside(channel, f"{count} messages", ROOM if kind else PLATFORM)
        for channel, kind, count in cursor.fetch(_SENT, {"user": user})
    ]
    asked = [row[0] for row in cursor.fetch(_MODELS, {"user": user})]
    outside += [Outside(models[each], f"model {each}", MODEL) for each in asked if each in models]
    return _Look(
        user,
        sought,
        [*outside, Outside("backups", "plain ones", PLAIN)],
        [row[0] for row in cursor.fetch(_FILES, {"user": user})],
    )


def _remove(folder: Path, blobs: Sequence[str]) -> int:
    count = 0
    for blob in blobs:
        path = path_of(folder, blob)
        count += path.exists()
        path.unlink(missing_ok=True)
    return count


def _keep(cursor: Cursor, receipt: Receipt) -> None:
    cursor.execute(_KEEP, {"id": receipt.id, "receipt": json.dumps(receipt.told(), ensure_ascii=False)})
