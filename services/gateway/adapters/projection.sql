-- name: operation
-- One operation with its settled results as a JSON array, in one snapshot.
SELECT
    o.id,
    o.status,
    o.total_nfts,
    o.completed_nfts,
    o.failed_nfts,
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
                    'error', r.error_message
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
-- One collection at whatever stage.
SELECT
    id, name, description, symbol, standard, capacity, minted, has_valid_tree, supports_das, status, stage, is_public,
    allow_minting, created_at, updated_at, tree_address, collection_address, creator_address, image_url, external_url,
    error_code, error_message
FROM nft_collections
WHERE id = $1;

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
