-- The tables are the queues: an inbound message without handled_ms is work to do, an outbox row in state 'planned' is a message
-- to send. Times are UTC milliseconds, ids are text made in Python, lists are JSON text.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL DEFAULT '',
    language   TEXT NOT NULL DEFAULT '',
    time_zone  TEXT NOT NULL DEFAULT '',
    created_ms BIGINT NOT NULL
);

CREATE TABLE identities (
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    account     TEXT NOT NULL,
    external_id TEXT NOT NULL,
    user_id     TEXT NOT NULL REFERENCES users (id),
    name        TEXT NOT NULL DEFAULT '',
    is_verified INTEGER NOT NULL DEFAULT 0,
    created_ms  BIGINT NOT NULL,
    UNIQUE (channel, account, external_id)
);

-- owner: 'agent', 'queue' or an operator's id; version counts the changes of owner.
-- case_id is '' when the last case has ended. delivered_seq: on a channel that acknowledges, the receiver holds everything up to it.
CREATE TABLE conversations (
    id               TEXT PRIMARY KEY,
    channel          TEXT NOT NULL,
    account          TEXT NOT NULL,
    chat             TEXT NOT NULL,
    thread           TEXT NOT NULL,
    identity_id      TEXT NOT NULL REFERENCES identities (id),
    agent            TEXT NOT NULL,
    owner            TEXT NOT NULL DEFAULT 'agent',
    version          BIGINT NOT NULL DEFAULT 1,
    last_seq         BIGINT NOT NULL DEFAULT 0,
    delivered_seq    BIGINT NOT NULL DEFAULT 0,
    case_id          TEXT NOT NULL DEFAULT '',
    is_person_wanted INTEGER NOT NULL DEFAULT 0,
    created_ms       BIGINT NOT NULL,
    updated_ms       BIGINT NOT NULL,
    UNIQUE (channel, account, chat, thread)
);

CREATE TABLE cases (
    id               TEXT PRIMARY KEY,
    conversation_id  TEXT NOT NULL REFERENCES conversations (id),
    first_seq        BIGINT NOT NULL,
    opened_ms        BIGINT NOT NULL,
    ended_ms         BIGINT,
    outcome          TEXT NOT NULL DEFAULT '',
    feedback         TEXT NOT NULL DEFAULT '',
    person_wanted_ms BIGINT
);
CREATE INDEX cases_by_conversation ON cases (conversation_id, first_seq);

-- A message's id is derived from its conversation and the platform's own id of the event, so that the primary key is the dedupe.
-- kind: '' for what a model, an operator or the system wrote; 'message' or 'press:BUTTON' for what came in. An inbound row is work
-- until handled_ms or dead_ms is set.
CREATE TABLE messages (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    seq             BIGINT NOT NULL,
    case_id         TEXT NOT NULL,
    author          TEXT NOT NULL,
    visibility      TEXT NOT NULL,
    identity_id     TEXT NOT NULL DEFAULT '',
    name            TEXT NOT NULL DEFAULT '',
    text            TEXT NOT NULL,
    raw_hash        TEXT NOT NULL DEFAULT '',   -- SHA-256 of the text as it came, where cleaning changed it
    attachments     TEXT NOT NULL DEFAULT '',   -- JSON lists, '' for none
    citations       TEXT NOT NULL DEFAULT '',
    buttons         TEXT NOT NULL DEFAULT '',
    feedback        TEXT NOT NULL DEFAULT '',
    created_ms      BIGINT NOT NULL,
    sent_ms         BIGINT NOT NULL DEFAULT 0,  -- the platform's time, 0 where it gives none
    changed_ms      BIGINT NOT NULL DEFAULT 0,  -- platform time of the latest edit or deletion
    is_deleted      INTEGER NOT NULL DEFAULT 0,
    external_id     TEXT NOT NULL DEFAULT '',
    kind            TEXT NOT NULL DEFAULT '',
    turn_id         TEXT NOT NULL DEFAULT '',   -- the turn that handled or wrote it
    handled_ms      BIGINT,
    dead_ms         BIGINT,
    attempts        INTEGER NOT NULL DEFAULT 0,
    alone_ms        BIGINT,                     -- set while this row's turn runs with nothing beside it
    error           TEXT NOT NULL DEFAULT '',
    UNIQUE (conversation_id, seq)
);
CREATE INDEX messages_waiting ON messages (conversation_id, seq) WHERE handled_ms IS NULL AND dead_ms IS NULL;

-- What came in, for people with a SQL client.
CREATE VIEW inbox AS
    SELECT c.channel, c.account, m.external_id, m.kind, m.conversation_id, m.id AS message_id, m.seq, m.created_ms AS received_ms,
           m.handled_ms, m.dead_ms, m.turn_id, m.attempts, m.alone_ms, m.error
    FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.kind <> '';

-- An edit or deletion that arrived before its message.
CREATE TABLE early_changes (
    message_id  TEXT PRIMARY KEY,
    text        TEXT NOT NULL,
    is_deleted  INTEGER NOT NULL,
    changed_ms  BIGINT NOT NULL,
    received_ms BIGINT NOT NULL
);

-- One row for each part of a message, on channels that do not acknowledge by themselves.
CREATE TABLE outbox (
    message_id      TEXT NOT NULL,
    part            INTEGER NOT NULL,
    conversation_id TEXT NOT NULL,
    seq             BIGINT NOT NULL,
    channel         TEXT NOT NULL,
    text            TEXT,                       -- NULL: the message's own text, whole
    state           TEXT NOT NULL DEFAULT 'planned',
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_ms          BIGINT NOT NULL,
    attempted_ms    BIGINT,
    sent_ms         BIGINT,
    external_id     TEXT NOT NULL DEFAULT '',
    is_held         INTEGER NOT NULL DEFAULT 0, -- after a restore: not sent until an operator says so
    error           TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (message_id, part)
);
CREATE INDEX outbox_open ON outbox (conversation_id, seq, part) WHERE state IN ('planned', 'sending', 'unknown');

CREATE TABLE turns (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    case_id         TEXT NOT NULL,
    agent           TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    started_ms      BIGINT NOT NULL,
    ended_ms        BIGINT NOT NULL,
    trace           TEXT NOT NULL               -- JSON
);

CREATE TABLE tool_calls (
    id              TEXT PRIMARY KEY,
    turn_id         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    step            INTEGER NOT NULL,
    name            TEXT NOT NULL,
    arguments       TEXT NOT NULL,
    state           TEXT NOT NULL,
    key             TEXT NOT NULL DEFAULT '',
    result          TEXT NOT NULL DEFAULT '',
    started_ms      BIGINT NOT NULL,
    ended_ms        BIGINT
);
CREATE INDEX tool_calls_by_turn ON tool_calls (turn_id);

CREATE TABLE blobs (
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    account     TEXT NOT NULL,
    owner       TEXT NOT NULL,                  -- the external id of the identity that may read it
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    sha256      TEXT NOT NULL,
    created_ms  BIGINT NOT NULL
);

-- What an operator should know of: one open row for a kind and subject, counted.
CREATE TABLE incidents (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    conversation_id TEXT NOT NULL DEFAULT '',
    detail          TEXT NOT NULL,
    count           INTEGER NOT NULL DEFAULT 1,
    created_ms      BIGINT NOT NULL,
    updated_ms      BIGINT NOT NULL,
    UNIQUE (kind, subject)
);

CREATE TABLE audit (
    id      TEXT PRIMARY KEY,
    actor   TEXT NOT NULL,                      -- a pseudonym, or a local account
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    at_ms   BIGINT NOT NULL
);
