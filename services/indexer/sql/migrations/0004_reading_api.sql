-- What the API's lists, statistics and timelines read.

ALTER TABLE mint_results ADD COLUMN settled_at TIMESTAMP WITH TIME ZONE;
COMMENT ON COLUMN mint_results.settled_at IS
    'Time of the event by which the item ended as success or failed; NULL while it is pending.';
-- Rows of before this column take the time of their last change, at most the time to finality late.
UPDATE mint_results SET settled_at = updated_at WHERE status <> 'pending';
ALTER TABLE mint_results ADD CHECK ((status = 'pending') = (settled_at IS NULL));
CREATE INDEX idx_mint_results_settled_at ON mint_results (settled_at) WHERE settled_at IS NOT NULL;

-- Lists of operations go by start_time and id, the newest first.
CREATE INDEX idx_mint_operations_start_time ON mint_operations (start_time DESC, id DESC);

-- An operation's events: the fourth token of a MINT subject is the operation.
CREATE INDEX idx_event_log_operation ON event_log (split_part(subject, '.', 4), sequence) WHERE stream = 'MINT';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON event_log TO mintstream_reader;
    END IF;
END
$$;
