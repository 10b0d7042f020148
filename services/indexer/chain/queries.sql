-- name: load_trees
-- Observed trees by address.
SELECT tree_address, collection_id, seq, root, slot FROM observed_trees WHERE tree_address = ANY($1::text[]);

-- name: put_trees
-- Observed trees as they are now.
INSERT INTO observed_trees AS t (tree_address, collection_id, seq, root, slot)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bytea[], $5::bigint[])
ON CONFLICT (tree_address) DO UPDATE SET seq = excluded.seq, root = excluded.root, slot = excluded.slot;

-- name: put_assets
-- Assets by their newest change; what a change does not tell stays as it was.
INSERT INTO assets AS a
      (asset_id, tree_address, leaf_index, collection_id, fate, leaf_hash, seq, slot, signature, owner, delegate,
       frozen, transferable, minted_slot, minted_signature, collection_address)
SELECT asset_id, tree_address, leaf_index, collection_id, fate, leaf_hash, seq, slot, signature, owner, delegate,
       coalesce(frozen, FALSE), coalesce(transferable, TRUE), minted_slot, minted_signature, collection_address
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bytea[], $7::bigint[], $8::bigint[],
            $9::text[], $10::text[], $11::text[], $12::bool[], $13::bool[], $14::bigint[], $15::text[], $16::text[])
  AS row (asset_id, tree_address, leaf_index, collection_id, fate, leaf_hash, seq, slot, signature, owner, delegate,
          frozen, transferable, minted_slot, minted_signature, collection_address)
ON CONFLICT (asset_id) DO NOTHING;

-- name: change_assets
-- Assets that were there before by their newest change; what a change does not tell (NULL) stays as it was.
UPDATE assets AS a SET
       fate = row.fate, leaf_hash = row.leaf_hash, seq = row.seq, slot = row.slot, signature = row.signature,
       owner = coalesce(row.owner, a.owner), delegate = coalesce(row.delegate, a.delegate),
       frozen = coalesce(row.frozen, a.frozen), transferable = coalesce(row.transferable, a.transferable),
       collection_address =
           CASE WHEN row.collection_changed THEN row.collection_address ELSE a.collection_address END
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
            $9::bool[], $10::bool[], $11::text[], $12::bool[])
  AS row (asset_id, fate, leaf_hash, seq, slot, signature, owner, delegate, frozen, transferable, collection_address,
          collection_changed)
WHERE a.asset_id = row.asset_id AND a.seq < row.seq;

-- name: leaf_hashes
-- Leaves of tree $1 beyond index $2 in their order.
SELECT leaf_index, leaf_hash FROM assets WHERE tree_address = $1 AND leaf_index > $2 ORDER BY leaf_index LIMIT $3;

-- name: observed_counts
-- Leaves of collection $1 whose mint was observed, and those still in their tree.
SELECT count(*) AS observed, count(*) FILTER (WHERE fate = 'living') AS living FROM assets WHERE collection_id = $1;

-- name: told_counts
-- Items of collection $1 that the operations' sums say were minted, and those whose row says so.
SELECT coalesce(sum(o.completed_nfts), 0)::bigint AS log,
       (SELECT count(*) FROM mint_results AS r JOIN mint_operations AS p ON p.id = r.operation_id
        WHERE p.collection_id = $1 AND r.status = 'success') AS projection
FROM mint_operations AS o WHERE o.collection_id = $1;

-- name: not_on_chain
-- Items of collection $1 that are confirmed at or before slot $2 and were not observed: the first of them, and how many.
-- Of the trees $4 only those that are confirmed at or before their slots $5.
SELECT r.signature, count(*) OVER () AS found
FROM mint_results AS r JOIN mint_operations AS o ON o.id = r.operation_id
LEFT JOIN assets AS a ON a.asset_id = r.asset_id
LEFT JOIN unnest($4::text[], $5::bigint[]) AS unseen (tree, after) ON unseen.tree = r.tree_address
WHERE o.collection_id = $1 AND r.status = 'success' AND r.slot <= $2 AND r.slot <= coalesce(unseen.after, $2)
  AND (a.asset_id IS NULL OR a.minted_signature IS DISTINCT FROM r.signature)
ORDER BY r.slot LIMIT $3;

-- name: minted_elsewhere
-- Assets of collection $1 that no item of its operations is: the first of them, and how many.
SELECT a.asset_id, count(*) OVER () AS found FROM assets AS a
WHERE a.collection_id = $1
  AND NOT EXISTS (SELECT FROM mint_results AS r WHERE r.asset_id = a.asset_id AND r.status = 'success')
ORDER BY a.asset_id LIMIT $2;

-- name: gone
-- Assets of collection $1 by where they are that is not their tree: how many, and the first of them.
SELECT fate, count(*) AS found, (array_agg(asset_id ORDER BY asset_id))[1:$2] AS examples
FROM assets WHERE collection_id = $1 AND fate <> 'living' GROUP BY fate;

-- name: living_assets
-- Assets of collection $1 in their trees and in verified collection $2, beyond id $3 in the order of ids.
SELECT asset_id, tree_address, leaf_hash FROM assets
WHERE collection_id = $1 AND fate = 'living' AND collection_address = $2 AND asset_id > $3
ORDER BY asset_id LIMIT $4;
