-- +goose Up
-- The documents that agents may look into, and their passages.

CREATE TABLE knowledge_documents (
    id         TEXT    NOT NULL PRIMARY KEY, -- UUID version 7
    agent_id   TEXT    NOT NULL,
    name       TEXT    NOT NULL,             -- of the file
    title      TEXT    NOT NULL,             -- '' for none
    type       TEXT    NOT NULL,             -- txt, md, html, pdf, docx
    language   TEXT    NOT NULL,             -- '' for one that is not known
    bytes      BIGINT  NOT NULL,             -- of the file
    hash       TEXT    NOT NULL,             -- SHA-256 of the file, hex
    chunks     INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    UNIQUE (agent_id, name)
);

CREATE TABLE knowledge_passages (
    document_id TEXT    NOT NULL REFERENCES knowledge_documents (id) ON DELETE CASCADE,
    n           INTEGER NOT NULL, -- 0, 1, 2, … in the document
    heading     TEXT    NOT NULL, -- path of headings, '' for none
    text        TEXT    NOT NULL,
    model       TEXT    NOT NULL, -- that made the vector, '' for none
    vector      BLOB,             -- 32-bit floats, little-endian, of length 1
    PRIMARY KEY (document_id, n)
);

-- +goose Down
DROP TABLE knowledge_passages;
DROP TABLE knowledge_documents;
