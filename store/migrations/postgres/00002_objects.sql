-- +goose Up
-- What calls are made with. A body is the object's JSON without its id, its
-- own tools and its secrets. revision counts the changes of an object.

CREATE TABLE agents (
    id         TEXT   NOT NULL PRIMARY KEY, -- UUID version 7, or the name of a file's agent
    name       TEXT   NOT NULL UNIQUE,
    body       TEXT   NOT NULL,
    secret     TEXT   NOT NULL,             -- webhook_secret, '' for none
    source     TEXT   NOT NULL,             -- the file that it comes from, '' for none
    revision   BIGINT NOT NULL,
    updated_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX agents_created ON agents (created_at, id);

CREATE TABLE tools (
    id         TEXT    NOT NULL PRIMARY KEY, -- UUID version 7
    agent_id   TEXT    NOT NULL,             -- whose own it is, '' for the library's
    position   INTEGER NOT NULL,             -- among the agent's own
    name       TEXT    NOT NULL,             -- '' for a built-in that has none
    body       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    revision   BIGINT  NOT NULL,
    updated_by TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX tools_name ON tools (agent_id, name) WHERE name <> '';
CREATE INDEX tools_created ON tools (agent_id, created_at, id);

CREATE TABLE versions (
    kind       TEXT   NOT NULL,              -- agent, tool
    object_id  TEXT   NOT NULL,
    agent_id   TEXT   NOT NULL,              -- whose own a tool is, '' for the library's
    revision   BIGINT NOT NULL,
    op         TEXT   NOT NULL,              -- create, update, delete, restore, seed
    changed_by TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    body       TEXT   NOT NULL,              -- of an agent with its own tools
    PRIMARY KEY (kind, object_id, revision)
);

CREATE TABLE trunks (
    id         TEXT   NOT NULL PRIMARY KEY, -- UUID version 7
    name       TEXT   NOT NULL UNIQUE,
    body       TEXT   NOT NULL,
    secret     TEXT   NOT NULL,             -- password, '' for none
    source     TEXT   NOT NULL,
    revision   BIGINT NOT NULL,
    updated_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX trunks_created ON trunks (created_at, id);

CREATE TABLE numbers (
    id         TEXT   NOT NULL PRIMARY KEY, -- UUID version 7
    number     TEXT   NOT NULL,             -- E.164 where it is such a number
    trunk      TEXT   NOT NULL,             -- name, '' for any
    agent_id   TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    revision   BIGINT NOT NULL,
    updated_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (trunk, number)
);
CREATE INDEX numbers_created ON numbers (created_at, id);
CREATE INDEX numbers_agent ON numbers (agent_id);

-- +goose Down
DROP TABLE numbers;
DROP TABLE trunks;
DROP TABLE versions;
DROP TABLE tools;
DROP TABLE agents;
