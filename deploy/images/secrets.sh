#!/bin/sh
# Makes what compose.yaml needs in deploy/images/secrets: random passwords, once; the wallet's key is yours to put there.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

# nats-server reads a password from a variable as a value of its language: a letter first keeps it a text.
random() { printf 'p%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }
keep() { [ -s "$1" ] || random >"$1"; }

for user in gateway ipfs minter indexer notifier mintstream nack system; do keep "nats_$user"; done
for role in owner writer reader superuser; do keep "postgres_$role"; done
keep api_key
[ -s webhook_sealing_key ] || head -c 32 /dev/urandom | base64 | tr '+/' '-_' >webhook_sealing_key
[ -s jwt_secret ] || printf '%s%s' "$(random)" "$(random)" >jwt_secret

: >nats.env
for user in gateway ipfs minter indexer notifier mintstream nack system; do
    echo "NATS_PASSWORD_$(echo "$user" | tr '[:lower:]' '[:upper:]')=$(cat "nats_$user")" >>nats.env
done
for role in owner writer reader; do
    printf 'postgresql://mintstream_%s:%s@postgres:5432/mintstream' "$role" "$(cat "postgres_$role")" >"database_url_$role"
done
{
    echo "POSTGRES_PASSWORD=$(cat postgres_superuser)"
    for role in owner writer reader; do echo "PASSWORD_$role=$(cat "postgres_$role")"; done
} >postgres.env
[ -s rpc_url ] || printf 'https://api.devnet.solana.com' >rpc_url
if [ ! -s private_key ]; then
    echo "Put the minting wallet's keypair (base58, or a JSON array of 64 bytes) into $PWD/private_key" >&2
    exit 1
fi
