/* The Solana runtime as our C programs see it: types, syscalls, memory, the parsed input, and cross-program calls.
 *
 * Every program of this folder includes this header first. It is header-only and keeps no globals, because a program's
 * only writable memory is its stack (4096 bytes a frame, 64 frames deep) and its heap (32 KiB, zeroed for each
 * invocation); what does not fit in a frame comes from `allocate`.
 *
 * Not here: Borsh (borsh.h), Anchor's errors (anchor.h), the system program (system.h), hashing and PDAs (crypto.h).
 * Layouts and syscall signatures follow the runtime's public C interface ("sol/..." of the platform's C SDK documents).
 */
#ifndef PROGRAMS_SDK_SBF_H
#define PROGRAMS_SDK_SBF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
#define bool _Bool
#define true 1
#define false 0
#define NULL ((void *)0)

/* Loads and stores at any alignment: the virtual machine allows them, and the compiler is told so. */
typedef u16 __attribute__((aligned(1), may_alias)) unaligned_u16;
typedef u32 __attribute__((aligned(1), may_alias)) unaligned_u32;
typedef u64 __attribute__((aligned(1), may_alias)) unaligned_u64;

static inline u16 load_u16(const u8 *at) { return *(const unaligned_u16 *)at; }
static inline u32 load_u32(const u8 *at) { return *(const unaligned_u32 *)at; }
static inline u64 load_u64(const u8 *at) { return *(const unaligned_u64 *)at; }
static inline void store_u16(u8 *at, u16 value) { *(unaligned_u16 *)at = value; }
static inline void store_u32(u8 *at, u32 value) { *(unaligned_u32 *)at = value; }
static inline void store_u64(u8 *at, u64 value) { *(unaligned_u64 *)at = value; }

/* ---- results ---------------------------------------------------------------------------------------------------- */

/* 0 is success; 1 to 2^32-1 is `Custom(n)`; the runtime's own errors are n << 32 (ProgramError's order). */
typedef u64 Result;
#define OK 0ULL
#define BUILTIN_ERROR(n) ((u64)(n) << 32)
#define ERR_CUSTOM_ZERO BUILTIN_ERROR(1)
#define ERR_INVALID_ARGUMENT BUILTIN_ERROR(2)
#define ERR_INVALID_INSTRUCTION_DATA BUILTIN_ERROR(3)
#define ERR_INVALID_ACCOUNT_DATA BUILTIN_ERROR(4)
#define ERR_ACCOUNT_DATA_TOO_SMALL BUILTIN_ERROR(5)
#define ERR_INSUFFICIENT_FUNDS BUILTIN_ERROR(6)
#define ERR_INCORRECT_PROGRAM_ID BUILTIN_ERROR(7)
#define ERR_MISSING_REQUIRED_SIGNATURE BUILTIN_ERROR(8)
#define ERR_ACCOUNT_ALREADY_INITIALIZED BUILTIN_ERROR(9)
#define ERR_UNINITIALIZED_ACCOUNT BUILTIN_ERROR(10)
#define ERR_NOT_ENOUGH_ACCOUNT_KEYS BUILTIN_ERROR(11)
#define ERR_INVALID_SEEDS BUILTIN_ERROR(14)
#define ERR_INVALID_REALLOC BUILTIN_ERROR(20)

/* Return at once when `expression` fails. */
#define TRY(expression)                  \
    do {                                 \
        Result try_result_ = (expression); \
        if (try_result_ != OK) return try_result_; \
    } while (0)

/* ---- syscalls --------------------------------------------------------------------------------------------------- */

typedef struct {
    const u8 *at;
    u64 length;
} Slice;

/* A slice of a string literal or of a fixed-size array, without a terminating zero. */
#define LITERAL(text) ((Slice){(const u8 *)(text), sizeof(text) - 1})
#define SLICE_OF(array) ((Slice){(const u8 *)(array), sizeof(array)})

