/* Stand-in for the account compression programs: SPL's (V1) and Metaplex's (V2), one source compiled for each address.
 *
 * Instructions, discriminators, accounts, error codes and the change-log event follow the published IDL of
 * spl_account_compression 0.3 and the client of mpl-account-compression; they are the same but for the noop program.
 * Not here: prepared (batch) trees, which neither Bubblegum mints nor our own products use. Local use only.
 */
#include "addresses.h"
#include "tree.h"

#if defined(SPL_ACCOUNT_COMPRESSION)
#define NOOP_ID SPL_NOOP_ID
#elif defined(MPL_ACCOUNT_COMPRESSION)
#define NOOP_ID MPL_NOOP_ID
#else
#error "define SPL_ACCOUNT_COMPRESSION or MPL_ACCOUNT_COMPRESSION"
#endif

/* sha256("global:<name>")[..8], little-endian. */
#define INIT_EMPTY_MERKLE_TREE 0x6edc6bb407770bbfULL
#define APPEND 0xcb58e1ecde127895ULL
#define INSERT_OR_APPEND 0xa8b26d33be322a06ULL
#define REPLACE_LEAF 0x80009349644ca5ccULL
#define VERIFY_LEAF 0xe0fa0a68df16dc7cULL
#define TRANSFER_AUTHORITY 0xa137b4e5484ca930ULL
#define CLOSE_EMPTY_TREE 0x6710674e6bdb0e32ULL

/* Accounts, in order; the proof's nodes follow the instruction's own accounts. */
enum { MERKLE_TREE = 0, AUTHORITY = 1, NOOP = 2, RECIPIENT = 2 };
enum { MODIFY_ACCOUNTS = 3, VERIFY_ACCOUNTS = 1, TRANSFER_ACCOUNTS = 2 };

#define EVENT_CHANGE_LOG 0
#define EVENT_VERSION_V1 0

/* Tell indexers of the newest change: AccountCompressionEvent::ChangeLog, Borsh, as data of a call to noop. */
static Result emit_change_log(const Tree *tree, Account *noop) {
    u8 *change = newest_change(tree);
    u8 *path = change_path(change);
    u32 index = change_index(tree, change);
    Writer event = writer_allocate(2 + KEY_BYTES + 4 + (MAX_DEPTH + 1) * (HASH_BYTES + 4) + 8 + 4);
    write_u8(&event, EVENT_CHANGE_LOG);
    write_u8(&event, EVENT_VERSION_V1);
    write_key(&event, tree->id);
    write_u32(&event, tree->depth + 1);
    for (u32 level = 0; level < tree->depth; level++) {
        write_key(&event, path + level * HASH_BYTES);
        write_u32(&event, (1U << (tree->depth - level)) + (index >> level));
    }
    write_key(&event, change_root(change));
    write_u32(&event, 1);
    write_u64(&event, *tree->sequence_number);
    write_u32(&event, index);
    Instruction instruction = {NOOP_ID, NULL, 0, event.start, writer_length(&event)};
    return invoke(&instruction, noop, 1);
}

/* The accounts of init, append, insert and replace: a writable tree, a signer, the noop program. */
static Result check_modify_accounts(const Context *context) {
    TRY(require_accounts(context, MODIFY_ACCOUNTS));
    TRY(require_writable(&context->accounts[MERKLE_TREE], "merkle_tree"));
    TRY(require_signer(&context->accounts[AUTHORITY], "authority"));
    return require_program(&context->accounts[NOOP], NOOP_ID, "noop");
}

static Result open_as_authority(const Context *context, Tree *tree) {
    TRY(tree_open(&context->accounts[MERKLE_TREE], context->program_id, tree));
    REQUIRE(key_equal(context->accounts[AUTHORITY].key, tree->authority), INCORRECT_AUTHORITY);
    return OK;
}

static Result check_index(const Tree *tree, u32 index) {
    REQUIRE(index < 1U << tree->depth, LEAF_INDEX_OUT_OF_BOUNDS);
    return OK;
}

