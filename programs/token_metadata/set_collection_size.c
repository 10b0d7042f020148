/* BubblegumSetCollectionSize: how Bubblegum counts compressed NFTs in a sized collection. Only its PDA may sign. */
#include "errors.h"
#include "instructions.h"
#include "state.h"

static Result check_authority(const Context *context, const MetadataView *view, const Account *authority) {
    enum { RECORD = 4 };
    if (!authority->is_signer) return TM_UPDATE_AUTHORITY_IS_NOT_SIGNER;
    if (context->account_count <= RECORD) {
        return key_equal(view->update_authority, authority->key) ? OK : TM_INVALID_COLLECTION_UPDATE_AUTHORITY;
    }
    Delegation delegation = collection_delegation(&context->accounts[RECORD], view, authority->key);
    return delegation == DELEGATION_VALID ? OK : TM_INVALID_COLLECTION_UPDATE_AUTHORITY;
}

Result bubblegum_set_collection_size(Context *context, Reader *reader) {
    enum { METADATA, COLLECTION_AUTHORITY, MINT, BUBBLEGUM_SIGNER, ACCOUNTS };
    u64 size = read_u64(reader);
    if (reader->failed) return ERR_INVALID_INSTRUCTION_DATA;
    if (context->account_count < ACCOUNTS) return ERR_NOT_ENOUGH_ACCOUNT_KEYS;
    Account *accounts = context->accounts;
    const Account *signer = &accounts[BUBBLEGUM_SIGNER];
    if (!key_equal(signer->key, BUBBLEGUM_COLLECTION_CPI_SIGNER)) return TM_INVALID_BUBBLEGUM_SIGNER;
    if (!signer->is_signer) return ERR_MISSING_REQUIRED_SIGNATURE;
    if (!key_equal(accounts[METADATA].owner, TOKEN_METADATA_ID)) return TM_INCORRECT_OWNER;
    MetadataView view;
    if (!metadata_view(&accounts[METADATA], &view)) return ERR_INVALID_ACCOUNT_DATA;
    if (!key_equal(view.mint, accounts[MINT].key)) return TM_MINT_MISMATCH;
    TRY(check_authority(context, &view, &accounts[COLLECTION_AUTHORITY]));
    if (view.size_offset == 0) return TM_NOT_A_COLLECTION_PARENT;
    store_u64(accounts[METADATA].data + view.size_offset, size);
    return OK;
}
