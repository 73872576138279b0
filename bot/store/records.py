"""The SQL of the core, once: named statements, and rows to domain values.

The text runs on SQLite and PostgreSQL. Functions that take a `Cursor` are pieces of units of work: they read, decide and write only
through it, so a unit may run twice.
"""

import json
from collections.abc import Iterable
from typing import Any

from bot.model import (
    AGENT_OWNER,
    Address,
    Attachment,
    Author,
    Blob,
    BlobId,
    Button,
    CaseId,
    Citation,
    Conversation,
    ConversationId,
    Identity,
    IdentityId,
    Message,
    MessageId,
    PassageId,
    Seq,
    Visibility,
    value,
)
from bot.ports import Cursor, Row, Value


@value
class Inbound:
    """One unhandled inbox row with its message. `button` is the id of the button that was pressed, if one was. `changed_ms`: the
    platform's time of its latest edit or deletion, which grows with each. `identity`: who wrote it, "" for the house itself."""

    message: Message
    button: str = ""
    attempts: int = 0
    sent_ms: int = 0
    changed_ms: int = 0
    identity: str = ""


# --- conversations -------------------------------------------------------------------------------------------------

_CONVERSATION = """id, channel, account, chat, thread, identity_id, agent, owner, version,
    (SELECT coalesce(max(seq), 0) FROM messages WHERE conversation_id = conversations.id), case_id, is_person_wanted,
    CASE WHEN is_blocked = 1 THEN 1 ELSE is_stopped END, kind"""

CONVERSATION_BY_ID = f"SELECT {_CONVERSATION} FROM conversations WHERE id = :id"

NEWEST = """
    SELECT c.agent, c.owner, c.version, c.case_id, c.identity_id, c.is_person_wanted, coalesce(m.seq, 0), coalesce(m.created_ms, 0),
           CASE WHEN c.is_blocked = 1 THEN 1 ELSE c.is_stopped END, c.kind
    FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
    WHERE c.id = :id ORDER BY m.seq DESC LIMIT 1"""

ADD_CONVERSATION = """
    INSERT INTO conversations (id, channel, account, chat, thread, identity_id, agent, owner, kind, created_ms)
    VALUES (:id, :channel, :account, :chat, :thread, :identity, :agent, 'agent', :kind, :now)"""

OWNER_AND_LAST_SEQ = """
    SELECT owner, version, (SELECT coalesce(max(seq), 0) FROM messages WHERE conversation_id = conversations.id)
    FROM conversations WHERE id = :id"""

SET_CASE = "UPDATE conversations SET case_id = :case, is_person_wanted = 0 WHERE id = :id"

WANT_PERSON = "UPDATE conversations SET is_person_wanted = 1 WHERE id = :id"

SET_STOPPED = "UPDATE conversations SET is_stopped = :stopped WHERE id = :id"

ADD_CHOICE = """
    INSERT INTO contact_choices (message_id, identity_id, channel, account, choice, word, at_ms)
    VALUES (:message, :identity, :channel, :account, :choice, :word, :now) ON CONFLICT (message_id) DO NOTHING"""

RECENT = """
    SELECT c.chat, c.thread, max(CASE WHEN m.sent_ms > 0 THEN m.sent_ms ELSE m.created_ms END), max(m.external_id)
    FROM conversations c JOIN messages m ON m.conversation_id = c.id
    WHERE c.channel = :channel AND c.account = :account AND m.kind <> '' AND m.created_ms >= :since
    GROUP BY c.id, c.chat, c.thread ORDER BY 3 DESC LIMIT :limit"""

KEEP_BOOKMARK = """
    INSERT INTO bookmarks (channel, account, name, value, updated_ms) VALUES (:channel, :account, :name, :value, :now)
    ON CONFLICT (channel, account, name) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms"""

BOOKMARKS = "SELECT name, value FROM bookmarks WHERE channel = :channel AND account = :account"


def conversation_of(row: Row) -> Conversation:
    return Conversation(
        id=ConversationId(row[0]),
        address=Address(row[1], row[2], row[3], row[4]),
        identity=IdentityId(row[5]),
        agent=row[6],
        owner=row[7],
        version=row[8],
        last_seq=Seq(row[9]),
        case=CaseId(row[10]),
        is_person_wanted=bool(row[11]),
        is_stopped=bool(row[12]),
        kind=row[13],
    )


