"""What operators read, on the console and the command line: the inbox, one conversation, what has changed.

The only SQL of the console is behind this. Private notes come out of here and nowhere else: what a user's channel reads is asked for with
`visibility = 'public'` elsewhere.
"""

from collections.abc import Sequence
from typing import Any, Final

from bot.errors import Refused
from bot.handoff import views_rows, watching
from bot.handoff.feed import Feed
from bot.handoff.notice import Notice
from bot.handoff.views_cards import OPEN_COUNT
from bot.handoff.views_context import GONE, context_of
from bot.handoff.views_entries import PAGE, Stream, entries_of
from bot.handoff.views_rows import Around, Json, Wanted
from bot.model import ConversationId
from bot.ports import Clock, Store
from bot.store import handoffs, records
from bot.store.blobs import OWN_COPY

CHANGES_S: Final = 20.0  # how long one who waits for a change is kept
CHANGES_MOST: Final = 200
ID_LETTERS: Final = 4  # the fewest of an id by which a case is found

_EXISTS: Final = "SELECT 1 FROM conversations WHERE id = :conversation AND kind = ''"

_FOUND: Final = """
    SELECT id FROM conversations WHERE id >= :low AND id < :high AND kind = ''
    UNION SELECT s.conversation_id FROM cases s JOIN conversations c ON c.id = s.conversation_id
        WHERE s.id >= :low AND s.id < :high AND c.kind = ''
    LIMIT 3"""

_LOG_AFTER: Final = """
    SELECT l.id, l.conversation_id, h.case_id, l.at_ms, coalesce(o.name, l.actor), l.what, l.detail, h.stage, c.channel,
        coalesce(i.name, '')
    FROM handoff_log l JOIN handoffs h ON h.id = l.handoff_id JOIN conversations c ON c.id = l.conversation_id
    LEFT JOIN identities i ON i.id = c.identity_id LEFT JOIN operators o ON o.id = l.actor
    WHERE l.id > :after AND (:about = '' OR l.conversation_id = :about) ORDER BY l.id LIMIT :limit"""

_LAST_LOG: Final = "SELECT coalesce(max(id), '') FROM handoff_log"

_CHANGE: Final = ("id", "conversation", "case", "at_ms", "actor", "what", "detail", "stage", "channel", "user")


class Views:
    """Everything is read anew at each call. `around`: what rows show that is not in the database; the console sets it."""

    def __init__(self, store: Store, clock: Clock, feed: Feed) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self.around = Around(views_rows.nobody, views_rows.always)

    # --- lists -------------------------------------------------------------------------------------------------------

    async def inbox(self, wanted: Wanted) -> Json:
        """One page of a list: {rows, more, next}. Raises Refused for a list that there is not."""
        ids, following = await views_rows.page(self._store.read, wanted)
        rows, _ = await self.rows(ids)
        return {"rows": rows, "more": bool(following), "next": following}

    async def rows(self, conversations: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The rows of these conversations, and those that are no longer there."""
        return await views_rows.rows_of(self._store.read, conversations, self._clock.now_ms(), self.around)

    async def open_consents(self) -> int:
        """How many consents operators can decide now."""
        return int((await self._store.read(OPEN_COUNT, {"now": self._clock.now_ms()}))[0][0])

    async def loads(self) -> dict[str, int]:
        """How many conversations each operator has, by id."""
        return dict(await self._store.read(handoffs.LOADS))

    async def notices(self, operator: str, since_ms: int) -> list[Notice]:
        """What this operator was told on consoles since then, oldest first."""
        return await watching.recent(self._store, operator, since_ms)

    # --- one conversation --------------------------------------------------------------------------------------------

    async def is_there(self, conversation: str) -> bool:
        """Whether it is a conversation with a user."""
        return bool(await self._store.read(_EXISTS, {"conversation": conversation}))

    async def conversation(self, conversation: str) -> Json:
        """{row, entries, more_before, context}. Raises Refused("no_conversation")."""
        stream = await self.entries(conversation)
        context = await self.context(conversation)
        rows, _ = await self.rows([conversation])
        if not rows:
            raise Refused("no_conversation", GONE)
        return {
            "row": rows[0],
            "entries": list(stream.entries),
            "more_before": stream.has_earlier,
            "context": context,
        }

    async def entries(self, conversation: str, before: int = 0, limit: int = PAGE) -> Stream:
        """The newest messages before `before` (0: of all). Raises Refused("no_conversation")."""
        if not await self.is_there(conversation):
            raise Refused("no_conversation", GONE)
        return await entries_of(self._store.read, conversation, self._clock.now_ms(), before, limit)

    async def context(self, conversation: str) -> Json:
        """Raises Refused("no_conversation")."""
        return await context_of(self._store.read, conversation, self._clock.now_ms(), self.around)

    async def attachment(self, message: str, blob: str) -> bool:
        """Whether a message of a conversation with a user carries that file, and operators may see it: a person's copy of their data is theirs."""
        sql = """
            SELECT m.attachments FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE m.id = :message AND m.is_deleted = 0 AND c.kind = ''"""
        rows = await self._store.read(sql, {"message": message})
        files = [each for row in rows for each in records.attachments_of(row[0])]
        return any(each.blob == blob and each.media_type != OWN_COPY for each in files)

    async def find(self, text: str) -> ConversationId:
        """The conversation that an id of it, of one of its cases, or the beginning of either names. Raises Refused."""
        beginning = text.strip().lower()
        if len(beginning) < ID_LETTERS:
            raise Refused("no_case", f"Write at least {ID_LETTERS} letters of the id of a case or conversation.")
        # ids are made of hexadecimal digits and dashes, and g follows them all
        found = {row[0] for row in await self._store.read(_FOUND, {"low": beginning, "high": f"{beginning}g"})}
        if beginning in found:
            return ConversationId(beginning)
        if not found:
            raise Refused("no_case", f'There is no case "{text}". frontdesk handoff list --all shows them.')
        if len(found) > 1:
            raise Refused("no_case", f'More than one case begins with "{text}". Write more of its id.')
        return ConversationId(found.pop())

    # --- what has changed --------------------------------------------------------------------------------------------

    async def changes(self, after: str, about: str = "") -> Json:
        """What happened to handoffs, or to those of one conversation, since the change of that id: {after, changes}. Waits up to CHANGES_S for the first one. "" begins
        now: with nothing, and the id from which to go on."""
        if not after:
            last = (await self._store.read(_LAST_LOG))[0][0]
            return {"after": last or "0", "changes": []}
        with self._feed.listening() as listener:
            found = await self._log_after(after, about)
            try:
                async with self._clock.timeout(CHANGES_S):
                    while not found:
                        await listener.batch()
                        found = await self._log_after(after, about)
            except TimeoutError:
                pass
        return {"after": found[-1]["id"] if found else after, "changes": found}

    async def _log_after(self, after: str, about: str) -> list[dict[str, Any]]:
        rows = await self._store.read(_LOG_AFTER, {"after": after, "about": about, "limit": CHANGES_MOST})
        return [dict(zip(_CHANGE, row, strict=True)) for row in rows]