void sol_log_(const char *message, u64 length);
void sol_log_64_(u64 a, u64 b, u64 c, u64 d, u64 e);
void sol_log_pubkey(const u8 *key);
void sol_log_data(const Slice *fields, u64 field_count);
void sol_memcpy_(u8 *to, const u8 *from, u64 length);
void sol_memmove_(u8 *to, const u8 *from, u64 length);
void sol_memset_(u8 *to, u8 value, u64 length);
void sol_memcmp_(const u8 *a, const u8 *b, u64 length, int *result);
void sol_panic_(const char *file, u64 length, u64 line, u64 column) __attribute__((noreturn));
u64 sol_keccak256(const Slice *parts, u64 part_count, u8 *hash);
u64 sol_create_program_address(const Slice *seeds, u64 seed_count, const u8 *program_id, u8 *address);
u64 sol_try_find_program_address(const Slice *seeds, u64 seed_count, const u8 *program_id, u8 *address, u8 *bump);
u64 sol_get_clock_sysvar(u8 *clock);
u64 sol_get_rent_sysvar(u8 *rent);
void sol_set_return_data(const u8 *data, u64 length);
u64 sol_get_return_data(u8 *data, u64 capacity, u8 *program_id);
u64 sol_invoke_signed_c(const void *instruction, const void *infos, int info_count, const void *signers, int signer_count);

/* One line "Program log: <text>"; `text` is a literal. */
#define LOG(text) sol_log_((text), sizeof(text) - 1)

/* The one line by which every program of ours says in its logs what it is; programs log it once, at their entry. */
#define LOG_STAND_IN() LOG("local stand-in")

/* Stop the program: a broken invariant, never a user's mistake. */
#define PANIC() sol_panic_("program", 7, __LINE__, 0)

/* ---- memory ----------------------------------------------------------------------------------------------------- */

#define HEAP_START 0x300000000ULL
#define HEAP_BYTES (32ULL * 1024)

/* `length` zeroed bytes, aligned to 8, for the rest of this invocation; nothing is ever freed. The heap's first word is
 * the number of bytes given out so far. */
static inline void *allocate(u64 length) {
    u64 *used = (u64 *)HEAP_START;
    if (*used == 0) *used = sizeof(u64);
    u64 start = *used;
    if (length > HEAP_BYTES - start) PANIC();
    *used = (start + length + 7) & ~7ULL;
    if (*used > HEAP_BYTES) PANIC();
    return (void *)(HEAP_START + start);
}

/* Copy, fill and compare lengths known only at run time. For a constant length up to a few hundred bytes use
 * `__builtin_memcpy`, which the compiler expands in place. */
static inline void copy_bytes(u8 *to, const u8 *from, u64 length) {
    if (length) sol_memcpy_(to, from, length);
}
static inline void fill_bytes(u8 *to, u8 value, u64 length) {
    if (length) sol_memset_(to, value, length);
}
static inline bool bytes_equal(const u8 *a, const u8 *b, u64 length) {
    int difference = 0;
    if (length) sol_memcmp_(a, b, length, &difference);
    return difference == 0;
}
static inline bool slice_equal(Slice a, Slice b) { return a.length == b.length && bytes_equal(a.at, b.at, a.length); }

/* ---- 32-byte keys and hashes ------------------------------------------------------------------------------------ */

#define KEY_BYTES 32

static inline bool key_equal(const u8 *a, const u8 *b) {
    return load_u64(a) == load_u64(b) && load_u64(a + 8) == load_u64(b + 8) && load_u64(a + 16) == load_u64(b + 16) &&
           load_u64(a + 24) == load_u64(b + 24);
}
/* All zeros: the system program, "no key", and the empty leaf of a tree. */
static inline bool key_is_zero(const u8 *a) {
    return (load_u64(a) | load_u64(a + 8) | load_u64(a + 16) | load_u64(a + 24)) == 0;
}
static inline void key_copy(u8 *to, const u8 *from) { __builtin_memcpy(to, from, KEY_BYTES); }

/* ---- accounts --------------------------------------------------------------------------------------------------- */

/* The most accounts one instruction of ours takes; a transaction cannot name more. */
#define MAX_ACCOUNTS 64
/* How far an account's data may grow in one instruction, in bytes. */
#define MAX_GROWTH 10240

/* The runtime's own account-info layout (56 bytes): arrays of it are handed to `sol_invoke_signed_c` as they are. */
typedef struct {
    const u8 *key;
    u64 *lamports;
    u64 data_length; /* bytes; refreshed by `invoke_signed` and `account_resize` */
    u8 *data;
    u8 *owner;
    u64 rent_epoch;
    bool is_signer;
    bool is_writable;
    bool executable;
} Account;

