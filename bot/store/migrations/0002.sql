-- A conversation's last seq, and when something last happened in it, are those of its newest message: the index over
-- (conversation_id, seq) finds it at once, and neither a message nor a turn has to write the conversation's row.

ALTER TABLE conversations DROP COLUMN last_seq;
ALTER TABLE conversations DROP COLUMN updated_ms;
