-- The indexer's statements, besides the COPY of new rows. Bulk ones take one array a column and are given each row once,
-- so a batch of messages costs the same number of statements whatever its size.

-- name: watermark
-- The last applied sequence of a stream; no row for a stream that is not projected.
SELECT sequence FROM watermarks WHERE stream = $1;

-- name: tables_version
-- The newest migration of the tables.
SELECT max(version) FROM schema_migrations;

-- name: lock_watermark
-- The same, held against whoever wants to move it until the transaction ends.
SELECT sequence FROM watermarks WHERE stream = $1 FOR UPDATE;

-- name: move_watermark
-- Compare-and-set: from $2 to $3. Changes no row when another projector has moved it, and holds the row's lock until
-- the transaction ends, so two projectors cannot apply the same messages.
UPDATE watermarks SET sequence = $3 WHERE stream = $1 AND sequence = $2;

-- name: park_messages
-- Messages of one stream that changed no row, with the reason.
INSERT INTO parked_messages (stream, sequence, subject, reason)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[]);

-- name: load_operations
-- Operations by id, without their metadata.
SELECT id, collection_id, recipient, caller, operation_type, total_nfts, batch_size, start_time, updated_at, status,
       completed_nfts, failed_nfts, cancelled_nfts, error_message, first_error, estimated_completion, end_time,
       settled_sequence
FROM mint_operations WHERE id = ANY($1::uuid[]);

-- name: load_items
-- Items by operation and index ($1, $2) or by operation and signature ($3, $4).
SELECT id, operation_id, item_index, nft_name, created_at, updated_at, status, ipfs_uri, ipfs_hash, image_uri,
       signature, asset_id, leaf_index, nonce, tree_address, slot, finalized_slot, error_code, error_message, settled_at
FROM mint_results JOIN unnest($1::uuid[], $2::int[]) AS wanted (operation_id, item_index)
     USING (operation_id, item_index)
UNION ALL
SELECT id, operation_id, item_index, nft_name, created_at, updated_at, status, ipfs_uri, ipfs_hash, image_uri,
       signature, asset_id, leaf_index, nonce, tree_address, slot, finalized_slot, error_code, error_message, settled_at
FROM mint_results JOIN unnest($3::uuid[], $4::text[]) AS wanted (operation_id, signature)
     USING (operation_id, signature);

-- name: load_collections
-- Collections by id.
SELECT id, name, symbol, standard, description, image_url, external_url, capacity, seller_fee_basis_points, is_public,
       allow_minting, created_at, updated_at, stage, status, uri, tree_address, collection_address, creator_address,
       minted, has_valid_tree, supports_das, counted_slot, imported, minted_before, error_code, error_message
FROM nft_collections WHERE id = ANY($1::uuid[]);

-- name: update_operations
-- The columns of operations that messages after the request change.
UPDATE mint_operations AS o SET
       updated_at = row.updated_at, status = row.status, completed_nfts = row.completed_nfts,
       failed_nfts = row.failed_nfts, cancelled_nfts = row.cancelled_nfts, error_message = row.error_message,
       first_error = row.first_error, estimated_completion = row.estimated_completion, end_time = row.end_time,
       settled_sequence = row.settled_sequence
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::int[], $5::int[], $6::int[], $7::text[], $8::text[],
            $9::timestamptz[], $10::timestamptz[], $11::bigint[])
  AS row (id, updated_at, status, completed_nfts, failed_nfts, cancelled_nfts, error_message, first_error,
          estimated_completion, end_time, settled_sequence)
WHERE o.id = row.id;

-- name: update_items
-- The columns of items that messages after the request change.
UPDATE mint_results AS r SET
       updated_at = row.updated_at, status = row.status, ipfs_uri = row.ipfs_uri, ipfs_hash = row.ipfs_hash,
       image_uri = row.image_uri, signature = row.signature, asset_id = row.asset_id, leaf_index = row.leaf_index,
       nonce = row.nonce, tree_address = row.tree_address, slot = row.slot, finalized_slot = row.finalized_slot,
       error_code = row.error_code, error_message = row.error_message, settled_at = row.settled_at
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::int[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[], $14::text[], $15::text[],
            $16::timestamptz[])
  AS row (id, updated_at, status, ipfs_uri, ipfs_hash, image_uri, signature, asset_id, leaf_index, nonce,
          tree_address, slot, finalized_slot, error_code, error_message, settled_at)
WHERE r.id = row.id;

-- name: put_collections
-- Collections as they are now, new or not.
INSERT INTO nft_collections AS c
      (id, name, symbol, standard, description, image_url, external_url, capacity, seller_fee_basis_points, is_public,
       allow_minting, created_at, updated_at, stage, status, uri, tree_address, collection_address, creator_address,
       minted, has_valid_tree, supports_das, counted_slot, imported, minted_before, error_code, error_message)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                     $9::int[], $10::bool[], $11::bool[], $12::timestamptz[], $13::timestamptz[], $14::text[],
                     $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::bool[],
                     $22::bool[], $23::bigint[], $24::bool[], $25::bigint[], $26::text[], $27::text[])
