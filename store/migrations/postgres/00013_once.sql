-- +goose Up
-- A number is called for one campaign at a time, whichever node calls for another.
CREATE UNIQUE INDEX contacts_dialing ON contacts (number) WHERE state = 'dialing';

-- +goose Down
DROP INDEX contacts_dialing;
