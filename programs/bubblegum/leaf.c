/* See leaf.h. Sources: the IDL types LeafSchema, BubblegumEventType and Version, the hashing documented with the official
 * JavaScript client, and the compression programs' AccountCompressionEvent (ApplicationData, V1) around the event. */
#include "leaf.h"

#include "borsh.h"
#include "crypto.h"

enum { ACCOUNT_COMPRESSION_EVENT_APPLICATION_DATA = 1, APPLICATION_DATA_V1 = 0 };
enum { BUBBLEGUM_EVENT_LEAF_SCHEMA = 1 };

/* Envelope 6, event type and version 2, schema at most 1 + 232 + 1, hash 32. */
#define EVENT_CAPACITY 320

Result leaf_identify(const Tree *tree, Leaf *leaf) {
    u8 nonce[8];
    u8 bump;
    store_u64(nonce, leaf->nonce);
    Slice seeds[3] = {LITERAL("asset"), {tree->merkle_tree->key, KEY_BYTES}, SLICE_OF(nonce)};
    return find_program_address(seeds, 3, tree->context->program_id, leaf->id, &bump);
}

/* The fields in the order that both the hash and the event have. */
static void write_fields(Writer *writer, const Leaf *leaf) {
    write_key(writer, leaf->id);
    write_key(writer, leaf->owner);
    write_key(writer, leaf->delegate);
    write_u64(writer, leaf->nonce);
    write_key(writer, leaf->data_hash);
    write_key(writer, leaf->creator_hash);
    if (leaf->version == TREE_VERSION_V1) return;
    write_key(writer, leaf->collection_hash);
    write_key(writer, leaf->asset_data_hash);
    write_u8(writer, leaf->flags);
}

void leaf_hash(const Leaf *leaf, u8 *hash) {
    Writer writer = writer_allocate(EVENT_CAPACITY);
    write_u8(&writer, leaf->version + 1); /* hashed as 1 and 2, unlike the enum tag in the event */
    write_fields(&writer, leaf);
    if (writer.failed) PANIC();
    Slice content = writer_slice(&writer);
    keccak(&content, 1, hash);
}

void collection_hash(const u8 *collection, u8 *hash) {
    static const u8 NO_COLLECTION[KEY_BYTES] = {0};
    Slice content = {collection ? collection : NO_COLLECTION, KEY_BYTES};
    keccak(&content, 1, hash);
}

void empty_asset_data_hash(u8 *hash) {
    Slice nothing = {hash, 0}; /* the runtime wants a valid address even for no bytes */
    keccak(&nothing, 1, hash);
}

Result leaf_emit(const Tree *tree, const Leaf *leaf, const u8 *hash) {
    Writer writer = writer_allocate(EVENT_CAPACITY);
    write_u8(&writer, ACCOUNT_COMPRESSION_EVENT_APPLICATION_DATA);
    write_u8(&writer, APPLICATION_DATA_V1);
    u8 *length = write_room(&writer, sizeof(u32));
    u64 envelope = writer_length(&writer);
    write_u8(&writer, BUBBLEGUM_EVENT_LEAF_SCHEMA);
    write_u8(&writer, leaf->version);
    write_u8(&writer, leaf->version); /* the variant of LeafSchema */
    write_fields(&writer, leaf);
    write_key(&writer, hash);
    if (writer.failed) PANIC();
    store_u32(length, (u32)(writer_length(&writer) - envelope));
    return tree_log(tree, writer_slice(&writer));
}
