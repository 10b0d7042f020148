/* Anchor's optional accounts: the program's own address in an account's place says that it is not given. */
#ifndef PROGRAMS_BUBBLEGUM_OPTIONAL_H
#define PROGRAMS_BUBBLEGUM_OPTIONAL_H

#include "sbf.h"

/* The account at `index`, or NULL when it is not given. */
static inline Account *optional_account(const Context *context, u64 index) {
    Account *account = &context->accounts[index];
    return key_equal(account->key, context->program_id) ? NULL : account;
}

/* The account at `index`, or the one at `otherwise` when it is not given. */
static inline Account *account_or(const Context *context, u64 index, u64 otherwise) {
    Account *account = optional_account(context, index);
    return account ? account : &context->accounts[otherwise];
}

#endif
