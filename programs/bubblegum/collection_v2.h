/* An MPL-Core collection, as the V2 instructions use it. */
#ifndef PROGRAMS_BUBBLEGUM_COLLECTION_V2_H
#define PROGRAMS_BUBBLEGUM_COLLECTION_V2_H

#include "../mpl_core/collection.h"

/* Read a collection account. IncorrectOwner when it is none of MPL-Core's, CollectionMustHaveBubblegumPlugin when it may
 * not hold compressed NFTs. */
Result collection_v2_load(const Account *account, CoreCollection *collection);

typedef struct {
    Context *context;
    const Account *collection;
    const Account *cpi_signer; /* the PDA ["mpl_core_cpi_signer"] of ours */
    const Account *core_program;
} CollectionCounter;

/* Check the accounts that counting needs; `cpi_signer` may be NULL, "not given". */
Result collection_v2_check_counter(const CollectionCounter *counter);

/* Tell MPL-Core that one NFT was minted into the collection or removed: COLLECTION_UPDATE_*. */
Result collection_v2_count(const CollectionCounter *counter, u8 update);

#endif
