-- +goose Up
-- A caller ID is counted over all campaigns that show it.
DROP INDEX attempts_dialed;
CREATE INDEX attempts_dialed ON attempts (campaign_id, dialed_at) WHERE dialed_at > 0;
CREATE INDEX attempts_shown ON attempts (caller_id, dialed_at) WHERE dialed_at > 0;

-- +goose Down
DROP INDEX attempts_shown;
DROP INDEX attempts_dialed;
CREATE INDEX attempts_dialed ON attempts (campaign_id, dialed_at, caller_id) WHERE dialed_at > 0;
