"""The work of memory beside conversations: what came of ended cases is written down, and long cases are summarised.

Promise: an ended case that is not marked as remembered is work, so nothing is lost with the process; what a case came to is written in one unit
with the mark, so nothing is written twice; and what has been changed, deleted or forgotten while a model was at it is thrown away. No turn
waits for any of it, and where no model answers the rows tell.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from bot import ids, rounds
from bot.agent.router import Chain
from bot.background import Background
from bot.conversations import Conversations
from bot.handoff.blocks import add_block
from bot.memory import episodes, facts, window
from bot.memory.episodes import Share, Told
from bot.memory.facts import Claim, Keeping, Place
from bot.memory.stems import stems
from bot.memory.window import Part, Summary
from bot.model import ROOM, CaseId, Conversation, IdentityId, value
from bot.ports import Clock, Cursor, Row, Store, Value
from bot.store import memory, records
from bot.store.handoffs import BLOCKS_OF_CASE

EVERY_S: Final = 5.0
AT_ONCE: Final = 20  # cases in one round
MODEL_S: Final = 60.0
SINCE_MS: Final = 30 * 86_400_000  # what ended longer ago is not written down any more
LINES_MOST: Final = 1_000
GROWN_MOST: Final = 1_000
PRUNE_ROUNDS: Final = 720
PAYER: Final = "memory"
FORGOTTEN: Final = "forgotten"


@value
class Ended:
    """A case that is to be remembered."""

    case: str
    conversation: str
    agent: str
    ended_ms: int
    outcome: str
    feedback: str
    kind: str


@value
class Draft:
    """What is to be remembered of one speaker of a case. `model`: "" where the rows were enough."""

    identity: IdentityId
    text: str
    messages: tuple[str, ...]
    model: str = ""
    claims: tuple[Claim, ...] = ()


class Keeper:
    """`agents`: those that remember. `chains`: the background models of each agent, if it has any. `budget_chars`: of a context."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        chains: Mapping[str, Chain],
        agents: Collection[str],
        keeping: Keeping,
        budget_chars: int,
        touch: Callable[[str], None] = lambda conversation: None,
    ) -> None:
        self._touch = touch
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._models = Background(store, clock, chains, PAYER, MODEL_S)
        self._agents = agents
        self._keeping = keeping
        self._budget_chars = budget_chars
        self._grown: OrderedDict[str, None] = OrderedDict()
        self._rounds = 0

    def grown(self, conversation: Conversation, chars: int) -> None:
        """How long a case has become. What there is no room for is looked at after a later turn of it."""
        is_long = chars > self._budget_chars * window.FULL and self._models.works_for(conversation.agent)
        if is_long and len(self._grown) < GROWN_MOST:
            self._grown[conversation.id] = None

    async def run(self) -> None:
        """Until cancelled."""
        await rounds.every(self._clock, EVERY_S, self.round, "memory waits")

    async def round(self) -> int:
        """Writes down what has ended, and summarises what has grown. Returns how many cases it has done with."""
        now = self._clock.now_ms()
        self._rounds += 1
        if self._rounds % PRUNE_ROUNDS == 1:
            await self._store.run(lambda cursor: cursor.execute(memory.PRUNE_FACTS, {"now": now}))
        while self._grown:
            await self.summarise(self._grown.popitem(last=False)[0])
        if not self._agents:
            return 0
        rows = await self._store.read(memory.TO_REMEMBER, {"since": now - SINCE_MS, "limit": AT_ONCE})
        for row in rows:
            await self.remember(Ended(*row))
        return len(rows)

    # --- ended cases -----------------------------------------------------------------------------------------------------

    async def remember(self, ended: Ended) -> bool:
        """One case, whole or not at all. False where it has changed meanwhile: it stays work."""
        place: dict[str, Value] = {"conversation": ended.conversation, "case": ended.case}
        state = await self._store.read(memory.STATE, {**place, "last": 2**60})
        drafts: list[Draft] = []
        if ended.agent in self._agents and ended.outcome != FORGOTTEN and ended.kind != ROOM:
            drafts = [await self._draft(ended, share) for share in await self._shares(ended)]
        is_done = await self._store.run(remembered, ended, drafts, state[0], self._keeping, self._clock.now_ms())
        if is_done and drafts:
            self._touch(ended.conversation)
        return is_done

    async def _shares(self, ended: Ended) -> list[Share]:
        place: dict[str, Value] = {"conversation": ended.conversation, "case": ended.case}
        rows = await self._store.read(memory.SAID, {**place, "limit": LINES_MOST})
        deeds = await self._store.read(memory.DEEDS, {"case": ended.case})
        return episodes.shares([episodes.line_of(row) for row in rows], [(row[0], row[1]) for row in deeds])

    async def _draft(self, ended: Ended, share: Share) -> Draft:
        messages = tuple(line.id for line in share.lines)
        text = episodes.transcript(share)
        made = await self._models.write(ended.agent, episodes.SUMMARISE, text, Told) if text else None
        if made is None:
            return Draft(share.identity, episodes.extracted(share, ended.outcome, ended.feedback), messages)
        told, model = made
        claims = tuple(Claim(fact.kind, fact.value, fact.about, facts.FOUND_LATER) for fact in told.facts)
        return Draft(share.identity, episodes.written(told, share), messages, model, claims)

    # --- long cases ------------------------------------------------------------------------------------------------------

    async def summarise(self, conversation: str) -> bool:
        """The older part of an open case. False where there is nothing to do, or something has changed meanwhile."""
        rows = await self._store.read(records.CONVERSATION_BY_ID, {"id": conversation})
        found = records.conversation_of(rows[0]) if rows else None
        if found is None or not found.case or not self._models.works_for(found.agent):
            return False
        place: dict[str, Value] = {"conversation": found.id, "case": found.case}
        blocks = await self._store.read(BLOCKS_OF_CASE, place)
        said = await self._store.read(memory.SAID, {**place, "limit": LINES_MOST})
        parts = [Part(row[1], row[2], row[4]) for row in said if not any(b[0] <= row[1] <= b[1] for b in blocks)]
        older = window.stretch(parts, self._budget_chars)
        if not older:
            return False
        state = await self._store.read(memory.STATE, {**place, "last": older[-1].seq})
        text = window.transcript(older)[-episodes.TRANSCRIPT_CHARS * 2 :]
        made = await self._models.write(found.agent, window.SUMMARISE, text, Summary)
        if made is None:
            return False
        block = window.block_text(made[0].summary, older)
        kept = await self._store.run(keep_block, found, older, block, state[0], self._clock.now_ms())
        if kept:
            self._conversations.forget(found.id)
        return kept


