"""The work that notices gaps: what turns, feedback, corrections and handoffs show of questions that no document answers.

Promise: nothing is written by a turn for this, and nothing waits for it; each sign is counted once, however often the work runs; and of what people
wrote only ids are kept, so that whatever is erased, edited or grown old is gone from here too.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bot import ids, rounds
from bot.model import value
from bot.ports import Clock, Cursor, Store

EVERY_S: Final = 20.0
AT_ONCE: Final = 50  # signs of one kind in one round
SINCE_MS: Final = 30 * 86_400_000
SLACK_MS: Final = 3_600_000  # how much later than it happened something may be on record
COMPARED_MOST: Final = 500  # questions that a new one is compared with, newest first
WORDS_MOST: Final = 20
ALIKE: Final = 0.5  # the share of the words of both that two questions alike have in common

UNANSWERED, DISLIKED, CORRECTED, HANDED_OVER = "unanswered", "disliked", "corrected", "handed over"

# CROSS JOIN: what shows it is looked up first, and then the one message, also before SQLite knows how large the tables are.
_SIGN: Final = """
    SELECT s.id, m.id, m.text, m.conversation_id, m.identity_id, c.agent, s.{at}
    FROM {table} s CROSS JOIN messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.conversation_id = s.conversation_id AND m.seq = (
            SELECT max(q.seq) FROM messages q WHERE q.conversation_id = s.conversation_id AND q.author = 'user' AND {asked})
      AND s.{at} >= :since AND {shows} AND m.author = 'user' AND m.is_deleted = 0 AND m.text <> '' AND c.kind <> 'room'
      AND NOT EXISTS (SELECT 1 FROM gap_asks g WHERE g.kind = '{kind}' AND g.subject = s.id) ORDER BY s.{at} LIMIT :limit"""


def _sign(kind: str, table: str, at: str, shows: str, asked: str) -> str:
    """SQL for the rows `s` of a table that show a gap, with the question `q` that each is about. `at`: the column of their time."""
    return _SIGN.format(kind=kind, table=table, at=at, shows=shows, asked=asked)


_SEARCHED: Final = """s.trace <> '{}' AND s.outcome = 'unanswered' AND s.trace LIKE '%"name":"search_knowledge"%'"""
SIGNS: Final[Mapping[str, str]] = {
    UNANSWERED: _sign(UNANSWERED, "turns", "ended_ms", _SEARCHED, "q.turn_id = s.id"),
    DISLIKED: _sign(
        DISLIKED,
        "messages",
        "created_ms",
        "s.feedback = 'down' AND s.author = 'agent'",
        "q.visibility = 'public' AND q.seq < s.seq",
    ),
    CORRECTED: _sign(
        CORRECTED, "suggestions", "ended_ms", "s.outcome = 'edited'", "q.visibility = 'public' AND q.seq <= s.seq"
    ),
    HANDED_OVER: _sign(
        HANDED_OVER,
        "handoffs",
        "asked_ms",
        "s.origin = 'failures'",
        "q.visibility = 'public' AND q.created_ms <= s.asked_ms",
    ),
}

_OF_MESSAGE: Final = "SELECT gap_id FROM gap_asks WHERE message_id = :message LIMIT 1"
_ASKED: Final = """
    SELECT a.gap_id, m.text FROM gap_asks a JOIN gaps g ON g.id = a.gap_id JOIN messages m ON m.id = a.message_id
    WHERE g.agent = :agent AND m.is_deleted = 0 AND m.text <> '' ORDER BY a.created_ms DESC LIMIT :limit"""
_ADD_GAP: Final = (
    "INSERT INTO gaps (id, agent, first_ms, last_ms) VALUES (:id, :agent, :at, :at) ON CONFLICT (id) DO NOTHING"
)
_ADD_ASK: Final = """
    INSERT INTO gap_asks (kind, subject, gap_id, conversation_id, identity_id, message_id, created_ms)
    VALUES (:kind, :subject, :gap, :conversation, :identity, :message, :at) ON CONFLICT (kind, subject) DO NOTHING"""
_COUNT: Final = """
    UPDATE gaps SET count = count + :more, first_ms = CASE WHEN first_ms > :at THEN :at ELSE first_ms END,
                    last_ms = CASE WHEN last_ms < :at THEN :at ELSE last_ms END,
                    state = CASE WHEN state = 'closed' AND decided_ms < :at THEN 'open' ELSE state END
    WHERE id = :id"""


@value
class Sign:
    """One thing that shows a gap. `subject`: the turn, answer, suggestion or handoff; `message`: the question."""

    kind: str
    subject: str
    message: str
    text: str
    conversation: str
    identity: str
    agent: str
    at_ms: int


class Finding:
    """`run` until cancelled."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._since: dict[str, int] = {}

    async def run(self) -> None:
        await rounds.every(self._clock, EVERY_S, self.round, "gaps wait")

    async def round(self) -> int:
        """Takes in what has come since. Returns how many signs; safe to repeat."""
        now, count = self._clock.now_ms(), 0
        for kind, sql in SIGNS.items():
            since = self._since.get(kind, now - SINCE_MS)
            rows = await self._store.read(sql, {"since": since, "limit": AT_ONCE})
            for row in rows:
                count += await self._store.run(note, Sign(kind, *row))
            if len(rows) < AT_ONCE and kind != DISLIKED:  # a thumb may come days after the answer
                self._since[kind] = max(since, now - SLACK_MS)
        return count


# --- units of work ---------------------------------------------------------------------------------------------------


def note(cursor: Cursor, sign: Sign) -> int:
    """Counts a sign with the gap that it belongs to, or as a new one. 0 where it was counted before. Safe to repeat. A closed gap that is asked
    for again is open again."""
    same = cursor.fetch(_OF_MESSAGE, {"message": sign.message})
    gap = str(same[0][0]) if same else _alike(cursor, sign)
    if not gap:
        gap = ids.derived_id("gap", sign.message)
        cursor.execute(_ADD_GAP, {"id": gap, "agent": sign.agent, "at": sign.at_ms})
    added = cursor.execute(
        _ADD_ASK,
        {
            "kind": sign.kind,
            "subject": sign.subject,
            "gap": gap,
            "conversation": sign.conversation,
            "identity": sign.identity,
            "message": sign.message,
            "at": sign.at_ms,
        },
    )
    if added:
        cursor.execute(_COUNT, {"id": gap, "more": 0 if same else 1, "at": sign.at_ms})
    return added


def _alike(cursor: Cursor, sign: Sign) -> str:
    """The gap whose questions are most like this one; "" where none is like it."""
    words = words_of(sign.text)
    best, found = ALIKE, ""
    for gap, text in cursor.fetch(_ASKED, {"agent": sign.agent, "limit": COMPARED_MOST}):
        likeness = alike(words, words_of(text))
        if likeness > best or (likeness == best and not found):
            best, found = likeness, gap
    return found


def words_of(text: str) -> frozenset[str]:
    """The stems of what a question says."""
    from bot.knowledge.words import informative_words
    from bot.memory.stems import stem

    return frozenset(stem(word) for word in informative_words(text, WORDS_MOST))


def alike(one: frozenset[str], other: frozenset[str]) -> float:
    """From 0 to 1: the share of the words of both that they have in common."""
    return len(one & other) / len(one | other) if one and other else 0.0


def questions(texts: Sequence[str], most: int) -> list[str]:
    """Different ones, each on one line."""
    return list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))[:most]