ON CONFLICT (id) DO UPDATE SET
       name = excluded.name, symbol = excluded.symbol, standard = excluded.standard,
       description = excluded.description, image_url = excluded.image_url, external_url = excluded.external_url,
       capacity = excluded.capacity, seller_fee_basis_points = excluded.seller_fee_basis_points,
       is_public = excluded.is_public, allow_minting = excluded.allow_minting, updated_at = excluded.updated_at,
       stage = excluded.stage, status = excluded.status, uri = excluded.uri, tree_address = excluded.tree_address,
       collection_address = excluded.collection_address, creator_address = excluded.creator_address,
       minted = excluded.minted, has_valid_tree = excluded.has_valid_tree, supports_das = excluded.supports_das,
       counted_slot = excluded.counted_slot, imported = excluded.imported, minted_before = excluded.minted_before,
       error_code = excluded.error_code, error_message = excluded.error_message;

-- name: load_trees
-- Trees by collection.
SELECT collection_id, number, tree_address, max_depth, max_buffer_size, canopy_depth, capacity, added_at, minted, valid
FROM collection_trees WHERE collection_id = ANY($1::uuid[]);

-- name: put_trees
-- Trees as they are now, new or not: of a known one only what was counted changes.
INSERT INTO collection_trees AS t
      (collection_id, number, tree_address, max_depth, max_buffer_size, canopy_depth, capacity, added_at, minted, valid)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::int[], $6::int[], $7::bigint[],
                     $8::timestamptz[], $9::bigint[], $10::bool[])
ON CONFLICT (collection_id, number) DO UPDATE SET minted = excluded.minted, valid = excluded.valid;

-- name: add_drifts
-- What comparisons came to; a row is never changed.
INSERT INTO collection_drifts
      (collection_id, sequence, told_at, slot, log, projection, chain, observed, living, das, differences)
SELECT collection_id, sequence, told_at, slot, log, projection, chain, observed, living, das, differences::jsonb
FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])
  AS row (collection_id, sequence, told_at, slot, log, projection, chain, observed, living, das, differences);

-- name: count_minutes
-- Adds to the counts of minutes; a minute of which nothing counts any more leaves.
MERGE INTO mint_minutes AS m
USING unnest($1::timestamptz[], $2::int[], $3::int[], $4::int[], $5::int[])
   AS change (minute, operations, minted, failed, asked)
ON m.minute = change.minute
WHEN MATCHED AND m.operations = -change.operations AND m.minted = -change.minted AND m.failed = -change.failed
    THEN DELETE
WHEN MATCHED THEN UPDATE SET
    operations = m.operations + change.operations, minted = m.minted + change.minted, failed = m.failed + change.failed,
    asked = m.asked + change.asked
WHEN NOT MATCHED THEN
    INSERT (minute, operations, minted, failed, asked)
    VALUES (change.minute, change.operations, change.minted, change.failed, change.asked);

-- name: count_latencies
-- Adds to the counts of latencies; one that counts nothing any more leaves.
MERGE INTO mint_latencies AS l
USING unnest($1::timestamptz[], $2::int[], $3::int[]) AS change (minute, up_to_ms, items)
ON l.minute = change.minute AND l.up_to_ms = change.up_to_ms
WHEN MATCHED AND l.items = -change.items THEN DELETE
WHEN MATCHED THEN UPDATE SET items = l.items + change.items
WHEN NOT MATCHED THEN INSERT (minute, up_to_ms, items) VALUES (change.minute, change.up_to_ms, change.items);

-- name: settled_operations
-- Operations that are settled and not ended, in the order in which they were settled, after sequence $1 of MINT, each
-- with the message that settled it.
SELECT o.id, o.total_nfts, o.completed_nfts, o.failed_nfts, o.cancelled_nfts, o.settled_sequence, e.subject, e.payload,
       e.headers
FROM mint_operations AS o
JOIN event_log AS e ON e.stream = 'MINT' AND e.sequence = o.settled_sequence
WHERE o.settled_sequence > $1 AND o.end_time IS NULL
ORDER BY o.settled_sequence LIMIT $2;

-- name: created_collections
-- Collections on chain after id $1 in the order of ids; only those in $3 unless it is NULL. `more_trees` are those beside
-- the first one, by number.
SELECT id, standard, tree_address, collection_address, capacity,
       ARRAY(SELECT t.tree_address FROM collection_trees AS t WHERE t.collection_id = id AND t.number > 0
             ORDER BY t.number) AS more_trees
FROM nft_collections
WHERE stage = 'created' AND id > $1 AND ($3::uuid[] IS NULL OR id = ANY($3::uuid[]))
ORDER BY id LIMIT $2;