def new_conversation(
    id_: ConversationId, at: Address, identity: IdentityId, agent: str, case: CaseId, kind: str = ""
) -> Conversation:
    """The conversation as `ADD_CONVERSATION` and its first message leave it."""
    return Conversation(id_, at, agent, AGENT_OWNER, 1, Seq(1), case, identity, kind=kind)


# --- people --------------------------------------------------------------------------------------------------------

ADD_USER = """
    INSERT INTO users (id, name, created_ms) VALUES (:user, :name, :now) ON CONFLICT (id) DO NOTHING"""

ADD_IDENTITY = """
    INSERT INTO identities (id, channel, account, external_id, user_id, name, is_verified, created_ms)
    VALUES (:id, :channel, :account, :external, :user, :name, :verified, :now)
    ON CONFLICT (channel, account, external_id) DO NOTHING"""


ADD_SPEAKER = """
    INSERT INTO speakers (identity_id, conversation_id) VALUES (:identity, :conversation) ON CONFLICT DO NOTHING"""


def add_identity(
    cursor: Cursor, id_: IdentityId, user: str, who: Identity, conversation: ConversationId, now_ms: int
) -> None:
    """The person, as one who speaks in this conversation."""
    cursor.execute(ADD_SPEAKER, {"identity": id_, "conversation": conversation})
    cursor.execute(ADD_USER, {"user": user, "name": who.name, "now": now_ms})
    cursor.execute(
        ADD_IDENTITY,
        {
            "id": id_,
            "channel": who.channel,
            "account": who.account,
            "external": who.external_id,
            "user": user,
            "name": who.name,
            "verified": int(who.verified),
            "now": now_ms,
        },
    )


# --- cases ---------------------------------------------------------------------------------------------------------

ADD_CASE = """
    INSERT INTO cases (id, conversation_id, first_seq, opened_ms) VALUES (:id, :conversation, :seq, :now)"""

END_CASE = "UPDATE cases SET ended_ms = :now, outcome = :outcome WHERE id = :id AND ended_ms IS NULL"

CASE_WANTS_PERSON = "UPDATE cases SET person_wanted_ms = :now WHERE id = :id AND person_wanted_ms IS NULL"

IDLE_CASES = """
    SELECT s.id, s.conversation_id FROM cases s JOIN conversations c ON c.id = s.conversation_id
    WHERE s.ended_ms IS NULL AND s.opened_ms <= :before AND c.owner = 'agent' AND c.case_id = s.id AND :before >=
        coalesce((SELECT m.created_ms FROM messages m WHERE m.conversation_id = s.conversation_id ORDER BY m.seq DESC LIMIT 1), 0)
      AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = s.conversation_id
                        AND m.handled_ms IS NULL AND m.dead_ms IS NULL)
      AND NOT EXISTS (SELECT 1 FROM handoffs h WHERE h.case_id = s.id AND h.ended_ms IS NULL)
    ORDER BY s.opened_ms LIMIT :limit"""

HAS_ANSWER = """
    SELECT 1 FROM messages WHERE conversation_id = :id AND case_id = :case AND author IN ('agent', 'operator')
      AND visibility = 'public' LIMIT 1"""

CASES_OF_PERSON = """
    SELECT s.id, c.channel, c.account, c.chat, c.thread, s.opened_ms, coalesce(s.ended_ms, 0), s.feedback,
           coalesce((SELECT m.text FROM messages m WHERE m.conversation_id = c.id AND m.case_id = s.id AND m.identity_id = :identity
                     AND m.is_deleted = 0 ORDER BY m.seq LIMIT 1), '')
    FROM speakers p JOIN conversations c ON c.id = p.conversation_id JOIN cases s ON s.conversation_id = c.id
    WHERE p.identity_id = :identity AND c.channel = :channel AND c.account = :account
      AND EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.case_id = s.id AND m.identity_id = :identity)
    ORDER BY s.opened_ms DESC LIMIT :limit"""

CASE_FEEDBACK = "UPDATE cases SET feedback = :value WHERE id = :id AND conversation_id = :conversation"


# --- messages ------------------------------------------------------------------------------------------------------

