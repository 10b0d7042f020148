/* What transfers and burns share: their arguments, the leaf that stands in the tree now, and replacing it. */
#ifndef PROGRAMS_BUBBLEGUM_REPLACE_H
#define PROGRAMS_BUBBLEGUM_REPLACE_H

#include "borsh.h"
#include "leaf.h"
#include "tree.h"

typedef struct {
    const u8 *root, *data_hash, *creator_hash;
    const u8 *asset_data_hash; /* V2; NULL stands for a leaf without asset data */
    u64 nonce;
    u32 index;
    u8 flags; /* V2 */
} ReplaceArguments;

/* Read the arguments of the V1 or V2 instruction, by the tree version. */
Result read_replace_arguments(Reader *reader, u8 version, ReplaceArguments *arguments);

/* The leaf as it must stand in the tree for these arguments. `collection`: a key or NULL; V2 only. */
Result current_leaf(const Tree *tree, const ReplaceArguments *arguments, u8 version, const u8 *collection, Leaf *leaf);

/* Swap the hash of `current` for `new_hash`, with the proof in the accounts from `first_proof` on. */
typedef struct {
    const ReplaceArguments *arguments;
    const Leaf *current;
    const u8 *new_hash;
    u64 first_proof;
} Swap;

Result swap_leaf(const Tree *tree, const Swap *swap);

#endif
