"""What grows old goes: texts, traces, files and what came of cases, after as many days as the config says, by channel.

Rows stay, without their words: their ids go on refusing what a platform delivers again, and figures stay right. Left alone are people of whom
the law wants everything kept, conversations that somebody of ours is awaited in or has, and whatever still waits: for an answer, to be sent, or
for consent. Each unit of work is small, so that nobody waits for it.
"""

from collections.abc import Mapping
from typing import Final

from bot.model import value
from bot.ports import Clock, Cursor, Store, Value

AT_ONCE: Final = 200  # rows in one unit of work
UNITS_MOST: Final = 40  # in one round
DAY_MS: Final = 86_400_000

_FREE: Final = """
    NOT EXISTS (SELECT 1 FROM handoffs h WHERE h.conversation_id = c.id AND h.ended_ms IS NULL)
    AND NOT EXISTS (SELECT 1 FROM actions a WHERE a.conversation_id = c.id AND a.state IN ('proposed', 'approved', 'intended', 'unknown'))
    AND NOT EXISTS (
        SELECT 1 FROM speakers s JOIN identities p ON p.id = s.identity_id JOIN identities q ON q.user_id = p.user_id
        JOIN holds l ON l.identity_id = q.id WHERE s.conversation_id = c.id)"""
_WAITS: Final = """
    EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.handled_ms IS NULL AND m.dead_ms IS NULL AND m.kind <> '')
    OR EXISTS (SELECT 1 FROM outbox o WHERE o.conversation_id = c.id AND o.state IN ('planned', 'sending', 'unknown'))"""
_OF_CHANNEL: Final = (
    "(c.channel = :channel OR (:channel = '' AND NOT (',' || :others || ',') LIKE ('%,' || c.channel || ',%')))"
)

_FIND: Final[Mapping[str, str]] = {
    "messages": f"""
        SELECT m.id FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.created_ms < :before AND (m.text <> '' OR m.attachments <> '') AND {_OF_CHANNEL} AND {_FREE}
          AND (m.kind = '' OR m.handled_ms IS NOT NULL OR m.dead_ms IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.message_id = m.id AND o.state IN ('planned', 'sending', 'unknown'))
        ORDER BY m.created_ms LIMIT :limit""",
    "traces": f"""
        SELECT t.id FROM turns t JOIN conversations c ON c.id = t.conversation_id
        WHERE t.ended_ms < :before AND t.trace <> '{{}}' AND {_OF_CHANNEL} AND {_FREE} ORDER BY t.ended_ms LIMIT :limit""",
    "files": f"""
        SELECT b.id FROM blobs b JOIN identities i ON i.channel = b.channel AND i.account = b.account AND i.external_id = b.owner
        WHERE b.created_ms < :before AND {_OF_CHANNEL.replace("c.channel", "b.channel")}
          AND NOT EXISTS (SELECT 1 FROM speakers s JOIN conversations c ON c.id = s.conversation_id
                          WHERE s.identity_id = i.id AND (NOT ({_FREE}) OR {_WAITS}))
          AND NOT EXISTS (SELECT 1 FROM holds l JOIN identities q ON q.id = l.identity_id WHERE q.user_id = i.user_id)
        ORDER BY b.created_ms LIMIT :limit""",
    "cases": f"""
        SELECT k.id FROM cases k JOIN conversations c ON c.id = k.conversation_id
        WHERE k.ended_ms < :before AND {_OF_CHANNEL} AND {_FREE}
          AND (k.summary <> '' OR EXISTS (SELECT 1 FROM handoffs h WHERE h.case_id = k.id AND (h.brief <> '' OR h.reason <> '' OR h.contact <> ''))
               OR EXISTS (SELECT 1 FROM blocks b WHERE b.case_id = k.id)
               OR EXISTS (SELECT 1 FROM tags t WHERE t.case_id = k.id)
               OR EXISTS (SELECT 1 FROM actions a WHERE a.case_id = k.id AND (a.arguments <> '' OR a.result <> '')))
        ORDER BY k.ended_ms LIMIT :limit""",
}
# Nothing else is left of what the draft was written from.
_ONLY_ASK: Final = """
    {column} IN (SELECT a.gap_id FROM gap_asks a WHERE a.message_id = :id AND NOT EXISTS (
        SELECT 1 FROM gap_asks o WHERE o.gap_id = a.gap_id AND o.message_id <> :id))"""