MESSAGE_COLUMNS = """m.id, m.seq, m.author, m.text, m.created_ms, m.visibility, m.name, m.case_id, m.attachments, m.citations, m.buttons,
    m.feedback, m.changed_ms, m.is_deleted"""

ADD_MESSAGE = """
    INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, name, text, attachments, citations, buttons, turn_id,
                          created_ms, handled_ms, operator_id, via)
    VALUES (:id, :conversation, :seq, :case, :author, :visibility, :name, :text, :attachments, :citations, :buttons, :turn,
            :now, :now, :operator, :via)"""

ADD_INBOUND = """
    INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, identity_id, name, text, raw_hash, attachments,
                          created_ms, sent_ms, changed_ms, is_deleted, external_id, kind)
    VALUES (:id, :conversation, :seq, :case, :author, 'public', :identity, :name, :text, :raw_hash, :attachments,
            :now, :sent, :changed, :deleted, :external, :kind)
    ON CONFLICT (id) DO NOTHING"""

# What an operator decided or returned wakes the conversation like a message, on behalf of the one who asked, and nobody there reads it.
ADD_DECISION = """
    INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, identity_id, text, created_ms, kind)
    SELECT :id, c.id, coalesce((SELECT max(seq) FROM messages WHERE conversation_id = c.id), 0) + 1, c.case_id, :author, 'note', :identity,
           :text, :now, :kind
    FROM conversations c WHERE c.id = :conversation"""

ADDRESS_OVERHEARD = """
    UPDATE messages SET kind = :kind, handled_ms = NULL, attachments = :attachments,
                        text = CASE WHEN changed_ms = 0 THEN :text ELSE text END
    WHERE id = :id AND kind = 'overheard' AND is_deleted = 0"""

MARK_HANDLED = "UPDATE messages SET handled_ms = :now WHERE id = :id AND handled_ms IS NULL"

MESSAGE_BY_ID = f"SELECT {MESSAGE_COLUMNS} FROM messages m WHERE m.id = :id AND m.conversation_id = :conversation"

MESSAGES_AFTER = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages m
    WHERE m.conversation_id = :conversation AND m.seq > :after AND m.visibility = 'public' ORDER BY m.seq LIMIT :limit"""

MESSAGES_NEWEST = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages m
    WHERE m.conversation_id = :conversation AND m.visibility = 'public' ORDER BY m.seq DESC LIMIT :limit"""

MESSAGES_OF_CASE = f"""
    SELECT {MESSAGE_COLUMNS} FROM messages m
    WHERE m.conversation_id = :conversation AND m.case_id = :case AND m.visibility = 'public'
      AND m.seq < :before ORDER BY m.seq DESC LIMIT :limit"""

ATTACHMENTS_ON_ACCOUNT = """
    SELECT m.attachments FROM messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.id = :message AND c.channel = :channel AND c.account = :account
      AND ((m.visibility = 'public' AND m.author <> 'user') OR c.kind = 'room')"""

MESSAGE_FEEDBACK = """
    UPDATE messages SET feedback = :value WHERE id = :id AND conversation_id = :conversation AND author IN ('agent', 'operator')"""

CHANGE_MESSAGE = """
    UPDATE messages SET text = :text, attachments = CASE WHEN :deleted = 1 THEN '' ELSE attachments END,
                        is_deleted = :deleted, changed_ms = :changed
    WHERE id = :id AND changed_ms < :changed AND is_deleted = 0"""


def message_of(row: Row) -> Message:
    return Message(
        id=MessageId(row[0]),
        seq=Seq(row[1]),
        author=Author(row[2]),
        text=row[3],
        at_ms=row[4],
        visibility=Visibility(row[5]),
        name=row[6],
        case=CaseId(row[7]),
        attachments=attachments_of(row[8]) if row[8] else (),
        citations=citations_of(row[9]),
        buttons=tuple(Button(*item) for item in json.loads(row[10])) if row[10] else (),
        feedback=row[11],
        is_edited=bool(row[12]) and not row[13],
        is_deleted=bool(row[13]),
    )


