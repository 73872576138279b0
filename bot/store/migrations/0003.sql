-- What turns keep while they run, and what models cost.

-- A message of a model that asked for tools. reply_id: the id of the reply that the turn will write, which a rerun derives again.
CREATE TABLE steps (
    reply_id        TEXT NOT NULL,
    step            INTEGER NOT NULL,
    turn_id         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    model           TEXT NOT NULL,
    text            TEXT NOT NULL,
    reasoning       TEXT NOT NULL,              -- JSON: what each model wants back
    attempts        TEXT NOT NULL,              -- JSON: the model calls that led to it
    created_ms      BIGINT NOT NULL,
    ended_ms        BIGINT,                     -- of the turn: until then a rerun continues from here
    PRIMARY KEY (reply_id, step)
);
CREATE INDEX steps_open ON steps (reply_id) WHERE ended_ms IS NULL;

DROP TABLE tool_calls;

CREATE TABLE tool_calls (
    reply_id        TEXT NOT NULL,
    step            INTEGER NOT NULL,
    place           INTEGER NOT NULL,           -- among the calls of the step
    turn_id         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    call_id         TEXT NOT NULL,              -- the model's own
    name            TEXT NOT NULL,
    arguments       TEXT NOT NULL,
    state           TEXT NOT NULL,              -- intended, succeeded, refused, unknown
    result          TEXT NOT NULL DEFAULT '',   -- JSON
    started_ms      BIGINT NOT NULL,
    ended_ms        BIGINT,
    PRIMARY KEY (reply_id, step, place)
);

-- payer: the identity that was answered. cost_micros: millionths of the currency of the config's prices.
CREATE TABLE spend (
    day                TEXT NOT NULL,           -- UTC, YYYY-MM-DD
    payer              TEXT NOT NULL,
    model              TEXT NOT NULL,
    calls              BIGINT NOT NULL,
    failed             BIGINT NOT NULL,
    input_tokens       BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    cache_read_tokens  BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost_micros        BIGINT NOT NULL,
    PRIMARY KEY (day, payer, model)
);
