/* The half of a mint that all three mint instructions share: creators' signatures, hashes, event, append, count. */
#ifndef PROGRAMS_BUBBLEGUM_MINT_H
#define PROGRAMS_BUBBLEGUM_MINT_H

#include "metadata.h"
#include "tree.h"

#define MAX_NAMED_SIGNERS 3

typedef struct {
    const Tree *tree;
    const Metadata *metadata;
    const u8 *owner, *delegate;
    /* Who may verify a creator: these accounts of the instruction and every signer from `first_remaining` on. */
    const u8 *named_signers[MAX_NAMED_SIGNERS];
    u64 named_signer_count;
    u64 first_remaining;
    bool verify_collection; /* V1: write the collection into the leaf as verified */
} Mint;

/* CreatorDidNotVerify unless every creator marked as verified signed. */
Result mint_check_creators(const Mint *mint);

/* Log the new leaf's schema, append its hash, count the mint. The leaf's version is the tree's. */
Result mint_leaf(const Mint *mint, u8 version);

#endif