def add_message(
    cursor: Cursor, message: Message, conversation: ConversationId, turn: str, operator: str = "", via: str = ""
) -> None:
    """Appends what the agent, an operator or the system wrote. `via`: the thread of an operators' room that it was written in."""
    cursor.execute(
        ADD_MESSAGE,
        {
            "id": message.id,
            "conversation": conversation,
            "seq": message.seq,
            "case": message.case,
            "author": message.author.value,
            "visibility": message.visibility.value,
            "name": message.name,
            "text": message.text,
            "attachments": attachments_text(message.attachments) if message.attachments else "",
            "citations": citations_text(message.citations),
            "buttons": buttons_text(message.buttons),
            "turn": turn,
            "now": message.at_ms,
            "operator": operator,
            "via": via,
        },
    )


def citations_text(citations: Iterable[Citation]) -> str:
    return _json([[c.number, c.passage, c.title, c.url] for c in citations])


def buttons_text(buttons: Iterable[Button]) -> str:
    return _json([[b.id, b.label, b.code] if b.code else [b.id, b.label] for b in buttons])


def attachments_text(attachments: Iterable[Attachment]) -> str:
    return _json([[a.blob, a.name, a.media_type, a.size_bytes, a.source, a.problem, a.transcript] for a in attachments])


def _json(items: list[Any]) -> str:
    return json.dumps(items, ensure_ascii=False, separators=(",", ":")) if items else ""


def attachments_of(text: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(BlobId(blob), *rest) for blob, *rest in json.loads(text)) if text else ()


def citations_of(text: str) -> tuple[Citation, ...]:
    items = json.loads(text) if text else ()
    return tuple(Citation(number, PassageId(passage), title, url) for number, passage, title, url in items)


# --- inbox: messages that came in ----------------------------------------------------------------------------------

MESSAGE_KEY = "SELECT seq, case_id FROM messages WHERE id = :id"

UNHANDLED = f"""
    SELECT {MESSAGE_COLUMNS}, m.kind, m.attempts, m.sent_ms, m.identity_id FROM messages m
    WHERE m.conversation_id = :conversation AND m.handled_ms IS NULL AND m.dead_ms IS NULL ORDER BY m.seq"""

HANDLE = """
    UPDATE messages SET handled_ms = :now, turn_id = :turn, alone_ms = NULL
    WHERE conversation_id = :conversation AND seq BETWEEN :first AND :last AND handled_ms IS NULL AND dead_ms IS NULL
    RETURNING changed_ms"""

HANDLE_ONE = """
    UPDATE messages SET handled_ms = :now, turn_id = :turn, alone_ms = NULL
    WHERE id = :id AND changed_ms = :changed AND handled_ms IS NULL AND dead_ms IS NULL"""

COUNT_FAILURE = """
    UPDATE messages SET attempts = attempts + 1, error = :error, alone_ms = NULL
    WHERE conversation_id = :conversation AND seq BETWEEN :first AND :last AND handled_ms IS NULL AND dead_ms IS NULL"""

GIVE_UP = """
    UPDATE messages SET dead_ms = :now, turn_id = :turn
    WHERE conversation_id = :conversation AND seq BETWEEN :first AND :last AND attempts >= :tries
      AND handled_ms IS NULL AND dead_ms IS NULL"""

WAITING_CONVERSATIONS = """
    SELECT conversation_id, max(attempts), min(created_ms) FROM messages
    WHERE handled_ms IS NULL AND dead_ms IS NULL GROUP BY conversation_id ORDER BY 3"""

MARK_ALONE = """
    UPDATE messages SET alone_ms = :now WHERE conversation_id = :conversation AND handled_ms IS NULL AND dead_ms IS NULL
      AND seq = (SELECT min(seq) FROM messages
                 WHERE conversation_id = :conversation AND handled_ms IS NULL AND dead_ms IS NULL)"""

COUNT_ALONE = """
    UPDATE messages SET attempts = attempts + 1, alone_ms = NULL, error = 'the process ended while this ran alone'
    WHERE alone_ms IS NOT NULL AND handled_ms IS NULL AND dead_ms IS NULL"""

COUNT_INTERRUPTED = """
    UPDATE messages SET attempts = attempts + 1, error = 'the process ended while this was unhandled'
    WHERE handled_ms IS NULL AND dead_ms IS NULL AND attempts < :most"""

UNMARK_ALONE = (
    "UPDATE messages SET alone_ms = NULL WHERE alone_ms IS NOT NULL AND handled_ms IS NULL AND dead_ms IS NULL"
)


