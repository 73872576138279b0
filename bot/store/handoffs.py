"""The SQL of handoffs: rows to values and back, and the owner of a conversation, which changes nowhere else.

Functions that take a `Cursor` are pieces of units of work.
"""

from dataclasses import replace

from bot import ids
from bot.handoff.machine import ENDED, HELD, Handoff, Happening, Stage, step
from bot.model import CaseId, ConversationId, Seq, value
from bot.ports import Cursor, Row, Value

COLUMNS = """id, conversation_id, case_id, stage, origin, reason, brief, operator, offered_to, team, skill, language, priority, contact,
    first_seq, last_seq, asked_ms, coalesce(queued_ms, 0), coalesce(offered_ms, 0), coalesce(taken_ms, 0), coalesce(replied_ms, 0),
    coalesce(heard_ms, 0), coalesce(spoke_ms, 0), reassured_ms, until_ms, coalesce(ended_ms, 0), paused_ms"""

HANDOFF_BY_ID = f"SELECT {COLUMNS} FROM handoffs WHERE id = :id"

OPEN_HANDOFF = f"SELECT {COLUMNS} FROM handoffs WHERE conversation_id = :conversation AND ended_ms IS NULL"

LATEST_HANDOFF = f"""
    SELECT {COLUMNS} FROM handoffs WHERE conversation_id = :conversation ORDER BY asked_ms DESC, id DESC LIMIT 1"""

OPEN_HANDOFFS = f"SELECT {COLUMNS} FROM handoffs WHERE ended_ms IS NULL ORDER BY asked_ms"

OPEN_IDS = "SELECT id FROM handoffs WHERE ended_ms IS NULL ORDER BY id"

QUEUE = f"""
    SELECT {COLUMNS} FROM handoffs WHERE ended_ms IS NULL AND stage IN ('queued', 'offered') ORDER BY priority DESC, queued_ms, id"""

IS_QUEUED = "SELECT 1 FROM handoffs WHERE ended_ms IS NULL AND stage = 'queued' LIMIT 1"

MAKE_ROOM = "UPDATE conversations SET kind = 'room', case_id = '' WHERE id = :id AND kind = ''"

LOADS = """
    SELECT operator, count(*) FROM handoffs WHERE ended_ms IS NULL AND stage IN ('active', 'waiting', 'wrap-up') GROUP BY operator"""

RECENT_WAITS = """
    SELECT taken_ms - queued_ms FROM handoffs WHERE taken_ms >= queued_ms AND taken_ms >= :since
    ORDER BY taken_ms DESC LIMIT 50"""

RECENT_HANDLING = """
    SELECT ended_ms - taken_ms FROM handoffs WHERE taken_ms IS NOT NULL AND ended_ms IS NOT NULL AND ended_ms >= :since
    ORDER BY ended_ms DESC LIMIT 50"""

ADD_HANDOFF = """
    INSERT INTO handoffs (id, conversation_id, case_id, stage, origin, reason, brief, team, skill, language, priority, first_seq, asked_ms,
                          changed_ms)
    VALUES (:id, :conversation, :case, :stage, :origin, :reason, :brief, :team, :skill, :language, :priority, :first_seq, :now, :now)"""

SET_HANDOFF = """
    UPDATE handoffs SET stage = :stage, operator = :operator, offered_to = :offered_to, until_ms = :until, team = :team,
        priority = :priority, contact = :contact, last_seq = :last_seq, queued_ms = :queued, offered_ms = :offered, taken_ms = :taken,
        replied_ms = :replied, heard_ms = :heard, spoke_ms = :spoke, reassured_ms = :reassured, paused_ms = :paused, ended_ms = :ended, brief = :brief,
        changed_ms = :now
    WHERE id = :id"""

SET_OWNER = """
    UPDATE conversations SET owner = :owner, version = version + 1 WHERE id = :id AND owner <> :owner"""

ADD_LOG = """
    INSERT INTO handoff_log (id, handoff_id, conversation_id, seq, at_ms, actor, what, detail)
    VALUES (:id, :handoff, :conversation, (SELECT coalesce(max(seq), 0) FROM messages WHERE conversation_id = :conversation), :now, :actor,
            :what, :detail)"""

LOG_OF = """
    SELECT id, handoff_id, seq, at_ms, actor, what, detail FROM handoff_log WHERE conversation_id = :conversation ORDER BY at_ms, id"""

SET_TIMER = """
    INSERT INTO timers (handoff_id, kind, since_ms, due_ms) VALUES (:handoff, :kind, :since, :due)
    ON CONFLICT (handoff_id, kind) DO UPDATE SET since_ms = excluded.since_ms, due_ms = excluded.due_ms, acted_ms = NULL
    WHERE timers.since_ms <> excluded.since_ms OR (timers.acted_ms IS NULL AND timers.due_ms <> excluded.due_ms)"""

