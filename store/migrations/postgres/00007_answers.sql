-- +goose Up
ALTER TABLE idempotency_keys ADD COLUMN headers TEXT NOT NULL DEFAULT '{}'; -- of the answer, JSON

-- +goose Down
ALTER TABLE idempotency_keys DROP COLUMN headers;
