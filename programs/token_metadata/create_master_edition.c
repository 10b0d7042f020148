/* CreateMasterEditionV3: makes the one token of a mint an NFT. The edition account takes over the mint's authorities, so
 * that there never is a second token. */
#include "instructions.h"
#include "mint.h"
#include "state.h"
#include "system.h"

enum { TOKEN_SET_AUTHORITY = 6, AUTHORITY_MINT_TOKENS = 0, AUTHORITY_FREEZE_ACCOUNT = 1 };

/* The last but one byte of the account repeats the token standard; the last one is a fee flag, not used here. */
#define TOKEN_STANDARD_OFFSET (MASTER_EDITION_BYTES - 2)

enum {
    EDITION, MINT, UPDATE_AUTHORITY, MINT_AUTHORITY, PAYER, METADATA, TOKEN_PROGRAM, SYSTEM_PROGRAM, ACCOUNTS,
};

static Result check_accounts(const Context *context, const MintView *mint, MetadataView *metadata) {
    const Account *accounts = context->accounts;
    u8 bump;
    if (!is_metadata_address(accounts[METADATA].key, accounts[MINT].key, &bump)) return TM_INVALID_METADATA_KEY;
    if (!key_equal(accounts[METADATA].owner, TOKEN_METADATA_ID)) return TM_INCORRECT_OWNER;
    if (!metadata_view(&accounts[METADATA], metadata)) return ERR_INVALID_ACCOUNT_DATA;
    if (!key_equal(metadata->mint, accounts[MINT].key)) return TM_MINT_MISMATCH;
    if (!key_equal(metadata->update_authority, accounts[UPDATE_AUTHORITY].key)) return TM_UPDATE_AUTHORITY_INCORRECT;
    if (!accounts[UPDATE_AUTHORITY].is_signer) return TM_UPDATE_AUTHORITY_IS_NOT_SIGNER;
    TRY(mint_check_authority(mint, &accounts[MINT_AUTHORITY]));
    if (!accounts[PAYER].is_signer) return ERR_MISSING_REQUIRED_SIGNATURE;
    if (!key_equal(accounts[TOKEN_PROGRAM].key, TOKEN_PROGRAM_ID)) return TM_INVALID_TOKEN_PROGRAM;
    if (!key_equal(accounts[SYSTEM_PROGRAM].key, SYSTEM_PROGRAM_ID)) return TM_INVALID_SYSTEM_PROGRAM;
    if (mint->freeze_authority == NULL) return TM_NO_FREEZE_AUTHORITY_SET;
    if (mint->decimals != 0) return TM_EDITION_MINT_DECIMALS_SHOULD_BE_ZERO;
    return mint->supply == 1 ? OK : TM_EDITIONS_MUST_HAVE_EXACTLY_ONE_TOKEN;
}

static Result write_edition(const Account *edition, bool is_limited, u64 max_supply) {
    Writer writer = writer_into(edition->data, edition->data_length);
    write_u8(&writer, KEY_MASTER_EDITION_V2);
    write_u64(&writer, 0); /* supply: prints so far */
    write_bool(&writer, is_limited);
    if (is_limited) write_u64(&writer, max_supply);
    edition->data[TOKEN_STANDARD_OFFSET] = STANDARD_NON_FUNGIBLE;
    return writer.failed ? ERR_ACCOUNT_DATA_TOO_SMALL : OK;
}

/* The token program's SetAuthority, signed by the present mint authority. */
static Result give_authority(Context *context, u8 authority_type) {
    const Account *accounts = context->accounts;
    Writer data = writer_allocate(3 + KEY_BYTES);
    write_u8(&data, TOKEN_SET_AUTHORITY);
    write_u8(&data, authority_type);
    write_bool(&data, true);
    write_key(&data, accounts[EDITION].key);
    Meta metas[2] = {{accounts[MINT].key, true, false}, {accounts[MINT_AUTHORITY].key, false, true}};
    Instruction instruction = {TOKEN_PROGRAM_ID, metas, 2, data.start, writer_length(&data)};
    return invoke(&instruction, context->accounts, context->account_count);
}

Result create_master_edition_v3(Context *context, Reader *reader) {
    bool is_limited = read_bool(reader);
    u64 max_supply = is_limited ? read_u64(reader) : 0;
    if (reader->failed) return ERR_INVALID_INSTRUCTION_DATA;
    if (context->account_count < ACCOUNTS) return ERR_NOT_ENOUGH_ACCOUNT_KEYS;
    Account *accounts = context->accounts;
    MintView mint;
    MetadataView metadata;
    TRY(mint_read(&accounts[MINT], &mint));
    TRY(check_accounts(context, &mint, &metadata));
    u8 bump;
    if (!is_edition_address(accounts[EDITION].key, accounts[MINT].key, &bump)) return TM_INVALID_EDITION_KEY;
    if (!key_is_zero(accounts[EDITION].owner)) return TM_ALREADY_INITIALIZED;

    Slice seeds[5] = {LITERAL("metadata"), {TOKEN_METADATA_ID, KEY_BYTES}, {accounts[MINT].key, KEY_BYTES},
                      LITERAL("edition"), {&bump, 1}};
    SignerSeeds signer = {seeds, 5};
    CallScope scope = call_scope(context, &signer, 1);
    TRY(system_create_account(&scope, &accounts[PAYER], &accounts[EDITION], MASTER_EDITION_BYTES, TOKEN_METADATA_ID));
    TRY(write_edition(&accounts[EDITION], is_limited, max_supply));
    if (metadata.token_standard != STANDARD_ABSENT) {
        accounts[METADATA].data[metadata.token_standard_offset] = STANDARD_NON_FUNGIBLE;
    }
    TRY(give_authority(context, AUTHORITY_MINT_TOKENS));
    return give_authority(context, AUTHORITY_FREEZE_ACCOUNT);
}
