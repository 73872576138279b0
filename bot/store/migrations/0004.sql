-- What channels need whose receivers do not acknowledge by themselves.

-- role: '' a part of a message; 'draft' shown while its answer is being written, no message yet; 'final' takes the place of what was
-- shown as external_id; 'withdraw' is to be taken away; 'choice' answers a STOP and is sent all the same; 'template' tells a person
-- outside the channel's window that a message waits. held_for: '' or 'window', until the person writes again.
-- receipt: what the platform reported last: 'sent', 'delivered', 'read', 'failed'.
ALTER TABLE outbox ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN held_for TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN receipt TEXT NOT NULL DEFAULT '';
CREATE INDEX outbox_by_external ON outbox (conversation_id, external_id) WHERE external_id <> '';
CREATE INDEX outbox_withdrawals ON outbox (conversation_id) WHERE role = 'withdraw' AND state = 'planned';
CREATE INDEX outbox_window ON outbox (conversation_id) WHERE held_for = 'window' AND is_held = 1;
CREATE INDEX outbox_forms ON outbox (conversation_id, due_ms) WHERE role = 'template';

-- Where an adapter stands with its platform.
CREATE TABLE bookmarks (
    channel    TEXT NOT NULL,
    account    TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (channel, account, name)
);

-- What a person said of being written to: 'stop', 'start' or 'help', in their own word.
CREATE TABLE contact_choices (
    message_id  TEXT PRIMARY KEY,
    identity_id TEXT NOT NULL,
    channel     TEXT NOT NULL,
    account     TEXT NOT NULL,
    choice      TEXT NOT NULL,
    word        TEXT NOT NULL,
    at_ms       BIGINT NOT NULL
);

-- is_stopped: the person does not want to be written to.
ALTER TABLE conversations ADD COLUMN is_stopped INTEGER NOT NULL DEFAULT 0;

-- Who has spoken where.
CREATE TABLE speakers (
    identity_id     TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    PRIMARY KEY (identity_id, conversation_id)
);
INSERT INTO speakers (identity_id, conversation_id)
    SELECT DISTINCT identity_id, conversation_id FROM messages WHERE identity_id <> '';

CREATE INDEX conversations_by_account ON conversations (channel, account);
CREATE INDEX cases_open ON cases (opened_ms) WHERE ended_ms IS NULL;
