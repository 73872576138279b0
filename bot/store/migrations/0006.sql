-- Passing conversations to people and back.

-- kind: '' what a person and the agent say; 'room' an operators' room, or one of its threads, where cards and transcripts are shown.
ALTER TABLE conversations ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN is_blocked INTEGER NOT NULL DEFAULT 0;

-- operator_id: who wrote it on our side; via: the thread of an operators' room that it was written in.
ALTER TABLE messages ADD COLUMN operator_id TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN via TEXT NOT NULL DEFAULT '';

-- summary: what the next case of the conversation starts from.
ALTER TABLE cases ADD COLUMN summary TEXT NOT NULL DEFAULT '';

-- One row for each stretch in which a person is awaited or has a conversation; at most one is open. stage: see bot/handoff/machine.py.
-- brief: JSON, what travels. first_seq to last_seq: the stretch. until_ms: put off until then. contact: how else the user may be reached.
CREATE TABLE handoffs (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    case_id         TEXT NOT NULL,
    stage           TEXT NOT NULL,
    origin          TEXT NOT NULL,              -- what asked for it: 'asked', 'tool', 'anger', ...
    reason          TEXT NOT NULL DEFAULT '',
    brief           TEXT NOT NULL DEFAULT '',
    operator        TEXT NOT NULL DEFAULT '',
    offered_to      TEXT NOT NULL DEFAULT '',
    team            TEXT NOT NULL DEFAULT '',
    skill           TEXT NOT NULL DEFAULT '',
    language        TEXT NOT NULL DEFAULT '',
    priority        INTEGER NOT NULL DEFAULT 0,
    contact         TEXT NOT NULL DEFAULT '',
    first_seq       BIGINT NOT NULL,
    last_seq        BIGINT NOT NULL DEFAULT 0,
    asked_ms        BIGINT NOT NULL,
    queued_ms       BIGINT,
    offered_ms      BIGINT,
    taken_ms        BIGINT,
    replied_ms      BIGINT,                     -- the first reply of a person
    heard_ms        BIGINT,                     -- the first message of the user that no operator has replied to
    spoke_ms        BIGINT,                     -- the operator's latest sign of work
    reassured_ms    BIGINT NOT NULL DEFAULT 0,
    until_ms        BIGINT NOT NULL DEFAULT 0,
    paused_ms       BIGINT NOT NULL DEFAULT 0,  -- how long it has waited for the user so far
    ended_ms        BIGINT,
    changed_ms      BIGINT NOT NULL
);
CREATE UNIQUE INDEX handoffs_open ON handoffs (conversation_id) WHERE ended_ms IS NULL;
CREATE INDEX handoffs_by_case ON handoffs (case_id);
CREATE INDEX handoffs_taken ON handoffs (taken_ms) WHERE taken_ms IS NOT NULL;
CREATE INDEX handoffs_ended ON handoffs (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX handoffs_by_conversation ON handoffs (conversation_id, asked_ms);
CREATE INDEX cases_ended ON cases (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX handoffs_by_operator ON handoffs (operator) WHERE ended_ms IS NULL;

-- What happened to a handoff, and who did it: the lines between the messages, and where figures come from.
CREATE TABLE handoff_log (
    id              TEXT PRIMARY KEY,
    handoff_id      TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    seq             BIGINT NOT NULL,            -- the conversation's last message at the time
    at_ms           BIGINT NOT NULL,
    actor           TEXT NOT NULL,              -- an operator's id, 'user', 'agent' or 'timer'
    what            TEXT NOT NULL,
    detail          TEXT NOT NULL DEFAULT ''
);
CREATE INDEX handoff_log_by_conversation ON handoff_log (conversation_id, at_ms);

-- When something is due, in plain time; a timer that has acted keeps its time of it, and a missed one is recorded once.
CREATE TABLE timers (
    handoff_id TEXT NOT NULL REFERENCES handoffs (id),
    kind       TEXT NOT NULL,                   -- 'offer', 'first reply', 'next reply', 'resolve', 'operator', 'queue', 'user', 'snooze', 'opening', 'wrap-up'
    since_ms   BIGINT NOT NULL,
    due_ms     BIGINT NOT NULL,
    acted_ms   BIGINT,
    PRIMARY KEY (handoff_id, kind)
);
CREATE INDEX timers_due ON timers (due_ms) WHERE acted_ms IS NULL;

-- What the model reads in place of a stretch of messages, or besides them (first_seq above last_seq).
CREATE TABLE blocks (
    conversation_id TEXT NOT NULL,
    case_id         TEXT NOT NULL,
    id              TEXT NOT NULL,
    first_seq       BIGINT NOT NULL,
    last_seq        BIGINT NOT NULL,
    text            TEXT NOT NULL,
    created_ms      BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, id)
);

-- A case in an operators' room: its card there, and how much of the conversation its thread shows.
CREATE TABLE room_cards (
    case_id         TEXT NOT NULL,
    room            TEXT NOT NULL,              -- the conversation that is the room
    conversation_id TEXT NOT NULL,              -- the user's
    card            TEXT NOT NULL,              -- the message that is the card
    shown           TEXT NOT NULL DEFAULT '',   -- a hash of what the card shows
    thread          TEXT NOT NULL DEFAULT '',   -- the conversation that is the thread; '' until the platform has named the card
    mirrored_seq    BIGINT NOT NULL DEFAULT 0,
    logged_ms       BIGINT NOT NULL DEFAULT 0,
    changed_ms      BIGINT NOT NULL,
    PRIMARY KEY (case_id, room)
);
CREATE INDEX room_cards_by_card ON room_cards (card);
CREATE INDEX room_cards_by_thread ON room_cards (thread);

CREATE TABLE tags (
    case_id TEXT NOT NULL,
    tag     TEXT NOT NULL,
    PRIMARY KEY (case_id, tag)
);

CREATE TABLE watchers (
    conversation_id TEXT NOT NULL,
    operator        TEXT NOT NULL,
    PRIMARY KEY (conversation_id, operator)
);

-- Replies that the agent has proposed to operators. outcome: '', 'accepted', 'edited' or 'dropped'; sent: the reply that was sent instead.
CREATE TABLE suggestions (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    seq             BIGINT NOT NULL,            -- the message it answers
    operator        TEXT NOT NULL,
    text            TEXT NOT NULL,
    citations       TEXT NOT NULL DEFAULT '',
    outcome         TEXT NOT NULL DEFAULT '',
    sent            TEXT NOT NULL DEFAULT '',
    created_ms      BIGINT NOT NULL,
    ended_ms        BIGINT
);

-- Commands of operators that have been carried out, by the key that their sender gave them, with what came of it.
CREATE TABLE commands_done (
    key        TEXT PRIMARY KEY,
    told       TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
