-- mintstream_reader: what the gateway connects as. It reads the API's tables and cannot write.
-- Roles belong to the whole cluster and outlive the database, so an existing one is kept as it is. Where the owner may not
-- create roles, the operator creates it first; without it, this migration only says so. It has no password: whoever
-- runs the cluster sets one (ALTER ROLE mintstream_reader PASSWORD ...), and until then only trusted sockets let it in.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_reader') THEN
        BEGIN
            CREATE ROLE mintstream_reader LOGIN NOINHERIT CONNECTION LIMIT 200;
            ALTER ROLE mintstream_reader SET default_transaction_read_only = on;
        EXCEPTION
            -- Another database of the cluster may be migrated at the same moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role mintstream_reader does not exist and may not be created by %', current_user;
                RETURN;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO mintstream_reader', current_schema());
    GRANT SELECT ON nft_collections, mint_operations, mint_results, watermarks TO mintstream_reader;
END
$$;
