"""What operators decide on actions: consents, and outcomes that nobody else can find out.

A decision and the row that wakes its conversation are one unit of work: the agent tells the person what came of it, whatever ends in between.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from bot import ids
from bot.conversations import Conversations
from bot.errors import Refused
from bot.model import ConversationId
from bot.operators.operator import Operator
from bot.operators.roles import Right, roles_with
from bot.ports import Clock, Cursor, Scheduler, Store
from bot.store import actions, handoffs, records
from bot.tools.consent import DECIDED

OUTCOMES: Final = {"happened": "happened", "did-not": "did not", "mine": "mine"}


class Knows(Protocol):
    """Who the operators are (`bot.operators.people.Operators`)."""

    async def by_name(self, name: str) -> Operator | None: ...

    async def all(self) -> list[Operator]: ...


class Deciding:
    """Takes decisions of operators, who are named, and recorded with the local account where the command line gave it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        scheduler: Scheduler,
        operators: Knows,
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._scheduler = scheduler
        self._operators = operators

    async def consent(self, id_: str, *, is_yes: bool, name: str, account: str, why: str, key: str = "") -> str:
        """What became of it: "given", "refused", or "expired" where it came too late. The same `key` again decides nothing anew. Raises
        Refused."""
        await self._check(name, Right.DECIDE_CONSENT)
        now = self._clock.now_ms()
        decide = partial(consent, id_=id_, is_yes=is_yes, name=name, account=account, why=why, now_ms=now)
        conversation = await self._store.run(once, key, now, decide)
        self._wake(conversation)
        return str((await self._store.read(actions.CONSENT, {"id": id_}))[0][5])

    async def unknown(self, id_: str, outcome: str, *, name: str, account: str, why: str, key: str = "") -> str:
        """`key`: as in `consent`. Raises Refused."""
        await self._check(name, Right.DECIDE_UNKNOWN)
        found = OUTCOMES[outcome]
        now = self._clock.now_ms()
        decide = partial(
            actions.decide_unknown, id_=id_, outcome=found, name=name, account=account, why=why, tell=note, now_ms=now
        )
        self._wake(await self._store.run(once, key, now, decide))
        return found

    async def expire(self) -> None:
        """Voids what nobody has decided in time; who was promised to hear of a decision hears that."""
        for conversation in await self._store.run(expire, self._clock.now_ms()):
            self._wake(conversation)

    async def _check(self, name: str, right: Right) -> None:
        operator = await self._operators.by_name(name)
        if operator is None or operator.is_disabled:
            known = ", ".join(each.name for each in await self._operators.all() if not each.is_disabled) or "nobody"
            raise Refused("no_person", f"There is no operator {name} (there is: {known}).")
        if not operator.may(right):
            raise Refused(
                "not_allowed", f"{name} is {operator.role}; this takes one of: {', '.join(roles_with(right))}."
            )

    def _wake(self, conversation: str) -> None:
        self._conversations.forget(conversation)
        self._scheduler.wake(conversation)


# --- units of work ---------------------------------------------------------------------------------------------------


def once(cursor: Cursor, key: str, now_ms: int, decide: Callable[[Cursor], str]) -> str:
    """The conversation of the decision, which is made the first time that this key is given; "" is no key."""
    done = cursor.fetch(handoffs.DONE, {"key": key}) if key else []
    if done:
        return str(done[0][0])
    conversation = decide(cursor)
    if key:
        cursor.execute(handoffs.ADD_DONE, {"key": key, "told": conversation, "now": now_ms})
    return conversation


def consent(cursor: Cursor, id_: str, is_yes: bool, name: str, account: str, why: str, now_ms: int) -> str:
    """The decision, and once nothing more is to be decided, the row that wakes the conversation."""
    conversation = actions.decide_by_operator(cursor, id_, is_yes, name, account, why, now_ms)
    if actions.is_decided(cursor, conversation):
        note(cursor, conversation, str(cursor.fetch(actions.CONSENT, {"id": id_})[0][11]), now_ms)
    return conversation


def expire(cursor: Cursor, now_ms: int) -> Sequence[str]:
    """Returns the conversations that have work now."""
    promised = actions.expire(cursor, now_ms)
    for entry in promised:
        note(cursor, entry.conversation, entry.identity, now_ms)
    return [entry.conversation for entry in promised]


def note(cursor: Cursor, conversation: str, identity: str, now_ms: int) -> None:
    """Work for the agent: somebody has decided something that `identity` had asked for."""
    rows = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": ConversationId(conversation)})
    if not rows:
        return
    id_ = ids.derived_id("decision", conversation, str(rows[0][2]), str(now_ms))
    cursor.execute(
        records.ADD_DECISION,
        {
            "id": id_,
            "conversation": conversation,
            "author": "system",
            "identity": identity,
            "text": "A decision was made.",
            "now": now_ms,
            "kind": f"press:{DECIDED}",
        },
    )
