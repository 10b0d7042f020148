-- The projection of the log: written by the indexer alone, read by the gateway as mintstream_reader.
-- Dropping every table and reading the log again gives the same rows, so no column has a default that reads a clock or
-- makes up an identifier: times are those of the events, ids are the operation's or derived from it.
-- MINT fills mint_operations and mint_results, COLLECTION fills nft_collections; no row depends on both streams.

CREATE TABLE nft_collections (
    id                 UUID PRIMARY KEY,
    name               TEXT NOT NULL,
    description        TEXT NOT NULL DEFAULT '',
    symbol             TEXT NOT NULL,
    tree_address       VARCHAR(44),
    collection_address VARCHAR(44),
    creator_address    VARCHAR(44),
    -- Leaves that the tree can hold and leaves minted into it, as the chain last said (collection.counted).
    capacity           BIGINT NOT NULL CHECK (capacity >= 0),
    minted             BIGINT NOT NULL DEFAULT 0 CHECK (minted >= 0),
    image_url          TEXT,
    external_url       TEXT,
    has_valid_tree     BOOLEAN NOT NULL DEFAULT FALSE,
    supports_das       BOOLEAN NOT NULL DEFAULT FALSE,
    status             VARCHAR(20) NOT NULL CHECK (status IN ('active', 'paused', 'completed')),
    is_public          BOOLEAN NOT NULL,
    allow_minting      BOOLEAN NOT NULL,
    created_at         TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at         TIMESTAMP WITH TIME ZONE NOT NULL,
    -- What follows is ours, not the API's.
    standard           VARCHAR(8) NOT NULL CHECK (standard IN ('v1', 'v2')),
    stage              VARCHAR(20) NOT NULL CHECK (stage IN ('requested', 'pinned', 'created', 'failed')),
    uri                TEXT,
    seller_fee_basis_points INTEGER NOT NULL DEFAULT 0 CHECK (seller_fee_basis_points BETWEEN 0 AND 10000),
    error_code         VARCHAR(64),
    error_message      TEXT,
    counted_slot       BIGINT,
    -- A created collection can be minted into, and only a created one has addresses.
    CHECK ((stage = 'created') = (tree_address IS NOT NULL)),
    CHECK ((tree_address IS NULL) = (collection_address IS NULL)),
    CHECK (status <> 'active' OR (stage = 'created' AND allow_minting))
);
COMMENT ON TABLE nft_collections IS 'Projection of the COLLECTION stream; one row a collection.';
COMMENT ON COLUMN nft_collections.status IS
    'active: open for minting; completed: the tree is full; paused: minting is off, or the collection is not on chain.';
COMMENT ON COLUMN nft_collections.stage IS 'How far the making of the collection is; list only created ones.';
CREATE INDEX idx_nft_collections_status ON nft_collections (status, created_at DESC);
CREATE INDEX idx_nft_collections_created_at ON nft_collections (created_at DESC, id DESC);

