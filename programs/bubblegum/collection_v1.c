/* See collection_v1.h. */
#include "collection_v1.h"

#include "anchor.h"
#include "../token_metadata/state.h"
#include "errors.h"

/* The bump of PDA ["collection_cpi"]: a constant of the program, so that no search is needed. */
static const u8 COLLECTION_CPI_BUMP[1] = {255};

static Result check_owners(const CollectionV1 *collection) {
    REQUIRE(key_equal(collection->metadata->owner, TOKEN_METADATA_ID), INCORRECT_OWNER);
    REQUIRE(key_equal(collection->mint->owner, TOKEN_PROGRAM_ID), INCORRECT_OWNER);
    REQUIRE(key_equal(collection->edition->owner, TOKEN_METADATA_ID), INCORRECT_OWNER);
    return OK;
}

/* A unique NFT: standard NonFungible with a master edition that allows no prints. */
static Result check_edition(const CollectionV1 *collection, const MetadataView *view) {
    u8 bump;
    bool is_its_edition = is_edition_address(collection->edition->key, view->mint, &bump);
    REQUIRE(is_its_edition, COLLECTION_MASTER_EDITION_ACCOUNT_INVALID);
    Reader reader = reader_over(collection->edition->data, collection->edition->data_length);
    u8 key = read_u8(&reader);
    read_u64(&reader); /* supply */
    bool is_limited = read_bool(&reader);
    u64 max_supply = read_u64(&reader);
    bool is_unique = key == KEY_MASTER_EDITION_V2 && is_limited && max_supply == 0 && !reader.failed;
    REQUIRE(is_unique && view->token_standard == STANDARD_NON_FUNGIBLE, COLLECTION_MUST_BE_A_UNIQUE_MASTER_EDITION);
    return OK;
}

static bool has_record(const CollectionV1 *collection) {
    return !key_equal(collection->authority_record->key, collection->context->program_id);
}

static Result check_authority(const CollectionV1 *collection, const MetadataView *view) {
    const u8 *authority = collection->authority->key;
    if (!has_record(collection)) {
        REQUIRE(key_equal(authority, view->update_authority), INVALID_COLLECTION_AUTHORITY);
        return OK;
    }
    Delegation delegation = collection_delegation(collection->authority_record, view, authority);
    REQUIRE(delegation != DELEGATION_WRONG_ADDRESS, INVALID_DELEGATE_RECORD);
    REQUIRE(delegation == DELEGATION_VALID, INVALID_COLLECTION_AUTHORITY);
    return OK;
}

static bool counts_size(const CollectionV1 *collection, const MetadataView *view) {
    return view->size_offset != 0 && key_equal(collection->token_metadata_program->key, TOKEN_METADATA_ID) &&
           key_equal(collection->bubblegum_signer->key, BUBBLEGUM_COLLECTION_CPI_SIGNER);
}

static Result increment_size(const CollectionV1 *collection, const MetadataView *view) {
    Writer data = writer_allocate(9);
    write_u8(&data, INSTRUCTION_BUBBLEGUM_SET_COLLECTION_SIZE);
    write_u64(&data, load_u64(collection->metadata->data + view->size_offset) + 1);
    Meta metas[5] = {
        {collection->metadata->key, true, false},
        {collection->authority->key, false, true},
        {collection->mint->key, false, false},
        {collection->bubblegum_signer->key, false, true},
        {collection->authority_record->key, false, false},
    };
    u64 meta_count = has_record(collection) ? 5 : 4;
    Instruction instruction = {TOKEN_METADATA_ID, metas, meta_count, data.start, writer_length(&data)};
    Slice seeds[2] = {LITERAL("collection_cpi"), SLICE_OF(COLLECTION_CPI_BUMP)};
    SignerSeeds signer = {seeds, 2};
    Context *context = collection->context;
    return invoke_signed(&instruction, context->accounts, context->account_count, &signer, 1);
}

Result collection_v1_verify(const CollectionV1 *collection, const u8 *key) {
    TRY(check_owners(collection));
    MetadataView view;
    REQUIRE(metadata_view(collection->metadata, &view), INCORRECT_OWNER);
    REQUIRE(key != NULL && key_equal(key, collection->mint->key), COLLECTION_NOT_FOUND);
    REQUIRE(key_equal(view.mint, collection->mint->key), METADATA_MINT_MISMATCH);
    TRY(check_edition(collection, &view));
    TRY(check_authority(collection, &view));
    REQUIRE(view.is_sized, COLLECTION_MUST_BE_SIZED);
    return counts_size(collection, &view) ? increment_size(collection, &view) : OK;
}
