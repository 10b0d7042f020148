/* MintV2: into an MPL-Core collection or without one. */
#include "anchor.h"
#include "system.h"
#include "collection_v2.h"
#include "errors.h"
#include "fees.h"
#include "instructions.h"
#include "mint.h"
#include "optional.h"

#define ASSET_DATA_SCHEMAS 3

enum {
    TREE_CONFIG, PAYER, TREE_DELEGATE, COLLECTION_AUTHORITY, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, CORE_COLLECTION,
    MPL_CORE_CPI_SIGNER, LOG_WRAPPER, COMPRESSION_PROGRAM, MPL_CORE_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
};

/* Asset data is in the interface but switched off in the program: NotAvailable. */
static Result read_arguments(Reader *reader, Metadata *metadata) {
    read_metadata_v2(reader, metadata);
    bool has_asset_data = read_bool(reader);
    if (has_asset_data) read_slice(reader);
    bool has_schema = read_bool(reader);
    if (has_schema) read_variant(reader, ASSET_DATA_SCHEMAS);
    REQUIRE(!reader->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    REQUIRE(!has_asset_data && !has_schema, NOT_AVAILABLE);
    return OK;
}

static Result check_accounts(Context *context, Tree *tree) {
    Account *accounts = context->accounts;
    TRY(tree_load(tree, true));
    TRY(require_signer(&accounts[PAYER], "payer"));
    TRY(require_writable(&accounts[PAYER], "payer"));
    const Account *tree_delegate = optional_account(context, TREE_DELEGATE);
    if (tree_delegate) TRY(require_signer(tree_delegate, "tree_delegate"));
    const Account *collection_authority = optional_account(context, COLLECTION_AUTHORITY);
    if (collection_authority) TRY(require_signer(collection_authority, "collection_authority"));
    TRY(tree_check_programs_v2(tree));
    TRY(require_program(&accounts[MPL_CORE_PROGRAM], MPL_CORE_ID, "mpl_core_program"));
    return require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program");
}

/* Check the collection that the NFT names, and who adds to it. Without one, no collection account may be given. */
static Result check_collection(const CollectionCounter *counter, const Metadata *metadata, const u8 *authority) {
    if (metadata->collection == NULL) {
        REQUIRE(counter->collection == NULL, COLLECTION_MISMATCH);
        return OK;
    }
    REQUIRE(counter->collection != NULL, MISSING_COLLECTION_ACCOUNT);
    REQUIRE(key_equal(counter->collection->key, metadata->collection), COLLECTION_MISMATCH);
    TRY(collection_v2_check_counter(counter));
    CoreCollection collection;
    TRY(collection_v2_load(counter->collection, &collection));
    REQUIRE(core_collection_managed_by(&collection, authority), INVALID_COLLECTION_AUTHORITY);
    if (!metadata_inherits_fee(metadata)) return OK;
    CorePlugin plugin;
    bool has_royalties = core_collection_plugin(&collection, PLUGIN_ROYALTIES, &plugin);
    REQUIRE(has_royalties, COLLECTION_MUST_HAVE_ROYALTIES_PLUGIN);
    return OK;
}

Result mint_v2(Context *context, Reader *reader) {
    Metadata metadata;
    TRY(read_arguments(reader, &metadata));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(check_accounts(context, &tree));

    const u8 *minter = account_or(context, TREE_DELEGATE, PAYER)->key;
    TRY(tree_require_version(&tree, TREE_VERSION_V2));
    TRY(tree_check_minter(&tree, minter));
    TRY(tree_check_capacity(&tree));
    const Account *authority = optional_account(context, COLLECTION_AUTHORITY);
    CollectionCounter counter = {context, optional_account(context, CORE_COLLECTION),
                                 optional_account(context, MPL_CORE_CPI_SIGNER), &accounts[MPL_CORE_PROGRAM]};
    TRY(check_collection(&counter, &metadata, authority ? authority->key : minter));
    TRY(metadata_check(&metadata, metadata.collection != NULL));
    Mint mint = {
        .tree = &tree,
        .metadata = &metadata,
        .owner = accounts[LEAF_OWNER].key,
        .delegate = account_or(context, LEAF_DELEGATE, LEAF_OWNER)->key,
        .named_signers = {accounts[PAYER].key, minter, authority ? authority->key : minter},
        .named_signer_count = 3,
        .first_remaining = ACCOUNTS,
    };
    TRY(mint_check_creators(&mint));
    /* Counted before the leaf is logged: clients look for the leaf in the second inner instruction then. */
    if (metadata.collection) TRY(collection_v2_count(&counter, COLLECTION_UPDATE_MINT));
    TRY(mint_leaf(&mint, TREE_VERSION_V2));
    return pay_fee(&tree, &accounts[PAYER], MINT_V2_FEE);
}