DROP_TIMER = "DELETE FROM timers WHERE handoff_id = :handoff AND kind = :kind AND acted_ms IS NULL"

DROP_TIMERS = "DELETE FROM timers WHERE handoff_id = :handoff AND acted_ms IS NULL"

DUE_TIMERS = """
    SELECT handoff_id, kind, since_ms, due_ms FROM timers WHERE acted_ms IS NULL AND due_ms <= :now ORDER BY due_ms LIMIT :limit"""

TIMERS_OF = "SELECT kind, since_ms, due_ms, acted_ms FROM timers WHERE handoff_id = :handoff ORDER BY due_ms"

TIMER_ACTED = """
    UPDATE timers SET acted_ms = :now WHERE handoff_id = :handoff AND kind = :kind AND since_ms = :since AND acted_ms IS NULL"""

ADD_BLOCK = """
    INSERT INTO blocks (conversation_id, case_id, id, first_seq, last_seq, text, created_ms)
    VALUES (:conversation, :case, :id, :first, :last, :text, :now)
    ON CONFLICT (conversation_id, id) DO UPDATE SET text = excluded.text, last_seq = excluded.last_seq"""

BLOCKS_OF_CASE = """
    SELECT first_seq, last_seq, text FROM blocks WHERE conversation_id = :conversation AND case_id = :case ORDER BY first_seq, created_ms"""

DONE = "SELECT told FROM commands_done WHERE key = :key"

ADD_DONE = "INSERT INTO commands_done (key, told, created_ms) VALUES (:key, :told, :now)"

PRUNE_DONE = "DELETE FROM commands_done WHERE created_ms < :before"

PREVIOUS_OPERATOR = """
    SELECT operator FROM handoffs WHERE conversation_id = :conversation AND operator <> '' AND ended_ms IS NOT NULL
    ORDER BY ended_ms DESC LIMIT 1"""


@value
class Record:
    """One row. `state` is what the machine looks at; times are 0 where nothing has happened yet. `heard_ms`: the first message of the user
    that no operator has replied to; `spoke_ms`: the operator's latest sign of work."""

    id: str
    conversation: ConversationId
    case: CaseId
    state: Handoff
    origin: str
    reason: str
    brief: str
    team: str = ""
    skill: str = ""
    language: str = ""
    priority: int = 0
    contact: str = ""
    first_seq: Seq = Seq(0)
    last_seq: Seq = Seq(0)
    asked_ms: int = 0
    queued_ms: int = 0
    offered_ms: int = 0
    taken_ms: int = 0
    replied_ms: int = 0
    heard_ms: int = 0
    spoke_ms: int = 0
    reassured_ms: int = 0
    ended_ms: int = 0
    paused_ms: int = 0  # how long it has waited for the user so far


def record_of(row: Row) -> Record:
    state = Handoff(Stage(row[3]), row[7], row[8], row[24])
    return Record(
        row[0], row[1], row[2], state, row[4], row[5], row[6], row[9], row[10], row[11], row[12], row[13], Seq(row[14]),
        Seq(row[15]), row[16], row[17], row[18], row[19], row[20], row[21], row[22], row[23], row[25], row[26],
    )  # fmt: skip


def open_of(cursor: Cursor, conversation: str) -> Record | None:
    """The open handoff of a conversation."""
    rows = cursor.fetch(OPEN_HANDOFF, {"conversation": conversation})
    return record_of(rows[0]) if rows else None


def latest_of(cursor: Cursor, conversation: str) -> Record | None:
    rows = cursor.fetch(LATEST_HANDOFF, {"conversation": conversation})
    return record_of(rows[0]) if rows else None


def add(cursor: Cursor, record: Record, now_ms: int) -> None:
    """Raises the driver's integrity error where one is open already: look first."""
    cursor.execute(
        ADD_HANDOFF,
        {
            "id": record.id,
            "conversation": record.conversation,
            "case": record.case,
            "stage": record.state.stage.value,
            "origin": record.origin,
            "reason": record.reason,
            "brief": record.brief,
            "team": record.team,
            "skill": record.skill,
            "language": record.language,
            "priority": record.priority,
            "first_seq": record.first_seq,
            "now": now_ms,
        },
    )


