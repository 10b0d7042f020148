/* MintV1 and MintToCollectionV1. */
#include "anchor.h"
#include "system.h"
#include "collection_v1.h"
#include "errors.h"
#include "instructions.h"
#include "mint.h"

static Result read_arguments(Reader *reader, Metadata *metadata) {
    read_metadata_v1(reader, metadata);
    REQUIRE(!reader->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    return OK;
}

/* What both ask of the tree and of who signs for it. */
static Result check_tree(const Tree *tree, const u8 *minter) {
    TRY(tree_require_version(tree, TREE_VERSION_V1));
    TRY(tree_check_programs_v1(tree));
    TRY(tree_check_minter(tree, minter));
    return tree_check_capacity(tree);
}

Result mint_v1(Context *context, Reader *reader) {
    enum {
        TREE_CONFIG, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, PAYER, TREE_DELEGATE, LOG_WRAPPER, COMPRESSION_PROGRAM,
        SYSTEM_PROGRAM, ACCOUNTS,
    };
    Metadata metadata;
    TRY(read_arguments(reader, &metadata));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(tree_load(&tree, true));
    TRY(require_signer(&accounts[PAYER], "payer"));
    TRY(require_signer(&accounts[TREE_DELEGATE], "tree_delegate"));
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));

    TRY(check_tree(&tree, accounts[TREE_DELEGATE].key));
    REQUIRE(!metadata.collection_is_verified, COLLECTION_CANNOT_BE_VERIFIED_IN_THIS_INSTRUCTION);
    TRY(metadata_check(&metadata, false));
    Mint mint = {
        .tree = &tree,
        .metadata = &metadata,
        .owner = accounts[LEAF_OWNER].key,
        .delegate = accounts[LEAF_DELEGATE].key,
        .named_signers = {accounts[PAYER].key, accounts[TREE_DELEGATE].key},
        .named_signer_count = 2,
        .first_remaining = ACCOUNTS,
    };
    TRY(mint_check_creators(&mint));
    return mint_leaf(&mint, TREE_VERSION_V1);
}

Result mint_to_collection_v1(Context *context, Reader *reader) {
    enum {
        TREE_CONFIG, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, PAYER, TREE_DELEGATE, COLLECTION_AUTHORITY,
        COLLECTION_AUTHORITY_RECORD, COLLECTION_MINT, COLLECTION_METADATA, COLLECTION_EDITION, BUBBLEGUM_SIGNER,
        LOG_WRAPPER, COMPRESSION_PROGRAM, TOKEN_METADATA_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
    };
    Metadata metadata;
    TRY(read_arguments(reader, &metadata));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(tree_load(&tree, true));
    TRY(require_signer(&accounts[PAYER], "payer"));
    TRY(require_signer(&accounts[TREE_DELEGATE], "tree_delegate"));
    TRY(require_signer(&accounts[COLLECTION_AUTHORITY], "collection_authority"));
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));

    TRY(check_tree(&tree, accounts[TREE_DELEGATE].key));
    TRY(metadata_check(&metadata, false));
    Mint mint = {
        .tree = &tree,
        .metadata = &metadata,
        .owner = accounts[LEAF_OWNER].key,
        .delegate = accounts[LEAF_DELEGATE].key,
        .named_signers = {accounts[PAYER].key, accounts[TREE_DELEGATE].key, accounts[COLLECTION_AUTHORITY].key},
        .named_signer_count = 3,
        .first_remaining = ACCOUNTS,
        .verify_collection = true,
    };
    TRY(mint_check_creators(&mint));
    CollectionV1 collection = {
        .context = context,
        .authority = &accounts[COLLECTION_AUTHORITY],
        .authority_record = &accounts[COLLECTION_AUTHORITY_RECORD],
        .mint = &accounts[COLLECTION_MINT],
        .metadata = &accounts[COLLECTION_METADATA],
        .edition = &accounts[COLLECTION_EDITION],
        .bubblegum_signer = &accounts[BUBBLEGUM_SIGNER],
        .token_metadata_program = &accounts[TOKEN_METADATA_PROGRAM],
    };
    TRY(collection_v1_verify(&collection, metadata.collection));
    return mint_leaf(&mint, TREE_VERSION_V1);
}
