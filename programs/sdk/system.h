/* The system program, rent and the clock: creating, allocating, assigning and funding accounts by CPI. */
#ifndef PROGRAMS_SDK_SYSTEM_H
#define PROGRAMS_SDK_SYSTEM_H

#include "borsh.h"
#include "sbf.h"

static const u8 SYSTEM_PROGRAM_ID[KEY_BYTES] = {0};

/* ---- sysvars ---------------------------------------------------------------------------------------------------- */

typedef struct {
    u64 slot;
    i64 epoch_start_timestamp; /* seconds since 1970 */
    u64 epoch;
    u64 leader_schedule_epoch;
    i64 unix_timestamp; /* seconds since 1970 */
} Clock;

static inline Clock clock_now(void) {
    Clock clock;
    if (sol_get_clock_sysvar((u8 *)&clock) != OK) PANIC();
    return clock;
}

/* The rent sysvar: u64 lamports per byte-year, f64 exemption threshold in years, u8 burn percent. */
typedef struct {
    u64 lamports_per_byte_year;
    u64 threshold_bits;
    u8 burn_percent;
} Rent;

/* Bytes of bookkeeping that rent counts for every account besides its data. */
#define ACCOUNT_STORAGE_OVERHEAD 128

/* Lamports that exempt an account of `length` data bytes from rent. The virtual machine has no floating point, so the
 * threshold (a positive normal double, 2.0 on every cluster so far) is applied as mantissa and exponent. */
static inline u64 rent_exempt_minimum(u64 length) {
    Rent rent;
    if (sol_get_rent_sysvar((u8 *)&rent) != OK) PANIC();
    u64 yearly = (length + ACCOUNT_STORAGE_OVERHEAD) * rent.lamports_per_byte_year;
    u64 mantissa = (rent.threshold_bits & ((1ULL << 52) - 1)) | (1ULL << 52);
    i64 exponent = (i64)((rent.threshold_bits >> 52) & 0x7ff) - 1075;
    while ((mantissa & 1) == 0) {
        mantissa >>= 1;
        exponent++;
    }
    u64 product = yearly * mantissa;
    return exponent >= 0 ? product << exponent : product >> -exponent;
}

/* ---- instructions ----------------------------------------------------------------------------------------------- */

enum { SYSTEM_CREATE_ACCOUNT = 0, SYSTEM_ASSIGN = 1, SYSTEM_TRANSFER = 2, SYSTEM_ALLOCATE = 8 };

/* `infos` of each call: any array that holds the accounts and the system program, `context->accounts` for one. */
typedef struct {
    Account *infos;
    u64 info_count;
    const SignerSeeds *signers; /* NULL when only wallets sign */
    u64 signer_count;
} CallScope;

static inline CallScope call_scope(Context *context, const SignerSeeds *signers, u64 signer_count) {
    return (CallScope){context->accounts, context->account_count, signers, signer_count};
}

static inline Result system_call(const CallScope *scope, const Meta *metas, u64 meta_count, const Writer *data) {
    Instruction instruction = {SYSTEM_PROGRAM_ID, metas, meta_count, data->start, writer_length(data)};
    return invoke_signed(&instruction, scope->infos, scope->info_count, scope->signers, scope->signer_count);
}

static inline Result system_transfer(const CallScope *scope, const Account *from, const Account *to, u64 lamports) {
    u8 memory[12];
    Writer data = writer_into(memory, sizeof memory);
    write_u32(&data, SYSTEM_TRANSFER);
    write_u64(&data, lamports);
    Meta metas[2] = {{from->key, true, true}, {to->key, true, false}};
    return system_call(scope, metas, 2, &data);
}

static inline Result system_allocate(const CallScope *scope, const Account *account, u64 length) {
    u8 memory[12];
    Writer data = writer_into(memory, sizeof memory);
    write_u32(&data, SYSTEM_ALLOCATE);
    write_u64(&data, length);
    Meta metas[1] = {{account->key, true, true}};
    return system_call(scope, metas, 1, &data);
}

static inline Result system_assign(const CallScope *scope, const Account *account, const u8 *owner) {
    u8 memory[36];
    Writer data = writer_into(memory, sizeof memory);
    write_u32(&data, SYSTEM_ASSIGN);
    write_key(&data, owner);
    Meta metas[1] = {{account->key, true, true}};
    return system_call(scope, metas, 1, &data);
}

/* Create a rent-exempt account of `length` zero bytes owned by `owner`. Works too when someone sent lamports to the
 * address before (the system program's own create_account refuses that). `account` signs by itself or by the scope. */
static inline Result system_create_account(const CallScope *scope, const Account *payer, const Account *account,
                                           u64 length, const u8 *owner) {
    u64 needed = rent_exempt_minimum(length);
    if (*account->lamports > 0) {
        if (*account->lamports < needed) TRY(system_transfer(scope, payer, account, needed - *account->lamports));
        TRY(system_allocate(scope, account, length));
        return system_assign(scope, account, owner);
    }
    u8 memory[52];
    Writer data = writer_into(memory, sizeof memory);
    write_u32(&data, SYSTEM_CREATE_ACCOUNT);
    write_u64(&data, needed);
    write_u64(&data, length);
    write_key(&data, owner);
    Meta metas[2] = {{payer->key, true, true}, {account->key, true, true}};
    return system_call(scope, metas, 2, &data);
}

#endif
