/* The operations of a concurrent Merkle tree; see tree.h. */
#include "tree.h"

/* Which of its parent's two children is the node at `level` above leaf `index`? */
static inline bool is_right_child(u32 index, u32 level) { return (index >> level) & 1; }

/* The level at which the paths of two different leaves meet: there each holds the other's sibling. */
static inline u32 meeting_level(u32 a, u32 b) {
    u32 difference = a ^ b;
    u32 level = 0;
    while (difference >>= 1) level++;
    return level;
}

/* node = the parent of `node` and its sibling. */
static inline void climb(u8 *node, const u8 *sibling, u32 index, u32 level) {
    if (is_right_child(index, level))
        keccak_pair(sibling, node, node);
    else
        keccak_pair(node, sibling, node);
}

/* Log the tree's error as the real program words it, and give the program's one code for all of them. */
#define TREE_ERROR(message)                                       \
    do {                                                          \
        LOG("Error using concurrent merkle tree: " message);      \
        return anchor_error(&CONCURRENT_MERKLE_TREE_ERROR);       \
    } while (0)

/* ---- recording a change ----------------------------------------------------------------------------------------- */

/* Copy the new nodes that the canopy covers: all but the root, down to the canopy's depth. */
static void update_canopy(Tree *tree, const u8 *path, u32 index) {
    for (u32 level = tree->depth - tree->canopy_depth; level < tree->depth; level++) {
        u64 node = (1ULL << (tree->depth - level)) + (index >> level);
        key_copy(tree->canopy + (node - 2) * HASH_BYTES, path + level * HASH_BYTES);
    }
}

/* Hash `leaf` up along `proof` into the next slot of the buffer, which becomes the newest change. */
static void record_change(Tree *tree, const u8 *leaf, u32 index, const u8 *proof) {
    u64 slot = (*tree->active_index + 1) & (tree->max_buffer_size - 1);
    u8 *change = change_at(tree, slot);
    u8 *path = change_path(change);
    u8 node[HASH_BYTES];
    key_copy(node, leaf);
    for (u32 level = 0; level < tree->depth; level++) {
        key_copy(path + level * HASH_BYTES, node);
        climb(node, proof + level * HASH_BYTES, index, level);
    }
    key_copy(change_root(change), node);
    store_u64(path + tree->depth * HASH_BYTES, index); /* and the padding */
    *tree->active_index = slot;
    *tree->sequence_number += 1;
    if (*tree->buffer_size < tree->max_buffer_size) *tree->buffer_size += 1;
    update_canopy(tree, path, index);
}

/* ---- appending -------------------------------------------------------------------------------------------------- */

/* Turn the proof of the last leaf into that of the leaf to its right. Their paths meet at the new index's lowest set bit:
 * below, the new leaf has only emptiness beside it; there, the last leaf's subtree; above, the same siblings. */
static void advance_rightmost_proof(Tree *tree, u32 new_index) {
    u8 *proof = tree->rightmost;
    u8 last[HASH_BYTES];
    u8 empty[HASH_BYTES] = {0};
    key_copy(last, rightmost_leaf(tree));
    u32 level = 0;
    for (; !is_right_child(new_index, level); level++) {
        climb(last, proof + level * HASH_BYTES, new_index - 1, level);
        key_copy(proof + level * HASH_BYTES, empty);
        keccak_pair(empty, empty, empty);
    }
    key_copy(proof + level * HASH_BYTES, last);
}

Result tree_append(Tree *tree, const u8 *leaf) {
    if (key_is_zero(leaf)) TREE_ERROR("Cannot append an empty node");
    u32 index = leaf_count(tree);
    if (index >= 1U << tree->depth) TREE_ERROR("Tree is full, cannot append");
    if (index > 0) advance_rightmost_proof(tree, index);
    record_change(tree, leaf, index, tree->rightmost);
    key_copy(rightmost_leaf(tree), leaf);
    store_u32(rightmost_count(tree), index + 1);
    return OK;
}

/* ---- proofs ----------------------------------------------------------------------------------------------------- */

/* Complete the claim's nodes to one per level: the canopy's nodes at the top, or, without a canopy, emptiness. A gap
 * between the given nodes and the canopy makes the proof invalid. */
static bool complete_proof(const Tree *tree, const Claim *claim, u8 *proof) {
    u32 depth = tree->depth;
    if (claim->node_count > depth) return false;
    if (tree->canopy_depth > 0 && claim->node_count + tree->canopy_depth < depth) return false;
    u8 empty[HASH_BYTES] = {0};
    for (u32 level = 0; level < depth; level++) {
        u8 *node = proof + level * HASH_BYTES;
        if (level < claim->node_count) {
            key_copy(node, claim->nodes[level].key);
        } else {
            u64 sibling = ((1ULL << (depth - level)) + (claim->index >> level)) ^ 1;
            const u8 *cached = tree->canopy + (sibling - 2) * HASH_BYTES;
            bool is_cached = depth - level <= tree->canopy_depth && !key_is_zero(cached);
            key_copy(node, is_cached ? cached : empty);
        }
        if (claim->node_count < depth) keccak_pair(empty, empty, empty);
    }
    return true;
}

