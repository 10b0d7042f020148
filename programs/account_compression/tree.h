/* A concurrent Merkle tree inside an account: its layout, its operations and its errors.
 *
 * program.c calls this; nothing here knows of instructions, signers or events. The layout is that of the published
 * clients (@solana/spl-account-compression, @metaplex-foundation/mpl-account-compression):
 *
 *   header   u8 account type (1) | u8 version (0) | u32 max buffer size | u32 max depth | authority[32] |
 *            u64 creation slot | bool is batch initialized | 5 zero bytes                              (56 bytes)
 *   tree     u64 sequence number | u64 active index | u64 buffer size | change logs | rightmost path
 *   change   root[32] | path[depth][32], leaf first | u32 leaf index | u32 zero, one per max buffer size
 *   path     proof[depth][32] | leaf[32] | u32 number of leaves so far | u32 zero
 *   canopy   the nodes 2 … 2^(canopy depth + 1) - 1 of the tree (1 is the root), 32 bytes each; zeros = never written
 *
 * The ideas (a buffer of recent changes that brings stale proofs up to date, the rightmost proof that lets anyone append)
 * are those of the paper "Compressing Digital Assets with Concurrent Merkle Trees".
 */
#ifndef PROGRAMS_ACCOUNT_COMPRESSION_TREE_H
#define PROGRAMS_ACCOUNT_COMPRESSION_TREE_H

#include "anchor.h"
#include "crypto.h"
#include "sbf.h"

#define HEADER_BYTES 56
#define MAX_DEPTH 30

static const ErrorKind CONCURRENT_MERKLE_TREE_ERROR = {6001, "ConcurrentMerkleTreeError",
                                                       "Concurrent merkle tree error"};
static const ErrorKind ZERO_COPY_ERROR = {6002, "ZeroCopyError", "Issue zero copying concurrent merkle tree data"};
static const ErrorKind CONSTANTS_ERROR = {6003, "ConcurrentMerkleTreeConstantsError",
                                          "An unsupported max depth or max buffer size constant was provided"};
static const ErrorKind CANOPY_LENGTH_MISMATCH = {6004, "CanopyLengthMismatch",
                                                 "Expected a different byte length for the merkle tree canopy"};
static const ErrorKind INCORRECT_AUTHORITY = {6005, "IncorrectAuthority",
                                              "Provided authority does not match expected tree authority"};
static const ErrorKind INCORRECT_ACCOUNT_OWNER = {
    6006, "IncorrectAccountOwner", "Account is owned by a different program, expected it to be owned by this program"};
static const ErrorKind INCORRECT_ACCOUNT_TYPE = {6007, "IncorrectAccountType",
                                                 "Account provided has incorrect account type"};
static const ErrorKind LEAF_INDEX_OUT_OF_BOUNDS = {6008, "LeafIndexOutOfBounds",
                                                   "Leaf index of concurrent merkle tree is out of bounds"};

/* A view of one tree account; every pointer is into the account's data. */
typedef struct {
    const u8 *id;
    u32 depth;
    u32 max_buffer_size; /* a power of two */
    u32 canopy_depth;
    u8 *authority;
    u64 *sequence_number;
    u64 *active_index; /* the newest change */
    u64 *buffer_size;  /* changes held, at most max_buffer_size */
    u8 *change_logs;
    u8 *rightmost;
    u8 *canopy;
} Tree;

/* A claim that `leaf` is at `index`. `nodes` are the siblings from the leaf up; trailing ones may be missing. */
typedef struct {
    const u8 *root;
    const u8 *leaf;
    u32 index;
    u32 node_count;
    const Account *nodes; /* the proof travels as account addresses */
} Claim;

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* View an initialized tree. Fails with 6002, 6003, 6004, 6006 or 6007. */
Result tree_open(const Account *account, const u8 *program_id, Tree *tree);

/* Write header and empty tree into a zeroed account, then view it. */
Result tree_initialize(const Account *account, u32 depth, u32 max_buffer_size, const u8 *authority, Tree *tree);

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static inline u64 change_bytes(const Tree *tree) { return HASH_BYTES + (u64)tree->depth * HASH_BYTES + 8; }
static inline u8 *change_at(const Tree *tree, u64 slot) { return tree->change_logs + slot * change_bytes(tree); }
static inline u8 *newest_change(const Tree *tree) { return change_at(tree, *tree->active_index); }
static inline u8 *change_root(u8 *change) { return change; }
static inline u8 *change_path(u8 *change) { return change + HASH_BYTES; }
static inline u32 change_index(const Tree *tree, const u8 *change) {
    return load_u32(change + HASH_BYTES + (u64)tree->depth * HASH_BYTES);
}
static inline u8 *rightmost_leaf(const Tree *tree) { return tree->rightmost + (u64)tree->depth * HASH_BYTES; }
static inline u8 *rightmost_count(const Tree *tree) { return rightmost_leaf(tree) + HASH_BYTES; }
static inline u32 leaf_count(const Tree *tree) { return load_u32(rightmost_count(tree)); }

/* ---- operations ------------------------------------------------------------------------------------------------- */

/* Each adds one change (root, path, index) to the buffer and updates the canopy, or fails with 6001 and a log line. */
Result tree_append(Tree *tree, const u8 *leaf);
Result tree_replace(Tree *tree, const Claim *claim, const u8 *new_leaf);
/* Put `leaf` where `claim` proves an empty leaf; if that place was taken since, append it instead. */
Result tree_insert_or_append(Tree *tree, const Claim *claim, const u8 *leaf);
Result tree_verify(const Tree *tree, const Claim *claim);
/* Succeeds when no leaf is set. */
Result tree_require_empty(const Tree *tree);

#endif
