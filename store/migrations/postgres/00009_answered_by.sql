-- +goose Up
ALTER TABLE calls ADD COLUMN answered_by TEXT NOT NULL DEFAULT ''; -- human, machine, screening, unsure
ALTER TABLE calls ADD COLUMN answered_cause TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE calls DROP COLUMN answered_cause;
ALTER TABLE calls DROP COLUMN answered_by;