typedef struct {
    const u8 *program_id; /* our own address */
    Account *accounts;    /* on the heap, in the order the instruction names them; a repeated account is a full entry */
    u64 account_count;
    const u8 *data; /* instruction data */
    u64 data_length;
} Context;

/* The length word that the runtime keeps in front of the data; the truth after a call into another program. */
static inline u64 *account_length_word(const Account *account) { return (u64 *)(account->data - sizeof(u64)); }

/* Parse the runtime's input region. Fails with InvalidArgument beyond MAX_ACCOUNTS. */
static inline Result context_parse(u8 *input, Context *context) {
    u64 count = load_u64(input);
    u8 *at = input + sizeof(u64);
    if (count > MAX_ACCOUNTS) return ERR_INVALID_ARGUMENT;
    Account *accounts = allocate(count * sizeof(Account));
    for (u64 i = 0; i < count; i++) {
        Account *account = &accounts[i];
        u8 duplicate_of = at[0];
        if (duplicate_of != 0xff) {
            *account = accounts[duplicate_of];
            at += 8;
            continue;
        }
        account->is_signer = at[1] != 0;
        account->is_writable = at[2] != 0;
        account->executable = at[3] != 0;
        account->key = at + 8;
        account->owner = at + 40;
        account->lamports = (u64 *)(at + 72);
        account->data_length = load_u64(at + 80);
        account->data = at + 88;
        at = account->data + account->data_length + MAX_GROWTH;
        at = (u8 *)(((u64)at + 7) & ~7ULL);
        account->rent_epoch = load_u64(at);
        at += 8;
    }
    context->accounts = accounts;
    context->account_count = count;
    context->data_length = load_u64(at);
    context->data = at + 8;
    context->program_id = context->data + context->data_length;
    return OK;
}

/* Define the entry point: `process` is `Result process(Context *context)`. */
#define PROGRAM_ENTRYPOINT(process)                \
    u64 entrypoint(u8 *input) {                    \
        Context context;                           \
        Result result = context_parse(input, &context); \
        return result != OK ? result : process(&context); \
    }

/* Set an account's data length; new bytes are zero. InvalidRealloc when it grows by more than the runtime allows here. */
static inline Result account_resize(Account *account, u64 length) {
    u64 old = account->data_length;
    if (length > old) {
        if (length - old > MAX_GROWTH) return ERR_INVALID_REALLOC;
        fill_bytes(account->data + old, 0, length - old);
    }
    *account_length_word(account) = length;
    account->data_length = length;
    return OK;
}

/* Close an account of ours: all lamports to `recipient`, no data, owned by the system program again. */
static inline Result account_close(Account *account, Account *recipient) {
    *recipient->lamports += *account->lamports;
    *account->lamports = 0;
    fill_bytes(account->owner, 0, KEY_BYTES);
    return account_resize(account, 0);
}

/* ---- cross-program calls ---------------------------------------------------------------------------------------- */

/* The runtime's account-meta layout. */
typedef struct {
    const u8 *key;
    bool is_writable;
    bool is_signer;
} Meta;

/* The runtime's instruction layout. */
typedef struct {
    const u8 *program_id;
    const Meta *metas;
    u64 meta_count;
    const u8 *data;
    u64 data_length;
} Instruction;

/* The seeds (with their bump) of one PDA that signs. The runtime's layout. */
typedef struct {
    const Slice *seeds;
    u64 seed_count;
} SignerSeeds;

/* Call another program. `infos` must hold every account that `metas` names (extra ones are fine: `context->accounts` will
 * do). On success the data lengths in `infos` are refreshed; a failure never comes back: the runtime aborts us. */
static inline Result invoke_signed(const Instruction *instruction, Account *infos, u64 info_count,
                                   const SignerSeeds *signers, u64 signer_count) {
    TRY(sol_invoke_signed_c(instruction, infos, (int)info_count, signers, (int)signer_count));
    for (u64 i = 0; i < info_count; i++) infos[i].data_length = *account_length_word(&infos[i]);
    return OK;
}

static inline Result invoke(const Instruction *instruction, Account *infos, u64 info_count) {
    return invoke_signed(instruction, infos, info_count, NULL, 0);
}

#endif
