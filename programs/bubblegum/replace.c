/* See replace.h. */
#include "replace.h"

#include "anchor.h"
#include "crypto.h"
#include "errors.h"

Result read_replace_arguments(Reader *reader, u8 version, ReplaceArguments *arguments) {
    *arguments = (ReplaceArguments){0};
    arguments->root = read_key(reader);
    arguments->data_hash = read_key(reader);
    arguments->creator_hash = read_key(reader);
    if (version == TREE_VERSION_V2) {
        if (read_bool(reader)) arguments->asset_data_hash = read_key(reader);
        if (read_bool(reader)) arguments->flags = read_u8(reader);
    }
    arguments->nonce = read_u64(reader);
    arguments->index = read_u32(reader);
    REQUIRE(!reader->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    return OK;
}

Result current_leaf(const Tree *tree, const ReplaceArguments *arguments, u8 version, const u8 *collection, Leaf *leaf) {
    leaf->data_hash = arguments->data_hash;
    leaf->creator_hash = arguments->creator_hash;
    leaf->nonce = arguments->nonce;
    leaf->version = version;
    leaf->flags = arguments->flags;
    if (version == TREE_VERSION_V2) {
        u8 *hashes = allocate(2 * HASH_BYTES);
        collection_hash(collection, hashes);
        empty_asset_data_hash(hashes + HASH_BYTES);
        leaf->collection_hash = hashes;
        leaf->asset_data_hash = arguments->asset_data_hash ? arguments->asset_data_hash : hashes + HASH_BYTES;
    }
    return leaf_identify(tree, leaf);
}

Result swap_leaf(const Tree *tree, const Swap *swap) {
    u8 *previous = allocate(HASH_BYTES);
    leaf_hash(swap->current, previous);
    Replacement replacement = {swap->arguments->root, previous, swap->new_hash, swap->arguments->index,
                               swap->first_proof};
    return tree_replace(tree, &replacement);
}
