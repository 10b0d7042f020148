/* CreateTree (createTreeConfig in the clients) and its V2: the TreeConfig account and an empty Merkle tree. */
#include "anchor.h"
#include "system.h"
#include "errors.h"
#include "instructions.h"
#include "tree.h"

/* A proof longer than this does not fit a transaction, so what the canopy does not hold must be at most this long. */
#define MAX_PROOF_LENGTH 17
/* Deeper trees do not exist; keeps the arithmetic below in range before the compression program has had its say. */
#define MAX_DEPTH 30

enum { TREE_CONFIG, MERKLE_TREE, PAYER, TREE_CREATOR, LOG_WRAPPER, COMPRESSION_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS };

typedef struct {
    u32 max_depth;
    u32 max_buffer_size;
    bool is_public;
} CreateTreeArguments;

static Result read_arguments(Reader *reader, CreateTreeArguments *arguments) {
    arguments->max_depth = read_u32(reader);
    arguments->max_buffer_size = read_u32(reader);
    arguments->is_public = read_bool(reader) && read_bool(reader);
    REQUIRE(!reader->failed, INSTRUCTION_DID_NOT_DESERIALIZE);
    return OK;
}

/* Bytes of a Merkle tree account before its canopy: header 56, then sequence number, active index and buffer size,
 * the change logs, and the right-most proof. */
static u64 size_without_canopy(const CreateTreeArguments *arguments) {
    u64 depth = arguments->max_depth;
    u64 change_log = 40 + 32 * depth;
    return 56 + 24 + arguments->max_buffer_size * change_log + (40 + 32 * depth);
}

/* InvalidCanopySize when proofs for this tree could not fit a transaction. Whether depth and buffer size are one of the
 * allowed pairs, and the account large enough for them, is the compression program's to say. */
static Result check_canopy(const Account *merkle_tree, const CreateTreeArguments *arguments) {
    if (arguments->max_depth <= MAX_PROOF_LENGTH || arguments->max_depth > MAX_DEPTH) return OK;
    u64 needed_depth = arguments->max_depth - MAX_PROOF_LENGTH;
    u64 needed = ((2ULL << needed_depth) - 2) * KEY_BYTES;
    u64 fixed = size_without_canopy(arguments);
    u64 canopy = merkle_tree->data_length > fixed ? merkle_tree->data_length - fixed : 0;
    REQUIRE(canopy >= needed, INVALID_CANOPY_SIZE);
    return OK;
}

static Result check_merkle_tree(const Account *merkle_tree) {
    bool is_blank = merkle_tree->data_length >= DISCRIMINATOR_BYTES && load_u64(merkle_tree->data) == 0;
    REQUIRE_ACCOUNT(is_blank, CONSTRAINT_ZERO, "merkle_tree");
    return require_writable(merkle_tree, "merkle_tree");
}

static Result create_tree(Context *context, Reader *reader, u8 version) {
    CreateTreeArguments arguments;
    TRY(read_arguments(reader, &arguments));
    TRY(require_accounts(context, ACCOUNTS));
    Account *accounts = context->accounts;
    TRY(check_merkle_tree(&accounts[MERKLE_TREE]));
    TRY(require_signer(&accounts[PAYER], "payer"));
    TRY(require_writable(&accounts[PAYER], "payer"));
    /* V2 lets the creator default to the payer: our own address stands for "none". */
    bool has_creator = version == TREE_VERSION_V1 || !key_equal(accounts[TREE_CREATOR].key, context->program_id);
    const Account *creator = &accounts[has_creator ? TREE_CREATOR : PAYER];
    TRY(require_signer(creator, "tree_creator"));
    TRY(require_program(&accounts[SYSTEM_PROGRAM], SYSTEM_PROGRAM_ID, "system_program"));

    Tree tree = {context, &accounts[TREE_CONFIG], &accounts[MERKLE_TREE], &accounts[LOG_WRAPPER],
                 &accounts[COMPRESSION_PROGRAM], 0};
    TRY(version == TREE_VERSION_V1 ? tree_check_programs_v1(&tree) : tree_check_programs_v2(&tree));
    TRY(check_canopy(tree.merkle_tree, &arguments));
    if (arguments.max_depth > MAX_DEPTH) return anchor_error(&NUMERICAL_OVERFLOW);
    NewTree new_tree = {&accounts[PAYER], creator, arguments.max_depth, arguments.is_public, version};
    TRY(tree_create(&tree, &new_tree));
    return tree_initialize(&tree, arguments.max_depth, arguments.max_buffer_size);
}

Result create_tree_v1(Context *context, Reader *arguments) { return create_tree(context, arguments, TREE_VERSION_V1); }

Result create_tree_v2(Context *context, Reader *arguments) { return create_tree(context, arguments, TREE_VERSION_V2); }
