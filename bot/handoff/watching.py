"""Operators who watch a conversation, and those whom a note names, are told of what happens there: each thing once, and never of what they
did themselves.

A notice is a row. Where a case has a thread in an operators' room, the mirror puts the notice there with a mention; open consoles get a frame.
Talk rings once for a burst; who has the conversation, its end and a name in a note ring each time.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Final

from bot.errors import FrontdeskError
from bot.handoff.feed import Feed
from bot.handoff.names import name_of, shown
from bot.handoff.notice import NAMED, REPLIED, WROTE, Notice
from bot.model import changeable, value
from bot.operators.operator import Operator
from bot.operators.roles import Right
from bot.ports import Clock, Cursor, Store, Value
from bot.store.operators import operator_by_id, operators
from bot.text import pattern

log = logging.getLogger(__name__)

QUIET_MS: Final = 120_000  # talk that follows sooner upon talk belongs to the same burst
AT_ONCE: Final = 200  # messages, and lines of the log, in one unit of work
ASKED_AT_ONCE: Final = 200
KEPT_MS: Final = 30 * 86_400_000
NAMED_MOST: Final = 10  # operators in one note
PAUSE_S: Final = 0.1
AGAIN_S: Final = 30.0
OF_OWNER: Final = frozenset(
    {"queue", "claim", "hand_on", "release", "return", "cancel", "open", "queue_timeout", "operator_silent"}
)
OF_END: Final = frozenset({"resolve", "user_silent", "user_left"})

_WATCHERS: Final = """
    SELECT operator, seen_seq, logged, burst_ms FROM watchers WHERE conversation_id = :conversation ORDER BY operator"""
_SAID: Final = """
    SELECT seq, id, case_id, author, operator_id, created_ms FROM messages
    WHERE conversation_id = :conversation AND seq > :after AND visibility = 'public' AND is_deleted = 0
      AND (author = 'operator' OR author = 'user' AND kind = 'message') ORDER BY seq LIMIT :limit"""
_DONE: Final = f"""
    SELECT l.at_ms, l.id, h.case_id, l.actor, l.what FROM handoff_log l JOIN handoffs h ON h.id = l.handoff_id
    WHERE l.conversation_id = :conversation AND l.id > :after
      AND l.what IN ({", ".join(f"'{each}'" for each in sorted(OF_OWNER | OF_END))}) ORDER BY l.id LIMIT :limit"""
_SET: Final = """
    UPDATE watchers SET seen_seq = :seen, logged = :logged, burst_ms = :burst
    WHERE conversation_id = :conversation AND operator = :operator"""
_LAST_NUMBER: Final = "SELECT coalesce(max(number), 0) FROM notices WHERE conversation_id = :conversation"
_ADD: Final = """
    INSERT INTO notices (conversation_id, number, operator, cause, case_id, what, who, at_ms)
    VALUES (:conversation, :number, :operator, :cause, :case, :what, :who, :at) ON CONFLICT (operator, cause) DO NOTHING"""
_PRUNE: Final = "DELETE FROM notices WHERE conversation_id = :conversation AND number < :number AND at_ms < :before"
_COLUMNS: Final = "conversation_id, number, operator, cause, case_id, what, who, at_ms"
_TO_RING: Final = (
    f"SELECT {_COLUMNS} FROM notices WHERE conversation_id = :conversation AND is_rung = 0 ORDER BY number"
)
_RUNG: Final = "UPDATE notices SET is_rung = 1 WHERE conversation_id = :conversation AND is_rung = 0"
_OF_OPERATOR: Final = f"SELECT {_COLUMNS} FROM notices WHERE operator = :operator AND at_ms >= :since AND is_rung = 1 ORDER BY at_ms, number"
_TO_PLACE: Final = f"""
    SELECT {_COLUMNS} FROM notices n
    WHERE conversation_id = :conversation AND number > :after AND case_id = :case AND at_ms >= :since
      AND EXISTS (SELECT 1 FROM operators o WHERE o.id = n.operator AND o.is_disabled = 0 AND o.is_absent = 0) ORDER BY number LIMIT :limit"""
_WATCH: Final = """
    INSERT INTO watchers (conversation_id, operator, seen_seq, logged)
    VALUES (:conversation, :operator, (SELECT coalesce(max(seq), 0) FROM messages WHERE conversation_id = :conversation),
            (SELECT coalesce(max(id), '') FROM handoff_log WHERE conversation_id = :conversation))
    ON CONFLICT (conversation_id, operator) DO NOTHING"""
_UNWATCH: Final = "DELETE FROM watchers WHERE conversation_id = :conversation AND operator = :operator"
_WATCHED: Final = "SELECT DISTINCT conversation_id FROM watchers"
_WATCHED_OF: Final = "SELECT DISTINCT conversation_id FROM watchers WHERE conversation_id IN ({marks})"
_RINGING_OF: Final = "SELECT DISTINCT conversation_id FROM notices WHERE is_rung = 0 AND conversation_id IN ({marks})"
_RINGING: Final = "SELECT DISTINCT conversation_id FROM notices WHERE is_rung = 0"
_NAME: Final = pattern(r"(?<![\w@.])@([a-zA-Z][a-zA-Z0-9._-]{0,63}+)(?!\w)")


class Watching:
    """Finds what has happened and tells it. `ring(notices)`: those that open consoles do not know yet, after the commit."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        feed: Feed,
        ring: Callable[[Sequence[Notice]], None],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._ring = ring
        self._pause_s = pause_s
        self._watched: set[str] = set()

    async def run(self) -> None:
        """Until cancelled. What happened while nobody listened is found at the start."""
        await self._feed.follow(self._take_up, self._look, also=self._watched)

    async def _take_up(self) -> None:
        while True:
            try:
                watched = [row[0] for row in await self._store.read(_WATCHED)]
                ringing = [row[0] for row in await self._store.read(_RINGING)]
                break
            except FrontdeskError as error:
                log.warning("operators who watch are not told for now: %s", error)
                await self._clock.sleep(AGAIN_S)
        self._watched.update(watched)
        for conversation in dict.fromkeys([*watched, *ringing]):
            await self._tell(conversation)

    async def _look(self, changed: Sequence[str]) -> None:
        for at in range(0, len(changed), ASKED_AT_ONCE):
            await self._look_at(changed[at : at + ASKED_AT_ONCE])
        if self._pause_s:
            await self._clock.sleep(self._pause_s)

    async def _look_at(self, changed: Sequence[str]) -> None:
        """Nothing is run for what nobody watches."""
        given: dict[str, Value] = {f"c{place}": each for place, each in enumerate(changed)}
        marks = ", ".join(f":{each}" for each in given)
        try:
            watched = {row[0] for row in await self._store.read(_WATCHED_OF.format(marks=marks), given)}
            ringing = {row[0] for row in await self._store.read(_RINGING_OF.format(marks=marks), given)}
        except FrontdeskError as error:
            self._try_again(changed, error)
            return
        self._watched.difference_update(changed)
        self._watched.update(watched)
        for conversation in changed:
            if conversation in watched or conversation in ringing:
                await self._tell(conversation)

    async def _tell(self, conversation: str) -> None:
        try:
            is_more = True
            while is_more:
                told = await self._store.run(tell, conversation, self._clock.now_ms())
                is_more = told.is_more
                if told.notices:
                    self._ring(told.notices)
                    self._feed.touch(conversation, is_handoff=True)  # the rooms show it
        except FrontdeskError as error:
            self._try_again([conversation], error)

    def _try_again(self, changed: Iterable[str], error: FrontdeskError) -> None:
        log.warning("operators who watch are told later: %s", error)
        again = tuple(changed)

        def touch() -> None:
            for each in again:
                self._feed.touch(each, is_handoff=True)

        self._clock.call_later(AGAIN_S, touch)


