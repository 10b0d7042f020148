/* Opening and initializing tree accounts; see tree.h for the layout. */
#include "system.h"
#include "tree.h"

#define ACCOUNT_TYPE_TREE 1
#define HEADER_VERSION 0

/* The pairs that the real program was built for (ALL_DEPTH_SIZE_PAIRS of the published client). */
static const u16 DEPTH_SIZE_PAIRS[][2] = {
    {3, 8},     {5, 8},     {6, 16},    {7, 16},   {8, 16},   {9, 16},    {10, 32},  {11, 32},  {12, 32},
    {13, 32},   {14, 64},   {14, 256},  {14, 1024}, {14, 2048}, {15, 64},  {16, 64},  {17, 64},  {18, 64},
    {19, 64},   {20, 64},   {20, 256},  {20, 1024}, {20, 2048}, {24, 64},  {24, 256}, {24, 512}, {24, 1024},
    {24, 2048}, {26, 512},  {26, 1024}, {26, 2048}, {30, 512}, {30, 1024}, {30, 2048},
};

static bool is_supported(u32 depth, u32 max_buffer_size) {
    for (u64 i = 0; i < sizeof DEPTH_SIZE_PAIRS / sizeof DEPTH_SIZE_PAIRS[0]; i++) {
        if (DEPTH_SIZE_PAIRS[i][0] == depth && DEPTH_SIZE_PAIRS[i][1] == max_buffer_size) return true;
    }
    return false;
}

/* A canopy of depth c has 2^(c+1) - 2 nodes. */
static Result canopy_depth_of(u64 bytes, u32 tree_depth, u32 *canopy_depth) {
    for (u32 depth = 0; depth <= tree_depth; depth++) {
        if (bytes == ((2ULL << depth) - 2) * HASH_BYTES) {
            *canopy_depth = depth;
            return OK;
        }
    }
    return anchor_error(&CANOPY_LENGTH_MISMATCH);
}

/* Lay the view over the account's data; the header's depth and buffer size are already there. */
static Result view(const Account *account, Tree *tree) {
    u8 *data = account->data;
    tree->id = account->key;
    tree->max_buffer_size = load_u32(data + 2);
    tree->depth = load_u32(data + 6);
    REQUIRE(is_supported(tree->depth, tree->max_buffer_size), CONSTANTS_ERROR);
    tree->authority = data + 10;
    tree->sequence_number = (u64 *)(data + HEADER_BYTES);
    tree->active_index = (u64 *)(data + HEADER_BYTES + 8);
    tree->buffer_size = (u64 *)(data + HEADER_BYTES + 16);
    tree->change_logs = data + HEADER_BYTES + 24;
    tree->rightmost = tree->change_logs + tree->max_buffer_size * change_bytes(tree);
    tree->canopy = rightmost_count(tree) + 8;
    u64 used = (u64)(tree->canopy - data);
    REQUIRE(account->data_length >= used, ZERO_COPY_ERROR);
    return canopy_depth_of(account->data_length - used, tree->depth, &tree->canopy_depth);
}

Result tree_open(const Account *account, const u8 *program_id, Tree *tree) {
    REQUIRE(key_equal(account->owner, program_id), INCORRECT_ACCOUNT_OWNER);
    REQUIRE(account->data_length >= HEADER_BYTES, ZERO_COPY_ERROR);
    REQUIRE(account->data[0] == ACCOUNT_TYPE_TREE && account->data[1] == HEADER_VERSION, INCORRECT_ACCOUNT_TYPE);
    return view(account, tree);
}

Result tree_initialize(const Account *account, u32 depth, u32 max_buffer_size, const u8 *authority, Tree *tree) {
    u8 *data = account->data;
    REQUIRE(account->data_length >= HEADER_BYTES, ZERO_COPY_ERROR);
    data[0] = ACCOUNT_TYPE_TREE;
    data[1] = HEADER_VERSION;
    store_u32(data + 2, max_buffer_size);
    store_u32(data + 6, depth);
    key_copy(data + 10, authority);
    store_u64(data + 42, clock_now().slot);
    TRY(view(account, tree));

    u8 empty[HASH_BYTES] = {0};
    u8 *path = change_path(newest_change(tree));
    for (u32 level = 0; level < depth; level++) {
        key_copy(path + level * HASH_BYTES, empty);
        key_copy(tree->rightmost + level * HASH_BYTES, empty);
        keccak_pair(empty, empty, empty);
    }
    key_copy(change_root(newest_change(tree)), empty);
    *tree->buffer_size = 1;
    return OK;
}
