#!/bin/sh
# Run once by the Postgres image, when the database is made: the three roles and their passwords. On Kubernetes
# CloudNativePG makes the same (deploy/k8s/base/postgres.yaml). What each may do, the migrations grant.
set -eu
for role in owner writer reader; do
    # A password is no argument, which everybody on the machine could see, and in no line of the server's log: that of a
    # statement that fails, that is slow, or during which the server is killed.
    eval "PASSWORD=\$PASSWORD_$role"
    export PASSWORD
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
        --set=role="mintstream_$role" <<'SQL'
SET log_statement = none;
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
SET track_activities = off;
\getenv password PASSWORD
CREATE ROLE :"role" LOGIN NOINHERIT PASSWORD :'password';
SQL
done
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --command='CREATE DATABASE mintstream OWNER mintstream_owner'