async def recent(store: Store, operator: str, since_ms: int) -> list[Notice]:
    """What this operator was told on consoles since then: for one that has just been opened."""
    return [Notice(*row) for row in await store.read(_OF_OPERATOR, {"operator": operator, "since": since_ms})]


# --- units of work, and pieces of such -----------------------------------------------------------------------------------


@changeable
class Told:
    """`notices`: those that open consoles are to be told. `is_more`: not everything has been looked through."""

    notices: list[Notice] = field(default_factory=list)
    is_more: bool = False


def watch(cursor: Cursor, conversation: str, operator: str) -> None:
    """From now on. Who watches already goes on."""
    cursor.execute(_WATCH, {"conversation": conversation, "operator": operator})


def unwatch(cursor: Cursor, conversation: str, operator: str) -> None:
    cursor.execute(_UNWATCH, {"conversation": conversation, "operator": operator})


def name_in_note(
    cursor: Cursor, text: str, writer: Operator, conversation: str, case: str, note: str, now_ms: int
) -> int:
    """A note calls the operators that it names (`@ben.miller`), whether or not they watch. Returns how many."""
    written = [found[1].lower() for found in _NAME.finditer(text)]
    people = {each.name: each for each in operators(cursor)} if written else {}
    wanted = {name if name in people else name.rstrip("._-") for name in written}
    named = [each for each in people.values() if each.name in wanted and each.may(Right.SEE)]
    called = [each.id for each in named if each.id != writer.id][:NAMED_MOST]
    for operator in called:
        _add(cursor, Notice(conversation, 0, operator, note, case, NAMED, shown(writer.name), now_ms))
    return len(called)


