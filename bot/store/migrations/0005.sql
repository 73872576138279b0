-- What actions do: one row for each logical action, from its proposal to its outcome. `key` is minted once and is the same in every try.
-- state: 'proposed' waits for consent, 'approved' may be made, 'intended' was about to leave or has left, then 'succeeded', 'refused' or
-- 'unknown'; 'void': it may not be made any more. object: what may happen once; two rows of one object are open or done never at once.
-- awaits_telling: the agent has not yet been told what became of it.
CREATE TABLE actions (
    id              TEXT PRIMARY KEY,
    reply_id        TEXT NOT NULL,
    call_id         TEXT NOT NULL,
    turn_id         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    case_id         TEXT NOT NULL,
    identity_id     TEXT NOT NULL,
    agent           TEXT NOT NULL,
    name            TEXT NOT NULL,
    version         TEXT NOT NULL,
    effect          TEXT NOT NULL,
    arguments       TEXT NOT NULL,              -- canonical JSON, with what was injected
    facts           TEXT NOT NULL DEFAULT '',   -- canonical JSON
    hash            TEXT NOT NULL,              -- SHA-256 over all columns that are fixed here, and those of the consents
    key             TEXT NOT NULL,
    object          TEXT NOT NULL DEFAULT '',
    amount          BIGINT NOT NULL DEFAULT 0,
    is_private      INTEGER NOT NULL DEFAULT 0, -- a read of what only this person may see
    state           TEXT NOT NULL,
    result          TEXT NOT NULL DEFAULT '',   -- what the model reads of it
    detail          TEXT NOT NULL DEFAULT '',   -- what operators read of it
    tries           INTEGER NOT NULL DEFAULT 0,
    awaits_telling  INTEGER NOT NULL DEFAULT 0,
    created_ms      BIGINT NOT NULL,
    approved_ms     BIGINT,
    intended_ms     BIGINT,
    ended_ms        BIGINT
);
CREATE UNIQUE INDEX actions_by_object ON actions (object) WHERE object <> '' AND state NOT IN ('refused', 'void');
CREATE INDEX actions_awaiting ON actions (conversation_id) WHERE awaits_telling = 1;
CREATE INDEX actions_proposed ON actions (conversation_id) WHERE state = 'proposed';
CREATE INDEX actions_approved ON actions (conversation_id) WHERE state = 'approved';
CREATE INDEX actions_intended ON actions (conversation_id) WHERE state = 'intended';
CREATE INDEX actions_private ON actions (case_id) WHERE is_private = 1;
CREATE INDEX actions_by_person ON actions (identity_id, name, created_ms);

-- kind: 'user' or 'operator'. asked: the identity that was asked; '' any operator who may. hash: of what was agreed to. state: 'open', 'given',
-- 'refused', 'expired'.
CREATE TABLE consents (
    id          TEXT PRIMARY KEY,
    action_id   TEXT NOT NULL REFERENCES actions (id),
    kind        TEXT NOT NULL,
    asked       TEXT NOT NULL DEFAULT '',
    hash        TEXT NOT NULL,
    text        TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'open',
    decided_by  TEXT NOT NULL DEFAULT '',
    account     TEXT NOT NULL DEFAULT '',       -- the local account that an operator's decision came from
    why         TEXT NOT NULL DEFAULT '',
    created_ms  BIGINT NOT NULL,
    expires_ms  BIGINT NOT NULL,
    decided_ms  BIGINT
);
CREATE INDEX consents_by_action ON consents (action_id);
CREATE INDEX consents_open ON consents (expires_ms) WHERE state = 'open';

-- What waits for a person: 'unknown' outcomes, and 'held' replies. outcome: 'happened', 'did not', 'mine' or 'seen'.
CREATE TABLE queue (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    detail          TEXT NOT NULL,
    outcome         TEXT NOT NULL DEFAULT '',
    decided_by      TEXT NOT NULL DEFAULT '',
    account         TEXT NOT NULL DEFAULT '',
    why             TEXT NOT NULL DEFAULT '',
    created_ms      BIGINT NOT NULL,
    decided_ms      BIGINT,
    UNIQUE (kind, subject)
);
CREATE INDEX queue_open ON queue (created_ms) WHERE decided_ms IS NULL;
