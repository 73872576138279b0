"""What an agent with memory knows of the users of an evaluation: each case's own user, with the earlier cases that it tells of.

They lie in a store that is deleted afterwards, written down and recalled by what the daemon does it with. Nobody else's memory is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.agent.context import Recalled
from bot.evals.cases import OURS, Case
from bot.memory.job import Ended, Keeper
from bot.memory.memory import recollection
from bot.memory.recall import DAY_MS, Limits
from bot.model import Author, CaseId, ConversationId, Identity, IdentityId, Message, MessageId, Seq
from bot.ports import Clock, Cursor, Store, Value
from bot.store import memory, records
from bot.tools import Caller

CHANNEL = "eval"
CASES_APART_MS = 7 * DAY_MS  # between two earlier cases, and between the last and the question


@dataclass(frozen=True, slots=True)
class EarlierCases:
    """`limits` as the config has them; `agent` is the one that is asked."""

    store: Store
    clock: Clock
    keeper: Keeper
    limits: Limits
    agent: str

    async def begin(self, conversation: str, case: Case) -> None:
        """The user's earlier cases come to an end, the oldest first; then the one begins in which the question is asked."""
        now = self.clock.now_ms()
        count = len(case.earlier)
        await self.store.run(_meet, self.agent, conversation, now)
        for number, lines in enumerate(case.earlier):
            at_ms = now - (count - number) * CASES_APART_MS
            id_ = f"{conversation}-{number}"
            await self.store.run(_tell, conversation, CaseId(id_), lines, at_ms)
            await self.keeper.remember(Ended(id_, conversation, self.agent, at_ms, "solved", "", "dm"))
        if case.is_shared:
            await self.store.run(_share, conversation)

    async def hear(self, conversation: str, message: Message) -> None:
        """What the user writes now: only what stands there can be noted of them."""
        await self.store.run(_hear, conversation, CaseId(conversation), message)

    async def recall(self, conversation: str, text: str) -> Recalled:
        now = self.clock.now_ms()
        return await recollection(self.store, conversation, conversation, text, now, self.limits)

    def caller(self, conversation: str, message: Message) -> Caller:
        return Caller(conversation, conversation, conversation, f"reply to {message.id}", conversation, self.agent)


# --- units of work ---------------------------------------------------------------------------------------------------


def _meet(cursor: Cursor, agent: str, conversation: str, now_ms: int) -> None:
    who = Identity(CHANNEL, "", conversation)
    place: dict[str, Value] = {"channel": CHANNEL, "account": "", "chat": conversation, "thread": "", "kind": "dm"}
    row: dict[str, Value] = {"id": conversation, "identity": conversation, "agent": agent, "now": now_ms}
    cursor.execute(records.ADD_CONVERSATION, {**place, **row})
    records.add_identity(cursor, IdentityId(conversation), conversation, who, ConversationId(conversation), now_ms)


def _tell(cursor: Cursor, conversation: str, case: CaseId, lines: Sequence[str], now_ms: int) -> None:
    first = _next(cursor, conversation)
    cursor.execute(records.ADD_CASE, {"id": case, "conversation": conversation, "seq": first, "now": now_ms})
    for seq, line in enumerate(lines, first):
        author = Author.AGENT if line.startswith(OURS) else Author.USER
        text = line.removeprefix(OURS).strip()
        _add(cursor, conversation, case, Message(MessageId(f"{case}-{seq}"), Seq(seq), author, text, now_ms))
    cursor.execute(records.END_CASE, {"id": case, "now": now_ms, "outcome": "solved"})


def _hear(cursor: Cursor, conversation: str, case: CaseId, message: Message) -> None:
    _add(
        cursor,
        conversation,
        case,
        replace(message, id=MessageId(f"{case}-{message.id}"), seq=_next(cursor, conversation)),
    )


def _add(cursor: Cursor, conversation: str, case: CaseId, message: Message) -> None:
    said: dict[str, Value] = {"id": message.id, "seq": message.seq, "author": message.author, "text": message.text}
    place: dict[str, Value] = {"conversation": conversation, "case": case, "now": message.at_ms}
    sender: dict[str, Value] = {"identity": conversation if message.author is Author.USER else "", "name": ""}
    plain: dict[str, Value] = {"raw_hash": "", "attachments": "", "sent": 0, "changed": 0, "deleted": 0, "external": ""}
    cursor.execute(records.ADD_INBOUND, {**said, **place, **sender, **plain, "kind": "message"})


def _share(cursor: Cursor, conversation: str) -> None:
    cursor.execute(memory.SET_SHARED, {"id": conversation})


def _next(cursor: Cursor, conversation: str) -> Seq:
    return Seq(cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": conversation})[0][2] + 1)