def inbound_of(row: Row) -> Inbound:
    kind: str = row[14]
    return Inbound(
        message_of(row),
        kind.removeprefix("press:") if kind.startswith("press:") else "",
        row[15],
        row[16],
        row[12],
        row[17],
    )


# --- early changes -------------------------------------------------------------------------------------------------

ADD_EARLY_CHANGE = """
    INSERT INTO early_changes (message_id, text, is_deleted, changed_ms, received_ms)
    VALUES (:id, :text, :deleted, :changed, :now)
    ON CONFLICT (message_id) DO UPDATE
    SET text = excluded.text, is_deleted = excluded.is_deleted, changed_ms = excluded.changed_ms
    WHERE excluded.changed_ms > early_changes.changed_ms AND early_changes.is_deleted = 0"""

DROP_EARLY_CHANGE = "DELETE FROM early_changes WHERE message_id = :id"

EARLY_CHANGE = "SELECT text, is_deleted, changed_ms FROM early_changes WHERE message_id = :id"

HAS_EARLY_CHANGES = "SELECT 1 FROM early_changes LIMIT 1"

PRUNE_EARLY_CHANGES = "DELETE FROM early_changes WHERE received_ms < :before"


# --- outbox --------------------------------------------------------------------------------------------------------

ADD_OUTBOX = """
    INSERT INTO outbox (message_id, part, conversation_id, seq, channel, text, role, due_ms)
    VALUES (:message, :part, :conversation, :seq, :channel, :text, :role, :now)"""

# An answer whose draft is shown takes its place; where nobody has heard under which id, the platform is asked first.
ADD_ANSWER_PART = (
    ADD_OUTBOX
    + """
    ON CONFLICT (message_id, part) DO UPDATE
    SET role = 'final', seq = excluded.seq, text = excluded.text, due_ms = excluded.due_ms,
        state = CASE WHEN outbox.external_id <> '' THEN 'planned' ELSE 'unknown' END"""
)

ANNOUNCE_DRAFT = """
    INSERT INTO outbox (message_id, part, conversation_id, seq, channel, state, attempts, role, due_ms, attempted_ms)
    SELECT :message, 0, :conversation, 0, :channel, 'sending', 1, 'draft', :now, :now
    WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE conversation_id = :conversation AND is_held = 0
        AND state IN ('planned', 'sending', 'unknown') AND role NOT IN ('draft', 'withdraw'))
    ON CONFLICT (message_id, part) DO NOTHING"""

DRAFT_POSTED = """
    UPDATE outbox SET external_id = :external, due_ms = 0,
                      state = CASE WHEN state = 'unknown' AND role IN ('final', 'withdraw') THEN 'planned' ELSE state END
    WHERE message_id = :message AND part = 0 AND conversation_id = :conversation AND external_id = ''
      AND role IN ('draft', 'final', 'withdraw')"""

WITHDRAW_DRAFT = """
    UPDATE outbox SET role = 'withdraw', state = 'planned', attempts = 0, due_ms = :now
    WHERE message_id = :message AND part = 0 AND role = 'draft'"""

WITHDRAW_FINAL = """
    UPDATE outbox SET role = 'withdraw', state = 'planned', attempts = 0, due_ms = :now
    WHERE message_id = :message AND part = 0 AND role = 'final' AND state = 'dead' AND external_id <> ''"""

OPEN_WITHDRAWALS = """
    SELECT message_id, external_id, attempted_ms, attempts, due_ms FROM outbox
    WHERE conversation_id = :conversation AND role = 'withdraw' AND state = 'planned' AND is_held = 0"""

MESSAGE_OF_EXTERNAL = """
    SELECT message_id FROM outbox WHERE conversation_id = :conversation AND external_id = :external AND external_id <> '' LIMIT 1"""

PART_REPORTED = """
    SELECT o.state, o.receipt, o.external_id FROM outbox o
    WHERE o.message_id = :message AND o.part = :part AND o.conversation_id = :conversation"""

SET_RECEIPT = """
    UPDATE outbox SET receipt = :receipt, external_id = :external, state = :state, sent_ms = coalesce(sent_ms, :now)
    WHERE message_id = :message AND part = :part"""

