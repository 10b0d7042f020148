-- What the lists of operations and the statistics need at a million items; docs/queries.md has the plans.

-- Each filter with the list's own order, so that a page is read and nothing is sorted or skipped.
DROP INDEX idx_mint_operations_status;
CREATE INDEX idx_mint_operations_status ON mint_operations (status, start_time DESC, id DESC);
DROP INDEX idx_mint_operations_collection_id;
CREATE INDEX idx_mint_operations_collection_id ON mint_operations (collection_id, start_time DESC, id DESC);
CREATE INDEX idx_mint_operations_recipient ON mint_operations (recipient, start_time DESC, id DESC);

-- The statistics of a day are counted from the index alone.
DROP INDEX idx_mint_results_settled_at;
CREATE INDEX idx_mint_results_settled_at ON mint_results (settled_at, status, error_code) WHERE settled_at IS NOT NULL;
