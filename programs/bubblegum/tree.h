/* A Bubblegum tree: its TreeConfig account, its Merkle tree account, and the calls into account compression.
 *
 * Used by every instruction. TreeConfig is written here and nowhere else; the Merkle tree belongs to the compression
 * program, which lets only the TreeConfig address (a PDA of ours) append and replace leaves. */
#ifndef PROGRAMS_BUBBLEGUM_TREE_H
#define PROGRAMS_BUBBLEGUM_TREE_H

#include "sbf.h"

enum { TREE_VERSION_V1 = 0, TREE_VERSION_V2 = 1 };

/* One instruction's view of a tree. The instruction fills in the accounts; `tree_load` the bump. */
typedef struct {
    Context *context;
    Account *config; /* the IDL's tree_authority, PDA [merkle tree] */
    const Account *merkle_tree;
    const Account *log_wrapper;         /* a noop program */
    const Account *compression_program; /* the owner of the Merkle tree account */
    u8 bump;
} Tree;

/* What `tree_create` writes into a new TreeConfig. */
typedef struct {
    const Account *payer;
    const Account *creator;
    u32 max_depth;
    bool is_public;
    u8 version;
} NewTree;

/* Create the TreeConfig account. Gives ConstraintSeeds when the address is not the tree's PDA. */
Result tree_create(Tree *tree, const NewTree *new_tree);

/* Check the TreeConfig account as Anchor would (initialized, owner, discriminator, seeds) and find its bump. */
Result tree_load(Tree *tree, bool config_is_written);

/* UnsupportedSchemaVersion unless the tree has this version. */
Result tree_require_version(const Tree *tree, u8 version);

/* V1 instructions take either family of compression and noop programs, the one that owns the tree. */
Result tree_check_programs_v1(const Tree *tree);
/* V2 instructions take only the mpl family. */
Result tree_check_programs_v2(const Tree *tree);

/* TreeAuthorityIncorrect unless the tree is public or `minter` is its creator or delegate. */
Result tree_check_minter(const Tree *tree, const u8 *minter);
/* InsufficientMintCapacity when every leaf has been minted. */
Result tree_check_capacity(const Tree *tree);

/* The nonce of the next mint, which is also its leaf index. */
u64 tree_next_nonce(const Tree *tree);
void tree_count_mint(const Tree *tree);

/* Calls into the compression program, signed by the TreeConfig PDA. */
Result tree_initialize(const Tree *tree, u32 max_depth, u32 max_buffer_size);
Result tree_append(const Tree *tree, const u8 *leaf_hash);

typedef struct {
    const u8 *root;
    const u8 *previous_leaf;
    const u8 *new_leaf;
    u32 index;
    u64 first_proof; /* the proof is every account from this one on */
} Replacement;

Result tree_replace(const Tree *tree, const Replacement *replacement);

/* Log `data` as application data through the noop program. */
Result tree_log(const Tree *tree, Slice data);

#endif
