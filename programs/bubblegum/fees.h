/* The protocol's fees for V2 leaves, in lamports: 0.00009 SOL a mint and 0.000006 SOL a transfer (the protocol's published
 * fee table). The payer pays them to the TreeConfig account, from where the real program's CollectV2 takes them. */
#ifndef PROGRAMS_BUBBLEGUM_FEES_H
#define PROGRAMS_BUBBLEGUM_FEES_H

#include "system.h"
#include "tree.h"

#define MINT_V2_FEE 90000
#define TRANSFER_V2_FEE 6000

static inline Result pay_fee(const Tree *tree, const Account *payer, u64 lamports) {
    CallScope scope = call_scope(tree->context, NULL, 0);
    return system_transfer(&scope, payer, tree->config, lamports);
}

#endif