CREATE TABLE mint_operations (
    id                   UUID PRIMARY KEY,
    transaction_id       VARCHAR(64) UNIQUE NOT NULL CHECK (transaction_id = id::text),
    -- No foreign key: the collection is a fact of another stream, and no order holds between two streams. A replay that
    -- is ahead on MINT must give the same rows as one that is ahead on COLLECTION.
    collection_id        UUID NOT NULL,
    recipient            VARCHAR(44) NOT NULL,
    status               VARCHAR(20) NOT NULL DEFAULT 'pending'
                         CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    operation_type       VARCHAR(20) NOT NULL DEFAULT 'mint' CHECK (operation_type IN ('mint', 'batch_mint')),
    total_nfts           INTEGER NOT NULL CHECK (total_nfts > 0),
    -- The numbers of this operation's mint_results with status success and failed.
    completed_nfts       INTEGER NOT NULL DEFAULT 0 CHECK (completed_nfts >= 0),
    failed_nfts          INTEGER NOT NULL DEFAULT 0 CHECK (failed_nfts >= 0),
    batch_size           INTEGER NOT NULL DEFAULT 1 CHECK (batch_size > 0),
    metadata             JSONB NOT NULL,
    results              JSONB NOT NULL DEFAULT '[]',
    error_message        TEXT,
    start_time           TIMESTAMP WITH TIME ZONE NOT NULL,
    end_time             TIMESTAMP WITH TIME ZONE,
    estimated_completion TIMESTAMP WITH TIME ZONE,
    created_at           TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at           TIMESTAMP WITH TIME ZONE NOT NULL,
    -- What follows is ours, not the source document's.
    cancelled_nfts       INTEGER NOT NULL DEFAULT 0 CHECK (cancelled_nfts >= 0),
    first_error          TEXT,
    settled_sequence     BIGINT,
    CHECK (completed_nfts + failed_nfts + cancelled_nfts <= total_nfts),
    -- An operation has ended exactly when mint.completed is on the log.
    CHECK ((end_time IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled')))
);
COMMENT ON TABLE mint_operations IS 'Projection of the MINT stream; one row a mint request.';
COMMENT ON COLUMN mint_operations.results IS 'Always empty: the results are the rows of mint_results.';
COMMENT ON COLUMN mint_operations.first_error IS 'Reason of the first failed item; error_message adds the counts.';
COMMENT ON COLUMN mint_operations.settled_sequence IS
    'MINT sequence of the message that settled the last item; with no end_time, mint.completed is still to be said.';
-- transaction_id has its index by being unique.
CREATE INDEX idx_mint_operations_status ON mint_operations (status);
CREATE INDEX idx_mint_operations_created_at ON mint_operations (created_at DESC);
CREATE INDEX idx_mint_operations_collection_id ON mint_operations (collection_id);
CREATE INDEX idx_mint_operations_settled ON mint_operations (settled_sequence)
    WHERE settled_sequence IS NOT NULL AND end_time IS NULL;

CREATE TABLE mint_results (
    -- Derived from operation_id and item_index (UUIDv5), so that a replay gives the same.
    id              UUID PRIMARY KEY,
    operation_id    UUID NOT NULL REFERENCES mint_operations (id),
    nft_name        VARCHAR(200),
    signature       VARCHAR(88),
    leaf_index      INTEGER CHECK (leaf_index >= 0),
    asset_id        VARCHAR(44),
    ipfs_hash       VARCHAR(64),
    ipfs_uri        TEXT,
    status          VARCHAR(20) NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'success', 'failed')),
    error_message   TEXT,
    created_at      TIMESTAMP WITH TIME ZONE NOT NULL,
    -- What follows is ours, not the source document's.
    item_index      INTEGER NOT NULL CHECK (item_index >= 0),
    nonce           BIGINT,
    tree_address    VARCHAR(44),
    slot            BIGINT,
    finalized_slot  BIGINT,
    image_uri       TEXT,
    error_code      VARCHAR(64),
    updated_at      TIMESTAMP WITH TIME ZONE NOT NULL,
    UNIQUE (operation_id, item_index),
    -- A success names its asset, and an error belongs to a failure only. asset_id is not unique: a transaction that a
    -- fork drops leaves its leaf to the next one until its own item is confirmed again.
    CHECK ((status = 'success') = (asset_id IS NOT NULL)),
    CHECK ((status = 'success') = (signature IS NOT NULL AND leaf_index IS NOT NULL)),
    CHECK ((status = 'failed') = (error_message IS NOT NULL))
);
COMMENT ON TABLE mint_results IS
    'Projection of the MINT stream; one row an item, copies expanded, from the moment it is requested.';
COMMENT ON COLUMN mint_results.finalized_slot IS 'Slot of the signature''s finality; NULL until it is final.';
-- operation_id has its index by the unique pair above.
CREATE INDEX idx_mint_results_signature ON mint_results (signature);
CREATE INDEX idx_mint_results_asset_id ON mint_results (asset_id);

CREATE TABLE event_log (
    stream    TEXT NOT NULL,
    sequence  BIGINT NOT NULL CHECK (sequence > 0),
    subject   TEXT NOT NULL,
    payload   BYTEA NOT NULL,
    headers   JSON NOT NULL,
    stored_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (stream, sequence)
);
COMMENT ON TABLE event_log IS
    'Every message of the projected streams as it was, byte for byte: the second copy, on a disk of its own.';

CREATE TABLE watermarks (
    stream   TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL CHECK (sequence >= 0)
);
INSERT INTO watermarks (stream, sequence) VALUES ('MINT', 0), ('COLLECTION', 0);
COMMENT ON TABLE watermarks IS
    'Last sequence whose rows are committed; moves in the transaction that writes them, by compare-and-set.';

CREATE TABLE parked_messages (
    stream   TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    subject  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (stream, sequence),
    FOREIGN KEY (stream, sequence) REFERENCES event_log (stream, sequence)
);
COMMENT ON TABLE parked_messages IS 'Messages that changed no row because they cannot be read or do not fit, with the reason.';
