-- +goose Up
-- Times are milliseconds of Unix time, UTC; 0 stands for "not yet".

CREATE TABLE calls (
    id           TEXT    NOT NULL PRIMARY KEY, -- UUID version 7
    node         TEXT    NOT NULL,             -- which process runs it
    direction    TEXT    NOT NULL,
    from_number  TEXT    NOT NULL,
    to_number    TEXT    NOT NULL,
    trunk        TEXT    NOT NULL,
    agent        TEXT    NOT NULL,
    codec        TEXT    NOT NULL,
    sip_call_id  TEXT    NOT NULL,
    variables    TEXT    NOT NULL,             -- JSON object
    status       TEXT    NOT NULL,             -- dialing, ringing, in_progress, ended
    started_at   BIGINT  NOT NULL,
    answered_at  BIGINT  NOT NULL,
    ended_at     BIGINT  NOT NULL,
    duration_ms  BIGINT  NOT NULL,             -- answer to end
    end_reason   TEXT    NOT NULL,
    turns        INTEGER NOT NULL,
    tool_calls   INTEGER NOT NULL,
    barge_ins    INTEGER NOT NULL,
    mos          DOUBLE PRECISION NOT NULL,
    loss         DOUBLE PRECISION NOT NULL,    -- 0 to 1
    packets_lost BIGINT  NOT NULL,
    recording    TEXT    NOT NULL              -- path, '' for none
);
CREATE INDEX calls_started ON calls (started_at DESC, id DESC);
CREATE INDEX calls_agent ON calls (agent, started_at DESC, id DESC);
CREATE INDEX calls_open ON calls (status) WHERE status <> 'ended';

CREATE TABLE transcript_items (
    call_id     TEXT    NOT NULL,
    n           INTEGER NOT NULL, -- 0, 1, 2, … in the order they were said
    role        TEXT    NOT NULL, -- user, agent, tool
    text        TEXT    NOT NULL,
    heard_text  TEXT    NOT NULL, -- '' when all of text was heard
    interrupted BOOLEAN NOT NULL,
    turn        INTEGER NOT NULL,
    at_ms       BIGINT  NOT NULL, -- media time
    confidence  DOUBLE PRECISION NOT NULL,
    tool        TEXT    NOT NULL,
    PRIMARY KEY (call_id, n)
);

CREATE TABLE call_events (
    call_id TEXT    NOT NULL,
    seq     INTEGER NOT NULL,     -- 1, 2, 3, … within a call
    ts      BIGINT  NOT NULL,
    name    TEXT    NOT NULL,
    body    TEXT    NOT NULL,     -- the event's JSON object
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE idempotency_keys (
    owner      TEXT    NOT NULL,  -- name of the API key and the operation
    key        TEXT    NOT NULL,
    hash       TEXT    NOT NULL,  -- SHA-256 of the request
    status     INTEGER NOT NULL,  -- of the answer; 0 while the request runs
    response   TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    prefix     TEXT   NOT NULL,        -- the key's first characters, to know it by
    hash       TEXT   NOT NULL UNIQUE, -- SHA-256 in hex; the key itself is nowhere
    scopes     TEXT   NOT NULL,        -- JSON list
    agents     TEXT   NOT NULL,        -- JSON list, empty: all
    created_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE api_keys;
DROP TABLE idempotency_keys;
DROP TABLE call_events;
DROP TABLE transcript_items;
DROP TABLE calls;
