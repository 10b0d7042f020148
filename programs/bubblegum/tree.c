/* See tree.h. Layout of TreeConfig: the account type of the same name in the program's IDL. */
#include "tree.h"

#include "addresses.h"
#include "anchor.h"
#include "crypto.h"
#include "system.h"
#include "errors.h"

#define CONFIG_NAME "tree_authority"
#define CONFIG_DISCRIMINATOR 0xcf0022abf8aff57aULL /* 7a f5 af f8 ab 22 00 cf */
#define CONFIG_BYTES 96                            /* with five unused bytes at the end */
#define CONFIG_USED_BYTES 91

enum {
    CREATOR = 8,
    DELEGATE = 40,
    TOTAL_MINT_CAPACITY = 72,
    NUM_MINTED = 80,
    IS_PUBLIC = 88,
    IS_DECOMPRESSIBLE = 89,
    VERSION = 90,
};
enum { DECOMPRESSIBLE_ENABLED = 0, DECOMPRESSIBLE_DISABLED = 1 };

/* sha256("global:<name>")[..8] of the compression programs' instructions; both families share them. */
#define INIT_EMPTY_MERKLE_TREE 0x6edc6bb407770bbfULL
#define APPEND 0xcb58e1ecde127895ULL
#define REPLACE_LEAF 0x80009349644ca5ccULL

/* ---- TreeConfig ------------------------------------------------------------------------------------------------- */

static Result find_bump(Tree *tree) {
    Slice seeds[1] = {{tree->merkle_tree->key, KEY_BYTES}};
    REQUIRE_ACCOUNT(is_program_address(tree->config->key, seeds, 1, tree->context->program_id, &tree->bump),
                    CONSTRAINT_SEEDS, CONFIG_NAME);
    return OK;
}

Result tree_create(Tree *tree, const NewTree *new_tree) {
    TRY(find_bump(tree));
    Slice seeds[2] = {{tree->merkle_tree->key, KEY_BYTES}, {&tree->bump, 1}};
    SignerSeeds signer = {seeds, 2};
    CallScope scope = call_scope(tree->context, &signer, 1);
    TRY(system_create_account(&scope, new_tree->payer, tree->config, CONFIG_BYTES, tree->context->program_id));
    u8 *data = tree->config->data;
    store_u64(data, CONFIG_DISCRIMINATOR);
    key_copy(data + CREATOR, new_tree->creator->key);
    key_copy(data + DELEGATE, new_tree->creator->key);
    store_u64(data + TOTAL_MINT_CAPACITY, 1ULL << new_tree->max_depth);
    store_u64(data + NUM_MINTED, 0);
    data[IS_PUBLIC] = new_tree->is_public;
    data[IS_DECOMPRESSIBLE] = DECOMPRESSIBLE_DISABLED;
    data[VERSION] = new_tree->version;
    return OK;
}

Result tree_load(Tree *tree, bool config_is_written) {
    const Account *config = tree->config;
    bool exists = !key_is_zero(config->owner) || *config->lamports > 0;
    REQUIRE_ACCOUNT(exists, ACCOUNT_NOT_INITIALIZED, CONFIG_NAME);
    REQUIRE_ACCOUNT(key_equal(config->owner, tree->context->program_id), ACCOUNT_OWNED_BY_WRONG_PROGRAM, CONFIG_NAME);
    REQUIRE_ACCOUNT(config->data_length >= DISCRIMINATOR_BYTES, ACCOUNT_DISCRIMINATOR_NOT_FOUND, CONFIG_NAME);
    REQUIRE_ACCOUNT(load_u64(config->data) == CONFIG_DISCRIMINATOR, ACCOUNT_DISCRIMINATOR_MISMATCH, CONFIG_NAME);
    REQUIRE_ACCOUNT(config->data_length >= CONFIG_USED_BYTES, ACCOUNT_DID_NOT_DESERIALIZE, CONFIG_NAME);
    TRY(find_bump(tree));
    if (config_is_written) TRY(require_writable(config, CONFIG_NAME));
    return require_writable(tree->merkle_tree, "merkle_tree");
}

Result tree_require_version(const Tree *tree, u8 version) {
    REQUIRE(tree->config->data[VERSION] == version, UNSUPPORTED_SCHEMA_VERSION);
    return OK;
}

