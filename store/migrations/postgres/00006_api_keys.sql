-- +goose Up
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';     -- name of the key that made it
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;    -- 0: never
ALTER TABLE api_keys ADD COLUMN per_minute INTEGER NOT NULL DEFAULT 0;   -- requests; 0: the default, -1: no limit
ALTER TABLE api_keys ADD COLUMN per_hour INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN control INTEGER NOT NULL DEFAULT 0;      -- commands to one call in a minute

-- +goose Down
ALTER TABLE api_keys DROP COLUMN control;
ALTER TABLE api_keys DROP COLUMN per_hour;
ALTER TABLE api_keys DROP COLUMN per_minute;
ALTER TABLE api_keys DROP COLUMN expires_at;
ALTER TABLE api_keys DROP COLUMN created_by;