LAST_HEARD = """
    SELECT heard_ms FROM (
        SELECT CASE WHEN sent_ms > 0 AND sent_ms < created_ms THEN sent_ms ELSE created_ms END AS heard_ms FROM messages
        WHERE conversation_id = :conversation AND author = 'user' AND kind NOT IN ('', 'overheard')
        ORDER BY seq DESC LIMIT 50) AS newest
    ORDER BY heard_ms DESC LIMIT 1"""

HOLD_FOR_WINDOW = """
    UPDATE outbox SET is_held = 1, held_for = 'window', state = 'planned', error = :error
    WHERE message_id = :message AND ((part = :part AND state IN ('planned', 'sending', 'sent')) OR (part > :part AND state = 'planned'))"""

RELEASE_WINDOW = """
    UPDATE outbox SET is_held = 0, due_ms = :now
    WHERE conversation_id = :conversation AND held_for = 'window' AND is_held = 1 AND state = 'planned'"""

TEMPLATE_SINCE = """
    SELECT 1 FROM outbox WHERE conversation_id = :conversation AND role = 'template' AND due_ms >= :since LIMIT 1"""

ACKNOWLEDGE = "UPDATE conversations SET delivered_seq = :seq WHERE id = :id AND delivered_seq < :seq"

OPEN_OUTBOX = f"""
    SELECT o.message_id, o.part, o.text, o.state, o.attempts, o.due_ms, o.attempted_ms, o.role, o.held_for, o.external_id,
           (SELECT max(l.part) FROM outbox l WHERE l.message_id = o.message_id AND l.role IN ('', 'final') AND l.part < 10000), {MESSAGE_COLUMNS},
           m.mentions
    FROM outbox o JOIN messages m ON m.id = o.message_id
    WHERE o.conversation_id = :conversation AND o.state IN ('planned', 'sending', 'unknown') AND o.is_held = 0
      AND o.role NOT IN ('draft', 'withdraw')
    ORDER BY o.seq, o.part LIMIT :limit"""

OPEN_OUTBOX_CONVERSATIONS = """
    SELECT DISTINCT o.conversation_id, c.channel, c.account FROM outbox o JOIN conversations c ON c.id = o.conversation_id
    WHERE o.state IN ('planned', 'sending', 'unknown') AND o.is_held = 0"""

COUNT_OUTBOX = "SELECT state, count(*) FROM outbox WHERE state IN ('planned', 'sending', 'unknown') GROUP BY state"

OUTBOX_BY_ACCOUNT = """
    SELECT c.channel, c.account, CASE WHEN o.is_held = 1 THEN 'held' WHEN o.state = 'sending' THEN 'planned' ELSE o.state END, count(*)
    FROM outbox o JOIN conversations c ON c.id = o.conversation_id
    WHERE o.state IN ('planned', 'sending', 'unknown') GROUP BY 1, 2, 3"""

INTERRUPTED_SENDS = "UPDATE outbox SET state = 'unknown', due_ms = :now WHERE state = 'sending' AND role <> 'draft'"

MARK_SENDING = """
    UPDATE outbox SET state = 'sending', attempted_ms = :now, attempts = attempts + 1
    WHERE message_id = :message AND part = :part AND state = 'planned'"""

MARK_SENT = """
    UPDATE outbox SET state = 'sent', sent_ms = :now, external_id = CASE WHEN :external = '' THEN external_id ELSE :external END,
                      receipt = CASE WHEN receipt = 'failed' THEN '' ELSE receipt END
    WHERE message_id = :message AND part = :part AND state IN ('sending', 'unknown')"""

# What the platform has reported to be there stays so, whatever the request for it comes to afterwards.
MARK = """
    UPDATE outbox SET state = :state, due_ms = :due, error = :error
    WHERE message_id = :message AND part = :part AND (state <> 'sent' OR :state = 'dead')"""

MARK_FROM = MARK + " AND state = :was"

PUT_OFF = """
    UPDATE outbox SET state = 'planned', attempts = attempts - 1, due_ms = :due, error = :error
    WHERE message_id = :message AND part = :part AND state = 'sending'"""

DRAFT_FOUND = """
    UPDATE outbox SET state = 'planned', external_id = :external WHERE message_id = :message AND part = :part"""

WAIT = "UPDATE outbox SET due_ms = :due, error = :error WHERE message_id = :message AND part = :part"

COUNT_LOOKUP = """
    UPDATE outbox SET attempts = attempts + 1, due_ms = :due, error = :error WHERE message_id = :message AND part = :part"""

