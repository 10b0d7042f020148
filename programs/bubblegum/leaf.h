/* A leaf of a Bubblegum tree: asset id, hash, and the event that tells indexers what the hash stands for. */
#ifndef PROGRAMS_BUBBLEGUM_LEAF_H
#define PROGRAMS_BUBBLEGUM_LEAF_H

#include "tree.h"

/* Flags of a V2 leaf. */
enum { LEAF_FROZEN_BY_OWNER = 1, LEAF_FROZEN_BY_PERMANENT_DELEGATE = 2, LEAF_NON_TRANSFERABLE = 4 };

typedef struct {
    const u8 *owner, *delegate; /* keys */
    const u8 *data_hash, *creator_hash;
    const u8 *collection_hash, *asset_data_hash; /* V2 only */
    u64 nonce;
    u8 version; /* TREE_VERSION_V1 or TREE_VERSION_V2, as the tree's */
    u8 flags;   /* V2 only */
    u8 id[KEY_BYTES]; /* set by leaf_identify */
} Leaf;

/* Set `leaf->id`: the PDA ["asset", Merkle tree, nonce]. */
Result leaf_identify(const Tree *tree, Leaf *leaf);

void leaf_hash(const Leaf *leaf, u8 *hash);

/* keccak of the collection's address; without a collection, of 32 zero bytes. */
void collection_hash(const u8 *collection, u8 *hash);

/* The asset data hash of a leaf without asset data: keccak of nothing. */
void empty_asset_data_hash(u8 *hash);

/* Send the LeafSchemaEvent of `leaf` through the noop program. */
Result leaf_emit(const Tree *tree, const Leaf *leaf, const u8 *hash);

#endif
