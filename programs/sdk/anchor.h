/* Anchor's conventions: discriminators, the framework's errors, and error log lines in Anchor's form.
 *
 * Clients and explorers parse these lines, so the words are Anchor's (public documentation and IDLs of Anchor 0.29/0.30).
 * A program's own errors are ErrorKind constants too, with codes from 6000.
 */
#ifndef PROGRAMS_SDK_ANCHOR_H
#define PROGRAMS_SDK_ANCHOR_H

#include "borsh.h"
#include "sbf.h"

typedef struct {
    u32 code;
    const char *name;
    const char *message;
} ErrorKind;

/* Framework errors that our programs can give. */
static const ErrorKind INSTRUCTION_MISSING = {100, "InstructionMissing", "8 byte instruction identifier not provided"};
static const ErrorKind INSTRUCTION_FALLBACK_NOT_FOUND = {101, "InstructionFallbackNotFound",
                                                         "Fallback functions are not supported"};
static const ErrorKind INSTRUCTION_DID_NOT_DESERIALIZE = {
    102, "InstructionDidNotDeserialize", "The program could not deserialize the given instruction"};
static const ErrorKind CONSTRAINT_MUT = {2000, "ConstraintMut", "A mut constraint was violated"};
static const ErrorKind CONSTRAINT_HAS_ONE = {2001, "ConstraintHasOne", "A has one constraint was violated"};
static const ErrorKind CONSTRAINT_SIGNER = {2002, "ConstraintSigner", "A signer constraint was violated"};
static const ErrorKind CONSTRAINT_RAW = {2003, "ConstraintRaw", "A raw constraint was violated"};
static const ErrorKind CONSTRAINT_OWNER = {2004, "ConstraintOwner", "An owner constraint was violated"};
static const ErrorKind CONSTRAINT_SEEDS = {2006, "ConstraintSeeds", "A seeds constraint was violated"};
static const ErrorKind CONSTRAINT_ADDRESS = {2012, "ConstraintAddress", "An address constraint was violated"};
static const ErrorKind CONSTRAINT_ZERO = {2013, "ConstraintZero", "Expected zero account discriminant"};
static const ErrorKind ACCOUNT_DISCRIMINATOR_NOT_FOUND = {3001, "AccountDiscriminatorNotFound",
                                                          "No 8 byte discriminator was found on the account"};
static const ErrorKind ACCOUNT_DISCRIMINATOR_MISMATCH = {3002, "AccountDiscriminatorMismatch",
                                                         "8 byte discriminator did not match what was expected"};
static const ErrorKind ACCOUNT_DID_NOT_DESERIALIZE = {3003, "AccountDidNotDeserialize",
                                                      "Failed to deserialize the account"};
static const ErrorKind ACCOUNT_DID_NOT_SERIALIZE = {3004, "AccountDidNotSerialize", "Failed to serialize the account"};
static const ErrorKind ACCOUNT_NOT_ENOUGH_KEYS = {3005, "AccountNotEnoughKeys",
                                                  "Not enough account keys given to the instruction"};
static const ErrorKind ACCOUNT_NOT_MUTABLE = {3006, "AccountNotMutable", "The given account is not mutable"};
static const ErrorKind ACCOUNT_OWNED_BY_WRONG_PROGRAM = {
    3007, "AccountOwnedByWrongProgram", "The given account is owned by a different program than expected"};
static const ErrorKind INVALID_PROGRAM_ID = {3008, "InvalidProgramId", "Program ID was not as expected"};
static const ErrorKind INVALID_PROGRAM_EXECUTABLE = {3009, "InvalidProgramExecutable",
                                                     "Program account is not executable"};
static const ErrorKind ACCOUNT_NOT_SIGNER = {3010, "AccountNotSigner", "The given account did not sign"};
static const ErrorKind ACCOUNT_NOT_SYSTEM_OWNED = {3011, "AccountNotSystemOwned",
                                                   "The given account is not owned by the system program"};
static const ErrorKind ACCOUNT_NOT_INITIALIZED = {3012, "AccountNotInitialized",
                                                  "The program expected this account to be already initialized"};

/* ---- log lines -------------------------------------------------------------------------------------------------- */

static inline void write_text(Writer *writer, const char *text) {
    for (; *text; text++) write_u8(writer, (u8)*text);
}

static inline void write_decimal(Writer *writer, u64 value) {
    u8 digits[20];
    u64 count = 0;
    do {
        digits[count++] = (u8)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count) write_u8(writer, digits[--count]);
}

#define ERROR_LINE_BYTES 320

static inline Result log_error(Writer *line, const ErrorKind *kind) {
    write_text(line, " Error Code: ");
    write_text(line, kind->name);
    write_text(line, ". Error Number: ");
    write_decimal(line, kind->code);
    write_text(line, ". Error Message: ");
    write_text(line, kind->message);
    write_text(line, ".");
    sol_log_((const char *)line->start, writer_length(line));
    return kind->code;
}

/* Log "AnchorError occurred. Error Code: …" and give the code to return. */
static __attribute__((noinline)) Result anchor_error(const ErrorKind *kind) {
    Writer line = writer_allocate(ERROR_LINE_BYTES);
    write_text(&line, "AnchorError occurred.");
    return log_error(&line, kind);
}

/* Log "AnchorError caused by account: <account>. Error Code: …" and give the code to return. */
static __attribute__((noinline)) Result anchor_account_error(const ErrorKind *kind, const char *account) {
    Writer line = writer_allocate(ERROR_LINE_BYTES);
    write_text(&line, "AnchorError caused by account: ");
    write_text(&line, account);
    write_text(&line, ".");
    return log_error(&line, kind);
}

/* `require`: return the error unless the condition holds. */
#define REQUIRE(condition, kind)                            \
    do {                                                    \
        if (!(condition)) return anchor_error(&(kind));     \
    } while (0)
#define REQUIRE_ACCOUNT(condition, kind, account)                             \
    do {                                                                      \
        if (!(condition)) return anchor_account_error(&(kind), (account));    \
    } while (0)

/* ---- instructions ----------------------------------------------------------------------------------------------- */

#define DISCRIMINATOR_BYTES 8

/* The first 8 bytes of the instruction data as a little-endian number: sha256("global:<snake_case_name>")[..8].
 * `reader` is left behind them. */
static inline Result read_discriminator(const Context *context, Reader *reader, u64 *discriminator) {
    *reader = reader_over(context->data, context->data_length);
    REQUIRE(context->data_length >= DISCRIMINATOR_BYTES, INSTRUCTION_MISSING);
    *discriminator = read_u64(reader);
    return OK;
}

/* Anchor's check that at least `count` accounts were given. */
static inline Result require_accounts(const Context *context, u64 count) {
    REQUIRE(context->account_count >= count, ACCOUNT_NOT_ENOUGH_KEYS);
    return OK;
}
static inline Result require_signer(const Account *account, const char *name) {
    REQUIRE_ACCOUNT(account->is_signer, ACCOUNT_NOT_SIGNER, name);
    return OK;
}
static inline Result require_writable(const Account *account, const char *name) {
    REQUIRE_ACCOUNT(account->is_writable, CONSTRAINT_MUT, name);
    return OK;
}
/* Anchor's `Program<'info, T>`: the right address, and executable. */
static inline Result require_program(const Account *account, const u8 *program_id, const char *name) {
    REQUIRE_ACCOUNT(key_equal(account->key, program_id), INVALID_PROGRAM_ID, name);
    REQUIRE_ACCOUNT(account->executable, INVALID_PROGRAM_EXECUTABLE, name);
    return OK;
}

#endif
