-- What the log has lost, apart from the log: its stream GUARD, on which the alarms are, can lose its own tail.

CREATE TABLE log_losses (
    number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    truncation UUID NOT NULL UNIQUE,
    told       TEXT NOT NULL
);
COMMENT ON TABLE log_losses IS
    'A row for each guard.truncated, written before it is said; never emptied, and no part of the projection: what is on '
    'chain and was lost is looked for only as long as somebody knows of the loss.';
COMMENT ON COLUMN log_losses.number IS 'In the order in which they were told.';
COMMENT ON COLUMN log_losses.told IS 'The fact, as JSON.';
