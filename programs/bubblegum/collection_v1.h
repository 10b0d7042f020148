/* A token-metadata collection, as MintToCollectionV1 checks it. */
#ifndef PROGRAMS_BUBBLEGUM_COLLECTION_V1_H
#define PROGRAMS_BUBBLEGUM_COLLECTION_V1_H

#include "sbf.h"

typedef struct {
    Context *context;
    const Account *authority;
    const Account *authority_record; /* the Bubblegum program when there is no delegation */
    const Account *mint;
    const Account *metadata;
    const Account *edition;
    const Account *bubblegum_signer;       /* see collection_v1_verify */
    const Account *token_metadata_program; /* likewise */
} CollectionV1;

/* Check that `key`, the collection that the NFT names (NULL: none), is this collection, that it is one, and that the
 * authority may add to it.
 *
 * The deployed program no longer counts a sized collection, and its client passes Bubblegum's own address for the last
 * two accounts. Earlier versions did, by CPI before the leaf was logged; for a caller that still names the signer PDA and
 * token metadata the stand-in does so too. */
Result collection_v1_verify(const CollectionV1 *collection, const u8 *key);

#endif
