-- mintstream_writer: what the indexer connects as where the tables' owner only migrates. It changes rows, and no table.
-- As with the reader: an existing role is kept as it is, and where the owner may not create roles the operator does.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mintstream_writer') THEN
        BEGIN
            CREATE ROLE mintstream_writer LOGIN NOINHERIT CONNECTION LIMIT 50;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role mintstream_writer does not exist and may not be created by %', current_user;
                RETURN;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO mintstream_writer', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %I TO mintstream_writer',
                   current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO mintstream_writer', current_schema());
    -- What later migrations make is for it as well.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I '
                   'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES TO mintstream_writer', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE ON SEQUENCES TO mintstream_writer',
                   current_schema());
    -- It reads which migrations were applied, and applies none.
    REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON schema_migrations FROM mintstream_writer;
    GRANT EXECUTE ON FUNCTION reach_event_log, shorten_event_log TO mintstream_writer;
END
$$;

-- Partitions are made and dropped while the indexer works: by these two functions alone, as the owner, in their own schema.
REVOKE EXECUTE ON FUNCTION reach_event_log, shorten_event_log FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION reach_event_log SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION shorten_event_log SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END
$$;
