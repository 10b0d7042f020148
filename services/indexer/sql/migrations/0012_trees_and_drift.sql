-- Every tree of a collection with its size and what the chain says of it alone; what comparisons with the chain came to.

ALTER TABLE collection_trees
    DROP CONSTRAINT collection_trees_number_check,
    ADD CHECK (number >= 0),
    ADD COLUMN max_depth       INTEGER,
    ADD COLUMN max_buffer_size INTEGER,
    ADD COLUMN canopy_depth    INTEGER,
    -- As the chain was last counted (collection.counted); NULL until then.
    ADD COLUMN minted          BIGINT CHECK (minted >= 0),
    ADD COLUMN valid           BOOLEAN;
COMMENT ON TABLE collection_trees IS
    'Projection of the COLLECTION stream: all trees of a collection; number 0 is the one in its own row.';

CREATE TABLE collection_drifts (
    collection_id UUID NOT NULL,
    -- COLLECTION sequence of the message.
    sequence      BIGINT NOT NULL,
    told_at       TIMESTAMP WITH TIME ZONE NOT NULL,
    slot          BIGINT NOT NULL,
    log           BIGINT NOT NULL,
    projection    BIGINT NOT NULL,
    chain         BIGINT NOT NULL,
    observed      BIGINT NOT NULL,
    living        BIGINT NOT NULL,
    -- NULL: DAS was not asked, or did not answer.
    das           BIGINT,
    differences   JSONB NOT NULL,
    PRIMARY KEY (collection_id, sequence)
);
COMMENT ON TABLE collection_drifts IS
    'Projection of the COLLECTION stream: each collection.drift as it was said, the counts at a slot and what differs.';

-- What was projected before is told again by the second copy of the log. U+0000 has no place in jsonb.
CREATE TEMPORARY TABLE told ON COMMIT DROP AS
SELECT sequence, split_part(subject, '.', 2) AS fact,
       replace(convert_from(payload, 'UTF8'), '\u0000', '\ufffd')::json AS event
FROM event_log AS e
WHERE stream = 'COLLECTION'
  AND split_part(subject, '.', 2) IN ('created', 'tree_added', 'drift')
  AND NOT EXISTS (SELECT FROM parked_messages AS p WHERE p.stream = e.stream AND p.sequence = e.sequence);

INSERT INTO collection_trees
      (collection_id, number, tree_address, max_depth, max_buffer_size, canopy_depth, capacity, added_at)
SELECT DISTINCT ON (collection, number)
       collection, number, tree_address, (tree ->> 'maxDepth')::int, (tree ->> 'maxBufferSize')::int,
       (tree ->> 'canopyDepth')::int, 1::bigint << (tree ->> 'maxDepth')::int, at
FROM (
    SELECT sequence, (event -> 'data' ->> 'collection')::uuid AS collection, place.number,
           place.tree ->> 'treeAddress' AS tree_address, place.tree -> 'tree' AS tree,
           (event ->> 'time')::timestamptz AS at
    FROM told, LATERAL (
        SELECT coalesce((event -> 'data' ->> 'number')::bigint, 0) AS number, event -> 'data' AS tree
        UNION ALL
        SELECT more.number, more.tree
        FROM json_array_elements(event -> 'data' -> 'moreTrees') WITH ORDINALITY AS more (tree, number)
    ) AS place
    WHERE fact <> 'drift'
) AS places
ORDER BY collection, number, sequence
ON CONFLICT (collection_id, number) DO UPDATE SET
       max_depth = excluded.max_depth, max_buffer_size = excluded.max_buffer_size, canopy_depth = excluded.canopy_depth;

INSERT INTO collection_drifts
SELECT (event -> 'data' ->> 'collection')::uuid, sequence, (event ->> 'time')::timestamptz, slot, log, projection,
       chain, observed, living, das, coalesce(differences, '[]')
FROM told, json_to_record(event -> 'data')
     AS (slot BIGINT, log BIGINT, projection BIGINT, chain BIGINT, observed BIGINT, living BIGINT, das BIGINT,
         differences JSONB)
WHERE fact = 'drift';

-- Of a tree whose message has left event_log the depth follows from its capacity. The rest, and such a first tree as a
-- whole, is told by a replay (docs/replay.md).
UPDATE collection_trees SET max_depth = log(2, capacity)::int WHERE max_depth IS NULL;
ALTER TABLE collection_trees ALTER COLUMN max_depth SET NOT NULL;
COMMENT ON COLUMN collection_trees.max_buffer_size IS
    'NULL, like canopy_depth: told by a message that this database did not have any more when the column was added.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON collection_drifts TO mintstream_reader;
    END IF;
END
$$;
