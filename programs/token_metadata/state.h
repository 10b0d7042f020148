/* The accounts of token metadata that our programs share: Metadata, MasterEditionV2 and the two delegate records.
 *
 * Used by the token_metadata stand-in, which writes them, and by the bubblegum stand-in, which checks collections.
 * Layouts: the account definitions of the public token metadata clients; sizes: the documented account size reduction
 * (607 and 20 bytes). */
#ifndef PROGRAMS_TOKEN_METADATA_STATE_H
#define PROGRAMS_TOKEN_METADATA_STATE_H

#include "addresses.h"
#include "known_addresses.h"
#include "borsh.h"
#include "crypto.h"

#define METADATA_BYTES 607
#define MASTER_EDITION_BYTES 20

enum {
    KEY_METADATA_V1 = 4,
    KEY_MASTER_EDITION_V2 = 6,
    KEY_COLLECTION_AUTHORITY_RECORD = 9,
    KEY_METADATA_DELEGATE = 12,
};
enum { STANDARD_NON_FUNGIBLE = 0, STANDARD_FUNGIBLE_ASSET = 1, STANDARD_FUNGIBLE = 2, STANDARD_ABSENT = 0xff };
#define STANDARDS 6

/* What a Metadata account says, as far as collections need it. Offsets into the account's data, 0 when absent. */
typedef struct {
    const u8 *update_authority;
    const u8 *mint;
    u64 token_standard_offset; /* of the value behind the option's tag; there in every account that we write */
    u64 edition_nonce_offset;  /* likewise */
    u64 size_offset;           /* of CollectionDetails::V1 { size: u64 } */
    bool is_sized;             /* has CollectionDetails of either variant */
    u8 token_standard;         /* STANDARD_ABSENT when there is none */
} MetadataView;

static inline void skip_creators(Reader *reader) {
    if (!read_bool(reader)) return;
    u32 count = read_u32(reader);
    read_bytes(reader, (u64)count * 34);
}

/* Read a Metadata account's data; false when it is not one. The owner is the caller's to check. */
static inline bool metadata_view(const Account *account, MetadataView *view) {
    Reader reader = reader_over(account->data, account->data_length);
    *view = (MetadataView){0};
    if (read_u8(&reader) != KEY_METADATA_V1) return false;
    view->update_authority = read_key(&reader);
    view->mint = read_key(&reader);
    for (int i = 0; i < 3; i++) read_slice(&reader); /* name, symbol, uri */
    read_u16(&reader);                               /* seller fee */
    skip_creators(&reader);
    read_bytes(&reader, 2); /* primary sale happened, is mutable */
    if (read_bool(&reader)) {
        view->edition_nonce_offset = (u64)(reader.at - account->data);
        read_u8(&reader);
    }
    view->token_standard = STANDARD_ABSENT;
    if (read_bool(&reader)) {
        view->token_standard_offset = (u64)(reader.at - account->data);
        view->token_standard = read_variant(&reader, STANDARDS);
    }
    if (read_bool(&reader)) read_bytes(&reader, 33); /* collection */
    if (read_bool(&reader)) read_bytes(&reader, 17); /* uses */
    view->is_sized = read_bool(&reader);
    if (view->is_sized && read_variant(&reader, 2) == 0) {
        view->size_offset = (u64)(reader.at - account->data);
        read_u64(&reader);
    }
    return !reader.failed;
}

/* Is `key` the metadata account of `mint`? PDA ["metadata", program, mint]. */
static inline bool is_metadata_address(const u8 *key, const u8 *mint, u8 *bump) {
    Slice seeds[3] = {LITERAL("metadata"), {TOKEN_METADATA_ID, KEY_BYTES}, {mint, KEY_BYTES}};
    return is_program_address(key, seeds, 3, TOKEN_METADATA_ID, bump);
}

/* Is `key` the edition account of `mint`? PDA ["metadata", program, mint, "edition"]. */
static inline bool is_edition_address(const u8 *key, const u8 *mint, u8 *bump) {
    Slice seeds[4] = {
        LITERAL("metadata"), {TOKEN_METADATA_ID, KEY_BYTES}, {mint, KEY_BYTES}, LITERAL("edition")};
    return is_program_address(key, seeds, 4, TOKEN_METADATA_ID, bump);
}

/* PDA ["metadata", program, mint, "collection_authority", authority]: the older kind of delegation. */
static inline bool is_collection_authority_record_address(const u8 *key, const u8 *mint, const u8 *authority) {
    u8 bump;
    Slice seeds[5] = {LITERAL("metadata"), {TOKEN_METADATA_ID, KEY_BYTES}, {mint, KEY_BYTES},
                      LITERAL("collection_authority"), {authority, KEY_BYTES}};
    return is_program_address(key, seeds, 5, TOKEN_METADATA_ID, &bump);
}

/* PDA ["metadata", program, mint, "collection_delegate", update authority, delegate]: the newer kind. */
static inline bool is_collection_delegate_address(const u8 *key, const MetadataView *view, const u8 *delegate) {
    u8 bump;
    Slice seeds[6] = {LITERAL("metadata"),
                      {TOKEN_METADATA_ID, KEY_BYTES},
                      {view->mint, KEY_BYTES},
                      LITERAL("collection_delegate"),
                      {view->update_authority, KEY_BYTES},
                      {delegate, KEY_BYTES}};
    return is_program_address(key, seeds, 6, TOKEN_METADATA_ID, &bump);
}

typedef enum { DELEGATION_VALID, DELEGATION_WRONG_ADDRESS, DELEGATION_ABSENT } Delegation;

/* Does `record` say that `authority` may act for the collection's update authority? */
static inline Delegation collection_delegation(const Account *record, const MetadataView *view, const u8 *authority) {
    bool is_older = is_collection_authority_record_address(record->key, view->mint, authority);
    if (!is_older && !is_collection_delegate_address(record->key, view, authority)) return DELEGATION_WRONG_ADDRESS;
    if (!key_equal(record->owner, TOKEN_METADATA_ID)) return DELEGATION_ABSENT;
    Reader reader = reader_over(record->data, record->data_length);
    u8 key = read_u8(&reader);
    read_u8(&reader); /* bump */
    if (!is_older) return key == KEY_METADATA_DELEGATE && !reader.failed ? DELEGATION_VALID : DELEGATION_ABSENT;
    /* Records from before they named who gave them hold for whoever is the update authority now. */
    const u8 *given_by = read_bool(&reader) ? read_key(&reader) : view->update_authority;
    bool holds = key == KEY_COLLECTION_AUTHORITY_RECORD && !reader.failed && key_equal(given_by, view->update_authority);
    return holds ? DELEGATION_VALID : DELEGATION_ABSENT;
}

enum { INSTRUCTION_BUBBLEGUM_SET_COLLECTION_SIZE = 36 };

#endif
