-- What is remembered of users beyond a case. Rows point at identities and are read by user, so that linking moves nothing.

-- is_shared: others read along there, or may at any time.
ALTER TABLE conversations ADD COLUMN is_shared INTEGER NOT NULL DEFAULT 0;

-- remembered_ms: since when the case is over for memory too; until then an ended case is work. What ended before this is none.
ALTER TABLE cases ADD COLUMN remembered_ms BIGINT;
UPDATE cases SET remembered_ms = ended_ms WHERE ended_ms IS NOT NULL;
CREATE INDEX cases_to_remember ON cases (ended_ms) WHERE ended_ms IS NOT NULL AND remembered_ms IS NULL;

-- What came of one case for one of its speakers. words: the stems by which it is found. messages: JSON, the ids that it was made from.
-- model: who wrote it, '' where it was put together from the rows. forgotten_ms: the user wanted it gone, and it is not written again.
CREATE TABLE episodes (
    id              TEXT PRIMARY KEY,
    identity_id     TEXT NOT NULL REFERENCES identities (id),
    conversation_id TEXT NOT NULL,
    case_id         TEXT NOT NULL,
    text            TEXT NOT NULL,
    words           TEXT NOT NULL,
    messages        TEXT NOT NULL,
    model           TEXT NOT NULL DEFAULT '',
    ended_ms        BIGINT NOT NULL,
    created_ms      BIGINT NOT NULL,
    forgotten_ms    BIGINT,
    UNIQUE (case_id, identity_id)
);
CREATE INDEX episodes_by_person ON episodes (identity_id, ended_ms);

-- What a user said of themselves, in their own words. about: what it is about, where a kind can hold several. confidence: 0 to 1.
-- ended_ms: another took its place (replaced_by) or it was forgotten, in which case value is '' and message_id gives no such fact again.
CREATE TABLE facts (
    id              TEXT PRIMARY KEY,
    identity_id     TEXT NOT NULL REFERENCES identities (id),
    kind            TEXT NOT NULL,
    about           TEXT NOT NULL,
    value           TEXT NOT NULL,
    confidence      REAL NOT NULL,
    message_id      TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    created_ms      BIGINT NOT NULL,
    expires_ms      BIGINT NOT NULL,
    ended_ms        BIGINT,
    replaced_by     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX facts_by_person ON facts (identity_id, created_ms);
CREATE INDEX facts_by_message ON facts (message_id);
CREATE INDEX facts_by_expiry ON facts (expires_ms);

-- What a user was shown last of it, so that "forget 2" means what stood there as 2.
CREATE TABLE memory_lists (
    conversation_id TEXT PRIMARY KEY,
    identity_id     TEXT NOT NULL,
    items           TEXT NOT NULL,              -- JSON: ids of facts and episodes
    created_ms      BIGINT NOT NULL
);