/* How many changes happened since `root` was the root; all that are remembered when it is not among them. */
static u64 changes_since(const Tree *tree, const u8 *root, bool *found) {
    u64 mask = tree->max_buffer_size - 1;
    for (u64 age = 0; age < *tree->buffer_size; age++) {
        *found = key_equal(change_root(change_at(tree, (*tree->active_index - age) & mask)), root);
        if (*found) return age;
    }
    return *tree->buffer_size;
}

/* Replay the last `count` changes, oldest first, over a proof; `leaf` becomes what is at `index` now. */
static void fast_forward(const Tree *tree, u64 count, u32 index, u8 *leaf, u8 *proof) {
    u64 mask = tree->max_buffer_size - 1;
    for (u64 age = count; age-- > 0;) {
        u8 *change = change_at(tree, (*tree->active_index - age) & mask);
        u32 changed = change_index(tree, change);
        if (changed == index) {
            key_copy(leaf, change_path(change));
        } else {
            u64 at = meeting_level(changed, index) * HASH_BYTES;
            key_copy(proof + at, change_path(change) + at);
        }
    }
}

static bool proves_current_root(const Tree *tree, const u8 *leaf, u32 index, const u8 *proof) {
    u8 node[HASH_BYTES];
    key_copy(node, leaf);
    for (u32 level = 0; level < tree->depth; level++) climb(node, proof + level * HASH_BYTES, index, level);
    return key_equal(node, change_root(newest_change(tree)));
}

/* What a claim turned out to be. */
typedef enum { CLAIM_HOLDS, CLAIM_LEAF_CHANGED, CLAIM_INVALID, CLAIM_ROOT_UNKNOWN, CLAIM_OUT_OF_BOUNDS } Verdict;

/* Judge `claim` and leave in `proof` a proof for the current root. A root that is no longer remembered is tolerated when
 * `root_may_be_unknown`, because the recomputed root decides. */
static Verdict judge(const Tree *tree, const Claim *claim, bool root_may_be_unknown, u8 *proof) {
    if (claim->index > leaf_count(tree)) return CLAIM_OUT_OF_BOUNDS;
    if (!complete_proof(tree, claim, proof)) return CLAIM_INVALID;
    bool found = false;
    u64 behind = changes_since(tree, claim->root, &found);
    if (!found && !root_may_be_unknown) return CLAIM_ROOT_UNKNOWN;
    u8 leaf[HASH_BYTES];
    key_copy(leaf, claim->leaf);
    fast_forward(tree, behind, claim->index, leaf, proof);
    if (!key_equal(leaf, claim->leaf)) return CLAIM_LEAF_CHANGED;
    return proves_current_root(tree, leaf, claim->index, proof) ? CLAIM_HOLDS : CLAIM_INVALID;
}

static Result report(Verdict verdict) {
    switch (verdict) {
        case CLAIM_HOLDS:
            return OK;
        case CLAIM_LEAF_CHANGED:
            TREE_ERROR("This tree's current leaf value does not match the supplied proof's leaf value");
        case CLAIM_ROOT_UNKNOWN:
            TREE_ERROR("Root not found in changelog buffer");
        case CLAIM_OUT_OF_BOUNDS:
            TREE_ERROR("Received an index larger than the rightmost index, or greater than (1 << max_depth)");
        case CLAIM_INVALID:
            break;
    }
    TREE_ERROR("Invalid root recomputed from proof");
}

Result tree_verify(const Tree *tree, const Claim *claim) {
    u8 proof[MAX_DEPTH * HASH_BYTES];
    return report(judge(tree, claim, true, proof));
}

/* ---- replacing -------------------------------------------------------------------------------------------------- */

/* Record `leaf` at a proven place and keep the rightmost path true. */
static void set_proven_leaf(Tree *tree, const u8 *leaf, u32 index, const u8 *proof) {
    record_change(tree, leaf, index, proof);
    u32 count = leaf_count(tree);
    if (index == count) {
        copy_bytes(tree->rightmost, proof, tree->depth * HASH_BYTES);
        key_copy(rightmost_leaf(tree), leaf);
        store_u32(rightmost_count(tree), count + 1);
    } else if (index == count - 1) {
        key_copy(rightmost_leaf(tree), leaf);
    } else {
        u64 at = meeting_level(index, count - 1) * HASH_BYTES;
        key_copy(tree->rightmost + at, change_path(newest_change(tree)) + at);
    }
}

Result tree_replace(Tree *tree, const Claim *claim, const u8 *new_leaf) {
    u8 proof[MAX_DEPTH * HASH_BYTES];
    TRY(report(judge(tree, claim, true, proof)));
    set_proven_leaf(tree, new_leaf, claim->index, proof);
    return OK;
}

Result tree_insert_or_append(Tree *tree, const Claim *claim, const u8 *leaf) {
    u8 proof[MAX_DEPTH * HASH_BYTES];
    Verdict verdict = judge(tree, claim, false, proof);
    if (verdict == CLAIM_LEAF_CHANGED) return tree_append(tree, leaf);
    TRY(report(verdict));
    set_proven_leaf(tree, leaf, claim->index, proof);
    return OK;
}

Result tree_require_empty(const Tree *tree) {
    u8 empty[HASH_BYTES] = {0};
    for (u32 level = 0; level < tree->depth; level++) keccak_pair(empty, empty, empty);
    if (!key_equal(empty, change_root(newest_change(tree)))) TREE_ERROR("Tree is not empty");
    return OK;
}
