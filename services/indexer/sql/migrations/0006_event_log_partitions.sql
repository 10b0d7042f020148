-- event_log in partitions of a million sequences of one stream, so that what is archived can be dropped at once.

-- A parked message outlives the partition that holds its bytes.
ALTER TABLE parked_messages DROP CONSTRAINT parked_messages_stream_sequence_fkey;

ALTER TABLE event_log RENAME TO event_log_whole;
ALTER TABLE event_log_whole RENAME CONSTRAINT event_log_pkey TO event_log_whole_pkey;
ALTER INDEX idx_event_log_operation RENAME TO idx_event_log_whole_operation;

CREATE TABLE event_log (
    stream    TEXT NOT NULL,
    sequence  BIGINT NOT NULL CHECK (sequence > 0),
    subject   TEXT NOT NULL,
    payload   BYTEA NOT NULL,
    headers   JSON NOT NULL,
    stored_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (stream, sequence)
) PARTITION BY RANGE (stream, sequence);
COMMENT ON TABLE event_log IS
    'Every message of the projected streams as it was, byte for byte: the second copy, on a disk of its own. '
    'Old partitions may be gone once they are archived.';
-- An operation's events: the fourth token of a MINT subject is the operation.
CREATE INDEX idx_event_log_operation ON event_log (split_part(subject, '.', 4), sequence) WHERE stream = 'MINT';

-- Partition n of stream S is event_log_s_n and holds sequences n * 1000000 + 1 to (n + 1) * 1000000.
CREATE FUNCTION reach_event_log(of_stream TEXT, first BIGINT, last BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    width    CONSTANT BIGINT := 1000000;
    relation TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(7883954067184025603);  -- one at a time
    FOR number IN (first - 1) / width .. (last - 1) / width LOOP
        relation := format('event_log_%s_%s', lower(of_stream), number);
        CONTINUE WHEN to_regclass(quote_ident(relation)) IS NOT NULL;
        -- Attached when it is made: CREATE TABLE ... PARTITION OF would lock the whole table against readers.
        EXECUTE format('CREATE TABLE %I (LIKE event_log INCLUDING ALL)', relation);
        EXECUTE format('ALTER TABLE event_log ATTACH PARTITION %I FOR VALUES FROM (%L, %s) TO (%L, %s)',
                       relation, of_stream, number * width + 1, of_stream, (number + 1) * width + 1);
    END LOOP;
    RETURN ((last - 1) / width + 1) * width;
END $$;
COMMENT ON FUNCTION reach_event_log IS
    'Makes what partitions are missing for sequences first to last of a stream; returns the last sequence with a place.';

CREATE FUNCTION shorten_event_log(of_stream TEXT, up_to BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    width    CONSTANT BIGINT := 1000000;
    relation TEXT;
    dropped  BIGINT := 0;
BEGIN
    FOR relation IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event_log'::regclass AND c.relname ~ ('^event_log_' || lower(of_stream) || '_\d+$')
          AND (substring(c.relname FROM '\d+$')::bigint + 1) * width <= up_to
    LOOP
        EXECUTE format('DROP TABLE %I', relation);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
COMMENT ON FUNCTION shorten_event_log IS
    'Drops the partitions that hold nothing beyond sequence up_to of a stream; returns how many.';

SELECT reach_event_log(stream, 1, greatest(max(sequence), 1)) FROM event_log_whole GROUP BY stream;
INSERT INTO event_log SELECT * FROM event_log_whole;
DROP TABLE event_log_whole;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON event_log TO mintstream_reader;
    END IF;
END
$$;