def move(
    cursor: Cursor,
    record: Record,
    what: Happening,
    now_ms: int,
    actor: str,
    *,
    by: str = "",
    to: str = "",
    until_ms: int = 0,
    detail: str = "",
) -> Record:
    """One step of the machine, written down with the conversation's owner and a line of the log. Raises Refused, and nothing is changed."""
    state = step(record.state, what, by, to, until_ms)
    moved = _timed(replace(record, state=state), what, record.state.stage, now_ms)
    if state.stage in ENDED or (state.stage is Stage.WRAP_UP and record.state.stage is not Stage.WRAP_UP):
        last = cursor.fetch(
            "SELECT coalesce(max(seq), 0) FROM messages WHERE conversation_id = :id", {"id": record.conversation}
        )
        moved = replace(moved, last_seq=Seq(moved.last_seq or last[0][0]))
    keep(cursor, moved, now_ms)
    cursor.execute(SET_OWNER, {"id": record.conversation, "owner": state.owner})
    log(cursor, moved, now_ms, actor, what.name.lower(), detail)
    return moved


def _timed(record: Record, what: Happening, was: Stage, now_ms: int) -> Record:
    """The times that a step sets."""
    stage = record.state.stage
    if stage is Stage.QUEUED and was is not Stage.OFFERED:
        record = replace(record, queued_ms=now_ms)
    if stage is Stage.OFFERED:
        queued_ms = now_ms if was in HELD else record.queued_ms  # the wait for a colleague begins anew
        record = replace(record, offered_ms=now_ms, queued_ms=queued_ms or now_ms)
    if what is Happening.CLAIM and not record.taken_ms:
        record = replace(record, taken_ms=now_ms)
    if what in (Happening.CLAIM, Happening.REPLY, Happening.SNOOZE, Happening.WAKE) or stage is Stage.WRAP_UP:
        record = replace(record, spoke_ms=now_ms)
    if was is Stage.WAITING and stage is not Stage.WAITING:
        record = replace(record, paused_ms=record.paused_ms + max(0, now_ms - record.spoke_ms))
    if what is Happening.REPLY:
        record = replace(record, replied_ms=record.replied_ms or now_ms, heard_ms=0)
    if what is Happening.USER_WROTE:
        record = replace(record, heard_ms=record.heard_ms or now_ms)
    return replace(record, ended_ms=now_ms) if stage in ENDED else record


def keep(cursor: Cursor, record: Record, now_ms: int) -> None:
    state = record.state
    values: dict[str, Value] = {
        "id": record.id,
        "stage": state.stage.value,
        "operator": state.operator,
        "offered_to": state.offered_to,
        "until": state.until_ms,
        "team": record.team,
        "priority": record.priority,
        "contact": record.contact,
        "last_seq": record.last_seq,
        "reassured": record.reassured_ms,
        "paused": record.paused_ms,
        "brief": record.brief,
        "now": now_ms,
    }
    times = ("queued", "offered", "taken", "replied", "heard", "spoke", "ended")
    cursor.execute(SET_HANDOFF, values | {each: getattr(record, f"{each}_ms") or None for each in times})


def log(cursor: Cursor, record: Record, now_ms: int, actor: str, what: str, detail: str = "") -> None:
    """A line between the messages."""
    cursor.execute(
        ADD_LOG,
        {
            "id": ids.new_id(now_ms),
            "handoff": record.id,
            "conversation": record.conversation,
            "now": now_ms,
            "actor": actor,
            "what": what,
            "detail": detail,
        },
    )


_FORGET = (
    "UPDATE handoffs SET reason = '', brief = '', contact = '', changed_ms = :now WHERE conversation_id = :conversation",
    "UPDATE handoff_log SET detail = '' WHERE conversation_id = :conversation AND what IN ('blocked', 'unblocked')",
    "DELETE FROM blocks WHERE conversation_id = :conversation",
    "UPDATE cases SET summary = '' WHERE conversation_id = :conversation",
    "UPDATE suggestions SET text = '', citations = '', sent = '' WHERE conversation_id = :conversation",
    """UPDATE messages SET text = '', name = '', attachments = '', is_deleted = 1, changed_ms = :now
       WHERE conversation_id IN (SELECT thread FROM room_cards WHERE conversation_id = :conversation AND thread <> '')""",
    """UPDATE messages SET text = '', is_deleted = 1, changed_ms = :now
       WHERE id IN (SELECT card FROM room_cards WHERE conversation_id = :conversation)""",
    """UPDATE outbox SET text = '', error = '', state = CASE WHEN state IN ('planned', 'unknown') THEN 'dead' ELSE state END
       WHERE conversation_id IN (SELECT thread FROM room_cards WHERE conversation_id = :conversation AND thread <> '')""",
    """UPDATE room_cards SET shown = 'forgotten', changed_ms = :now WHERE conversation_id = :conversation""",
)


def forget(cursor: Cursor, conversation: str, now_ms: int) -> None:
    """What operators wrote down and were shown of a person goes with what the person said."""
    for blank in _FORGET:
        cursor.execute(blank, {"conversation": conversation, "now": now_ms})
