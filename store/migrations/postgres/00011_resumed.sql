-- +goose Up
ALTER TABLE campaigns ADD COLUMN resumed_at BIGINT NOT NULL DEFAULT 0; -- when it last went on after a pause, 0 for never

-- +goose Down
ALTER TABLE campaigns DROP COLUMN resumed_at;
