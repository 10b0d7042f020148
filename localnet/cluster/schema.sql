-- The local cluster's ledger on disk. Written by store.py alone, one SQLite transaction a slot, before anyone sees the slot.

-- One row each: format, genesis seed, faucet key (a throw-away key of a local chain), the highest slot number ever used.
CREATE TABLE IF NOT EXISTS meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Blocks of the current fork only; a fork deletes what it drops.
CREATE TABLE IF NOT EXISTS blocks (
    slot   INTEGER PRIMARY KEY,
    height INTEGER NOT NULL UNIQUE,
    body   BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS transactions (
    slot      INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    signature TEXT NOT NULL UNIQUE,
    body      BLOB NOT NULL,
    PRIMARY KEY (slot, position)
) WITHOUT ROWID;

-- Which transactions name an address, for getSignaturesForAddress.
CREATE TABLE IF NOT EXISTS mentions (
    address  BLOB NOT NULL,
    slot     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (address, slot, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mentions_by_slot ON mentions (slot);

-- Every version of an account that some read or fork may still need; a NULL owner says that the account was gone.
CREATE TABLE IF NOT EXISTS accounts (
    address    BLOB NOT NULL,
    slot       INTEGER NOT NULL,
    lamports   INTEGER,
    owner      BLOB,
    executable INTEGER,
    rent_epoch BLOB,
    data       BLOB,
    PRIMARY KEY (address, slot)
);
CREATE INDEX IF NOT EXISTS accounts_by_slot ON accounts (slot);
