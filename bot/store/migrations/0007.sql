-- Operators: the people on our side, how they sign in, and the chain of the audit.

-- is_from_config: [[operators.people]] made it; is_absent: it did, and names the person no longer. password: an argon2id hash, '' for none.
-- totp and totp_new: what the secret is derived from, with a key that is not in here; '' for none. totp_new waits for its first code.
-- totp_step: the last time step of which a code was taken. presence: 'online', 'away' or 'offline'.
CREATE TABLE operators (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    role           TEXT NOT NULL,
    teams          TEXT NOT NULL DEFAULT '[]',  -- JSON lists
    skills         TEXT NOT NULL DEFAULT '[]',
    languages      TEXT NOT NULL DEFAULT '[]',
    capacity       INTEGER NOT NULL,
    password       TEXT NOT NULL DEFAULT '',
    totp           TEXT NOT NULL DEFAULT '',
    totp_new       TEXT NOT NULL DEFAULT '',
    totp_step      BIGINT NOT NULL DEFAULT 0,
    is_disabled    INTEGER NOT NULL DEFAULT 0,
    is_from_config INTEGER NOT NULL DEFAULT 0,
    is_absent      INTEGER NOT NULL DEFAULT 0,
    presence       TEXT NOT NULL DEFAULT 'offline',
    seen_ms        BIGINT NOT NULL DEFAULT 0,
    created_ms     BIGINT NOT NULL
);

-- Which person on a platform is which operator, by the platform's own id that never changes.
CREATE TABLE operator_links (
    channel     TEXT NOT NULL,
    account     TEXT NOT NULL,
    external_id TEXT NOT NULL,
    operator_id TEXT NOT NULL REFERENCES operators (id),
    name        TEXT NOT NULL DEFAULT '',       -- as the platform showed it then: for people to read, never to decide by
    linked_ms   BIGINT NOT NULL,
    PRIMARY KEY (channel, account, external_id)
);
CREATE INDEX operator_links_by_operator ON operator_links (operator_id);

-- purpose: 'link' or 'invite'. hash: SHA-256 of the code, which itself is nowhere.
CREATE TABLE operator_codes (
    hash        TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES operators (id),
    purpose     TEXT NOT NULL,
    expires_ms  BIGINT NOT NULL,
    used_ms     BIGINT
);

-- hash: SHA-256 of the token that the browser holds. elevated_ms: when the person last proved anew who they are, 0 for never.
CREATE TABLE operator_sessions (
    hash        TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES operators (id),
    csrf        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    seen_ms     BIGINT NOT NULL,
    expires_ms  BIGINT NOT NULL,
    ended_ms    BIGINT,
    elevated_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX operator_sessions_open ON operator_sessions (operator_id) WHERE ended_ms IS NULL;

-- subject: a hash of what is tried for (a name, an address, an identity).
CREATE TABLE sign_in_failures (
    subject  TEXT PRIMARY KEY,
    count    INTEGER NOT NULL,
    until_ms BIGINT NOT NULL
);

-- number: the place in the chain; rows from before it have none. hash: SHA-256 over the row and the hash before it.
ALTER TABLE audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN number BIGINT;
CREATE UNIQUE INDEX audit_chain ON audit (number);