static Result init_empty_merkle_tree(Context *context, Reader *arguments) {
    LOG("Instruction: InitEmptyMerkleTree");
    u32 depth = read_u32(arguments);
    u32 max_buffer_size = read_u32(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(check_modify_accounts(context));
    const Account *account = &context->accounts[MERKLE_TREE];
    REQUIRE(key_equal(account->owner, context->program_id), INCORRECT_ACCOUNT_OWNER);
    bool is_zero = account->data_length >= DISCRIMINATOR_BYTES && load_u64(account->data) == 0;
    REQUIRE_ACCOUNT(is_zero, CONSTRAINT_ZERO, "merkle_tree");
    Tree tree;
    TRY(tree_initialize(account, depth, max_buffer_size, context->accounts[AUTHORITY].key, &tree));
    return emit_change_log(&tree, &context->accounts[NOOP]);
}

static Result append(Context *context, Reader *arguments) {
    LOG("Instruction: Append");
    const u8 *leaf = read_key(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(check_modify_accounts(context));
    Tree tree;
    TRY(open_as_authority(context, &tree));
    TRY(tree_append(&tree, leaf));
    return emit_change_log(&tree, &context->accounts[NOOP]);
}

/* The proof of a claim: all accounts behind the instruction's own. */
static Claim claim_of(const Context *context, u64 own_accounts, const u8 *root, const u8 *leaf, u32 index) {
    u32 node_count = (u32)(context->account_count - own_accounts);
    return (Claim){root, leaf, index, node_count, context->accounts + own_accounts};
}

static Result insert_or_append(Context *context, Reader *arguments) {
    LOG("Instruction: InsertOrAppend");
    static const u8 EMPTY_LEAF[HASH_BYTES] = {0};
    const u8 *root = read_key(arguments);
    const u8 *leaf = read_key(arguments);
    u32 index = read_u32(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(check_modify_accounts(context));
    Tree tree;
    TRY(open_as_authority(context, &tree));
    TRY(check_index(&tree, index));
    Claim claim = claim_of(context, MODIFY_ACCOUNTS, root, EMPTY_LEAF, index);
    TRY(tree_insert_or_append(&tree, &claim, leaf));
    return emit_change_log(&tree, &context->accounts[NOOP]);
}

static Result replace_leaf(Context *context, Reader *arguments) {
    LOG("Instruction: ReplaceLeaf");
    const u8 *root = read_key(arguments);
    const u8 *previous_leaf = read_key(arguments);
    const u8 *new_leaf = read_key(arguments);
    u32 index = read_u32(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(check_modify_accounts(context));
    Tree tree;
    TRY(open_as_authority(context, &tree));
    TRY(check_index(&tree, index));
    Claim claim = claim_of(context, MODIFY_ACCOUNTS, root, previous_leaf, index);
    TRY(tree_replace(&tree, &claim, new_leaf));
    return emit_change_log(&tree, &context->accounts[NOOP]);
}

static Result verify_leaf(Context *context, Reader *arguments) {
    LOG("Instruction: VerifyLeaf");
    const u8 *root = read_key(arguments);
    const u8 *leaf = read_key(arguments);
    u32 index = read_u32(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(require_accounts(context, VERIFY_ACCOUNTS));
    Tree tree;
    TRY(tree_open(&context->accounts[MERKLE_TREE], context->program_id, &tree));
    TRY(check_index(&tree, index));
    Claim claim = claim_of(context, VERIFY_ACCOUNTS, root, leaf, index);
    return tree_verify(&tree, &claim);
}

static Result transfer_authority(Context *context, Reader *arguments) {
    LOG("Instruction: TransferAuthority");
    const u8 *new_authority = read_key(arguments);
    REQUIRE(!arguments->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    TRY(require_accounts(context, TRANSFER_ACCOUNTS));
    TRY(require_writable(&context->accounts[MERKLE_TREE], "merkle_tree"));
    TRY(require_signer(&context->accounts[AUTHORITY], "authority"));
    Tree tree;
    TRY(open_as_authority(context, &tree));
    key_copy(tree.authority, new_authority);
    return OK;
}

static Result close_empty_tree(Context *context) {
    LOG("Instruction: CloseEmptyTree");
    TRY(require_accounts(context, MODIFY_ACCOUNTS));
    TRY(require_writable(&context->accounts[MERKLE_TREE], "merkle_tree"));
    TRY(require_signer(&context->accounts[AUTHORITY], "authority"));
    TRY(require_writable(&context->accounts[RECIPIENT], "recipient"));
    Tree tree;
    TRY(open_as_authority(context, &tree));
    TRY(tree_require_empty(&tree));
    return account_close(&context->accounts[MERKLE_TREE], &context->accounts[RECIPIENT]);
}

static Result process(Context *context) {
    LOG_STAND_IN();
    Reader arguments;
    u64 discriminator;
    TRY(read_discriminator(context, &arguments, &discriminator));
    switch (discriminator) {
        case INIT_EMPTY_MERKLE_TREE:
            return init_empty_merkle_tree(context, &arguments);
        case APPEND:
            return append(context, &arguments);
        case INSERT_OR_APPEND:
            return insert_or_append(context, &arguments);
        case REPLACE_LEAF:
            return replace_leaf(context, &arguments);
        case VERIFY_LEAF:
            return verify_leaf(context, &arguments);
        case TRANSFER_AUTHORITY:
            return transfer_authority(context, &arguments);
        case CLOSE_EMPTY_TREE:
            return close_empty_tree(context);
        default:
            return anchor_error(&INSTRUCTION_FALLBACK_NOT_FOUND);
    }
}

PROGRAM_ENTRYPOINT(process)
