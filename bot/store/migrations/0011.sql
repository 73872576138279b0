-- Operators who watch a conversation are told what happens there, each thing once.

-- seen_seq, logged: how far the messages and the log (the id of its line) have been looked through for this operator. burst_ms: when the last
-- of a burst of things happened.
ALTER TABLE watchers ADD COLUMN seen_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE watchers ADD COLUMN logged TEXT NOT NULL DEFAULT '';
ALTER TABLE watchers ADD COLUMN burst_ms BIGINT NOT NULL DEFAULT 0;
UPDATE watchers SET
    seen_seq = (SELECT coalesce(max(m.seq), 0) FROM messages m WHERE m.conversation_id = watchers.conversation_id),
    logged = (SELECT coalesce(max(l.id), '') FROM handoff_log l WHERE l.conversation_id = watchers.conversation_id);

-- What an operator is told. number: counts within the conversation. cause: the message or the line of the log. what: 'wrote', 'replied',
-- 'named' (in a note), or what the log calls it. who: the name of the operator who did it, '' for the user or for time. is_rung: open consoles know.
CREATE TABLE notices (
    conversation_id TEXT NOT NULL,
    number          BIGINT NOT NULL,
    operator        TEXT NOT NULL,
    cause           TEXT NOT NULL,
    case_id         TEXT NOT NULL,
    what            TEXT NOT NULL,
    who             TEXT NOT NULL,
    at_ms           BIGINT NOT NULL,
    is_rung         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, number)
);
CREATE UNIQUE INDEX notices_once ON notices (operator, cause);
CREATE INDEX notices_by_time ON notices (operator, at_ms);
CREATE INDEX notices_to_ring ON notices (conversation_id) WHERE is_rung = 0;

-- noticed: the number of the last notice that the thread of the card holds. mentions: the ids, on the platform, of the operators whom a
-- message in their room calls, one space apart.
ALTER TABLE room_cards ADD COLUMN noticed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN mentions TEXT NOT NULL DEFAULT '';

-- What is said to one identity, wherever.
CREATE INDEX conversations_by_identity ON conversations (identity_id);