_EMPTY: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": (
        """UPDATE messages SET text = '', name = '', attachments = '', citations = '', buttons = '', raw_hash = '', error = '', is_deleted = 1,
                  changed_ms = CASE WHEN changed_ms < :now THEN :now ELSE changed_ms + 1 END WHERE id = :id""",
        "UPDATE outbox SET text = '', error = '' WHERE message_id = :id AND text <> ''",
        "UPDATE suggestions SET text = '', citations = '' WHERE sent = :id",
        """UPDATE suggestions SET text = '', citations = '' WHERE EXISTS (
               SELECT 1 FROM messages m WHERE m.id = :id AND m.conversation_id = suggestions.conversation_id AND m.seq = suggestions.seq)""",
        "UPDATE contact_choices SET word = '' WHERE message_id = :id",
        "DELETE FROM answer_sources WHERE message_id = :id",
        f"UPDATE gaps SET state = 'open' WHERE state = 'drafted' AND {_ONLY_ASK.format(column='id')}",
        f"DELETE FROM gap_drafts WHERE {_ONLY_ASK.format(column='gap_id')}",
        "DELETE FROM gap_asks WHERE message_id = :id",
    ),
    "traces": (
        "UPDATE turns SET trace = '{}' WHERE id = :id",
        "UPDATE steps SET text = '', reasoning = '[]', attempts = '[]' WHERE turn_id = :id AND ended_ms IS NOT NULL",
        "UPDATE tool_calls SET arguments = '', result = '' WHERE turn_id = :id AND ended_ms IS NOT NULL",
    ),
    "files": ("DELETE FROM blobs WHERE id = :id",),
    "cases": (
        "UPDATE cases SET summary = '' WHERE id = :id",
        "UPDATE handoffs SET reason = '', brief = '', contact = '' WHERE case_id = :id",
        "UPDATE handoff_log SET detail = '' WHERE handoff_id IN (SELECT h.id FROM handoffs h WHERE h.case_id = :id)",
        "DELETE FROM blocks WHERE case_id = :id",
        "DELETE FROM tags WHERE case_id = :id",
        "UPDATE consents SET text = '', why = '' WHERE action_id IN (SELECT a.id FROM actions a WHERE a.case_id = :id)",
        "UPDATE actions SET arguments = '', facts = '', result = '', detail = '' WHERE case_id = :id",
        "UPDATE incidents SET detail = '' WHERE subject IN (SELECT a.id FROM actions a WHERE a.case_id = :id)",
    ),
}


@value
class Days:
    """For how many days something is kept; 0: for as long as nobody erases it."""

    messages: int = 0
    traces: int = 0
    files: int = 0
    cases: int = 0

    def of(self, kind: str) -> int:
        return {"messages": self.messages, "traces": self.traces, "files": self.files, "cases": self.cases}[kind]


@value
class Rule:
    """One kind on one channel; `channel` "" stands for all but the `others`."""

    kind: str
    days: int
    channel: str = ""
    others: tuple[str, ...] = ()


class Retention:
    """`days` are those of all channels but the ones that `channels` names."""

    def __init__(self, store: Store, clock: Clock, days: Days, channels: Mapping[str, Days]) -> None:
        self._store = store
        self._clock = clock
        self.take(days, channels)

    def take(self, days: Days, channels: Mapping[str, Days]) -> None:
        """Other settings, from the next round on."""
        self._rules = rules(days, channels)

    async def round(self) -> int:
        """One round of housekeeping: what is due, up to UNITS_MOST units of work. Returns how many rows were emptied. Raises StoreUnavailable
        or Overloaded; what was done by then stays done."""
        done, units = 0, 0
        for rule in self._rules:
            is_more = True
            while is_more and units < UNITS_MOST:
                count = await self._store.run(empty, rule, self._clock.now_ms())
                done, units, is_more = done + count, units + 1, count == AT_ONCE
        return done


def rules(days: Days, channels: Mapping[str, Days]) -> list[Rule]:
    """What has a limit, in a fixed order."""
    others = tuple(sorted(channels))
    found = []
    for kind in _FIND:
        found.append(Rule(kind, days.of(kind), "", others))
        found += [Rule(kind, channels[name].of(kind), name) for name in others]
    return [rule for rule in found if rule.days > 0]


def empty(cursor: Cursor, rule: Rule, now_ms: int) -> int:
    """One unit of work: the oldest rows of a rule. Returns how many."""
    values: dict[str, Value] = {"before": now_ms - rule.days * DAY_MS, "channel": rule.channel, "limit": AT_ONCE}
    rows = cursor.fetch(_FIND[rule.kind], {**values, "others": ",".join(rule.others)})
    for (id_,) in rows:
        for statement in _EMPTY[rule.kind]:
            cursor.execute(statement, {"id": id_, "now": now_ms})
    return len(rows)