Result tree_check_programs_v1(const Tree *tree) {
    const u8 *noop = NULL;
    if (key_equal(tree->merkle_tree->owner, SPL_ACCOUNT_COMPRESSION_ID)) noop = SPL_NOOP_ID;
    if (key_equal(tree->merkle_tree->owner, MPL_ACCOUNT_COMPRESSION_ID)) noop = MPL_NOOP_ID;
    REQUIRE(noop != NULL, INCORRECT_OWNER);
    REQUIRE(key_equal(tree->log_wrapper->key, noop), INVALID_LOG_WRAPPER);
    REQUIRE(key_equal(tree->compression_program->key, tree->merkle_tree->owner), INVALID_COMPRESSION_PROGRAM);
    return OK;
}

Result tree_check_programs_v2(const Tree *tree) {
    TRY(require_program(tree->log_wrapper, MPL_NOOP_ID, "log_wrapper"));
    return require_program(tree->compression_program, MPL_ACCOUNT_COMPRESSION_ID, "compression_program");
}

Result tree_check_minter(const Tree *tree, const u8 *minter) {
    const u8 *data = tree->config->data;
    bool may_mint = data[IS_PUBLIC] || key_equal(minter, data + CREATOR) || key_equal(minter, data + DELEGATE);
    REQUIRE(may_mint, TREE_AUTHORITY_INCORRECT);
    return OK;
}

Result tree_check_capacity(const Tree *tree) {
    const u8 *data = tree->config->data;
    REQUIRE(load_u64(data + NUM_MINTED) < load_u64(data + TOTAL_MINT_CAPACITY), INSUFFICIENT_MINT_CAPACITY);
    return OK;
}

u64 tree_next_nonce(const Tree *tree) { return load_u64(tree->config->data + NUM_MINTED); }

void tree_count_mint(const Tree *tree) { store_u64(tree->config->data + NUM_MINTED, tree_next_nonce(tree) + 1); }

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static Result compression_call(const Tree *tree, const Writer *data, u64 first_proof) {
    Context *context = tree->context;
    u64 proof_length = context->account_count - first_proof;
    Meta *metas = allocate((3 + proof_length) * sizeof(Meta));
    metas[0] = (Meta){tree->merkle_tree->key, true, false};
    metas[1] = (Meta){tree->config->key, false, true};
    metas[2] = (Meta){tree->log_wrapper->key, false, false};
    for (u64 i = 0; i < proof_length; i++) {
        metas[3 + i] = (Meta){context->accounts[first_proof + i].key, false, false};
    }
    Instruction instruction = {tree->compression_program->key, metas, 3 + proof_length, data->start,
                               writer_length(data)};
    Slice seeds[2] = {{tree->merkle_tree->key, KEY_BYTES}, {&tree->bump, 1}};
    SignerSeeds signer = {seeds, 2};
    return invoke_signed(&instruction, context->accounts, context->account_count, &signer, 1);
}

Result tree_initialize(const Tree *tree, u32 max_depth, u32 max_buffer_size) {
    Writer data = writer_allocate(16);
    write_u64(&data, INIT_EMPTY_MERKLE_TREE);
    write_u32(&data, max_depth);
    write_u32(&data, max_buffer_size);
    return compression_call(tree, &data, tree->context->account_count);
}

Result tree_append(const Tree *tree, const u8 *leaf_hash) {
    Writer data = writer_allocate(40);
    write_u64(&data, APPEND);
    write_key(&data, leaf_hash);
    return compression_call(tree, &data, tree->context->account_count);
}

Result tree_replace(const Tree *tree, const Replacement *replacement) {
    Writer data = writer_allocate(108);
    write_u64(&data, REPLACE_LEAF);
    write_key(&data, replacement->root);
    write_key(&data, replacement->previous_leaf);
    write_key(&data, replacement->new_leaf);
    write_u32(&data, replacement->index);
    return compression_call(tree, &data, replacement->first_proof);
}

Result tree_log(const Tree *tree, Slice data) {
    Context *context = tree->context;
    Instruction instruction = {tree->log_wrapper->key, NULL, 0, data.at, data.length};
    return invoke(&instruction, context->accounts, context->account_count);
}
