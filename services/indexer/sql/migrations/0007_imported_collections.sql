-- Collections that were made elsewhere.

ALTER TABLE nft_collections
    ADD COLUMN imported      BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN minted_before BIGINT NOT NULL DEFAULT 0 CHECK (minted_before >= 0),
    -- Which standard an import has is known once its account was read.
    ALTER COLUMN standard DROP NOT NULL,
    ADD CHECK (standard IS NOT NULL OR (imported AND stage <> 'created'));
CREATE INDEX idx_nft_collections_address ON nft_collections (collection_address) WHERE collection_address IS NOT NULL;
COMMENT ON COLUMN nft_collections.imported IS 'Made elsewhere, and taken over as it stood on chain.';
COMMENT ON COLUMN nft_collections.minted_before IS 'Leaves that were in its trees at that time; no operation minted them.';
