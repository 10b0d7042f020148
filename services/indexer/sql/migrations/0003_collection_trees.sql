CREATE TABLE collection_trees (
    collection_id UUID NOT NULL REFERENCES nft_collections (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    tree_address  VARCHAR(44) NOT NULL,
    capacity      BIGINT NOT NULL CHECK (capacity > 0),
    added_at      TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (collection_id, number)
);
COMMENT ON TABLE collection_trees IS
    'Projection of the COLLECTION stream: the trees that a collection has beside its first one, which is in its own row.';
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        GRANT SELECT ON collection_trees TO mintstream_reader;
    END IF;
END
$$;
