-- +goose Up
ALTER TABLE calls ADD COLUMN srtp TEXT NOT NULL DEFAULT ''; -- the suite that sound was encrypted with

-- +goose Down
ALTER TABLE calls DROP COLUMN srtp;
