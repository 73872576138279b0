-- Users as people: what links their identities, what must be kept of them, and what is left of those who were erased.

-- Codes that link two identities of one person. hash: SHA-256 of the code. message_id: the message that shows it, until it is worth nothing.
CREATE TABLE link_codes (
    hash        TEXT PRIMARY KEY,
    identity_id TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    expires_ms  BIGINT NOT NULL
);
CREATE INDEX link_codes_by_identity ON link_codes (identity_id);
CREATE INDEX identities_by_user ON identities (user_id);

-- Identities of which the law wants everything kept. asked_ms: when the person asked to be forgotten all the same; what they said is used
-- for nothing from then on. put_away: JSON, what later cases would have begun with.
CREATE TABLE holds (
    identity_id TEXT PRIMARY KEY,
    reason      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    since_ms    BIGINT NOT NULL,
    asked_ms    BIGINT,
    put_away    TEXT NOT NULL DEFAULT ''
);

-- Messages that were erased, as keyed hashes of their ids: what a platform delivers again is not taken.
CREATE TABLE tombstones (
    hash      TEXT PRIMARY KEY,
    erased_ms BIGINT NOT NULL
);

-- Who was erased, as a pseudonym, on whose word, and what became of it. receipt: JSON.
CREATE TABLE erasures (
    id        TEXT PRIMARY KEY,
    pseudonym TEXT NOT NULL,
    actor     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    at_ms     BIGINT NOT NULL,
    receipt   TEXT NOT NULL DEFAULT ''
);

-- What retention looks for.
CREATE INDEX messages_by_age ON messages (created_ms) WHERE text <> '' OR attachments <> '';
CREATE INDEX turns_by_age ON turns (ended_ms) WHERE trace <> '{}';
CREATE INDEX blobs_by_age ON blobs (created_ms);