def tell(cursor: Cursor, conversation: str, now_ms: int) -> Told:
    """Notices for what happened since each watcher was told last; and all that no console has been told."""
    told = Told()
    for operator, seen, logged, burst in cursor.fetch(_WATCHERS, {"conversation": conversation}):
        told.is_more |= _tell_one(cursor, conversation, operator, (seen, logged, burst), now_ms)
    told.notices = [Notice(*row) for row in cursor.fetch(_TO_RING, {"conversation": conversation})]
    if told.notices:
        cursor.execute(_RUNG, {"conversation": conversation})
        old: dict[str, Value] = {"number": told.notices[0].number, "before": now_ms - KEPT_MS}
        cursor.execute(_PRUNE, {"conversation": conversation, **old})
    return told


def to_place(cursor: Cursor, conversation: str, case: str, after: int, since_ms: int) -> list[Notice]:
    """What the thread of this case does not show yet, in order. Whose account is shut meanwhile is called no more."""
    where: dict[str, Value] = {"conversation": conversation, "case": case, "after": after, "since": since_ms}
    return [Notice(*row) for row in cursor.fetch(_TO_PLACE, {**where, "limit": AT_ONCE})]


@value
class _Thing:
    """Something that happened. `is_talk`: it is told once of a burst."""

    at_ms: int
    cause: str
    case: str
    who: str
    what: str
    is_talk: bool


def _tell_one(cursor: Cursor, conversation: str, operator: str, so_far: tuple[int, str, int], now_ms: int) -> bool:
    """Returns whether there is more. A notice is of now, when it is told: what happened before a long pause still reaches a console."""
    seen, logged, burst = so_far
    where: dict[str, Value] = {"conversation": conversation, "limit": AT_ONCE}
    said = cursor.fetch(_SAID, {**where, "after": seen})
    done = cursor.fetch(_DONE, {**where, "after": logged})
    now_seen, now_logged, now_burst = (said or [(seen,)])[-1][0], (done or [(0, logged)])[-1][1], burst
    is_here = _may_see(cursor, operator)
    for thing in sorted([*_talk(said), *_deeds(done)], key=lambda each: (each.at_ms, each.is_talk)):
        if thing.who == operator:
            continue
        if is_here and (not thing.is_talk or thing.at_ms - now_burst >= QUIET_MS):
            who = name_of(cursor, thing.who)
            at_ms = max(now_ms, thing.at_ms)
            _add(cursor, Notice(conversation, 0, operator, thing.cause, thing.case, thing.what, who, at_ms))
        now_burst = max(now_burst, thing.at_ms)
    if (now_seen, now_logged, now_burst) != (seen, logged, burst):
        where = {"conversation": conversation, "operator": operator}
        cursor.execute(_SET, {**where, "seen": now_seen, "logged": now_logged, "burst": now_burst})
    return AT_ONCE in (len(said), len(done))


def _talk(rows: Sequence[Sequence[Value]]) -> Iterator[_Thing]:
    for _, id_, case, author, operator, at_ms in rows:
        is_user = author == "user"
        who = "" if is_user else str(operator or "")
        yield _Thing(int(at_ms or 0), str(id_), str(case), who, WROTE if is_user else REPLIED, is_talk=True)


def _deeds(rows: Sequence[Sequence[Value]]) -> Iterator[_Thing]:
    for at_ms, id_, case, actor, what in rows:
        who = "" if actor in ("user", "agent", "timer") else str(actor)
        yield _Thing(int(at_ms or 0), str(id_), str(case), who, str(what), is_talk=False)


def _may_see(cursor: Cursor, operator: str) -> bool:
    found = operator_by_id(cursor, operator)
    return found is not None and found.may(Right.SEE)


def _add(cursor: Cursor, notice: Notice) -> None:
    number = int(cursor.fetch(_LAST_NUMBER, {"conversation": notice.conversation})[0][0]) + 1
    cursor.execute(
        _ADD,
        {
            "conversation": notice.conversation,
            "number": number,
            "operator": notice.operator,
            "cause": notice.cause,
            "case": notice.case,
            "what": notice.what,
            "who": notice.who,
            "at": notice.at_ms,
        },
    )
