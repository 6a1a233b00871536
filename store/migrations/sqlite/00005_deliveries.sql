-- +goose Up
-- Webhooks that are to arrive. Within a call they arrive in the order of n.

CREATE TABLE deliveries (
    id           TEXT    NOT NULL PRIMARY KEY, -- UUID version 7: the webhook-id
    call_id      TEXT    NOT NULL,
    n            INTEGER NOT NULL,             -- of the call's, from 1
    agent        TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    url          TEXT    NOT NULL,
    single       INTEGER NOT NULL,             -- 1: tried once
    source       TEXT    NOT NULL,             -- JSON of what the body is made of, where it is not the record
    body         TEXT    NOT NULL,             -- '' until it was first sent
    state        TEXT    NOT NULL,             -- pending, delivered, dead
    round        INTEGER NOT NULL,             -- counts replays from 1
    attempts     INTEGER NOT NULL,
    status       INTEGER NOT NULL,             -- HTTP, of the last attempt
    error        TEXT    NOT NULL,             -- of the last attempt
    created_at   BIGINT  NOT NULL,
    begun_at     BIGINT  NOT NULL,             -- of the round
    attempted_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX deliveries_call ON deliveries (call_id, n);
CREATE INDEX deliveries_state ON deliveries (state, created_at, id);
CREATE INDEX deliveries_created ON deliveries (created_at, id);

ALTER TABLE calls ADD COLUMN summary TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN structured_data TEXT NOT NULL DEFAULT ''; -- JSON object, '' for none

-- +goose Down
DROP TABLE deliveries;
ALTER TABLE calls DROP COLUMN summary;
ALTER TABLE calls DROP COLUMN structured_data;
