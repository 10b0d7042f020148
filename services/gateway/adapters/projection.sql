-- name: operation
-- One operation with its settled results as a JSON array, in one snapshot.
SELECT
    o.id,
    o.caller,
    o.status,
    o.total_nfts,
    o.completed_nfts,
    o.failed_nfts,
    o.cancelled_nfts,
    o.start_time,
    o.end_time,
    o.error_message,
    (
        SELECT r.nft_name
        FROM mint_results AS r
        WHERE r.operation_id = o.id AND r.status = 'pending'
        ORDER BY r.item_index
        LIMIT 1
    ) AS current_item,
    (
        SELECT coalesce(
            json_agg(
                json_build_object(
                    'status', r.status,
                    'signature', r.signature,
                    'leafIndex', r.leaf_index,
                    'assetId', r.asset_id,
                    'error', r.error_message,
                    'ipfsUri', r.ipfs_uri
                )
                ORDER BY r.item_index
            ),
            '[]'
        )::text
        FROM mint_results AS r
        WHERE r.operation_id = o.id AND r.status IN ('success', 'failed')
    ) AS results
FROM mint_operations AS o
WHERE o.id = $1;

-- name: collection
-- One collection at whatever stage, with its trees as a JSON array, in one snapshot.
SELECT
    id, name, description, symbol, standard, capacity, minted, has_valid_tree, supports_das, status, stage, is_public,
    allow_minting, created_at, updated_at, tree_address, collection_address, creator_address, image_url, external_url,
    error_code, error_message,
    (
        SELECT coalesce(
            json_agg(
                json_build_object(
                    'number', t.number,
                    'address', t.tree_address,
                    'max_depth', t.max_depth,
                    'max_buffer_size', t.max_buffer_size,
                    'canopy_depth', t.canopy_depth,
                    'capacity', t.capacity,
                    'minted', t.minted,
                    'valid', t.valid
                )
                ORDER BY t.number
            ),
            '[]'
        )::text
        FROM collection_trees AS t
        WHERE t.collection_id = id
    ) AS trees
FROM nft_collections
WHERE id = $1;

-- name: drifts
-- What the last comparisons of collection $1 came to, the newest first, at most $2.
SELECT told_at AS time, slot, log, projection, chain, observed, living, das, differences::text
FROM collection_drifts
WHERE collection_id = $1
ORDER BY sequence DESC
LIMIT $2;

-- name: collection_at
-- The created collection with an address on chain.
SELECT id FROM nft_collections WHERE collection_address = $1 ORDER BY created_at LIMIT 1;

-- name: collections
-- One page of the created collections, the newest first. $1 status or NULL, $2 allow_minting or NULL, $3 limit, $4 offset.
SELECT
    id, name, description, symbol, standard, capacity, minted, has_valid_tree, supports_das, status, stage, is_public,
    allow_minting, created_at, updated_at, tree_address, collection_address, creator_address, image_url, external_url,
    error_code, error_message
FROM nft_collections
WHERE
    stage = 'created'
    AND ($1::text IS NULL OR status = $1)
    AND ($2::boolean IS NULL OR allow_minting = $2)
ORDER BY created_at DESC, id DESC
LIMIT $3 OFFSET $4;

-- name: collections_total
-- How many created collections there are. $1 status or NULL, $2 allow_minting or NULL.
SELECT count(*) AS total
FROM nft_collections
WHERE
    stage = 'created'
    AND ($1::text IS NULL OR status = $1)
    AND ($2::boolean IS NULL OR allow_minting = $2);

-- name: operations
-- Operations, the newest first. $1 status, $2 collection, $3 recipient, $4 caller, $8 an asset that they minted, $9 a
-- transaction that minted items of theirs, each NULL for any; ($5, $6) start time and id of the last one that was seen,
-- NULL for the first page; $7 limit.
SELECT
    id, caller, collection_id AS collection, recipient, operation_type, status, total_nfts AS total,
    completed_nfts AS completed, failed_nfts AS failed, cancelled_nfts AS cancelled, start_time, end_time,
    error_message AS error
