"""What operators decide on actions: consents, and outcomes that nobody else can find out.

A decision and the row that wakes its conversation are one unit of work: the agent tells the person what came of it, whatever ends in between.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bot import ids
from bot.conversations import Conversations
from bot.errors import Refused
from bot.model import ConversationId
from bot.ports import Clock, Cursor, Scheduler, Store
from bot.store import actions, records
from bot.tools.consent import DECIDED

MAY_CONSENT: Final = frozenset({"approver", "admin"})
MAY_LOOK_AFTER: Final = frozenset({"agent", "approver", "admin"})
OUTCOMES: Final = {"happened": "happened", "did-not": "did not", "mine": "mine"}


class Deciding:
    """Takes decisions of the people of the config, who are named by the command and recorded with the local account that gave it.
    `people()`: their roles by name."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        conversations: Conversations,
        scheduler: Scheduler,
        people: Callable[[], Mapping[str, str]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._conversations = conversations
        self._scheduler = scheduler
        self._people = people

    async def consent(self, id_: str, *, is_yes: bool, name: str, account: str, why: str) -> str:
        """What became of it: "given", "refused", or "expired" where it came too late. Raises Refused."""
        self._check(name, MAY_CONSENT)
        conversation = await self._store.run(consent, id_, is_yes, name, account, why, self._clock.now_ms())
        self._wake(conversation)
        return str((await self._store.read(actions.CONSENT, {"id": id_}))[0][5])

    async def unknown(self, id_: str, outcome: str, *, name: str, account: str, why: str) -> str:
        """Raises Refused."""
        self._check(name, MAY_LOOK_AFTER)
        found = OUTCOMES[outcome]
        now = self._clock.now_ms()
        self._wake(await self._store.run(actions.decide_unknown, id_, found, name, account, why, note, now))
        return found

    async def expire(self) -> None:
        """Voids what nobody has decided in time; who was promised to hear of a decision hears that."""
        for conversation in await self._store.run(expire, self._clock.now_ms()):
            self._wake(conversation)

    def _check(self, name: str, roles: frozenset[str]) -> None:
        role = self._people().get(name)
        if role is None:
            known = ", ".join(self._people()) or "nobody"
            raise Refused("no_person", f"There is no {name} in [[operators.people]] (there is: {known}).")
        if role not in roles:
            raise Refused("not_allowed", f"{name} is {role}; this takes one of: {', '.join(sorted(roles))}.")

    def _wake(self, conversation: str) -> None:
        self._conversations.forget(conversation)
        self._scheduler.wake(conversation)


# --- units of work ---------------------------------------------------------------------------------------------------


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
            "identity": identity,
            "text": "A decision was made.",
            "now": now_ms,
            "kind": f"press:{DECIDED}",
        },
    )
