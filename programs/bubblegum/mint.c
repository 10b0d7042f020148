/* See mint.h. */
#include "mint.h"

#include "anchor.h"
#include "crypto.h"
#include "errors.h"
#include "leaf.h"

static bool signed_by(const Mint *mint, const u8 *creator) {
    for (u64 i = 0; i < mint->named_signer_count; i++) {
        if (key_equal(mint->named_signers[i], creator)) return true;
    }
    const Context *context = mint->tree->context;
    for (u64 i = mint->first_remaining; i < context->account_count; i++) {
        const Account *account = &context->accounts[i];
        if (account->is_signer && key_equal(account->key, creator)) return true;
    }
    return false;
}

Result mint_check_creators(const Mint *mint) {
    const Metadata *metadata = mint->metadata;
    for (u32 i = 0; i < metadata->creator_count; i++) {
        const u8 *creator = metadata->creators + i * CREATOR_BYTES;
        bool is_verified = creator[KEY_BYTES] != 0;
        REQUIRE(!is_verified || signed_by(mint, creator), CREATOR_DID_NOT_VERIFY);
    }
    return OK;
}

Result mint_leaf(const Mint *mint, u8 version) {
    u8 *hashes = allocate(5 * HASH_BYTES);
    u8 *hash = hashes + 4 * HASH_BYTES;
    Leaf leaf = {
        .owner = mint->owner,
        .delegate = mint->delegate,
        .data_hash = hashes,
        .creator_hash = hashes + HASH_BYTES,
        .collection_hash = hashes + 2 * HASH_BYTES,
        .asset_data_hash = hashes + 3 * HASH_BYTES,
        .nonce = tree_next_nonce(mint->tree),
        .version = version,
    };
    metadata_data_hash(mint->metadata, mint->verify_collection, hashes);
    metadata_creator_hash(mint->metadata, hashes + HASH_BYTES);
    collection_hash(mint->metadata->collection, hashes + 2 * HASH_BYTES);
    empty_asset_data_hash(hashes + 3 * HASH_BYTES);
    TRY(leaf_identify(mint->tree, &leaf));
    leaf_hash(&leaf, hash);
    TRY(leaf_emit(mint->tree, &leaf, hash));
    TRY(tree_append(mint->tree, hash));
    tree_count_mint(mint->tree);
    return OK;
}