PUT_OFF_LOOKUP = "UPDATE outbox SET due_ms = :due, error = :error WHERE message_id = :message AND part = :part"

HOLD = """
    UPDATE outbox SET is_held = 1, error = :error
    WHERE message_id = :message AND part = :part AND state IN ('sending', 'unknown')"""

DROP_REST = """
    UPDATE outbox SET state = 'dead', error = 'an earlier part could not be delivered'
    WHERE message_id = :message AND part > :part AND state = 'planned'"""

HOLD_ALL = "UPDATE outbox SET is_held = 1, held_for = '', error = 'restored from a backup' WHERE state IN ('planned', 'sending', 'unknown')"

RELEASE_HELD = """
    UPDATE outbox SET is_held = 0, state = 'planned', due_ms = :now, attempts = 0, error = ''
    WHERE is_held = 1 AND held_for = ''"""

DISCARD_UNHANDLED = """
    UPDATE messages SET dead_ms = :now, error = 'discarded by an operator'
    WHERE handled_ms IS NULL AND dead_ms IS NULL AND created_ms <= :before"""

DISCARD_HELD = """
    UPDATE outbox SET is_held = 0, state = 'dead', error = 'discarded by an operator' WHERE is_held = 1 AND held_for = ''"""


def add_outbox(
    cursor: Cursor,
    message: Message,
    conversation: ConversationId,
    channel: str,
    parts: Iterable[str | None],
    role: str = "",
) -> None:
    for part, text in enumerate(parts):
        cursor.execute(
            ADD_ANSWER_PART,
            {
                "message": message.id,
                "part": part,
                "conversation": conversation,
                "seq": message.seq,
                "channel": channel,
                "text": text,
                "role": role,
                "now": message.at_ms,
            },
        )


# --- turns, incidents, audit, meta ---------------------------------------------------------------------

ADD_TURN = """
    INSERT INTO turns (id, conversation_id, case_id, agent, outcome, started_ms, ended_ms, trace)
    VALUES (:id, :conversation, :case, :agent, :outcome, :started, :ended, :trace)"""

HAS_TURN = "SELECT 1 FROM turns WHERE id = :id"

ADD_INCIDENT = """
    INSERT INTO incidents (id, kind, subject, conversation_id, detail, created_ms, updated_ms)
    VALUES (:id, :kind, :subject, :conversation, :detail, :now, :now)
    ON CONFLICT (kind, subject) DO UPDATE
    SET count = incidents.count + 1, detail = excluded.detail, updated_ms = excluded.updated_ms"""

SET_META = """
    INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""

GET_META = "SELECT value FROM meta WHERE key = :key"

FORGET_META = "DELETE FROM meta WHERE key = :key"


def add_incident(
    cursor: Cursor, id_: str, kind: str, subject: str, detail: str, now_ms: int, conversation: str = ""
) -> None:
    cursor.execute(
        ADD_INCIDENT,
        {"id": id_, "kind": kind, "subject": subject, "conversation": conversation, "detail": detail, "now": now_ms},
    )


# --- blobs ---------------------------------------------------------------------------------------------------------

ADD_BLOB = """
    INSERT INTO blobs (id, channel, account, owner, name, media_type, size_bytes, sha256, created_ms)
    VALUES (:id, :channel, :account, :owner, :name, :media_type, :size, :sha256, :now)"""

BLOB_OF_OWNER = """
    SELECT id, name, media_type, size_bytes FROM blobs
    WHERE id = :id AND channel = :channel AND account = :account AND owner = :owner"""


BLOB_BY_ID = "SELECT id, name, media_type, size_bytes FROM blobs WHERE id = :id"

ALL_BLOBS = "SELECT id FROM blobs"


def find_blob(cursor: Cursor, blob: BlobId, owner: Identity) -> Blob | None:
    rows = cursor.fetch(BLOB_OF_OWNER, blob_key(blob, owner))
    return blob_of(rows[0]) if rows else None


def blob_key(blob: BlobId, owner: Identity) -> dict[str, Value]:
    return {"id": blob, "channel": owner.channel, "account": owner.account, "owner": owner.external_id}


def blob_of(row: Row) -> Blob:
    return Blob(BlobId(row[0]), row[1], row[2], row[3])
