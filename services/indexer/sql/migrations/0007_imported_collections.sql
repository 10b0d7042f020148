-- Collections that were made elsewhere.

ALTER TABLE nft_collections
    ADD COLUMN imported      BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN minted_before BIGINT NOT NULL DEFAULT 0 CHECK (minted_before >= 0);
COMMENT ON COLUMN nft_collections.imported IS 'Made elsewhere, and taken over as it stood on chain.';
COMMENT ON COLUMN nft_collections.minted_before IS 'Leaves that were in its trees at that time; no operation minted them.';
