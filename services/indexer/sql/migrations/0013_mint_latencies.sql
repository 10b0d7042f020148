-- What charts of the last hour and day are drawn from: NFTs asked for by the minute, and how long minting took.

ALTER TABLE mint_minutes ADD COLUMN asked INTEGER NOT NULL DEFAULT 0 CHECK (asked >= 0);
COMMENT ON COLUMN mint_minutes.asked IS 'NFTs of the operations.';
UPDATE mint_minutes AS m SET asked = o.asked
FROM (
    SELECT date_trunc('minute', start_time) AS minute, sum(total_nfts) AS asked FROM mint_operations GROUP BY 1
) AS o
WHERE m.minute = o.minute;
ALTER TABLE mint_minutes ALTER COLUMN asked DROP DEFAULT;

CREATE TABLE mint_latencies (
    minute   TIMESTAMP WITH TIME ZONE,
    up_to_ms INTEGER CHECK (up_to_ms > 0),
    items    INTEGER NOT NULL CHECK (items > 0),
    PRIMARY KEY (minute, up_to_ms)
) WITH (fillfactor = 80);
COMMENT ON TABLE mint_latencies IS
    'Counts of mint_results that are a success, by the minute of settled_at and by how long that was after created_at; '
    'written in the transaction that writes those rows.';
COMMENT ON COLUMN mint_latencies.up_to_ms IS
    'Milliseconds: the least of 100, 120, 150, 180, 220, 270, 330, 390, 470, 560, 680, 820 times a power of ten that is '
    'no less than the time taken; 100,000,000 for whatever took longer.';

INSERT INTO mint_latencies (minute, up_to_ms, items)
SELECT date_trunc('minute', r.settled_at), b.up_to_ms, count(*)
FROM mint_results AS r
CROSS JOIN LATERAL (
    SELECT coalesce(min(step * 10 ^ decade)::integer, 100000000) AS up_to_ms
    FROM unnest(ARRAY[100, 120, 150, 180, 220, 270, 330, 390, 470, 560, 680, 820]) AS step
    CROSS JOIN generate_series(0, 5) AS decade
    WHERE (step * 10 ^ decade)::numeric >= extract(epoch FROM r.settled_at - r.created_at) * 1000
) AS b
WHERE r.status = 'success'
GROUP BY 1, 2;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON mint_latencies TO mintstream_reader;
    END IF;
END
$$;