# --- units of work -----------------------------------------------------------------------------------------------------


def remembered(
    cursor: Cursor, ended: Ended, drafts: Sequence[Draft], state: Row, keeping: Keeping, now_ms: int
) -> bool:
    """Marks the case and keeps what came of it; nothing where it is marked already, or not as it was read."""
    place: dict[str, Value] = {"conversation": ended.conversation, "case": ended.case}
    if cursor.fetch(memory.STATE, {**place, "last": 2**60})[0] != state:
        return False
    if not cursor.execute(memory.REMEMBERED, {"case": ended.case, "now": now_ms}):
        return False
    for draft in drafts:
        if draft.text:
            _add_episode(cursor, ended, draft, now_ms)
        for claim in draft.claims:
            facts.take(cursor, Place(draft.identity, ended.conversation, ended.case), claim, keeping, now_ms)
    return True


def _add_episode(cursor: Cursor, ended: Ended, draft: Draft, now_ms: int) -> None:
    cursor.execute(
        memory.ADD_EPISODE,
        {
            "id": ids.derived_id("episode", ended.case, draft.identity),
            "identity": draft.identity,
            "conversation": ended.conversation,
            "case": ended.case,
            "text": draft.text,
            "words": " ".join(stems(draft.text)),
            "messages": json.dumps(draft.messages),
            "model": draft.model,
            "ended": ended.ended_ms,
            "now": now_ms,
        },
    )


def keep_block(cursor: Cursor, found: Conversation, older: Sequence[Part], text: str, state: Row, now_ms: int) -> bool:
    """The summary takes the messages' place, if they and the case are as they were."""
    rows = cursor.fetch("SELECT case_id FROM conversations WHERE id = :id", {"id": found.id})
    first, last = older[0].seq, older[-1].seq
    place: dict[str, Value] = {"conversation": found.id, "case": found.case}
    if CaseId(rows[0][0]) != found.case or cursor.fetch(memory.STATE, {**place, "last": last})[0] != state:
        return False
    add_block(cursor, found, f"summary {first}", first, last, text, now_ms)
    return True
