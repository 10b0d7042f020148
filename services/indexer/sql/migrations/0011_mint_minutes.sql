-- What the statistics of a day are summed from, instead of from every row of the day.

CREATE TABLE mint_minutes (
    minute     TIMESTAMP WITH TIME ZONE PRIMARY KEY,
    operations INTEGER NOT NULL CHECK (operations >= 0),
    minted     INTEGER NOT NULL CHECK (minted >= 0),
    failed     INTEGER NOT NULL CHECK (failed >= 0),
    -- Whatever happened to the rows that are counted, a minute is here exactly when something of it still counts.
    CHECK (operations + minted + failed > 0)
-- A minute in which much happens is written again and again: into the same page.
) WITH (fillfactor = 80);
COMMENT ON TABLE mint_minutes IS
    'Counts of mint_operations by start_time and of mint_results by settled_at, by the minute that they fall into; '
    'written in the transaction that writes those rows.';
COMMENT ON COLUMN mint_minutes.failed IS 'Without items that were cancelled.';

INSERT INTO mint_minutes (minute, operations, minted, failed)
SELECT minute, count(*) FILTER (WHERE what = 'operation'), count(*) FILTER (WHERE what = 'success'),
       count(*) FILTER (WHERE what = 'failed')
FROM (
    SELECT date_trunc('minute', start_time) AS minute, 'operation' AS what FROM mint_operations
    UNION ALL
    SELECT date_trunc('minute', settled_at), status FROM mint_results
    WHERE settled_at IS NOT NULL AND error_code IS DISTINCT FROM 'cancelled'
) AS counted
GROUP BY minute;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON mint_minutes TO mintstream_reader;
    END IF;
END
$$;
