#!/bin/sh
# Run once by the Postgres image, when the database is made: the three roles and their passwords. On Kubernetes
# CloudNativePG makes the same (deploy/k8s/base/postgres.yaml). What each may do, the migrations grant.
set -eu
for role in owner writer reader; do
    eval "password=\$PASSWORD_$role"
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
        --set=role="mintstream_$role" --set=password="$password" <<'SQL'
CREATE ROLE :"role" LOGIN NOINHERIT PASSWORD :'password';
SQL
done
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --command='CREATE DATABASE mintstream OWNER mintstream_owner'
