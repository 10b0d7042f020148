/* Burn (V1) and BurnV2: an empty leaf takes the place of the old one. Burns log no leaf event; the compression program's
 * change log says it all. */
#include "anchor.h"
#include "system.h"
#include "collection_v2.h"
#include "errors.h"
#include "instructions.h"
#include "optional.h"
#include "replace.h"

static const u8 EMPTY_LEAF[KEY_BYTES] = {0};

Result burn_v1(Context *context, Reader *reader) {
    enum {
        TREE_CONFIG, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, LOG_WRAPPER, COMPRESSION_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
    };
    ReplaceArguments arguments;
    TRY(read_replace_arguments(reader, TREE_VERSION_V1, &arguments));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(tree_load(&tree, false));
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));
    TRY(tree_require_version(&tree, TREE_VERSION_V1));
    TRY(tree_check_programs_v1(&tree));
    REQUIRE(accounts[LEAF_OWNER].is_signer || accounts[LEAF_DELEGATE].is_signer, LEAF_AUTHORITY_MUST_SIGN);

    Leaf *leaf = allocate(sizeof(Leaf));
    leaf->owner = accounts[LEAF_OWNER].key;
    leaf->delegate = accounts[LEAF_DELEGATE].key;
    TRY(current_leaf(&tree, &arguments, TREE_VERSION_V1, NULL, leaf));
    Swap swap = {&arguments, leaf, EMPTY_LEAF, ACCOUNTS};
    return swap_leaf(&tree, &swap);
}

/* ---- V2 --------------------------------------------------------------------------------------------------------- */

enum {
    TREE_CONFIG, PAYER, AUTHORITY, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, CORE_COLLECTION, MPL_CORE_CPI_SIGNER,
    LOG_WRAPPER, COMPRESSION_PROGRAM, MPL_CORE_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
};

/* Leaf owner or leaf delegate, unless the leaf is frozen; or the collection's permanent burn delegate, whom no freeze
 * stops. A leaf that cannot be transferred can be burned. */
static Result check_burn(const Leaf *leaf, const Account *collection_account, const u8 *authority) {
    CoreCollection collection;
    if (collection_account) {
        TRY(collection_v2_load(collection_account, &collection));
        if (core_collection_delegated(&collection, PLUGIN_PERMANENT_BURN_DELEGATE, authority)) return OK;
    }
    bool is_permitted = key_equal(authority, leaf->owner) || key_equal(authority, leaf->delegate);
    REQUIRE(is_permitted, INVALID_AUTHORITY);
    REQUIRE(!(leaf->flags & (LEAF_FROZEN_BY_OWNER | LEAF_FROZEN_BY_PERMANENT_DELEGATE)), ASSET_IS_FROZEN);
    if (!collection_account) return OK;
    REQUIRE(!core_collection_is_frozen(&collection), COLLECTION_IS_FROZEN);
    return OK;
}

Result burn_v2(Context *context, Reader *reader) {
    ReplaceArguments arguments;
    TRY(read_replace_arguments(reader, TREE_VERSION_V2, &arguments));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(tree_load(&tree, true));
    TRY(require_signer(&accounts[PAYER], "payer"));
    TRY(require_writable(&accounts[PAYER], "payer"));
    const Account *authority = account_or(context, AUTHORITY, PAYER);
    TRY(require_signer(authority, "authority"));
    TRY(tree_check_programs_v2(&tree));
    TRY(require_program(&accounts[MPL_CORE_PROGRAM], MPL_CORE_ID, "mpl_core_program"));
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));
    TRY(tree_require_version(&tree, TREE_VERSION_V2));

    CollectionCounter counter = {context, optional_account(context, CORE_COLLECTION),
                                 optional_account(context, MPL_CORE_CPI_SIGNER), &accounts[MPL_CORE_PROGRAM]};
    if (counter.collection) TRY(collection_v2_check_counter(&counter));
    Leaf *leaf = allocate(sizeof(Leaf));
    leaf->owner = accounts[LEAF_OWNER].key;
    leaf->delegate = account_or(context, LEAF_DELEGATE, LEAF_OWNER)->key;
    const u8 *collection = counter.collection ? counter.collection->key : NULL;
    TRY(current_leaf(&tree, &arguments, TREE_VERSION_V2, collection, leaf));
    TRY(check_burn(leaf, counter.collection, authority->key));
    Swap swap = {&arguments, leaf, EMPTY_LEAF, ACCOUNTS};
    TRY(swap_leaf(&tree, &swap));
    return counter.collection ? collection_v2_count(&counter, COLLECTION_UPDATE_REMOVE) : OK;
}
