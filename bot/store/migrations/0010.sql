-- What answers rest on, and what people asked that nothing answers.

-- Documents as they were, version by version. document: its name in the index. version: SHA-256 of its content. passages: the ids of its
-- passages, between spaces. last_ms: when it was last known to stand so. ended_ms: when it was noticed to be gone or different. The search index
-- may be deleted; this stays.
CREATE TABLE document_versions (
    id       TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    version  TEXT NOT NULL,
    title    TEXT NOT NULL,
    path     TEXT NOT NULL,
    passages TEXT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms  BIGINT NOT NULL,
    ended_ms BIGINT
);
CREATE UNIQUE INDEX document_versions_now ON document_versions (document) WHERE ended_ms IS NULL;
CREATE INDEX document_versions_by_document ON document_versions (document, first_ms);

-- Passages that answers rest on, as they stood then: an id stands for one document, heading and text.
CREATE TABLE cited_passages (
    id       TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    title    TEXT NOT NULL,
    text     TEXT NOT NULL
);
CREATE INDEX cited_passages_by_document ON cited_passages (document);

-- Which answer rests on which passage. number: as the answer cites it, 0 where the agent had it in view and cites nothing.
CREATE TABLE answer_sources (
    message_id      TEXT NOT NULL,
    passage_id      TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    number          INTEGER NOT NULL,
    created_ms      BIGINT NOT NULL,
    PRIMARY KEY (message_id, passage_id)
);
CREATE INDEX answer_sources_by_passage ON answer_sources (passage_id, created_ms);
CREATE INDEX answer_sources_by_conversation ON answer_sources (conversation_id);

-- Questions that the documents do not answer, those alike as one. count: how often it was asked, also by those who were erased since.
CREATE TABLE gaps (
    id         TEXT PRIMARY KEY,
    agent      TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'open',
    count      BIGINT NOT NULL DEFAULT 0,
    first_ms   BIGINT NOT NULL,
    last_ms    BIGINT NOT NULL,
    document   TEXT NOT NULL DEFAULT '',
    decided_by TEXT NOT NULL DEFAULT '',
    decided_ms BIGINT
);
CREATE INDEX gaps_by_state ON gaps (state, last_ms);

-- What showed it: kind and subject say by what it was noticed, message_id is the question. Words stay where they were written.
CREATE TABLE gap_asks (
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    gap_id          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    identity_id     TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    created_ms      BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX gap_asks_by_gap ON gap_asks (gap_id, created_ms);
CREATE INDEX gap_asks_by_message ON gap_asks (message_id);
CREATE INDEX gap_asks_by_conversation ON gap_asks (conversation_id);
CREATE INDEX gap_asks_by_person ON gap_asks (identity_id);
CREATE INDEX messages_disliked ON messages (created_ms) WHERE feedback = 'down';
CREATE INDEX turns_unanswered ON turns (ended_ms) WHERE outcome = 'unanswered';
CREATE INDEX suggestions_edited ON suggestions (ended_ms) WHERE outcome = 'edited';
CREATE INDEX handoffs_of_failures ON handoffs (asked_ms) WHERE origin = 'failures';

-- Documents that wait for a person to accept them. No agent reads them. model: who wrote it, '' where it was put together from the rows.
CREATE TABLE gap_drafts (
    gap_id     TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    text       TEXT NOT NULL,
    model      TEXT NOT NULL DEFAULT '',
    created_ms BIGINT NOT NULL
);
