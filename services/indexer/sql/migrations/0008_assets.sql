-- What became of every leaf of the collections' trees, as the chain said it (collection.observed).

CREATE TABLE observed_trees (
    tree_address  VARCHAR(44) PRIMARY KEY,
    collection_id UUID NOT NULL,
    -- Account compression's number of the last observed change; changes are observed in order and without holes.
    seq           BIGINT NOT NULL CHECK (seq > 0),
    root          BYTEA NOT NULL CHECK (octet_length(root) = 32),
    slot          BIGINT NOT NULL
);
COMMENT ON TABLE observed_trees IS 'Projection of the COLLECTION stream: how far each tree was observed.';
COMMENT ON COLUMN observed_trees.root IS 'Root after change seq, as account compression told.';

CREATE TABLE assets (
    asset_id           VARCHAR(44) PRIMARY KEY,
    tree_address       VARCHAR(44) NOT NULL,
    leaf_index         BIGINT NOT NULL CHECK (leaf_index >= 0),
    collection_id      UUID NOT NULL,
    -- The verified collection; NULL for none.
    collection_address VARCHAR(44),
    -- The last that is known; those of a burned asset are its last owner and delegate.
    owner              VARCHAR(44),
    delegate           VARCHAR(44),
    frozen             BOOLEAN NOT NULL DEFAULT FALSE,
    transferable       BOOLEAN NOT NULL DEFAULT TRUE,
    fate               VARCHAR(10) NOT NULL CHECK (fate IN ('living', 'burned', 'redeemed', 'unknown')),
    leaf_hash          BYTEA NOT NULL CHECK (octet_length(leaf_hash) = 32),
    minted_slot        BIGINT,
    minted_signature   VARCHAR(88),
    -- The change that this row shows.
    seq                BIGINT NOT NULL CHECK (seq > 0),
    slot               BIGINT NOT NULL,
    signature          VARCHAR(88) NOT NULL,
    UNIQUE (tree_address, leaf_index)
);
COMMENT ON TABLE assets IS
    'Projection of the COLLECTION stream: every leaf of the collections'' trees at commitment finalized.';
COMMENT ON COLUMN assets.fate IS
    'burned and redeemed: the leaf is empty; unknown: it was changed by an instruction that could not be read.';
CREATE INDEX idx_assets_owner ON assets (owner, asset_id) WHERE fate = 'living';
CREATE INDEX idx_assets_collection ON assets (collection_id, fate, asset_id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON observed_trees, assets TO mintstream_reader;
    END IF;
END
$$;