FROM mint_operations
WHERE
    ($1::text IS NULL OR status = $1)
    AND ($2::uuid IS NULL OR collection_id = $2)
    AND ($3::text IS NULL OR recipient = $3)
    AND ($4::text IS NULL OR caller = $4)
    AND ($5::timestamptz IS NULL OR (start_time, id) < ($5, $6::uuid))
    AND ($8::text IS NULL OR id = ANY(ARRAY(SELECT operation_id FROM mint_results WHERE asset_id = $8)))
    AND ($9::text IS NULL OR id = ANY(ARRAY(SELECT operation_id FROM mint_results WHERE signature = $9)))
ORDER BY start_time DESC, id DESC
LIMIT $7;

-- name: history
-- Events of operation $1 beyond MINT sequence $2, in order, at most $3; one row has the watermark and no subject, so that
-- both are of one snapshot.
SELECT sequence, NULL AS subject, NULL AS payload FROM watermarks WHERE stream = 'MINT'
UNION ALL
(
    SELECT sequence, subject, payload
    FROM event_log
    WHERE stream = 'MINT' AND split_part(subject, '.', 4) = $1::text AND sequence > $2
    ORDER BY sequence
    LIMIT $3
);

-- name: failed_items
-- Items of an operation that failed for another reason than being cancelled.
SELECT item_index AS index, image_uri
FROM mint_results
WHERE operation_id = $1 AND status = 'failed' AND error_code <> 'cancelled'
ORDER BY item_index;

-- name: series
-- What happened in each stretch of $2 from $1 on, in items; stretches that have nothing are not here.
SELECT
    m.at,
    m.accepted,
    m.confirmed,
    m.failed,
    coalesce(l.up_to_ms, '{}') AS up_to_ms,
    coalesce(l.items, '{}') AS items
FROM (
    SELECT
        date_bin($2::interval, minute, $1::timestamptz) AS at,
        sum(asked) AS accepted,
        sum(minted) AS confirmed,
        sum(failed) AS failed
    FROM mint_minutes
    WHERE minute >= $1
    GROUP BY 1
) AS m
LEFT JOIN (
    SELECT at, array_agg(up_to_ms ORDER BY up_to_ms) AS up_to_ms, array_agg(items ORDER BY up_to_ms) AS items
    FROM (
        SELECT date_bin($2::interval, minute, $1::timestamptz) AS at, up_to_ms, sum(items) AS items
        FROM mint_latencies
        WHERE minute >= $1
        GROUP BY 1, 2
    ) AS binned
    GROUP BY at
) AS l USING (at)
ORDER BY m.at;

-- name: watermarks
-- How far the tables are in each projected stream.
SELECT stream, sequence FROM watermarks;

-- name: overview
-- Totals; the recent part begins at $1: rows up to the next whole minute, $2, and the counts of every minute from there on.
SELECT
    c.collections,
    c.minted,
    c.capacity,
    (SELECT count(*) FROM mint_operations WHERE status IN ('pending', 'processing')) AS active_operations,
    edge.minted + whole.minted AS recent_minted,
    edge.failed + whole.failed AS recent_failed,
    (SELECT count(*) FROM mint_operations WHERE start_time >= $1 AND start_time < $2) + whole.operations
        AS recent_operations
FROM (
    SELECT
        count(*) AS collections,
        coalesce(sum(minted), 0)::bigint AS minted,
        coalesce(sum(capacity), 0)::bigint AS capacity
    FROM nft_collections
    WHERE stage = 'created'
) AS c, (
    SELECT
        count(*) FILTER (WHERE status = 'success') AS minted,
        count(*) FILTER (WHERE status = 'failed' AND error_code <> 'cancelled') AS failed
    FROM mint_results
    WHERE settled_at >= $1 AND settled_at < $2
) AS edge, (
    SELECT
        coalesce(sum(operations), 0) AS operations,
        coalesce(sum(minted), 0) AS minted,
        coalesce(sum(failed), 0) AS failed
    FROM mint_minutes
    WHERE minute >= $2
) AS whole;
