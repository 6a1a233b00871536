-- +goose Up
-- What of the store comes from files, and what stood in them: so a change of a
-- file is told from one of the API.

CREATE TABLE seeds (
    kind      TEXT   NOT NULL, -- agent, tool, trunk, number
    name      TEXT   NOT NULL, -- as the file tells the object
    object_id TEXT   NOT NULL,
    revision  BIGINT NOT NULL, -- of the object when it was last taken from its file
    hash      TEXT   NOT NULL, -- SHA-256 of what stood there, without secrets
    PRIMARY KEY (kind, name)
);

-- +goose Down
DROP TABLE seeds;
