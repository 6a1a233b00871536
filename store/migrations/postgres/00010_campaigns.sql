-- +goose Up
-- Outbound campaigns, and the ledger of what is dialled for them. Times are
-- milliseconds of Unix time, UTC; 0 stands for "not yet" and "none".

CREATE TABLE campaigns (
    id          TEXT    NOT NULL PRIMARY KEY, -- UUID version 7
    name        TEXT    NOT NULL UNIQUE,
    agent_id    TEXT    NOT NULL,
    trunk       TEXT    NOT NULL,             -- name, '' for none
    body        TEXT    NOT NULL,             -- JSON of what it is told to do
    status      TEXT    NOT NULL,             -- draft, running, paused, completed, cancelled
    reason      TEXT    NOT NULL,             -- of the status, '' for none
    priority    INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    cps         DOUBLE PRECISION NOT NULL,
    starts_at   BIGINT  NOT NULL,
    ends_at     BIGINT  NOT NULL,
    next_slot   BIGINT  NOT NULL,             -- when the next call may leave, us of Unix time
    source      TEXT    NOT NULL,
    revision    BIGINT  NOT NULL,
    updated_by  TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL
);
CREATE INDEX campaigns_created ON campaigns (created_at, id);

CREATE TABLE contacts (
    id          TEXT    NOT NULL PRIMARY KEY, -- UUID version 7
    campaign_id TEXT    NOT NULL,
    number      TEXT    NOT NULL,             -- E.164
    name        TEXT    NOT NULL,
    zone        TEXT    NOT NULL,             -- IANA, '' for one that is not known
    consent     TEXT    NOT NULL,             -- how and when it was given, '' for none
    record      BOOLEAN NOT NULL,             -- consent to be recorded
    variables   TEXT    NOT NULL,             -- JSON object
    state       TEXT    NOT NULL,             -- pending, claimed, dialing; reached, failed, blocked, expired, review
    why         TEXT    NOT NULL,             -- of the state, '' for none
    tries       INTEGER NOT NULL,             -- attempts that were dialled
    due_at      BIGINT  NOT NULL,
    caller_id   TEXT    NOT NULL,             -- that it was called from, '' for none yet
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL
);
-- By number first: a number that must not be called is looked for in every campaign.
CREATE UNIQUE INDEX contacts_number ON contacts (number, campaign_id);
CREATE INDEX contacts_due ON contacts (campaign_id, due_at, id) WHERE state = 'pending';
-- Who was called before goes first: who asked to be called at four is.
CREATE INDEX contacts_again ON contacts (campaign_id, due_at, id) WHERE state = 'pending' AND tries > 0;
CREATE INDEX contacts_state ON contacts (campaign_id, state, created_at, id);
CREATE INDEX contacts_created ON contacts (campaign_id, created_at, id);

CREATE TABLE attempts (
    contact_id   TEXT    NOT NULL,
    n            INTEGER NOT NULL,            -- 1, 2, 3, … of its contact
    campaign_id  TEXT    NOT NULL,
    node         TEXT    NOT NULL,            -- which process dials it
    call_id      TEXT    NOT NULL,            -- '' until it is dialled
    state        TEXT    NOT NULL,            -- claimed, dialing, ended
    outcome      TEXT    NOT NULL,            -- '' until it has ended
    sip          INTEGER NOT NULL,            -- final status, 0 for none
    why          TEXT    NOT NULL,
    caller_id    TEXT    NOT NULL,
    answered_by  TEXT    NOT NULL,            -- human, machine, screening, unsure
    message_left BOOLEAN NOT NULL,
    opt_out      BOOLEAN NOT NULL,
    disposition  TEXT    NOT NULL,
    data         TEXT    NOT NULL,            -- JSON object
    claimed_at   BIGINT  NOT NULL,
    dialed_at    BIGINT  NOT NULL,
    answered_at  BIGINT  NOT NULL,
    ended_at     BIGINT  NOT NULL,
    callback_at  BIGINT  NOT NULL,            -- when the callee asked to be called again
    PRIMARY KEY (contact_id, n)
);
CREATE INDEX attempts_active ON attempts (campaign_id, node) WHERE ended_at = 0;
CREATE INDEX attempts_dialed ON attempts (campaign_id, dialed_at, caller_id) WHERE dialed_at > 0;
CREATE INDEX attempts_ended ON attempts (campaign_id, ended_at, outcome) WHERE ended_at > 0;
CREATE INDEX attempts_call ON attempts (call_id) WHERE call_id <> '';

CREATE TABLE do_not_call (
    id          TEXT   NOT NULL PRIMARY KEY,  -- UUID version 7
    campaign_id TEXT   NOT NULL,              -- '' for every one
    number      TEXT   NOT NULL,              -- E.164
    why         TEXT   NOT NULL,
    added_by    TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    UNIQUE (number, campaign_id)
);
CREATE INDEX do_not_call_created ON do_not_call (created_at, id);

CREATE TABLE nodes (
    id         TEXT   NOT NULL PRIMARY KEY,   -- name of a process
    since_at   BIGINT NOT NULL,               -- since when it has had the database without a break
    expires_at BIGINT NOT NULL                -- it is there until then
);

-- +goose Down
DROP TABLE nodes;
DROP TABLE do_not_call;
DROP TABLE attempts;
DROP TABLE contacts;
DROP TABLE campaigns;
