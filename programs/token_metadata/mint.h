/* An SPL Token mint account, as token metadata reads it. Layout: the Mint account of the public token clients (82 bytes). */
#ifndef PROGRAMS_TOKEN_METADATA_MINT_H
#define PROGRAMS_TOKEN_METADATA_MINT_H

#include "errors.h"
#include "known_addresses.h"

#define MINT_BYTES 82

typedef struct {
    const u8 *authority;        /* NULL when there is none */
    const u8 *freeze_authority; /* likewise */
    u64 supply;
    u8 decimals;
} MintView;

static inline Result mint_read(const Account *account, MintView *mint) {
    enum { AUTHORITY = 0, SUPPLY = 36, DECIMALS = 44, IS_INITIALIZED = 45, FREEZE_AUTHORITY = 46 };
    if (!key_equal(account->owner, TOKEN_PROGRAM_ID)) return TM_INCORRECT_OWNER;
    if (account->data_length != MINT_BYTES) return ERR_INVALID_ACCOUNT_DATA;
    const u8 *data = account->data;
    if (!data[IS_INITIALIZED]) return ERR_UNINITIALIZED_ACCOUNT;
    mint->authority = load_u32(data + AUTHORITY) == 1 ? data + AUTHORITY + 4 : NULL;
    mint->freeze_authority = load_u32(data + FREEZE_AUTHORITY) == 1 ? data + FREEZE_AUTHORITY + 4 : NULL;
    mint->supply = load_u64(data + SUPPLY);
    mint->decimals = data[DECIMALS];
    return OK;
}

/* The account given as mint authority must be the mint's, and sign. */
static inline Result mint_check_authority(const MintView *mint, const Account *authority) {
    if (mint->authority == NULL || !key_equal(mint->authority, authority->key)) return TM_INVALID_MINT_AUTHORITY;
    return authority->is_signer ? OK : TM_NOT_MINT_AUTHORITY;
}

#endif
