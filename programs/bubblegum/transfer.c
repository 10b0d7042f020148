/* Transfer (V1) and TransferV2: the leaf gets a new owner, who is also its new delegate. */
#include "anchor.h"
#include "system.h"
#include "collection_v2.h"
#include "errors.h"
#include "fees.h"
#include "instructions.h"
#include "optional.h"
#include "replace.h"

/* Log the leaf with its new owner, then put its hash in the place of the old one. */
static Result move_leaf(const Tree *tree, Swap *swap, const u8 *new_owner) {
    Leaf *moved = allocate(sizeof(Leaf));
    *moved = *swap->current;
    moved->owner = new_owner;
    moved->delegate = new_owner;
    u8 *hash = allocate(KEY_BYTES);
    leaf_hash(moved, hash);
    TRY(leaf_emit(tree, moved, hash));
    swap->new_hash = hash;
    return swap_leaf(tree, swap);
}

Result transfer_v1(Context *context, Reader *reader) {
    enum {
        TREE_CONFIG, LEAF_OWNER, LEAF_DELEGATE, NEW_LEAF_OWNER, MERKLE_TREE, LOG_WRAPPER, COMPRESSION_PROGRAM,
        SYSTEM_PROGRAM, ACCOUNTS,
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
    Swap swap = {&arguments, leaf, NULL, ACCOUNTS};
    return move_leaf(&tree, &swap, accounts[NEW_LEAF_OWNER].key);
}

/* ---- V2 --------------------------------------------------------------------------------------------------------- */

enum {
    TREE_CONFIG, PAYER, AUTHORITY, LEAF_OWNER, LEAF_DELEGATE, NEW_LEAF_OWNER, MERKLE_TREE, CORE_COLLECTION, LOG_WRAPPER,
    COMPRESSION_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
};

/* A collection may limit transfers by programs in its Royalties plugin. The stand-in does not know those rules and
 * refuses such transfers with NotAvailable instead of allowing what the real program may forbid. */
static Result check_royalty_rules(const CoreCollection *collection) {
    CorePlugin plugin;
    if (!core_collection_plugin(collection, PLUGIN_ROYALTIES, &plugin)) return OK;
    read_u16(&plugin.fields); /* basis points */
    u32 creators = read_u32(&plugin.fields);
    read_bytes(&plugin.fields, (u64)creators * 33);
    if (read_u8(&plugin.fields) == 0) return OK; /* RuleSet::None */
    LOG("The stand-in does not implement royalty rule sets");
    return anchor_error(&NOT_AVAILABLE);
}

/* Leaf owner, leaf delegate, or the collection's permanent transfer delegate; and nothing that holds the leaf back. */
static Result check_transfer(const Leaf *leaf, const Account *collection_account, const u8 *authority) {
    bool is_permitted = key_equal(authority, leaf->owner) || key_equal(authority, leaf->delegate);
    CoreCollection collection;
    if (collection_account) {
        TRY(collection_v2_load(collection_account, &collection));
        is_permitted |= core_collection_delegated(&collection, PLUGIN_PERMANENT_TRANSFER_DELEGATE, authority);
    }
    REQUIRE(is_permitted, INVALID_AUTHORITY);
    REQUIRE(!(leaf->flags & LEAF_NON_TRANSFERABLE), ASSET_IS_NON_TRANSFERABLE);
    REQUIRE(!(leaf->flags & (LEAF_FROZEN_BY_OWNER | LEAF_FROZEN_BY_PERMANENT_DELEGATE)), ASSET_IS_FROZEN);
    if (!collection_account) return OK;
    REQUIRE(!core_collection_is_frozen(&collection), COLLECTION_IS_FROZEN);
    return check_royalty_rules(&collection);
}

Result transfer_v2(Context *context, Reader *reader) {
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
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));
    TRY(tree_require_version(&tree, TREE_VERSION_V2));

    const Account *collection = optional_account(context, CORE_COLLECTION);
    Leaf *leaf = allocate(sizeof(Leaf));
    leaf->owner = accounts[LEAF_OWNER].key;
    leaf->delegate = account_or(context, LEAF_DELEGATE, LEAF_OWNER)->key;
    TRY(current_leaf(&tree, &arguments, TREE_VERSION_V2, collection ? collection->key : NULL, leaf));
    TRY(check_transfer(leaf, collection, authority->key));
    Swap swap = {&arguments, leaf, NULL, ACCOUNTS};
    TRY(move_leaf(&tree, &swap, accounts[NEW_LEAF_OWNER].key));
    return pay_fee(&tree, &accounts[PAYER], TRANSFER_V2_FEE);
}
